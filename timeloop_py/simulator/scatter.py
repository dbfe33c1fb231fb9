"""Scattering products to the banks of the accumulators, and the stalls where they queue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timeloop_py.simulator.arrays import CountArray, IntArray
from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.tiling import Pass, Span


def bank_table(machine: Machine, part: Pass, channels: int) -> IntArray:
    """The bank of every accumulator address, [PEs, 3 * capacity]; ``A`` where the crossbar drops the product.

    Sums lie in the banks one after the other: the sum of channel ``k`` at row ``y`` and column ``x`` of a PE's output
    tile is in bank ``((k * rows + y) * columns + x) mod A``, with the rows and columns of the largest PE's tile
    (Parashar et al., section III-B: one address range, split across the banks). Dropped are products outside the
    plane, those that a neighbour computes itself (input halos), and those of empty lanes, whose addresses lie at and
    above the capacity ``channels * rows reached * columns reached``.
    """
    height, width = part.local_shape
    rows = max(_length(row) for row in part.rows)
    columns = max(_length(column) for column in part.columns)
    table = np.full((machine.pes, 3, channels, height, width), machine.accumulator_banks)
    channel = np.arange(channels)[:, None, None]
    for pe, (column, row) in enumerate(part.tiles):
        x, y = kept(column), kept(row)
        if x.size and y.size:
            line = channel * rows + (y[:, None] + row.origin - row.accumulated[0])
            address = line * columns + (x + column.origin - column.accumulated[0])
            table[pe, 0][:, y[0] : y[-1] + 1, x[0] : x[-1] + 1] = address % machine.accumulator_banks
    return table.reshape(machine.pes, -1)


def kept(span: Span) -> IntArray:
    """Which of the outputs that the products of a span reach, counted from its origin, the PE keeps."""
    first, end = span.accumulated
    return np.arange(max(first - span.origin, 0), min(end - span.origin, span.reached))


def _length(span: Span) -> int:
    return span.accumulated[1] - span.accumulated[0]


@dataclass(frozen=True)
class StepOrder:
    """The steps of many rows (a row is the sequence of one PE in one group), arranged for working step by step.

    Rows are ranked from long to short; step ``t`` of the row of rank ``i`` stands at ``start[t] + i``.
    ``ranked`` gives the row of each rank, ``active[t]`` the number of rows that have a step ``t``.
    """

    ranked: IntArray
    active: IntArray
    start: IntArray

    @classmethod
    def of(cls, lengths: IntArray) -> StepOrder:
        ranked = np.argsort(-lengths, kind="stable")
        longest = int(lengths.max(initial=0))
        active = np.searchsorted(-lengths[ranked], -np.arange(longest), side="left")
        return cls(ranked, active, np.cumsum(active) - active)

    def places(self, row: IntArray, step: IntArray) -> IntArray:
        """Where each ``step`` of each ``row`` stands."""
        rank = np.empty_like(self.ranked)
        rank[self.ranked] = np.arange(rank.size)
        return self.start[step] + rank[row]


def queue_stalls(
    arrivals: CountArray, order: StepOrder, backlog: CountArray, tolerated: int, pauses: IntArray | None = None
) -> IntArray:
    """Cycles that each row waits for its banks, [rows].

    A bank takes one product a cycle. A step lasts one cycle, or as many as it takes until no bank holds more than
    ``tolerated`` waiting products: ``max(1, max over banks (backlog + arrivals) - tolerated)``; with 0 tolerated it
    lasts as long as the fullest bank. ``arrivals`` [steps, A] in the given order; ``pauses`` [steps] are cycles that
    pass before a step. ``backlog`` [rows, A] is what waits at the start and, updated in place, at the end.
    """
    waiting = backlog[order.ranked]
    stalls = np.zeros(order.ranked.size, np.int64)
    for active, start in zip(order.active.tolist(), order.start.tolist(), strict=True):
        banks = waiting[:active]
        if pauses is not None:
            banks -= pauses[start : start + active, None]
            np.maximum(banks, 0, out=banks)
        banks += arrivals[start : start + active]
        duration = np.maximum(banks.max(axis=1) - tolerated, 1)
        banks -= duration[:, None]
        np.maximum(banks, 0, out=banks)
        stalls[:active] += duration - 1
    backlog[order.ranked] = waiting
    by_row = np.empty_like(stalls)
    by_row[order.ranked] = stalls
    return by_row


def let_pass(backlog: CountArray, cycles: IntArray) -> None:
    """Let each row's banks work for some cycles [rows] without new products; ``backlog`` [rows, A] in place."""
    backlog -= cycles[:, None]
    np.maximum(backlog, 0, out=backlog)
