"""Density models: what is known about the zeros of a tensor before its values are known.

A model answers for a *tile*. A tile is a count of consecutive positions (an int), an array of such counts, or a shape
(a tuple of ints) where the model has structure along ranks. Tiles are aligned: they start where the structure starts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timeloop_py.numbers.expectation import (
    ceiling_moments,
    expected_maximum_of_ceilings,
    probability_empty,
)
from timeloop_py.numbers.operations import Number
from timeloop_py.numbers.sums import Distribution, expected_maximum_of_sums, largest_of, slowest_sum

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: positions (an int or an array of ints), or a shape
Tile = Any

# Tiles drawn where no closed form is known: means are off by a twentieth of a tile's standard deviation.
DRAWN_TILES = 512


def positions(tile: Tile) -> Any:
    """Positions of a tile: the product of a shape, or the count itself."""
    return math.prod(tile) if isinstance(tile, tuple) else tile


class DensityModel(ABC):
    """What is known about the zeros of a tensor.

    A new model gives :attr:`density`, :meth:`worst_occupancy`, :meth:`occupancy_pmf` and :meth:`sample`; everything
    else follows from the distribution of a tile's occupancy, and is replaced where a closed form is quicker.
    """

    @property
    def independent_tiles(self) -> bool:
        """Whether the tiles of a channel are drawn independently of each other, and all channels alike."""
        return True

    def channel_covariance(self, tile: Tile, lanes: int) -> float:
        """Covariance of ``ceil(nnz / lanes)`` of a tile with those of the same place in all other channels together.

        0 where channels are independent; what structure along channels evens out, or adds up.
        """
        return 0.0

    @property
    @abstractmethod
    def density(self) -> Number:
        """Expected fraction of non-zeros."""

    @abstractmethod
    def worst_occupancy(self, tile: Tile) -> Any:
        """The most non-zeros that a tile can have."""

    @abstractmethod
    def occupancy_pmf(self, tile: Tile) -> Array:
        """Probability that one tile has 0, 1, ..., n non-zeros: an array of n + 1. Not for arrays of tiles."""

    @abstractmethod
    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        """A tensor drawn from the model: true where it is non-zero."""

    def drawn_tiles(self, tile: Tile, count: int = DRAWN_TILES) -> Mask:
        """Tiles of the model, [channels, tiles of a channel, positions]: ``count`` in all, drawn with a fixed seed.

        For what depends on where the non-zeros of a tile lie, and not on their number alone.
        """
        shape = tile if isinstance(tile, tuple) else (int(tile),)
        rng = np.random.default_rng(0)
        drawn = np.stack([self.sample(shape, rng).reshape(-1) for _ in range(count)])
        return drawn[None] if self.independent_tiles else drawn[:, None]

    def expected_occupancy(self, tile: Tile) -> Any:
        """Expected non-zeros of a tile."""
        return positions(tile) * self.density

    def probability_empty(self, tile: Tile) -> Any:
        """Probability that a tile has no non-zero."""
        return each_tile(lambda one: float(self.occupancy_pmf(one)[0]), tile)

    def probability_above(self, tile: Tile, occupancy: int) -> float:
        """Probability that a tile has more than ``occupancy`` non-zeros (that it overflows such a buffer)."""
        return float(np.sum(self.occupancy_pmf(tile)[occupancy + 1 :]))

    def vector_moments(self, tile: Tile, lanes: Number) -> tuple[Any, Any]:
        """Mean and variance of ``ceil(nnz / lanes)``, the vectors that a tile's non-zeros fill."""
        moments = np.asarray(each_tile(self._moments, tile, lanes))
        return moments[..., 0][()], moments[..., 1][()]

    def vectors(self, tile: Tile, lanes: int) -> Distribution:
        """The distribution of ``ceil(nnz / lanes)`` of one tile."""
        return Distribution(0, pmf_of_vectors(self.occupancy_pmf(tile), lanes))

    def tile_variance(self, tile: Tile, lanes: Number) -> Any:
        """Variance of ``ceil(nnz / lanes)`` between the tiles of one channel.

        It is what makes PEs wait for each other. Smaller than the variance of :meth:`vector_moments` where tiles of
        a channel have something in common; the same where, as here, they do not.
        """
        return self.vector_moments(tile, lanes)[1]

    def expected_maximum_vectors(self, sizes: Number, counts: Number, lanes: Number, axis: int = -1) -> Any:
        """``E[max of ceil(nnz / lanes)]`` over the tiles of one channel: ``counts[i]`` tiles of ``sizes[i]`` positions.

        Arguments broadcast; ``axis`` runs over classes of tiles and is reduced.
        """
        arrays = np.broadcast_arrays(sizes, counts, lanes)
        size, count, width = (np.moveaxis(values, axis, -1) for values in arrays)
        result = np.empty(size.shape[:-1])
        for index in np.ndindex(result.shape):
            classes = zip(size[index], count[index], width[index], strict=True)
            result[index] = self._maximum_of_classes([(int(n), int(w), int(c)) for n, c, w in classes if c > 0])
        return result[()]

    def expected_maximum_sums(
        self,
        channels: Number,
        weight_mean: Number,
        weight_variance: Number,
        sizes: Number,
        counts: Number,
        lanes: Number,
        at_least: Number = 0.0,
        axis: int = -1,
        each_channel: bool = False,
    ) -> Any:
        """``E[max(D, max over tiles of sum over channels of W * ceil(nnz / lanes))]``.

        ``counts[i]`` tiles of ``sizes[i]`` positions in every channel, W common to them; with ``each_channel`` the
        maximum is taken in every channel. See :mod:`timeloop_py.numbers.sums`. ``sizes`` may be a list of tiles given
        as shapes, where nothing else is an array.
        Where tiles are not independent (:attr:`independent_tiles`) they are taken as if they were.
        """
        if isinstance(sizes, list) and any(isinstance(size, tuple) for size in sizes):
            present = [(self.vectors(size, lanes), count) for size, count in zip(sizes, counts, strict=True) if count]
            members, copies = [member for member, _ in present], np.array([float(count) for _, count in present])
            if each_channel:
                members, copies = [largest_of(members, copies)], np.ones(1)
            rows = (np.array([float(value)]) for value in (channels, weight_mean, weight_variance, at_least))
            return slowest_sum(members, copies, *rows)[0]
        return expected_maximum_of_sums(
            channels, weight_mean, weight_variance, sizes, counts, 1.0, lanes, at_least, axis, each_channel,
            lambda size, _, width: self.vectors(size, width),
        )  # fmt: skip

    def _maximum_of_classes(self, classes: list[tuple[int, int, int]]) -> float:
        """For classes of (size, lanes, count)."""
        drawn = [(pmf_of_vectors(self.occupancy_pmf(size), lanes), count) for size, lanes, count in classes]
        return expected_maximum_of_distributions(drawn)

    def _moments(self, tile: Tile, lanes: int) -> tuple[float, float]:
        return mean_and_variance(pmf_of_vectors(self.occupancy_pmf(tile), lanes))


@dataclass(frozen=True)
class Bernoulli(DensityModel):
    """Unstructured zeros: every position is non-zero with probability ``probability``, independently.

    ``probability`` may be an array that broadcasts with tiles and lanes, or a SymPy expression: then moments and
    probabilities are arrays or formulas. :meth:`occupancy_pmf` and :meth:`sample` need a number.
    """

    probability: Number

    @property
    def density(self) -> Number:
        return self.probability

    def worst_occupancy(self, tile: Tile) -> Any:
        """All positions, unless the density is 0."""
        return positions(tile) * (np.asarray(self.probability) > 0).astype(int)

    def probability_empty(self, tile: Tile) -> Any:
        """``(1 - probability)^n``."""
        return probability_empty(positions(tile), self.probability)

    def occupancy_pmf(self, tile: Tile) -> Array:
        """Binomial."""
        return binomial_pmf(int(positions(tile)), float(self.probability))

    def vector_moments(self, tile: Tile, lanes: Number) -> tuple[Any, Any]:
        """Closed form, arrays and formulas included."""
        return ceiling_moments(positions(tile), self.probability, lanes)

    def expected_maximum_vectors(self, sizes: Number, counts: Number, lanes: Number, axis: int = -1) -> Any:
        """From the exact discrete distribution, arrays and formulas included."""
        return expected_maximum_of_ceilings(sizes, counts, self.probability, lanes, axis)

    def expected_maximum_sums(
        self,
        channels: Number,
        weight_mean: Number,
        weight_variance: Number,
        sizes: Number,
        counts: Number,
        lanes: Number,
        at_least: Number = 0.0,
        axis: int = -1,
        each_channel: bool = False,
    ) -> Any:
        """Arrays and formulas included."""
        return expected_maximum_of_sums(
            channels, weight_mean, weight_variance, sizes, counts, self.probability, lanes, at_least, axis, each_channel
        )

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        return np.less(rng.random(shape), float(self.probability), dtype=np.bool_)

    def drawn_tiles(self, tile: Tile, count: int = DRAWN_TILES) -> Mask:
        return self.sample((1, count, int(positions(tile))), np.random.default_rng(0))


@dataclass(frozen=True)
class Fixed(DensityModel):
    """Zeros spread evenly: a tile of n positions has ``n*share`` non-zeros, or one of the two whole numbers around.

    Sparseloop's ``fixed_structured``. Share 1.0 is a dense tensor.
    """

    share: float

    @property
    def density(self) -> float:
        return self.share

    def worst_occupancy(self, tile: Tile) -> Any:
        return each_tile(lambda one: math.ceil(_even(one, self.share)), tile)

    def occupancy_pmf(self, tile: Tile) -> Array:
        """The two whole numbers around ``n*share``, weighted so that the mean is exact."""
        occupancy = _even(tile, self.share)
        pmf = np.zeros(int(positions(tile)) + 1)
        low = math.floor(occupancy)
        pmf[low] = 1 - (occupancy - low)
        if occupancy > low:
            pmf[low + 1] = occupancy - low
        return pmf

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        """Evenly spaced non-zeros along the flattened tensor, from a random phase."""
        steps = np.floor(np.arange(math.prod(shape) + 1) * self.share + rng.random())
        return np.asarray(np.diff(steps) > 0).reshape(shape)


@dataclass(frozen=True)
class Hypergeometric(DensityModel):
    """An exact count of non-zeros at random places of a tensor of ``tensor_size`` positions.

    The count is ``ceil(target_density * tensor_size)``, as Sparseloop takes it; :attr:`density` is the exact ratio.
    """

    target_density: float
    tensor_size: int

    @property
    def nonzeros(self) -> int:
        """Non-zeros of the whole tensor."""
        return min(self.tensor_size, math.ceil(round(self.target_density * self.tensor_size, 9)))

    @property
    def density(self) -> float:
        return self.nonzeros / self.tensor_size

    def worst_occupancy(self, tile: Tile) -> Any:
        return np.minimum(positions(tile), self.nonzeros)[()]

    def probability_empty(self, tile: Tile) -> Any:
        """``C(N - K, n) / C(N, n)`` for K non-zeros among N positions."""
        n = np.asarray(positions(tile))
        drawn = np.arange(int(np.max(n, initial=0)))
        with np.errstate(divide="ignore"):
            left = np.maximum(self.tensor_size - self.nonzeros - drawn, 0)
            logs = np.concatenate([[0.0], np.cumsum(np.log(left / (self.tensor_size - drawn)))])
        return np.exp(logs[n])[()]

    def occupancy_pmf(self, tile: Tile) -> Array:
        return hypergeometric_pmf(self.tensor_size, self.nonzeros, int(positions(tile)))

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        """The exact count where the shape is the tensor's size, else the same share of it (rounded up)."""
        size = math.prod(shape)
        nonzeros = self.nonzeros if size == self.tensor_size else math.ceil(round(self.density * size, 9))
        mask = np.zeros(size, dtype=bool)
        mask[rng.choice(size, nonzeros, replace=False)] = True
        return mask.reshape(shape)


def binomial_pmf(n: int, density: float) -> Array:
    """Probability of 0..n non-zeros among ``n`` independent positions."""
    if density <= 0 or density >= 1:
        return _certain(n + 1, n if density >= 1 else 0)
    k = np.arange(n)
    return _normalised(np.log((n - k) / (k + 1)) + math.log(density / (1 - density)))


def hypergeometric_pmf(total: int, nonzeros: int, drawn: int) -> Array:
    """Probability of 0..drawn non-zeros among ``drawn`` of ``total`` positions of which ``nonzeros`` are non-zero."""
    if not 0 <= drawn <= total:
        raise ValueError(f"a tile of {drawn} positions does not fit a tensor of {total}")
    low, high = max(0, drawn + nonzeros - total), min(drawn, nonzeros)
    k = np.arange(low, high)
    ratios = np.log((nonzeros - k) * (drawn - k) / ((k + 1) * (total - nonzeros - drawn + k + 1.0)))
    pmf = np.zeros(drawn + 1)
    pmf[low : high + 1] = _normalised(ratios)
    return pmf


def expected_maximum_of_distributions(classes: list[tuple[Array, int]]) -> float:
    """``E[max]`` over independent draws: pairs of a pmf over 0, 1, ... and the number of draws from it."""
    length = max((pmf.size for pmf, _ in classes), default=1)
    below = np.ones(length)
    for pmf, count in classes:
        below *= np.concatenate([np.minimum(np.cumsum(pmf), 1.0), np.ones(length - pmf.size)]) ** count
    return float(np.sum(1 - below[:-1]))


def pmf_of_vectors(pmf: Array, lanes: int) -> Array:
    """The distribution of ``ceil(X / lanes)`` from that of X."""
    padded = np.concatenate([pmf[1:], np.zeros(-(pmf.size - 1) % lanes)])
    return np.concatenate([pmf[:1], padded.reshape(-1, lanes).sum(axis=1)])


def mean_and_variance(pmf: Array) -> tuple[float, float]:
    """Of a distribution over 0, 1, ..."""
    values = np.arange(pmf.size)
    mean = float(values @ pmf)
    return mean, float((values - mean) ** 2 @ pmf)


def _certain(length: int, value: int) -> Array:
    pmf = np.zeros(length)
    pmf[value] = 1.0
    return pmf


def _normalised(log_ratios: Array) -> Array:
    """A pmf from the logarithms of the ratios of neighbours: accurate where factorials overflow."""
    logs = np.concatenate([[0.0], np.cumsum(log_ratios)])
    pmf = np.exp(logs - logs.max())
    return np.asarray(pmf / pmf.sum())


def _even(tile: Tile, density: float) -> float:
    """``n * density`` without the rounding error that would make 10 * 0.3 more than 3."""
    return round(float(positions(tile)) * density, 9)


def each_tile(function: Callable[..., Any], tile: Tile, *others: Number) -> Any:
    """Apply to a single tile, or to every entry of arrays of tiles (equal entries once)."""
    if isinstance(tile, tuple):
        if all(np.ndim(other) == 0 for other in others):
            return function(tile, *others)
        raise TypeError("a tile given as a shape takes no arrays beside it")
    arrays = np.broadcast_arrays(tile, *others)
    if arrays[0].ndim == 0:
        return function(*(int(entry) for entry in arrays))
    rows = np.stack([np.ravel(entries) for entries in arrays], axis=1)
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    values = np.array([function(*(int(entry) for entry in row)) for row in distinct])
    return values[place.reshape(arrays[0].shape)]
