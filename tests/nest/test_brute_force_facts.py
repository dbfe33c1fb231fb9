"""The brute force itself against measured facts: the dense cases that Timeloop answered, and counts made by hand."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.nest.brute_force import StoreCounts, count
from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

CASES = Path(__file__).parents[1] / "data" / "timeloop_cases"
DENSE = sorted(path.name for path in CASES.glob("d*"))


def read_problem(data: dict[str, Any]) -> Problem:
    def term(text: str | list[str]) -> Term:
        if isinstance(text, str):
            return Term(text)
        dim, coefficient = text
        return Term(dim, data["coefficients"][coefficient])

    tensors = tuple(
        Tensor(
            space["name"],
            tuple(Rank(tuple(term(text) for text in rank)) for rank in space["projection"]),
            is_output=space.get("read_write", False),
        )
        for space in data["dataspaces"]
    )
    return Problem(data["dims"], tensors)


def read_mapping(levels: list[dict[str, Any]], problem: Problem) -> Mapping:
    nodes: list[Node] = []
    for level in levels:
        nodes += [Store(level["level"], tensor.name) for tensor in problem.tensors]
        spatial = level.get("spatial", {})
        for kind, loops in (
            (LoopKind.TEMPORAL, level.get("temporal", [])),
            (LoopKind.SPATIAL_X, spatial.get("x", [])),
            (LoopKind.SPATIAL_Y, spatial.get("y", [])),
        ):
            nodes += [Loop(dim, bound[0] if isinstance(bound, list) else bound, kind) for dim, bound in loops]
    return Mapping(tuple(nodes))


def test_there_are_dense_cases() -> None:
    assert len(DENSE) == 14


@pytest.mark.parametrize("name", DENSE)
def test_dense_case(name: str) -> None:
    case = json.loads((CASES / name / "case.json").read_text())
    summary = json.loads((CASES / name / "summary.json").read_text())
    problem = read_problem(case["problem"])
    counts = count(problem, read_mapping(case["mapping"], problem), CountingOptions(padded_cycles=True))

    assert counts.computes == summary["compute"]["algorithmic_computes"]
    assert counts.compute_cycles == summary["compute"]["cycles"]
    with (CASES / name / "levels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["level"], row["tensor"]) for row in rows} == set(counts.stores)
    for row in rows:
        instances = int(row["utilized_instances"])
        measured = StoreCounts(
            tile_words=int(row["utilized_capacity_words"]),
            fills=int(row["fills_per_instance"]) * instances,
            reads=int(row["reads_per_instance"]) * instances,
            updates=int(row["updates_per_instance"]) * instances,
            temporal_reductions=int(row["temporal_reductions_per_instance"]) * instances,
            link_transfers=0,
        )
        assert counts.stores[row["level"], row["tensor"]] == measured, (row["level"], row["tensor"])
