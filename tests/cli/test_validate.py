"""``timeloop-py validate`` as a user runs it."""

import json
from pathlib import Path

import pytest

from tests.cli.command import CASES, case_path, files_below, from_json, rows_of, run
from timeloop_py.specs.dataflow import dataflow_names
from timeloop_py.specs.library import folder, names

SHIPPED = {
    "architecture": ("arch_specs", names("arch_specs")),
    "network": ("workloads", names("workloads")),
    "table": ("energy_tables", names("energy_tables")),
}
NETWORK = "name: net\nlayers:\n  - {name: conv1, K: 4, C: 4, W: 8, H: 8, R: 3, S: 3}\n"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, (_, known) in SHIPPED.items() for name in known])
def test_every_shipped_spec_is_valid(kind: str, name: str) -> None:
    path = folder(SHIPPED[kind][0]) / f"{name}.yaml"  # type: ignore[arg-type]
    report = from_json("validate", path)
    assert report["ok"]
    assert report["kind"].endswith(kind)


def test_every_dataflow_and_case_is_valid() -> None:
    cases = sorted(CASES.glob("*/case.json"))
    reports = from_json("validate", *dataflow_names(), *cases)
    assert [report["kind"] for report in reports] == ["dataflow"] * len(dataflow_names()) + ["case"] * len(cases)


def test_names_and_paths_in_the_order_given() -> None:
    lines = run("validate", "googlenet", case_path("d01"), "scnn", "pt-is-cp-sparse", "area_tsmc16").stdout.splitlines()
    assert [tuple(line.split("  ")) for line in lines] == [
        ("ok", "network", "googlenet"),
        ("ok", "case", case_path("d01")),
        ("ok", "architecture", "scnn"),
        ("ok", "dataflow", "pt-is-cp-sparse"),
        ("ok", "area table", "area_tsmc16"),
    ]


def test_every_file_is_checked_and_each_names_its_first_error(tmp_path: Path) -> None:
    good, misspelt, negative = (tmp_path / name for name in ("good.yaml", "misspelt.yaml", "negative.yaml"))
    good.write_text(NETWORK)
    misspelt.write_text(NETWORK.replace("H: 8", "H: 8, padd: 1"))
    negative.write_text(NETWORK.replace("K: 4", "K: -4, groupz: 2"))
    result = run("validate", misspelt, good, negative, code=2)
    assert result.stdout == f"ok  network  {good}\n"
    first, second = result.stderr.splitlines()
    assert first.endswith(f"{misspelt}:3: layers[0].padd: unknown key 'padd' (did you mean 'padding'?)")
    assert f"{negative}:3: layers[0].K: expected at least 1" in second


def test_as_json_an_error_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(NETWORK.replace("C: 4", "C: 4.5"))
    result = run("validate", path, "scnn", "--format", "json", code=2)
    bad, good = json.loads(result.stdout)
    assert (bad["ok"], bad["kind"]) == (False, "network")
    assert (bad["error"]["path"], bad["error"]["line"], bad["error"]["field"]) == (str(path), 3, "layers[0].C")
    assert good == {"spec": "scnn", "kind": "architecture", "ok": True, "error": None}


def test_as_csv_there_is_a_row_per_file(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(NETWORK.replace("C: 4", "C: 0"))
    rows = rows_of(run("validate", path, "scnn", "--format", "csv", code=2).stdout)
    assert [(row["kind"], row["ok"]) for row in rows] == [("network", "False"), ("architecture", "True")]
    assert "layers[0].C" in rows[0]["error"]


def test_a_mapping_needs_its_case(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(run("show", "mapping", case_path("d13")).stdout)
    assert run("validate", mapping, "--case", case_path("d13")).stdout == f"ok  mapping  {mapping}\n"
    assert "--case" in run("validate", mapping, code=2).stderr
    assert "unknown tensor" in run("validate", mapping, "--case", case_path("d01"), code=2).stderr


def test_a_mapping_is_checked_against_arrays_and_capacities(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    text = run("show", "mapping", case_path("d13")).stdout
    mapping.write_text(text.replace('spatial_x: ["N", 4]', 'spatial_x: ["N", 8]'))
    message = run("validate", mapping, "--case", case_path("d13"), code=2).stderr
    assert "8 columns" in message
    assert f"{mapping}:" in message
    small = run("evaluate", case_path("d13"), "--set", "architecture.GLB.capacity_words=10", code=2).stderr
    assert "'GLB' exceed it by" in small


def test_a_case_lacks_an_energy(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(Path(case_path("d01")).read_text().replace('"read": 200.0, ', ""))
    assert "no energy for 'read'" in run("validate", path, code=2).stderr


def test_kinds_are_told_in_spite_of_a_misspelt_key(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(Path(case_path("d01")).read_text().replace('"problem"', '"problm"'))
    report = from_json_with_errors(path)
    assert report["kind"] == "case"
    assert report["error"]["field"] == "problem"
    assert "'problm'" in report["error"]["message"]


def from_json_with_errors(path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(run("validate", path, "--format", "json", code=2).stdout)
    return found


def test_a_file_of_no_known_kind(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("name: x\nlayer: []\n")
    assert "'layer' (did you mean 'layers'?)" in run("validate", path, code=2).stderr


def test_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NETWORK)
    before = files_below(tmp_path)
    run("validate", tmp_path / "net.yaml")
    assert files_below(tmp_path) == before
