"""Cycles of planar-tiled accelerators per output-channel group: the terms of ``sparsity`` over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from timeloop_py.model.batch import Array, Densities, Rows
from timeloop_py.model.planar_banks import BankLimit, bank_time, tile_kinds
from timeloop_py.model.planar_barrier import Slowest
from timeloop_py.model.planar_zeros import BlockZeros
from timeloop_py.numbers.expectation import expected_maximum_normal
from timeloop_py.numbers.operations import Number, ceiling_divide
from timeloop_py.sparsity.bank_contention import Begun
from timeloop_py.sparsity.fragmentation import Moments, group_steps
from timeloop_py.specs.dataflow import VectorOver

# A limit is passed only by more than sums of floats may differ.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ComputeTime:
    """Cycles of one output-channel group, arrays (groups, points or 1); each term of the cycle model apart.

    ``steps``: vector steps of all busy PEs together, ``stalled``: cycles that they wait for banks. ``slowest``:
    expected steps of the PE that the barrier waits for. ``stalls`` and ``overhead``: cycles that bank conflicts and
    block overheads add to it. ``draining``: cycles that the group waits until the partial sums of the one before it
    have left the other half of the accumulators; ``drained``: cycles that all busy PEs together wait for that.
    """

    steps: Array
    stalled: Array
    slowest: Array
    stalls: Array
    overhead: Array
    draining: Array
    drained: Array

    @property
    def cycles(self) -> Array:
        """Cycles of the group without memories and drains."""
        return self.slowest + self.stalls + self.overhead


@dataclass(frozen=True)
class CycleLimit:
    """More cycles of a unit than ``at_most``, (units, points), are of no use, however many.

    ``begun``: walks to banks that stopped there, to be taken up by a later call with another limit.
    """

    at_most: Array
    begun: Begun

    def rows(self, chosen: Sequence[int]) -> CycleLimit:
        """The limit of some units."""
        return CycleLimit(self.at_most[list(chosen)], self.begun)


def compute_time(
    batch: Rows, densities: Densities, zeros: BlockZeros | None = None, limit: CycleLimit | None = None
) -> ComputeTime:
    """Time of every output-channel group under the dataflow's core, barrier and bank rules.

    Zeros in a dense dataflow take their time, whatever is given. ``zeros`` are those of the densities, where they are
    known already. The time of units above a ``limit`` may be too short, but not below it.
    """
    if batch.flow.template.core == "dot_product":
        return _dot_product_time(batch)
    return _cartesian_time(batch, zeros or BlockZeros(batch, densities), limit)


def _cartesian_time(batch: Rows, zeros: BlockZeros, limit: CycleLimit | None) -> ComputeTime:
    channels = batch.layer_value("channels_per_group")[batch.unit_of_block][:, None, None]
    weights = Moments(zeros.weights.mean[:, None, :], zeros.weights.variance[:, None, :])
    of_blocks = group_steps(channels, weights, zeros.activations, zeros.channel_covariance)
    steps = Moments(batch.sum_blocks(of_blocks.mean), batch.sum_blocks(of_blocks.variance))
    slowest = Slowest(batch, zeros, steps)
    blocks = batch.sum_blocks(channels[:, :, 0].astype(float))
    overhead = np.broadcast_to(batch.flow.block_overhead_cycles * blocks, slowest.expected.shape)
    banks = None if limit is None else _bank_limit(batch, slowest.expected, overhead, limit)
    per_step = bank_time(batch, zeros, steps.mean, slowest.expected, banks)
    of_all = (steps.mean * batch.class_counts[:, :, None]).sum(axis=1)
    draining = _draining(batch, slowest, per_step.slowest, overhead)
    stalled, stalls = of_all * (per_step.mean - 1), slowest.expected * (per_step.slowest - 1)
    drained = draining * batch.group_busy_pes[:, None]
    if batch.flow.barrier == "none":
        last = drained + (slowest.expected + stalls) * batch.group_busy_pes[:, None] - of_all - stalled
        drained = np.minimum(_drained_alone(batch, slowest, per_step.mean, overhead), np.maximum(last, 0.0))
    return ComputeTime(of_all, stalled, slowest.expected, stalls, overhead, draining, drained)


def _bank_limit(batch: Rows, slowest: Array, overhead: Array, limit: CycleLimit) -> BankLimit:
    """Cycles of a step of one group that alone lift its unit above its limit.

    A unit takes at least the steps and overheads of all its groups, and what the slowest PE of one of them waits for
    banks beside: ``sum(repeats * (slowest + overhead)) + repeats * slowest * (cycles of a step - 1)``. Drains, memories
    and the stalls of other groups only add to that.
    """
    repeats = batch.group_repeats[:, None]
    least = batch.sum_groups((slowest + overhead) * repeats)
    left = (limit.at_most * (1 + _ROUNDING) - least)[batch.unit_of_group]
    per_step = np.divide(left, slowest * repeats, out=np.full(left.shape, np.inf), where=slowest > 0)
    return BankLimit(1 + per_step, limit.begun)


def _drained_alone(batch: Rows, slowest: Slowest, per_step: Array, overhead: Array) -> Array:
    """Cycles that all busy PEs together wait for drains where none waits for another before the end of the layer.

    Every PE for itself: ``E[max(drain, own time)]`` less its own time, which is taken to be normal.
    """
    waited = np.zeros_like(per_step)
    for group, one in enumerate(batch.pass_of_group):
        kinds = tile_kinds(one.x, one.y)
        of_class = list(kinds.classes)
        own = slowest.steps.mean[group][of_class] * per_step[group] + overhead[group]
        deviation = slowest.spread[group][of_class] * per_step[group]
        sums = np.array([x.kept * y.kept for x, y in kinds.tiles])[:, None]
        for channels, share in batch.groups_before:
            drain = np.asarray(drain_cycles(channels[group], sums, batch.drain_rates[group]))
            means, deviations = np.broadcast_arrays(own, drain), (deviation, np.zeros_like(deviation))
            ends = expected_maximum_normal(np.stack(means, axis=-1), np.stack(deviations, axis=-1), 1)
            waited[group] += share[group] * (np.array(kinds.counts) @ (ends - own))
    return waited


def _draining(batch: Rows, slowest: Slowest, slowdown: Array, overhead: Array) -> Array:
    """Cycles by which a group outlasts its own compute time because the group before it is still being drained."""
    busy = slowest.expected * slowdown + overhead
    waited = np.zeros_like(busy)
    for channels, share in batch.groups_before:
        drain = np.asarray(drain_cycles(channels, batch.group_output_tile, batch.drain_rates))[:, None]
        # The steps that would take as long: stalls and overhead come on top of them.
        steps = np.maximum((drain - overhead) / slowdown, 0.0)
        waited += share[:, None] * (slowest.at_least(steps, share) - slowest.expected) * slowdown
    return waited


def dot_product_steps(batch: Rows) -> Array:
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


def _dot_product_time(batch: Rows) -> ComputeTime:
    per_position = batch.group_channels * dot_product_steps(batch)[batch.unit_of_group]
    positions = batch.class_sizes[batch.first_block]
    largest = np.where(batch.class_counts > 0, positions, 0).max(axis=1)
    steps = (per_position * (positions * batch.class_counts).sum(axis=1))[:, None]
    slowest = (per_position * largest)[:, None]
    overhead = np.full_like(steps, batch.flow.block_overhead_cycles)
    # Without barriers every PE waits for its own drains.
    apart = batch.flow.barrier == "none"
    own = per_position[:, None] * positions if apart else np.broadcast_to(slowest, positions.shape)
    sums = positions if apart else np.broadcast_to(batch.group_output_tile[:, None], positions.shape)
    busy = np.where(positions > 0, batch.class_counts, 0)
    waited, drained = np.zeros_like(steps), np.zeros_like(steps)
    for channels, share in batch.groups_before:
        drain = np.asarray(drain_cycles(channels, batch.group_output_tile, batch.drain_rates))[:, None]
        waited += share[:, None] * np.maximum(drain - slowest - overhead, 0.0)
        alone = np.asarray(drain_cycles(channels[:, None], sums, batch.drain_rates[:, None]))
        drained += share[:, None] * (np.maximum(alone - own - overhead, 0.0) * busy).sum(axis=1, keepdims=True)
    none = np.zeros_like(steps)
    return ComputeTime(steps, none, slowest, none, overhead, waited, drained)
