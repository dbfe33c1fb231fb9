"""The mapspace of planar-tiled accelerators against plain enumeration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from timeloop_py.mapper.planar_mappings import PlanarMapping, mapping_space
from timeloop_py.mapper.planar_space import OBJECTIVES, best_planar_mappings
from timeloop_py.model.evaluate import evaluate, network_of
from timeloop_py.nest.lowering import lower_layer
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network

SMALL = (("parameters.pe_x", 2), ("parameters.pe_y", 2), ("parameters.accumulator_entries", 8))
LAYER = Layer("odd", K=13, C=5, W=9, H=6, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.5)


def scnn(**terms: object) -> Architecture:
    architecture = load_architecture("scnn", SMALL)
    assert architecture.dataflow is not None
    return replace(architecture, dataflow=replace(architecture.dataflow, **terms))  # type: ignore[arg-type]


def every_mapping(layer: Layer) -> list[PlanarMapping]:
    """All of them, whether or not two do the same."""
    found = []
    for columns, rows in ((1, 4), (2, 2), (4, 1)):
        for halo in ("output", "input"):
            for group in range(1, layer.K + 1):
                mapping = PlanarMapping(columns, rows, group, halo)  # type: ignore[arg-type]
                try:
                    lower_layer(mapping.applied_to(scnn()), layer)
                except SpecError:
                    continue
                found.append(mapping)
    return found


@pytest.mark.parametrize("objective", OBJECTIVES.values())
def test_nothing_beats_the_answer(objective: str) -> None:
    points = ((0.2, 0.3), (1.0, 1.0))
    best = best_planar_mappings(scnn(), network_of(LAYER), points, objective)  # type: ignore[arg-type]

    def cost(cycles: np.ndarray, energy: np.ndarray) -> np.ndarray:
        costs = {"cycles": cycles, "energy_pj": energy, "edp": energy * cycles, "ed2p": energy * cycles**2}
        return costs[objective]

    found = cost(best.cycles, best.energy_pj)[0]
    others = [evaluate(mapping.applied_to(scnn()), LAYER, points) for mapping in every_mapping(LAYER)]
    assert len(others) > best.covered  # groups that do the same are evaluated once
    costs = np.array([cost(one.layer_cycles, one.layer_energy_pj)[0] for one in others])
    # A group that is not the smallest for its number of groups splits the channels less evenly: never better.
    assert (found <= costs.min(axis=0) * (1 + 1e-9)).all()


def test_the_answer_is_what_evaluating_it_gives() -> None:
    best = best_planar_mappings(scnn(), network_of(LAYER), ((0.5, 0.5),))
    alone = evaluate(best.mapping(0, 0).applied_to(scnn()), LAYER, ((0.5, 0.5),))
    assert best.cycles[0, 0] == pytest.approx(alone.cycles, rel=1e-12)
    assert best.energy_pj[0, 0] == pytest.approx(alone.energy_pj, rel=1e-12)


def test_the_space_starts_with_the_architectures_own_grid_and_halos() -> None:
    first = next(iter(mapping_space(scnn(), LAYER)))
    assert (first.columns, first.rows, first.halo) == (2, 2, "output")
    space = list(mapping_space(scnn(), LAYER))
    assert len(set(space)) == len(space)
    assert {mapping.columns * mapping.rows for mapping in space} == {4}


def test_dot_products_have_no_choice_of_halos() -> None:
    assert {mapping.halo for mapping in mapping_space(load_architecture("dcnn"), LAYER)} == {"input"}


def test_equal_layers_are_searched_once() -> None:
    network = load_network("vgg16")
    alone = best_planar_mappings(
        load_architecture("scnn"), replace(network, layers=network.layers[11:12]), ((0.3, 0.4),)
    )
    both = best_planar_mappings(
        load_architecture("scnn"), replace(network, layers=network.layers[11:13]), ((0.3, 0.4),)
    )
    assert both.covered >= alone.covered
    assert both.cycles[0, 0] == alone.cycles[0, 0]


def test_an_unknown_objective_is_named() -> None:
    with pytest.raises(SpecError, match="unknown objective 'speed'"):
        best_planar_mappings(scnn(), network_of(LAYER), ((0.5, 0.5),), "speed")  # type: ignore[arg-type]
