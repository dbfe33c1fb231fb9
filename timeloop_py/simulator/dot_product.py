"""The dense dot-product dataflow, PT-IS-DP-dense: ``F * I`` operand pairs a step into one sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from timeloop_py.simulator.arrays import FloatArray, IntArray
from timeloop_py.simulator.groups import OutputGroups
from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.tiling import Pass
from timeloop_py.simulator.timing import PassResult, Work, tile_facts
from timeloop_py.specs.layer import Layer


def run_dot_product(
    layer: Layer,
    machine: Machine,
    part: Pass,
    groups: OutputGroups,
    image: FloatArray,
    sums: FloatArray | None,
    advance: Callable[[int], None],
) -> PassResult:
    """Execute one image [C, H, W] on the output tiles of one pass.

    ``sums`` [groups, Kc, Q, P] receives the convolution; None leaves it out. ``advance`` is called with the number of
    groups finished. Every operand pair takes a multiplier, zeros and padding included; a group is one
    block.
    """
    if sums is not None:
        _accumulate(layer, machine, part, groups, image, sums)
    advance(groups.sizes.size)
    _, keeps, _ = tile_facts(part)
    has_tile = keeps > 0
    outputs = groups.sizes[:, None] * keeps
    taps = layer.channels_per_group * layer.R * layer.S
    steps = outputs * len(_vectors(layer, machine))
    overhead = np.broadcast_to(np.where(has_tile, machine.block_overhead_cycles, 0), outputs.shape)
    work = Work(
        steps=steps,
        stalls=np.zeros_like(outputs),
        overhead=overhead,
        has_tile=np.broadcast_to(has_tile, outputs.shape),
        drained=outputs,
        # All PEs work through the same vectors: the one with most outputs is the slowest between any two barriers.
        synchronized=(steps + overhead).max(axis=1) if machine.barrier == "per_channel" else None,
    )
    return PassResult(work, int(outputs.sum()) * taps, 0, 0)


def _vectors(layer: Layer, machine: Machine) -> list[IntArray]:
    """The operand vectors of one output, each as places in the reduction ``(c, s, r)`` flattened.

    ``channels_and_taps``: ``ceil(C/G * R*S / (F*I))`` vectors over all of it. ``channels``: for every tap
    ``ceil(C/G / (F*I))`` vectors over the channels.
    """
    places = np.arange(layer.channels_per_group * layer.S * layer.R)
    if machine.vector_over == "channels_and_taps":
        return list(_chunks(places, machine.multipliers_per_pe))
    taps = places.reshape(layer.channels_per_group, -1).T
    return [vector for tap in taps for vector in _chunks(tap, machine.multipliers_per_pe)]


def _chunks(places: IntArray, size: int) -> Iterator[IntArray]:
    return (places[start : start + size] for start in range(0, places.size, size))


def _accumulate(
    layer: Layer, machine: Machine, part: Pass, groups: OutputGroups, image: FloatArray, sums: FloatArray
) -> None:
    """Add the dot products of every PE's outputs to ``sums``, one operand vector after the other."""
    pad_x, pad_y = layer.padding
    padded = np.pad(image, ((0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    by_group = padded.reshape(layer.groups, layer.channels_per_group, *padded.shape[1:])
    # A dot product of one output channel does not know of the others: all groups of a channel group at once.
    weights = groups.weights.reshape(layer.groups, -1, layer.channels_per_group * layer.S * layer.R)
    totals = sums.reshape(layer.groups, -1, *sums.shape[2:])
    vectors = _vectors(layer, machine)
    for column, row in part.tiles:
        x, y = np.arange(*column.accumulated), np.arange(*row.accumulated)
        taps_x = np.arange(layer.R)[:, None] * layer.dilation[0] + x * layer.stride[0]
        taps_y = np.arange(layer.S)[:, None] * layer.dilation[1] + y * layer.stride[1]
        if x.size and y.size:
            windows = by_group[:, :, taps_y[:, None, :, None], taps_x[None, :, None, :]]
            operands = windows.reshape(layer.groups, weights.shape[2], -1)
            tile = np.zeros((layer.groups, weights.shape[1], y.size * x.size))
            for vector in vectors:
                tile += weights[:, :, vector] @ operands[:, vector]
            box = totals[:, :, y[0] : y[-1] + 1, x[0] : x[-1] + 1]
            box += tile.reshape(box.shape)
