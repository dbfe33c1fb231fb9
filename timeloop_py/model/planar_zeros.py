"""What zeros make of the blocks of a batch: vectors and stored entries (MODEL sections 2 and 5).

Unstructured zeros go through in arrays. Where a layer has a density model of its own, or where a run-length code
stores placeholders, the blocks are filled in one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from timeloop_py.model.batch import Array, Densities, Integers, Models, Rows
from timeloop_py.sparsity.fragmentation import Moments, activation_vectors, weight_vectors
from timeloop_py.tensors.density import Bernoulli, DensityModel
from timeloop_py.tensors.run_length import StoredEntries

#: Ranks of weights [K, C/G, S, R] or of activations [N, C, H, W].
Tile = tuple[int, ...]


class Structured(NamedTuple):
    """One block at one density point whose zeros follow a model of their own."""

    block: int
    point: int
    model: DensityModel


class BlockZeros:
    """Vectors and entries of every block; arrays (blocks, points), those of activations with PE classes in between.

    A machine that stores zeros sees densities of 1. ``activations`` and ``weights`` are the vectors of each, where they
    are known already.
    """

    def __init__(
        self,
        batch: Rows,
        densities: Densities,
        activations: Moments | None = None,
        weights: Moments | None = None,
    ) -> None:
        self.batch = batch
        self._known_activations = activations
        self._known_weights = weights
        if not batch.flow.template.compressed:
            ones = np.ones_like(densities.weight)
            densities = Densities(ones, ones, ones)
        self.densities = densities

    @property
    def points(self) -> int:
        """Density points."""
        return int(self.densities.weight.shape[1])

    # -- which blocks are special -------------------------------------------------------------------------

    @cached_property
    def weight_models(self) -> Models:
        """By (unit, point), where weights are not unstructured or not stored as they are."""
        return self._stored(self.densities.weight, self.densities.weight_models)

    @cached_property
    def activation_models(self) -> Models:
        """The same for activations."""
        return self._stored(self.densities.activation, self.densities.activation_models)

    def _stored(self, densities: Array, models: Models) -> Models:
        if not (self.batch.flow.placeholders and self.batch.flow.template.compressed):
            return models
        bits = self.batch.parameter("index_bits")
        return {
            (unit, point): StoredEntries(models.get((unit, point), Bernoulli(float(density))), int(bits[unit]))
            for (unit, point), density in np.ndenumerate(densities)
        }

    def _structured(self, models: Models) -> Iterator[Structured]:
        blocks = self.batch.blocks_of_unit if models else ()
        for (unit, point), model in models.items():
            for block in blocks[unit]:
                yield Structured(int(block), point, model)

    def weight_tile(self, block: int) -> Tile:
        """The weights of a (group, channel) block as a box of the weight tensor."""
        taps_x, taps_y = self.batch.blocks[block].filter
        channels = self.batch.group_channels[self.batch.group_of_block[block]]
        return int(channels), 1, taps_y, taps_x

    def activation_tiles(self, block: int) -> list[Tile]:
        """The tiles of a (channel, PE) block as boxes of the activation tensor, one per PE class of the pass."""
        return [(1, 1, height, width) for width, height in self.batch.blocks[block].tiles]

    def _lanes(self, name: str, block: int) -> int:
        return int(self.batch.parameter(name)[self.batch.unit_of_block[block]])

    # -- vectors and entries ------------------------------------------------------------------------------

    @cached_property
    def _weight_block(self) -> Integers:
        return self.batch.group_channels[self.batch.group_of_block] * self.batch.block_taps

    @cached_property
    def weights(self) -> Moments:
        """Vectors of F weights per (group, channel) block."""
        if self._known_weights is not None:
            return self._known_weights
        unit = self.batch.unit_of_block
        found = weight_vectors(
            self._weight_block[:, None],
            Bernoulli(self.densities.weight[unit]),
            self.batch.parameter("F")[unit, None],
        )
        mean, variance = np.array(found.mean), np.array(found.variance)
        for block, point, model in self._structured(self.weight_models):
            vectors = _vectors(model, self.weight_tile(block), self._lanes("F", block))
            mean[block, point], variance[block, point] = vectors.mean, vectors.variance
        return Moments(mean, variance)

    @cached_property
    def activations(self) -> Moments:
        """Vectors of I activations per (channel, tile) block, with the variance between tiles."""
        if self._known_activations is not None:
            return self._known_activations
        unit = self.batch.unit_of_block
        found = activation_vectors(
            self.batch.class_sizes[:, :, None],
            Bernoulli(self.densities.activation[unit][:, None, :]),
            self.batch.parameter("I")[unit, None, None],
        )
        mean, variance = np.array(found.mean), np.array(found.variance)
        for block, point, model in self._structured(self.activation_models):
            for place, tile in enumerate(self.activation_tiles(block)):
                vectors = _vectors(model, tile, self._lanes("I", block))
                mean[block, place, point], variance[block, place, point] = vectors.mean, vectors.between_tiles
        return Moments(mean, variance)

    @cached_property
    def channel_covariance(self) -> Array:
        """Covariance of a block's activation vectors with those of all other channels, (blocks, classes, points)."""
        covariance: Array = np.zeros(np.shape(self.activations.mean))
        for block, point, model in self._structured(self.activation_models):
            for place, tile in enumerate(self.activation_tiles(block)):
                covariance[block, place, point] = _covariance(model, tile, self._lanes("I", block))
        return covariance

    @cached_property
    def weight_entries(self) -> Array:
        """Stored weights of a (group, channel) block."""
        entries = self._weight_block[:, None] * self.densities.weight[self.batch.unit_of_block]
        for block, point, model in self._structured(self.weight_models):
            entries[block, point] = _entries(model, self.weight_tile(block))
        return entries

    @cached_property
    def activation_entries(self) -> Array:
        """Stored activations of a channel, of all PEs."""
        batch = self.batch
        entries = batch.positions[:, None] * self.densities.activation[batch.unit_of_block]
        for block, point, model in self._structured(self.activation_models):
            entries[block, point] = sum(count * _entries(model, tile) for count, tile in self._tiles_of_pes(block))
        return entries

    @cached_property
    def nonzero_share(self) -> Array:
        """Products of two non-zeros over products of two stored entries."""
        unit = self.batch.unit_of_block
        weights = self._weight_block[:, None] * self.densities.weight[unit]
        activations = self.batch.positions[:, None] * self.densities.activation[unit]
        stored = self.weight_entries * self.activation_entries
        share: Array = np.divide(weights * activations, stored, out=np.ones_like(stored), where=stored > 0)
        return np.minimum(share, 1.0)

    def _tiles_of_pes(self, block: int) -> list[tuple[int, Tile]]:
        """PEs and their tile, by class."""
        counts = self.batch.class_counts[self.batch.group_of_block[block]]
        return [(int(count), tile) for count, tile in zip(counts, self.activation_tiles(block), strict=False)]


class _Vectors(NamedTuple):
    mean: float
    variance: float
    between_tiles: float


@lru_cache(maxsize=1 << 16)
def _vectors(model: DensityModel, tile: Tile, lanes: int) -> _Vectors:
    if 0 in tile:
        return _Vectors(0.0, 0.0, 0.0)
    mean, variance = model.vector_moments(tile, lanes)
    return _Vectors(float(mean), float(variance), float(model.tile_variance(tile, lanes)))


@lru_cache(maxsize=1 << 16)
def _covariance(model: DensityModel, tile: Tile, lanes: int) -> float:
    return 0.0 if 0 in tile else model.channel_covariance(tile, lanes)


@lru_cache(maxsize=1 << 16)
def _entries(model: DensityModel, tile: Tile) -> float:
    return 0.0 if 0 in tile else float(model.expected_occupancy(tile))
