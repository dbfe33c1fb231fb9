"""What the stages outside add at least: a lower bound for every nest, met by some, infinite where nothing goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.mapper.problems import tensor
from tests.mapper.test_simple3 import Shape
from tests.mapper.test_simple3 import space as simple3_space
from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.growth import Growth, by_placed_nodes
from timeloop_py.mapper.labels import OPEN, Labels, joined, undominated
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.outer import OuterBound
from timeloop_py.mapper.paths import Incumbent, PathSearch
from timeloop_py.mapper.solve import solve
from timeloop_py.mapper.spread import spread_choices
from timeloop_py.specs.problem import Problem, Rank, Term

ENERGY = Goal(parse_objective("energy").measures[0])
GOALS = [Goal(parse_objective(name).measures[0]) for name in ("energy", "cycles", "edp")]
#: Labels of a space whose continuations are searched.
LABELS = 60


def off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OuterBound, "extra_pj", lambda _, inside, *__: np.zeros(len(inside)))


def tight(shape: Shape, words: int, registers: int, stride: int = 1) -> Mapspace:
    """``simple3`` with small buffers, where words have to come again."""
    space = simple3_space(shape)
    dram, buffer, register = space.hierarchy.levels
    levels = (dram, replace(buffer, capacity_words=words), replace(register, capacity_words=registers))
    x, y = Rank((Term("P", stride), Term("R"))), Rank((Term("Q", stride), Term("S")))
    weights, _, outputs = space.problem.tensors
    problem = Problem(space.problem.dims, (weights, tensor("Inputs", "C", x, y), outputs))
    return replace(space, problem=problem, hierarchy=replace(space.hierarchy, levels=levels))


def only_frame(space: Mapspace) -> Frame:
    (frame,) = [Frame(retention, spread_choices(retention)) for retention in space.retentions()]
    return frame


def inner_nests(frame: Frame) -> Labels:
    """All nests that end with the last node of the innermost stage, none of them worse than another in all."""
    inner = sum(bit for index, bit in frame.bit.items() if frame.nodes[index].stage == len(frame.levels) - 1)
    waiting, found = [frame.start()], []
    while waiting:
        following: list[Labels] = []
        for mask, labels in by_placed_nodes(joined(waiting)):
            growth = Growth(frame, mask)
            for _, placed in growth.with_nodes(labels):
                ended = placed.placed == inner
                found.append(placed.rows(np.flatnonzero(ended)))
                following.append(placed.rows(np.flatnonzero(~ended)))
            following.extend(growth.with_loops(labels, axis)[0] for axis in range(len(frame.dims)))
        waiting = [best_of(frame, labels) for labels in following if len(labels)]
    return best_of(frame, joined(found))


def best_of(frame: Frame, labels: Labels) -> Labels:
    return undominated(labels, [len(sizes) for sizes in frame.sizes], np.zeros(len(frame.spread)))


def continuations(frame: Frame, labels: Labels) -> Iterator[tuple[float, float]]:
    """Of every label what the bound adds to the least words, and what the best continuation does."""
    least, _ = frame.lower_bounds(labels)
    with_extra = frame.bound(labels, ENERGY)
    with pytest.MonkeyPatch.context() as patch:
        off(patch)
        for row in range(len(labels)):
            search = PathSearch(frame, ENERGY, Incumbent())
            best = min((end.energy_pj for end in search.run(labels.rows(np.array([row])))), default=np.inf)
            yield with_extra[row] - least[row], best - least[row]


@pytest.mark.parametrize(
    ("shape", "words", "registers", "stride", "closest"),
    [
        ((2, 4, 4, 1, 1, 1), 10, 4, 1, 1.0),
        ((4, 2, 3, 1, 1, 1), 6, 4, 1, 1.0),
        ((2, 2, 4, 1, 3, 1), 12, 6, 1, 1.0),
        ((2, 2, 4, 1, 3, 1), 8, 6, 2, 0.8),
        ((4, 2, 4, 1, 2, 1), 10, 6, 1, 0.9),
    ],
)
def test_no_nest_goes_on_for_less_and_some_for_no_more(
    shape: Shape, words: int, registers: int, stride: int, closest: float
) -> None:
    frame = only_frame(tight(shape, words, registers, stride))
    labels = inner_nests(frame)
    assert (labels.status >= OPEN).sum(axis=1).max() > 1  # more than the outermost node may be waiting
    chosen = np.random.default_rng(0).permutation(len(labels))[:LABELS]
    bound, exact = np.array(list(continuations(frame, labels.rows(np.sort(chosen))))).T
    assert (bound <= exact * (1 + 1e-9)).all()
    finite = (bound > 0) & np.isfinite(exact)
    assert finite.any()
    assert np.isinf(bound).any()
    assert (bound[finite] / exact[finite]).max() >= closest * (1 - 1e-9)


@pytest.mark.parametrize("shape", [(2, 4, 4, 1, 1, 1), (4, 2, 3, 1, 1, 1)])
@pytest.mark.parametrize("words", [6, 10])
def test_what_outer_stages_add_to_any_nest(shape: Shape, words: int, monkeypatch: pytest.MonkeyPatch) -> None:
    space = tight(shape, words, registers=4)
    frame = only_frame(space)
    lows = [frame.least(goal) for goal in GOALS]
    # Small buffers make tensors of these shapes come again.
    assert (frame.outside_pj > 0).any()
    off(monkeypatch)
    for goal, low in zip(GOALS, lows, strict=True):
        assert low <= solve(space, goal).lower_bound * (1 + 1e-9)


def test_buffers_that_hold_less_than_what_comes_again_raise_the_bound() -> None:
    # 512 x 512 weights and 784 points: no tiles that fit 65,536 words let every word come from DRAM only once.
    frame = only_frame(simple3_space((512, 512, 28, 28, 1, 1)))
    plain = frame.bound(frame.start(), ENERGY).min()
    assert 1.15 * plain < frame.least(ENERGY) <= 1_609_007_104


@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_asked_for_up_to_some_energy(stride: int) -> None:
    frame = only_frame(tight((4, 4, 4, 1, 2, 1), words=12, registers=6, stride=stride))
    tiles = np.arange(math.prod(map(len, frame.sizes)))
    tile, spread = (one.ravel() for one in np.meshgrid(tiles, np.arange(len(frame.spread)), indexing="ij"))
    inside = (frame.inside_of(tile) <= frame.full[spread]).all(axis=1)
    tile, spread = tile[inside], spread[inside]
    exact = OuterBound(frame, 1).extra_pj(tile, spread)
    scale = exact[np.isfinite(exact)].max()
    bound, random = OuterBound(frame, 1), np.random.default_rng(stride)
    for part in (0.3, 0.8, 0.5, 1.2):
        most = random.random(len(tile)) * part * scale
        given = bound.extra_pj(tile, spread, most=most)
        within = exact <= most
        assert within.any()
        assert np.isfinite(exact[~within]).any()
        assert (given[within] == exact[within]).all()
        assert ((given > most) & (given <= exact))[~within].all()
    assert (bound.extra_pj(tile, spread) == exact).all()
