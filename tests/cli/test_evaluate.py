"""``timeloop-py evaluate`` as a user runs it: layers and networks, and cases."""

import json
from pathlib import Path

import pytest

from tests.cli.command import case_path, from_csv, from_json, rows_of, run, run_process
from timeloop_py import evaluate, load_architecture, load_case, load_network, parse_shape
from timeloop_py.model.evaluate_case import evaluate_case

SHAPE = "K=16,C=16,P=14,Q=14,R=3,S=3,pad=1"
COLUMNS = [
    "architecture",
    "network",
    "layer",
    "dataflow",
    "weight_density",
    "activation_density",
    "cycles",
    "compute_cycles",
    "macs",
    "multiplies",
    "gated_multiplies",
    "useful_multiplies",
    "utilization",
    "binding",
    "energy_pj",
    "area_mm2",
    "edp_pj_cycles",
]


# ---- layers and networks ----


def test_one_layer_is_an_object_with_its_accesses() -> None:
    found = from_json("evaluate", "--arch", "scnn", "--shape", SHAPE, "--density", "0.5")
    expected = evaluate(load_architecture("scnn"), parse_shape(SHAPE), weight_density=0.5, activation_density=0.5)
    assert list(found)[: len(COLUMNS)] == COLUMNS
    assert found["cycles"] == pytest.approx(expected.cycles)
    assert found["energy_pj"] == pytest.approx(expected.energy_pj)
    assert (found["architecture"], found["dataflow"]) == ("scnn", "pt_is_cp_sparse")
    assert set(found["accesses"][0]) == {"level", "tensor", "action", "count", "energy_pj"}
    assert sum(row["energy_pj"] for row in found["accesses"]) == pytest.approx(found["energy_pj"])


def test_what_is_not_known_is_null() -> None:
    """The oracle skips zeros: a dense machine has none."""
    dense, sparse = from_json("evaluate", "--arch", "dcnn", "--arch", "scnn", "--shape", SHAPE)
    assert dense["oracle_cycles"] is None
    assert sparse["oracle_cycles"] > 0
    empty, _ = from_csv("evaluate", "--arch", "dcnn", "--arch", "scnn", "--shape", SHAPE)
    assert empty["oracle_cycles"] == ""


def test_a_network_is_a_list_in_the_order_of_its_layers() -> None:
    objects = from_json("evaluate", "--arch", "scnn", "--network", "alexnet")
    assert [one["layer"] for one in objects] == [layer.name for layer in load_network("alexnet").layers]
    rows = from_csv("evaluate", "--arch", "scnn", "--network", "alexnet")
    assert list(rows[0])[: len(COLUMNS)] == COLUMNS
    for one, row in zip(objects, rows, strict=True):
        assert one["cycles"] == float(row["cycles"])
        assert one["energy_pj"] == float(row["energy_pj"])


def test_accesses_as_csv_add_up_to_the_energy() -> None:
    rows = from_csv("evaluate", "--arch", "dcnn", "--network", "alexnet")
    events = from_csv("evaluate", "--arch", "dcnn", "--network", "alexnet", "--accesses")
    assert list(events[0])[-5:] == ["level", "tensor", "action", "count", "energy_pj"]
    by_layer = {row["layer"]: float(row["energy_pj"]) for row in rows}
    for layer, energy in by_layer.items():
        parts = [float(event["energy_pj"]) for event in events if event["layer"] == layer]
        assert sum(parts) == pytest.approx(energy, rel=1e-9)


def test_designs_networks_layers_and_densities_multiply() -> None:
    rows = from_csv(
        *("evaluate", "--arch", "scnn", "--arch", "dcnn", "--network", "alexnet", "--network", "vgg16"),
        *("--density", "0.5:1.0:0.5"),
    )
    layers = len(load_network("alexnet").layers) + len(load_network("vgg16").layers)
    assert len(rows) == 2 * layers * 2
    assert {(row["weight_density"], row["activation_density"]) for row in rows} == {("0.5", "0.5"), ("1", "1")}


def test_a_density_that_is_left_out_is_the_layers_own() -> None:
    own = from_csv("evaluate", "--arch", "scnn", "--network", "alexnet")
    swept = from_csv("evaluate", "--arch", "scnn", "--network", "alexnet", "--weight-density", "0.25")
    assert {row["weight_density"] for row in swept} == {"0.25"}
    assert [row["activation_density"] for row in swept] == [row["activation_density"] for row in own]


def test_a_density_that_stands_twice_counts_once() -> None:
    assert isinstance(from_json("evaluate", "--shape", SHAPE, "--density", "0.5,0.5"), dict)


def test_one_layer_of_a_network_by_the_end_of_its_name() -> None:
    found = from_json("evaluate", "--network", "googlenet", "--layer", "7x7_s2")
    assert found["layer"] == "conv1/7x7_s2"


def test_settings_sweep_and_name_what_varies() -> None:
    found = from_json("evaluate", "--shape", SHAPE, "--density", "0.4", "--set", "scnn.dataflow.barrier=none,per_group")
    assert [one["architecture"] for one in found] == ["scnn[barrier=none]", "scnn[barrier=per_group]"]
    assert found[0]["cycles"] < found[1]["cycles"]


def test_a_dataflow_of_another_architecture() -> None:
    dense = from_json("evaluate", "--shape", SHAPE, "--density", "0.3", "--dataflow", "PT-IS-CP-dense")
    full = from_json("evaluate", "--shape", SHAPE, "--density", "1.0")
    assert dense["dataflow"] == "pt_is_cp_dense"
    assert dense["cycles"] == full["cycles"], "at density 1 the sparse dataflow takes the cycles of the dense one"


def test_dataflows_without_their_components_are_left_out_with_a_message() -> None:
    result = run("evaluate", "--arch", "dcnn", "--shape", SHAPE, "--dataflow", "all", "--format", "csv")
    assert {row["dataflow"] for row in rows_of(result.stdout)} == {"pt_is_dp_dense"}
    assert "dcnn[dataflow=pt_is_cp_sparse] is left out" in result.stderr
    assert "'crossbar'" in result.stderr


def test_the_table_has_units_and_ends_with_the_totals() -> None:
    result = run("evaluate", "--arch", "scnn", "--network", "alexnet")
    lines = result.stdout.splitlines()
    heads = lines[2]
    assert "energy [pJ]" in heads
    assert "EDP [pJ cycles]" in heads
    assert "mm2" in lines[0]
    total = lines[-1].split()
    cycles = [float(row["cycles"]) for row in from_csv("evaluate", "--arch", "scnn", "--network", "alexnet")]
    assert total[0] == "total"
    assert float(total[3]) == pytest.approx(sum(cycles), rel=1e-5)
    assert len({len(line) for line in lines[2:] if line.startswith("-")}) == 1


def test_the_table_of_accesses_sums_over_the_layers() -> None:
    result = run("evaluate", "--arch", "scnn", "--network", "alexnet", "--density", "0.5,1.0", "--accesses")
    assert "at densities 0.5 / 0.5" in result.stdout
    block = result.stdout.split("at densities 1 / 1\n")[1].splitlines()
    assert block[0].split() == ["level", "tensor", "action", "events", "energy", "[pJ]"]
    events = from_csv("evaluate", "--arch", "scnn", "--network", "alexnet", "--density", "1.0", "--accesses")
    for line in block[1:]:
        level, tensor, action, count, energy = line.split()
        chosen = [row for row in events if (row["level"], row["tensor"], row["action"]) == (level, tensor, action)]
        assert float(count) == pytest.approx(sum(float(row["count"]) for row in chosen), rel=1e-5)
        assert float(energy) == pytest.approx(sum(float(row["energy_pj"]) for row in chosen), rel=1e-5)


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nlayers:\n  - {name: a, K: 8, C: 4, W: 8, H: 8, R: 3, S: 3, weight_density: 0.5}\n")
    found = from_json("evaluate", "--network", path)
    assert (found["network"], found["layer"], found["weight_density"]) == ("mine", "a", 0.5)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_nothing_but_the_result_is_on_standard_output(form: str) -> None:
    process = run_process("evaluate", "--arch", "dcnn", "--shape", SHAPE, "--dataflow", "all", "--format", form)
    assert process.returncode == 0
    assert process.stderr
    if form == "json":
        json.loads(process.stdout)
    else:
        rows_of(process.stdout)


# ---- cases ----


def test_a_case_is_an_object_with_its_accesses() -> None:
    found = from_json("evaluate", case_path("d17"))
    expected = evaluate_case(load_case(case_path("d17")))
    assert (found["cycles"], found["energy_pj"]) == (expected.cycles, expected.energy_pj)
    names = {"cycles", "compute_cycles", "computes", "energy_pj", "energy_compute_pj", "energy_network_pj"}
    assert names <= set(found)
    columns = ["level", "tensor", "reads", "fills", "updates", "temporal_reductions", "capacity_words", "energy_pj"]
    assert list(found["accesses"][0]) == columns
    fills = {(row["level"], row["tensor"]): row["fills"] for row in found["accesses"]}
    assert fills["Buf", "Inputs"] == 144


def test_several_cases_are_a_list() -> None:
    found = from_json("evaluate", case_path("d01"), case_path("s02"))
    assert [one["cycles"] for one in found] == [48, evaluate_case(load_case(case_path("s02"))).cycles]
    assert "actual_reads" not in found[0]["accesses"][0]
    assert "actual_reads" in found[1]["accesses"][0]


def test_options_of_a_case_by_their_names() -> None:
    physical = from_json("evaluate", case_path("s02"), "--set", "convention=physical")
    default = from_json("evaluate", case_path("s02"))
    both = from_json("evaluate", case_path("s02"), "--set", "options.convention=sparseloop,physical")
    assert [one["cycles"] for one in both] == [default["cycles"], physical["cycles"]]
    elided = from_json("evaluate", case_path("d01"), "--set", "elide_first_read=false")
    reads = {row["tensor"]: row["reads"] for row in elided["accesses"]}
    assert reads["Outputs"] == 48


def test_any_field_of_a_case() -> None:
    dear = from_json("evaluate", case_path("d01"), "--set", "architecture.DRAM.energy.read=400")
    cheap = from_json("evaluate", case_path("d01"))
    assert dear["energy_pj"] - cheap["energy_pj"] == 200 * (48 + 48 + 32)


def test_a_printed_mapping_can_be_fed_back(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(run("show", "mapping", case_path("d13")).stdout)
    again = from_json("evaluate", case_path("d13"), "--mapping", mapping)
    assert again == from_json("evaluate", case_path("d13"))


def test_another_mapping_of_the_same_case(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    stores = "".join(f"- {{store: [DRAM, {tensor}]}}\n" for tensor in ("Weights", "Inputs", "Outputs"))
    mapping.write_text(f"{stores}- {{loop: [P, 16]}}\n- {{store: [Buf, Inputs]}}\n- {{loop: [R, 3]}}\n")
    found = from_json("evaluate", case_path("d02"), "--mapping", mapping)
    fills = {(row["level"], row["tensor"]): row["fills"] for row in found["accesses"]}
    assert fills["Buf", "Inputs"] == 18
    assert ("Buf", "Weights") not in fills


def test_a_case_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(Path(case_path("d04")).read_text())  # JSON is YAML
    assert from_json("evaluate", path)["cycles"] == from_json("evaluate", case_path("d04"))["cycles"]


# ---- layers that an accelerator is not made for ----


def test_a_layer_that_does_not_apply_is_an_object_with_its_reason() -> None:
    conv, fc = (
        from_json("evaluate", "--arch", "eie", "--network", "alexnet:all", "--layer", name) for name in ("conv1", "fc8")
    )
    assert conv["cycles"] is None
    assert conv["accesses"] == []
    assert "fully connected" in conv["note"]
    assert fc["cycles"] > 0
    assert sum(row["energy_pj"] for row in fc["accesses"]) == pytest.approx(fc["energy_pj"])


def test_the_table_says_why_layers_have_no_result() -> None:
    text = run("evaluate", "--arch", "eie", "--network", "alexnet:all", "--accesses").stdout
    assert "conv1, conv2, conv3, conv4, conv5: made for" in text
    nothing = run("evaluate", "--arch", "eie", "--network", "alexnet", "--accesses").stdout
    assert "no layer applies" in nothing
