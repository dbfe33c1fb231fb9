"""Proven optima of ``simple3`` against a counting of its own (:mod:`tests.mapper.simple3`)."""

from __future__ import annotations

import random

import pytest

from tests.mapper import simple3
from tests.mapper.problems import tensor
from timeloop_py.mapper.constraints import Constraints, Limits, SpatialLimits
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.solve import solve
from timeloop_py.specs.hierarchy import ComputeLevel, CountingOptions, Hierarchy, StorageLevel
from timeloop_py.specs.problem import Problem, Rank, Term

#: K, C, P, Q, R, S
Shape = tuple[int, int, int, int, int, int]


def space(shape: Shape) -> Mapspace:
    problem = Problem(
        layer(shape),
        (
            tensor("Weights", "K", "C", "R", "S"),
            tensor("Inputs", "C", Rank((Term("P"), Term("R"))), Rank((Term("Q"), Term("S")))),
            tensor("Outputs", "K", "P", "Q", is_output=True),
        ),
    )
    energy = {
        level: {"read": pj, "write": pj, "update": pj} for level, pj in (("DRAM", 200.0), ("GLB", 6.0), ("RF", 1.0))
    }
    levels = (
        StorageLevel("DRAM", energy_pj=energy["DRAM"], shared_bandwidth=4),
        StorageLevel("GLB", capacity_words=65_536, energy_pj=energy["GLB"], shared_bandwidth=32),
        StorageLevel("RF", instances=256, mesh_x=16, capacity_words=256, energy_pj=energy["RF"]),
    )
    options = CountingOptions(
        elide_first_read="per_stay", charge_drain_read=True, parent_accumulates=False, refill="every_copy"
    )
    constraints = Constraints(
        keep={"GLB": simple3.TENSORS, "RF": simple3.TENSORS},
        spatial={"GLB": SpatialLimits({"K": Limits()}, {"C": Limits()})},
    )
    hierarchy = Hierarchy(levels, ComputeLevel("MAC", 256, 16, {"compute": 1.0}))
    return Mapspace(problem, hierarchy, options, constraints=constraints)


def layer(shape: Shape) -> simple3.Layer:
    return dict(zip(simple3.DIMS, shape, strict=True))


def proven(shape: Shape, objective: str) -> float:
    """The optimum that the search proves."""
    solution = solve(space(shape), Goal(parse_objective(objective).measures[0]))
    assert solution.best is not None
    assert solution.proven
    return solution.best.measure


def test_the_own_counting_is_that_of_real_sets() -> None:
    rng = random.Random(3)
    shape = layer((2, 2, 4, 2, 3, 1))
    lanes = {"K": 1, "C": 1}
    for _ in range(40):
        items: simple3.Nest = [(dim, bound) for dim in simple3.DIMS for bound in simple3.primes(shape[dim])]
        items += simple3.NODES
        rng.shuffle(items)
        inside = dict.fromkeys(simple3.DIMS, 1)
        tiles: dict[tuple[str, str], simple3.Tile] = {}
        arrived: dict[tuple[str, str], int] = {}
        outside = 2 * 2 * 4 * 2 * 3
        for name, what in reversed(items):
            if isinstance(what, str):
                tiles[name, what] = dict(inside)
                arrived[name, what] = simple3.words(what, inside)
                continue
            outside //= what
            for node, tile in tiles.items():
                arrived[node] += outside * (what - 1) * simple3.fresh(node[1], tile, inside, name)
            inside[name] *= what
        for node in simple3.NODES:
            assert arrived[node] == simple3.walked_arrivals(shape, lanes, items, node)


@pytest.mark.parametrize(
    ("shape", "objective", "value"),
    [
        ((256, 256, 14, 14, 1, 1), "energy", 103_172_096),
        ((256, 256, 14, 14, 1, 1), "edp", 5_418_455_662_592),
        ((16, 16, 8, 8, 1, 1), "energy", 571_648),
    ],
)
def test_optima_that_others_found(shape: Shape, objective: str, value: int) -> None:
    assert proven(shape, objective) == value


@pytest.mark.parametrize(
    ("shape", "objective"),
    [
        ((4, 4, 4, 4, 3, 3), "edp"),
        ((8, 4, 4, 2, 3, 3), "edp"),
        ((4, 8, 2, 4, 3, 1), "edp"),
        ((4, 2, 2, 1, 3, 3), "energy"),
        ((2, 2, 4, 2, 3, 1), "energy"),
    ],
)
def test_a_walk_through_all_nests_finds_the_same(shape: Shape, objective: str) -> None:
    optimum = proven(shape, objective)
    assert simple3.least(layer(shape), objective, ceiling=optimum * (1 + 1e-9)) == pytest.approx(optimum, rel=1e-12)


@pytest.mark.parametrize(("shape", "objective"), [((32, 32, 8, 8, 3, 3), "energy"), ((64, 64, 8, 8, 3, 3), "edp")])
def test_chance_finds_nothing_better(shape: Shape, objective: str) -> None:
    optimum = proven(shape, objective)
    for seed in range(3):
        assert simple3.sought(layer(shape), objective, seed, steps=2000) >= optimum * (1 - 1e-12)


def test_chance_finds_the_optimum_of_a_large_layer_and_nothing_better() -> None:
    # 746,020,864 is what the search proves (in seconds, so not here), and an exact search by another program.
    shape = layer((256, 256, 14, 14, 3, 3))
    assert min(simple3.sought(shape, "energy", seed, steps=3000) for seed in range(4)) == 746_020_864
