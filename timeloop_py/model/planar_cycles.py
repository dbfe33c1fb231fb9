"""Cycles of planar-tiled accelerators: a bottleneck analysis per output-channel group (MODEL section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timeloop_py.model.batch import Array, Batch, Densities, Integers
from timeloop_py.numbers.expectation import (
    expected_ceiling,
    expected_maximum_normal,
    expected_maximum_of_ceilings,
    variance_of_ceiling,
)


@dataclass(frozen=True)
class VectorMoments:
    """Vectors of compressed blocks, as expectations.

    ``weight`` (blocks, points): vectors of a group's weights per channel, with variance. ``activation`` (blocks,
    PE classes, points): vectors of the tile's activations per channel, with variance.
    """

    weight: Array
    weight_variance: Array
    activation: Array
    activation_variance: Array


@dataclass(frozen=True)
class ComputeTime:
    """Steps of one output-channel group, arrays (groups, points); each term of the cycle model apart.

    ``steps``: vector steps of all busy PEs together. ``slowest``: expected steps of the PE that the barrier waits for.
    ``stalls`` and ``overhead``: cycles that bank conflicts and block overheads add to it.
    """

    steps: Array
    slowest: Array
    stalls: Array
    overhead: Array

    @property
    def cycles(self) -> Array:
        return self.slowest + self.stalls + self.overhead


def vector_moments(batch: Batch, densities: Densities) -> VectorMoments:
    """Expected vectors per block: ``E[ceil(nnz/F)]`` of weights and ``E[ceil(nnz/I)]`` of activations."""
    unit = batch.unit_of_block
    weights = batch.group_channels[batch.group_of_block] * batch.block_taps
    lanes_w, lanes_a = batch.parameter("F")[unit, None], batch.parameter("I")[unit, None, None]
    weight_density, activation_density = densities.weight[unit], densities.activation[unit][:, None, :]
    sizes = batch.class_sizes[:, :, None]
    return VectorMoments(
        weight=expected_ceiling(weights[:, None], weight_density, lanes_w),
        weight_variance=variance_of_ceiling(weights[:, None], weight_density, lanes_w),
        activation=expected_ceiling(sizes, activation_density, lanes_a),
        activation_variance=variance_of_ceiling(sizes, activation_density, lanes_a),
    )


def compute_time(batch: Batch, densities: Densities) -> ComputeTime:
    """Steps of every output-channel group under the dataflow's core, barrier and bank rules."""
    flow = batch.flow
    if flow.template.core == "dot_product":
        return _dot_product_time(batch)
    moments = vector_moments(batch, densities)
    channels = batch.layer_value("channels_per_group")[batch.unit_of_block]
    counts = batch.class_counts
    mean = batch.sum_blocks(channels[:, None, None] * moments.weight[:, None, :] * moments.activation)
    steps = (mean * counts[:, :, None]).sum(axis=1)
    if flow.barrier == "per_channel":
        slowest = _per_channel_barrier(batch, densities, moments, channels)
    elif flow.barrier == "per_group":
        weight_squared = moments.weight_variance + moments.weight**2
        variance = batch.sum_blocks(channels[:, None, None] * weight_squared[:, None, :] * moments.activation_variance)
        copies = np.broadcast_to(counts[:, :, None], mean.shape)
        slowest = expected_maximum_normal(mean, np.sqrt(variance), copies, axis=1)
    else:
        slowest = np.where(counts[:, :, None] > 0, mean, 0.0).max(axis=1)
    blocks_per_group = batch.sum_blocks(channels[:, None].astype(float))
    overhead = batch.flow.block_overhead_cycles * blocks_per_group
    return ComputeTime(steps, slowest, np.zeros_like(slowest), np.broadcast_to(overhead, slowest.shape))


def _per_channel_barrier(batch: Batch, densities: Densities, moments: VectorMoments, channels: Integers) -> Array:
    """``sum over c of E[max over PEs of A_c] * E[W_c]``: weights are broadcast, so only activations differ."""
    unit = batch.unit_of_block
    counts = batch.class_counts[batch.group_of_block]
    slowest = expected_maximum_of_ceilings(
        batch.class_sizes[:, :, None],
        counts[:, :, None],
        densities.activation[unit][:, None, :],
        batch.parameter("I")[unit, None, None],
        axis=1,
    )
    return batch.sum_blocks(channels[:, None] * moments.weight * slowest)


def dot_product_steps(batch: Batch) -> Array:
    """Steps per output point and channel of the group: ``ceil`` of the reduction over the lanes, per unit."""
    channels = batch.layer_value("channels_per_group")
    taps = batch.layer_value("R") * batch.layer_value("S")
    lanes = batch.parameter("multipliers_per_pe")
    if batch.flow.vector_over == "channels":
        return (taps * -(-channels // lanes)).astype(float)
    return (-(-channels * taps // lanes)).astype(float)


def _dot_product_time(batch: Batch) -> ComputeTime:
    unit = batch.unit_of_group
    per_position = batch.group_channels * dot_product_steps(batch)[unit]
    positions = batch.class_sizes[batch.first_block]
    largest = np.where(batch.class_counts > 0, positions, 0).max(axis=1)
    steps = (per_position * (positions * batch.class_counts).sum(axis=1))[:, None]
    overhead = np.full_like(steps, batch.flow.block_overhead_cycles)
    return ComputeTime(steps, (per_position * largest)[:, None], np.zeros_like(steps), overhead)
