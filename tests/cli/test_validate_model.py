"""``timeloop-py validate-model`` as a user runs it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from timeloop_py.cli.main import main

CONV3 = ("--network", "alexnet", "--layer", "conv3", "--density", "0.3", "--pe-grid", "8x8", "--vectors", "4x4")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["validate-model", *arguments])


def test_json_has_a_summary_and_the_points() -> None:
    result = run(*CONV3, "--banks", "none", "--seeds", "3", "--format", "json")
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    (summary,), (point,) = record["summary"], record["points"]
    assert summary["met"] is True
    assert summary["points"] == 1
    assert (point["layer"], point["pe_grid"], point["seeds"]) == ("conv3", "8x8", 3)
    assert abs(point["error_percent"]) < 4
    assert point["ci95_cycles"] > 0


def test_csv_is_the_table_of_all_points() -> None:
    shape = ("--shape", "K=16,C=64,P=16,Q=16,R=3,S=3,pad=1", "--seeds", "2", "--format", "csv")
    result = run(
        *shape, "--weight-density", "0.3,0.5", "--activation-density", "0.4", "--pe-grid", "2x2,4x4", "--vectors", "4x4"
    )
    table = pd.read_csv(io.StringIO(result.stdout))
    assert len(table) == 4
    assert set(table["weight_density"]) == {0.3, 0.5}
    assert set(table["pe_grid"]) == {"2x2", "4x4"}


def test_one_seed_has_no_interval_and_still_is_json() -> None:
    result = run(*CONV3, "--banks", "none", "--seeds", "1", "--format", "json")
    assert json.loads(result.stdout)["points"][0]["ci95_cycles"] is None


def test_quick_meets_the_limits_and_writes_table_and_plot(tmp_path: Path) -> None:
    result = run("--quick", "-o", str(tmp_path / "out"))
    assert result.exit_code == 0, result.stdout
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"cross_validation.csv", "summary.csv", "cross_validation.png", "provenance.json"} <= written
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert set(summary["family"]) == {"unstructured", "structured", "dense"}
    assert summary["met"].all()
    table = pd.read_csv(tmp_path / "out" / "cross_validation.csv")
    assert len(table) == summary["points"].sum()
    assert "unstructured" in result.stdout
    assert "furthest off" in result.stdout


def test_exceeded_limits_are_exit_code_one() -> None:
    """Without queues the hash that the model assumes is far from addresses that interleave."""
    result = run(
        *("--network", "googlenet", "--layer", "inception_4c/pool_proj", "--weight-density", "1"),
        *("--activation-density", "0.05", "--pe-grid", "4x4", "--vectors", "8x2"),
        *("--banks", "unqueued", "--seeds", "2"),
    )  # fmt: skip
    assert result.exit_code == 1
    assert "further from the simulator" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--pe-grid", "8y8"), "pairs like 4x4"),
        (("--vectors", "0x4"), "pairs like 4x4"),
        (("--layer", "conv3"), "give --network"),
        (("--density", "0.5", "--weight-density", "0.5"), "both densities"),
        (("--density", "1.5"), "at most 1"),
        (("--quick", "--density", "0.5"), "leave --quick out"),
        (("--network", "alexnet", "--layer", "conv9"), "conv9"),
    ],
)
def test_bad_input_is_one_message(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
