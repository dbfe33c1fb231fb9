"""Planar tiling: the plane of a layer cut over the PE grid, and the output-channel group that fits (MODEL section 2).

One axis at a time: the grid is a product of columns and rows, the plane of x and y, so everything a PE has is a
product of what its column and its row have. A stride splits every tile into parities: inputs with
``(w + pad) mod stride = i`` meet the taps with ``r * dilation mod stride = i``, each parity a stride-1 axis of its own.
A tile is a contiguous piece of the plane and its parities are what it holds of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from timeloop_py.specs.dataflow import Dataflow, Halo, Tiling
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

Axis = Literal[0, 1]


@dataclass(frozen=True)
class Parity:
    """One parity of an axis in one temporal pass, per column of the grid.

    ``sizes``: input positions. ``pairs``: (position, tap) pairs whose output lies inside the plane (with input
    halos: inside the column's own outputs). ``taps``: filter positions of this parity; ``reach``: how far, in
    outputs, the taps spread one input (``taps - 1`` for dilation 1).
    """

    taps: int
    reach: int
    sizes: tuple[int, ...]
    pairs: tuple[int, ...]


@dataclass(frozen=True)
class AxisTiles:
    """One axis of one temporal pass: its parities, and per column what all of them write.

    ``written``: outputs inside the plane that a column updates; ``owned``: those it keeps, the rest are halos.
    """

    parities: tuple[Parity, ...]
    written: tuple[int, ...]
    owned: tuple[int, ...]

    @property
    def output_extent(self) -> int:
        """Accumulator extent of the largest column: its largest parity's tile plus the reach of its taps.

        1 at the least: outputs that see padding only are written, too.
        """
        return max(1, *(max(parity.sizes) + parity.reach for parity in self.parities))


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
    cuts = _balanced(axis.outputs if axis.halo == "input" else axis.plane, passes)
    return tuple(_input_pass(axis, start, stop, passes) for start, stop in cuts)


def _input_pass(axis: TilingAxis, start: int, stop: int, passes: int) -> AxisTiles:
    parities = []
    written: list[set[int]] = [set() for _ in range(axis.columns)]
    for residue in range(axis.stride):
        taps = [tap * axis.dilation for tap in range(axis.taps) if tap * axis.dilation % axis.stride == residue]
        if not taps:
            continue
        own = _columns(axis, start, stop, residue, passes)
        sizes, pairs = [], []
        for column, (positions, allowed) in enumerate(own):
            outputs = [(position + axis.padding - tap) // axis.stride for position in positions for tap in taps]
            inside = [output for output in outputs if allowed[0] <= output < allowed[1]]
            sizes.append(len(positions))
            pairs.append(len(inside))
            written[column].update(inside)
        reach = (taps[-1] - taps[0]) // axis.stride
        parities.append(Parity(len(taps), reach, tuple(sizes), tuple(pairs)))
    counts = tuple(len(outputs) for outputs in written)
    return AxisTiles(tuple(parities), counts, _owned(counts, written))


def _owned(counts: tuple[int, ...], written: list[set[int]]) -> tuple[int, ...]:
    """Every output belongs to the last column that writes it; the others send theirs on as halos."""
    seen: set[int] = set()
    owned = []
    for outputs in reversed(written):
        owned.append(len(outputs - seen))
        seen |= outputs
    return tuple(reversed(owned))


def _columns(
    axis: TilingAxis, start: int, stop: int, residue: int, passes: int
) -> list[tuple[list[int], tuple[int, int]]]:
    """Per column the input positions of one parity, and the range of outputs it may update."""
    plane = range(axis.plane)
    everywhere = (0, axis.outputs)
    if axis.halo == "input":
        taps = [tap * axis.dilation for tap in range(axis.taps) if tap * axis.dilation % axis.stride == residue]
        result = []
        for first, last in _cut(axis, start, stop):
            needed = {axis.stride * output - axis.padding + tap for output in range(first, last) for tap in taps}
            result.append(([position for position in plane if position in needed], (first, last)))
        return result
    if axis.tiling == "padded_ceil":
        if passes > 1:
            raise SpecError(
                "padded_ceil tiling has no temporal passes: the accumulator must hold one output channel of a tile",
                field="dataflow.tiling",
            )
        side = -(-(axis.plane + 2 * axis.padding) // axis.columns)
        owners = [
            [position for position in plane if (position + axis.padding) // side == column]
            for column in range(axis.columns)
        ]
    else:
        owners = [list(range(first, last)) for first, last in _cut(axis, start, stop)]
    return [([w for w in tile if (w + axis.padding) % axis.stride == residue], everywhere) for tile in owners]


def _cut(axis: TilingAxis, start: int, stop: int) -> list[tuple[int, int]]:
    """``[start, stop)`` over the columns: sides differing by one at most, or all but the last ones equal."""
    if axis.tiling == "balanced":
        return [(start + first, start + last) for first, last in _balanced(stop - start, axis.columns)]
    side = -(-(stop - start) // axis.columns)
    return [
        (min(start + column * side, stop), min(start + (column + 1) * side, stop)) for column in range(axis.columns)
    ]


def _balanced(size: int, parts: int) -> list[tuple[int, int]]:
    """Cut points of ``size`` into ``parts``, the larger ones first."""
    side, larger = divmod(size, parts)
    cuts, start = [], 0
    for part in range(parts):
        stop = start + side + (part < larger)
        cuts.append((start, stop))
        start = stop
    return cuts


@lru_cache(maxsize=4096)
def output_tiles(axis: TilingAxis, passes: int) -> tuple[AxisTiles, ...]:
    """Tiles of an output-centric axis: columns own outputs and read whatever inputs those need.

    ``sizes`` counts outputs here; taps and parities play no part in who computes what.
    """
    result = []
    for start, stop in _balanced(axis.outputs, passes):
        sizes = tuple(last - first for first, last in _cut(axis, start, stop))
        result.append(AxisTiles((Parity(axis.taps, 0, sizes, sizes),), sizes, sizes))
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


def tile_plane(layer: Layer, flow: Dataflow, columns: int, rows: int, accumulator_words: int) -> PlanarTiling:
    """Tile a layer over ``columns x rows`` PEs whose accumulators hold ``accumulator_words`` each.

    ``Kc = max(1, min(K/G, Kc_max, floor(words / output tile of the largest PE)))``. Where one output channel of
    the tile does not fit, the plane is cut into temporal passes until it does; an accumulator too small for the
    reach of a single input is a SpecError.
    """
    axes = axis_of(layer, flow, 0, columns), axis_of(layer, flow, 1, rows)
    output_centric = flow.template.basis == "output_centric"
    tiles = output_tiles if output_centric else input_tiles
    limits = tuple(axis.outputs if output_centric else axis.plane for axis in axes)
    for passes in _pass_counts(*limits):
        x, y = (tiles(axis, count) for axis, count in zip(axes, passes, strict=True))
        entries = _entries(x, y)
        if entries <= accumulator_words:
            break
        if passes == (1, 1):  # before all cuts are tried: does the finest one help?
            least = _entries(tiles(axes[0], limits[0]), tiles(axes[1], limits[1]))
            if least > accumulator_words:
                raise SpecError(
                    f"the accumulator of {accumulator_words} words cannot hold the partial sums of one output channel "
                    f"of {layer.name!r}, {least} at the least, however small the tile",
                    field="parameters.accumulator_entries",
                )
    group = min(layer.output_channels_per_group, flow.output_channel_group_max, accumulator_words // entries)
    return PlanarTiling(x, y, group)


def _entries(x: tuple[AxisTiles, ...], y: tuple[AxisTiles, ...]) -> int:
    """Partial sums of one output channel in the largest tile."""
    return max(part.output_extent for part in x) * max(part.output_extent for part in y)


def _pass_counts(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Ways to cut a plane into temporal passes along x and y, fewest passes first, squarest sub-planes first."""
    for total in range(1, width * height + 1):
        cuts = [(x, total // x) for x in range(1, total + 1) if total % x == 0 and x <= width and total // x <= height]
        yield from sorted(cuts, key=lambda cut: abs(width / cut[0] - height / cut[1]))


def classes(columns: tuple[tuple[int, ...], ...]) -> list[tuple[tuple[int, ...], int]]:
    """Distinct columns of several parallel per-column tuples, with how often each occurs."""
    return sorted(Counter(zip(*columns, strict=True)).items())
