"""Lanes along both dimensions of a window: instances share some words, and how many depends on what lies below them."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from tests.mapper.plain import TooManyError, all_costs, all_mappings, optimum
from tests.mapper.problems import tensor
from tests.mapper.test_simple3 import space as simple3_space
from timeloop_py.mapper.constraints import Constraints, Limits, SpatialLimits
from timeloop_py.mapper.coverage import mappings_in
from timeloop_py.mapper.hierarchy_search import HierarchySearch
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.solve import solve
from timeloop_py.specs.hierarchy import Hierarchy
from timeloop_py.specs.mapping import Loop, LoopKind
from timeloop_py.specs.problem import Problem, Rank, Term

OBJECTIVES = ("energy", "edp", "cycles")
NAMES = ("Weights", "Inputs", "Outputs")
FREE = {"P": Limits(), "R": Limits()}


def space(
    dims: dict[str, int],
    lanes: int,
    words: int,
    window: tuple[int, int] = (1, 1),
    along: dict[str, Limits] = FREE,
    rate: int = 2,
    imperfect: bool = False,
) -> Mapspace:
    """A one-dimensional convolution of K, P and R on so many PEs of so many words below a memory.

    ``window``: coefficients of P and R. ``along``: what may run over the array. ``rate``: words a cycle of the memory.
    """
    hierarchy = simple3_space((1, 1, 1, 1, 1, 1)).hierarchy
    dram, _, register = hierarchy.levels
    register = replace(register, capacity_words=words, instances=lanes, mesh_x=lanes)
    inputs = Rank((Term("P", window[0]), Term("R", window[1])))
    tensors = tensor("Weights", "K", "R"), tensor("Inputs", inputs), tensor("Outputs", "K", "P", is_output=True)
    return Mapspace(
        Problem(dims, tensors),
        Hierarchy(
            (replace(dram, shared_bandwidth=rate), register),
            replace(hierarchy.compute, instances=lanes, mesh_x=lanes),
        ),
        imperfect=imperfect,
        constraints=Constraints(keep={"DRAM": NAMES, "RF": NAMES}, spatial={"DRAM": SpatialLimits(along, {})}),
    )


def compare(given: Mapspace, most: int) -> None:
    costs = all_costs(given, most)
    for objective in OBJECTIVES:
        found = solve(given, Goal(parse_objective(objective).measures[0]))
        assert found.proven
        assert found.best is not None
        assert found.best.measure == pytest.approx(optimum(costs, objective), rel=1e-11)


@pytest.mark.parametrize(
    ("dims", "window", "words"),
    [
        # Words that one lane holds in this pass and another in the next are sent once a pass.
        ({"P": 4, "R": 2, "K": 2}, (1, 1), 12),
        ({"P": 6, "R": 2, "K": 3}, (1, 1), 12),
        ({"P": 4, "R": 3, "K": 2}, (1, 1), 9),
        # Lanes along R let a lane meet the same inputs again where one tile of all its iterations would not.
        ({"P": 3, "R": 4, "K": 2}, (2, 1), 8),
        ({"P": 6, "R": 4, "K": 2}, (1, 2), 7),
    ],
)
def test_the_best_of_lanes_that_share_inputs(dims: dict[str, int], window: tuple[int, int], words: int) -> None:
    compare(space(dims, 6, words, window), 60_000)


@pytest.mark.parametrize("seed", range(4))
def test_random_windows_on_lanes(seed: int) -> None:
    rng = random.Random(seed)
    compared = 0
    while compared < 6:
        dims = {"P": rng.choice([2, 3, 4, 6]), "R": rng.choice([2, 3, 4]), "K": rng.choice([1, 2, 3])}
        window = rng.choice([1, 2, 3]), rng.choice([1, 1, 2])
        given = space(dims, rng.choice([2, 4, 6]), rng.randint(4, 14), window, rate=rng.choice([1, 2, 4]))
        try:
            compare(given, 20_000)
        except TooManyError:
            continue
        compared += 1


@pytest.mark.parametrize("window", [(1, 1), (2, 1)])
@pytest.mark.parametrize("along", [FREE, {"P": Limits(2, 2), "R": Limits(2, 2)}])
def test_with_imperfect_factors_they_are_spread_by_perfect_ones(
    window: tuple[int, int], along: dict[str, Limits]
) -> None:
    given = space({"P": 4, "R": 2, "K": 1}, 4, 8, window, along, imperfect=True)
    compare(given, 100_000)
    assert mappings_in(given) == sum(1 for _ in all_mappings(given))
    outcome = HierarchySearch(given, math.inf).best(parse_objective("edp"))
    assert outcome.proven
    assert outcome.best is not None
    assert outcome.best.measure == pytest.approx(optimum(all_costs(given, 100_000), "edp"), rel=1e-11)
    if along is not FREE:
        loops = [node for node in outcome.best.mapping.nodes if isinstance(node, Loop)]
        assert sorted(loop.dim for loop in loops if loop.kind is LoopKind.SPATIAL_X) == ["P", "R"]
