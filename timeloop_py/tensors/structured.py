"""Structured zeros: blocks and SIMD groups, N:M, whole channels, bands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from timeloop_py.numbers.operations import Number
from timeloop_py.tensors.density import (
    Array,
    DensityModel,
    Mask,
    Tile,
    binomial_pmf,
    each_tile,
    hypergeometric_pmf,
    positions,
)

#: The rank of channels, counted from the last, of a tile [.., channels, rows, columns].
CHANNEL_RANK = 3
# Positions up to which the joint distribution of two channels is computed.
_EXACT_POSITIONS = 256


@dataclass(frozen=True)
class BlockStructured(DensityModel):
    """Blocks are non-zero as a whole with probability ``kept``, independently, or zero as a whole.

    ``block`` is the shape of a block along the last ranks. A tile given as a shape is cut by its own ranks; one given
    as a count runs through whole blocks one after the other. Blocks at the edge of a tensor or tile are cut short.

    ``BlockStructured(d, (w,))`` is SIMD-aware pruning with groups of w weights (Yu et al., "Scalpel", ISCA 2017).
    """

    kept: float
    block: tuple[int, ...]

    @property
    def density(self) -> float:
        return self.kept

    def worst_occupancy(self, tile: Tile) -> Any:
        return positions(tile) * int(self.kept > 0)

    def occupancy_pmf(self, tile: Tile) -> Array:
        """The sum over equal pieces of blocks: each a binomial count of pieces times the size of the piece."""
        pieces = [_scaled(binomial_pmf(count, self.kept), size) for size, count in self._pieces(tile).items()]
        return reduce(np.convolve, pieces, np.ones(1))

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        blocks = _padded(self.block, len(shape))
        grid = tuple(-(-extent // side) for extent, side in zip(shape, blocks, strict=True))
        mask = rng.random(grid) < self.kept
        for axis, side in enumerate(blocks):
            mask = np.repeat(mask, side, axis=axis)
        return mask[tuple(slice(extent) for extent in shape)]

    def channel_covariance(self, tile: Tile, lanes: int) -> float:
        """The channels of a block share its fate; rank -3 of a tile given as a shape is that of channels."""
        if not isinstance(tile, tuple) or len(self.block) < CHANNEL_RANK:
            return 0.0
        return (self.block[-CHANNEL_RANK] - 1) * self._moments(tile, lanes)[1]

    def _pieces(self, tile: Tile) -> dict[int, int]:
        """How many pieces of blocks of each size an aligned tile consists of."""
        if not isinstance(tile, tuple):
            whole, rest = divmod(int(tile), math.prod(self.block))
            pieces = [(math.prod(self.block), whole), (rest, 1)]
        else:
            ranks = max(len(tile), len(self.block))
            axes = []
            for extent, side in zip(_padded(tile, ranks), _padded(self.block, ranks), strict=True):
                axes.append([(side, extent // side), (extent % side, 1)])
            pieces = [(math.prod(s for s, _ in part), math.prod(c for _, c in part)) for part in product(*axes)]
        counted: dict[int, int] = {}
        for size, count in pieces:
            if size * count:
                counted[size] = counted.get(size, 0) + count
        return counted


@dataclass(frozen=True)
class NMStructured(DensityModel):
    """Exactly ``n`` of every ``m`` consecutive positions along a rank are non-zero (2:4 and its kin).

    ``axis`` counts ranks from the last, -1. Tiles start at a group; a group that the end of a row or tile cuts short
    keeps its first positions. A tile given as a count runs along that rank.
    """

    n: int
    m: int
    axis: int = -1

    @property
    def density(self) -> float:
        return self.n / self.m

    def worst_occupancy(self, tile: Tile) -> Any:
        rows, groups, rest = self._groups(tile)
        return rows * (groups * self.n + np.minimum(self.n, rest))

    def occupancy_pmf(self, tile: Tile) -> Array:
        """Certain for whole groups, hypergeometric for those cut short."""
        rows, groups, rest = (int(part) for part in self._groups(tile))
        cut = reduce(np.convolve, [hypergeometric_pmf(self.m, self.n, rest)] * rows, np.ones(1))
        pmf = np.zeros(int(positions(tile)) + 1)
        certain = rows * groups * self.n
        pmf[certain : certain + cut.size] = cut
        return pmf

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        rows = (*shape[: self.axis], *shape[len(shape) + self.axis + 1 :])
        extent = shape[self.axis]
        groups = -(-extent // self.m)
        rank = np.argsort(np.argsort(rng.random((*rows, groups, self.m)), axis=-1), axis=-1)
        kept = (rank < self.n).reshape(*rows, groups * self.m)[..., :extent]
        return np.moveaxis(kept, -1, self.axis)

    def channel_covariance(self, tile: Tile, lanes: int) -> float:
        """Along channels (rank -3) a position has n of m: what one channel has more the m - 1 others have less.

        From the joint distribution of two channels' counts, whose generating function at one position is
        ``p00 + p10 (x + y) + p11 x y``; of large tiles, where rounding up to vectors hardly matters, in the limit.
        """
        if not isinstance(tile, tuple) or self.axis != -CHANNEL_RANK or self.m == 1:
            return 0.0
        mean, variance = self._moments(tile, lanes)
        n = math.prod(tile)
        if n > _EXACT_POSITIONS:
            return -variance
        both = self.density * (self.n - 1) / (self.m - 1)
        one = self.density - both
        turn = np.exp(-2j * np.pi * np.arange(n + 1) / (n + 1))
        x, y = turn[:, None], turn[None, :]
        joint = np.fft.ifft2((1 - both - 2 * one + one * (x + y) + both * x * y) ** n).real
        vectors = -(-np.arange(n + 1) // lanes)
        # Never so far below nothing that the sum over the channels of a group would vary by less than nothing.
        return max(-variance, float((self.m - 1) * (vectors @ joint @ vectors - mean**2)))

    def _groups(self, tile: Tile) -> tuple[int, Any, Any]:
        """Rows of a tile, whole groups in each and positions left over in each."""
        if not isinstance(tile, tuple):
            return 1, tile // self.m, tile % self.m
        length = tile[self.axis]
        if length == 0:
            return 0, 0, 0
        return math.prod(tile) // length, length // self.m, length % self.m


@dataclass(frozen=True)
class WholeChannel(DensityModel):
    """Whole channels (nodes) are zero: a channel is dense with probability ``kept``, else empty.

    Channels lie along rank ``axis``. A tile given as a count lies inside one channel; one given as a shape spans as
    many channels as it is long along ``axis``. All tiles of a channel share its fate, so no PE waits for another
    because of it. Node pruning of Yu et al., "Scalpel", ISCA 2017.
    """

    kept: float
    axis: int = 0

    @property
    def independent_tiles(self) -> bool:
        return False

    @property
    def density(self) -> float:
        return self.kept

    def worst_occupancy(self, tile: Tile) -> Any:
        return positions(tile) * int(self.kept > 0)

    def occupancy_pmf(self, tile: Tile) -> Array:
        channels = tile[self.axis] if isinstance(tile, tuple) else 1
        return _scaled(binomial_pmf(channels, self.kept), int(positions(tile)) // channels)

    def tile_variance(self, tile: Tile, lanes: Number) -> Any:
        """None: the tiles of one channel are all dense or all empty."""
        return np.zeros(np.broadcast_shapes(np.shape(positions(tile)), np.shape(lanes)))[()]

    def expected_maximum_vectors(self, sizes: Number, counts: Number, lanes: Number, axis: int = -1) -> Any:
        """``kept`` times the vectors of the largest tile."""
        vectors = np.where(np.asarray(counts) > 0, -(-np.asarray(sizes) // lanes), 0)
        return self.kept * np.max(vectors, axis=axis)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        """``kept * channels`` channels at random; a fraction of a channel is one more with that probability."""
        channels = shape[self.axis]
        count = math.floor(round(self.kept * channels, 9) + rng.random())
        alive = np.zeros(channels, dtype=bool)
        alive[rng.choice(channels, count, replace=False)] = True
        extents = [1] * len(shape)
        extents[self.axis] = channels
        return np.array(np.broadcast_to(alive.reshape(extents), shape))


@dataclass(frozen=True)
class Banded(DensityModel):
    """A matrix of ``rows x columns`` whose non-zeros are where ``|row - column| <= half_width``.

    Nothing is random but where a tile lies: distributions run over all aligned tiles of the matrix, each equally
    likely. A tile given as a count is part of one row. Sparseloop's ``banded`` (there for square matrices).
    """

    rows: int
    columns: int
    half_width: int

    @property
    def independent_tiles(self) -> bool:
        return False

    @property
    def density(self) -> float:
        return float(self._occupancies(self.rows, self.columns)[0, 0]) / (self.rows * self.columns)

    def worst_occupancy(self, tile: Tile) -> Any:
        return each_tile(lambda one: int(self._occupancies(*self._sides(one)).max()), tile)

    def expected_occupancy(self, tile: Tile) -> Any:
        """The mean over all tiles; tiles at the edge of the matrix may be cut short."""
        return each_tile(lambda one: float(self._occupancies(*self._sides(one)).mean()), tile)

    def occupancy_pmf(self, tile: Tile) -> Array:
        occupancies = self._occupancies(*self._sides(tile)).ravel()
        counts = np.bincount(occupancies, minlength=int(positions(tile)) + 1)
        return np.asarray(counts / occupancies.size)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        """The matrix itself, whatever the seed; ``shape`` must be its shape."""
        if shape != (self.rows, self.columns):
            raise ValueError(f"this band is a {self.rows} x {self.columns} matrix, not {shape}")
        return np.abs(np.subtract.outer(np.arange(self.rows), np.arange(self.columns))) <= self.half_width

    def _sides(self, tile: Tile) -> tuple[int, int]:
        height, width = tile if isinstance(tile, tuple) else (1, int(tile))
        return min(height, self.rows), min(width, self.columns)

    def _occupancies(self, height: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Non-zeros of every aligned tile of ``height x width``."""
        row = np.arange(self.rows)[:, None]
        first = np.arange(0, self.columns, width)
        last = np.minimum(first + width, self.columns)
        inside = np.minimum(last, row + self.half_width + 1) - np.maximum(first, row - self.half_width)
        return np.add.reduceat(np.maximum(inside, 0), np.arange(0, self.rows, height), axis=0)


def _padded(extents: tuple[int, ...], ranks: int) -> tuple[int, ...]:
    """The same shape with leading ranks of extent 1."""
    return (1,) * (ranks - len(extents)) + tuple(extents)


def _scaled(pmf: Array, factor: int) -> Array:
    """The distribution of ``factor * X``."""
    scaled = np.zeros((pmf.size - 1) * factor + 1)
    scaled[::factor] = pmf
    return scaled
