import hashlib
import io
import json
import math
import os
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.report.conftest import result_frame
from timeloop_py.report.bundle import check_writable, csv_bytes, provenance, write_bundle
from timeloop_py.report.density_plots import density_sensitivity
from timeloop_py.report.energy_plots import energy_breakdown
from timeloop_py.report.layer_plots import speedup_by_layer, utilization_by_layer
from timeloop_py.specs.errors import SpecError

ORIGIN = provenance(["timeloop-py", "explore", "-o", "results"], {"scnn": "sha256:00"}, {"seed": 0})
TABLE = pd.DataFrame({"layer": ["conv1"], "cycles": [12.5], "energy_pj": [0.1 + 0.2]})


def write(folder: Path, table: pd.DataFrame = TABLE) -> tuple[Path, ...]:
    figure = Figure(figsize=(1, 1))
    return write_bundle(
        folder, tables={"results": table}, figures={"plot": figure}, texts={"table.tex": "x\n"}, origin=ORIGIN
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_holds_what_was_given_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "results"
    paths = write(folder)
    assert [path.name for path in paths] == ["results.csv", "plot.pdf", "plot.png", "table.tex", "provenance.json"]
    assert set(folder.iterdir()) == set(paths)
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_tables_read_back(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / "results.csv").read_text()
    assert text == "layer,cycles,energy_pj\nconv1,12.5,0.3\n"
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(text)), TABLE)


def test_rows_are_written_as_a_frame_of_them() -> None:
    rows = [
        {"layer": 'conv1, "first"', "cycles": 1 / 3, "proven": True, "covered": 2**62, "mapping": '{"a": 1}'},
        {"layer": "conv2", "cycles": None, "proven": False, "covered": 1, "mapping": ""},
        {"layer": "é", "cycles": math.nan, "proven": True, "covered": 2, "mapping": "two\nlines"},
        {"layer": "", "cycles": 1e22, "proven": True, "covered": 3, "mapping": "x"},
    ]
    assert csv_bytes(rows) == csv_bytes(pd.DataFrame(rows))


def test_csv_numbers_are_exact_enough_and_plain() -> None:
    frame = pd.DataFrame({"a": [1 / 3, 1e12 + 1, math.nan, 123456789012345.0], "n": [2**62, 1, 2, 3]})
    lines = csv_bytes(frame).decode().splitlines()
    assert lines == [
        "a,n",
        "0.333333333333333,4611686018427387904",
        "1000000000001,1",
        ",2",
        "123456789012345,3",
    ]


def test_provenance_names_versions_command_specs_and_files(tmp_path: Path) -> None:
    write(tmp_path)
    origin = json.loads((tmp_path / "provenance.json").read_text())
    assert origin["command"] == ["timeloop-py", "explore", "-o", "results"]
    assert origin["specs"] == {"scnn": "sha256:00"}
    assert origin["settings"] == {"seed": 0}
    assert {"python", "numpy", "timeloop-py", "matplotlib"} <= set(origin["versions"])
    del origin["files"]["table.tex"]
    for name, digest in origin["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert set(origin["files"]) == {"results.csv", "plot.pdf", "plot.png"}


def test_a_second_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for run in ("first", "second"):
        sweep = result_frame(["scnn", "dcnn", "dcnn_opt"], ["alexnet"], [(1.0, 1.0), (0.5, 0.5), (0.1, 0.1)])
        layers = result_frame(["dcnn", "scnn"], ["alexnet"], None)
        figures = {
            "density": density_sensitivity(sweep, baseline="dcnn"),
            "energy": energy_breakdown(sweep.assign(level=sweep["layer"])),
            "speedup": speedup_by_layer(layers),
            "utilization": utilization_by_layer(layers, design="scnn"),
        }
        write_bundle(tmp_path / run, tables={"results": sweep}, figures=figures, origin=ORIGIN)
    first, second = contents(tmp_path / "first"), contents(tmp_path / "second")
    assert len(first) == 10
    assert first == second


def test_an_earlier_result_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path, TABLE.assign(cycles=1.0))
    assert (tmp_path / "results.csv").read_text() == "layer,cycles,energy_pj\nconv1,1,0.3\n"
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("broken_write", range(1, 6))
def test_a_failure_halfway_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_write: int
) -> None:
    write(tmp_path)
    before = contents(tmp_path)
    calls = 0
    write_bytes = Path.write_bytes

    def full_disk(path: Path, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == broken_write:
            write_bytes(path, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(SpecError, match="No space left on device"):
        write(tmp_path, TABLE.assign(cycles=1.0))
    assert contents(tmp_path) == before


def test_an_interrupt_between_renames_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        if target.name == "plot.png":
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, TABLE.assign(cycles=1.0))
    names = set(contents(tmp_path))
    assert names == {"results.csv", "plot.pdf", "plot.png", "table.tex"}  # no provenance: the folder is not whole


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(SpecError, match=r"taken.*: cannot write the results here: .*; choose another folder"):
            write(folder)
        with pytest.raises(SpecError, match="cannot write the results here"):
            check_writable(folder)


def test_a_folder_where_a_file_should_be_is_refused_before_anything_changes(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "table.tex").unlink()
    (tmp_path / "table.tex").mkdir()
    results = (tmp_path / "results.csv").read_bytes()
    with pytest.raises(SpecError, match=r"table\.tex is a folder"):
        write(tmp_path, TABLE.assign(cycles=1.0))
    assert (tmp_path / "results.csv").read_bytes() == results
    assert (tmp_path / "provenance.json").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SpecError, match="Permission denied"):
        write(tmp_path)
    with pytest.raises(SpecError, match="Permission denied"):
        check_writable(tmp_path)


def test_a_refused_folder_is_refused_for_root_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, data: bytes) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", denied)
    with pytest.raises(SpecError) as caught:
        write(tmp_path / "results")
    assert caught.value.path == str(tmp_path / "results")
    assert "Permission denied" in caught.value.message


def test_check_writable_creates_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    folder = check_writable(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
