"""The Cartesian-product dataflows: PT-IS-CP-sparse, and PT-IS-CP-dense with every entry occupied.

Per output-channel group and input channel a PE holds one activation vector after the other and streams the weight
vectors past it; each pair is a step of ``F * I`` products (Parashar et al., Figure 4 and section III-B).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from timeloop_py.simulator.arrays import BoolArray, FloatArray, IntArray
from timeloop_py.simulator.compress import Blocks, activation_blocks, parity_pairs, weight_blocks
from timeloop_py.simulator.groups import OutputGroups
from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.stepping import Stepper
from timeloop_py.simulator.tiling import Pass, axes
from timeloop_py.simulator.timing import PassResult, Work, tile_facts
from timeloop_py.specs.layer import Layer


def run_cartesian(
    layer: Layer,
    machine: Machine,
    part: Pass,
    groups: OutputGroups,
    image: FloatArray,
    sums: FloatArray | None,
    advance: Callable[[int], None],
) -> PassResult:
    """Execute one image [C, H, W] on the tiles of one pass.

    ``sums`` [groups, Kc, Q, P] receives the convolution; None leaves it out. ``advance`` is called with the number of
    groups finished.
    """
    conflicts = machine.tolerated_backlog is not None
    stepped = conflicts or sums is not None
    capacity = groups.most * part.local_shape[0] * part.local_shape[1]
    activations = _by_channel_group(layer, activation_blocks(layer, machine, part, image, capacity, stepped))
    weights = weight_blocks(layer, machine, part, groups.weights, groups.sizes, capacity, stepped)
    stalls = np.zeros((groups.sizes.size, machine.pes), np.int64)
    synchronized = None
    if stepped:
        stepper = Stepper(machine, part, groups.most, groups.channel_group, activations, weights)
        stalls, synchronized = stepper.run(sums, advance)
    else:
        advance(groups.sizes.size)
    _, keeps, sends = tile_facts(part)
    has_tile = _meets_taps(layer, part)
    opened = machine.block_overhead_cycles * weights.count.shape[1] * weights.count.shape[2]
    overhead = np.broadcast_to(np.where(has_tile, opened, 0), stalls.shape)
    if machine.barrier != "per_channel":
        synchronized = None
    else:
        slowest = synchronized if conflicts else _slowest_per_channel(groups, activations, weights)
        synchronized = slowest + overhead.max(axis=1)
    work = Work(
        steps=_steps(groups, activations, weights),
        stalls=stalls,
        overhead=overhead,
        has_tile=np.broadcast_to(has_tile, stalls.shape),
        drained=groups.sizes[:, None] * keeps,
        synchronized=synchronized,
    )
    return PassResult(
        work,
        products=_pairs(layer, activations.occupied, weights.occupied),
        nonzero_products=_pairs(layer, activations.nonzero, weights.nonzero),
        halo_words=int(groups.sizes.sum() * sends.sum()),
    )


def _meets_taps(layer: Layer, part: Pass) -> BoolArray:
    """Whether each PE [PEs] holds an input that meets a tap: with a stride there are others."""
    x, y = axes(layer)
    parities = parity_pairs(layer)
    return np.array(
        [
            any(along_x.positions(x, column).size and along_y.positions(y, row).size for along_x, along_y in parities)
            for column, row in part.tiles
        ]
    )


def _by_channel_group(layer: Layer, blocks: Blocks) -> Blocks:
    """Activation blocks [C, parities, PEs] as [channel groups, C/G, parities, PEs]."""
    shape = (layer.groups, layer.channels_per_group, *blocks.count.shape[1:])
    arrays = {key: getattr(blocks, key).reshape(shape) for key in ("occupied", "nonzero", "count", "first")}
    return replace(blocks, **arrays)


def _steps(groups: OutputGroups, activations: Blocks, weights: Blocks) -> IntArray:
    """Steps [groups, PEs]: the sum over channels and parities of activation vectors times weight vectors."""
    channel_groups, pes = activations.count.shape[0], activations.count.shape[3]
    left = weights.count.reshape(channel_groups, groups.sizes.size // channel_groups, -1)
    # As floats: exact far beyond any layer, and a matrix product of integers would not use the fast library.
    steps = left.astype(np.float64) @ activations.count.reshape(channel_groups, -1, pes).astype(np.float64)
    return np.rint(steps).astype(np.int64).reshape(-1, pes)


def _slowest_per_channel(groups: OutputGroups, activations: Blocks, weights: Blocks) -> IntArray:
    """Steps [groups] of the slowest PE of every channel, summed over the channels."""
    slowest = np.empty(groups.sizes.size, np.int64)
    for group, channel_group in enumerate(groups.channel_group):
        steps = activations.count[channel_group] * weights.count[group][..., None]
        slowest[group] = steps.sum(axis=1).max(axis=1).sum()
    return slowest


def _pairs(layer: Layer, activations: IntArray, weights: IntArray) -> int:
    """Pairs of entries that meet: those of each channel and parity, in all PEs and all groups of the channel group."""
    left = activations.sum(axis=3)
    right = weights.reshape(layer.groups, -1, *weights.shape[1:]).sum(axis=1)
    return int((left * right).sum())
