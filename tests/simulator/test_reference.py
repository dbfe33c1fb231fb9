"""The reference convolution against SciPy and against its definition in loops."""

from itertools import product

import numpy as np
from hypothesis import given, settings

from tests.simulator.strategies import layers
from timeloop_py.simulator.operands import operands
from timeloop_py.simulator.reference import reference_convolution, useful_products
from timeloop_py.specs.layer import Layer


def test_equals_scipy_where_scipy_can() -> None:
    from scipy.signal import correlate2d

    layer = Layer("l", K=3, C=2, W=9, H=7, R=3, S=2)
    activations, weights = operands(layer, 0, None, None)
    result = reference_convolution(layer, activations, weights)
    for k in range(3):
        expected = sum(correlate2d(activations[0, c], weights[k, c], mode="valid") for c in range(2))
        assert np.array_equal(result[0, k], expected)


@settings(max_examples=50)
@given(layers())
def test_equals_the_definition(layer: Layer) -> None:
    activations, weights = operands(layer, 1, None, None)
    expected = np.zeros((layer.N, layer.K, layer.Q, layer.P))
    useful = 0
    sizes = (layer.N, layer.K, layer.Q, layer.P, layer.channels_per_group, layer.S, layer.R)
    for n, k, q, p, c, s, r in product(*map(range, sizes)):
        y = q * layer.stride[1] + s * layer.dilation[1] - layer.padding[1]
        x = p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0]
        channel = k // layer.output_channels_per_group * layer.channels_per_group + c
        if 0 <= y < layer.H and 0 <= x < layer.W:
            value = activations[n, channel, y, x] * weights[k, c, s, r]
            expected[n, k, q, p] += value
            useful += value != 0
    assert np.array_equal(reference_convolution(layer, activations, weights), expected)
    assert useful_products(layer, activations, weights) == useful
