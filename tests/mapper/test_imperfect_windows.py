"""Imperfect factors on an array where the output has the window (input-centric nests)."""

from __future__ import annotations

import pytest

from tests.mapper.plain import all_costs, optimum
from tests.mapper.problems import tensor
from timeloop_py.mapper.constraints import Constraints, SpatialLimits
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.solve import solve
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.problem import Problem, Rank, Term

ENERGY = {"read": 50.0, "write": 40.0, "update": 60.0}
NEAR = {"read": 1.0, "write": 2.0, "update": 2.0}


def problem(stride: int, taps: int) -> Problem:
    window = Rank((Term("W", stride), Term("R", -1)))
    return Problem(
        {"K": 2, "W": 5, "R": taps},
        (tensor("Weights", "K", "R"), tensor("Inputs", "W"), tensor("Outputs", "K", window, is_output=True)),
    )


@pytest.mark.parametrize("taps", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("objective", ["energy", "edp"])
def test_search_equals_plain_enumeration(stride: int, taps: int, objective: str) -> None:
    hierarchy = Hierarchy(
        (StorageLevel("DRAM", energy_pj=ENERGY), StorageLevel("Buf", 2, 2, capacity_words=8, energy_pj=NEAR)),
        ComputeLevel("MAC", 2, 2, {"compute": 1.0}),
    )
    names = tuple(one.name for one in problem(stride, taps).tensors)
    constraints = Constraints(keep={"Buf": names}, spatial={"DRAM": SpatialLimits(y={})})
    space = Mapspace(problem(stride, taps), hierarchy, space="level", imperfect=True, constraints=constraints)
    costs = all_costs(space, 20_000)
    found = solve(space, Goal(parse_objective(objective).measures[0]))
    assert found.proven
    assert found.best is not None
    assert found.best.measure == pytest.approx(optimum(costs, objective))
