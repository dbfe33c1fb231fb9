"""Cycles of planar-tiled accelerators per output-channel group: the terms of ``sparsity`` over a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timeloop_py.model.batch import Array, Batch, Densities, Integers
from timeloop_py.numbers.operations import Number, ceiling_divide
from timeloop_py.sparsity import barrier
from timeloop_py.sparsity.bank_contention import slowdown
from timeloop_py.sparsity.fragmentation import Moments, activation_vectors, group_steps, weight_vectors
from timeloop_py.specs.dataflow import VectorOver
from timeloop_py.tensors.density import Bernoulli

#: In place of steps that are 0: a group whose outputs all see padding only.
_TINY = 1e-300


@dataclass(frozen=True)
class VectorMoments:
    """Vectors of compressed blocks: of weights (blocks, points), of activations (blocks, PE classes, points)."""

    weights: Moments
    activations: Moments


@dataclass(frozen=True)
class ComputeTime:
    """Steps of one output-channel group, arrays (groups, points or 1); each term of the cycle model apart.

    ``steps``: vector steps of all busy PEs together. ``slowest``: expected steps of the PE that the barrier waits for.
    ``stalls`` and ``overhead``: cycles that bank conflicts and block overheads add to it.
    """

    steps: Array
    slowest: Array
    stalls: Array
    overhead: Array

    @property
    def cycles(self) -> Array:
        """Cycles of the group without memories."""
        return self.slowest + self.stalls + self.overhead


def vector_moments(batch: Batch, densities: Densities) -> VectorMoments:
    """Vectors per (group, channel) and per (channel, tile) block at the given densities."""
    unit = batch.unit_of_block
    block = batch.group_channels[batch.group_of_block] * batch.block_taps
    return VectorMoments(
        weight_vectors(block[:, None], Bernoulli(densities.weight[unit]), batch.parameter("F")[unit, None]),
        activation_vectors(
            batch.class_sizes[:, :, None],
            Bernoulli(densities.activation[unit][:, None, :]),
            batch.parameter("I")[unit, None, None],
        ),
    )


def compute_time(batch: Batch, densities: Densities) -> ComputeTime:
    """Time of every output-channel group under the dataflow's core, barrier and bank rules.

    Zeros in a dense dataflow take their time: its densities are 1 here, whatever is given.
    """
    if batch.flow.template.core == "dot_product":
        return _dot_product_time(batch)
    if not batch.flow.template.compressed:
        ones = np.ones((len(batch.layers), 1))
        densities = Densities(ones, ones, ones)
    return _cartesian_time(batch, densities)


def _cartesian_time(batch: Batch, densities: Densities) -> ComputeTime:
    moments = vector_moments(batch, densities)
    channels = batch.layer_value("channels_per_group")[batch.unit_of_block]
    weights = Moments(moments.weights.mean[:, None, :], moments.weights.variance[:, None, :])
    of_blocks = group_steps(channels[:, None, None], weights, moments.activations)
    of_pe = Moments(batch.sum_blocks(of_blocks.mean), batch.sum_blocks(of_blocks.variance))
    counts = batch.class_counts[:, :, None]
    if batch.flow.barrier == "per_group":
        limits = barrier.longest(
            channels[:, None, None],
            weights,
            batch.class_sizes[:, :, None],
            batch.parameter("I")[batch.unit_of_block][:, None, None],
        )
        slowest = barrier.per_group(of_pe, counts, axis=1, limits=batch.sum_blocks(limits))
    elif batch.flow.barrier == "per_channel":
        slowest = _per_channel(batch, densities, moments.weights, channels)
    else:
        slowest = barrier.without(of_pe, counts, axis=1)
    blocks = batch.sum_blocks(channels[:, None].astype(float))
    overhead = np.broadcast_to(batch.flow.block_overhead_cycles * blocks, slowest.shape)
    stalls = slowest * (_bank_slowdown(batch, densities, of_blocks.mean) - 1)
    return ComputeTime((of_pe.mean * counts).sum(axis=1), slowest, stalls, overhead)


def _per_channel(batch: Batch, densities: Densities, weights: Moments, channels: Integers) -> Array:
    unit = batch.unit_of_block
    of_blocks = barrier.per_channel(
        channels[:, None],
        weights,
        batch.class_sizes[:, :, None],
        batch.class_counts[batch.group_of_block][:, :, None],
        Bernoulli(densities.activation[unit][:, None, :]),
        batch.parameter("I")[unit, None, None],
        axis=1,
    )
    return batch.sum_blocks(of_blocks)


def _bank_slowdown(batch: Batch, densities: Densities, steps: Array) -> Array:
    """Mean cycles of a step per group and point; steps of all PE classes count alike."""
    rule = batch.flow.bank_contention
    shape = (len(batch.group_channels), densities.weight.shape[1])
    if rule == "none":
        return np.ones(shape)
    depth = batch.flow.queue_depth if rule == "queued" else 0
    unit = batch.unit_of_block
    kinds = np.stack([batch.parameter(name)[unit] for name in ("F", "I", "accumulator_banks")], axis=1)
    factors = np.ones((len(unit), shape[1]))
    for weight_lanes, activation_lanes, banks in np.unique(kinds, axis=0):
        rows = np.flatnonzero((kinds == (weight_lanes, activation_lanes, banks)).all(axis=1))
        block = batch.group_channels[batch.group_of_block[rows]] * batch.block_taps[rows]
        weights = Bernoulli(densities.weight[unit[rows]]).filled_vectors(block[:, None], int(weight_lanes))
        zeros = Bernoulli(densities.activation[unit[rows]][:, None, :])
        tiles = zeros.filled_vectors(batch.class_sizes[rows][:, :, None], int(activation_lanes))
        counts = batch.class_counts[batch.group_of_block[rows]][:, :, None, None]
        factors[rows] = slowdown(weights, (tiles * counts).sum(axis=1), int(banks), depth)
    per_block = (steps * batch.class_counts[batch.group_of_block][:, :, None]).sum(axis=1)
    total: Array = batch.sum_blocks(per_block * factors) / np.maximum(batch.sum_blocks(per_block), _TINY)
    return total


def dot_product_steps(batch: Batch) -> Array:
    """Steps per output point and channel of the group, per unit: the reduction over the lanes, rounded up."""
    channels = batch.layer_value("channels_per_group")
    taps = batch.layer_value("R") * batch.layer_value("S")
    lanes = batch.parameter("multipliers_per_pe")
    return np.asarray(reduction_steps(channels, taps, lanes, batch.flow.vector_over), dtype=float)


def reduction_steps(channels: Number, taps: Number, lanes: Number, vector_over: VectorOver) -> Number:
    """Dot products of ``lanes`` operand pairs that reduce ``channels * taps`` pairs to one output."""
    if vector_over == "channels":
        return taps * ceiling_divide(channels, lanes)
    return ceiling_divide(channels * taps, lanes)


def drain_cycles(channels: Number, output_tile: Number, words_per_cycle: Number) -> Number:
    """Cycles in which the largest PE drains the partial sums of one output-channel group."""
    return channels * output_tile / words_per_cycle


def _dot_product_time(batch: Batch) -> ComputeTime:
    per_position = batch.group_channels * dot_product_steps(batch)[batch.unit_of_group]
    positions = batch.class_sizes[batch.first_block]
    largest = np.where(batch.class_counts > 0, positions, 0).max(axis=1)
    steps = (per_position * (positions * batch.class_counts).sum(axis=1))[:, None]
    overhead = np.full_like(steps, batch.flow.block_overhead_cycles)
    return ComputeTime(steps, (per_position * largest)[:, None], np.zeros_like(steps), overhead)
