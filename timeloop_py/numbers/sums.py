r"""The expected slowest of many random sums: what a barrier after many channels waits for.

Every member ``m`` of a set of classes takes ``T_m = sum over c = 1..C of W_c * A_(c,m)`` steps: ``W_c`` is common to
all members, the ``A_(c,m)`` are independent whole numbers with the distribution of the member's class. Wanted is
``E[max(D, max over m of T_m)]`` for a constant ``D``.

Given the W, a sum over few channels of small whole numbers is far from normal, and so is its maximum. It is computed
exactly, with one simplification: ``W_c`` is replaced by the variable with the same first two moments that is either 0
or ``w = E[W^2]/E[W]``, the latter with probability ``q = E[W]^2/E[W^2]``. (``C*q`` is Kish's effective number of the
channels.) It is the true distribution where W is a constant, and where it is 0 or 1. Then ``T_m = w * S_m``, where
``S_m`` is a sum of ``N ~ Binomial(C, q)`` independent A, and

    E[max(D, w*max S)] = sum over N of P(N) * w * (d + sum over k >= d of P(max S > k | N)),  d = D/w whole,

with the distribution of S from the N-th power of a Fourier transform.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from timeloop_py.numbers.expectation import any_symbolic
from timeloop_py.numbers.operations import Number

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

# exp(-34) ~ 2e-15: what may be left out of each tail.
_TAIL_EXPONENT = 34.0
# Chance of a value that is not worth carrying through a sum of hundreds.
_NEGLIGIBLE = 1e-18
# More summands than this vary too little in number for it to matter.
_MANY = 32
# Largest intermediate of the transforms (numbers, not bytes), so that batches stay in cache.
_BLOCK_SIZE = 1 << 20


class Distribution(NamedTuple):
    """A random whole number: ``first`` and, from there on, the probabilities."""

    first: int
    pmf: Array

    @property
    def last(self) -> int:
        return self.first + self.pmf.size - 1


def expected_maximum_of_sums(
    channels: Number,
    weight_mean: Number,
    weight_variance: Number,
    sizes: Number,
    counts: Number,
    density: Number,
    lanes: Number,
    at_least: Number = 0.0,
    axis: int = -1,
    each_channel: bool = False,
    distribution: Callable[[int, float, int], Distribution] | None = None,
) -> Any:
    """``E[max(D, max over members of sum over channels of W * ceil(B / lanes))]``, see the head of this module.

    Parameters
    ----------
    channels, weight_mean, weight_variance, at_least : arrays
        ``C`` (whole), mean and variance of W, and ``D``: no axis of classes.
    sizes, counts, density, lanes : arrays
        Class ``i`` has ``counts[i]`` members with ``B ~ Binomial(sizes[i], density)`` each, packed in vectors of
        ``lanes``. Classes with count 0 do not exist. ``axis`` runs over classes and is reduced; ``density`` and
        ``lanes`` are the same for all classes (extent 1 along the axis, or no arrays).
    each_channel : bool
        The members wait for each other after every channel: ``E[max(D, sum over channels of W * max over members)]``.
    distribution : function, optional
        Gives the distribution of a member's vectors from its size, density and lanes, where that is not
        :func:`vectors_of_binomial`.

    Everything broadcasts. Gives steps (a float, an expectation). The symbolic face takes sequences (one entry per
    class) for ``sizes`` and ``counts``, scalars for the rest.
    """
    if any_symbolic(channels, weight_mean, weight_variance, sizes, counts, density, lanes, at_least):
        from timeloop_py.numbers import expectation_symbolic

        return expectation_symbolic.expected_maximum_of_sums(
            channels, weight_mean, weight_variance, sizes, counts, density, lanes, at_least, each_channel
        )
    distribution = distribution or vectors_of_binomial
    of_class = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (sizes, counts, density, lanes)))
    size, count, p, width = (np.moveaxis(values, axis, -1) for values in of_class)
    batch = np.broadcast_arrays(
        *(np.asarray(value, dtype=float) for value in (channels, weight_mean, weight_variance, at_least)), size[..., 0]
    )[:4]
    shape, classes = batch[0].shape, size.shape[-1]
    size, count = (np.broadcast_to(values, (*shape, classes)).reshape(-1, classes) for values in (size, count))
    p, width = (np.broadcast_to(values[..., 0], shape).reshape(-1) for values in (p, width))
    rows = [values.reshape(-1) for values in batch]
    result = np.empty(rows[0].size)
    # Rows whose members are the same share their transforms.
    kinds = np.column_stack([np.where(count > 0, size, 0), count, p, width])
    distinct, place = np.unique(kinds, axis=0, return_inverse=True)
    order = np.argsort(place.ravel(), kind="stable")
    bounds = np.searchsorted(place.ravel()[order], np.arange(len(distinct) + 1))
    for kind, start, stop in zip(distinct, bounds, bounds[1:], strict=False):
        chosen = order[start:stop]
        present = kind[classes : 2 * classes] > 0
        members = [distribution(int(n), float(kind[-2]), int(kind[-1])) for n in kind[:classes][present]]
        copies = kind[classes : 2 * classes][present]
        if each_channel:
            members, copies = [largest_of(members, copies)], np.ones(1)
        result[chosen] = slowest_sum(members, copies, *(row[chosen] for row in rows))
    return result.reshape(shape)[()]


def slowest_sum(
    members: Sequence[Distribution], counts: Array, channels: Array, mean: Array, variance: Array, at_least: Array
) -> Array:
    """The same for any distributions of A, one per class with ``counts`` members; all other arrays (rows,).

    ``mean`` and ``variance`` are those of W.
    """
    merged = _merged(members, counts)
    empty = (mean <= _NEGLIGIBLE) | (channels <= 0)
    known = np.where(empty, 1.0, mean)
    scale = known + np.where(empty, 0.0, variance) / known
    share = np.where(empty, 0.0, known / scale)
    row, terms, chance = _terms(channels, share)
    distinct, place = np.unique(terms, return_inverse=True)
    values = _expected_maxima(merged, distinct, place.ravel(), (at_least / scale)[row])
    return np.bincount(row, chance * values, minlength=mean.size) * scale


def vectors_of_binomial(n: int, density: float, lanes: int) -> Distribution:
    """``ceil(B / lanes)`` with ``B ~ Binomial(n, density)``, its negligible tails cut."""
    if density <= 0 or density >= 1 or n == 0:
        return Distribution(-(-n // lanes) if density >= 1 else 0, np.ones(1))
    # Bernstein's inequality.
    reach = _TAIL_EXPONENT / 3 + np.sqrt((_TAIL_EXPONENT / 3) ** 2 + 2 * _TAIL_EXPONENT * n * density * (1 - density))
    low, high = max(0, int(n * density - reach)), min(n, int(n * density + reach) + 1)
    k = np.arange(low, high)
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k) / (k + 1)) + np.log(density / (1 - density)))])
    pmf = np.exp(logs - logs.max())
    vectors = -(-np.arange(low, high + 1) // lanes)
    by_vectors = np.asarray(np.bincount(vectors - vectors[0], pmf / pmf.sum()), dtype=float)
    return _trimmed(Distribution(int(vectors[0]), by_vectors))


def largest_of(members: Sequence[Distribution], counts: Array) -> Distribution:
    """The distribution of the largest of ``counts[i]`` draws from each distribution; 0 without any."""
    if not members:
        return Distribution(0, np.ones(1))
    first, last = max(member.first for member in members), max(member.last for member in members)
    below = np.ones(last - first + 1)
    for member, count in zip(members, counts, strict=True):
        reached = np.minimum(np.cumsum(member.pmf), 1.0)
        place = np.arange(first, last + 1) - member.first
        below *= np.where(place < reached.size, reached[np.minimum(place, reached.size - 1)], 1.0) ** count
    return Distribution(first, np.diff(below, prepend=0.0))


def _trimmed(given: Distribution) -> Distribution:
    kept = np.flatnonzero(given.pmf > _NEGLIGIBLE)
    return Distribution(given.first + int(kept[0]), given.pmf[kept[0] : kept[-1] + 1])


class _Classes(NamedTuple):
    """Members by class, and the moments of their A; arrays (classes,)."""

    members: list[Distribution]
    counts: Array
    means: Array
    variances: Array


def _merged(members: Sequence[Distribution], counts: Array) -> _Classes:
    """Classes of the same distribution as one; without members, one that never takes a step."""
    copies: dict[tuple[int, bytes], float] = {}
    known: dict[tuple[int, bytes], Distribution] = {}
    for member, count in zip(members, counts, strict=True):
        trimmed = _trimmed(member)
        key = trimmed.first, trimmed.pmf.tobytes()
        known[key] = trimmed
        copies[key] = copies.get(key, 0.0) + float(count)
    kept = list(known.values()) or [Distribution(0, np.ones(1))]
    values = [one.first + np.arange(one.pmf.size) for one in kept]
    means = np.array([value @ one.pmf for value, one in zip(values, kept, strict=True)])
    variances = np.array([(value - mean) ** 2 @ one.pmf for value, one, mean in zip(values, kept, means, strict=True)])
    return _Classes(kept, np.array(list(copies.values()) or [1.0]), means, variances)


def _terms(channels: Array, share: Array) -> tuple[Integers, Integers, Array]:
    """How many A are added up: (row, number, its probability), flat.

    The expectation of the maximum hardly bends over the width of a binomial of many terms: there the two whole numbers
    around its mean stand for it.
    """
    expected = channels * share
    low = np.floor(expected)
    many = np.flatnonzero(expected > _MANY)
    rows, numbers = [many, many], [low[many], low[many] + 1]
    chances = [1 - (expected - low)[many], (expected - low)[many]]
    for row in np.flatnonzero(expected <= _MANY):
        number, chance = _binomial(int(channels[row]), float(share[row]))
        rows.append(np.full(number.size, row))
        numbers.append(number)
        chances.append(chance)
    owner, chance = np.concatenate(rows), np.concatenate(chances)
    used = chance > 0
    return owner[used], np.concatenate(numbers)[used].astype(np.int64), chance[used]


def _binomial(n: int, share: float) -> tuple[Integers, Array]:
    drawn = vectors_of_binomial(n, share, 1)
    return np.arange(drawn.first, drawn.last + 1), drawn.pmf


def _expected_maxima(classes: _Classes, terms: Integers, place: Integers, least: Array) -> Array:
    """``E[max(least, max S)]`` with ``terms[place]`` summands; ``place`` and ``least`` are parallel."""
    result = np.empty(least.size)
    origin, last, plays = _windows(classes, terms)
    lengths = last - origin + 1
    per_term = len(classes.members) * int(lengths.max())
    step = max(1, _BLOCK_SIZE // per_term)
    for start in range(0, terms.size, step):
        part = slice(start, start + step)
        above = _chance_above(classes, terms[part], origin[part], plays[part], int(lengths[part].max()))
        rows = np.flatnonzero((place >= start) & (place < start + step))
        result[rows] = _above_constant(above, origin[part], place[rows] - start, least[rows])
    return result


def _windows(classes: _Classes, terms: Integers) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Per number of summands: the window that holds the sums of every class that can be the slowest, and which can."""
    number = terms[:, None]
    lows = np.array([member.first for member in classes.members])
    highs = np.array([member.last for member in classes.members])
    exponent = _TAIL_EXPONENT + np.log(np.maximum(classes.counts, 1.0))
    bound = np.maximum(highs - classes.means, classes.means - lows)
    reach = exponent * bound / 3
    reach = reach + np.sqrt(reach**2 + 2 * exponent * number * classes.variances)
    low = np.maximum(number * lows, np.floor(number * classes.means - reach)).astype(np.int64)
    high = np.minimum(number * highs, np.ceil(number * classes.means + reach)).astype(np.int64)
    plays = high >= low.max(axis=1, keepdims=True)
    origin = np.where(plays, low, np.iinfo(np.int64).max).min(axis=1)
    return origin, high.max(axis=1), plays


def _chance_above(classes: _Classes, terms: Integers, origin: Integers, plays: NDArray[np.bool_], length: int) -> Array:
    """``P(max S > origin + i)``: (numbers of summands, window)."""
    size = 1 << max(0, length - 1).bit_length()
    below = np.ones((terms.size, size))
    frequency = np.arange(size // 2 + 1)
    least = max(int(terms.min()), 1)
    for member, count, can in zip(classes.members, classes.counts, plays.T, strict=True):
        wrapped = np.bincount(np.arange(member.pmf.size) % size, member.pmf, minlength=size)
        transform = np.fft.rfft(wrapped)
        # Most of a wide sum's spectrum is nothing.
        used = np.flatnonzero(np.abs(transform) ** least > _NEGLIGIBLE)
        turn = (terms * member.first - origin)[:, None] * (-2 * np.pi * frequency[used] / size)
        power = np.zeros((terms.size, frequency.size), dtype=complex)
        power[:, used] = np.exp(terms[:, None] * np.log(transform[used]) + 1j * turn)
        power[terms == 0] = 1.0
        sums = np.fft.irfft(power, size, axis=1) if size > 1 else np.ones((terms.size, 1))
        below *= np.where(can[:, None], np.clip(np.cumsum(sums, axis=1), 0.0, 1.0), 1.0) ** count
    return 1 - below


def _above_constant(above: Array, origin: Integers, place: Integers, least: Array) -> Array:
    """``E[max(least, M)]`` from ``P(M > k)``; rows of ``above`` at ``place``."""
    width = above.shape[1]
    suffix = np.zeros((above.shape[0], width + 1))
    suffix[:, :-1] = np.cumsum(above[:, ::-1], axis=1)[:, ::-1]
    floor = np.floor(least)
    index = np.clip(floor - origin[place], -1, width - 1).astype(np.int64)
    at = np.where(index >= 0, above[place, np.maximum(index, 0)], 1.0)
    at = np.where(floor - origin[place] >= width, 0.0, at)
    between = np.maximum(origin[place] - floor - 1, 0.0)  # certain: below the window
    return np.asarray(least + (floor + 1 - least) * at + between + suffix[place, index + 1])
