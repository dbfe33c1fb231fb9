"""Run-length codes: entries, placeholders and vectors of a tile (Parashar et al., SCNN, ISCA 2017, section IV).

A non-zero is stored with the number of zeros before it, at most ``2**run_bits - 1``. In a longer run every zero after
that many others is stored as a placeholder of its own, which takes a word (and a multiplier lane). Zeros after the
last non-zero are not stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timeloop_py.numbers.operations import Number
from timeloop_py.tensors.density import (
    DRAWN_TILES,
    Array,
    Bernoulli,
    DensityModel,
    Fixed,
    Hypergeometric,
    Mask,
    Tile,
    each_tile,
    mean_and_variance,
    pmf_of_vectors,
    positions,
)

#: Positions up to which :class:`StoredEntries` is exact.
EXACT_POSITIONS = 512
# Longer runs of zeros than this likely are left out of sums.
_NEGLIGIBLE = 1e-30


@dataclass(frozen=True)
class StoredEntries(DensityModel):
    """What a run-length code stores of a tensor: its non-zeros and the placeholders of runs that are too long.

    Occupancy counts both; :attr:`density` is that of the non-zeros. A tile's positions are coded in their order.
    Distributions are exact for independent zeros in tiles of up to :data:`EXACT_POSITIONS`; larger tiles count as a
    renewal process, normal around the exact mean. Of other models the number of non-zeros is exact, and the
    placeholders that go with it are those of drawn tiles (:meth:`.DensityModel.drawn_tiles`).
    """

    zeros: DensityModel
    run_bits: int

    @property
    def density(self) -> Number:
        return self.zeros.density

    @property
    def independent_tiles(self) -> bool:
        return self.zeros.independent_tiles

    def worst_occupancy(self, tile: Tile) -> Any:
        """The most entries of one code."""
        return each_tile(lambda one: most_entries(1, one, int(self.zeros.worst_occupancy(one)), self.run_bits), tile)

    def expected_occupancy(self, tile: Tile) -> Any:
        if isinstance(self.zeros, Bernoulli):
            return self.zeros.expected_occupancy(tile) + expected_placeholders(tile, self.zeros, self.run_bits)
        return each_tile(lambda one: mean_and_variance(self.occupancy_pmf(one))[0], tile)

    def occupancy_pmf(self, tile: Tile) -> Array:
        n = int(positions(tile))
        if not isinstance(self.zeros, Bernoulli):
            return self._with_drawn_placeholders(tile)
        if n <= EXACT_POSITIONS:
            return entries_pmf(n, self.zeros, self.run_bits)
        half, whole = (
            mean_and_variance(entries_pmf(size, self.zeros, self.run_bits))[1]
            for size in (EXACT_POSITIONS // 2, EXACT_POSITIONS)
        )
        variance = whole + (n - EXACT_POSITIONS) * (whole - half) / (EXACT_POSITIONS - EXACT_POSITIONS // 2)
        return _rounded_normal(float(self.expected_occupancy(n)), variance, n)

    def tile_variance(self, tile: Tile, lanes: Number) -> Any:
        """Where tiles are not independent the variance between those of one channel, averaged over channels."""
        if self.independent_tiles:
            return super().tile_variance(tile, lanes)
        return each_tile(lambda one, width: float(np.var(-(-self._drawn(one) // width), axis=1).mean()), tile, lanes)

    def _drawn(self, tile: Tile) -> NDArray[np.int64]:
        """Entries of tiles, [channels, tiles of a channel]."""
        entries: NDArray[np.int64] = self.drawn_tiles(tile).sum(axis=-1)
        return entries

    def drawn_tiles(self, tile: Tile, count: int = DRAWN_TILES) -> Mask:
        return occupied(self.zeros.drawn_tiles(tile, count), self.run_bits)

    def _with_drawn_placeholders(self, tile: Tile) -> Array:
        # Where all arrangements are alike, any of them will do.
        alike = isinstance(self.zeros, (Fixed, Hypergeometric))
        drawn = (Bernoulli(float(self.zeros.density)) if alike else self.zeros).drawn_tiles(tile, 4 * DRAWN_TILES)
        nonzeros, entries = drawn.sum(axis=-1).ravel(), occupied(drawn, self.run_bits).sum(axis=-1).ravel()
        seen, place, times = np.unique(nonzeros, return_inverse=True, return_counts=True)
        pmf = self.zeros.occupancy_pmf(tile)
        most = pmf.size - 1
        # A number of non-zeros that was drawn: its entries as they were drawn.
        found = np.bincount(entries, pmf[np.minimum(nonzeros, most)] / times[place], pmf.size)
        # Any other: the mean between its neighbours; both whole numbers beside it, so that the mean is kept.
        occupancy = np.arange(pmf.size)
        mean = np.bincount(place, entries - nonzeros) / times
        between = np.minimum(occupancy + np.interp(occupancy, seen, mean), most)
        between[0] = 0.0
        rest = np.where(np.isin(occupancy, seen), 0.0, pmf)
        low = between.astype(np.int64)
        part = between - low
        found += np.bincount(low, rest * (1 - part), pmf.size)[: pmf.size]
        found += np.bincount(np.minimum(low + 1, most), rest * part, pmf.size)[: pmf.size]
        return np.asarray(found)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        """Which positions are stored where the whole tensor is one code."""
        return occupied(self.zeros.sample(shape, rng).reshape(-1), self.run_bits).reshape(shape)


def expected_placeholders(tile: Tile, zeros: DensityModel, run_bits: int) -> Any:
    """Expected placeholders of a tile; arrays of tiles, and of densities of a Bernoulli model, broadcast.

    A non-zero after z zeros needs ``floor(z / 2^b)`` of them, so with ``L = 2^b``

        sum over m >= 1 of (n - m*L) * (P(m*L positions empty) - P(m*L + 1 positions empty)).

    Exact where a run of positions is empty with the same probability wherever it lies in the tile (Bernoulli,
    hypergeometric, fixed); an estimate for structures that are aligned to the tile.
    """
    n = np.asarray(positions(tile))
    limit = 1 << run_bits
    total: Any = 0.0
    for zeros_before in range(limit, int(np.max(n, initial=0)), limit):
        empty = zeros.probability_empty(zeros_before)
        if np.max(empty) < _NEGLIGIBLE:
            break
        total = total + np.maximum(n - zeros_before, 0) * (empty - zeros.probability_empty(zeros_before + 1))
    return total


def entries_pmf(tile: Tile, zeros: DensityModel, run_bits: int) -> Array:
    """Probability that a tile of n positions stores 0, 1, ..., n entries (non-zeros and placeholders).

    Exact where all arrangements of the same number of non-zeros are equally likely (Bernoulli, hypergeometric); for
    other models that is assumed.
    """
    n = int(positions(tile))
    if isinstance(zeros, Bernoulli):
        return _independent_entries_pmf(n, float(zeros.probability), 1 << run_bits)
    pmf = np.zeros(n + 1)
    for nonzeros, probability in enumerate(zeros.occupancy_pmf(tile)):
        if probability > 0:
            for placeholders, share in enumerate(placeholder_shares(n, nonzeros, 1 << run_bits)):
                pmf[nonzeros + placeholders] += probability * share
    return pmf


def stored_vector_moments(tile: Tile, zeros: DensityModel, run_bits: int, lanes: int) -> tuple[Any, Any]:
    """Mean and variance of the vectors of ``lanes`` that a tile's entries fill, placeholders included."""

    def moments(one: Tile) -> tuple[float, float]:
        return mean_and_variance(pmf_of_vectors(entries_pmf(one, zeros, run_bits), lanes))

    values = np.asarray(each_tile(moments, tile))
    return values[..., 0][()], values[..., 1][()]


def most_entries(fibers: int, length: int, nonzeros: int, run_bits: int) -> int:
    """The most entries that ``nonzeros`` can take in ``fibers`` codes of ``length`` positions each.

    Placeholders are most where every code has a non-zero at its end; further non-zeros first fill what is left of a
    run beside whole multiples of the limit, then cost a placeholder per limit.
    """
    limit = 1 << run_bits
    used = min(fibers, nonzeros)
    if used == 0:
        return 0
    whole, slack = divmod(length - 1, limit)
    lost = -(-max(nonzeros - used - used * slack, 0) // limit)
    return nonzeros + used * whole - lost


def occupied(nonzero: Mask, run_bits: int) -> Mask:
    """Which positions of a code (the last axis) are stored: non-zeros and placeholders."""
    length = nonzero.shape[-1]
    index = np.arange(length)
    last = np.maximum.accumulate(np.where(nonzero, index, -1), axis=-1)
    before = np.concatenate([np.full((*nonzero.shape[:-1], 1), -1), last[..., :-1]], axis=-1)
    followed = np.flip(np.logical_or.accumulate(np.flip(nonzero, -1), axis=-1), -1)
    full_run = (index - before) % (1 << run_bits) == 0
    stored: Mask = nonzero | (full_run & followed)
    return stored


@lru_cache(maxsize=4096)
def placeholder_shares(n: int, nonzeros: int, limit: int) -> tuple[float, ...]:
    """Share of the arrangements of ``nonzeros`` among ``n`` positions that need 0, 1, ... placeholders.

    With runs ``z_j = limit*a_j + r_j`` before the non-zeros, s = sum of a_j placeholders arise in
    ``C(s+k-1, k-1)`` ways, and the rests with the zeros at the end in
    ``sum over i of (-1)^i C(k, i) C(n - limit*(s+i), k)`` ways.
    """
    if nonzeros == 0:
        return (1.0,)
    shares = []
    for placeholders in range((n - nonzeros) // limit + 1):
        rests = sum(
            (-1) ** i * comb(nonzeros, i) * comb(n - limit * (placeholders + i), nonzeros)
            for i in range((n - nonzeros) // limit - placeholders + 1)
        )
        shares.append(comb(placeholders + nonzeros - 1, nonzeros - 1) * rests / comb(n, nonzeros))
    return tuple(shares)


def _independent_entries_pmf(n: int, density: float, limit: int) -> Array:
    """Position by position: pending[r, e] has e entries if a non-zero follows, r zeros after the last of them."""
    pending = np.zeros((limit, n + 1))
    pending[0, 0] = 1.0
    stored: Array = pending[0].copy()  # entries up to the last non-zero so far
    for _ in range(n):
        total: Array = pending.sum(axis=0)
        commits = np.concatenate([[0.0], density * total[:-1]])
        wraps = np.concatenate([[0.0], (1 - density) * pending[-1, :-1]])
        pending[1:] = (1 - density) * pending[:-1]
        pending[0] = commits + wraps
        stored = (1 - density) * stored + commits
    return stored


def _rounded_normal(mean: float, variance: float, most: int) -> Array:
    """A normal variable, rounded, as a distribution over 0 .. most."""
    from scipy.special import ndtr

    edges = ndtr((np.arange(most + 2) - 0.5 - mean) / np.sqrt(max(variance, 1e-12)))
    edges[0], edges[-1] = 0.0, 1.0
    return np.asarray(np.diff(edges))
