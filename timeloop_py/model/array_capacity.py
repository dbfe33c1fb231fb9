"""What multiplier arrays keep on the chip, and what goes over DRAM because it does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from timeloop_py.model.array_accesses import OffChip
from timeloop_py.model.array_time import stored_share
from timeloop_py.model.batch import Array, Densities
from timeloop_py.model.capacity import traffic_of_fits
from timeloop_py.nest.array_nest import DoesNotApplyError, array_nest
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network


@dataclass(frozen=True)
class ArrayUnit:
    """A layer of a network on a multiplier array."""

    architecture: Architecture
    network: Network
    layer: Layer


def off_chip(units: Sequence[ArrayUnit], densities: Densities) -> list[OffChip]:
    """What every unit moves over DRAM; neighbours that are not among the units count as fitting."""
    fits = np.array(
        [
            _activations_fit(unit, *rows)
            for unit, *rows in zip(units, densities.activation, densities.output, strict=True)
        ]
    )
    traffic = traffic_of_fits(
        fits, [unit.architecture for unit in units], [unit.network for unit in units], [unit.layer for unit in units]
    )
    weights = _weights_off_chip(units, densities)
    return [
        OffChip(fits[row], np.minimum(traffic.input_share[row], 1.0), traffic.output_share[row], weights[row])
        for row in range(len(units))
    ]


def _bits(architecture: Architecture, component: str, tensor: str) -> float:
    flow, sizes = architecture.require_array(), architecture.sizes
    word = sizes.get("word_bits", 16)
    bits = sizes.get("weight_bits", word) if tensor == "Weights" else word
    return bits + (sizes.get("index_bits", 0) if flow.is_compressed(component, tensor) else 0)


def _room(architecture: Architecture, component: str) -> float:
    """Bits that all copies of a component hold."""
    part = architecture.components[component]
    return part.attributes["capacity_bytes"] * 8 * part.count / part.attributes.get("sets", 1)


def _activations_fit(unit: ArrayUnit, activation: Array, output: Array) -> np.ndarray:
    """Whether input and stored output find room together in the memory that keeps activations."""
    flow, layer = unit.architecture.require_array(), unit.layer
    home = flow.activations_in
    if home is None:
        return np.zeros(activation.shape, dtype=bool)
    needed = np.zeros_like(activation)
    for tensor, words, density in (("Inputs", layer.inputs, activation), ("Outputs", layer.stored_outputs, output)):
        stored = density if flow.is_compressed(home, tensor) and not flow.keeps_places else 1.0
        needed = needed + words * _bits(unit.architecture, home, tensor) * stored
    return np.asarray(needed <= _room(unit.architecture, home))


def _weights_off_chip(units: Sequence[ArrayUnit], densities: Densities) -> list[Array]:
    """1 where weights come from DRAM for every layer: their network's do not all fit where they could stay."""
    needed: dict[tuple[int, int], Array] = {}
    for unit, weight in zip(units, densities.weight, strict=True):
        home = unit.architecture.require_array().weights_in
        if home is not None and unit.layer.kind in unit.architecture.require_array().template.layers:
            key = id(unit.architecture), id(unit.network)
            needed[key] = needed.get(key, np.zeros_like(weight)) + _weight_bits(unit, home, weight)
    found = []
    for unit, weight in zip(units, densities.weight, strict=True):
        home = unit.architecture.require_array().weights_in
        total = needed.get((id(unit.architecture), id(unit.network)))
        if home is None or total is None:
            found.append(np.ones_like(weight))
        else:
            found.append(np.where(total <= _room(unit.architecture, home), 0.0, 1.0))
    return found


def _weight_bits(unit: ArrayUnit, home: str, density: Array) -> Array:
    """Bits of a layer's weights, none where it does not apply; compressed ones as the lanes work them off."""
    bits = unit.layer.weights * _bits(unit.architecture, home, "Weights")
    if not unit.architecture.require_array().is_compressed(home, "Weights"):
        return np.full_like(density, bits)
    try:
        nest = array_nest(unit.architecture, unit.layer)
    except DoesNotApplyError:
        return np.zeros_like(density)
    return bits * stored_share(unit.architecture, nest, "Weights", density)
