"""Which layers keep their activations on chip (MODEL section 5; SCNN paper sections IV and VI-D)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ActivationFit:
    """Bits that the busiest PE holds of a layer's input and stored output, and whether its RAMs take them.

    Arrays over density points. Indices of compressed activations are included.
    """

    input_bits: Array
    output_bits: Array
    fits: NDArray[np.bool_]


def stored_bits_per_word(architecture: Architecture, off_chip: bool = False) -> int:
    """Bits of one stored activation or weight: with its index where it is compressed.

    ``off_chip``: activations in DRAM, which DCNN-opt compresses too.
    """
    parameters, flow = architecture.require_accelerator()
    compressed = flow.template.compressed or (off_chip and flow.dram_compression)
    return parameters.word_bits + (parameters.index_bits if compressed else 0)


def activation_fit(architecture: Architecture, layer: Layer, activation: Array, output: Array) -> ActivationFit:
    """Whether the largest PE's tile of input and of stored output fits its RAMs, at each density point.

    ``activation`` and ``output`` are densities, one per point. The output is what is stored: after pooling.
    """
    parameters, flow = architecture.require_accelerator()
    bits = stored_bits_per_word(architecture)
    stored = layer.stored_plane

    def tile(width: int, height: int) -> int:
        return -(-width // parameters.pe_x) * -(-height // parameters.pe_y)

    compressed = flow.template.compressed
    input_bits = tile(layer.W, layer.H) * layer.C * bits * (activation if compressed else np.ones_like(activation))
    output_bits = tile(*stored) * layer.K * bits * (output if compressed else np.ones_like(output))
    input_room, output_room = parameters.input_ram_bytes * 8, parameters.output_ram_bytes * 8
    if parameters.shared_activation_ram:
        fits = input_bits + output_bits <= input_room + output_room
    else:
        fits = (input_bits <= input_room) & (output_bits <= output_room)
    return ActivationFit(input_bits, output_bits, fits)
