"""MT19937-64 against published outputs, and the tensors of the recorded runs."""

import numpy as np

from timeloop_py.simulator.mersenne import mersenne_tensors, mt19937_64
from timeloop_py.specs.layer import Layer


def test_first_outputs_for_the_default_seed() -> None:
    """The first lines of what the authors' mt19937-64.c gives for seed 5489 (the default of std::mt19937_64)."""
    first = [14514284786278117030, 4620546740167642908, 13109570281517897720, 17462938647148434322, 355488278567739596]
    assert mt19937_64(5489, 5).tolist() == first


def test_the_10000th_output_is_that_of_the_cpp_standard() -> None:
    """ISO C++, [rand.predef]: the 10000th invocation of a default std::mt19937_64 gives 9981545732273789042."""
    assert int(mt19937_64(5489, 10000)[-1]) == 9981545732273789042


def test_fewer_outputs_are_a_prefix() -> None:
    many = mt19937_64(7, 1000)
    for count in (0, 1, 311, 312, 313, 624):
        assert np.array_equal(mt19937_64(7, count), many[:count])


def test_tensors_have_the_layer_shapes_and_densities() -> None:
    layer = Layer("l", K=6, C=4, W=9, H=7, R=2, S=3, groups=2, weight_density=0.2, activation_density=1.0)
    activations, weights = mersenne_tensors(layer, 1)
    assert activations.shape == (1, 4, 7, 9)
    assert weights.shape == (6, 2, 3, 2)
    assert np.all(activations != 0)
    draws = (mt19937_64(4, 72) >> np.uint64(11)).astype(float) / 2**53
    assert np.array_equal(weights.ravel() != 0, draws < 0.2)
    assert np.all(weights == np.round(weights))
