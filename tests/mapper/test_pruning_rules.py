"""Every pruning rule by itself: what it leaves out is no better than what it keeps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice, permutations
from typing import cast

import numpy as np
import pytest

from tests.mapper.plain import all_mappings, nest_of, optimum, points
from tests.mapper.plain import spatial_choices as plain_spatial_choices
from tests.mapper.problems import random_mapspace, small_mapspaces, tensor
from tests.mapper.test_outer_bound import tight
from tests.mapper.test_simple3 import Shape
from tests.mapper.test_simple3 import space as simple3_space
from timeloop_py.mapper import paths, solve
from timeloop_py.mapper.constraints import Limits, SpatialLimits
from timeloop_py.mapper.fillings import Fillings
from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.growth import Growth
from timeloop_py.mapper.labels import Labels, undominated
from timeloop_py.mapper.mapspace import Mapspace, Retention
from timeloop_py.mapper.nests import mapping_cost
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.outer import OuterBound
from timeloop_py.mapper.search import mapspace
from timeloop_py.mapper.spread import factor_choices, perfect_alone, spread_choices
from timeloop_py.mapper.windows import sweep
from timeloop_py.mapper.words import Place, Words
from timeloop_py.nest.checks import mapping_violations
from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.layer_problem import layer_problem
from timeloop_py.specs.mapping import Loop, Mapping, Store
from timeloop_py.specs.network import load_network
from timeloop_py.specs.problem import Problem, Rank, Term

GOALS = {name: Goal(parse_objective(name).measures[0]) for name in ("energy", "cycles", "edp")}

#: What stands in for a rule that is switched off.
OFF: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "dominance": lambda patch: patch.setattr(paths, "undominated", lambda labels, *_: labels),
    "bounds": lambda patch: patch.setattr(Frame, "bound", lambda _, labels, __: np.zeros(len(labels))),
    "outer bounds": lambda patch: patch.setattr(OuterBound, "extra_pj", lambda _, inside, *__: np.zeros(len(inside))),
    "idle loops outside": lambda patch: patch.setattr(
        Growth, "_better_outside", lambda _, labels, *__: np.zeros(len(labels), dtype=bool)
    ),
    "one loop per dimension": lambda patch: patch.setattr(
        Growth, "_any_kept", lambda _, labels: np.ones(len(labels), dtype=bool)
    ),
    "innermost stage at once": lambda patch: patch.setattr(solve, "applies", lambda _: False),
    "moves of nodes": lambda patch: patch.setattr(
        Fillings, "_stays", lambda _, __, chains: np.ones(len(chains), dtype=bool)
    ),
}


def frames_of(retention: Retention) -> list[Frame]:
    spread = spread_choices(retention)
    return [Frame(retention, spread)] if len(spread) else []


@pytest.mark.parametrize("rule", [*OFF, "none"])
def test_one_rule_by_itself_loses_nothing(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {rule, "bounds"} if rule == "outer bounds" else {rule}
    if rule == "moves of nodes":
        kept |= {"innermost stage at once"}
    for name, switch_off in OFF.items():
        if name not in kept:
            switch_off(monkeypatch)
    for seed, space, costs in small_mapspaces(8, 40, first=500):
        for objective, goal in GOALS.items():
            solution = solve.solve(space, goal)
            assert solution.best is not None, seed
            assert solution.best.measure == pytest.approx(optimum(costs, objective), rel=1e-11), f"{seed} {objective}"


@pytest.mark.parametrize("seed", range(8))
def test_rules_lose_nothing_where_buffers_are_tight(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    space = tight_mapspace(seed)
    found = {objective: solve.solve(space, goal) for objective, goal in GOALS.items()}
    for rule in ("outer bounds", "idle loops outside", "innermost stage at once", "moves of nodes"):
        OFF[rule](monkeypatch)
    for objective, goal in GOALS.items():
        assert found[objective].proven
        assert found[objective].lower_bound == pytest.approx(solve.solve(space, goal).lower_bound), objective


def tight_mapspace(seed: int) -> Mapspace:
    """Three levels with buffers of a few words, too large for a plain enumeration."""
    rng = random.Random(seed)
    shape = tuple(rng.choice(sizes) for sizes in ([1, 2, 4], [1, 2], [2, 4, 6], [1, 2], [1, 2, 3], [1, 2]))
    words, registers, stride = rng.choice([8, 10, 12, 16, 24]), rng.choice([4, 5, 6, 8]), rng.choice([1, 1, 2])
    space = tight(cast("Shape", shape), words, registers, stride)
    dram, buffer, register = space.hierarchy.levels
    if rng.random() < 0.5:
        own = {tensor.name: rng.choice([1, 2, 3, 4]) for tensor in space.problem.tensors}
        register = replace(register, capacity_words=None, tensor_capacity_words=own)
    limits = SpatialLimits({rng.choice("KPC"): Limits()}, {rng.choice("CQR"): Limits()})
    return replace(
        space,
        hierarchy=replace(space.hierarchy, levels=(dram, buffer, register)),
        options=replace(space.options, refill=rng.choice(["every_copy", "one_copy"])),
        constraints=replace(space.constraints, spatial={"GLB": limits}),
    )


# -- bounds -------------------------------------------------------------------------------------------


def beginnings(frame: Frame, mapping: Mapping) -> Iterator[Labels]:
    """The partial nests of a mapping from the inside out, as labels: one row per choice of pins that allows it."""
    dims, nodes = list(frame.dims), list(frame.nodes)
    number = {(node.level, node.tensor.name): index for index, node in enumerate(nodes)}
    spread = {dim: [1] * frame.spread.factors.shape[1] for dim in dims}
    array = frame.spread.factors.shape[1] - 1
    reached = len(frame.levels)
    for item in reversed(mapping.nodes):
        if isinstance(item, Loop) and item.is_spatial:
            above = max(
                nodes[number[store.level, store.tensor]].stage
                for store in mapping.nodes[: mapping.nodes.index(item)]
                if isinstance(store, Store)
            )
            spread[item.dim][above] *= item.bound
    assert array < reached
    wanted = np.array([spread[dim] for dim in dims]).T if dims else np.ones((array + 1, 0))
    rows = np.flatnonzero((frame.spread.factors == wanted).all(axis=(1, 2)))
    labels = frame.start().rows(rows)
    yield labels
    group: list[int] = []
    for item in reversed(mapping.nodes):
        if not len(labels):
            return
        growth = Growth(frame, int(labels.placed[0]))
        if isinstance(item, Store):
            index = number[item.level, item.tensor]
            if nodes[index].stage == 0:
                continue
            group.append(index)
            steps = {step.nodes: after for step, after in growth.with_nodes(labels)}
            key = next((key for key in steps if set(key) == set(group)), None)
            if key is None:
                continue
            labels, group = steps[key], []
        elif item.is_spatial:
            continue
        else:
            after, _, bounds = growth.with_loops(labels, dims.index(item.dim))
            labels = after.rows(np.flatnonzero(bounds == item.bound))
        yield labels


def test_bounds_of_beginnings_stay_below_the_cost_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    OFF["idle loops outside"](monkeypatch)
    finished = 0
    for seed, space, _ in small_mapspaces(8, 60, first=900):
        for retention in space.retentions():
            for frame in frames_of(retention):
                for mapping in all_mappings(space):
                    if {(node.level, node.tensor) for node in mapping.nodes if isinstance(node, Store)} != {
                        (node.level, node.tensor.name) for node in frame.nodes
                    }:
                        continue
                    cost = mapping_cost(space, mapping)
                    for labels in beginnings(frame, mapping):
                        for objective, goal in GOALS.items():
                            exact = float(goal.measure.value(cost.energy_pj, cost.cycles))
                            bound = frame.bound(labels, goal)
                            # A row of other pins than the mapping's does not go on to its end.
                            assert not len(bound) or bound.min() <= exact * (1 + 1e-9), f"{seed} {objective}"
                    if len(labels) and not frame.prices.rounding_pj.any():
                        energy, _ = frame.lower_bounds(labels)
                        assert energy.min() == pytest.approx(cost.energy_pj), seed
                        finished += 1
    assert finished > 100


# -- dominance ----------------------------------------------------------------------------------------


def test_a_dropped_label_is_no_better_than_a_kept_one_with_the_same_future() -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        rows = 60

        def draw(high: int, *shape: int, rows: int = rows) -> np.ndarray:
            return rng.integers(0, high, size=(rows, *shape))

        labels = Labels(
            inside=draw(2, 2).astype(np.int16),
            spread=draw(2).astype(np.int32),
            placed=draw(2),
            status=draw(2, 2) - 1,
            looped=draw(2),
            covered=draw(2),
            below=draw(2, 2),
            started=np.zeros((rows, 0), dtype=np.int16),
            rank=np.full(rows, -1, dtype=np.int16),
            used=draw(3, 2).astype(float),
            energy_pj=draw(5).astype(float),
            load=draw(3, 1).astype(float),
            rest=np.ones((rows, 2)),
            parent=np.arange(rows),
            action=np.arange(rows),
        )
        slack = np.array([0.0, 1.0])
        kept = set(undominated(labels, [2, 2], slack).action.tolist())

        def future(row: int, labels: Labels = labels) -> tuple[object, ...]:
            columns = labels.inside, labels.spread, labels.placed, labels.status, labels.looped
            return tuple(column[row].tobytes() for column in columns)

        def better(one: int, other: int, labels: Labels = labels, slack: np.ndarray = slack) -> bool:
            return (
                future(one) == future(other)
                and bool((labels.used[one] <= labels.used[other]).all())
                and bool((labels.load[one] <= labels.load[other]).all())
                and labels.energy_pj[one] + slack[labels.spread[one]] <= labels.energy_pj[other]
            )

        assert 0 < len(kept) < rows
        for row in range(rows):
            if row not in kept:
                assert any(better(one, row) for one in kept), row


# -- orders and factors -------------------------------------------------------------------------------


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_the_sweep_takes_the_best_order_of_every_segment(stride: int, dilation: int) -> None:
    space = conv(stride, dilation)
    (frame, *_) = [frame for retention in space.retentions() for frame in frames_of(retention)]
    node = next(node for node in frame.nodes if node.tensor.name == "Inputs" and node.stage == 1)
    rng = np.random.default_rng(stride + dilation)
    for _ in range(20):
        segments, inside = [], np.ones(len(frame.dims), dtype=np.int64)
        full = frame.spread.full[0]
        tile = np.array([rng.choice([d for d in range(1, size + 1) if size % d == 0]) for size in full])
        inside = tile.copy()
        for _ in range(2):
            factors = [
                int(rng.choice([d for d in range(1, size + 1) if (size // one) % d == 0 and size % one == 0]))
                if dim != "C"
                else 1
                for dim, size, one in zip(frame.dims, full.tolist(), inside.tolist(), strict=True)
            ]
            segments.append(np.array([factors]))
            inside = inside * factors
        place = Place(tile[None], np.zeros(1, dtype=np.intp), 1)
        found = sweep(frame.counter, node, tile[None], place, segments).words
        total, begin = 0.0, tile.copy()
        for segment in segments:
            axes = [axis for axis, bound in enumerate(segment[0]) if bound > 1]
            costs = []
            for order in permutations(axes):
                here, words = begin.copy(), Words(np.zeros(1), np.zeros(1))
                for axis in order:
                    at = Place(here[None], np.zeros(1, dtype=np.intp), 1)
                    words = words + frame.counter.advancing(node, tile[None], at, axis, segment[:, axis])
                    here[axis] *= segment[0, axis]
                costs.append(float(words.every[0]))
            total += min(costs)
            begin = begin * segment[0]
        assert found.every[0] == pytest.approx(total)


def conv(stride: int, dilation: int) -> Mapspace:
    space = simple3_space((2, 2, 4, 4, 3, 2))
    x = Rank((Term("P", stride), Term("R", dilation)))
    y = Rank((Term("Q", stride), Term("S", dilation)))
    weights, _, outputs = space.problem.tensors
    problem = Problem(space.problem.dims, (weights, tensor("Inputs", "C", x, y), outputs))
    return Mapspace(problem, space.hierarchy, space.options, constraints=space.constraints)


def test_one_split_over_columns_and_rows_stands_for_all_where_hops_are_free() -> None:
    for _, space, _ in small_mapspaces(10, 100, first=1300):
        for retention in space.retentions():
            spread = spread_choices(retention)
            hops = any(space.hierarchy.levels[index].energy_per_hop_pj for index in retention.stages)
            keep = {space.hierarchy.names[index]: retention.kept[index] for index in retention.stages}
            plain = list(plain_spatial_choices(space, keep))
            products = {
                tuple(tuple(pair[dim][0] * pair[dim][1] for dim in space.dims) for pair in choice) for choice in plain
            }
            assert {tuple(map(tuple, row)) for row in spread.factors.tolist()} == products
            if hops:
                continue
            split = {(row.tobytes(), pins.tobytes()) for row, pins in zip(spread.factors, spread.pins, strict=True)}
            assert len(split) == len(spread)


def test_mappings_that_differ_in_the_split_alone_cost_the_same() -> None:
    problem = Problem({"M": 4, "N": 2}, (tensor("A", "M"), tensor("B", "N"), tensor("Z", "M", "N", is_output=True)))
    energy = {"read": 3.0, "write": 2.0, "update": 5.0}
    levels = (StorageLevel("DRAM", energy_pj=energy), StorageLevel("Buf", instances=4, mesh_x=2, energy_pj=energy))
    space = Mapspace(problem, Hierarchy(levels, ComputeLevel("MAC", 4, 2, {"compute": 1.0})), space="level")
    cost: dict[object, float] = {}
    compared = 0
    for point, mapping in zip(points(space), all_mappings(space), strict=True):
        products = tuple(tuple((dim, x * y) for dim, (x, y) in one.items()) for one in point.spatial)
        key = tuple(point.keep.items()), point.order, products, point.segments
        found = mapping_cost(space, mapping).energy_pj
        compared += key in cost
        assert cost.setdefault(key, found) == pytest.approx(found)
    assert compared > 20


def test_spatial_factors_leave_what_levels_can_share_out() -> None:
    # Row stationary: no level takes iterations over S, so all five rows of a filter run over the array.
    (layer,) = [one for one in load_network("alexnet").layers if one.name == "conv2"]
    space = mapspace(load_architecture("eyeriss_like"), layer_problem(layer))
    for retention in space.retentions():
        spread = spread_choices(retention)
        assert len(spread)
        assert (spread.full[:, space.dims.index("S")] == 1).all()
    assert solve.solve(space, GOALS["energy"]).proven


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_no_mapping_has_spatial_factors_that_were_left_out(seed: int) -> None:
    space = random_mapspace(seed)
    known: dict[object, set[tuple[int, ...]]] = {}
    for retention in space.retentions():
        _, alone = perfect_alone(retention)
        rows = [*factor_choices(retention).factors, *(alone.factors if space.imperfect else ())]
        known[retention.kept] = {tuple(row.ravel().tolist()) for row in rows}
    for point in islice(points(space), 300):
        kept = tuple(tuple(point.keep.get(level.name, ())) for level in space.hierarchy.levels)
        mapping = nest_of(point.keep, point.order, point.spatial, point.segments)
        if not mapping_violations(space.problem, space.hierarchy, mapping):
            factors = tuple(math.prod(array[dim]) for array in point.spatial for dim in space.dims)
            assert factors in known[kept]
