"""Evaluated cases as text, read back."""

import csv
import io
import json
from pathlib import Path

import pytest

from timeloop_py.cli.case_output import format_cases
from timeloop_py.model.evaluate_case import CaseEvaluation, evaluate_case
from timeloop_py.specs.case import load_case

CASES = Path(__file__).resolve().parents[1] / "data" / "timeloop_cases"


def evaluations(*names: str) -> list[CaseEvaluation]:
    return [evaluate_case(load_case(CASES / name / "case.json")) for name in names]


DENSE, SPARSE = "d21_bandwidth_throttled", "s02_dot_gate_B_on_A"


class TestTable:
    def test_names_units_and_totals(self) -> None:
        lines = format_cases(evaluations(DENSE)).splitlines()
        assert lines[0].startswith(f"{DENSE}: d03 with DRAM read 0.5")
        assert lines[1] == "cycles 64 (compute alone 48), bound by DRAM.write_bandwidth; computes 48"
        assert lines[2] == "energy 8630 pJ, of it compute 48 pJ, network 0 pJ"
        heads = "level tensor reads [words] fills [words] updates [words] temporal reductions [words] capacity [words]"
        assert " ".join(lines[4].split()) == f"{heads} energy [pJ]"
        assert lines[5].split() == ["DRAM", "Weights", "3", "0", "0", "0", "3", "600"]
        assert lines[10].split() == ["Buf", "Outputs", "32", "0", "48", "32", "1", "480"]

    def test_columns_line_up(self) -> None:
        table = format_cases(evaluations(DENSE)).splitlines()[4:]
        assert len({len(line) for line in table}) == 1

    def test_what_zeros_leave_stands_behind_its_count(self) -> None:
        text = format_cases(evaluations(SPARSE))
        assert "computes 16, actual 4, gated 0, skipped 0" in text
        head, first = text.splitlines()[4:6]
        assert "reads [words]  actual reads [words]  gated reads [words]  fills" in head
        assert "skipped" not in head
        assert "metadata" not in head
        assert first.split()[:5] == ["Buf", "A", "16", "16", "0"]

    def test_several_cases_stand_one_below_the_other(self) -> None:
        text = format_cases(evaluations(DENSE, SPARSE))
        assert text.index(DENSE) < text.index(SPARSE)
        assert "\n\ns02" in text


class TestCsv:
    def test_a_row_per_case_level_and_tensor_with_the_totals(self) -> None:
        rows = list(csv.DictReader(io.StringIO(format_cases(evaluations(DENSE, SPARSE), "csv"))))
        assert [row["case"] for row in rows] == [DENSE] * 6 + [SPARSE] * 3
        assert (rows[3]["level"], rows[3]["tensor"], rows[3]["reads"]) == ("Buf", "Weights", "48")
        assert sum(float(row["energy_pj"]) for row in rows[:6]) + 48 == float(rows[0]["case_energy_pj"])
        assert {row["cycles"] for row in rows[:6]} == {"64"}
        assert rows[0]["gated_reads"] == ""
        assert float(rows[7]["gated_reads"]) == 12


class TestJson:
    def test_one_case_is_an_object(self) -> None:
        plain = json.loads(format_cases(evaluations(DENSE), "json"))
        assert plain["cycles"] == 64
        assert plain["accesses"][0] == {
            "level": "DRAM",
            "tensor": "Weights",
            "reads": 3,
            "fills": 0,
            "updates": 0,
            "temporal_reductions": 0,
            "capacity_words": 3,
            "energy_pj": 600.0,
        }

    def test_several_cases_are_a_list(self) -> None:
        plain = json.loads(format_cases(evaluations(DENSE, SPARSE), "json"))
        assert [entry["case"] for entry in plain] == [DENSE, SPARSE]
        assert plain[1]["accesses"][1]["gated_reads"] == pytest.approx(12)
