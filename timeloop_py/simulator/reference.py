"""What a layer computes, straight from its definition: shares nothing with the simulated machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from timeloop_py.simulator.arrays import FloatArray
from timeloop_py.specs.layer import Layer


def reference_convolution(layer: Layer, activations: FloatArray, weights: FloatArray) -> FloatArray:
    """The convolution [N, K, Q, P] of ``activations`` [N, C, H, W] with ``weights`` [K, C/G, S, R].

    Output-centric: ``out[n,k,q,p] = sum over c,s,r of w[k,c,s,r] * in[n,c, q*stride + s*dilation - padding, ...]``.
    """
    filters = weights.reshape(layer.groups, layer.output_channels_per_group, layer.channels_per_group, -1)
    out = np.zeros((layer.N, layer.groups, layer.output_channels_per_group, layer.Q * layer.P))
    for tap, window in _windows(layer, activations):
        out += filters[..., tap] @ window
    return out.reshape(layer.N, layer.K, layer.Q, layer.P)


def useful_products(layer: Layer, activations: FloatArray, weights: FloatArray) -> int:
    """Pairs of a non-zero weight and a non-zero activation whose product is part of an output."""
    filters = np.count_nonzero(
        weights.reshape(layer.groups, layer.output_channels_per_group, layer.channels_per_group, -1), axis=1
    )
    return sum(
        int((filters[..., tap] * np.count_nonzero(window, axis=-1)).sum())
        for tap, window in _windows(layer, activations)
    )


def _windows(layer: Layer, activations: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """For every tap ``s*R + r`` the inputs that it meets, one per output: [N, G, C/G, Q*P]."""
    (pad_x, pad_y), (step_x, step_y) = layer.padding, layer.stride
    padded = np.pad(activations, ((0, 0), (0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    for s in range(layer.S):
        for r in range(layer.R):
            x, y = r * layer.dilation[0], s * layer.dilation[1]
            window = padded[:, :, y : y + layer.Q * step_y : step_y, x : x + layer.P * step_x : step_x]
            shape = (layer.N, layer.groups, layer.channels_per_group, layer.Q * layer.P)
            yield s * layer.R + r, window[:, :, : layer.Q, : layer.P].reshape(shape)
