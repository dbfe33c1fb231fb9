"""Cycles of planar-tiled accelerators per output-channel group: the terms of ``sparsity`` over a batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from timeloop_py.model.batch import Array, Batch, Densities, Integers
from timeloop_py.numbers.operations import Number, ceiling_divide
from timeloop_py.sparsity import barrier
from timeloop_py.sparsity.bank_contention import slowdown
from timeloop_py.sparsity.fragmentation import Moments, activation_vectors, group_steps, weight_vectors
from timeloop_py.specs.dataflow import VectorOver
from timeloop_py.tensors.density import Bernoulli, DensityModel

# A sum of channels hardly strays further from its mean, in standard deviations.
_DEVIATIONS = 8.0
#: In place of steps that are 0: a group whose outputs all see padding only.
_TINY = 1e-300


@dataclass(frozen=True)
class VectorMoments:
    """Vectors of compressed blocks: of weights (blocks, points), of activations (blocks, PE classes, points)."""

    weights: Moments
    activations: Moments


@dataclass(frozen=True)
class ComputeTime:
    """Cycles of one output-channel group, arrays (groups, points or 1); each term of the cycle model apart.

    ``steps``: vector steps of all busy PEs together. ``slowest``: expected steps of the PE that the barrier waits for.
    ``stalls`` and ``overhead``: cycles that bank conflicts and block overheads add to it. ``draining``: cycles that
    the group waits until the partial sums of the one before it have left the other half of the accumulators.
    """

    steps: Array
    slowest: Array
    stalls: Array
    overhead: Array
    draining: Array

    @property
    def cycles(self) -> Array:
        """Cycles of the group without memories and drains."""
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
    channels = batch.layer_value("channels_per_group")[batch.unit_of_block][:, None, None]
    weights = Moments(moments.weights.mean[:, None, :], moments.weights.variance[:, None, :])
    of_blocks = group_steps(channels, weights, moments.activations)
    steps = Moments(batch.sum_blocks(of_blocks.mean), batch.sum_blocks(of_blocks.variance))
    slowest = _Slowest(batch, densities, moments, steps)
    blocks = batch.sum_blocks(channels[:, :, 0].astype(float))
    overhead = np.broadcast_to(batch.flow.block_overhead_cycles * blocks, slowest.expected.shape)
    slowdown = _bank_slowdown(batch, densities, of_blocks.mean)
    return ComputeTime(
        steps=(steps.mean * batch.class_counts[:, :, None]).sum(axis=1),
        slowest=slowest.expected,
        stalls=slowest.expected * (slowdown - 1),
        overhead=overhead,
        draining=_draining(batch, slowest, slowdown, overhead),
    )


class _Slowest:
    """Steps of the PE that a barrier waits for, per group and point."""

    def __init__(self, batch: Batch, densities: Densities, moments: VectorMoments, steps: Moments) -> None:
        self.batch = batch
        self.densities = densities
        self.moments = moments
        self.steps = steps
        self.channels = batch.layer_value("channels_per_group")[batch.unit_of_block]
        self.lanes = batch.parameter("I")[batch.unit_of_block]

    @cached_property
    def expected(self) -> Array:
        """The mean under the barrier of the dataflow."""
        rule = self.batch.flow.barrier
        if rule == "none":
            without: Array = barrier.without(self.steps, self.batch.class_counts[:, :, None], axis=1)
            return without
        result = np.empty((len(self.batch.group_channels), self.steps.mean.shape[2]))
        single = np.flatnonzero(self._parities == 1)
        several = np.flatnonzero(self._parities > 1)
        result[single] = self._of_one_block(single)
        if several.size:
            result[several] = self._of_parities(per_channel=rule == "per_channel")[several]
        return result

    @property
    def _parities(self) -> Integers:
        return np.diff(np.append(self.batch.first_block, len(self.batch.group_of_block)))

    def _of_one_block(self, groups: Integers) -> Array:
        """Where the group has one kind of block."""
        rule = barrier.per_group if self.batch.flow.barrier == "per_group" else barrier.per_channel
        return np.asarray(rule(*self._operands(groups), axis=1))

    def _operands(
        self, groups: Integers, points: Integers | slice = slice(None)
    ) -> tuple[Number, Moments, Number, Number, DensityModel, Number]:
        """Channels, weights, tiles, PEs, activations and lanes as the barriers take them, of groups of one block.

        At all density points, or one point per group: arrays (groups, points or 1), with classes in between.
        """
        blocks = self.batch.first_block[groups]
        shape = (len(groups), self.steps.mean.shape[2] if isinstance(points, slice) else 1)
        mean, variance = self.moments.weights.mean[blocks, points], self.moments.weights.variance[blocks, points]
        density = np.broadcast_to(self.densities.activation, (len(self.batch.layers), self.steps.mean.shape[2]))
        density = density[self.batch.unit_of_block[blocks], points]
        return (
            self.channels[blocks][:, None],
            Moments(mean.reshape(shape), variance.reshape(shape)),
            self.batch.class_sizes[blocks][:, :, None],
            self.batch.class_counts[groups][:, :, None],
            Bernoulli(density.reshape(shape)[:, None, :]),
            self.lanes[blocks][:, None, None],
        )

    def _of_parities(self, per_channel: bool) -> Array:
        """A barrier per group or channel that works through several parities."""
        batch = self.batch
        limits = batch.sum_blocks(
            barrier.longest(
                self.channels[:, None, None],
                Moments(self.moments.weights.mean[:, None, :], 0),
                batch.class_sizes[:, :, None],
                self.lanes[:, None, None],
            )
        )
        # Between two barriers: all channels of the group, or one of them.
        parts = batch.layer_value("channels_per_group")[batch.unit_of_group][:, None, None] if per_channel else 1
        steps = Moments(self.steps.mean / parts, self.steps.variance / parts)
        counts = batch.class_counts[:, :, None]
        slowest = barrier.per_group_of_parities(steps, counts, axis=1, limits=limits / parts)
        return np.asarray(slowest * np.squeeze(parts, axis=-1) if per_channel else slowest)

    @cached_property
    def spread(self) -> Array:
        """Standard deviation of the steps of the busiest PE, over weights and activations."""
        weights, activations = self.moments.weights, self.moments.activations
        second = weights.second[:, None, :] * activations.second - (weights.mean[:, None, :] * activations.mean) ** 2
        variance = self.batch.sum_blocks(self.channels[:, None, None] * second)
        busiest = np.where(self.batch.class_counts[:, :, None] > 0, self.steps.mean, -1.0).argmax(axis=1)
        return np.sqrt(np.maximum(np.take_along_axis(variance, busiest[:, None, :], axis=1)[:, 0], 0.0))

    def at_least(self, constant: Array, wanted: Array) -> Array:
        """``E[max(constant, steps)]``, ``constant`` (groups, points); of groups with several parities the maximum of
        the means. Groups that are not ``wanted`` (groups,) may get the maximum of the means as well.
        """
        result = np.maximum(self.expected, constant)
        # Far from each other the larger one is the maximum: a PE's steps are a sum, and its tails are short.
        close = (constant > 0) & (np.abs(self.expected - constant) <= _DEVIATIONS * self.spread)
        groups, points = np.nonzero(close & ((wanted > 0) & (self._parities == 1))[:, None])
        if groups.size:
            operands = self._operands(groups, points)
            either = barrier.or_constant(self.batch.flow.barrier, *operands, constant[groups, points][:, None], axis=1)
            result[groups, points] = either[:, 0]
        return result


def _draining(batch: Batch, slowest: _Slowest, slowdown: Array, overhead: Array) -> Array:
    """Cycles by which a group outlasts its own compute time because the group before it is still being drained."""
    busy = slowest.expected * slowdown + overhead
    waited = np.zeros_like(busy)
    for channels, share in batch.groups_before:
        drain = np.asarray(drain_cycles(channels, batch.group_output_tile, batch.drain_rates))[:, None]
        # The steps that would take as long: stalls and overhead come on top of them.
        steps = np.maximum((drain - overhead) / slowdown, 0.0)
        waited += share[:, None] * (slowest.at_least(steps, share) - slowest.expected) * slowdown
    return waited


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
    """Whole cycles in which the largest PE drains the partial sums of one output-channel group."""
    return ceiling_divide(channels * output_tile, words_per_cycle)


def _dot_product_time(batch: Batch) -> ComputeTime:
    per_position = batch.group_channels * dot_product_steps(batch)[batch.unit_of_group]
    positions = batch.class_sizes[batch.first_block]
    largest = np.where(batch.class_counts > 0, positions, 0).max(axis=1)
    steps = (per_position * (positions * batch.class_counts).sum(axis=1))[:, None]
    slowest = (per_position * largest)[:, None]
    overhead = np.full_like(steps, batch.flow.block_overhead_cycles)
    waited = np.zeros_like(steps)
    for channels, share in batch.groups_before:
        drain = np.asarray(drain_cycles(channels, batch.group_output_tile, batch.drain_rates))[:, None]
        waited += share[:, None] * np.maximum(drain - slowest - overhead, 0.0)
    return ComputeTime(steps, slowest, np.zeros_like(steps), overhead, waited)
