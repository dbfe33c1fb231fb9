"""Step by step through a Cartesian-product dataflow: every product to its accumulator, every stall of a bank.

A *row* is the sequence of steps of one PE in one output-channel group. Rows are independent of each other but for
barriers, so many are worked on at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from timeloop_py.simulator.arrays import CountArray, FloatArray, IntArray
from timeloop_py.simulator.compress import Blocks
from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.scatter import StepOrder, bank_table, kept, let_pass, queue_stalls
from timeloop_py.simulator.tiling import Pass

#: Sizes of what is worked on at a time: entries of the largest array of a batch, products of a slice of steps.
BATCH_ENTRIES = 1 << 23
SLICE_PRODUCTS = 1 << 18


@dataclass(frozen=True)
class Steps:
    """Steps of a batch [steps], row by row: the row, and the vectors that are multiplied.

    ``lengths`` [rows] counts the steps of each row. ``opened`` [steps] counts the blocks a row opens right before a
    step, ``opened_last`` [rows] those after its last one.
    """

    row: IntArray
    activation: IntArray
    weight: IntArray
    lengths: IntArray
    opened: IntArray
    opened_last: IntArray


@dataclass(frozen=True)
class Stepper:
    """The operand streams of one pass over one image.

    ``activations``: blocks [channel groups, C/G, parities, PEs]. ``weights``: blocks [groups, C/G, parities].
    ``channel_group`` [groups]: the channel group of each output-channel group. ``channels``: most output channels of a
    group.
    """

    machine: Machine
    part: Pass
    channels: int
    channel_group: IntArray
    activations: Blocks
    weights: Blocks

    @property
    def capacity(self) -> int:
        """Accumulator addresses of a PE, those that only dropped products reach included."""
        return self.channels * self.part.local_shape[0] * self.part.local_shape[1]

    def run(self, sums: FloatArray | None, advance: Callable[[int], None]) -> tuple[IntArray, IntArray]:
        """Execute all groups.

        The convolution is added to ``sums`` [groups, Kc, Q, P]; ``advance`` is called with the number of groups
        finished. Returns the cycles [groups, PEs] that banks keep each PE waiting and, where banks conflict and there
        are barriers per channel, the length of each group [groups] without overhead (else 0).
        """
        machine = self.machine
        groups, pes = self.channel_group.size, machine.pes
        stalls, synchronized = np.zeros((groups, pes), np.int64), np.zeros(groups, np.int64)
        table = bank_table(machine, self.part, self.channels)
        for batch, runs in self._batches():
            rows = (batch.stop - batch.start) * pes
            backlog = np.zeros((rows, machine.accumulator_banks), np.int32)
            local = None if sums is None else np.zeros((rows, self.capacity))
            for channels in runs:
                steps = self._steps(batch, channels)
                order = StepOrder.of(steps.lengths)
                arrivals = self._scatter(steps, order, table, local)
                if machine.tolerated_backlog is not None:
                    waited = self._wait(steps, order, arrivals, backlog)
                    stalls[batch] += waited
                    if machine.barrier == "per_channel":
                        synchronized[batch] += self._synchronize(steps.lengths.reshape(-1, pes) + waited, backlog)
            if sums is not None and local is not None:
                self._deposit(local, sums[batch])
            advance(batch.stop - batch.start)
        return stalls, synchronized

    def _wait(self, steps: Steps, order: StepOrder, arrivals: CountArray, backlog: CountArray) -> IntArray:
        """Stalls [groups, PEs] of a run of channels; ``backlog`` [rows, A] goes from its start to its end."""
        overhead = self.machine.block_overhead_cycles
        pauses = None
        if overhead:
            pauses = np.empty_like(steps.opened)
            pauses[self._places(steps, order)] = overhead * steps.opened
        waited = queue_stalls(arrivals, order, backlog, self.machine.tolerated_backlog or 0, pauses)
        let_pass(backlog, overhead * steps.opened_last)
        return waited.reshape(-1, self.machine.pes)

    def _synchronize(self, elapsed: IntArray, backlog: CountArray) -> IntArray:
        """The lengths [groups] of a channel that took the PEs ``elapsed`` cycles [groups, PEs], both without overhead.

        Banks go on while their PE waits at the barrier.
        """
        slowest: IntArray = elapsed.max(axis=1)
        let_pass(backlog, (slowest[:, None] - elapsed).ravel())
        return slowest

    def _batches(self) -> Iterator[tuple[slice, list[slice]]]:
        """Batches of groups, and the runs of channels in which each is worked through.

        With barriers per channel a run is one channel, since waiting at a barrier lets the banks catch up.
        """
        machine = self.machine
        per_tile = self.activations.count.sum(axis=3)[self.channel_group] * self.weights.count
        cost = (per_tile + machine.pes).sum(axis=2)
        limit = max(1, BATCH_ENTRIES // (machine.accumulator_banks + 1))
        most = max(1, BATCH_ENTRIES // (machine.pes * max(self.capacity, machine.accumulator_banks)))
        stepwise = machine.barrier == "per_channel" and machine.tolerated_backlog is not None
        total = cost.max(axis=1) if stepwise else cost.sum(axis=1)
        for batch in _runs(total, limit, most):
            if stepwise:
                yield batch, [slice(channel, channel + 1) for channel in range(cost.shape[1])]
            else:
                yield batch, list(_runs(cost[batch].sum(axis=0), limit, cost.shape[1]))

    def _steps(self, batch: slice, part: slice) -> Steps:
        """The steps of a batch of groups over a run of channels.

        Per PE the blocks, in each block the activation vectors, for each of them the weight vectors.
        """
        vectors = self._per_row(self.activations.count, batch, part)
        weights = self.weights.count[batch, part][:, None]
        count = vectors * weights
        rows, blocks = count.shape[0] * count.shape[1], count.shape[2] * count.shape[3]
        flat = count.ravel()
        used = np.flatnonzero(flat)
        length = flat[used]
        block = np.repeat(used, length)
        step = np.arange(block.size)
        first = np.cumsum(length) - length
        activation, weight = np.divmod(
            step - np.repeat(first, length), np.broadcast_to(weights, count.shape).ravel()[block]
        )
        row, place = np.divmod(used, blocks)
        before = np.where(np.diff(row, prepend=-1) > 0, -1, np.roll(place, 1))
        opened = np.zeros(block.size, np.int64)
        opened[first] = place - before
        last = np.full(rows, -1)
        last[row] = place
        return Steps(
            row=block // blocks,
            activation=self._per_row(self.activations.first, batch, part).ravel()[block] + activation,
            weight=np.broadcast_to(self.weights.first[batch, part][:, None], count.shape).ravel()[block] + weight,
            lengths=count.reshape(rows, blocks).sum(axis=1),
            opened=opened,
            opened_last=blocks - 1 - last,
        )

    def _per_row(self, blocks: IntArray, batch: slice, part: slice) -> IntArray:
        """Per-PE arrays of the activation blocks as [groups, PEs, channels, parities]."""
        return np.moveaxis(blocks[self.channel_group[batch], part], 3, 1)

    @staticmethod
    def _places(steps: Steps, order: StepOrder) -> IntArray:
        begin = np.cumsum(steps.lengths) - steps.lengths
        return order.places(steps.row, np.arange(steps.row.size) - begin[steps.row])

    def _scatter(self, steps: Steps, order: StepOrder, table: IntArray, local: FloatArray | None) -> CountArray:
        """Multiply; add products to the accumulators ``local`` [rows, addresses]; products per step and bank."""
        machine = self.machine
        activations, weights = self.activations.vectors, self.weights.vectors
        if activations is None or weights is None:
            raise ValueError("the blocks were made without their vectors")
        conflicts = machine.tolerated_backlog is not None
        banks, reach = machine.accumulator_banks, 3 * self.capacity
        arrivals = np.empty((steps.row.size if conflicts else 0, banks), np.int32)
        places = self._places(steps, order)
        for part in _slices(steps.row, SLICE_PRODUCTS // machine.multipliers_per_pe, SLICE_PRODUCTS // reach):
            row, left, right = steps.row[part], steps.activation[part], steps.weight[part]
            address = activations.addresses[left][:, :, None] + weights.addresses[right][:, None, :]
            if local is not None:
                product = activations.values[left][:, :, None] * weights.values[right][:, None, :]
                place = address + ((row - row[0]) * reach)[:, None, None]
                rows = int(row[-1] - row[0]) + 1
                added = np.bincount(place.ravel(), product.ravel(), rows * reach)
                local[row[0] : row[-1] + 1] += added.reshape(rows, reach)[:, : self.capacity]
            if conflicts:
                bank = table.ravel()[address + ((row % machine.pes) * reach)[:, None, None]]
                bank += (np.arange(row.size) * (banks + 1))[:, None, None]
                counted = np.bincount(bank.ravel(), minlength=row.size * (banks + 1))
                arrivals[places[part]] = counted.reshape(row.size, banks + 1)[:, :banks]
        return arrivals

    def _deposit(self, local: FloatArray, sums: FloatArray) -> None:
        """Drain the accumulators of a batch into ``sums`` [groups, Kc, Q, P], halo sums joining their neighbours'."""
        height, width = self.part.local_shape
        boxes = local.reshape(-1, self.machine.pes, self.channels, height, width)
        for pe, (column, row) in enumerate(self.part.tiles):
            x, y = kept(column), kept(row)
            if x.size and y.size:
                rows = slice(y[0] + row.origin, y[-1] + 1 + row.origin)
                columns = slice(x[0] + column.origin, x[-1] + 1 + column.origin)
                sums[:, :, rows, columns] += boxes[:, pe, :, y[0] : y[-1] + 1, x[0] : x[-1] + 1]


def _runs(cost: IntArray, limit: int, most: int) -> Iterator[slice]:
    """Cut a sequence into runs of at most ``most`` entries and ``limit`` cost, or of one where one is dearer."""
    start = 0
    while start < cost.size:
        fitting = int(np.searchsorted(np.cumsum(cost[start:]), limit, side="right"))
        stop = min(start + max(1, min(fitting, most)), cost.size)
        yield slice(start, stop)
        start = stop


def _slices(row: IntArray, most_steps: int, most_rows: int) -> Iterator[slice]:
    """Cut steps [steps] into slices of at most so many steps and rows (one at least)."""
    start = 0
    while start < row.size:
        next_row = int(np.searchsorted(row, row[start] + max(1, most_rows)))
        stop = min(start + max(1, most_steps), next_row)
        yield slice(start, stop)
        start = stop
