"""In which accumulator bank the products of a vector of weights and a vector of activations are added up.

A PE's partial sums lie in its banks one after the other: output channel k, row y and column x of its output tile in
bank ``((k * rows + y) * columns + x) mod A``, ``rows x columns`` being the largest PE's tile (Parashar et al., SCNN,
ISCA 2017, section III-B: one address range, split across the banks). Products that leave the PE's tile are dropped.

Blocks of operands are drawn from density models with a fixed seed and packed into vectors in the order in which they
are stored: the same arguments give the same vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

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

    def banks_of_addresses(self) -> Integers:
        """Banks by address, (tiles, parities, addresses + 1); A where a product is dropped."""
        width, height = self.reach
        channel = np.arange(self.channels)[:, None, None]
        banks = np.full((len(self.tiles), len(self.parities), self.addresses + 1), self.banks)
        for place, (i, j) in enumerate(self.parities):
            for tile, (x, y) in enumerate(self.tiles):
                column = np.arange(width) + x.origins[i] - max(self.shifts[0][i])
                row = (np.arange(height) + y.origins[j] - max(self.shifts[1][j]))[:, None]
                kept = (column >= 0) & (column < x.kept) & (row >= 0) & (row < y.kept)
                bank = ((channel * self.rows + row) * self.columns + column) % self.banks
                banks[tile, place, :-1] = np.where(kept, bank, self.banks).ravel()
        return banks

    def weights(self, zeros: DensityModel) -> Vectors:
        """Blocks of weights, (parities * POOL)."""
        shapes = [(self.channels, 1, len(self.shifts[1][j]), len(self.shifts[0][i])) for i, j in self.parities]
        packed = tuple(_packed(zeros, shape, self.weight_lanes) for shape in shapes)
        return Vectors(packed, self._weight_addresses, self.weight_lanes)

    @cached_property
    def _weight_addresses(self) -> tuple[Integers, ...]:
        width, height = self.reach
        found = []
        for i, j in self.parities:
            across, down = np.array(self.shifts[0][i]), np.array(self.shifts[1][j])
            taps = (down.max() - down)[:, None] * width + across.max() - across
            address = np.arange(self.channels)[:, None, None] * (height * width) + taps
            found.append(np.append(address, self.addresses))
        return tuple(found)

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
        shapes = [(1, 1, y[j], x[i]) for x, y in self.sizes for i, j in self.parities]
        packed = tuple(_packed(zeros, shape, self.activation_lanes) for shape in shapes)
        return Vectors(packed, self._activation_addresses, self.activation_lanes)

    @cached_property
    def _activation_addresses(self) -> tuple[Integers, ...]:
        return tuple(
            np.append(np.arange(y[j])[:, None] * self.reach[0] + np.arange(x[i]), self.addresses)
            for x, y in self.sizes
            for i, j in self.parities
        )


@dataclass(frozen=True)
class Vectors:
    """Blocks of operands of several kinds, one kind after the other.

    ``addresses``: what every position of a kind adds to an address; the last one is that of empty lanes.
    """

    packed: tuple[_Packed, ...]
    addresses: tuple[Integers, ...]
    lanes: int

    @cached_property
    def number(self) -> Integers:
        """How many vectors each block has."""
        return np.concatenate([one.number for one in self.packed])

    def taken(self, blocks: Integers, places: Integers) -> Integers:
        """What the lanes of some vectors add to an address, (vectors, lanes): the ``places``-th ones of ``blocks``."""
        # Far fewer than there are: no reason to join all of them first.
        kinds, block = np.divmod(blocks, POOL)
        found = np.empty((len(blocks), self.lanes), np.int64)
        for kind, (packed, addresses) in enumerate(zip(self.packed, self.addresses, strict=True)):
            chosen = np.flatnonzero(kinds == kind) if len(self.packed) > 1 else slice(None)
            vectors = packed.first.take(block[chosen]) + places[chosen]
            found[chosen] = addresses.take(packed.positions.take(vectors, axis=0))
        return found


class _Packed(NamedTuple):
    """How many vectors each block has, the first of them, and the positions in their lanes, or one beyond: empty."""

    number: Integers
    first: Integers
    positions: Integers


@lru_cache(maxsize=1 << 10)
def _packed(zeros: DensityModel, tile: tuple[int, ...], lanes: int) -> _Packed:
    if 0 in tile:
        nothing = np.zeros(POOL, dtype=np.int64)
        return _Packed(nothing, nothing, np.zeros((0, lanes), dtype=np.int64))
    blocks = min(POOL, max(_FEWEST, _POSITIONS // math.prod(tile)))
    drawn = zeros.drawn_tiles(tile, blocks)
    drawn = drawn.reshape(-1, drawn.shape[-1])
    drawn = drawn[np.arange(blocks) * len(drawn) // blocks]
    filled = np.count_nonzero(drawn, axis=1)
    number = -(-filled // lanes)
    first = np.cumsum(number) - number
    found = np.flatnonzero(drawn)
    positions = np.full((int(number.sum()), lanes), drawn.shape[1])
    place = np.arange(found.size) + np.repeat(first * lanes - (np.cumsum(filled) - filled), filled)
    positions.reshape(-1)[place] = found - np.repeat(np.arange(blocks) * drawn.shape[1], filled)
    standing = np.arange(POOL) * blocks // POOL
    return _Packed(number[standing], first[standing], positions)
