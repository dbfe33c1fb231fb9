"""A case written as text is read back as the same case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.case import Case, load_case, parse_case
from timeloop_py.specs.case_text import dump_case
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.hierarchy import CountingOptions, Hierarchy, StorageLevel
from timeloop_py.specs.layer_case import file_stem, layer_case, mapping_file_name
from timeloop_py.specs.layer_file import parse_shape
from timeloop_py.specs.mapping_file import dump_mapping

CASES = sorted((Path(__file__).parents[1] / "data" / "timeloop_cases").glob("*/case.json"))
DENSE = [path for path in CASES if path.parent.name.startswith("d")]


def read_back(case: Case) -> Case:
    return parse_case(parse_value(dump_case(case), "case.yaml").section())


@pytest.mark.parametrize("path", DENSE, ids=lambda path: path.parent.name)
def test_recorded_cases(path: Path) -> None:
    case = load_case(path)
    assert read_back(case) == case


def test_every_field_of_a_level() -> None:
    case = load_case(DENSE[0])
    (first, *rest) = case.hierarchy.levels
    level = StorageLevel(
        first.name,
        instances=4,
        mesh_x=2,
        tensor_capacity_words={tensor.name: 100 + place for place, tensor in enumerate(case.problem.tensors)},
        tensors=tuple(tensor.name for tensor in case.problem.tensors),
        word_bits=9,
        words_per_line=3,
        energy_pj={"read": 1.25, "write": 2.5},
        read_bandwidth=1.5,
        write_bandwidth=2.5,
        shared_bandwidth=3.5,
        multiple_buffering=2.0,
        network_fill_latency=3.0,
        network_drain_latency=4.0,
        energy_per_hop_pj=0.5,
        metadata_datawidth=5,
        metadata_storage_width=6,
        metadata_storage_depth=7,
    )
    below = [replace(one, instances=4, mesh_x=2) for one in rest]
    hierarchy = Hierarchy((level, *below), replace(case.hierarchy.compute, instances=4, mesh_x=2))
    options = CountingOptions(elide_first_read=False, refill="one_copy", halo_reuse="none", share_halos=True)
    full = replace(case, hierarchy=hierarchy, options=options)
    assert read_back(full) == full


def test_zeros_are_not_written() -> None:
    sparse = next(path for path in CASES if path.parent.name.startswith("s05"))
    with pytest.raises(ValueError, match="zeros"):
        dump_case(load_case(sparse))


def test_a_layer_with_a_mapping_file(tmp_path: Path) -> None:
    simple3, layer = load_architecture("simple3"), parse_shape("K=4,C=2,P=4,R=3,stride=2")
    stores = [
        f"- {{store: [{level}, {tensor}]}}"
        for level in ("DRAM", "GLB", "RF")
        for tensor in ("Weights", "Inputs", "Outputs")
    ]
    loops = [f"- {{loop: [{dim}, {bound}]}}" for dim, bound in (("K", 4), ("C", 2), ("P", 4), ("R", 3))]
    path = tmp_path / mapping_file_name(layer.name)
    path.write_text("\n".join([*stores, *loops]))
    case = layer_case(simple3, layer, path)
    assert read_back(case) == case
    path.write_text(dump_mapping(case.mapping))
    assert layer_case(simple3, layer, path) == case


def test_names_of_files() -> None:
    assert file_stem("inception_3a/1x1") == "inception_3a_1x1"
    assert mapping_file_name("conv 1") == "conv_1.mapping.yaml"
