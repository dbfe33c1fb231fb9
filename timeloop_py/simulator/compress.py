"""Compressed blocks: the values of a tile or a weight block, packed into the vectors that a PE fetches.

A block is one input channel of one PE's tile, or one input channel of the weights of an output-channel group; with a
stride it is split further by parity. Parity ``(i, j)`` holds the inputs with ``(position + padding) mod stride`` equal
to ``i`` along x and ``j`` along y, and the taps that meet them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timeloop_py.simulator.arrays import BoolArray, FloatArray, IntArray
from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.tiling import Axis, Pass, Span, axes
from timeloop_py.specs.layer import Layer


@dataclass(frozen=True)
class Vectors:
    """Packed vectors [vectors, lanes]: values, and what each adds to the accumulator address of its products.

    An empty lane has value 0 and adds the number of accumulators, which no address in use reaches.
    """

    values: FloatArray
    addresses: IntArray


@dataclass(frozen=True)
class Blocks:
    """Blocks of one tensor; all arrays have one entry per block, axes as the function that made them says.

    ``occupied``: entries that take a lane. ``nonzero``: those of them that are not 0. ``count``: vectors of the block.
    ``first``: the place of its first vector in ``vectors`` (None where only counts were asked for).
    """

    occupied: IntArray
    nonzero: IntArray
    count: IntArray
    first: IntArray
    vectors: Vectors | None


@dataclass(frozen=True)
class _Parity:
    """One stride parity of one axis: its offset, its taps, and by how many outputs each tap shifts an input."""

    offset: int
    taps: IntArray
    shifts: IntArray

    def positions(self, axis: Axis, span: Span) -> IntArray:
        """The inputs of a span that have this parity."""
        held: IntArray = np.arange(*span.inputs)
        found: IntArray = held[(held + axis.padding) % axis.stride == self.offset]
        return found

    def lowest(self, axis: Axis, span: Span, positions: IntArray) -> IntArray:
        """The lowest output that each position reaches, counted from the span's first."""
        lowest: IntArray = (positions + axis.padding - self.offset) // axis.stride - self.shifts.max() - span.origin
        return lowest


def _parities(axis: Axis) -> list[_Parity]:
    """The parities that have taps; inputs of the others meet no weight."""
    taps = np.arange(axis.taps)
    reached = taps * axis.dilation
    found = ((offset, reached % axis.stride == offset) for offset in range(axis.stride))
    return [
        _Parity(offset, taps[meets], (reached[meets] - offset) // axis.stride) for offset, meets in found if meets.any()
    ]


def parity_pairs(layer: Layer) -> list[tuple[_Parity, _Parity]]:
    """The parities of x and y that have taps, y outermost."""
    x, y = axes(layer)
    return [(along_x, along_y) for along_y in _parities(y) for along_x in _parities(x)]


def activation_blocks(
    layer: Layer, machine: Machine, part: Pass, activations: FloatArray, capacity: int, packed: bool
) -> Blocks:
    """Blocks [C, parities, PEs] of one image ``activations`` [C, H, W], in vectors of ``I``."""
    x, y = axes(layer)
    plane = activations.reshape(layer.C, layer.H * layer.W)
    width = part.local_shape[1]
    blocks = []
    for along_x, along_y in parity_pairs(layer):
        places, addresses = [], []
        for column, row in part.tiles:
            positions_x, positions_y = along_x.positions(x, column), along_y.positions(y, row)
            low_x, low_y = along_x.lowest(x, column, positions_x), along_y.lowest(y, row, positions_y)
            places.append((positions_y[:, None] * layer.W + positions_x).ravel())
            addresses.append((low_y[:, None] * width + low_x).ravel())
        longest = max(1, *(place.size for place in places))
        place = _padded(places, longest)
        exists = place >= 0
        values = np.where(exists, plane[:, np.maximum(place, 0)], 0.0)
        occupied = _occupied(machine, values != 0, exists)
        blocks.append(_pack(values, occupied, _padded(addresses, longest), machine.activation_vector, capacity, packed))
    return _joined(blocks, axis=1)


def weight_blocks(
    layer: Layer,
    machine: Machine,
    part: Pass,
    weights: FloatArray,
    group_sizes: IntArray,
    capacity: int,
    packed: bool,
) -> Blocks:
    """Blocks [groups, C/G, parities] of ``weights`` [groups, Kc, C/G, S, R], in vectors of ``F``.

    ``group_sizes`` [groups] says how many of the ``Kc`` output channels a group really has.
    """
    groups, most, channels = weights.shape[:3]
    height, width = part.local_shape
    exists = np.arange(most) < group_sizes[:, None]
    blocks = []
    for along_x, along_y in parity_pairs(layer):
        values = weights[:, :, :, along_y.taps[:, None], along_x.taps].swapaxes(1, 2)
        here = np.broadcast_to(exists[:, None, :, None, None], values.shape).reshape(groups, channels, -1)
        down = (along_y.shifts.max() - along_y.shifts)[:, None] * width
        right = along_x.shifts.max() - along_x.shifts
        addresses = np.arange(most)[:, None, None] * (height * width) + down + right
        values = values.reshape(groups, channels, -1)
        occupied = _occupied(machine, values != 0, here)
        blocks.append(_pack(values, occupied, addresses.reshape(1, -1), machine.weight_vector, capacity, packed))
    return _joined(blocks, axis=2)


def _padded(lists: list[IntArray], length: int) -> IntArray:
    padded = np.full((len(lists), length), -1)
    for row, entries in zip(padded, lists, strict=True):
        row[: entries.size] = entries
    return padded


def _occupied(machine: Machine, nonzero: BoolArray, exists: BoolArray) -> BoolArray:
    """Which entries of blocks [..., entries] take a lane."""
    if machine.dataflow == "pt_is_cp_dense":
        return np.broadcast_to(exists, nonzero.shape)
    return nonzero if machine.run_bits is None else with_placeholders(nonzero, 2**machine.run_bits - 1)


def with_placeholders(nonzero: BoolArray, longest_run: int) -> BoolArray:
    """Entries [..., entries] of a run-length code: the non-zeros, and a zero wherever a run would grow too long.

    A non-zero says how many zeros stand before it, at most ``longest_run``. In a longer run every zero after
    ``longest_run`` others is stored as a placeholder. Zeros after the last non-zero are not stored.
    """
    occupied = nonzero.copy()
    followed = np.logical_or.accumulate(nonzero[..., ::-1], axis=-1)[..., ::-1]
    run = np.zeros(nonzero.shape[:-1], np.int64)
    for entry in range(nonzero.shape[-1]):
        occupied[..., entry] |= (run == longest_run) & followed[..., entry]
        run = np.where(occupied[..., entry], 0, run + 1)
    return occupied


def _pack(
    values: FloatArray, occupied: BoolArray, addresses: IntArray, lanes: int, capacity: int, packed: bool
) -> Blocks:
    """Blocks [...] of ``values`` and ``occupied`` [..., entries]; ``addresses`` repeat over the leading axes."""
    shape, length = occupied.shape[:-1], occupied.shape[-1]
    taken = occupied.sum(axis=-1)
    count = -(-taken // lanes)
    first = (np.cumsum(count) - count.ravel()).reshape(shape)
    nonzero = np.count_nonzero(values, axis=-1)
    if not packed:
        return Blocks(taken, nonzero, count, first, None)
    block, entry = np.nonzero(occupied.reshape(-1, length))
    rank = np.arange(block.size) - np.repeat(np.cumsum(taken) - taken.ravel(), taken.ravel())
    lane = first.ravel()[block] * lanes + rank
    vectors = Vectors(np.zeros((count.sum(), lanes)), np.full((count.sum(), lanes), capacity))
    vectors.values.ravel()[lane] = values.reshape(-1, length)[block, entry]
    vectors.addresses.ravel()[lane] = addresses[block % len(addresses), entry]
    return Blocks(taken, nonzero, count, first, vectors)


def _joined(parities: list[Blocks], axis: int) -> Blocks:
    """The blocks of all parities, stacked along a new ``axis``."""
    offsets = np.cumsum([0, *(int(blocks.count.sum()) for blocks in parities[:-1])])
    vectors = [blocks.vectors for blocks in parities if blocks.vectors is not None]
    return Blocks(
        occupied=np.stack([blocks.occupied for blocks in parities], axis),
        nonzero=np.stack([blocks.nonzero for blocks in parities], axis),
        count=np.stack([blocks.count for blocks in parities], axis),
        first=np.stack([blocks.first + offset for blocks, offset in zip(parities, offsets, strict=True)], axis),
        vectors=Vectors(
            np.concatenate([each.values for each in vectors]), np.concatenate([each.addresses for each in vectors])
        )
        if vectors
        else None,
    )
