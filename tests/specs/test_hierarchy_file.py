"""Hierarchies and counting options in files: what is read, the defaults, and every mistake with its place."""

import pytest

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.hierarchy import CountingOptions, Hierarchy
from timeloop_py.specs.hierarchy_file import parse_counting_options, parse_hierarchy

GOOD = """\
- name: DRAM
  kind: storage
  read_bandwidth: 0.5
  shared_bandwidth: 4
- name: GLB
  kind: storage
  capacity_words: 65536
  multiple_buffering: 2
  energy: {read: 6, gated_metadata_read: 0.5}
  network_fill_latency: 3
  energy_per_hop: 0.25
- name: PE
  kind: storage
  instances: 8
  mesh_x: 4
  capacity_words: {Weights: 32, Inputs: null}
  words_per_line: 2
  metadata_datawidth: 4
- name: MAC
  kind: compute
  instances: 16
  energy: {mac_random: 1, mac_gated: 0.1}
"""
TENSORS = ("Weights", "Inputs", "Outputs")


def parse(text: str) -> Hierarchy:
    return parse_hierarchy(parse_value(text, "chip.yaml"), TENSORS)


def test_a_hierarchy_is_what_stands_in_the_file() -> None:
    hierarchy = parse(GOOD)
    dram, glb, pe = hierarchy.levels
    assert (dram.instances, dram.capacity_words, dram.read_bandwidth, dram.shared_bandwidth) == (1, None, 0.5, 4.0)
    assert (dram.write_bandwidth, dram.tensors) == (None, None)
    assert (glb.usable_words, glb.energy_pj) == (32768, {"read": 6.0, "gated_metadata_read": 0.5})
    assert (glb.network_fill_latency, glb.network_drain_latency, glb.energy_per_hop_pj) == (3.0, 0.0, 0.25)
    assert (pe.capacity_words, pe.tensor_capacity_words) == (None, {"Weights": 32, "Inputs": None})
    assert pe.tensors == ("Weights", "Inputs")
    assert (pe.words_per_line, pe.word_bits, pe.metadata_datawidth) == (2, 16, 4)
    assert hierarchy.compute.energy_pj == {"mac_random": 1.0, "mac_gated": 0.1}


def test_without_mesh_x_the_fan_out_runs_along_x() -> None:
    hierarchy = parse(GOOD)
    assert [(level.columns, level.rows) for level in hierarchy.stages] == [(1, 1), (1, 1), (4, 2), (8, 2)]


def test_tensors_are_only_checked_where_they_are_known() -> None:
    text = "[{name: Buf, kind: storage, tensors: [Anything]}, {name: MAC, kind: compute}]"
    assert parse_hierarchy(parse_value(text, "chip.yaml")).levels[0].tensors == ("Anything",)


def test_counting_options() -> None:
    assert parse_counting_options(None) == CountingOptions()
    assert parse_counting_options(None, "sparseloop").convention == "sparseloop"
    text = (
        "{elide_first_read: false, charge_drain_read: true, parent_accumulates: false, refill: one_copy, "
        "halo_reuse: none, link_transfer: true, share_halos: true, padded_cycles: true, convention: sparseloop}"
    )
    options = parse_counting_options(parse_value(text, "x").section())
    assert options == CountingOptions(False, True, False, "one_copy", "none", True, True, True, "sparseloop")


BAD = [
    # (what stands there, what is written instead, line, field, part of the message)
    ("name: DRAM", "name: GLB", 5, "[1].name", "two levels are called 'GLB'"),
    ("name: DRAM", "name: ' '", 1, "[0].name", "found empty text"),
    ("name: MAC\n  kind: compute", "name: MAC\n  kind: storage", 22, "[3].energy.mac_random", "unknown key"),
    ("name: MAC\n  kind: compute", "name: MAC\n  kind: computer", 20, "[3].kind", "did you mean 'compute'"),
    ("name: MAC\n  kind: compute", "name: MAC", 19, "[3].kind", "missing"),
    ("name: DRAM\n  kind: storage\n", "name: DRAM\n  kind: compute\n", 3, "[0].read_bandwidth", "unknown key"),
    ("read_bandwidth: 0.5", "read_bandwidth: 0", 3, "[0].read_bandwidth", "above 0"),
    ("read_bandwidth: 0.5", "read_bandwidth: .inf", 3, "[0].read_bandwidth", "expected a number"),
    ("read_bandwidth: 0.5", "read_bandwith: 0.5", 3, "[0].read_bandwith", "did you mean 'read_bandwidth'"),
    ("capacity_words: 65536", "capacity_words: 64 KB", 7, "[1].capacity_words", "without a unit"),
    ("capacity_words: 65536", "capacity_words: 0", 7, "[1].capacity_words", "at least 1"),
    ("capacity_words: 65536", "capacity_words: {}", 7, "[1].capacity_words", "empty section"),
    ("capacity_words: 65536", "capacity_words: {Weigths: 4}", 7, "[1].capacity_words.Weigths", "'Weights'"),
    ("multiple_buffering: 2", "multiple_buffering: 0.5", 8, "[1].multiple_buffering", "at least 1"),
    ("{read: 6,", "{reads: 6,", 9, "[1].energy.reads", "did you mean 'read'"),
    ("{read: 6,", "{read: -6,", 9, "[1].energy.read", "at least 0"),
    ("{read: 6,", "{read: 6 pJ,", 9, "[1].energy.read", "without a unit"),
    ("network_fill_latency: 3", "network_fill_latency: -1", 10, "[1].network_fill_latency", "at least 0"),
    ("instances: 8", "instances: 0", 14, "[2].instances", "at least 1"),
    ("instances: 8", "instances: 7", 15, "[2].mesh_x", "7 instances do not divide into rows of 4"),
    ("mesh_x: 4", "mesh_x: 16", 15, "[2].mesh_x", "8 instances do not divide into rows of 16"),
    ("words_per_line: 2", "tensors: [Outputs]", 17, "[2].tensors[0]", "no capacity"),
    ("words_per_line: 2", "tensors: [Inputs]", 16, "[2].capacity_words", "'Weights' has a capacity but is not"),
    ("words_per_line: 2", "tensors: [Inputs, Inputs]", 17, "[2].tensors[1]", "twice"),
    ("words_per_line: 2", "tensors: [Input]", 17, "[2].tensors[0]", "did you mean 'Inputs'"),
    ("words_per_line: 2", "words_per_line: 0", 17, "[2].words_per_line", "at least 1"),
    ("instances: 16", "instances: 12", 21, "[3].instances", "12 instances do not divide among the 8 of 'PE'"),
    ("instances: 16", "instances: 24\n  mesh_x: 6", 22, "[3].mesh_x", "6 x 4 instances"),
    ("mac_random: 1", "mac_random: 1, compute: 1", 22, "[3].energy.compute", "two names of one energy"),
    ("- name: MAC", "- name: ALU\n  kind: compute\n- name: MAC", 21, "[4]", "compute comes last"),
]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "message"), BAD, ids=[f"{bad[3]}-{bad[1][:20]}" for bad in BAD]
)
def test_a_bad_hierarchy_is_named(old: str, new: str, line: int, field: str, message: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(SpecError) as caught:
        parse(GOOD.replace(old, new))
    assert (caught.value.path, caught.value.line, caught.value.field) == ("chip.yaml", line, field)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a compute level"),
        ("[{name: Buf, kind: storage}]", "expected a compute level"),
        ("[{name: MAC, kind: compute}]", "expected a storage level"),
        ("{name: MAC, kind: compute}", "expected a list"),
        ("[DRAM]", "expected a section"),
    ],
)
def test_an_incomplete_list_of_levels(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        parse(text)
    assert (caught.value.path, caught.value.line) == ("chip.yaml", 1)
