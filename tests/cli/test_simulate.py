"""``timeloop-py simulate`` as a user runs it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from timeloop_py import load_architecture, parse_shape, simulate
from timeloop_py.cli import simulate as module
from timeloop_py.cli.main import main

SHAPE = "K=16,C=8,P=14,Q=14,R=3,S=3,pad=1"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *arguments])


def records(*arguments: str) -> Any:
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_json_is_what_the_python_face_gives() -> None:
    record = records("--shape", SHAPE, "--density", "0.3", "--seed", "5")
    layer = parse_shape(SHAPE).with_densities(0.3, 0.3)
    expected = simulate(load_architecture("scnn"), layer, seed=5).to_dict()
    assert {key: record[key] for key in expected} == expected
    assert record["max_abs_error"] == 0
    assert "useful" not in record["lost_slots"]
    assert sum(record["lost_slots"].values()) + record["useful_share"] == pytest.approx(1)
    assert (record["architecture"], record["dataflow"], record["seed"]) == ("scnn", "pt_is_cp_sparse", 5)


def test_csv_has_a_row_per_architecture_density_and_seed() -> None:
    arguments = ("--shape", SHAPE, "--arch", "scnn", "--arch", "dcnn", "--density", "0.2,0.8", "--seeds", "2")
    result = run(*arguments, "--format", "csv")
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 8
    assert {(row["architecture"], row["weight_density"], row["seed"]) for row in rows} == {
        (name, density, seed) for name in ("scnn", "dcnn") for density in ("0.2", "0.8") for seed in ("0", "1")
    }
    dense = {row["cycles"] for row in rows if row["architecture"] == "dcnn"}
    assert len(dense) == 1, "a dense machine does not see the zeros"


def test_table_shows_one_line_per_run() -> None:
    result = run("--shape", SHAPE)
    assert result.exit_code == 0
    header, line = result.stdout.splitlines()
    assert len(header.split()) == len(line.split())
    assert "max_abs_error" in header


def test_the_recorded_runs_can_be_repeated() -> None:
    """First row of googlenet_IC3a_1x1 in tests/data/scnn_cases.csv."""
    record = records(
        *("--shape", "K=64,C=192,P=28,Q=28", "--density", "0.1", "--seed", "1", "--generator", "mt19937-64"),
        *("--set", "scnn.dataflow.tiling=padded_ceil", "--set", "scnn.dataflow.bank_contention=none"),
    )
    assert (record["cycles"], record["nonzero_products"], record["steps"]) == (798, 99160, 35672)


def test_settings_reach_the_machine() -> None:
    cycles = [
        records("--shape", "K=32,C=16,P=28,Q=28", "--density", "0.3", "--set", f"dataflow.barrier={barrier}")["cycles"]
        for barrier in ("none", "per_group", "per_channel")
    ]
    assert cycles == sorted(cycles)
    assert cycles[0] < cycles[1] < cycles[2]


def test_tensors_from_files(tmp_path: Path) -> None:
    weights, activations = np.ones((16, 8, 3, 3)), np.ones((8, 14, 14))
    np.save(tmp_path / "w.npy", weights)
    np.save(tmp_path / "a.npy", activations)
    files = ("--weights", str(tmp_path / "w.npy"), "--activations", str(tmp_path / "a.npy"))
    record = records("--shape", SHAPE, "--density", "0.3", *files)
    assert record["nonzero_weights"] == weights.size
    assert record["nonzero_activations"] == activations.size
    assert record["cycles"] == records("--shape", SHAPE, "--density", "1.0")["cycles"]


def test_counting_alone_says_that_it_did_not_check() -> None:
    record = records("--shape", SHAPE, "--density", "0.3", "--no-verify")
    assert record["max_abs_error"] is None
    assert record["cycles"] == records("--shape", SHAPE, "--density", "0.3")["cycles"]


def test_placeholders_of_the_index() -> None:
    wide = "K=16,C=8,P=64,Q=64,R=3,S=3,pad=1"
    free = records("--shape", wide, "--density", "0.03")
    limited = records("--shape", wide, "--density", "0.03", "--placeholders")
    assert free["lost_slots"]["placeholders"] == 0 < limited["lost_slots"]["placeholders"]
    stated = records("--shape", wide, "--density", "0.03", "--set", "dataflow.placeholders=true")
    assert stated["lost_slots"] == limited["lost_slots"]


def test_a_wrong_convolution_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timeloop_py.simulator.simulate.reference_convolution", lambda *_: np.ones((1, 16, 14, 14)))
    result = run("--shape", SHAPE)
    assert result.exit_code == module.DISAGREES == 1
    assert "differs" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["--network", "missing"]),
        (("--network", "alexnot"), ["alexnot", "alexnet"]),
        (("--network", "alexnet", "--layer", "conv9"), ["conv9"]),
        (("--shape", "K=16,C=8,P=14,Q=14,R=3,S=3,pda=1"), ["pda", "pad"]),
        (("--shape", SHAPE, "--density", "1.5"), ["density"]),
        (("--shape", SHAPE, "--arch", "scn"), ["scnn"]),
        (("--shape", SHAPE, "--weights", "none.npy"), ["none.npy", "not found"]),
        (("--network", "alexnet", "--weights", "none.npy"), ["--layer"]),
        (("--shape", SHAPE, "--set", "scnn.dataflow.barrier=never"), ["dataflow.barrier", "per_group"]),
        (("--shape", SHAPE, "--set", "scnn.dataflow.block_overhead_cycles=0.5"), ["whole number"]),
        (("--shape", "K=4,C=4,P=9,Q=9,R=9,S=9,pad=4", "--set", "scnn.parameters.accumulator_entries=1"), ["81 sums"]),
        (("--shape", SHAPE, "--seed", "-1"), ["--seed"]),
        (("--shape", SHAPE, "--format", "xml"), ["--format"]),
    ],
)
def test_bad_input_is_exit_code_2_with_a_message(arguments: tuple[str, ...], words: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.output
