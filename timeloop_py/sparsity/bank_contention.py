"""Products that meet in an accumulator bank (MODEL section 3): how much longer than a cycle a step lasts.

Assumption: every product of a step goes to any of the ``A`` banks with equal chance, independently. The paper
(Parashar et al., SCNN, ISCA 2017, section IV) does not say how output coordinates are spread over the banks, only that
products "hash" to them and that ``A = 2*F*I`` banks suffice; uniform hashing is the usual reading, and without queues
it is pessimistic for layouts that interleave neighbouring coordinates.

A bank takes one product a cycle, and up to ``queue_depth`` products may still wait in front of it when the next step
starts. So a step lasts ``max(1, max over banks of (waiting + arriving) - queue_depth)`` cycles: with depth 0
(unqueued) as long as the fullest bank.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from timeloop_py.tensors.density import binomial_pmf

Array = NDArray[np.float64]

#: The smallest power of two with which a full step on ``A = 2*F*I`` banks stalls under 1% (4 gives 1.2%).
DEFAULT_QUEUE_DEPTH = 8
# Where the fixed point of the queue lengths stops moving, and after how many rounds it is left where it is.
_CONVERGED = 1e-12
_MOST_ROUNDS = 5000
# Chance that is left out of a sum.
_NEGLIGIBLE = 1e-15


@lru_cache(maxsize=4096)
def expected_fullest_bank(products: int, banks: int) -> float:
    """``E[max load]`` of ``products`` thrown into ``banks``, exactly.

    ``P(max <= m)`` is the share of the ``banks^products`` assignments in which no bank gets more than m: with Poisson
    loads of mean ``products/banks``, conditioned on their sum,
    ``[x^products] (sum over j <= m of P(j) x^j)^banks / P(sum = products)``.
    """
    load = np.arange(products)
    mean = products / banks
    loads = np.exp(-mean) * np.concatenate([[1.0], np.cumprod(mean / (load + 1))])
    every = _power(loads, banks, products)
    expectation = 0.0
    for most in range(products):
        above = 1.0 - _power(loads[: most + 1], banks, products) / every
        expectation += above
        if above < _NEGLIGIBLE:
            break
    return expectation


@lru_cache(maxsize=4096)
def expected_step_cycles(products: int, banks: int, queue_depth: int = DEFAULT_QUEUE_DEPTH) -> float:
    """Mean cycles of a step in a long run of steps with ``products`` each, on ``banks`` with queues.

    Depth 0 is exact (:func:`expected_fullest_bank`). Otherwise the stationary distribution of one bank's queue is
    found as a fixed point in which the other banks are independent copies of it. Against simulation that is within 1%
    of the cycles for up to half as many products as banks and queues of 2 and more, within 6% up to one product per
    bank. More products than banks never drain: the throughput of the banks is a lower bound.
    """
    if products <= 1:
        return 1.0
    if queue_depth == 0:
        return expected_fullest_bank(products, banks)
    arrivals = binomial_pmf(products, 1 / banks)
    arrivals = arrivals[: np.max(np.nonzero(arrivals > _NEGLIGIBLE)) + 1]
    # A step lasts 1 + beyond cycles, the fullest bank deciding; own and others': what this and the other banks ask for.
    load = np.arange(queue_depth + arrivals.size)
    asked = np.maximum(load - queue_depth - 1, 0)
    beyond = np.maximum(asked[:, None], asked[None, :])
    left = np.maximum(load[:, None] - 1 - beyond, 0).ravel()
    waiting: Array = binomial_pmf(queue_depth, 0.0)
    for _ in range(_MOST_ROUNDS):
        loads = np.convolve(waiting, arrivals)
        others = np.diff(np.minimum(np.cumsum(loads), 1.0) ** (banks - 1), prepend=0.0)
        joint = np.outer(loads, others)
        counted = np.bincount(left, joint.ravel(), minlength=queue_depth + 1)
        updated = np.asarray(counted / counted.sum(), dtype=float)
        moved = float(np.abs(updated - waiting).max())
        waiting = updated
        if moved < _CONVERGED:
            break
    return max(1.0 + float(np.sum(joint * beyond)), products / banks)


def slowdown(weights: Array, activations: Array, banks: int, queue_depth: int | None = DEFAULT_QUEUE_DEPTH) -> Array:
    """Mean cycles of a step: 1 where no products meet.

    ``weights`` (..., F) and ``activations`` (..., I) are expected vectors by how many lanes they fill
    (:meth:`.DensityModel.filled_vectors`); a step of f weights and i activations scatters ``f*i`` products.
    ``queue_depth`` None: no contention; 0: unqueued banks. Each size of step is taken as if it had the banks to
    itself, in proportion to how often it occurs.
    """
    weights, activations = np.asarray(weights), np.asarray(activations)
    shape = np.broadcast_shapes(weights.shape[:-1], activations.shape[:-1])
    if queue_depth is None:
        return np.ones(shape)
    table = np.array(
        [
            [expected_step_cycles(f * i, banks, queue_depth) for i in range(1, activations.shape[-1] + 1)]
            for f in range(1, weights.shape[-1] + 1)
        ]
    )
    cycles = np.einsum("...f,fi,...i->...", weights, table, activations)
    steps = weights.sum(axis=-1) * activations.sum(axis=-1)
    return np.asarray(np.divide(cycles, steps, out=np.ones(shape), where=steps > 0))


def _power(polynomial: Array, exponent: int, degree: int) -> float:
    """The coefficient of ``x^degree`` in a power of a polynomial with non-negative coefficients."""
    result, base = np.ones(1), polynomial
    while exponent:
        if exponent & 1:
            result = np.convolve(result, base)[: degree + 1]
        base = np.convolve(base, base)[: degree + 1]
        exponent >>= 1
    return float(result[degree]) if result.size > degree else 0.0
