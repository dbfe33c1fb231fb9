"""Mapspaces that Timeloop's mapper enumerated in full: the same optimum per metric."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.mapper.plain import all_costs, all_mappings
from timeloop_py.mapper.coverage import mappings_in
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.solve import solve
from timeloop_py.specs.files import load_section
from timeloop_py.specs.hierarchy_file import parse_hierarchy
from timeloop_py.specs.mapping import Loop
from timeloop_py.specs.problem_file import parse_problem

FOLDER = Path(__file__).resolve().parents[1] / "data" / "timeloop_cases" / "_mapper"
CASES = sorted(path.stem for path in FOLDER.glob("*.json"))
OBJECTIVES = {"energy": "energy", "edp": "edp", "delay,energy": "cycles,energy"}


def case(name: str) -> tuple[Mapspace, list[dict[str, Any]]]:
    section = load_section(FOLDER / f"{name}.json")
    architecture = section.value("architecture")
    assert architecture is not None
    problem, hierarchy = parse_problem(section.section("problem")), parse_hierarchy(architecture)
    document = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert document["all_tensors_kept_everywhere"] is False
    return Mapspace(problem, hierarchy, space="level"), document["results"]


@pytest.mark.parametrize("name", CASES)
def test_the_optimum_per_metric_is_the_same(name: str) -> None:
    space, results = case(name)
    assert len(results) == len(OBJECTIVES)
    for result in results:
        limits: tuple[Any, ...] = ()
        for part in parse_objective(OBJECTIVES[",".join(result["metric"])]).measures:
            solution = solve(space, Goal(part, limits))
            assert solution.best is not None
            assert solution.proven
            limits = (*limits, (part, solution.best.measure))
        assert solution.best is not None
        cost = solution.best.cost
        assert cost.cycles == result["best_cycles"]
        assert cost.energy_pj == pytest.approx(result["best_energy_pJ"], rel=1e-12)
        assert cost.energy_pj * cost.cycles == pytest.approx(result["best_edp_pJ_cycles"], rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_mapspace_has_their_factors_and_bypasses_and_more_orders(name: str) -> None:
    """Timeloop counts 604 and 483 valid mappings, and of the orders of loops only some that can differ in cost.

    Ours has every order of the loops that are there. Factors and bypasses can be compared, orders cannot.
    """
    space, results = case(name)
    sizes = results[0]["mapspace_dimension_sizes_unpruned"]
    assert sizes["DatatypeBypass"] == sum(1 for _ in space.retentions())
    factors = {
        tuple(
            (index, node.dim, node.bound) if isinstance(node, Loop) else index
            for index, node in enumerate(sorted_within_levels(mapping.nodes))
        )
        for mapping in all_mappings(space)
        if sum(not isinstance(node, Loop) for node in mapping.nodes) == 2 * len(space.problem.tensors)
    }
    assert len(factors) == sizes["IndexFactorization"]
    assert results[0]["valid"] <= len(all_costs(space, 10_000)["cycles"]) <= mappings_in(space)


def sorted_within_levels(nodes: Any) -> list[Any]:
    """Nodes with the loops between storage nodes in one order."""
    found: list[Any] = []
    loops: list[Loop] = []
    for node in nodes:
        if isinstance(node, Loop):
            loops.append(node)
            continue
        found += [*sorted(loops, key=lambda loop: loop.dim), node]
        loops = []
    return found + sorted(loops, key=lambda loop: loop.dim)
