"""Run-length codes against every mask of small tiles, and against long sampled ones."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.tensors.density import Bernoulli, Fixed, Hypergeometric, mean_and_variance, pmf_of_vectors
from timeloop_py.tensors.encoding import placeholder_overhead
from timeloop_py.tensors.measured import Measured
from timeloop_py.tensors.run_length import (
    EXACT_POSITIONS,
    StoredEntries,
    entries_pmf,
    expected_placeholders,
    most_entries,
    occupied,
    placeholder_shares,
    stored_vector_moments,
)
from timeloop_py.tensors.structured import BlockStructured, WholeChannel


def placeholders_by_counting(bits, limit):
    """Walk the code: a zero after ``limit - 1`` others costs a placeholder once a non-zero follows."""
    run = count = 0
    for bit in bits:
        if bit:
            count += run // limit
            run = 0
        else:
            run += 1
    return count


def every_mask(n):
    return itertools.product([0, 1], repeat=n)


@pytest.mark.parametrize("run_bits", [1, 2])
@pytest.mark.parametrize("density", [0.05, 0.3, 0.8, 1.0])
def test_independent_zeros_over_every_mask(run_bits, density):
    n = 11
    pmf = np.zeros(n + 1)
    expected = 0.0
    for bits in every_mask(n):
        probability = density ** sum(bits) * (1 - density) ** (n - sum(bits))
        placeholders = placeholders_by_counting(bits, 2**run_bits)
        expected += probability * placeholders
        pmf[sum(bits) + placeholders] += probability
    zeros = Bernoulli(density)
    assert expected_placeholders(n, zeros, run_bits) == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(entries_pmf(n, zeros, run_bits), pmf, atol=1e-12)
    for lanes in (1, 3):
        assert stored_vector_moments(n, zeros, run_bits, lanes) == pytest.approx(
            mean_and_variance(pmf_of_vectors(pmf, lanes))
        )


@pytest.mark.parametrize("run_bits", [1, 2])
def test_exact_counts_over_every_mask(run_bits):
    total, tile = 12, 9
    zeros = Hypergeometric(0.25, total)
    pmf = np.zeros(tile + 1)
    masks = list(itertools.combinations(range(total), 3))
    for chosen in masks:
        bits = [int(place in chosen) for place in range(tile)]
        pmf[sum(bits) + placeholders_by_counting(bits, 2**run_bits)] += 1 / len(masks)
    np.testing.assert_allclose(entries_pmf(tile, zeros, run_bits), pmf, atol=1e-12)
    assert expected_placeholders(tile, zeros, run_bits) == pytest.approx(
        pmf @ np.arange(tile + 1) - zeros.expected_occupancy(tile)
    )


@given(st.integers(0, 10), st.integers(0, 10), st.integers(1, 4))
def test_shares_of_arrangements(n, nonzeros, limit):
    nonzeros = min(n, nonzeros)
    counted: dict[int, int] = {}
    for chosen in itertools.combinations(range(n), nonzeros):
        count = placeholders_by_counting([int(place in chosen) for place in range(n)], limit)
        counted[count] = counted.get(count, 0) + 1
    shares = placeholder_shares(n, nonzeros, limit)
    assert list(shares) == pytest.approx([counted.get(k, 0) / math.comb(n, nonzeros) for k in range(len(shares))])
    assert sum(shares) == pytest.approx(1)


def test_the_two_ways_to_the_distribution_agree_on_long_tiles():
    """Position by position, and by counting arrangements for each number of non-zeros."""
    zeros, n = Bernoulli(0.07), 400
    mixed = np.zeros(n + 1)
    for nonzeros, probability in enumerate(zeros.occupancy_pmf(n)):
        if probability > 1e-14:
            for placeholders, share in enumerate(placeholder_shares(n, nonzeros, 16)):
                mixed[nonzeros + placeholders] += probability * share
    pmf = entries_pmf(n, zeros, 4)
    np.testing.assert_allclose(pmf, mixed, atol=1e-11)
    assert pmf @ np.arange(n + 1) == pytest.approx(n * 0.07 + expected_placeholders(n, zeros, 4))


def test_even_zeros_need_placeholders_only_in_long_gaps():
    rng = np.random.default_rng(0)
    zeros, n = Fixed(1 / 40), 200
    sampled = [placeholders_by_counting(zeros.sample((n,), rng), 16) for _ in range(4000)]
    tolerance = 5 * np.std(sampled) / math.sqrt(len(sampled))
    assert expected_placeholders(n, zeros, 4) == pytest.approx(np.mean(sampled), abs=tolerance)
    assert expected_placeholders(n, Fixed(0.25), 4) == 0


def test_arrays_of_tiles_and_densities():
    density = np.array([0.05, 0.4])
    tiles = np.array([[10], [100], [0]])
    table = expected_placeholders(tiles, Bernoulli(density), 4)
    assert table.shape == (3, 2)
    assert table[1, 0] == pytest.approx(expected_placeholders(100, Bernoulli(0.05), 4))
    np.testing.assert_array_equal(table[[0, 2]], 0)
    mean, variance = stored_vector_moments(np.array([10, 100]), Bernoulli(0.05), 4, 4)
    assert (mean[1], variance[1]) == pytest.approx(stored_vector_moments(100, Bernoulli(0.05), 4, 4))


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 4))
def test_occupied_positions_are_nonzeros_and_placeholders(bits, run_bits):
    mask = np.array(bits)
    stored = occupied(mask, run_bits)
    assert np.all(stored[mask])
    assert np.count_nonzero(stored) == mask.sum() + placeholders_by_counting(bits, 2**run_bits)
    runs = np.diff(np.flatnonzero(stored), prepend=-1) - 1
    assert np.all(runs < 2**run_bits)
    np.testing.assert_array_equal(occupied(np.stack([mask, ~mask]), run_bits)[0], stored)


@pytest.mark.parametrize(("fibers", "length"), [(1, 9), (2, 5), (3, 4)])
@pytest.mark.parametrize("run_bits", [1, 2])
def test_most_entries_over_every_mask(fibers, length, run_bits):
    most = dict.fromkeys(range(fibers * length + 1), 0)
    for bits in every_mask(fibers * length):
        rows = np.reshape(bits, (fibers, length))
        entries = sum(bits) + sum(placeholders_by_counting(row, 2**run_bits) for row in rows)
        most[sum(bits)] = max(most[sum(bits)], entries)
    assert most == {k: most_entries(fibers, length, k, run_bits) for k in most}


def test_four_bit_runs_cost_under_two_percent_at_the_densities_of_the_networks():
    """SCNN paper, section IV: placeholders come "without any noticeable degradation in compression efficiency".

    Figure 1 of the paper has no density under 0.3 (section II), the pruned VGG-16 of Han et al. (2015) none under
    0.22; blocks are 72 weights (8 output channels of 3x3 taps) and longer ones of 5x5 and 11x11 taps.
    """
    for density in (0.3, 0.5, 0.7, 0.9):
        for block in (8, 72, 200, 968, 100_000):
            assert placeholder_overhead(block, Bernoulli(density), 4) < 0.004
    assert placeholder_overhead(72, Bernoulli(0.22), 4) < 0.02
    # In an endless code the limit of 2% is reached at 0.2166; two-bit runs would be noticed anywhere.
    assert placeholder_overhead(10**6, Bernoulli(0.22), 4) < 0.02 < placeholder_overhead(10**6, Bernoulli(0.21), 4)
    assert placeholder_overhead(72, Bernoulli(0.3), 2) > 0.2


class TestStoredEntries:
    def test_independent_zeros_are_exact(self):
        stored = StoredEntries(Bernoulli(0.1), 2)
        np.testing.assert_allclose(stored.occupancy_pmf(40), entries_pmf(40, Bernoulli(0.1), 2))
        assert stored.expected_occupancy(40) == pytest.approx(mean_and_variance(stored.occupancy_pmf(40))[0])
        assert stored.vector_moments(40, 4) == pytest.approx(stored_vector_moments(40, Bernoulli(0.1), 2, 4))
        assert stored.vector_moments((1, 1, 5, 8), 4) == pytest.approx(stored.vector_moments(40, 4))
        assert stored.density == 0.1

    @pytest.mark.parametrize("density", [0.03, 0.2])
    def test_large_tiles_continue_small_ones(self, density):
        """Past the exact size mean and deviation still are those of drawn codes."""
        size = 3 * EXACT_POSITIONS
        stored = StoredEntries(Bernoulli(density), 4)
        codes = np.random.default_rng(0).random((4000, size)) < density
        entries = occupied(codes, 4).sum(axis=1)
        mean, variance = mean_and_variance(stored.occupancy_pmf(size))
        assert mean == pytest.approx(entries.mean(), abs=5 * entries.std() / math.sqrt(entries.size))
        assert math.sqrt(variance) == pytest.approx(entries.std(), rel=0.06)
        assert mean == pytest.approx(float(stored.expected_occupancy(size)), rel=1e-3)

    @pytest.mark.parametrize(
        ("zeros", "tile"),
        [
            (Hypergeometric(0.1, 500), 60),
            (BlockStructured(0.2, (4, 1, 1)), (8, 3, 3)),
            (BlockStructured(0.2, (4,)), 60),
            (WholeChannel(0.3, 0), (8, 3, 3)),
        ],
        ids=str,
    )
    def test_other_models_against_drawn_tensors(self, zeros, tile):
        stored = StoredEntries(zeros, 2)
        rng = np.random.default_rng(5)
        if isinstance(zeros, Hypergeometric):
            tensors = np.stack([zeros.sample((500,), rng)[:tile] for _ in range(3000)])
        else:
            shape = tile if isinstance(tile, tuple) else (tile,)
            tensors = np.stack([zeros.sample(shape, rng).reshape(-1) for _ in range(3000)])
        entries = occupied(tensors, 2).sum(axis=-1)
        pmf = stored.occupancy_pmf(tile)
        assert pmf.sum() == pytest.approx(1)
        assert stored.expected_occupancy(tile) == pytest.approx(pmf @ np.arange(pmf.size))
        error = 5 * entries.std() / math.sqrt(entries.size)
        # Placeholders are themselves a mean over a few hundred tiles.
        assert stored.expected_occupancy(tile) == pytest.approx(entries.mean(), abs=error + 0.02 * entries.mean())
        assert entries.mean() > 1.02 * tensors.sum(axis=-1).mean()

    def test_a_measured_tensor_is_its_own_tiles(self):
        rng = np.random.default_rng(1)
        mask = rng.random((6, 8, 8)) < np.array([0.02, 0.05, 0.1, 0.3, 0.6, 0.9])[:, None, None]
        stored = StoredEntries(Measured(mask), 2)
        entries = occupied(mask.reshape(6, 4, 16), 2).sum(axis=-1)
        assert stored.expected_occupancy(16) == pytest.approx(entries.mean(), rel=0.02)
        # Channels differ, and no PE waits for another because of it.
        within = np.var(-(-entries // 4), axis=1).mean()
        assert stored.tile_variance(16, 4) == pytest.approx(within)
        assert within < 0.3 * stored.vector_moments(16, 4)[1]
        assert not stored.independent_tiles

    def test_samples_and_worst_cases(self):
        stored = StoredEntries(Bernoulli(0.1), 1)
        drawn = stored.sample((4, 50), np.random.default_rng(0))
        assert drawn.shape == (4, 50)
        assert drawn.mean() > 0.2  # with runs of one zero at most, hardly half of the zeros are left out
        assert stored.worst_occupancy(9) == 9
        assert StoredEntries(Hypergeometric(0.1, 20), 1).worst_occupancy(9) == most_entries(1, 9, 2, 1)
