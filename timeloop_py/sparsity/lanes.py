"""Lanes that skip zeros on their own and wait for one another: the time of a fiber, and of many on several lanes.

A *fiber* is a run of positions of one operand that a lane works off by its non-zeros: the activations of a window
(Cnvlutin), the weights of a filter (Cambricon-X), a PE's part of a column of weights (EIE). What lanes lose to each
other depends on when they wait: after every fiber, when a queue of fibers is full, or at the end of the layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from timeloop_py.numbers.expectation import expected_maximum_normal
from timeloop_py.tensors.density import (
    Array,
    DensityModel,
    expected_maximum_of_distributions,
    mean_and_variance,
    pmf_of_vectors,
)
from timeloop_py.tensors.run_length import entries_pmf

#: Siegmund's correction of the supremum of a random walk, in standard deviations of a step: -zeta(1/2) / sqrt(2 pi).
_OVERSHOOT = 0.5826


@dataclass(frozen=True)
class FiberRule:
    """How a lane works off a fiber.

    ``vector`` non-zeros a cycle; a cycle looks at ``window`` positions at most (0: any number) and an empty window
    costs one, too (``least`` cycles). ``run_bits``: runs of zeros longer than that many bits can say hold placeholders,
    which take their turn (None: none).
    """

    vector: int = 1
    window: int = 0
    least: int = 1
    run_bits: int | None = None

    def windows(self, length: int) -> tuple[tuple[int, int], ...]:
        """Windows of a fiber as (positions, how many)."""
        size = min(self.window, length) if self.window else length
        if not length:
            return ()
        full, rest = divmod(length, size)
        return ((size, full), (rest, 1)) if rest else ((size, full),)


@lru_cache(maxsize=4096)
def entries(length: int, zeros: DensityModel, run_bits: int | None) -> float:
    """Expected entries of a fiber: non-zeros, with their placeholders where it is run-length coded."""
    if run_bits is None:
        return float(zeros.expected_occupancy(length))
    return mean_and_variance(entries_pmf(length, zeros, run_bits))[0]


@lru_cache(maxsize=4096)
def fiber_pmf(length: int, zeros: DensityModel, rule: FiberRule) -> Array:
    """Probability that a lane takes 0, 1, ... cycles for a fiber of ``length`` positions.

    The sum over its windows of ``max(least, ceil(entries / vector))``, windows independent.
    """
    total = np.ones(1)
    for size, count in rule.windows(length):
        stored = zeros.occupancy_pmf(size) if rule.run_bits is None else entries_pmf(size, zeros, rule.run_bits)
        one = _at_least(pmf_of_vectors(stored, rule.vector), rule.least)
        total = np.convolve(total, _convolved(one, count))
    return total


def _at_least(pmf: Array, least: int) -> Array:
    """The distribution of ``max(least, X)``."""
    if least == 0:
        return pmf
    raised = np.zeros(max(pmf.size, least + 1))
    raised[: pmf.size] = pmf
    raised[least] += raised[:least].sum()
    raised[:least] = 0.0
    return raised


def _convolved(pmf: Array, count: int) -> Array:
    """The distribution of the sum of ``count`` independent draws."""
    total = np.ones(1)
    while count:
        if count & 1:
            total = np.convolve(total, pmf)
        count >>= 1
        if count:
            pmf = np.convolve(pmf, pmf)
    return total


def waiting_each(fibers: Sequence[tuple[Array, int]]) -> float:
    """Cycles of one fiber per lane when all lanes wait for the slowest: ``E[max]``, from the exact distributions.

    ``fibers``: pairs of a lane's distribution of cycles and how many lanes have it.
    """
    return expected_maximum_of_distributions(list(fibers))


def waiting_in_queue(mean: float, variance: float, lanes: int, depth: int) -> float:
    """Cycles per fiber in a long run in which a lane holds ``depth`` fibers, the one it works on included.

    The next fiber is handed to all lanes at once, when every one has room. A chain of waits follows one lane and, where
    that one keeps another from getting its next fiber, goes on there ``depth - 1`` fibers later. With ``g`` cycles per
    fiber the work on a chain's piece, less ``g`` per fiber, is a random walk with drift ``-(g - mean)`` whose supremum
    over lengths and lanes just makes up for the ``depth - 1`` fibers it leaves out:

        E[max over lanes of sup of the walk] = g * (depth - 1),

    the supremum of one walk being exponential with mean ``variance / (2 (g - mean))`` less 0.5826 deviations of
    overshoot, the expected maximum of ``lanes`` of them ``H_lanes`` times that (harmonic number). Solved for g. Within
    4% of simulation from depth 2 on (``tests/sparsity/test_lanes.py``); depth 1 is :func:`waiting_each`.
    """
    if depth < 2:
        raise ValueError("a queue of depth 1 is a barrier after every fiber: use waiting_each")
    if variance <= 0 or lanes == 1:
        return mean
    harmonic = float(np.sum(1.0 / np.arange(1, lanes + 1)))
    skipped = depth - 1
    # variance * H / (2 x) - overshoot = (mean + x) * skipped, for x = g - mean > 0
    linear = mean * skipped + _OVERSHOOT * math.sqrt(variance)
    root = math.sqrt(linear**2 + 2 * skipped * variance * harmonic)
    return mean + (root - linear) / (2 * skipped)


def waiting_at_end(mean: float, variance: float, lanes: int, fibers: float, repeats: float) -> float:
    """Cycles of a layer whose lanes wait at its end only: ``E[max]`` of the lanes' sums, taken as independent normals.

    A lane works off ``fibers`` different fibers ``repeats`` times each (the same weights for every window): repetition
    evens nothing out.
    """
    deviation = repeats * math.sqrt(fibers * variance)
    return float(expected_maximum_normal([fibers * repeats * mean], [deviation], [lanes]))
