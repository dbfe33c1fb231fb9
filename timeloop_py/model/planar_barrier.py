"""The PE that a barrier waits for, over a batch: the rules of ``sparsity/barrier.py`` on its groups."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from timeloop_py.model.batch import Array, Integers, Rows
from timeloop_py.model.planar_zeros import BlockZeros
from timeloop_py.numbers.operations import Number
from timeloop_py.sparsity import barrier
from timeloop_py.sparsity.fragmentation import Moments
from timeloop_py.tensors.density import Bernoulli, DensityModel

# A sum of channels hardly strays further from its mean, in standard deviations.
_DEVIATIONS = 8.0


class _Case(NamedTuple):
    """A group of one kind of block at one density point, whose activations follow a model of their own."""

    group: int
    point: int
    model: DensityModel


class Slowest:
    """Steps of the PE that the barrier of the dataflow waits for, per group and point.

    ``steps`` are the moments of the steps of a PE, (groups, PE classes, points).
    """

    def __init__(self, batch: Rows, zeros: BlockZeros, steps: Moments) -> None:
        self.batch = batch
        self.zeros = zeros
        self.steps = steps
        self.channels = batch.layer_value("channels_per_group")[batch.unit_of_block]
        self.lanes = batch.parameter("I")[batch.unit_of_block]

    @cached_property
    def expected(self) -> Array:
        """The mean."""
        rule = self.batch.flow.barrier
        if rule == "none":
            without: Array = barrier.without(self.steps, self.batch.class_counts[:, :, None], axis=1)
            return without
        result = np.empty((len(self.batch.group_channels), self.zeros.points))
        groups = np.flatnonzero(self.batch.parities == 1)
        one_block = barrier.per_group if rule == "per_group" else barrier.per_channel
        result[groups] = one_block(*self._operands(groups), axis=1)
        rest = np.ones_like(result, dtype=bool)
        rest[groups] = False
        for case in self._cases():
            if self._is_exact(case):
                result[case.group, case.point] = self._of_case(case, 0.0)
            else:
                rest[case.group, case.point] = True
        if rest.any():
            result[rest] = self._normal[rest]
        return result

    def at_least(self, constant: Array, wanted: Array) -> Array:
        """``E[max(constant, steps)]``, ``constant`` (groups, points).

        Exact where a group has one kind of block and the tiles of its channels are independent; else, and for groups
        that are not ``wanted`` (groups,), the maximum of the means.
        """
        result = np.maximum(self.expected, constant)
        # Far from each other the larger one is the maximum: a PE's steps are a sum, and its tails are short.
        busiest = np.where(self.batch.class_counts[:, :, None] > 0, self.steps.mean, -1.0).argmax(axis=1)
        spread = np.take_along_axis(self.spread, busiest[:, None, :], axis=1)[:, 0]
        close = (constant > 0) & (np.abs(self.expected - constant) <= _DEVIATIONS * spread)
        close &= (wanted > 0)[:, None] & (self.batch.parities == 1)[:, None]
        for case in self._cases():
            if close[case.group, case.point]:
                close[case.group, case.point] = False
                if self._is_exact(case):
                    either = self._of_case(case, float(constant[case.group, case.point]))
                    result[case.group, case.point] = either
        groups, points = np.nonzero(close)
        if groups.size:
            operands = self._operands(groups, points)
            limits = constant[groups, points][:, None]
            result[groups, points] = barrier.or_constant(self.batch.flow.barrier, *operands, limits, axis=1)[:, 0]
        return result

    def _operands(
        self, groups: Integers, points: Integers | slice = slice(None)
    ) -> tuple[Number, Moments, Number, Number, DensityModel, Number]:
        """Channels, weights, tiles, PEs, activations and lanes as the barriers take them, of groups of one block.

        At all density points, or one point per group: arrays (groups, points or 1), with classes in between.
        """
        blocks = self.batch.first_block[groups]
        shape = (len(groups), self.zeros.points if isinstance(points, slice) else 1)
        weights, unit = self.zeros.weights, self.batch.unit_of_block[blocks]
        density = self.zeros.densities.activation[unit, points]
        return (
            self.channels[blocks][:, None],
            Moments(weights.mean[blocks, points].reshape(shape), weights.variance[blocks, points].reshape(shape)),
            self.batch.class_sizes[blocks][:, :, None],
            self.batch.class_counts[groups][:, :, None],
            Bernoulli(density.reshape(shape)[:, None, :]),
            self.lanes[blocks][:, None, None],
        )

    # -- zeros with a model of their own --------------------------------------------------------------------

    def _cases(self) -> Iterator[_Case]:
        models = self.zeros.activation_models
        if models:
            for group in np.flatnonzero(self.batch.parities == 1):
                for point in range(self.zeros.points):
                    model = models.get((int(self.batch.unit_of_group[group]), point))
                    if model is not None:
                        yield _Case(int(group), point, model)

    def _is_exact(self, case: _Case) -> bool:
        """Whether the PE's steps are a sum of independent channels, or wait for each other in every one of them."""
        block = int(self.batch.first_block[case.group])
        alike = (
            self.batch.flow.barrier == "per_channel" or not self.zeros.channel_covariance[block, :, case.point].any()
        )
        return case.model.independent_tiles and alike

    def _of_case(self, case: _Case, at_least: float) -> float:
        block = int(self.batch.first_block[case.group])
        shapes = self.zeros.activation_tiles(block)
        weights = self.zeros.weights
        steps = barrier.or_constant(
            self.batch.flow.barrier,
            self.channels[block],
            Moments(weights.mean[block, case.point], weights.variance[block, case.point]),
            shapes,
            self.batch.class_counts[case.group][: len(shapes)],
            case.model,
            int(self.lanes[block]),
            at_least,
        )
        return float(steps)

    # -- normal approximations ------------------------------------------------------------------------------

    @cached_property
    def _normal(self) -> Array:
        """A barrier per group or channel over several parities, or over tiles or channels with something in common."""
        batch = self.batch
        limits = batch.sum_blocks(
            barrier.longest(
                self.channels[:, None, None],
                Moments(self.zeros.weights.mean[:, None, :], 0),
                batch.class_sizes[:, :, None],
                self.lanes[:, None, None],
            )
        )
        # Between two barriers: all channels of the group, or one of them.
        per_channel = batch.flow.barrier == "per_channel"
        channels = batch.layer_value("channels_per_group")[batch.unit_of_group][:, None, None]
        parts = channels if per_channel else np.ones_like(channels)
        steps = Moments(self.steps.mean / parts, self.steps.variance / parts)
        counts = batch.class_counts[:, :, None]
        slowest = barrier.per_group_of_parities(steps, counts, axis=1, limits=limits / parts)
        return np.asarray(slowest * parts[:, 0])

    @cached_property
    def spread(self) -> Array:
        """Standard deviation of a PE's steps, over weights and activations, (groups, PE classes, points)."""
        weights, activations = self.zeros.weights, self.zeros.activations
        second = weights.second[:, None, :] * activations.second - (weights.mean[:, None, :] * activations.mean) ** 2
        variance = self.batch.sum_blocks(self.channels[:, None, None] * second)
        return np.sqrt(np.maximum(variance, 0.0))
