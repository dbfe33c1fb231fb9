"""Counts of mapspaces against plain enumeration."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from tests.mapper.plain import all_mappings
from tests.mapper.problems import random_mapspace, tensor
from timeloop_py.mapper.constraints import Constraints, Limits, SpatialLimits
from timeloop_py.mapper.coverage import mappings_in
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.problem import Problem, Rank, Term

MOST = 3000


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_mapspaces_are_counted_exactly(first: int) -> None:
    for seed in range(first, first + 20):
        space = random_mapspace(seed)
        count = mappings_in(space)
        if count <= MOST:
            assert sum(1 for _ in islice(all_mappings(space), MOST + 1)) == count, seed


def test_without_loops_there_is_one_mapping_per_order_of_the_nodes() -> None:
    problem = Problem({"M": 1}, (tensor("A", "M"), tensor("Z", "M", is_output=True)))
    levels = tuple(StorageLevel(name) for name in ("DRAM", "GLB", "RF"))
    keep = Constraints(keep={"GLB": ("A", "Z"), "RF": ("A", "Z")})
    space = Mapspace(problem, Hierarchy(levels, ComputeLevel("MAC")), constraints=keep)
    assert mappings_in(space) == 6  # four nodes, two of each tensor in order
    assert mappings_in(replace(space, space="level")) == 1
    # Per tensor one, two or no nodes: (0 or 1 or 2 nodes in 1, 2, 1 ways) of either tensor, interleaved.
    assert mappings_in(replace(space, constraints=Constraints())) == 1 + 2 * (2 + 1) + 4 * 2 + 2 * 2 * 3 + 6


def test_a_prescribed_order_leaves_one_of_all_orders() -> None:
    problem = Problem({"M": 2, "N": 2, "K": 2}, (tensor("A", "M", "K"), tensor("Z", "M", "N", is_output=True)))
    hierarchy = Hierarchy((StorageLevel("DRAM"),), ComputeLevel("MAC"))
    space = Mapspace(problem, hierarchy, space="level")
    assert mappings_in(space) == 6
    assert mappings_in(replace(space, constraints=Constraints(order={"DRAM": ("M", "N", "K")}))) == 1
    assert mappings_in(replace(space, constraints=Constraints(order={"DRAM": ("M", "N")}))) == 3
    assert mappings_in(replace(space, constraints=Constraints(factors={"DRAM": {"M": Limits(1, 1)}}))) == 0


def test_a_real_layer_is_counted_at_once() -> None:
    x, y = Rank((Term("P"), Term("R"))), Rank((Term("Q"), Term("S")))
    problem = Problem(
        {"K": 256, "C": 256, "P": 14, "Q": 14, "R": 3, "S": 3},
        (
            tensor("Weights", "K", "C", "R", "S"),
            tensor("Inputs", "C", x, y),
            tensor("Outputs", "K", "P", "Q", is_output=True),
        ),
    )
    levels = (StorageLevel("DRAM"), StorageLevel("GLB"), StorageLevel("RF", instances=256, mesh_x=16))
    everything = ("Weights", "Inputs", "Outputs")
    constraints = Constraints(
        keep={"GLB": everything, "RF": everything},
        spatial={
            "DRAM": SpatialLimits({}, {}),
            "GLB": SpatialLimits({"K": Limits()}, {"C": Limits()}),
            "RF": SpatialLimits({}, {}),
        },
    )
    space = Mapspace(problem, Hierarchy(levels, ComputeLevel("MAC", 256, 16)), constraints=constraints)
    assert mappings_in(space) == 266_611_316_367_187_008
