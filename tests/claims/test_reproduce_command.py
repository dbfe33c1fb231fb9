"""`timeloop-py reproduce` as a user runs it: exit codes, output, files, and the same bytes on a second run."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from timeloop_py.claims.ledger import Measured, load_ledger
from timeloop_py.claims.scnn import system
from timeloop_py.cli.main import main

NAMED = ["id", "paper", "ours", "difference", "tolerance", "verdict", "kind"]
FIGURES = (
    *("fig1_density", "fig7_density", "fig8_speedup", "fig9_utilization", "fig10_energy"),
    *("section6c_granularity", "section6d_penalty", "sensitivity", "density_plane", "design_space"),
)
#: Tables of the paper, and numbers behind its figures, that stand in LaTeX too.
PRINTED = (
    *("table1_networks", "table2_parameters", "table3_area", "table4_configurations"),
    *("fig7_density", "fig8_speedup", "fig10_energy", "section4_banks", "section6c_granularity", "section6d_penalty"),
)
TABLES = (
    *PRINTED,
    *("fig1_density", "fig9_utilization", "sensitivity", "design_space", "design_space_front"),
    *("density_plane_dcnn", "density_plane_dcnn_opt", "density_frontier_energy_dcnn_opt", "section6d_onsets"),
)


def invoke(*arguments: str):
    return CliRunner().invoke(main, ["reproduce", *arguments])


WHOLE = ("--format", "csv", "-o", "out")


@pytest.fixture
def evaluated(scnn, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command reproduces in this process are the runs that the tests of this folder share."""
    monkeypatch.setattr(system, "load", lambda: scnn)


@pytest.mark.usefixtures("evaluated")
def test_the_whole_command_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything it writes and prints, in a process of its own; and the same bytes from runs evaluated before."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first").mkdir()
    with started(tmp_path / "first") as first:
        second = invoke(*WHOLE)
        printed, messages = first.communicate()
    assert first.returncode == second.exit_code == 0, messages
    check_ledger(printed, messages)
    folders = [tmp_path / "first" / "out", tmp_path / "out"]
    check_files({path.name for path in folders[0].iterdir()})
    for path in folders[0].glob("*.tex"):
        check_latex(path.read_text(encoding="utf-8"))
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert contents[0].keys() == contents[1].keys()
    assert [name for name, content in contents[0].items() if content != contents[1][name]] == []
    assert (printed, messages) == (second.stdout, second.stderr)


def started(folder: Path) -> subprocess.Popen[str]:
    """The whole command as it runs in a folder of its own, with another seed of the hashes than this process."""
    script = Path(sys.executable).parent / "timeloop-py"
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [script, "reproduce", *WHOLE], cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment
    )


def check_ledger(printed: str, messages: str) -> None:
    claims = load_ledger("scnn")
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["id"] for row in rows] == [claim.id for claim in claims]
    assert list(rows[0])[: len(NAMED)] == NAMED
    judged = [row for row in rows if row["verdict"] != "report"]
    assert len(judged) == 36
    assert sum(row["verdict"] == "pass" for row in judged) >= 33
    assert {row["kind"] for row in rows} == {"predicted", "fitted"}
    assert sorted(row["id"] for row in rows if row["kind"] == "fitted") == ["F10-opt", "F10-scnn", "F7b-crossover-dcnn"]
    assert {row["id"] for row in rows if row["uncalibrated"]} == {
        claim.id for claim in claims if claim.topic == "energy"
    }
    assert "predicted and 3 of 3 fitted claims within tolerance" in messages
    assert "within tolerance" not in printed


def check_files(names: set[str]) -> None:
    assert {f"{name}.csv" for name in TABLES} <= names
    assert {f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png")} <= names
    assert {f"{name}.tex" for name in PRINTED} <= names
    assert {"ledger.csv", "ledger.json", "ledger.tex", "provenance.json"} <= names


def check_latex(text: str) -> None:
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert r"\toprule" in text


# -- parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("evaluated")
def test_one_exhibit_and_its_claims(tmp_path) -> None:
    result = invoke("--only", "fig7a", "-o", str(tmp_path), "--format", "json", "--no-plots")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert {row["id"] for row in rows} == {claim.id for claim in load_ledger("scnn") if claim.id.startswith("F7")}
    assert list(rows[0])[: len(NAMED)] == NAMED
    assert rows[0]["ours"] == pytest.approx(rows[0]["paper"] * (1 + rows[0]["difference"]))
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".json", ".tex"}


def test_a_table_for_people(tmp_path) -> None:
    result = invoke("--only", "table3", "-o", str(tmp_path))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[: len(NAMED)] == NAMED
    assert any(line.startswith("T3-pe-area") and " pass " in line for line in lines)
    assert any(line.startswith("T3-pe-area: ") for line in lines)


def test_another_system_its_long_rows_and_the_causes_of_its_misses(tmp_path) -> None:
    result = invoke("--system", "eie", "--no-plots", "-o", str(tmp_path))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    theory = next(line for line in lines if line.startswith("theory "))
    assert "9 numbers" in theory
    assert "-18.4% to +6.2%" in theory
    assert any(line.startswith("power-parts: the clock network has no event") for line in lines)
    text = (tmp_path / "ledger.csv").read_text(encoding="utf-8")
    written = {row["id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert written["theory"]["paper"].count("/") == 8
    assert "the clock network has no area" in written["area-parts"]["note"]


def test_a_missed_claim_is_exit_code_1(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(system.MEASURES, "T2-peak", lambda runs: Measured(3.0, "half the multipliers are missing"))
    result = invoke("--only", "table2", "-o", str(tmp_path), "--format", "csv")
    assert result.exit_code == 1
    row = next(csv.DictReader(io.StringIO(result.stdout)))
    assert (row["verdict"], row["ours"], row["note"]) == ("miss", "3", "half the multipliers are missing")
    assert (tmp_path / "ledger.csv").is_file()


def test_misses_are_explained_first(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(system.MEASURES, "T3-multiplier-share", lambda runs: Measured(0.5, "too many"))
    result = invoke("--only", "table3", "-o", str(tmp_path))
    notes = result.stdout.split("\n\n")[1].splitlines()
    assert notes[0] == "T3-multiplier-share: too many"


def test_calibrate_writes_the_table_it_is_told(tmp_path) -> None:
    table = tmp_path / "mine.yaml"
    arguments = ("--calibrate", "--table", str(table), "--only", "table4", "-o", str(tmp_path / "out"))
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "multiplier.multiply" in result.stderr
    assert table.read_text(encoding="utf-8").startswith("# literature_16nm with the numbers")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--only", "fig6"], "--only"),
        (["--system", "scn"], "--system"),
        (["--table", "x.yaml"], "--table"),
    ],
)
def test_bad_input_is_exit_code_2_with_the_option(arguments, field) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert field in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_written_is_exit_code_2(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = invoke("--only", "table4", "-o", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "cannot write the results here" in result.stderr
