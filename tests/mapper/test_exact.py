"""The exact search against a plain enumeration of whole mapspaces."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import pytest

from tests.mapper.plain import TooManyError, all_costs, optimum
from tests.mapper.problems import random_mapspace, tensor
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.shares import Shares, shares_of
from timeloop_py.mapper.solve import Solution, solve
from timeloop_py.nest.checks import mapping_violations
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Store
from timeloop_py.specs.problem import Problem

#: Problems of one test, and tests.
PROBLEMS, TESTS = 50, 10
#: Mappings of a problem at most; with imperfect factors every one is counted by itself.
MOST, MOST_IMPERFECT = 250, 20
OBJECTIVES = ("energy", "edp", "cycles", "ed2p", "energy+25*cycles", "cycles,energy", "energy,edp")


def small_mapspaces(first_seed: int) -> Iterator[tuple[int, Mapspace, dict[str, np.ndarray]]]:
    """Random mapspaces that are small enough to be enumerated, with the costs of all their mappings."""
    seed = first_seed
    while True:
        space = random_mapspace(seed)
        with contextlib.suppress(TooManyError):
            yield seed, space, all_costs(space, MOST_IMPERFECT if space.imperfect else MOST)
        seed += 1


def search(space: Mapspace, objective: str, shares: list[Shares]) -> Solution:
    """The search of every measure of an objective in turn; the solution of the last one."""
    limits: tuple[tuple[object, float], ...] = ()
    for part in parse_objective(objective).measures:
        solution = solve(space, Goal(part, limits), shares=shares)  # type: ignore[arg-type]
        if solution.best is None:
            return solution
        limits = (*limits, (part, solution.best.measure))
    return solution


@pytest.mark.parametrize("number", range(TESTS))
def test_search_finds_the_optimum_of_random_mapspaces(number: int) -> None:
    problems = small_mapspaces(10_000 * number)
    for index in range(PROBLEMS):
        seed, space, costs = next(problems)
        shares = shares_of(space)
        mappings = len(costs["energy_pj"])
        # Several objectives on every fifth enumeration.
        chosen = OBJECTIVES if index % 5 == 4 and mappings else [OBJECTIVES[(index + number) % len(OBJECTIVES)]]
        for objective in chosen:
            solution = search(space, objective, shares)
            where = f"seed {seed}, {space.space}, {objective}"
            if not mappings:
                assert solution.best is None, where
                assert solution.proven, where
                assert solution.lower_bound == math.inf, where
                continue
            assert solution.best is not None, where
            assert solution.proven, where
            assert solution.best.measure == pytest.approx(optimum(costs, objective), rel=1e-11), where
            assert solution.lower_bound == solution.best.measure, where


def test_an_array_may_be_wider_than_an_imperfect_dimension() -> None:
    # 7 over 4 columns by 2 rows: no column is without work, one row is in the last column.
    problem = Problem({"M": 7}, (tensor("A", "M"), tensor("Z", "M", is_output=True)))
    energy = {"read": 1.0, "write": 1.0}
    levels = (StorageLevel("DRAM", energy_pj=energy), StorageLevel("Buf", instances=8, mesh_x=4, energy_pj=energy))
    hierarchy = Hierarchy(levels, ComputeLevel("MAC", 8, 4, {"compute": 1.0}))
    space = Mapspace(problem, hierarchy, space="level", imperfect=True)
    solution = solve(space, Goal(parse_objective("cycles").measures[0]))
    assert solution.best is not None
    assert solution.best.cost.cycles == 1
    assert not mapping_violations(problem, hierarchy, solution.best.mapping)
    assert optimum(all_costs(space, MOST), "cycles") == 1


def test_a_mapping_found_from_the_smallest_tiles_is_whole() -> None:
    # Capacities far below what the lower bound assumes: the first mapping is sought from the smallest tiles.
    space = random_mapspace(20077)
    solution = search(space, "ed2p", shares_of(space))
    assert solution.best is not None
    assert not mapping_violations(space.problem, space.hierarchy, solution.best.mapping)
    held = {node for node in solution.best.mapping.nodes if isinstance(node, Store)}
    assert held >= {Store("Buf", "Weights"), Store("Buf", "Inputs"), Store("Reg", "Inputs")}
    assert solution.best.measure == pytest.approx(optimum(all_costs(space, 5000), "ed2p"))
