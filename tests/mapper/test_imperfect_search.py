"""The search with imperfect factors: shares and their bounds, mappings to begin with, what is known in time."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from tests.mapper.plain import nest_of, optimum, points
from tests.mapper.problems import random_mapspace, small_mapspaces, tensor
from tests.mapper.test_simple3 import space as simple3_space
from timeloop_py.mapper import shares as shares_module
from timeloop_py.mapper.constraints import Constraints, Limits, SpatialLimits
from timeloop_py.mapper.hierarchy_search import HierarchySearch
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.nests import mapping_cost
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.shares import Apart, Whole, shares_of
from timeloop_py.mapper.solve import solve
from timeloop_py.mapper.starts import Starts, roomier, shortened
from timeloop_py.mapper.unavoidable import unavoidable, unavoidable_with
from timeloop_py.nest.checks import mapping_violations
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store
from timeloop_py.specs.problem import Problem

GOALS = {name: Goal(parse_objective(name).measures[0]) for name in ("energy", "cycles", "edp")}


@pytest.mark.parametrize("number", range(4))
def test_search_with_starts_equals_plain_enumeration(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Batches of few rows: the search goes through many parts.
    monkeypatch.setattr(shares_module, "ROWS", 3)
    for seed, space, costs in small_mapspaces(5, 120, 5000 * number, imperfect=True):
        for objective in ("energy", "edp", "cycles,energy"):
            found = HierarchySearch(space, math.inf).best(parse_objective(objective))
            first = found.lower_bound
            assert found.proven, seed
            assert found.best is not None, seed
            assert found.best.measure == pytest.approx(optimum(costs, objective), rel=1e-11), (seed, objective)
            assert first == pytest.approx(optimum(costs, objective.partition(",")[0]), rel=1e-11), (seed, objective)


@pytest.mark.parametrize("imperfect", [False, True])
def test_no_mapping_costs_less_than_what_is_unavoidable(imperfect: bool) -> None:
    close = 0
    for seed, space, costs in small_mapspaces(12, 150, 300, imperfect):
        for name, goal in GOALS.items():
            low = unavoidable(space, goal)
            assert 0 < low <= optimum(costs, name) * (1 + 1e-9), (seed, name)
            close += low > 0.5 * optimum(costs, name)
    assert close > 5


def test_no_mapping_costs_less_than_its_share_says() -> None:
    compared = 0
    for seed in range(700, 712):
        space = random_mapspace(seed, imperfect=True)
        table = share_bounds(space)
        for point in islice(points(space), 40):
            mapping = nest_of(point.keep, point.order, point.spatial, point.segments)
            if mapping_violations(space.problem, space.hierarchy, mapping):
                continue
            cost = mapping_cost(space, mapping)
            kept = tuple(tuple(point.keep.get(level.name, ())) for level in space.hierarchy.levels)
            factors = tuple(math.prod(array[dim]) for array in point.spatial for dim in space.dims)
            for name, goal in GOALS.items():
                value = float(goal.measure.value(cost.energy_pj, cost.cycles))
                assert table[kept, factors, name] <= value * (1 + 1e-9), (seed, name, mapping)
                compared += 1
    assert compared > 300


def share_bounds(space: Mapspace) -> dict[tuple[object, tuple[int, ...], str], float]:
    """The better of both lower bounds of every share, by what is kept and its factors over both axes."""
    table: dict[tuple[object, tuple[int, ...], str], float] = {}
    for shares in shares_of(space):
        if isinstance(shares, Whole):
            frame = shares.frame([0])
            for name, goal in GOALS.items():
                for factors in frame.spread.factors:
                    key = frame.retention.kept, tuple(factors.ravel().tolist()), name
                    table[key] = shares.lower_bounds(goal)[0]
            continue
        assert isinstance(shares, Apart)
        for name, goal in GOALS.items():
            plain = shares.lower_bounds(goal)
            refined = shares.refined(range(len(plain)), goal)
            for share, low in enumerate(np.maximum(plain, refined).tolist()):
                key = shares.retention.kept, tuple(shares.factors(share).factors.ravel().tolist()), name
                table[key] = min(table.get(key, math.inf), low)
    return table


def test_what_is_unavoidable_with_spatial_factors_is_below_the_bounds_of_frames() -> None:
    space = simple3_space((1, 1, 2, 1, 1, 1))
    goal = GOALS["cycles"]
    (retention,) = space.retentions()
    (shares,) = shares_of(space)
    frame = shares.frame([0])
    assert (unavoidable_with(retention, frame.spread, goal) <= frame.bound(frame.start(), goal)).all()
    assert unavoidable_with(retention, frame.spread, goal).min() == 2


# -- mappings to begin with ---------------------------------------------------------------------------


def test_mappings_to_begin_with_are_mappings_of_the_space() -> None:
    found = better = 0
    for seed, space, costs in small_mapspaces(15, 100, 9000, imperfect=True):
        goal = GOALS["edp"]
        best = optimum(costs, "edp")
        starts = Starts(space)
        candidates = [starts.perfect(goal, math.inf).best]
        candidates += starts.padded(goal, shares_of(space), candidates[0], math.inf)
        for candidate in filter(None, candidates):
            assert not mapping_violations(space.problem, space.hierarchy, candidate.mapping), seed
            assert candidate.measure >= best * (1 - 1e-11), seed
            cost = mapping_cost(space, candidate.mapping)
            assert candidate.measure == pytest.approx(cost.energy_pj * cost.cycles), seed
            found += 1
        known = [candidate.measure for candidate in candidates if candidate is not None]
        assert known == sorted(known, reverse=True), seed
        better += len(known) > 1
    assert found > 12
    assert better


def test_padding_finds_the_wider_array() -> None:
    # 100 channels: 10 passes of 10 lanes, or 7 passes of 15 that are not all full.
    base = simple3_space((1, 1, 1, 1, 1, 1))
    constraints = Constraints(keep=base.constraints.keep, spatial={"GLB": SpatialLimits({"K": Limits()}, {})})
    problem = Problem(
        {"K": 100, "C": 8, "P": 8},
        (tensor("Weights", "K", "C"), tensor("Inputs", "C", "P"), tensor("Outputs", "K", "P", is_output=True)),
    )
    levels = tuple(replace(level, shared_bandwidth=None) for level in base.hierarchy.levels)
    space = Mapspace(
        problem, replace(base.hierarchy, levels=levels), base.options, imperfect=True, constraints=constraints
    )
    starts = Starts(space)
    perfect = starts.perfect(GOALS["cycles"], math.inf).best
    assert perfect is not None
    assert perfect.cost.cycles == 64 * 10
    padded = list(starts.padded(GOALS["cycles"], shares_of(space), perfect, math.inf))
    assert padded[-1].cost.cycles == 64 * 7


def test_shortened_leaves_out_what_lies_beyond_the_end() -> None:
    weights = Store("DRAM", "Weights")
    padded = Mapping((weights, Loop("P", 8), Loop("P", 2), Loop("K", 3)))
    real = Problem({"P": 13, "K": 3}, (tensor("Weights", "P", "K"),))
    assert shortened(real, padded).nodes == (weights, Loop("P", 7), Loop("P", 2), Loop("K", 3))
    wide = Mapping((weights, Loop("P", 6, LoopKind.SPATIAL_X), Loop("P", 3), Loop("K", 3)))
    assert shortened(real, wide).nodes == (weights, Loop("P", 5, LoopKind.SPATIAL_X), Loop("P", 3), Loop("K", 3))
    inside = Mapping((weights, Loop("P", 2), Loop("P", 16), Loop("K", 3)))
    assert shortened(real, inside).nodes == (weights, Loop("P", 13), Loop("K", 3))


def test_roomier_sizes_divide_better() -> None:
    assert roomier(13) == [14, 16]
    assert roomier(7) == [8]
    assert roomier(12) == []


# -- time ---------------------------------------------------------------------------------------------


def test_the_search_is_never_worse_than_with_perfect_factors() -> None:
    perfect = simple3_space((6, 10, 7, 7, 3, 1))
    space = Mapspace(
        perfect.problem, perfect.hierarchy, perfect.options, imperfect=True, constraints=perfect.constraints
    )
    known = solve(perfect, GOALS["edp"])
    outcome = HierarchySearch(space, time.monotonic() + 8).best(parse_objective("edp"))
    assert known.best is not None
    assert outcome.best is not None
    assert outcome.best.measure <= known.best.measure * (1 + 1e-12)
    assert 0 < outcome.lower_bound <= outcome.best.measure


def test_a_search_without_time_gives_a_mapping_and_a_bound() -> None:
    perfect = simple3_space((64, 64, 14, 14, 3, 3))
    space = Mapspace(
        perfect.problem, perfect.hierarchy, perfect.options, imperfect=True, constraints=perfect.constraints
    )
    for given in (perfect, space):
        outcome = HierarchySearch(given, time.monotonic()).best(parse_objective("edp"))
        assert outcome.best is not None
        assert not outcome.proven
        assert 0 < outcome.lower_bound < outcome.best.measure
