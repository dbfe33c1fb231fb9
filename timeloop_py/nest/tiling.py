"""Planar tiling: the plane of a layer cut over the PE grid, and the output-channel group that fits (MODEL section 2).

One axis at a time: the grid is a product of columns and rows, the plane of x and y, so everything a PE has is a
product of what its column and its row have. A tile is a contiguous piece of the plane. A stride splits it into
parities: inputs with ``(w + pad) mod stride = i`` meet the taps with ``r * dilation mod stride = i``, each parity a
stride-1 axis of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from timeloop_py.specs.dataflow import Dataflow, Halo, Tiling
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

Axis = Literal[0, 1]
Integers = NDArray[np.int64]
#: Positions ``[first, end)``; empty where they are the same.
Interval = tuple[int, int]


@dataclass(frozen=True)
class Parity:
    """One parity of an axis in one temporal pass, per column of the grid.

    ``sizes``: input positions. ``pairs``: (position, tap) pairs whose output lies inside the plane (with input
    halos: inside the column's own outputs). ``shifts``: per filter position of this parity, how many outputs before
    that of a shift of 0 an input adds to. ``origins``: that output of the first input, counted from the first output
    that the column updates.
    """

    shifts: tuple[int, ...]
    sizes: tuple[int, ...]
    origins: tuple[int, ...]
    pairs: tuple[int, ...]

    @property
    def taps(self) -> int:
        """Filter positions."""
        return len(self.shifts)


@dataclass(frozen=True)
class AxisTiles:
    """One axis of one temporal pass: its parities that have taps, and per column what all of them share.

    ``held``: positions of the tile, those of parities without taps included. ``written``: outputs inside the plane
    that a column updates; ``owned``: those it keeps, the rest are halos. ``output_extent``: accumulator extent of the
    largest column.
    """

    parities: tuple[Parity, ...]
    held: tuple[int, ...]
    written: tuple[int, ...]
    owned: tuple[int, ...]
    output_extent: int

    # Grids share their columns and rows: what these add up to is worked out once.

    @cached_property
    def classes(self) -> list[tuple[tuple[int, ...], int]]:
        """The distinct sizes that columns have, per parity, with how many columns have them."""
        return sorted(Counter(zip(*(parity.sizes for parity in self.parities), strict=True)).items())

    @cached_property
    def pairs(self) -> tuple[int, ...]:
        """Pairs of all columns, per parity."""
        return tuple(sum(parity.pairs) for parity in self.parities)

    @cached_property
    def all_written(self) -> int:
        """Outputs that all columns update."""
        return sum(self.written)

    @cached_property
    def all_owned(self) -> int:
        """Outputs that all columns keep."""
        return sum(self.owned)

    @cached_property
    def most_written(self) -> int:
        """Outputs that the column with the most updates."""
        return max(self.written)


class _Positions(NamedTuple):
    """Positions ``[first, end)`` of every column of a grid; 0 twice where it has none."""

    first: Integers
    end: Integers

    @property
    def number(self) -> Integers:
        return self.end - self.first


class _Columns(NamedTuple):
    """What the columns have: the inputs they hold, the outputs they may update, and those that end up in them."""

    inputs: _Positions
    written: _Positions
    owned: _Positions


@dataclass(frozen=True)
class TilingAxis:
    """What determines the tiling of one axis; hashable, so that equal axes are tiled once."""

    plane: int
    taps: int
    stride: int
    dilation: int
    padding: int
    outputs: int
    columns: int
    tiling: Tiling
    halo: Halo

    @property
    def span(self) -> int:
        """Input positions from the first tap of the filter to the last, both included."""
        return (self.taps - 1) * self.dilation + 1

    def output_extent(self, positions: int) -> int:
        """``Wt + R - 1`` with the most positions and the most taps that a parity of ``positions`` inputs has.

        Outputs beyond the plane included, since the address of a partial sum is the sum of an input's and a tap's.
        """
        return -(-positions // self.stride) + -(-self.span // self.stride) - 1


def axis_of(layer: Layer, flow: Dataflow, axis: Axis, columns: int) -> TilingAxis:
    """The x (0) or y (1) axis of a layer on a grid of ``columns``."""
    return TilingAxis(
        plane=(layer.W, layer.H)[axis],
        taps=(layer.R, layer.S)[axis],
        stride=layer.stride[axis],
        dilation=layer.dilation[axis],
        padding=layer.padding[axis],
        outputs=(layer.P, layer.Q)[axis],
        columns=columns,
        tiling=flow.tiling,
        halo=flow.halo,
    )


@lru_cache(maxsize=4096)
def input_tiles(axis: TilingAxis, passes: int) -> tuple[AxisTiles, ...]:
    """Tiles of an input-centric axis, cut into ``passes`` contiguous temporal passes."""
    if axis.halo == "input":
        plane = (0, axis.outputs)
    elif axis.tiling == "padded_ceil":
        plane = (-axis.padding, axis.plane + axis.padding)
    else:
        plane = (0, axis.plane)
    return tuple(_input_pass(axis, part) for part in _balanced(plane, passes))


def _input_pass(axis: TilingAxis, part: Interval) -> AxisTiles:
    make = _columns_of_outputs if axis.halo == "input" else _columns_of_inputs
    columns = make(axis, _cut(axis, part))
    first, end = columns.inputs
    outputs = columns.written.number
    parities = []
    for residue in range(axis.stride):
        taps = [tap * axis.dilation for tap in range(axis.taps) if tap * axis.dilation % axis.stride == residue]
        if not taps:
            continue
        shifts = [(tap - residue) // axis.stride for tap in taps]
        start = first + (residue - axis.padding - first) % axis.stride
        sizes = np.maximum(-((start - end) // axis.stride), 0)
        origins = (start + axis.padding - residue) // axis.stride - columns.written.first
        # The outputs that a shift makes of the positions are a range of as many, part of it inside.
        reached = origins[:, None] - shifts
        inside = np.minimum(reached + sizes[:, None], outputs[:, None]) - np.maximum(reached, 0)
        pairs = np.maximum(inside, 0).sum(axis=1)
        parities.append(Parity(tuple(shifts), *map(_whole, (sizes, np.where(sizes > 0, origins, 0), pairs))))
    held = columns.inputs.number
    extent = axis.output_extent(int(held.max())) if axis.halo == "output" else int(outputs.max())
    return AxisTiles(tuple(parities), _whole(held), _whole(outputs), _whole(columns.owned.number), extent)


def _whole(numbers: Integers) -> tuple[int, ...]:
    return tuple(numbers.tolist())


def _columns_of_inputs(axis: TilingAxis, tiles: _Positions) -> _Columns:
    """Columns that hold ``tiles`` and update every output their inputs reach."""
    first, end = inputs = _common(tiles, (0, axis.plane))
    reached = _Positions(
        -((axis.span - 1 - first - axis.padding) // axis.stride), (end - 1 + axis.padding) // axis.stride + 1
    )
    written = _common(reached, (0, axis.outputs))
    # An output ends up where the input under the middle of the filter is.
    owned = _Positions(_outputs_of_middle(axis, first), _outputs_of_middle(axis, end))
    columns = inputs, written, _common(owned, written)
    return _Columns(*(_Positions(*(np.where(first < end, ends, 0) for ends in each)) for each in columns))


def _outputs_of_middle(axis: TilingAxis, positions: Integers) -> Integers:
    """The first output whose filter has its middle, moved into the plane, at each of the positions or after it."""
    middle = -(((axis.span - 1) // 2 - positions - axis.padding) // axis.stride)
    inside = np.clip(middle, 0, axis.outputs)
    return np.where(positions <= 0, 0, np.where(positions >= axis.plane, axis.outputs, inside))


def _columns_of_outputs(axis: TilingAxis, tiles: _Positions) -> _Columns:
    """Columns that update the outputs of ``tiles`` alone, and hold the inputs from the first they need to the last."""
    first, end = tiles
    needed = _Positions(first * axis.stride - axis.padding, (end - 1) * axis.stride - axis.padding + axis.span)
    inputs = _common(needed, (0, axis.plane))
    return _Columns(_Positions(*(np.where(first < end, ends, 0) for ends in inputs)), tiles, tiles)


def _common(left: _Positions, right: _Positions | Interval) -> _Positions:
    first, end = np.maximum(left[0], right[0]), np.minimum(left[1], right[1])
    return _Positions(np.where(first < end, first, 0), np.where(first < end, end, 0))


def _cut(axis: TilingAxis, part: Interval) -> _Positions:
    """A part of the plane over the columns: sides differing by one at most, or all but the last ones equal."""
    start, stop = part
    column = np.arange(axis.columns + 1)
    if axis.tiling == "balanced":
        side, larger = divmod(stop - start, axis.columns)
        ends = start + column * side + np.minimum(column, larger)
    else:
        ends = np.minimum(start + column * -(-(stop - start) // axis.columns), stop)
    return _Positions(ends[:-1], ends[1:])


def _balanced(part: Interval, parts: int) -> list[Interval]:
    """``part`` cut into ``parts``, the larger ones first."""
    side, larger = divmod(part[1] - part[0], parts)
    return list(pairwise(part[0] + index * side + min(index, larger) for index in range(parts + 1)))


@lru_cache(maxsize=4096)
def output_tiles(axis: TilingAxis, passes: int) -> tuple[AxisTiles, ...]:
    """Tiles of an output-centric axis: columns own outputs and read whatever inputs those need.

    ``sizes`` counts outputs here; taps and parities play no part in who computes what.
    """
    result = []
    for part in _balanced((0, axis.outputs), passes):
        sizes = _whole(_cut(axis, part).number)
        parity = Parity((0,) * axis.taps, sizes, (0,) * len(sizes), sizes)
        result.append(AxisTiles((parity,), sizes, sizes, sizes, max(sizes)))
    return tuple(result)


@dataclass(frozen=True)
class PlanarTiling:
    """A layer on a PE grid: the temporal passes of each axis, and the output-channel group.

    Attributes
    ----------
    x, y : tuple of AxisTiles
        One entry per temporal pass of that axis; the passes of the plane are their product.
    group : int
        ``Kc``, output channels whose partial sums are held at a time.
    """

    x: tuple[AxisTiles, ...]
    y: tuple[AxisTiles, ...]
    group: int

    @property
    def passes(self) -> int:
        return len(self.x) * len(self.y)

    @property
    def entries(self) -> int:
        """Partial sums of one output channel in the largest tile."""
        return _entries(self.x, self.y)


def tile_plane(layer: Layer, flow: Dataflow, columns: int, rows: int, accumulator_words: int) -> PlanarTiling:
    """Tile a layer over ``columns x rows`` PEs whose accumulators hold ``accumulator_words`` each.

    ``Kc = max(1, min(K/G, Kc_max, floor(words / output tile of the largest PE)))``. Where one output channel of
    the tile does not fit, the plane is cut into temporal passes until it does; an accumulator too small for the
    reach of a single input is a SpecError.
    """
    axes = axis_of(layer, flow, 0, columns), axis_of(layer, flow, 1, rows)
    output_centric = flow.template.basis == "output_centric"
    tiles = output_tiles if output_centric else input_tiles
    limits = tuple(_cuts(axis, output_centric) for axis in axes)
    for passes in _pass_counts(*limits):
        x, y = (tiles(axis, count) for axis, count in zip(axes, passes, strict=True))
        entries = _entries(x, y)
        if entries <= accumulator_words:
            break
        if passes == (1, 1):  # before all cuts are tried: does the finest one help?
            least = math.prod(_least_extent(axis, output_centric) for axis in axes)
            if least > accumulator_words:
                raise SpecError(
                    f"the accumulator of {accumulator_words} words cannot hold the partial sums of one output channel "
                    f"of {layer.name!r}, {least} at the least, however small the tile",
                    field="parameters.accumulator_entries",
                )
    group = min(layer.output_channels_per_group, flow.output_channel_group_max, accumulator_words // entries)
    return PlanarTiling(x, y, group)


def _cuts(axis: TilingAxis, output_centric: bool) -> int:
    """The most temporal passes of an axis: one position each."""
    if output_centric or axis.halo == "input":
        return axis.outputs
    return axis.plane + (2 * axis.padding if axis.tiling == "padded_ceil" else 0)


def _least_extent(axis: TilingAxis, output_centric: bool) -> int:
    """Accumulator extent of a single position."""
    return 1 if output_centric or axis.halo == "input" else axis.output_extent(1)


def _entries(x: tuple[AxisTiles, ...], y: tuple[AxisTiles, ...]) -> int:
    """Partial sums of one output channel in the largest tile."""
    return max(part.output_extent for part in x) * max(part.output_extent for part in y)


def _pass_counts(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Ways to cut a plane into temporal passes along x and y, fewest passes first, squarest sub-planes first."""
    for total in range(1, width * height + 1):
        cuts = [(x, total // x) for x in range(1, total + 1) if total % x == 0 and x <= width and total // x <= height]
        yield from sorted(cuts, key=lambda cut: abs(width / cut[0] - height / cut[1]))
