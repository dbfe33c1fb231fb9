"""``timeloop-py validate-model`` as a user runs it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from timeloop_py.cli.main import main
from timeloop_py.explore.validation_families import FAMILIES

CONV3 = ("--network", "alexnet", "--layer", "conv3", "--density", "0.3", "--pe-grid", "8x8", "--vectors", "4x4")
SMALL = ("--shape", "K=16,C=64,P=16,Q=16,R=3,S=3,pad=1")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["validate-model", *arguments])


def test_json_has_a_summary_and_the_points() -> None:
    result = run(*CONV3, "--family", "no-banks", "--seeds", "3", "--format", "json")
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    (summary,), (point,) = record["summary"], record["points"]
    assert summary["met"] is True
    assert summary["points"] == 1
    assert (point["layer"], point["pe_grid"], point["seeds"]) == ("conv3", "8x8", 3)
    assert abs(point["error_percent"]) < 4
    assert point["ci95_cycles"] > 0


def test_csv_is_the_table_of_all_points() -> None:
    densities = ("--weight-density", "0.3,0.5", "--activation-density", "0.4")
    machines = ("--pe-grid", "2x2,4x4", "--vectors", "4x4")
    result = run(*SMALL, *densities, *machines, "--seeds", "2", "--format", "csv")
    table = pd.read_csv(io.StringIO(result.stdout))
    assert len(table) == 4
    assert set(table["weight_density"]) == {0.3, 0.5}
    assert set(table["pe_grid"]) == {"2x2", "4x4"}


def test_density_is_that_of_weights_and_activations_together() -> None:
    machines = ("--pe-grid", "2x2", "--vectors", "4x4", "--seeds", "1", "--format", "csv")
    table = pd.read_csv(io.StringIO(run(*SMALL, "--density", "0.2,0.6", *machines).stdout))
    assert table[["weight_density", "activation_density"]].to_numpy().tolist() == [[0.2, 0.2], [0.6, 0.6]]


def test_one_seed_has_no_interval_and_still_is_json() -> None:
    result = run(*SMALL, "--points", "1", "--seeds", "1", "--format", "json")
    assert json.loads(result.stdout)["points"][0]["ci95_cycles"] is None


def test_table_names_families_and_the_points_furthest_off() -> None:
    result = run(*SMALL, "--family", "cp-dense", "--family", "dp-dense", "--density", "0.5", "--points", "2")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["family", "points", "sliced"]
    assert [line.split()[0] for line in lines[1:3]] == ["cp-dense", "dp-dense"]
    assert all(line.endswith("met") for line in lines[1:3])
    assert "furthest off" in lines[4]
    assert len(lines) == 6 + 4


def test_every_family_runs_and_writes_tables_and_plots(tmp_path: Path) -> None:
    """One point of each; the verdict is what the exit code and the messages say."""
    result = run("--family", "all", "--points", "1", "--seeds", "2", *SMALL, "-o", str(tmp_path / "out"))
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"cross_validation.csv", "summary.csv", "cross_validation.png", "families.png", "provenance.json"} <= written
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert list(summary["family"]) == [family.name for family in FAMILIES]
    table = pd.read_csv(tmp_path / "out" / "cross_validation.csv")
    assert len(table) == len(FAMILIES)
    assert result.exit_code == (0 if summary["met"].all() else 1)
    for family in summary.loc[~summary["met"], "family"]:
        assert family in result.stderr
    settings = json.loads((tmp_path / "out" / "provenance.json").read_text())["settings"]
    assert settings["seeds"] == [2, 2]


def test_quick_is_a_tenth_of_a_family() -> None:
    result = run("--quick", "--family", "dp-dense", "--family", "cp-dense", *SMALL, "--format", "json")
    assert result.exit_code == 0
    assert [row["points"] for row in json.loads(result.stdout)["summary"]] == [2, 2]


def test_exceeded_limits_are_exit_code_one() -> None:
    """A handful of products: what one seed draws is far from the mean."""
    result = run(*SMALL, "--density", "0.05", "--pe-grid", "16x16", "--vectors", "16x16", "--seeds", "1")
    assert result.exit_code == 1
    assert "further from the simulator than the limits allow: unstructured" in result.stderr
    assert "MISSED" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--pe-grid", "8y8"), "pairs like 4x4"),
        (("--vectors", "0x4"), "pairs like 4x4"),
        (("--layer", "conv3"), "give --network"),
        (("--density", "0.5", "--weight-density", "0.5"), "both densities"),
        (("--density", "1.5"), "at most 1"),
        (("--quick", "--points", "3"), "leave --quick out"),
        (("--family", "unstructed"), "did you mean"),
        (("--arch", "eyeriss"), "planar"),
        (("--density", "0"), "density"),
        (("--network", "alexnet", "--layer", "conv9"), "conv9"),
    ],
)
def test_bad_input_is_one_message(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
