"""Expected steps against the enumeration of all blocks, and the laws of fragmentation."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.sparsity.fragmentation import Moments, activation_vectors, group_steps, lost_slots, weight_vectors
from timeloop_py.tensors.density import Bernoulli
from timeloop_py.tensors.measured import Measured
from timeloop_py.tensors.structured import BlockStructured, NMStructured, WholeChannel


def every_block(n, density):
    """Occupancies of all masks of n positions with their probabilities."""
    for bits in itertools.product([0, 1], repeat=n):
        yield sum(bits), density ** sum(bits) * (1 - density) ** (n - sum(bits))


def test_steps_of_a_group_are_those_of_every_pair_of_blocks():
    weights, activations = Bernoulli(0.4), Bernoulli(0.7)
    mean = second = 0.0
    for w, p in every_block(5, 0.4):
        for a, q in every_block(4, 0.7):
            steps = -(-w // 2) * -(-a // 3)
            mean, second = mean + p * q * steps, second + p * q * steps**2
    steps = group_steps(6, weight_vectors(5, weights, 2), activation_vectors(4, activations, 3))
    assert steps.mean == pytest.approx(6 * mean)
    # The variance given the weights, averaged over them: what is left of the whole without Var(E[steps | weights]).
    given_weights = [(p, -(-w // 2)) for w, p in every_block(5, 0.4)]
    expected_a = sum(q * -(-a // 3) for a, q in every_block(4, 0.7))
    common = sum(p * w**2 for p, w in given_weights) * expected_a**2
    assert steps.variance == pytest.approx(6 * (second - common))


def test_moments_of_independent_counts_add():
    total = Moments(2.0, 3.0) + Moments(np.array([1.0, 5.0]), 4.0)
    np.testing.assert_array_equal(total.mean, [3, 7])
    assert total.variance == 7
    assert Moments(3.0, 2.0).second == 11


@given(st.integers(1, 300), st.integers(1, 200), st.integers(1, 16), st.integers(1, 16))
def test_dense_blocks_take_the_steps_of_the_dense_dataflow(block, tile, lanes_w, lanes_a):
    dense = Bernoulli(1.0)
    steps = group_steps(3, weight_vectors(block, dense, lanes_w), activation_vectors(tile, dense, lanes_a))
    full_w, full_a = -(-block // lanes_w), -(-tile // lanes_a)
    assert steps.mean == 3 * full_w * full_a
    assert steps.variance == 0
    lost = lost_slots(steps.mean, 3 * block * tile, lanes_w * lanes_a)
    assert lost == 3 * (full_w * lanes_w * full_a * lanes_a - block * tile)


@given(st.integers(1, 200), st.integers(1, 100), st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1))
def test_more_density_never_costs_fewer_steps_and_slots_are_never_negative(block, tile, low, high, activation):
    low, high = sorted((low, high))
    activations = activation_vectors(tile, Bernoulli(activation), 4)
    steps = [group_steps(1, weight_vectors(block, Bernoulli(p), 4), activations).mean for p in (low, high)]
    assert steps[0] <= steps[1] + 1e-9
    assert lost_slots(steps[0], block * low * tile * activation, 16) >= -1e-9


def test_the_ceiling_of_the_mean_is_far_off_where_blocks_hold_few_nonzeros():
    # 8 output channels of a 1x1 filter and a 2x2 tile at 0.1: 0.8 and 0.4 non-zeros a block.
    steps = group_steps(1, weight_vectors(8, Bernoulli(0.1), 4), activation_vectors(4, Bernoulli(0.1), 4))
    assert steps.mean == pytest.approx((1 - 0.9**8 + 0.0004316) * (1 - 0.9**4), rel=2e-4)
    assert steps.mean < 0.2  # ceil(0.8 / 4) * ceil(0.4 / 4) = 1


def test_structure_that_fits_the_vectors_loses_nothing():
    kept = 0.5
    for zeros in (BlockStructured(kept, (4,)), NMStructured(2, 4)):
        vectors = weight_vectors(72, zeros, 4)
        assert vectors.mean == pytest.approx(72 * kept / 4)
    assert weight_vectors(72, Bernoulli(kept), 4).mean > 72 * kept / 4 + 0.3
    pruned = activation_vectors(12, WholeChannel(kept), 4)
    assert (pruned.mean, pruned.variance) == (kept * 3, 0)


def test_measured_channels_of_unlike_density():
    dense, empty = np.ones((50, 6, 6), dtype=bool), np.zeros((50, 6, 6), dtype=bool)
    vectors = activation_vectors(9, Measured.of(np.concatenate([dense, empty])), 4)
    assert vectors.mean == pytest.approx(1.5)
    assert vectors.variance == 0  # tiles of a channel are alike: nobody waits


def test_arrays_and_symbols():
    import sympy

    p, C = sympy.symbols("p C", positive=True)
    steps = group_steps(C, weight_vectors(72, Bernoulli(p), 4), activation_vectors([2, 4], Bernoulli(p), 4))
    assert steps.mean.shape == (2,)
    numbers = group_steps(
        256, weight_vectors(72, Bernoulli(0.2), 4), activation_vectors(np.array([2, 4]), Bernoulli(0.2), 4)
    )
    values = [float(formula.subs({C: 256, p: 0.2}).evalf()) for formula in (*steps.mean, *steps.variance)]
    np.testing.assert_allclose(values, [*numbers.mean, *numbers.variance])
