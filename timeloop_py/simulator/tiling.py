"""Which part of the plane each PE holds, in which passes, and how many output channels go at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np

from timeloop_py.simulator.machine import Machine
from timeloop_py.specs.dataflow import Tiling
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

Interval = tuple[int, int]


@dataclass(frozen=True)
class Axis:
    """One axis of a layer.

    Input ``position`` and ``tap`` meet in output ``(position + padding - tap*dilation) / stride``, where that is whole.
    """

    size: int
    taps: int
    outputs: int
    stride: int
    dilation: int
    padding: int

    @property
    def reach(self) -> int:
        """Input positions from the first tap of the filter to the last."""
        return (self.taps - 1) * self.dilation + 1


def axes(layer: Layer) -> tuple[Axis, Axis]:
    """The x axis and the y axis of a layer."""
    return (
        Axis(layer.W, layer.R, layer.P, layer.stride[0], layer.dilation[0], layer.padding[0]),
        Axis(layer.H, layer.S, layer.Q, layer.stride[1], layer.dilation[1], layer.padding[1]),
    )


@dataclass(frozen=True)
class Span:
    """What one PE has of one axis; intervals are half open, empty where there is nothing.

    ``inputs``: positions it holds. ``accumulated``: outputs it keeps sums of. ``owned``: outputs that end up here
    after neighbours exchanged their halos. ``origin`` and ``reached``: first output and number of outputs that a
    product of its inputs with any tap can have, those outside the plane included.
    """

    inputs: Interval
    accumulated: Interval
    owned: Interval
    origin: int
    reached: int


@dataclass(frozen=True)
class Pass:
    """The spans of all PE columns and of all PE rows in one temporal pass."""

    columns: tuple[Span, ...]
    rows: tuple[Span, ...]

    @property
    def tiles(self) -> list[tuple[Span, Span]]:
        """The x and y span of every PE, a row of PEs after the other."""
        return [(column, row) for row in self.rows for column in self.columns]

    @property
    def local_shape(self) -> tuple[int, int]:
        """Rows and columns of the largest box of outputs that the products of one PE reach."""
        return max(1, *(row.reached for row in self.rows)), max(1, *(column.reached for column in self.columns))


@dataclass(frozen=True)
class Plan:
    """How a layer is laid out on a machine: output channels per group, and the passes over the plane."""

    output_channel_group: int
    passes: tuple[Pass, ...]


def plan(layer: Layer, machine: Machine) -> Plan:
    """Tiles, passes and output-channel groups of ``layer`` on ``machine``.

    ``Kc = max(1, min(K/G, Kc_max, floor(A*E / output tile of the largest PE)))``; the tile has its halo where halos
    are outputs. Where not even one output channel fits, the plane is first cut into the fewest equal passes with
    which it does, of those into the squarest. A filter that is too large for that is a SpecError.
    """
    x, y = axes(layer)
    cuts, tile = _fewest_passes(layer, machine)
    group = max(1, min(layer.output_channels_per_group, machine.output_channel_group_max, machine.accumulators // tile))
    columns = _spans(x, machine.pe_columns, cuts[0], machine)
    rows = _spans(y, machine.pe_rows, cuts[1], machine)
    return Plan(group, tuple(Pass(column, row) for row in rows for column in columns))


def _fewest_passes(layer: Layer, machine: Machine) -> tuple[tuple[int, int], int]:
    """Passes along x and y, and the sums of one output channel in the largest tile."""
    x, y = axes(layer)
    most_x, most_y = (stop - start for start, stop in (_plane(x, machine), _plane(y, machine)))
    least = _tile(layer, machine, (most_x, most_y))
    if least > machine.accumulators:
        raise SpecError(
            f"{machine.accumulators} accumulators do not hold the {least} sums of one output channel of "
            f"{layer.name!r}, however small the tile: expected more accumulators or a smaller filter",
            field="accumulator_entries",
        )
    tiles = ((cuts, _tile(layer, machine, cuts)) for cuts in _pass_counts(most_x, most_y))
    return next((cuts, tile) for cuts, tile in tiles if tile <= machine.accumulators)


def _pass_counts(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Ways to cut a plane into passes along x and y: the fewest first, of those the squarest parts first."""
    for total in count(1):
        cuts = [(i, total // i) for i in range(1, total + 1) if total % i == 0 and i <= width and total // i <= height]
        yield from sorted(cuts, key=lambda cut: abs(width / cut[0] - height / cut[1]))


def _tile(layer: Layer, machine: Machine, passes: tuple[int, int]) -> int:
    """Sums of one output channel in the output tile of the largest PE, with which ``Kc`` is computed."""
    x, y = axes(layer)
    return _side(x, machine.pe_columns, passes[0], machine) * _side(y, machine.pe_rows, passes[1], machine)


def _side(axis: Axis, parts: int, passes: int, machine: Machine) -> int:
    """The side of that tile.

    Input halos and dot products: the outputs of the tile. Output halos: ``Wt + R - 1`` for the largest parity of a
    stride, ``Wt`` and ``R`` being the most positions and taps a parity has.
    """
    spans = [span for spans in _spans(axis, parts, passes, machine) for span in spans]
    if cuts_outputs(machine):
        return max(span.accumulated[1] - span.accumulated[0] for span in spans)
    side = max(span.inputs[1] - span.inputs[0] for span in spans)
    return -(-side // axis.stride) + -(-axis.reach // axis.stride) - 1


def cuts_outputs(machine: Machine) -> bool:
    """Whether the output plane is cut over the grid; else the input plane is."""
    return machine.dataflow == "pt_is_dp_dense" or machine.halo == "input"


def _plane(axis: Axis, machine: Machine) -> Interval:
    """What is cut of an axis: outputs, inputs, or inputs with padding."""
    if cuts_outputs(machine):
        return 0, axis.outputs
    padding = axis.padding if machine.tiling == "padded_ceil" else 0
    return -padding, axis.size + padding


def _spans(axis: Axis, parts: int, passes: int, machine: Machine) -> list[tuple[Span, ...]]:
    """The spans of all ``parts`` PEs along an axis, per pass."""
    make = _span_of_outputs if cuts_outputs(machine) else _span_of_inputs
    return [
        tuple(make(axis, tile) for tile in cut(*part, parts, machine.tiling))
        for part in cut(*_plane(axis, machine), passes, "balanced")
    ]


def cut(start: int, stop: int, parts: int, tiling: Tiling) -> list[Interval]:
    """``[start, stop)`` in ``parts`` intervals, the longer ones first; later ones may be empty."""
    size = stop - start
    if tiling == "balanced":
        short, longer = divmod(size, parts)
        ends = [start + part * short + min(part, longer) for part in range(parts + 1)]
    else:
        side = -(-size // parts)
        ends = [start + min(part * side, size) for part in range(parts + 1)]
    return list(pairwise(ends))


def _span_of_inputs(axis: Axis, tile: Interval) -> Span:
    """The span of a PE that holds the inputs of ``tile`` and shares output halos."""
    first, end = _clip(tile, axis.size)
    if first == end:
        return Span((0, 0), (0, 0), (0, 0), 0, 0)
    origin, reached = _reached(axis, (first, end))
    # An output belongs to the PE that holds the input under the middle of the filter.
    middle = np.arange(axis.outputs) * axis.stride - axis.padding + (axis.reach - 1) // 2
    low, high = np.searchsorted(np.clip(middle, 0, axis.size - 1), (first, end)).tolist()
    return Span((first, end), _clip((origin, origin + reached), axis.outputs), (low, high), origin, reached)


def _span_of_outputs(axis: Axis, tile: Interval) -> Span:
    """The span of a PE that owns the outputs of ``tile`` and holds every input they need."""
    low, high = tile
    if low == high:
        return Span((0, 0), (0, 0), (0, 0), 0, 0)
    needed = (low * axis.stride - axis.padding, (high - 1) * axis.stride - axis.padding + axis.reach)
    inputs = _clip(needed, axis.size)
    if inputs[0] == inputs[1]:
        return Span((0, 0), tile, tile, low, high - low)
    return Span(inputs, tile, tile, *_reached(axis, inputs))


def _reached(axis: Axis, inputs: Interval) -> tuple[int, int]:
    """First output and number of outputs that products of these inputs with any tap reach."""
    first = -(-(inputs[0] + axis.padding - axis.reach + 1) // axis.stride)
    last = (inputs[1] - 1 + axis.padding) // axis.stride
    return first, max(0, last - first + 1)


def _clip(interval: Interval, size: int) -> Interval:
    low, high = max(interval[0], 0), min(interval[1], size)
    return (low, high) if low < high else (0, 0)
