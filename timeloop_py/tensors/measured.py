"""Zeros as a real tensor has them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from timeloop_py.numbers.operations import Number
from timeloop_py.tensors.density import (
    Array,
    DensityModel,
    Mask,
    Tile,
    each_tile,
    expected_maximum_of_distributions,
    pmf_of_vectors,
    positions,
)


@dataclass(frozen=True, eq=False)
class Measured(DensityModel):
    """The zeros of one tensor. Rank 0 is the channel; a vector is one channel.

    Statistics run over its aligned tiles: runs of positions inside each flattened channel for a tile given as a
    count, boxes for one given as a shape (leading ranks that either does not have count 1). What does not fill a whole
    tile at the end of a rank is left out; a tile longer than the rank is cut to it.
    """

    mask: Mask

    @property
    def independent_tiles(self) -> bool:
        return False

    @classmethod
    def of(cls, tensor: ArrayLike) -> Measured:
        """From values (non-zero is what differs from 0) or from a boolean mask."""
        mask = np.atleast_1d(np.asarray(tensor) != 0)
        if mask.size == 0:
            raise ValueError("a tensor without positions has no density")
        mask.flags.writeable = False
        return cls(mask)

    @property
    def density(self) -> float:
        return float(self.mask.mean())

    @cached_property
    def channel_densities(self) -> Array:
        """Density of every channel."""
        return np.asarray(self._channels.mean(axis=1))

    def tile_occupancies(self, tile: Tile) -> NDArray[np.int64]:
        """Non-zeros of every tile: (channels, tiles of a channel); rows of channels where a shape spans several."""
        occupancies: NDArray[np.int64] = self.drawn_tiles(tile).sum(axis=2)
        return occupancies

    def drawn_tiles(self, tile: Tile, count: int | None = None) -> Mask:
        """All tiles of the tensor, [channels, tiles of a channel, positions], however many are asked for."""
        if not isinstance(tile, tuple):
            channels, length = self._channels.shape
            size = min(int(tile), length)
            if size == 0:
                return np.zeros((channels, 1, 0), dtype=bool)
            return self._channels[:, : length - length % size].reshape(channels, -1, size)
        beyond = max(0, len(tile) - self.mask.ndim)
        if math.prod(tile[:beyond]) > 1:
            raise ValueError(f"a tile of {len(tile)} ranks of a tensor of {self.mask.ndim}")
        extents = (1,) * (self.mask.ndim - len(tile)) + tile[beyond:]
        extents = tuple(min(side, extent) for side, extent in zip(extents, self.mask.shape, strict=True))
        counts = tuple(extent // side for side, extent in zip(extents, self.mask.shape, strict=True))
        cut = self.mask[tuple(slice(c * side) for c, side in zip(counts, extents, strict=True))]
        split = cut.reshape([part for pair in zip(counts, extents, strict=True) for part in pair])
        ranks = len(counts)
        tiles = split.transpose(*range(0, 2 * ranks, 2), *range(1, 2 * ranks, 2))
        rows = counts[0] if self.mask.ndim > 1 else 1
        return tiles.reshape(rows, -1, math.prod(extents))

    def expected_occupancy(self, tile: Tile) -> Any:
        """The mean over the tensor's tiles."""
        return each_tile(lambda one: float(self.tile_occupancies(one).mean()), tile)

    def worst_occupancy(self, tile: Tile) -> Any:
        """The fullest of the tensor's tiles."""
        return each_tile(lambda one: int(self.tile_occupancies(one).max()), tile)

    def occupancy_pmf(self, tile: Tile) -> Array:
        """The share of the tensor's tiles that have each occupancy."""
        return _histogram(self.tile_occupancies(tile), int(positions(tile)))

    def tile_variance(self, tile: Tile, lanes: Number) -> Any:
        """The variance between the tiles of one channel, averaged over channels."""

        def within_channels(one: Tile, width: int) -> float:
            return float(np.var(-(-self.tile_occupancies(one) // width), axis=1).mean())

        return each_tile(within_channels, tile, lanes)

    def _maximum_of_classes(self, classes: list[tuple[int, int, int]]) -> float:
        """The mean over channels, each with the distribution of its own tiles."""
        occupancies = [(self.tile_occupancies(size), size, lanes, copies) for size, lanes, copies in classes]
        maxima = []
        for channel in range(len(self._channels)):
            drawn = [(pmf_of_vectors(_histogram(o[channel], n), lanes), copies) for o, n, lanes, copies in occupancies]
            maxima.append(expected_maximum_of_distributions(drawn))
        return float(np.mean(maxima))

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        """The tensor's own zeros, whatever the seed; ``shape`` must be its shape, leading ranks split or joined."""
        last = self.mask.ndim - 1
        if math.prod(shape) != self.mask.size or (last and shape[-last:] != self.mask.shape[-last:]):
            raise ValueError(f"the measured tensor has shape {self.mask.shape}, not {shape}")
        return self.mask.reshape(shape).copy()

    @cached_property
    def _channels(self) -> Mask:
        return self.mask.reshape(len(self.mask) if self.mask.ndim > 1 else 1, -1)


def _histogram(occupancies: NDArray[np.int64], size: int) -> Array:
    return np.asarray(np.bincount(occupancies.ravel(), minlength=size + 1) / occupancies.size)
