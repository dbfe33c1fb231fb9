"""The slowest of many sums over every draw of small ones, in samples of large ones, and its laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.numbers.sums import (
    Distribution,
    expected_maximum_of_sums,
    largest_of,
    slowest_sum,
    vectors_of_binomial,
)


def enumerated(members: list[list[float]], channels: int, weights: list[float], least: float, each: bool) -> float:
    """``E[max(least, max of sums)]`` over every draw; ``members`` and ``weights`` are distributions over 0, 1, ..."""
    expected = 0.0
    for w in itertools.product(range(len(weights)), repeat=channels):
        of_weights = np.prod([weights[value] for value in w])
        for drawn in itertools.product(*(range(len(pmf)) for pmf in members for _ in range(channels))):
            values = np.array(drawn).reshape(len(members), channels)
            chance = of_weights * np.prod(
                [[members[m][values[m, c]] for c in range(channels)] for m in range(len(members))]
            )
            steps = (values.max(axis=0) * w).sum() if each else (values * w).sum(axis=1).max()
            expected += chance * max(least, steps)
    return expected


MEMBERS = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.7, 0.3]]


@pytest.mark.parametrize("weights", [[0.0, 0.0, 1.0], [0.4, 0.6]], ids=["constant", "one or none"])
@pytest.mark.parametrize("least", [0.0, 1.5, 3.0, 50.0])
@pytest.mark.parametrize("each", [False, True])
def test_exact_where_blocks_fill_equal_vectors_or_none(weights: list[float], least: float, each: bool) -> None:
    mean = float(np.arange(len(weights)) @ weights)
    variance = float(np.arange(len(weights)) ** 2 @ weights) - mean**2
    members = [Distribution(0, np.array(pmf)) for pmf in MEMBERS[1:]]
    copies = np.array([2.0, 1.0])
    if each:
        members, copies = [largest_of(members, copies)], np.ones(1)
    found = slowest_sum(members, copies, *(np.array([value]) for value in (2.0, mean, variance, least)))
    assert found[0] == pytest.approx(enumerated(MEMBERS, 2, weights, least, each), rel=1e-12)


def test_channels_that_differ_at_random() -> None:
    """Weights of several sizes keep two moments: within 2% of a sample even for few channels."""
    rng = np.random.default_rng(0)
    for channels, tile, density, pes in ((16, 4, 0.1, 49), (48, 1, 0.05, 28), (192, 2, 0.3, 64)):
        vectors = -(-rng.binomial(72, 0.1, (4000, channels)) // 4)
        tiles = -(-rng.binomial(tile, density, (4000, channels, pes)) // 4)
        slowest = np.einsum("rc,rcp->rp", vectors, tiles).max(axis=1)
        found = expected_maximum_of_sums(channels, vectors.mean(), vectors.var(), [tile], [pes], density, 4)
        error = 5 * slowest.std() / len(slowest) ** 0.5
        assert found == pytest.approx(slowest.mean(), abs=error + 0.02 * slowest.mean())


@given(st.integers(0, 60), st.floats(0, 1), st.integers(1, 7))
def test_vectors_of_a_binomial(n: int, density: float, lanes: int) -> None:
    found = vectors_of_binomial(n, density, lanes)
    binomial = [math.comb(n, k) * density**k * (1 - density) ** (n - k) for k in range(n + 1)]
    pmf = np.bincount(-(-np.arange(n + 1) // lanes), binomial)
    padded = np.zeros(pmf.size)
    padded[found.first : found.last + 1] = found.pmf
    np.testing.assert_allclose(padded, pmf, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 300),
    st.floats(0, 20),
    st.floats(0, 30),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), min_size=1, max_size=4),
    st.floats(0, 1),
    st.floats(0, 500),
)
def test_laws(
    channels: int, mean: float, variance: float, classes: list[tuple[int, int]], density: float, least: float
) -> None:
    sizes, counts = ([size for size, _ in classes], [count for _, count in classes])
    free = expected_maximum_of_sums(channels, mean, variance, sizes, counts, density, 4)
    bound = expected_maximum_of_sums(channels, mean, variance, sizes, counts, density, 4, least)
    each = expected_maximum_of_sums(channels, mean, variance, sizes, counts, density, 4, each_channel=True)
    slack = 1e-6 * (1 + free)
    assert max(free, least) - slack <= bound <= free + least + slack
    assert free <= each + slack  # waiting more often never takes fewer steps
    more = expected_maximum_of_sums(channels, mean, variance, sizes, [2 * count for count in counts], density, 4)
    assert free <= more + slack
    longest = channels * mean * max([-(-size // 4) for size, count in classes if count] or [0])
    assert free <= longest + slack


def test_rows_are_what_they_are_alone() -> None:
    rng = np.random.default_rng(1)
    sizes, counts = rng.integers(0, 30, (6, 3)), rng.integers(0, 20, (6, 3))
    density, channels = rng.random((6, 1)), rng.integers(1, 400, 6)
    mean, variance, least = rng.random(6) * 9, rng.random(6) * 5, rng.random(6) * 300
    together = expected_maximum_of_sums(channels, mean, variance, sizes, counts, density, 4, least)
    for row in range(6):
        alone = expected_maximum_of_sums(
            channels[row], mean[row], variance[row], sizes[row], counts[row], density[row, 0], 4, least[row]
        )
        assert together[row] == pytest.approx(float(alone), rel=1e-12)
    assert expected_maximum_of_sums(5, 2.0, 0.0, [9], [0], 0.5, 4, 3.0) == 3.0
