"""The ways to cut a plane over PE grids, in arrays: what all layers with one plane share, whatever their channels.

A *family* of mappings has one hardware, one grid and one kind of halos; its mappings differ in the output-channel group
``Kc`` alone. What its tiles are depends on the plane, the grid and the accumulators, so layers of one plane, and splits
``F x I`` of the multipliers of a PE, share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from timeloop_py.model.batch import RowArrays
from timeloop_py.nest.lowering import Pass, lowered_passes
from timeloop_py.nest.tiling import tile_plane
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.dataflow import Halo
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

Integers = NDArray[np.int64]
#: The parameters of an architecture that change, and the architecture with them.
Hardware = tuple[tuple[tuple[str, int], ...], Architecture]


@dataclass(frozen=True)
class Designs:
    """An architecture with all hardware to choose from, as the key of what is built from it.

    ``is_hardware``: also other hardware than the architecture's own.
    """

    architecture: Architecture
    is_hardware: bool
    hardware: tuple[Hardware, ...]

    def __hash__(self) -> int:
        return hash((self.architecture.name, self.architecture.digest, self.architecture.parameters, self.is_hardware))


@dataclass(frozen=True)
class Family:
    """The mappings onto one hardware with one grid and one kind of halos."""

    design: int
    columns: int
    rows: int
    halo: Halo


@dataclass(frozen=True)
class Tilings:
    """The families that fit a plane, and how each cuts it; arrays over families or over their kinds of passes.

    ``most``: the largest ``Kc`` that the accumulators hold. ``first`` and ``kinds``: the first of a family's kinds of
    passes, and how many it has. ``lanes``: activations of a vector. Per kind of pass: ``lowered``, and of it ``counts``
    (passes), ``busy`` (PEs), ``written``, ``owned``, ``output_tile`` as of :class:`.Pass`, ``class_counts`` (passes,
    PE classes), ``class_sizes`` (passes, kinds of blocks, PE classes), ``pairs`` (passes, kinds of blocks). ``taps``
    per kind of block.
    """

    families: tuple[Family, ...]
    lowered: tuple[Pass, ...]
    most: Integers
    first: Integers
    kinds: Integers
    lanes: Integers
    counts: Integers
    busy: Integers
    written: Integers
    owned: Integers
    output_tile: Integers
    class_counts: Integers
    class_sizes: Integers
    pairs: Integers
    taps: Integers

    @cached_property
    def designs(self) -> Integers:
        """The place of every family's hardware."""
        return np.array([family.design for family in self.families])

    @cached_property
    def passes(self) -> Integers:
        """Temporal passes of every family, those of all images."""
        passes: Integers = np.add.reduceat(self.counts, self.first)
        return passes

    @cached_property
    def busiest(self) -> Integers:
        """The class of PEs with the most products, per kind of pass."""
        products = np.einsum("b,rbc->rc", self.taps, self.class_sizes)
        busiest: Integers = np.where(self.class_counts > 0, products, -1).argmax(axis=1)
        return busiest

    @cached_property
    def vectors(self) -> tuple[Integers, Integers, Integers]:
        """Distinct positions of a tile with the lanes that take them, and which of these every tile is.

        Arrays (pairs,), (pairs,) and (passes, kinds of blocks, PE classes).
        """
        lanes = np.repeat(self.lanes, self.kinds)[:, None, None]
        scale = int(self.class_sizes.max()) + 1
        distinct, place = np.unique(lanes * scale + self.class_sizes, return_inverse=True)
        return distinct % scale, distinct // scale, place.reshape(self.class_sizes.shape)

    def kind_of_group(self, families: Integers, held: Integers, channels: int) -> Integers:
        """The kind of pass of every row of :meth:`with_groups`: each twice where a smaller group is left over."""
        kind, of_group, _ = self._groups(families, held, channels)
        return kind[of_group]

    def with_groups(self, families: Integers, held: Integers, channels: int) -> RowArrays:
        """The rows of a layer with so many output ``channels``, of mappings of some families with ``Kc = held``.

        As :class:`.Batch` lowers them one by one. Arrays (mappings,).
        """
        full, rest = np.divmod(channels, held)
        kind, of_group, mapping = self._groups(families, held, channels)
        row, unit = kind[of_group], mapping[of_group]
        starts = np.append(True, of_group[1:] != of_group[:-1])
        blocks = len(self.taps)
        counts = self.class_counts[row]
        classes = slice(1 + int(np.flatnonzero(counts.any(axis=0))[-1]))
        return RowArrays(
            unit_of_group=unit,
            group_channels=np.where(starts, held[unit], rest[unit]),
            group_starts_pass=starts,
            group_count=np.where(starts, full[unit], 1),
            group_passes=self.counts[row],
            group_busy_pes=self.busy[row],
            group_written=self.written[row],
            group_owned=self.owned[row],
            group_output_tile=self.output_tile[row],
            class_counts=counts[:, classes],
            group_of_block=np.repeat(np.arange(len(row)), blocks),
            block_taps=np.tile(self.taps, len(row)),
            block_pairs=self.pairs[row].ravel(),
            class_sizes=self.class_sizes[row][:, :, classes].reshape(len(row) * blocks, -1),
        )

    def _groups(self, families: Integers, held: Integers, channels: int) -> tuple[Integers, Integers, Integers]:
        """Every kind of pass of each mapping, which of them every group is of, and the mappings that they are of."""
        kinds = self.kinds[families]
        mapping = np.repeat(np.arange(len(families)), kinds)
        kind = np.arange(len(mapping)) + np.repeat(self.first[families] - (np.cumsum(kinds) - kinds), kinds)
        sizes = 1 + (channels % held > 0)[mapping]
        return kind, np.repeat(np.arange(len(kind)), sizes), mapping


def plane_of(layer: Layer) -> Layer:
    """The layer's plane: the same for all layers that are cut alike."""
    return Layer(
        "plane",
        K=1,
        C=1,
        W=layer.W,
        H=layer.H,
        R=layer.R,
        S=layer.S,
        N=layer.N,
        stride=layer.stride,
        dilation=layer.dilation,
        padding=layer.padding,
    )


@lru_cache(maxsize=64)
def tilings(designs: Designs, plane: Layer) -> Tilings | None:
    """Every way to cut a plane over the grids of all hardware, in their order; None where none fits.

    Of every hardware the architecture's own grid and halos come first.
    """
    families, most, kinds, lanes = [], [], [], []
    rows: list[Pass] = []
    known: dict[tuple[int, int, Halo, int], tuple[int, tuple[Pass, ...]] | None] = {}
    for family in _families(designs):
        parameters, flow = designs.hardware[family.design][1].require_accelerator()
        words = parameters.accumulator_words
        key = family.columns, family.rows, family.halo, words
        if key not in known:
            try:
                cut = tile_plane(plane, replace(flow, halo=family.halo), family.columns, family.rows, words)
            except SpecError:  # this grid leaves tiles that the accumulators cannot hold
                known[key] = None
            else:
                known[key] = words // cut.entries, lowered_passes(cut, plane.N)
        found = known[key]
        if found is not None:
            families.append(family)
            most.append(found[0])
            kinds.append(len(found[1]))
            lanes.append(parameters.I)
            rows += found[1]
    if not rows:
        return None
    widest = max(len(one.pe_counts) for one in rows)
    return Tilings(
        families=tuple(families),
        lowered=tuple(rows),
        most=np.array(most),
        first=np.cumsum([0, *kinds[:-1]]),
        kinds=np.array(kinds),
        lanes=np.array(lanes),
        counts=np.array([one.count for one in rows]),
        busy=np.array([one.busy_pes for one in rows]),
        written=np.array([one.written for one in rows]),
        owned=np.array([one.owned for one in rows]),
        output_tile=np.array([one.output_tile for one in rows]),
        class_counts=np.array([_padded(one.pe_counts, widest) for one in rows]),
        class_sizes=np.array([[_padded(block.sizes, widest) for block in one.blocks] for one in rows]),
        pairs=np.array([[block.pairs for block in one.blocks] for one in rows]),
        taps=np.array([block.taps for block in rows[0].blocks]),
    )


def _families(designs: Designs) -> Iterator[Family]:
    for place, (_, design) in enumerate(designs.hardware):
        parameters, flow = design.require_accelerator()
        pes, own = parameters.processing_elements, (parameters.pe_x, parameters.pe_y)
        grids = [own, *((x, pes // x) for x in range(1, pes + 1) if pes % x == 0 and (x, pes // x) != own)]
        other: Halo = "input" if flow.halo == "output" else "output"
        halos = (flow.halo, other) if flow.template.core == "cartesian_product" else (flow.halo,)
        for columns, rows in grids:
            for halo in halos:
                yield Family(place, columns, rows, halo)


def _padded(values: tuple[int, ...], width: int) -> list[int]:
    return [*values, *([0] * (width - len(values)))]
