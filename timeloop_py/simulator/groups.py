"""The output-channel groups of a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timeloop_py.simulator.arrays import FloatArray, IntArray
from timeloop_py.specs.layer import Layer


@dataclass(frozen=True)
class OutputGroups:
    """Groups of at most ``most`` output channels, none across channel groups, the last of each possibly short.

    ``sizes`` [groups]: channels of each. ``channel_group`` [groups]: where each belongs. ``weights``
    [groups, most, C/G, S, R]: zeros in the places that a short group leaves.
    """

    most: int
    sizes: IntArray
    channel_group: IntArray
    weights: FloatArray

    @classmethod
    def of(cls, layer: Layer, most: int, weights: FloatArray) -> OutputGroups:
        """Group the output channels of ``weights`` [K, C/G, S, R]."""
        channels = layer.output_channels_per_group
        count = -(-channels // most)
        padded = np.zeros((layer.groups, count * most, *weights.shape[1:]))
        padded[:, :channels] = weights.reshape(layer.groups, channels, *weights.shape[1:])
        sizes = np.minimum(most, channels - np.arange(count) * most)
        return cls(
            most,
            np.tile(sizes, layer.groups),
            np.repeat(np.arange(layer.groups), count),
            padded.reshape(-1, most, *weights.shape[1:]),
        )

    def channels_of(self, layer: Layer, sums: FloatArray) -> FloatArray:
        """Per-group sums [groups, most, ...] as those of the layer's output channels [K, ...]."""
        joined = sums.reshape(layer.groups, -1, *sums.shape[2:])
        return joined[:, : layer.output_channels_per_group].reshape(layer.K, *sums.shape[2:])
