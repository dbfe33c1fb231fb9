"""Measured zeros: statistics counted by hand, and tensor files good and bad."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.tensors.density import Bernoulli
from timeloop_py.tensors.measured import Measured

TENSOR = np.array(
    [
        [[1, 0, 0, 2], [0, 3, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, -1]],
        [[5, 6, 7, 8], [9, 1, 2, 3]],
    ],
    dtype=float,
)


def test_statistics_of_a_small_tensor():
    model = Measured.of(TENSOR)
    assert model.density == pytest.approx(12 / 24)
    np.testing.assert_allclose(model.channel_densities, [3 / 8, 1 / 8, 1])
    np.testing.assert_array_equal(model.tile_occupancies(4), [[2, 1], [0, 1], [4, 4]])
    np.testing.assert_array_equal(model.tile_occupancies((2, 2)), [[2, 1], [0, 1], [4, 4]])
    np.testing.assert_array_equal(model.tile_occupancies((3, 1, 4)), [[6, 6]])
    np.testing.assert_allclose(model.occupancy_pmf(4), [1 / 6, 2 / 6, 1 / 6, 0, 2 / 6])
    assert model.expected_occupancy(4) == 2
    assert model.worst_occupancy((2, 2)) == 4
    assert model.probability_empty(4) == pytest.approx(1 / 6)
    assert model.probability_above(4, 1) == pytest.approx(3 / 6)
    mean, variance = model.vector_moments(4, 2)
    vectors = [1, 1, 0, 1, 2, 2]
    assert (mean, variance) == pytest.approx((np.mean(vectors), np.var(vectors)))
    assert model.tile_variance(4, 2) == pytest.approx(np.mean([0, 0.25, 0]))
    # Two independent tiles of a channel: channel 2 fills 0 or 1 vectors, the others always the same.
    assert model.expected_maximum_vectors([4], [2], 2) == pytest.approx((1 + 0.75 + 2) / 3)


def test_what_does_not_fill_a_tile_is_left_out_and_long_tiles_are_cut():
    model = Measured.of(TENSOR)
    np.testing.assert_array_equal(model.tile_occupancies(3), [[1, 2], [0, 0], [3, 3]])
    np.testing.assert_array_equal(model.tile_occupancies(100), [[3], [1], [8]])
    np.testing.assert_array_equal(model.tile_occupancies(0), [[0], [0], [0]])
    with pytest.raises(ValueError, match="4 ranks of a tensor of 3"):
        model.tile_occupancies((2, 1, 2, 2))
    np.testing.assert_array_equal(model.tile_occupancies((1, 1, 2, 2)), model.tile_occupancies((1, 2, 2)))


def test_a_vector_is_one_channel():
    model = Measured.of([1, 0, 0, 0, 5, 5])
    np.testing.assert_array_equal(model.tile_occupancies(2), [[1, 0, 2]])
    np.testing.assert_array_equal(model.tile_occupancies((3,)), [[1, 2]])
    assert model.tile_variance(2, 1) == pytest.approx(np.var([1, 0, 2]))


@given(st.integers(0, 1000), st.integers(1, 6))
def test_tiles_are_counted_one_by_one(seed, size):
    rng = np.random.default_rng(seed)
    mask = rng.random((3, 4, 5)) < 0.4
    counted = [
        [row[start : start + size].sum() for start in range(0, 20 - size + 1, size)] for row in mask.reshape(3, 20)
    ]
    np.testing.assert_array_equal(Measured.of(mask).tile_occupancies(size), counted)


def test_a_large_sample_measures_its_own_model():
    mask = Bernoulli(0.35).sample((400, 32, 32), np.random.default_rng(0))
    measured, model = Measured.of(mask), Bernoulli(0.35)
    assert measured.density == pytest.approx(0.35, abs=0.005)
    assert measured.vector_moments(16, 4) == pytest.approx(model.vector_moments(16, 4), rel=0.02)
    assert measured.tile_variance(16, 4) == pytest.approx(model.tile_variance(16, 4), rel=0.03)
    assert measured.expected_maximum_vectors(16, [16], 4) == pytest.approx(
        model.expected_maximum_vectors(16, [16], 4), rel=0.03
    )


def test_a_measured_tensor_stands_for_itself():
    model = Measured.of(TENSOR)
    np.testing.assert_array_equal(model.sample((3, 2, 4), np.random.default_rng(0)), TENSOR != 0)
    joined = Measured.of(TENSOR.reshape(-1, 4)).sample((3, 2, 4), np.random.default_rng(0))
    np.testing.assert_array_equal(joined, TENSOR != 0)
    with pytest.raises(ValueError, match="not"):
        model.sample((3, 8), np.random.default_rng(0))
    with pytest.raises(ValueError, match="without positions"):
        Measured.of(np.zeros((0, 3)))
    with pytest.raises(ValueError):
        model.mask[0, 0, 0] = False
