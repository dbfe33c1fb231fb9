"""The table of both sparse conventions in docs/counting.md, recomputed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from timeloop_py.model.evaluate_case import evaluate_case
from timeloop_py.specs.case import load_case

ROOT = Path(__file__).parents[2]
CASES = {path.name[:3]: path / "case.json" for path in (ROOT / "tests/data/timeloop_cases").glob("s*")}
ROW = re.compile(r"^\| (s\d\d) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs/counting.md").read_text(encoding="utf-8"))


def test_every_sparse_case_stands_in_the_table() -> None:
    assert [row[0] for row in ROWS] == sorted(CASES)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_table_is_what_the_model_says(row: tuple[str, ...]) -> None:
    name, *numbers, _ = row
    case = load_case(CASES[name])
    for convention, cycles, energy in (
        ("sparseloop", numbers[0], numbers[2]),
        ("physical", numbers[1], numbers[3]),
    ):
        options = replace(case.options, convention=convention)  # type: ignore[arg-type]
        cost = evaluate_case(replace(case, options=options)).to_dict()
        assert cost["cycles"] == pytest.approx(float(cycles), rel=1e-9)
        assert cost["energy_pj"] == pytest.approx(float(energy), abs=0.0006)
