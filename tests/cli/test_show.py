"""``timeloop-py show`` as a user runs it."""

import json
import re

import pytest
import sympy

from tests.cli.command import case_path, from_csv, from_json, rows_of, run
from timeloop_py import load_architecture, load_case, load_network
from timeloop_py.model.area import area_mm2
from timeloop_py.model.evaluate_case import evaluate_case
from timeloop_py.specs.library import names
from timeloop_py.specs.tables import load_area_table, load_energy_table

SHAPE = "K=16,C=16,P=14,Q=14,R=3,S=3,pad=1"


# ---- specs ----


@pytest.mark.parametrize("name", ["scnn", "dcnn_opt", "eyeriss"])
def test_an_architecture(name: str) -> None:
    found = from_json("show", "arch", name.replace("_", "-"))
    architecture = load_architecture(name)
    assert found["name"] == name
    assert {part["name"] for part in found["components"]} == set(architecture.components)
    total = area_mm2(architecture, load_area_table(architecture.area_table or ""))
    assert found["area_mm2"] == pytest.approx(total)
    assert sum(part["area_mm2"] for part in found["components"]) == pytest.approx(total)
    table = run("show", "arch", name).stdout
    for part in architecture.components:
        assert re.search(rf"^{part} ", table, re.MULTILINE)
    assert [row["name"] for row in from_csv("show", "arch", name)] == list(architecture.components)


def test_an_architecture_with_a_setting() -> None:
    found = from_json("show", "arch", "scnn", "--set", "parameters.F=8")
    assert found["parameters"]["F"] == 8
    multipliers = next(part for part in found["components"] if part["name"] == "multiplier")
    assert multipliers["count"] == 64 * 8 * 4


def test_a_network() -> None:
    found = from_json("show", "network", "alexnet")
    network = load_network("alexnet")
    assert [layer["layer"] for layer in found["layers"]] == [layer.name for layer in network.layers]
    assert found["macs"] == sum(layer.macs for layer in network.layers) == 665784864
    rows = from_csv("show", "network", "alexnet")
    assert [int(row["weights"]) for row in rows] == [layer.weights for layer in network.layers]
    table = run("show", "network", "alexnet").stdout
    assert "665784864 MACs" in table
    assert "1x1" in table


def test_estimated_densities_are_marked() -> None:
    rows = from_csv("show", "network", "googlenet")
    estimates = {row["layer"] for row in rows if row["weight_density_estimate"] == "True"}
    assert "inception_4a/1x1" in estimates
    assert "inception_3a/1x1" not in estimates
    line = next(
        line for line in run("show", "network", "googlenet").stdout.splitlines() if line.startswith("inception_4a/1x1 ")
    )
    assert line.endswith("*")


@pytest.mark.parametrize("name", ["literature_16nm", "horowitz_45nm", "eyeriss_65nm"])
def test_every_energy_has_a_unit_a_range_and_a_source(name: str) -> None:
    table = load_energy_table(name)
    found = from_json("show", "energy", name)
    assert [entry["event"] for entry in found["entries"]] == list(table.entries)
    for entry in found["entries"]:
        assert entry["lowest_pj"] <= entry["value_pj"] <= entry["highest_pj"]
        assert entry["source"]
    text = run("show", "energy", name).stdout
    paragraphs = text.split("\n\n")[1:]
    for event, paragraph in zip(table.entries, paragraphs, strict=False):
        unit = "pJ" if table.energy_unit == "pJ" else "MAC"
        assert re.match(rf"{re.escape(event)}  \S+ {unit}.*plausible \S+ to \S+ {unit}\n", paragraph)
        assert re.search(r"^    (source:|a stated zero:)", paragraph, re.MULTILINE)
    rows = from_csv("show", "energy", name)
    assert [float(row["value_pj"]) for row in rows] == [entry["value_pj"] for entry in found["entries"]]


def test_areas_have_units_and_sources() -> None:
    found = from_json("show", "area", "area_tsmc16")
    assert all(entry["source"] for entry in found["entries"])
    text = run("show", "area", "area_tsmc16").stdout
    assert text.count("mm2") >= len(found["entries"])
    assert {row["component_class"] for row in from_csv("show", "area", "area_tsmc16")} == set(
        load_area_table("area_tsmc16").entries
    )


def test_an_area_says_its_range_and_what_was_published() -> None:
    (ram, _) = next(
        entry for entry in from_json("show", "area", "area_45nm")["entries"] if entry["component_class"] == "sram"
    )["terms"]
    assert ram["lowest_mm2"] < ram["value_mm2"] == ram["published_mm2"] < ram["highest_mm2"]
    assert ram["published_node_nm"] == 45
    text = run("show", "area", "area_45nm").stdout
    assert "published as 0.00635 mm2 at 40 nm" in text
    assert "plausible" not in run("show", "area", "area_tsmc16").stdout


@pytest.mark.parametrize("name", names("arch_specs"))
def test_every_shipped_architecture_can_be_shown(name: str) -> None:
    assert from_json("show", "arch", name)["name"] == name


@pytest.mark.parametrize("name", names("workloads"))
def test_every_shipped_network_can_be_shown(name: str) -> None:
    assert from_json("show", "network", name)["layers"]


# ---- nests ----


def bounds(text: str) -> dict[str, float]:
    """Bounds of the loops of printed pseudo-code."""
    found = re.findall(r"for (\w+) in \[0:~?([\d.]+)\)", text)
    return {variable: float(bound) for variable, bound in found}


def test_the_nest_of_a_layer_has_its_tile_sizes_filled_in() -> None:
    text = run("show", "nest", "scnn", "googlenet", "--layer", "inception_3a/3x3").stdout
    assert "Kc = 8: 16 groups" in text
    assert "4 (in 4 PEs), 3 (in 4 PEs)" in text
    found = bounds(text)
    assert (found["pe"], found["kg"], found["c"]) == (64, 16, 96)
    # Vectors times filled lanes are the non-zeros of a mean tile and of a block of weights.
    assert found["a"] * found["i"] == pytest.approx(28 * 28 / 64 * 0.67, rel=1e-3)
    assert found["b"] * found["f"] == pytest.approx(8 * 9 * 0.45, rel=1e-3)
    assert "# vectors of the tile's activations" in text
    depths = [len(line) - len(line.lstrip()) for line in text.splitlines() if "for " in line]
    assert depths == sorted(depths)


def test_without_zeros_all_bounds_are_whole() -> None:
    text = run("show", "nest", "scnn", "--shape", "K=8,C=4,W=32,H=32,R=3,S=3", "--density", "1").stdout
    found = bounds(text)
    assert all(bound == int(bound) for bound in found.values())
    assert found["a"] * found["i"] == 4 * 4
    assert found["b"] * found["f"] == 8 * 9


def test_a_dense_machine_runs_dot_products() -> None:
    text = run("show", "nest", "dcnn", "googlenet", "--layer", "inception_3a/3x3", "--density", "0.2").stdout
    assert bounds(text)["l"] == 16
    assert "store Inputs in operand_register" in text


def test_parities_of_a_stride_that_are_alike_are_printed_once() -> None:
    text = run("show", "nest", "scnn", "alexnet", "--layer", "conv1").stdout
    alike = [int(count) for count in re.findall(r"the first of (\d+) that differ", text)]
    nests = text.count("store Weights in weight_buffer")
    assert nests == 3
    assert sum(alike) + (nests - len(alike)) == 16


def test_groups_of_other_sizes_have_a_nest_of_their_own() -> None:
    text = run("show", "nest", "scnn", "--shape", "K=20,C=4,W=16,H=16,R=3,S=3,pad=1").stdout
    assert "2 groups of output channels and one of 4" in text
    assert text.count("store Weights in weight_buffer") == 2


def test_the_nest_of_a_case_has_its_counts_in_the_margin() -> None:
    text = run("show", "nest", case_path("d17")).stdout
    rows = {
        (match[2], match[1]): tuple(int(number.replace(",", "")) for number in match[3].split())
        for match in re.finditer(r"store (\w+) in (\w+) +([\d, ]+)$", text, re.MULTILINE)
    }
    expected = {
        (row.level, row.tensor): (row.capacity_words, row.fills, row.reads, row.updates)
        for row in evaluate_case(load_case(case_path("d17"))).rows
    }
    assert rows == expected
    assert "for p in [0:4)" in text


def test_the_nest_of_a_case_with_a_setting() -> None:
    text = run("show", "nest", case_path("d01"), "--set", "elide_first_read=false").stdout
    assert re.search(r"store Outputs in DRAM +16 +0 +48 +48", text)


# ---- formulas ----


def formula(text: str) -> str:
    """The first formula of a printed text."""
    return next(line.strip() for line in text.splitlines()[1:] if line.startswith("    "))


def test_the_formula_of_a_count_of_a_case() -> None:
    text = run("show", "formula", case_path("d02"), "--tensor", "Inputs", "--level", "Buf", "--action", "fills").stdout
    P, R = sympy.symbols("P R")
    assert sympy.simplify(sympy.parsing.sympy_parser.parse_expr(formula(text), {"P": P, "R": R}) - (P + R - 1)) == 0
    assert "P  loop over P" in text
    assert "here: 18" in text


def test_reads_are_the_default() -> None:
    arguments = ("show", "formula", case_path("d02"), "--tensor", "Weights", "--level", "Buf")
    assert run(*arguments).stdout == run(*arguments, "--action", "reads").stdout


def test_the_formula_of_a_count_of_a_dataflow() -> None:
    text = run("show", "formula", "scnn", "--tensor", "Inputs", "--level", "input_activation_ram").stdout
    assert set(formula(text).split("*")) == {"A", "C", "G", "I_a", "N_K", "N_PE", "T"}
    assert "A   = E[ceil(B(t, d_a)/I)]" in text
    for letter in ("A", "C", "G", "I_a", "N_K", "N_PE", "T", "d_a", "t"):
        assert re.search(rf"^{letter} +\w", text, re.MULTILINE)


def test_formulas_in_latex() -> None:
    arguments = ("show", "formula", "scnn", "--tensor", "Inputs", "--level", "input_activation_ram")
    first, *definitions = run(*arguments, "--format", "latex").stdout.splitlines()
    assert first == "A C G I_{a} N_{K} N_{PE} T"
    assert definitions[0] == r"A = \mathbb{E}\left[\left\lceil \frac{B(t, d_{a})}{I} \right\rceil\right]"
    case = run("show", "formula", case_path("d17"), "--term", "cycles", "--format", "latex").stdout
    assert case == "C K P Q R S\n"


@pytest.mark.parametrize("term", ["fragmentation", "barrier", "compute_cycles", "accumulator_drain", "drain", "cycles"])
@pytest.mark.parametrize("design", ["scnn", "dcnn"])
def test_terms_of_the_cycle_model(design: str, term: str) -> None:
    text = run("show", "formula", design, "--term", term).stdout
    assert text.startswith(f"{term}: ")
    assert "Expected" not in text


def test_a_term_follows_the_choices_of_the_architecture() -> None:
    default = run("show", "formula", "scnn", "--term", "barrier").stdout
    none = run("show", "formula", "scnn", "--term", "barrier", "--set", "dataflow.barrier=none").stdout
    assert "sum(C; X(W, V_W)*ceil(B(t_1, d_a)/I))" in default
    assert "sum(" not in none


def test_cycles_and_energy_of_a_case() -> None:
    assert "here: 64" in run("show", "formula", case_path("d21"), "--term", "cycles").stdout
    assert "here: 8630" in run("show", "formula", case_path("d02"), "--term", "energy_pj").stdout


# ---- mappings ----


def test_a_mapping_as_a_list() -> None:
    lines = run("show", "mapping", case_path("d02")).stdout.splitlines()
    assert lines[:3] == ["- {store: [DRAM, Weights]}", "- {store: [DRAM, Inputs]}", "- {store: [DRAM, Outputs]}"]
    assert "- {loop: [R, 3]}" in lines


def test_formats_agree() -> None:
    rows = rows_of(run("show", "network", "vgg16", "--format", "csv").stdout)
    layers = json.loads(run("show", "network", "vgg16", "--format", "json").stdout)["layers"]
    assert [row["layer"] for row in rows] == [layer["layer"] for layer in layers]


# ---- multiplier arrays ----


def test_the_nest_of_a_layer_on_an_array() -> None:
    text = run("show", "nest", "eyeriss", "alexnet", "--layer", "conv2").stdout
    assert re.search(r"parallel-for s in \[0:5\) on y", text)
    assert re.search(r"store Weights in weight_spad +\d", text)
    skipping = run("show", "nest", "eie", "--shape", "K=64,C=16").stdout
    assert "# below, only non-zeros of Inputs take time" in skipping


def test_a_count_on_an_array_needs_the_layer() -> None:
    place = ("show", "formula", "eyeriss", "--tensor", "Weights", "--level", "weight_spad")
    assert "here: " in run(*place, "--network", "alexnet", "--layer", "conv3").stdout
    assert "--network" in run(*place, code=2).stderr
    assert "--layer" in run(*place, "--network", "alexnet", code=2).stderr
    planar = ("show", "formula", "scnn", "--tensor", "Weights", "--level", "weight_buffer", "--shape", "K=4")
    assert "--shape" in run(*planar, code=2).stderr
    assert "not a planar-tiled one" in run("show", "formula", "eyeriss", "--term", "cycles", code=2).stderr
