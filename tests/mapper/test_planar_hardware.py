"""Other hardware of the same size: what is kept, and that nothing in the space beats the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import timeloop_py as tl
from timeloop_py.mapper.objective import parse_objective
from timeloop_py.mapper.planar_hardware import hardware_space
from timeloop_py.mapper.planar_mappings import HardwareMapping, mapping_space
from timeloop_py.mapper.planar_search import search_planar
from timeloop_py.model.evaluate import evaluate, network_of
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

SMALL = (
    ("parameters.pe_x", 2),
    ("parameters.pe_y", 2),
    ("parameters.F", 2),
    ("parameters.I", 2),
    ("parameters.accumulator_banks", 8),
)
LAYER = Layer("odd", K=7, C=3, W=9, H=6, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.5)


def small(name: str) -> Architecture:
    return load_architecture(name, SMALL)


def on_chip(design: Architecture) -> tuple[int, int, int]:
    """Multipliers, accumulator words and activation RAM of the chip."""
    sizes, _ = design.require_accelerator()
    rams = sizes.input_ram_bytes + sizes.output_ram_bytes
    return sizes.multipliers, sizes.accumulator_words * sizes.processing_elements, rams * sizes.processing_elements


@pytest.mark.parametrize("name", ["scnn", "dcnn"])
def test_every_hardware_is_as_large(name: str) -> None:
    architecture = small(name)
    mappings = list(hardware_space(architecture, LAYER))
    assert len(set(mappings)) == len(mappings)
    shapes = set()
    for mapping in mappings:
        design = mapping.applied_to(architecture)
        assert on_chip(design) == on_chip(architecture)
        sizes, _ = design.require_accelerator()
        assert design.components["multiplier"].count == 16
        shapes.add((sizes.processing_elements, sizes.F, sizes.I))
    pes = {shape[0] for shape in shapes}
    if name == "scnn":
        assert {(count, f) for count, f, _ in shapes} == {
            (c, f) for c in (1, 2, 4, 8, 16) for f in (1, 2, 4, 8, 16) if c * f <= 16
        }
    else:  # the two sides of a dot product are one
        assert len(shapes) == len(pes)


def test_the_given_hardware_comes_first() -> None:
    architecture = small("scnn")
    own = list(mapping_space(architecture, LAYER))
    first = list(hardware_space(architecture, LAYER))[: len(own)]
    assert [(one.columns, one.rows, one.group, one.halo) for one in first] == [
        (one.columns, one.rows, one.group, one.halo) for one in own
    ]
    assert str(first[0]) == str(own[0])
    assert all(not one.parameters for one in first)


@pytest.mark.parametrize("objective", ["cycles", "edp"])
def test_nothing_beats_the_answer(objective: str) -> None:
    architecture = small("scnn")
    chosen = parse_objective(objective)
    found = search_planar(architecture, network_of(LAYER), LAYER, (None, None), chosen, hardware=True)
    designs = [mapping.applied_to(architecture) for mapping in hardware_space(architecture, LAYER)]
    each = evaluate(designs, LAYER)
    costs = chosen.measures[0].value(each.layer_energy_pj, each.layer_cycles)
    assert chosen.measures[0].value(found.evaluation.energy_pj, found.evaluation.cycles) == pytest.approx(
        float(np.min(costs)), rel=1e-9
    )
    assert found.covered == len(designs)


def test_the_file_of_the_answer_is_the_answer() -> None:
    result = tl.search(small("scnn"), LAYER, "cycles", "hardware")
    assert isinstance(result.mapping, HardwareMapping)
    parameters = result.to_dict()["mapping"]["parameters"]
    settings = [*SMALL, *((f"parameters.{name}", value) for name, value in parameters.items())]
    settings += [(f"dataflow.{name}", value) for name, value in result.to_dict()["mapping"]["dataflow"].items()]
    again = tl.evaluate(load_architecture("scnn", settings), LAYER)
    assert (again.cycles, again.energy_pj) == pytest.approx((result.cycles, result.energy_pj), rel=1e-12)


def test_an_architecture_without_a_file_cannot_be_resized() -> None:
    with pytest.raises(SpecError, match="not loaded from a file"):
        replace(small("scnn"), definition=None).resized({"F": 4})
    with pytest.raises(SpecError, match="did you mean 'planar'"):
        tl.search(small("scnn"), LAYER, space="plnar")
