"""Expectations over unstructured zeros: ceilings, emptiness and maxima, as named operations.

Each operation has two faces. Fed numbers or NumPy arrays it broadcasts and computes a whole batch in a few
vectorised calls; fed at least one SymPy object it returns a SymPy expression (a named function that prints,
differentiates where a derivative exists, and evaluates through the array face). SymPy and SciPy are imported
on first use only.

``B ~ Binomial(n, density)`` is the number of non-zeros among ``n`` positions that are non-zero independently.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from timeloop_py.numbers.operations import Number, is_symbolic

Array = NDArray[np.float64]

# exp(-34) ~ 2e-15: what a discrete sum may leave out of each tail.
_TAIL_EXPONENT = 34.0
# Panels of the quadrature per class: edges where the class's maximum has -ln(distribution) equal to these, that is
# from probability 1e-12 to 1 - 1e-12. With 7 Gauss-Legendre nodes a panel, errors stay below 1e-8 deviations.
_PANEL_EDGES = np.array([27.6, 11.5, 3.9, 1.2, 0.23, 1e-2, 1e-4, 1e-7, 1e-12])
_NODES_PER_PANEL = 7
# Roots of unity times points that are worked on at a time, and powers that add nothing to a sum of others.
_ROOTS_AT_A_TIME = 1 << 14
_NEGLIGIBLE = 1e-24
# Largest intermediate of the quadrature (numbers, not bytes), so that batches stay in cache.
_BLOCK_SIZE = 1 << 20


def probability_empty(n: Number, density: Number) -> Any:
    """Probability that none of ``n`` positions is non-zero: ``(1 - density)^n``.

    Parameters broadcast. ``n`` is a count of positions (0 gives 1), ``density`` lies in [0, 1].
    """
    if any_symbolic(n, density):
        return (1 - np.asarray(density, dtype=object)) ** np.asarray(n, dtype=object)
    count, p = np.broadcast_arrays(np.asarray(n, dtype=float), np.asarray(density, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        empty = np.exp(count * np.log1p(-p))
    return np.where(count == 0, 1.0, empty)[()]


def expected_ceiling(n: Number, density: Number, lanes: Number) -> Any:
    r"""``E[ceil(B / lanes)]``: expected vectors of ``lanes`` that the non-zeros of ``n`` positions fill.

    With ``z_k`` the roots of unity of order F = lanes other than 1 and ``phi_k = 1 - p + p*z_k``,

        E[ceil(B/F)] = (n*p + (F-1)/2 + sum_k phi_k^n / (z_k - 1)) / F,

    because ``ceil(B/F) = (B + ((-B) mod F)) / F`` and ``P(B = j mod F)`` is a discrete Fourier transform of
    ``E[z_k^B] = phi_k^n``. Exact; the cost is O(lanes) per point whatever ``n``.

    Parameters broadcast: ``n`` whole counts of positions (0 gives 0), ``density`` in [0, 1] (1 gives exactly
    ``ceil(n/lanes)``), ``lanes`` whole and positive. Gives vectors (a float, an expectation).
    """
    return ceiling_moments(n, density, lanes)[0]


def variance_of_ceiling(n: Number, density: Number, lanes: Number) -> Any:
    """``Var[ceil(B / lanes)]``, exact and free of the cancellation of ``E[X^2] - E[X]^2``.

    Parameters as in :func:`expected_ceiling`. With ``r = (-B) mod F`` it is
    ``(Var B + 2 Cov(B, r) + Var r) / F^2``, where ``Cov(B, r) = n*p*(1-p) * sum_k phi_k^(n-1)``.
    """
    return ceiling_moments(n, density, lanes)[1]


def expected_ceiling_squared(n: Number, density: Number, lanes: Number) -> Any:
    """``E[ceil(B / lanes)^2]``. Parameters as in :func:`expected_ceiling`."""
    if any_symbolic(n, density, lanes):
        from timeloop_py.numbers import expectation_symbolic

        return np.frompyfunc(expectation_symbolic.ExpectedCeilingSquared, 3, 1)(n, density, lanes)
    mean, variance = ceiling_moments(n, density, lanes)
    return variance + mean * mean


def ceiling_moments(n: Number, density: Number, lanes: Number) -> tuple[Any, Any]:
    """Mean and variance of ``ceil(B / lanes)`` in one pass; see the functions above."""
    if any_symbolic(n, density, lanes):
        from timeloop_py.numbers import expectation_symbolic

        expected = np.frompyfunc(expectation_symbolic.ExpectedCeiling, 3, 1)(n, density, lanes)
        squared = np.frompyfunc(expectation_symbolic.ExpectedCeilingSquared, 3, 1)(n, density, lanes)
        return expected, squared - expected**2
    mean, variance = _over_lanes(n, density, lanes)
    return mean[()], variance[()]


def standard_deviation(variance: Number) -> Any:
    """The square root of a variance, elementwise; an array of formulas for an array of formulas."""
    if any_symbolic(variance):
        import sympy

        return np.frompyfunc(sympy.sqrt, 1, 1)(variance)
    return np.sqrt(variance)


def expected_maximum_normal(means: Number, deviations: Number, counts: Number, axis: int = -1) -> Any:
    """``E[max]`` over independent normals that come in classes.

    Parameters
    ----------
    means, deviations : array, broadcast together
        Mean and standard deviation (at least 0; 0 is a constant, taken exactly) of each class.
    counts : array, broadcast likewise
        Copies of each class; a class with count 0 does not exist. At least one class must exist.
    axis : int
        The axis that runs over classes; it is reduced, all others are batches.

    The integral ``L + int_L^U (1 - prod_i Phi((x - m_i)/s_i)^c_i) dx`` is taken by Gauss-Legendre quadrature in
    panels that follow every class, so narrow and wide classes may meet. Accuracy: 1e-8 of the largest deviation.

    The symbolic face takes sequences (one entry per class) and no other axes.
    """
    if any_symbolic(means, deviations, counts):
        from timeloop_py.numbers import expectation_symbolic

        return expectation_symbolic.expected_maximum_normal(means, deviations, counts)
    mean, deviation, count = np.broadcast_arrays(
        np.asarray(means, dtype=float), np.asarray(deviations, dtype=float), np.asarray(counts, dtype=float)
    )
    mean, deviation, count = (np.moveaxis(values, axis, -1) for values in (mean, deviation, count))
    if not np.all(np.any(count > 0, axis=-1)):
        raise ValueError("expected_maximum_normal: a batch entry has no member (all counts are 0)")
    batch = mean.shape[:-1]
    classes = mean.shape[-1]
    # Designs that differ elsewhere (RAM sizes, say) ask for the same maxima: each is integrated once.
    stacked = np.concatenate([values.reshape(-1, classes) for values in (mean, deviation, count)], axis=-1)
    distinct, inverse = np.unique(stacked, axis=0, return_inverse=True)
    flat = np.split(distinct, 3, axis=-1)
    per_point = classes * classes * len(_PANEL_EDGES) * _NODES_PER_PANEL
    block = max(1, _BLOCK_SIZE // per_point)
    result = np.empty(distinct.shape[0])
    for start in range(0, result.size, block):
        rows = slice(start, start + block)
        result[rows] = _maximum_normal(*(values[rows] for values in flat))
    return result[inverse.ravel()].reshape(batch)[()]


def expected_maximum_of_ceilings(sizes: Number, counts: Number, density: Number, lanes: Number, axis: int = -1) -> Any:
    """``E[max over members of ceil(B / lanes)]`` from the exact discrete distribution.

    Parameters
    ----------
    sizes, counts, density, lanes : arrays, broadcast together
        Class ``i`` has ``counts[i]`` members, each with ``B ~ Binomial(sizes[i], density[i])`` of its own, packed in
        vectors of ``lanes[i]``. Classes with count 0 do not exist. Density in [0, 1], whole sizes and lanes.
    axis : int
        The axis that runs over classes; it is reduced, all others are batches.

    Sums ``P(max > t) = 1 - prod_i P(B_i <= t*lanes_i)^c_i`` over t. Gives vectors (a float, an expectation).
    The symbolic face takes sequences (one entry per class) for ``sizes`` and ``counts`` and no other axes.
    """
    if any_symbolic(sizes, counts, density, lanes):
        from timeloop_py.numbers import expectation_symbolic

        return expectation_symbolic.expected_maximum_of_ceilings(sizes, counts, density, lanes)
    size, count, p, width = (
        np.moveaxis(values, axis, -1)
        for values in np.broadcast_arrays(
            *(np.asarray(value, dtype=float) for value in (sizes, counts, density, lanes))
        )
    )
    flat = (values.reshape(-1, size.shape[-1]) for values in (np.where(count > 0, size, 0.0), count, p, width))
    return _maximum_of_ceilings(*flat).reshape(size.shape[:-1])[()]


def any_symbolic(*arguments: Number) -> bool:
    """Whether an argument is a symbol, or a sequence or object array that holds one."""
    return any(
        is_symbolic(argument)
        or (isinstance(argument, (list, tuple)) and any_symbolic(*argument))
        or (isinstance(argument, np.ndarray) and argument.dtype == object and is_symbolic(*argument.flat))
        for argument in arguments
    )


def _over_lanes(n: ArrayLike, density: ArrayLike, lanes: ArrayLike) -> tuple[Array, Array]:
    """The moments for each distinct lane count, put back in place."""
    count, p, width = np.broadcast_arrays(np.asarray(n, dtype=float), np.asarray(density, dtype=float), lanes)
    if width.size and np.min(width) < 1:
        raise ValueError("lanes must be at least 1")
    widths = np.unique(width)
    if widths.size == 1:
        return _ceiling_moments(count, p, int(widths[0]))
    mean, variance = np.empty(count.shape), np.empty(count.shape)
    for value in widths:
        chosen = width == value
        mean[chosen], variance[chosen] = _ceiling_moments(count[chosen], p[chosen], int(value))
    return mean, variance


def _ceiling_moments(n: Array, p: Array, lanes: int) -> tuple[Array, Array]:
    """Mean and variance of ``ceil(B / lanes)``."""
    count, chance = n.ravel(), p.ravel()
    if chance.size > 1 and np.all(chance == chance[0]):  # one density: every count is worked out once
        distinct, place = np.unique(count, return_inverse=True)
        moments = _moments_of_counts(distinct, chance[:1], lanes)
        return moments[0][place].reshape(n.shape), moments[1][place].reshape(n.shape)
    mean, variance = _moments_of_counts(count, chance, lanes)
    return mean.reshape(n.shape), variance.reshape(n.shape)


def _moments_of_counts(count: Array, chance: Array, lanes: int) -> tuple[Array, Array]:
    """The same of arrays (points,); ``chance`` (points,) or (1,)."""
    # At most one vector: none where all positions are zeros.
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(count == 0, 0.0, -np.expm1(count * np.log1p(-chance)))
    mean, variance = one, one * (1 - one)
    more = count > lanes
    if lanes == 1:
        mean, variance = count * chance, count * chance * (1 - chance)
    elif more.any():
        some = chance if chance.size == 1 else chance[more]
        mean[more], variance[more] = _moments_by_roots(count[more], some, lanes)
    return mean, variance


def _moments_by_roots(n: Array, p: Array, lanes: int) -> tuple[Array, Array]:
    """Mean and variance of ``ceil(B / lanes)`` by the sum over roots of unity (see expected_ceiling).

    ``n`` (points,), ``p`` (points,) or (1,).
    """
    q = 1.0 - p
    # r = (-B) mod lanes: its mean and second moment by their own sums; roots k and lanes-k are conjugate.
    mean_r = np.full(n.shape, (lanes - 1) / 2)
    square_r = np.full(n.shape, (lanes - 1) * (2 * lanes - 1) / 6)
    covariance = np.zeros(n.shape)
    roots = np.arange(1, lanes // 2 + 1)[:, None]
    at_a_time = max(1, _ROOTS_AT_A_TIME // max(n.size, 1))
    for start in range(0, roots.size, at_a_time):
        k = roots[start : start + at_a_time]
        multiplicity = np.where(2 * k == lanes, 1.0, 2.0)
        root = np.exp(2j * np.pi * k / lanes)
        previous = _characteristic_power(n - 1, p, k, lanes)
        power = previous * (q + p * root)
        inverse = 1 / (root - 1)
        mean_r += (power * (multiplicity * inverse)).real.sum(axis=0)
        square_r += (power * (multiplicity * (lanes * inverse - 2 * root * inverse**2))).real.sum(axis=0)
        covariance += (previous.real * multiplicity).sum(axis=0)
        if np.abs(previous[-1]).max() < _NEGLIGIBLE:  # those of the roots that follow are smaller still
            break
    variance_b = n * p * q
    mean = (n * p + mean_r) / lanes
    variance = (variance_b + 2 * variance_b * covariance + square_r - mean_r**2) / lanes**2
    certain = (p >= 1) | (p <= 0)
    mean = np.where(certain, np.where(p >= 1, np.ceil(n / lanes), 0.0), mean)
    return mean, np.where(certain, 0.0, np.maximum(variance, 0.0))


def _characteristic_power(n: Array, p: Array, k: NDArray[np.int64], lanes: int) -> NDArray[np.complex128]:
    """``(1 - p + p*z)^n`` with ``z = exp(2 pi i k / lanes)``, accurate for large ``n`` at either end of ``p``.

    Arrays (roots, points) of ``n`` (points,), ``p`` (points,) or (1,), and ``k`` (roots, 1).
    """
    # Above one half count zeros instead (B = n - B'): the big rotation z^n is then reduced exactly.
    mirrored = p > 0.5
    small = np.where(mirrored, 1.0 - p, p)
    half = np.sin(np.pi * k / lanes) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        log_modulus = 0.5 * np.log1p(-4 * small * (1 - small) * half)
        exponent = np.where(n == 0, 0.0, n * log_modulus)
    angle = n * np.arctan2(small * np.sin(2 * np.pi * k / lanes), 1 - 2 * small * half)
    if mirrored.any():
        rotation = 2 * np.pi * np.mod(n * k, lanes) / lanes
        angle = np.where(mirrored, rotation - angle, angle)
    return np.asarray(np.exp(exponent + 1j * angle))


def _maximum_normal(mean: Array, deviation: Array, count: Array) -> Array:
    """E[max] for a block: all arguments (points, classes)."""
    from scipy.special import ndtr, ndtri

    exists = count > 0
    constant = np.max(np.where(exists & (deviation == 0), mean, -np.inf), axis=-1)
    spread = exists & (deviation > 0)
    # The quantiles of the maximum of a class's copies: Phi(z)^count = exp(-edge).
    quantiles = -ndtri(-np.expm1(-_PANEL_EDGES / np.where(spread, count, 1.0)[..., None]))
    edges = np.where(spread[..., None], mean[..., None] + deviation[..., None] * quantiles, -np.inf)
    lower = np.maximum(np.max(edges[..., 0], axis=-1), constant)[:, None]
    upper = np.maximum(np.max(edges[..., -1], axis=-1)[:, None], lower)
    edges = np.clip(edges.reshape(mean.shape[0], -1), lower, upper)
    edges = np.sort(np.concatenate([lower, edges], axis=-1), axis=-1)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
    half = 0.5 * np.diff(edges, axis=-1)
    # Constants, and classes below the others, leave panels without width.
    point, panel = np.nonzero(half)
    x = edges[point, panel][:, None] + half[point, panel][:, None] * (1 + nodes)
    distribution = np.ones_like(x)
    scale = np.where(spread, deviation, 1.0)
    for i in np.flatnonzero(spread.any(axis=0)):
        below, copies = ndtr((x - mean[point, i, None]) / scale[point, i, None]), count[point, i, None]
        factor = below if np.all(copies == 1) else below**copies
        distribution *= np.where(spread[point, i, None], factor, 1.0)
    above = np.zeros((*half.shape, _NODES_PER_PANEL))
    above[point, panel] = 1 - distribution
    return np.asarray(lower[:, 0] + np.sum((above @ weights) * half, axis=-1))


def _maximum_of_ceilings(size: Array, count: Array, p: Array, lanes: Array) -> Array:
    """E[max ceil(B/lanes)]; all arguments (points, classes)."""
    from scipy.special import betainc

    # Bernstein's inequality: P(|B - n*p| >= reach) <= exp(-exponent), the exponent covering all copies of a class.
    exponent = _TAIL_EXPONENT + np.log(np.maximum(count, 1.0))
    reach = exponent / 3 + np.sqrt((exponent / 3) ** 2 + 2 * exponent * size * p * (1 - p))
    reach = np.where(p >= 1, 0.0, reach)
    first = np.max(np.floor(np.maximum(size * p - reach, 0.0) / lanes), axis=-1, keepdims=True)
    last = np.max(np.ceil(np.minimum(size * p + reach, size) / lanes), axis=-1, keepdims=True)
    steps = int(np.max(last - first, initial=0.0))
    vectors = first + np.arange(steps)
    # Sums of logarithms of upper tails keep the relative accuracy of rare events among many copies.
    log_below = np.zeros(vectors.shape)
    for i in range(size.shape[-1]):
        n, threshold = size[:, i, None], vectors * lanes[:, i, None]
        most = np.minimum(threshold, n - 1)  # with no position left above it, the tail is 0
        above = np.where(most == threshold, betainc(most + 1, n - most, p[:, i, None]), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_below += np.where(above > 0, count[:, i, None] * np.log1p(-above), 0.0)
    return np.asarray(first[:, 0] - np.sum(np.where(vectors < last, np.expm1(log_below), 0.0), axis=-1))
