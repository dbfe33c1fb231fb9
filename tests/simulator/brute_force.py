"""The machine again, one product at a time in plain loops: slow, and written from the rules instead of the code.

Only the plan (which PE holds what) is taken from the simulator; it has tests of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.tiling import plan
from timeloop_py.specs.layer import Layer


@dataclass
class Tally:
    cycles: int = 0
    steps: int = 0
    multiplies: int = 0
    useful: int = 0
    nonzero: int = 0
    bank_stall: int = 0
    overhead: int = 0
    outputs: dict[tuple[int, int, int, int], float] = field(default_factory=lambda: defaultdict(float))


def entries(machine: Machine, listed: list[tuple[Any, float]]) -> list[tuple[Any, float]]:
    """The entries of a block that take a lane."""
    if machine.dataflow == "pt_is_cp_dense":
        return listed
    kept: list[tuple[Any, float]] = []
    run = 0
    last = max((place for place, (_, value) in enumerate(listed) if value), default=-1)
    for place, (where, value) in enumerate(listed[: last + 1]):
        if value or (machine.run_bits is not None and run == 2**machine.run_bits - 1):
            kept.append((where, value))
            run = 0
        else:
            run += 1
        assert place <= last
    return kept


def vectors(listed: list[Any], length: int) -> list[list[Any]]:
    return [listed[start : start + length] for start in range(0, len(listed), length)]


class Pe:
    """One PE in one output-channel group."""

    def __init__(self, layer: Layer, machine: Machine, tile: Any, sides: tuple[int, int], tally: Tally) -> None:
        self.layer, self.machine, self.tally = layer, machine, tally
        self.column, self.row = tile
        self.sides = sides
        self.banks = [0] * machine.accumulator_banks
        self.time = 0

    def works(self) -> bool:
        """Whether an input meets a tap."""
        layer = self.layer
        along_x = (self.column.inputs, layer.R, layer.stride[0], layer.dilation[0], layer.padding[0])
        along_y = (self.row.inputs, layer.S, layer.stride[1], layer.dilation[1], layer.padding[1])
        return all(
            any((place + padding - tap * dilation) % stride == 0 for place in range(*inputs) for tap in range(taps))
            for inputs, taps, stride, dilation, padding in (along_x, along_y)
        )

    def pass_time(self, cycles: int) -> None:
        self.time += cycles
        self.banks = [max(0, waiting - cycles) for waiting in self.banks]

    def block(self, image: int, group: range, channel: int, a: Any, w: Any) -> None:
        """One input channel: all parities, all vector pairs."""
        layer, machine, tally = self.layer, self.machine, self.tally
        (step_x, step_y), (pad_x, pad_y), (dil_x, dil_y) = layer.stride, layer.padding, layer.dilation
        local = channel % layer.channels_per_group
        for parity_y in range(step_y):
            for parity_x in range(step_x):
                taps = [
                    (s, r)
                    for s in range(layer.S)
                    for r in range(layer.R)
                    if s * dil_y % step_y == parity_y and r * dil_x % step_x == parity_x
                ]
                if not taps:
                    continue
                tally.overhead += machine.block_overhead_cycles
                self.pass_time(machine.block_overhead_cycles)
                inputs = [
                    ((y, x), a[image, channel, y, x])
                    for y in range(*self.row.inputs)
                    for x in range(*self.column.inputs)
                    if (y + pad_y) % step_y == parity_y and (x + pad_x) % step_x == parity_x
                ]
                filters = [((k, s, r), w[k, local, s, r]) for k in group for s, r in taps]
                for left in vectors(entries(machine, inputs), machine.activation_vector):
                    for right in vectors(entries(machine, filters), machine.weight_vector):
                        self.step(image, group, left, right)

    def step(self, image: int, group: range, left: list[Any], right: list[Any]) -> None:
        layer, machine, tally = self.layer, self.machine, self.tally
        rows, columns = self.sides
        tally.steps += 1
        for (y, x), activation in left:
            for (k, s, r), weight in right:
                tally.multiplies += 1
                tally.nonzero += bool(activation * weight)
                q, rest_y = divmod(y + layer.padding[1] - s * layer.dilation[1], layer.stride[1])
                p, rest_x = divmod(x + layer.padding[0] - r * layer.dilation[0], layer.stride[0])
                assert rest_x == rest_y == 0
                if q in range(*self.row.accumulated) and p in range(*self.column.accumulated):
                    tally.useful += bool(activation * weight)
                    tally.outputs[image, k, q, p] += activation * weight
                    line = (k - group.start) * rows + q - self.row.accumulated[0]
                    bank = line * columns + p - self.column.accumulated[0]
                    self.banks[bank % machine.accumulator_banks] += 1
        duration = 1
        if machine.bank_contention != "none":
            tolerated = machine.queue_depth if machine.bank_contention == "queued" else 0
            while max(self.banks) - duration > tolerated:
                duration += 1
        tally.bank_stall += duration - 1
        self.pass_time(duration)


def brute_force(layer: Layer, machine: Machine, a: Any, w: Any) -> Tally:
    """Execute a Cartesian-product dataflow."""
    tally = Tally()
    layout = plan(layer, machine)
    kc = layout.output_channel_group
    lengths: list[list[int]] = []
    drains: list[list[int]] = []
    for image in range(layer.N):
        for part in layout.passes:
            tiles = part.tiles
            sides = (
                max(row.accumulated[1] - row.accumulated[0] for row in part.rows),
                max(column.accumulated[1] - column.accumulated[0] for column in part.columns),
            )
            for channel_group in range(layer.groups):
                size = layer.output_channels_per_group
                first = channel_group * size
                channels = range(
                    channel_group * layer.channels_per_group, (channel_group + 1) * layer.channels_per_group
                )
                for start in range(first, first + size, kc):
                    group = range(start, min(start + kc, first + size))
                    pes = [Pe(layer, machine, tile, sides, tally) for tile in tiles]
                    working = [pe for pe in pes if pe.works()]
                    for channel in channels:
                        for pe in working:
                            pe.block(image, group, channel, a, w)
                        if machine.barrier == "per_channel":
                            latest = max((pe.time for pe in working), default=0)
                            for pe in working:
                                pe.pass_time(latest - pe.time)
                    lengths.append([pe.time for pe in pes])
                    kept = [holds(row.accumulated) * holds(column.accumulated) for column, row in tiles]
                    drains.append([math.ceil(len(group) * sums / machine.drain_rate) for sums in kept])
    drains = drains[-1:] + drains[:-1]
    if machine.barrier == "none":
        per_group = [
            [max(time, drain) for time, drain in zip(*both, strict=True)] for both in zip(lengths, drains, strict=True)
        ]
        tally.cycles = max(sum(pe) for pe in zip(*per_group, strict=True))
    else:
        tally.cycles = sum(max(max(times), max(drain)) for times, drain in zip(lengths, drains, strict=True))
    return tally


def holds(interval: tuple[int, int]) -> int:
    return interval[1] - interval[0]
