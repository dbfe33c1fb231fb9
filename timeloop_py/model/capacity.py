"""Which activations stay on chip, and what goes over DRAM where they do not (MODEL section 5; SCNN sections IV, VI-D).

A layer whose tile of input or of stored output does not fit the RAMs of the busiest PE is *tiled*: the plane is worked
off in 2-D tiles that come from DRAM and go back to it. What a tiled layer reads was written there by the layers that
produce it, and what it writes is read there by those that consume it, whether or not they are tiled themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timeloop_py.numbers.operations import Number
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer, plane_after
from timeloop_py.specs.network import Network
from timeloop_py.tensors.density import Bernoulli
from timeloop_py.tensors.run_length import expected_placeholders

Array = NDArray[np.float64]
Booleans = NDArray[np.bool_]

# To what the density at which a layer stops fitting is found.
_DENSITY_STEP = 1e-12


@dataclass(frozen=True)
class ActivationFit:
    """Bits that the busiest PE holds of a layer's input and stored output, and whether its RAMs take them.

    Arrays over density points. Indices of compressed activations are included, and the placeholders of runs of zeros
    that are too long for them.
    """

    input_bits: Array
    output_bits: Array
    fits: Booleans


@dataclass(frozen=True)
class ActivationTraffic:
    """Where activations live; arrays (units, points).

    ``fits``: the layer is not tiled. ``input_share``: part of the input that is read from DRAM (the network's input
    always is). ``output_share``: 1 where the stored output is written to DRAM, else 0.
    """

    fits: Booleans
    input_share: Array
    output_share: Array

    def rows(self, chosen: Sequence[int]) -> ActivationTraffic:
        """Those of some units."""
        index = list(chosen)
        return ActivationTraffic(self.fits[index], self.input_share[index], self.output_share[index])


def stored_bits_per_word(architecture: Architecture, off_chip: bool = False) -> int:
    """Bits of one stored activation or weight: with its index where it is compressed.

    ``off_chip``: activations in DRAM, which DCNN-opt compresses too.
    """
    parameters, flow = architecture.require_accelerator()
    compressed = flow.template.compressed or (off_chip and flow.dram_compression)
    return parameters.word_bits + (parameters.index_bits if compressed else 0)


def activation_fit(
    architecture: Architecture, layer: Layer, activation: Array, output: Array, tiles: tuple[int, int] = (1, 1)
) -> ActivationFit:
    """Whether the largest PE's tile of input and of stored output fits its RAMs, at each density point.

    ``activation`` and ``output`` are densities, one per point. The output is what is stored: after pooling. ``tiles``:
    into how many parts along x and y the plane is cut for DRAM; the largest part counts.
    """
    parameters, _ = architecture.require_accelerator()
    grid = parameters.pe_x, parameters.pe_y
    input_bits, output_bits = held_bits(architecture, grid, layer, activation, output, tiles)
    rams = parameters.input_ram_bytes, parameters.output_ram_bytes
    fits = np.asarray(in_rams(input_bits, output_bits, rams, parameters.shared_activation_ram))
    return ActivationFit(input_bits, output_bits, fits)


def held_bits(
    architecture: Architecture,
    grid: tuple[Number, Number],
    layer: Layer,
    activation: Array,
    output: Array,
    tiles: tuple[int, int] = (1, 1),
) -> tuple[Array, Array]:
    """Bits of input and of stored output in the PE with the most, as in :func:`activation_fit`.

    On a grid of ``(columns, rows)``, which may be arrays that broadcast with the densities.
    """
    parameters, flow = architecture.require_accelerator()
    bits = stored_bits_per_word(architecture)

    def per_pe(plane: tuple[int, int], density: Array) -> Array:
        """Words of one channel: every channel's tile is a code of its own."""
        columns, rows = (-(-side // parts) for side, parts in zip(plane, tiles, strict=True))
        positions = -(-columns // grid[0]) * -(-rows // grid[1])
        words: Array = positions * np.ones(np.shape(density))
        if not flow.template.compressed:
            return words
        words = words * density
        if parameters.index_bits:
            words = words + expected_placeholders(positions, Bernoulli(density), parameters.index_bits)
        return np.asarray(words)

    return per_pe((layer.W, layer.H), activation) * layer.C * bits, per_pe(layer.stored_plane, output) * layer.K * bits


def in_rams(input_bits: Array, output_bits: Array, rams: tuple[Number, Number], shared: bool) -> Booleans:
    """Whether RAMs of so many bytes for input and output take what the busiest PE holds.

    ``shared``: both are one RAM, whose size is the sum.
    """
    input_room, output_room = (size * 8 for size in rams)
    if shared:
        return np.asarray(input_bits + output_bits <= input_room + output_room)
    return np.asarray((input_bits <= input_room) & (output_bits <= output_room))


def largest_fitting_density(architecture: Architecture, layer: Layer) -> float:
    """The largest density of input and stored output alike up to which a layer fits: at most 1, 0 where it never fits.

    What is stored dense fits at every density or at none.
    """

    def fits(density: float) -> bool:
        both = np.array([density])
        return bool(activation_fit(architecture, layer, both, both).fits[0])

    if fits(1.0):
        return 1.0
    if not architecture.require_accelerator()[1].template.compressed:
        return 0.0
    # What is stored grows with the density: every non-zero in a long run replaces at most one placeholder.
    low, high = 0.0, 1.0
    while high - low > _DENSITY_STEP:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def dram_tiles(architecture: Architecture, layer: Layer) -> tuple[int, int] | None:
    """The fewest 2-D tiles, as (along x, along y), that let a layer run from its RAMs at its own densities.

    Of equally many the squarest. (1, 1) where the layer fits as it is, None where not even one position per PE does.
    """
    activation, output = np.array([layer.activation_density]), np.array([layer.stored_density])

    def fits(x: int, y: int) -> bool:
        return bool(activation_fit(architecture, layer, activation, output, (x, y)).fits[0])

    most_x, most_y = max(layer.W, layer.stored_plane[0]), max(layer.H, layer.stored_plane[1])
    best: tuple[int, int] | None = (most_x, most_y) if fits(most_x, most_y) else None
    if best is None:
        return None
    for x in range(1, most_x + 1):
        for y in range(1, min(most_y, best[0] * best[1] // x) + 1):
            if fits(x, y):
                best = min(best, (x, y), key=lambda tiles: (tiles[0] * tiles[1], abs(tiles[0] - tiles[1])))
                break
    return best


def activation_traffic(
    architectures: Sequence[Architecture],
    networks: Sequence[Network],
    layers: Sequence[Layer],
    activation: Array,
    output: Array,
) -> ActivationTraffic:
    """What units ``(architectures[i], networks[i], layers[i])`` move over DRAM.

    ``activation`` and ``output`` are densities, arrays (units, points). Neighbours that are not among the units count
    as fitting.
    """
    fits = np.array(
        [
            activation_fit(architecture, layer, *densities).fits
            for architecture, layer, *densities in zip(architectures, layers, activation, output, strict=True)
        ]
    )
    return traffic_of_fits(fits, architectures, networks, layers)


def traffic_of_fits(
    fits: Booleans, architectures: Sequence[Architecture], networks: Sequence[Network], layers: Sequence[Layer]
) -> ActivationTraffic:
    """What units move over DRAM, given which of them keep their activations on the chip: (units, points)."""
    tiled = np.where(fits, 0.0, 1.0)
    input_share, output_share = tiled.copy(), tiled.copy()
    places = {
        (id(architecture), id(network), layer.name): place
        for place, (architecture, network, layer) in enumerate(zip(architectures, networks, layers, strict=True))
    }
    for place, (architecture, network, layer) in enumerate(zip(architectures, networks, layers, strict=True)):
        producers = network.inputs[layer.name]
        if not producers:
            input_share[place] = 1.0
        for name in producers:
            producer = places.get((id(architecture), id(network), name))
            if producer is not None:
                output_share[producer] = np.maximum(output_share[producer], tiled[place])
                part = _share_of_input(layer, layers[producer])
                input_share[place] += part * tiled[producer] * fits[place]
    return ActivationTraffic(fits, input_share, output_share)


def traffic_alone(fits: Booleans, network: Network, layer: Layer) -> ActivationTraffic:
    """:func:`traffic_of_fits` of units that are one layer on many architectures: its neighbours count as fitting."""
    tiled = np.where(fits, 0.0, 1.0)
    input_share = tiled if network.inputs[layer.name] else np.ones_like(tiled)
    return ActivationTraffic(fits, input_share, tiled)


def _share_of_input(layer: Layer, producer: Layer) -> float:
    """The part of a layer's input that one of its producers stored."""
    width, height = plane_after(layer.preceded_by, producer.stored_plane)
    return producer.K * width * height / (layer.C * layer.W * layer.H)
