"""In which accumulator bank the products of a vector of weights and a vector of activations are added up.

A PE's partial sums lie in its banks one after the other: output channel k, row y and column x of its output tile in
bank ``((k * rows + y) * columns + x) mod A``, ``rows x columns`` being the largest PE's tile (Parashar et al., SCNN,
ISCA 2017, section III-B: one address range, split across the banks). Products that leave the PE's tile are dropped.

Blocks of operands are drawn from density models with a fixed seed and packed into vectors in the order in which they
are stored: the same arguments give the same vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from timeloop_py.tensors.density import DensityModel

Integers = NDArray[np.int64]
#: Per stride parity: by how many outputs each tap moves an input back.
Shifts = tuple[tuple[int, ...], ...]

#: Blocks of each kind to choose from. Of large ones fewer are drawn, and stand for several: about so many positions.
POOL = 512
_POSITIONS = 1 << 17
_FEWEST = 16


class Line(NamedTuple):
    """One axis of a PE's tile: inputs of each stride parity, the output of the first of them, and outputs kept.

    ``origins`` are outputs of a tap without shift, counted from the first output that the PE keeps.
    """

    sizes: tuple[int, ...]
    origins: tuple[int, ...]
    kept: int


@dataclass(frozen=True)
class Scatter:
    """What decides where the products of a group of output channels go.

    ``shifts`` along x and y. ``tiles``: the kinds of tiles that PEs have, as (x, y). ``channels``: of the group.
    ``columns`` and ``rows``: of the largest output tile. ``weight_lanes`` and ``activation_lanes`` are F and I.
    """

    shifts: tuple[Shifts, Shifts]
    tiles: tuple[tuple[Line, Line], ...]
    channels: int
    columns: int
    rows: int
    banks: int
    weight_lanes: int
    activation_lanes: int

    @cached_property
    def parities(self) -> list[tuple[int, int]]:
        """Stride parities of (x, y), x innermost."""
        return [(x, y) for y in range(len(self.shifts[1])) for x in range(len(self.shifts[0]))]

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Columns and rows of a box that holds the outputs of every tile's products, dropped ones included."""
        return self._reach_along(0), self._reach_along(1)

    def _reach_along(self, axis: int) -> int:
        lines = [tile[axis] for tile in self.tiles]
        return max(line.sizes[parity] + max(taps) for line in lines for parity, taps in enumerate(self.shifts[axis]))

    @property
    def addresses(self) -> int:
        """Places in that box, of all channels: the address at which products are dropped."""
        return self.channels * self.reach[0] * self.reach[1]

    def banks_of_addresses(self) -> NDArray[np.unsignedinteger[Any]]:
        """Banks by address, (tiles, parities, 2 * addresses + 1); A where a product is dropped.

        Where a lane of either side is empty, the two addresses add up to ``addresses`` or more.
        """
        width, height = self.reach
        channel = np.arange(self.channels)[:, None, None]
        shape = len(self.tiles), len(self.parities), 2 * self.addresses + 1
        banks = np.full(shape, self.banks, np.min_scalar_type(self.banks))  # small: it is read at random
        for place, (i, j) in enumerate(self.parities):
            for tile, (x, y) in enumerate(self.tiles):
                column = np.arange(width) + x.origins[i] - max(self.shifts[0][i])
                row = (np.arange(height) + y.origins[j] - max(self.shifts[1][j]))[:, None]
                kept = (column >= 0) & (column < x.kept) & (row >= 0) & (row < y.kept)
                bank = ((channel * self.rows + row) * self.columns + column) % self.banks
                banks[tile, place, : self.addresses] = np.where(kept, bank, self.banks).ravel()
        return banks

    def weights(self, zeros: DensityModel) -> Vectors:
        """Blocks of weights, (parities * POOL)."""
        width, height = self.reach
        packed, addresses = [], []
        for i, j in self.parities:
            across, down = np.array(self.shifts[0][i]), np.array(self.shifts[1][j])
            packed.append(_packed(zeros, (self.channels, 1, down.size, across.size), self.weight_lanes))
            taps = (down.max() - down)[:, None] * width + across.max() - across
            addresses.append((np.arange(self.channels)[:, None, None] * (height * width) + taps).ravel())
        return _joined(packed, addresses, self.addresses)

    @cached_property
    def sizes(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The sizes that tiles have along x and y, per parity."""
        return list(dict.fromkeys((x.sizes, y.sizes) for x, y in self.tiles))

    @cached_property
    def size_of_tile(self) -> Integers:
        """The place of every tile's sizes among them."""
        return np.array([self.sizes.index((x.sizes, y.sizes)) for x, y in self.tiles])

    def activations(self, zeros: DensityModel) -> Vectors:
        """Blocks of activations of tiles of every size, (sizes * parities * POOL)."""
        packed, addresses = [], []
        for x, y in self.sizes:
            for i, j in self.parities:
                packed.append(_packed(zeros, (1, 1, y[j], x[i]), self.activation_lanes))
                addresses.append((np.arange(y[j])[:, None] * self.reach[0] + np.arange(x[i])).ravel())
        return _joined(packed, addresses, self.addresses)


class Vectors(NamedTuple):
    """Blocks of operands: how many vectors each has, the first of them, and what lanes add to an address.

    ``addresses`` (vectors, lanes); ``number`` and ``first`` (blocks,).
    """

    number: Integers
    first: Integers
    addresses: Integers


class _Packed(NamedTuple):
    """The same with the positions in the block; -1 in empty lanes."""

    number: Integers
    first: Integers
    positions: Integers


@lru_cache(maxsize=1 << 10)
def _packed(zeros: DensityModel, tile: tuple[int, ...], lanes: int) -> _Packed:
    if 0 in tile:
        nothing = np.zeros(POOL, dtype=np.int64)
        return _Packed(nothing, nothing, np.full((0, lanes), -1))
    blocks = min(POOL, max(_FEWEST, _POSITIONS // math.prod(tile)))
    drawn = zeros.drawn_tiles(tile, blocks)
    drawn = drawn.reshape(-1, drawn.shape[-1])
    drawn = drawn[np.arange(blocks) * len(drawn) // blocks]
    filled = drawn.sum(axis=1)
    number = -(-filled // lanes)
    first = np.cumsum(number) - number
    place = np.flatnonzero(drawn)
    # Every block begins a vector: what that moves its non-zeros by, in lanes, and the positions before it.
    moved = first * lanes - (np.cumsum(filled) - filled)
    before = np.arange(blocks) * drawn.shape[1]
    positions = np.full((int(number.sum()), lanes), -1)
    positions.reshape(-1)[np.arange(place.size) + np.repeat(moved, filled)] = place - np.repeat(before, filled)
    standing = np.arange(POOL) * blocks // POOL
    return _Packed(number[standing], first[standing], positions)


def _joined(packed: Sequence[_Packed], addresses: Sequence[Integers], empty: int) -> Vectors:
    """Kinds of blocks one after the other; ``addresses`` of the positions of each kind, ``empty`` of empty lanes."""
    offsets = np.cumsum([0, *(len(one.positions) for one in packed[:-1])])
    return Vectors(
        np.concatenate([one.number for one in packed]),
        np.concatenate([one.first + offset for one, offset in zip(packed, offsets, strict=True)]),
        np.concatenate(
            [np.append(address, empty)[one.positions] for one, address in zip(packed, addresses, strict=True)]
        ),
    )
