"""Bank contention against all assignments, against queues run step by step, and the published claim."""

import itertools

import numpy as np
import pytest

from timeloop_py.sparsity.bank_contention import (
    DEFAULT_QUEUE_DEPTH,
    expected_fullest_bank,
    expected_step_cycles,
    slowdown,
)
from timeloop_py.tensors.density import Bernoulli, Fixed
from timeloop_py.tensors.structured import NMStructured


@pytest.mark.parametrize(("products", "banks"), [(1, 4), (2, 2), (3, 2), (5, 3), (4, 6), (6, 4), (9, 2), (3, 1)])
def test_fullest_bank_over_all_assignments(products, banks):
    loads = [max(np.bincount(where)) for where in itertools.product(range(banks), repeat=products)]
    assert expected_fullest_bank(products, banks) == pytest.approx(np.mean(loads), rel=1e-12)


@pytest.mark.parametrize(("products", "banks"), [(16, 32), (64, 128), (256, 512), (100, 20)])
def test_fullest_bank_over_sampled_assignments(products, banks):
    rng = np.random.default_rng(0)
    loads = [np.bincount(rng.integers(0, banks, products)).max() for _ in range(4000)]
    tolerance = 5 * np.std(loads) / np.sqrt(len(loads))
    assert expected_fullest_bank(products, banks) == pytest.approx(np.mean(loads), abs=tolerance)


def run_queues(products, banks, depth, steps, rng):
    """Mean cycles a step: a step starts when no bank would hold more than ``depth`` after its last cycle."""
    waiting, cycles = np.zeros(banks, dtype=int), 0
    for _ in range(steps):
        waiting += np.bincount(rng.integers(0, banks, products), minlength=banks)
        lasts = max(1, waiting.max() - depth)
        cycles += lasts
        waiting = np.maximum(waiting - lasts, 0)
    return cycles / steps


@pytest.mark.parametrize(("products", "banks"), [(4, 8), (16, 32), (64, 128), (8, 32)])
@pytest.mark.parametrize("depth", [2, 3, 4, 8])
def test_queued_banks_within_one_percent_of_a_run(products, banks, depth):
    measured = run_queues(products, banks, depth, 8000, np.random.default_rng(1))
    assert expected_step_cycles(products, banks, depth) == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize(("products", "banks", "depth"), [(16, 16, 4), (24, 32, 1), (40, 32, 4), (16, 32, 1)])
def test_crowded_banks_within_six_percent_of_a_run(products, banks, depth):
    measured = run_queues(products, banks, depth, 8000, np.random.default_rng(1))
    assert expected_step_cycles(products, banks, depth) == pytest.approx(measured, rel=0.06)


def test_queues_help_and_load_hurts():
    by_depth = [expected_step_cycles(16, 32, depth) for depth in range(10)]
    assert by_depth == sorted(by_depth, reverse=True)
    by_load = [expected_step_cycles(products, 32) for products in range(1, 33)]
    assert by_load == sorted(by_load)
    by_banks = [expected_step_cycles(16, banks, 2) for banks in (8, 16, 32, 64, 128)]
    assert by_banks == sorted(by_banks, reverse=True)
    assert expected_step_cycles(1, 1, 0) == expected_step_cycles(0, 32) == 1
    assert expected_step_cycles(64, 32) >= 2  # the banks' throughput


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_twice_as_many_banks_as_products_stall_under_one_percent(lanes):
    """Section IV of the SCNN paper: "A = 2 x F x I sufficiently reduces accumulator bank contention" (claim: 2%)."""
    cycles = expected_step_cycles(lanes**2, 2 * lanes**2, DEFAULT_QUEUE_DEPTH)
    stall_share = 1 - 1 / cycles
    assert 0 <= stall_share < 0.01
    unqueued = expected_step_cycles(lanes**2, 2 * lanes**2, 0)
    assert 1 - 1 / unqueued > 0.3  # it takes the queues


def test_the_default_depth_is_the_smallest_power_of_two_under_one_percent():
    stalls = {depth: 1 - 1 / expected_step_cycles(16, 32, depth) for depth in (4, 8)}
    assert stalls[4] > 0.01 > stalls[8]
    assert DEFAULT_QUEUE_DEPTH == 8


@pytest.mark.parametrize("zeros", [Bernoulli(0.3), Fixed(0.3), NMStructured(2, 4)], ids=str)
def test_vectors_by_filled_lanes(zeros):
    for n, lanes in ((5, 4), (72, 4), (9, 3), (3, 8), (0, 2)):
        pmf = zeros.occupancy_pmf(n)
        expected = np.zeros(lanes)
        for occupancy, probability in enumerate(pmf):
            full, rest = divmod(occupancy, lanes)
            expected[lanes - 1] += probability * full
            if rest:
                expected[rest - 1] += probability
        np.testing.assert_allclose(zeros.filled_vectors(n, lanes), expected, atol=1e-12)
    table = zeros.filled_vectors(np.array([[5, 72], [3, 72]]), 4)
    assert table.shape == (2, 2, 4)
    np.testing.assert_allclose(table[1, 0], zeros.filled_vectors(3, 4), atol=1e-12)
    np.testing.assert_allclose(table.sum(axis=-1), zeros.vector_moments(np.array([[5, 72], [3, 72]]), 4)[0])


def test_vectors_by_filled_lanes_over_densities():
    table = Bernoulli(np.array([0.2, 1.0])).filled_vectors(np.array([[10], [7]]), 4)
    np.testing.assert_allclose(table[:, 1], [[0, 1, 0, 2], [0, 0, 1, 1]], atol=1e-12)
    np.testing.assert_allclose(table[0, 0], Bernoulli(0.2).filled_vectors(10, 4), atol=1e-12)


def test_slowdown_of_a_block_over_all_its_steps():
    """Unqueued: the mean over all steps of a block of the fullest bank's load."""
    weights, activations, banks = Bernoulli(0.5), Bernoulli(0.4), 8
    cycles = steps = 0.0
    for w, p in enumerate(weights.occupancy_pmf(6)):
        for a, q in enumerate(activations.occupancy_pmf(5)):
            for f in [2] * (w // 2) + [1] * (w % 2):
                for i in [2] * (a // 2) + [1] * (a % 2):
                    cycles += p * q * expected_fullest_bank(f * i, banks)
                    steps += p * q
    vectors = weights.filled_vectors(6, 2), activations.filled_vectors(5, 2)
    assert slowdown(*vectors, banks, 0) == pytest.approx(cycles / steps)
    assert slowdown(*vectors, banks, None) == 1
    assert 1 < slowdown(*vectors, banks, 1) < slowdown(*vectors, banks, 0)


def test_slowdown_broadcasts_and_empty_blocks_lose_nothing():
    weights = Bernoulli(0.3).filled_vectors(np.array([72, 8]), 4)
    activations = Bernoulli(0.4).filled_vectors(np.array([[0], [4], [16]]), 4)
    table = slowdown(weights, activations, 32)
    assert table.shape == (3, 2)
    np.testing.assert_array_equal(table[0], [1, 1])
    assert np.all((table[1:] > 1) & (table[1:] < 1.01))
    assert np.all(np.diff(table[1:], axis=0) > 0)
