"""Dataflows of arrays as files: what is read, and what is refused with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.array_dataflow import ArrayTemplate, Bound, OpenLoop, OpenStore, Skip
from timeloop_py.specs.dataflow import dataflow_names, dataflows_like, parse_template
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import load_section

NEST = "nest:\n  - store: [dram, Weights]\n  - loop: [K, rest]\n"


def template(text: str, folder: Path) -> ArrayTemplate:
    path = folder / "flow.yaml"
    path.write_text("description: a test\nbasis: layer\n" + text, encoding="utf-8")
    found = parse_template(load_section(path), "flow")
    assert isinstance(found, ArrayTemplate)
    return found


def test_the_language(tmp_path: Path) -> None:
    flow = template(
        "layers: [fc]\nreason: small\ncosts: {dram: 200, buffer: 6}\ninstructions: {issue: {vector: 3, entry: 1}}\n"
        "nest:\n  - store: [buffer, Inputs]\n  - loop: [N, 2]\n  - spatial_x: [C, lanes]\n  - skip: Inputs\n"
        "  - pack: Weights\n  - loop: [K, {most: [a, b]}]\n  - spatial_y: [S, {all: rows}]\n  - loop: [C, {best: a}]\n",
        tmp_path,
    )
    assert flow.layers == ("fc",)
    assert flow.costs == (("dram", 200.0), ("buffer", 6.0))
    assert flow.instructions == (("issue", 3.0, 1.0),)
    assert [type(node) for node in flow.nodes[:2]] == [OpenStore, OpenLoop]
    assert flow.nodes[3:5] == (Skip("Inputs"), Skip("Weights", packed=True))
    assert flow.skips == ("Inputs",)
    assert [loop.bound for loop in flow.loops] == [
        Bound("number", 2),
        Bound("size", names=("lanes",)),
        Bound("most", names=("a", "b")),
        Bound("all", names=("rows",)),
        Bound("best", names=("a",)),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nest:\n  - loop: [X, rest]\n", "X"),
        ("nest:\n  - loop: [K, 0]\n", "at least 1"),
        ("nest:\n  - loop: [K]\n", "two entries"),
        ("nest:\n  - lop: [K, rest]\n", "expected one of"),
        ("nest:\n  - loop: [K, {more: a}]\n", "{best: LIMIT}"),
        ("nest:\n  - store: [dram, Weight]\n", "Weight"),
        ("nest:\n  - skip: Outputs\n", "Outputs"),
        ("layers: [convolution]\n" + NEST, "convolution"),
        ("wait: fiber\n" + NEST, "unknown key 'wait'"),
        ("costs: {dram: -1}\n" + NEST, "costs.dram"),
        ("instructions: {issue: {entry: 1}}\n" + NEST, "vector"),
    ],
)
def test_mistakes_name_the_field(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        template(text, tmp_path)
    message = str(caught.value)
    assert told in message
    assert "flow.yaml" in message


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (("dataflow.wait", "never"), "never"),
        (("dataflow.queue_depth", 0), "at least 1"),
        (("dataflow.index_window", -1), "at least 0"),
        (("dataflow.activations_in", "memory"), "component 'memory'"),
        (("dataflow.tiling", "ceil"), "unknown key 'tiling'"),
        (("dataflow.name", "row_stationary"), "component"),
        (("dataflow.array_waits_for", "broadcast_tree"), "expected a list"),
        (("parameters.lanes", 0), "lanes"),
    ],
)
def test_mistakes_of_an_architecture(setting: tuple[str, object], told: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_architecture("cnvlutin", [setting])  # type: ignore[list-item]
    assert told in str(caught.value)


def test_an_array_waits_for_networks_with_a_rate(tmp_path: Path) -> None:
    path = tmp_path / "machine.yaml"
    text = "extends: dadiannao\ndataflow: {array_waits_for: [NETWORK]}\n"
    path.write_text(text.replace("NETWORK", "weight_memory"), encoding="utf-8")
    with pytest.raises(SpecError, match="broadcast_tree"):
        load_architecture(path)
    path.write_text(text.replace("NETWORK", "broadcast_tree"), encoding="utf-8")
    with pytest.raises(SpecError, match="events_per_cycle"):
        load_architecture(path)


def test_a_bound_needs_its_size(tmp_path: Path) -> None:
    path = tmp_path / "machine.yaml"
    path.write_text("extends: dadiannao\nparameters: {lanes: 16}\n", encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert load_architecture(path).sizes["tiles"] == 16  # merged with the file below
    path.write_text(text.replace("dadiannao", "nothing"), encoding="utf-8")
    with pytest.raises(SpecError, match="nothing"):
        load_architecture(path)


def test_a_file_that_extends_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text(f"extends: {path}\n", encoding="utf-8")
    with pytest.raises(SpecError, match="extends itself"):
        load_architecture(path)


def test_every_shipped_dataflow_is_of_one_kind() -> None:
    planar, arrays = dataflows_like(False), dataflows_like(True)
    assert sorted([*planar, *arrays]) == dataflow_names()
    assert all(name.startswith("pt_is_") for name in planar)
    assert "row_stationary" in arrays


def test_planar_tools_say_that_an_array_is_none() -> None:
    with pytest.raises(SpecError, match="not a planar-tiled one"):
        load_architecture("eie").require_accelerator()
    with pytest.raises(SpecError, match="no multiplier array"):
        load_architecture("scnn").require_array()
