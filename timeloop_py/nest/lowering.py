"""Lowering: a layer and a dataflow become loop nests with trip counts filled in.

A template (``specs/dataflow.py``) names its trip counts; here they get values. Where operands are compressed the
counts of vectors are expectations over the zeros, and a lane loop's bound is the mean number of filled lanes, so that
vectors times lanes are exactly the expected non-zeros. Every PE of a pass runs the same nest with a tile of its own:
bounds that differ between PEs are means over the PEs that have work, which is exact for counts linear in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from timeloop_py.nest.tiling import AxisTiles, PlanarTiling, tile_plane
from timeloop_py.numbers.operations import Number
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.dataflow import SPLIT_BY_OCCUPANCY, Template, TemplateLoop
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.mapping import Loop, Node, Store
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term


@dataclass(frozen=True)
class Block:
    """One parity of a pass: the work of an (output-channel group, channel) pair.

    ``filter`` is (x, y) taps, ``tiles`` (x, y) positions per PE class; ``pairs`` (position, tap) pairs of all PEs
    whose output exists.
    """

    filter: tuple[int, int]
    tiles: tuple[tuple[int, int], ...]
    pairs: int

    @property
    def taps(self) -> int:
        """Filter positions."""
        return self.filter[0] * self.filter[1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Positions of the tile per PE class."""
        return tuple(width * height for width, height in self.tiles)


@dataclass(frozen=True)
class Pass:
    """Equal temporal passes: ``count`` of them, PEs in classes of equal tiles (``pe_counts``), blocks per parity.

    ``written`` and ``owned`` are output positions that PEs update and keep, per output
    channel; what is written and not owned are halos. ``output_tile``: output positions of the largest PE, those that
    it drains. ``largest_tile``: positions of the busiest PE over all parities. ``x`` and ``y``: the tiles of the
    columns and rows of PEs.
    """

    x: AxisTiles
    y: AxisTiles
    count: int
    pe_counts: tuple[int, ...]
    blocks: tuple[Block, ...]
    written: int
    owned: int
    output_tile: int
    largest_tile: int

    @property
    def busy_pes(self) -> int:
        """PEs with at least one position that meets a tap."""
        sizes = zip(*(block.sizes for block in self.blocks), strict=True)
        return sum(count for count, of_blocks in zip(self.pe_counts, sizes, strict=True) if any(of_blocks))


@dataclass(frozen=True)
class LoweredLayer:
    """A layer on a PE grid: its passes, and output-channel groups as (channels, how many groups)."""

    tiling: PlanarTiling
    passes: tuple[Pass, ...]
    groups: tuple[tuple[int, int], ...]


def lower_layer(architecture: Architecture, layer: Layer) -> LoweredLayer:
    """Tile a layer over an accelerator.

    SpecError: the architecture has no dataflow, the layer cannot fit, or no input meets a weight.
    """
    parameters, flow = architecture.require_accelerator()
    tiling = tile_plane(layer, flow, parameters.pe_x, parameters.pe_y, parameters.accumulator_words)
    passes = lowered_passes(tiling, layer.N)
    if not any(block.pairs for one in passes for block in one.blocks):
        raise SpecError(f"every output of layer {layer.name!r} sees padding only: there is nothing to compute")
    full, rest = divmod(layer.output_channels_per_group, tiling.group)
    groups = tuple((channels, count) for channels, count in ((tiling.group, full), (rest, 1)) if channels and count)
    return LoweredLayer(tiling, passes, groups)


def lowered_passes(tiling: PlanarTiling, images: int) -> tuple[Pass, ...]:
    """The distinct temporal passes of a tiled plane, over all ``images``."""
    columns, rows = _distinct(tiling.x), _distinct(tiling.y)
    return tuple(_pass(x, y, count * copies * images) for x, count in columns for y, copies in rows)


def _distinct(passes: tuple[AxisTiles, ...]) -> list[tuple[AxisTiles, int]]:
    if len(passes) == 1:  # there are thousands of columns to compare
        return [(passes[0], 1)]
    return list(Counter(passes).items())


def _pass(x: AxisTiles, y: AxisTiles, count: int) -> Pass:
    grid = [(column, row) for column in x.classes for row in y.classes]
    blocks = tuple(
        Block(
            filter=(x_parity.taps, y_parity.taps),
            tiles=tuple((column[0][i], row[0][j]) for column, row in grid),
            pairs=x_pairs * y_pairs,
        )
        for i, (x_parity, x_pairs) in enumerate(zip(x.parities, x.pairs, strict=True))
        for j, (y_parity, y_pairs) in enumerate(zip(y.parities, y.pairs, strict=True))
    )
    return Pass(
        x=x,
        y=y,
        count=count,
        pe_counts=tuple(column[1] * row[1] for column, row in grid),
        blocks=blocks,
        written=x.all_written * y.all_written,
        owned=x.all_owned * y.all_owned,
        output_tile=x.most_written * y.most_written,
        largest_tile=max(sum(column[0]) * sum(row[0]) for column, row in grid),
    )


def build_nest(
    template: Template, trip_counts: Mapping[str, Number], output_entries: Number
) -> tuple[Problem, LoopMapping]:
    """The template with its trip counts: numbers, arrays over many layers and densities, or symbols.

    ``output_entries`` are the partial sums of one output-channel group in one PE, halos included.
    """
    nodes: list[Node] = []
    dims: dict[str, Number] = {}
    split: set[str] = set()
    for node in template.nodes:
        if isinstance(node, TemplateLoop):
            dims[node.dim] = trip_counts[node.trip_count]
            if node.trip_count in SPLIT_BY_OCCUPANCY:
                split.add(node.dim)
            nodes.append(Loop(node.dim, trip_counts[node.trip_count], node.kind))
        else:
            nodes.append(Store(node.component, node.tensor))
    tensors = tuple(
        Tensor(
            name=tensor,
            ranks=tuple(
                Rank(
                    tuple(Term(dim) for dim in rank.dims),
                    entries=output_entries if rank.scatter else None,
                    by_occupancy=not split.isdisjoint(rank.dims),
                )
                for rank in ranks
            ),
            is_output=tensor == "Outputs",
        )
        for tensor, ranks in template.ranks
    )
    return Problem(dims, tensors), LoopMapping(tuple(nodes))
