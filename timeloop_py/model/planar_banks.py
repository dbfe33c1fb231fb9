"""Waiting for accumulator banks, over a batch: ``sparsity/bank_contention.py`` on the tiles of its groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from timeloop_py.model.batch import Array, Rows
from timeloop_py.model.planar_zeros import BlockZeros
from timeloop_py.nest.tiling import AxisTiles
from timeloop_py.sparsity.bank_addresses import Line, Scatter
from timeloop_py.sparsity.bank_contention import WALK_STEPS, Begun, RowOfSteps, step_cycles
from timeloop_py.tensors.density import Bernoulli

# Rows of more steps are alike, whatever their length.
_LONG = 2 * WALK_STEPS


@dataclass(frozen=True)
class BankTime:
    """Mean cycles of a step, arrays (groups, points): of all PEs together, and of the one that the others wait for."""

    mean: Array
    slowest: Array


@dataclass(frozen=True)
class BankLimit:
    """More cycles of a step than these are of no use, (groups, points), of the PE that the others wait for.

    ``begun``: walks that stopped there.
    """

    slowest: Array
    begun: Begun


def bank_time(batch: Rows, zeros: BlockZeros, steps: Array, slowest: Array, limit: BankLimit | None = None) -> BankTime:
    """Under the bank rule of the dataflow.

    ``steps`` are the mean steps of a PE, (groups, PE classes, points), ``slowest`` those of the PE that the barrier
    waits for, (groups, points). What is above the ``limit`` may be too low, but not below it.
    """
    mean, longest = np.ones_like(slowest), np.ones_like(slowest)
    if batch.flow.bank_contention == "none":
        return BankTime(mean, longest)
    depth = batch.flow.queue_depth if batch.flow.bank_contention == "queued" else 0
    kinds = [tile_kinds(one.x, one.y) for one in batch.pass_of_group]
    scatters = [_scatter(batch, group, tiles) for group, tiles in enumerate(kinds)]
    rows = [_rows(batch, zeros, group, steps[group], slowest[group]) for group in range(len(kinds))]
    # Many layers have the same tiles.
    wanted: dict[Scatter, dict[RowOfSteps, int]] = {}
    for scatter, of_group in zip(scatters, rows, strict=True):
        places = wanted.setdefault(scatter, {})
        for row in of_group:
            places.setdefault(row, len(places))
    limits: dict[Scatter, Array] = {}
    if limit is not None:
        limits = {scatter: np.zeros((len(places), len(scatter.tiles))) for scatter, places in wanted.items()}
        for group, (scatter, of_group, tiles) in enumerate(zip(scatters, rows, kinds, strict=True)):
            own = _limits_of_tiles(steps[group][list(tiles.classes)], limit.slowest[group])
            # What one group has no use for another one may have.
            np.maximum.at(limits[scatter], [wanted[scatter][row] for row in of_group], own.T)
    begun = None if limit is None else limit.begun
    found = {
        scatter: step_cycles(scatter, tuple(places), depth, limits.get(scatter), begun)
        for scatter, places in wanted.items()
    }
    for group, (scatter, of_group, tiles) in enumerate(zip(scatters, rows, kinds, strict=True)):
        cycles = found[scatter][:, [wanted[scatter][row] for row in of_group]]
        own = steps[group][list(tiles.classes)]
        mean[group], longest[group] = _over_tiles(own, np.array(tiles.counts)[:, None], cycles)
    return BankTime(mean, longest)


def _limits_of_tiles(steps: Array, slowest: Array) -> Array:
    """Cycles of a step of each kind of tile that alone make :func:`_over_tiles` exceed ``slowest``, as ``steps``."""
    limits: Array = np.full(steps.shape, np.inf)
    np.divide(np.broadcast_to(slowest * steps.max(axis=0), steps.shape), steps, out=limits, where=steps > 0)
    return limits


def _over_tiles(steps: Array, counts: Array, cycles: Array) -> tuple[Array, Array]:
    """Cycles of a step of all PEs, and of the slowest; ``steps`` and ``cycles`` (kinds of tiles, points)."""
    total, most = (steps * counts).sum(axis=0), steps.max(axis=0)
    worked = total > 0
    ones = np.ones_like(total)
    mean = np.divide((steps * counts * cycles).sum(axis=0), total, out=ones.copy(), where=worked)
    return mean, np.divide((steps * cycles).max(axis=0), most, out=ones, where=worked)


@dataclass(frozen=True)
class Kinds:
    """Kinds of tiles of a pass that have inputs: as (x, y), their PEs, and the place of their class of sizes."""

    tiles: tuple[tuple[Line, Line], ...]
    counts: tuple[int, ...]
    classes: tuple[int, ...]


@lru_cache(maxsize=1 << 12)
def tile_kinds(x: AxisTiles, y: AxisTiles) -> Kinds:
    """Kinds of tiles of a pass whose PE columns have the tiles ``x`` and whose rows have ``y``."""
    columns, rows = _lines(x), _lines(y)
    x_sizes, y_sizes = _sizes(x), _sizes(y)
    found = [
        ((column, row), count * copies, x_sizes.index(column.sizes) * len(y_sizes) + y_sizes.index(row.sizes))
        for (column, count) in columns.items()
        for (row, copies) in rows.items()
        if any(column.sizes) and any(row.sizes)
    ]
    return Kinds(*(tuple(part) for part in zip(*found, strict=True)))


def _sizes(axis: AxisTiles) -> list[tuple[int, ...]]:
    return [sizes for sizes, _ in axis.classes]


def _lines(axis: AxisTiles) -> Counter[Line]:
    sizes = zip(*(parity.sizes for parity in axis.parities), strict=True)
    origins = zip(*(parity.origins for parity in axis.parities), strict=True)
    return Counter(Line(*line) for line in zip(sizes, origins, axis.written, strict=True))


def _scatter(batch: Rows, group: int, kinds: Kinds) -> Scatter:
    one, unit = batch.pass_of_group[group], batch.unit_of_group[group]
    parameters, _ = batch.architectures[unit].require_accelerator()
    return Scatter(
        shifts=(
            tuple(parity.shifts for parity in one.x.parities),
            tuple(parity.shifts for parity in one.y.parities),
        ),
        tiles=kinds.tiles,
        channels=int(batch.group_channels[group]),
        columns=max(one.x.written),
        rows=max(one.y.written),
        banks=parameters.accumulator_banks,
        weight_lanes=parameters.F,
        activation_lanes=parameters.I,
    )


def _rows(batch: Rows, zeros: BlockZeros, group: int, steps: Array, slowest: Array) -> list[RowOfSteps]:
    """What the PEs of a group work off, per point."""
    unit = int(batch.unit_of_group[group])
    blocks = batch.layers[unit].channels_per_group * int(batch.parities[group])
    counts = batch.class_counts[group][:, None]
    own = (steps * counts).sum(axis=0) / counts.sum()
    waits = np.zeros(zeros.points)
    if batch.flow.barrier == "per_channel":
        waits = np.divide(slowest, own, out=np.ones_like(own), where=own > 0) - 1
    return [
        RowOfSteps(
            weights=zeros.weight_models.get((unit, point), Bernoulli(float(zeros.densities.weight[unit, point]))),
            activations=zeros.activation_models.get(
                (unit, point), Bernoulli(float(zeros.densities.activation[unit, point]))
            ),
            blocks=blocks if own[point] < _LONG else None,
            pause=batch.flow.block_overhead_cycles,
            wait=float(waits[point]),
        )
        for point in range(zeros.points)
    ]
