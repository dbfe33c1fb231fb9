"""The mapspace of a layer on a planar-tiled accelerator.

On given hardware a dataflow of the SCNN paper leaves three choices per layer:

- the shape in which its PEs are laid over the plane: any ``columns x rows`` with as many PEs;
- the output-channel group ``Kc``: any that its accumulators hold, up to all output channels;
- who computes what a tile shares with its neighbours: output halos or input halos (Cartesian products only).

Group sizes that need the same number of groups differ in their last group only; of those the smallest is taken, which
spreads the channels most evenly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.planar_tilings import Designs, Tilings, plane_of, tilings
from timeloop_py.model.batch import Rows
from timeloop_py.nest.lowering import lower_layer
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.dataflow import Halo
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

Integers = NDArray[np.int64]


@dataclass(frozen=True, order=True)
class PlanarMapping:
    """One point of the mapspace. ``group`` is ``Kc`` as asked for; accumulators may hold less."""

    columns: int
    rows: int
    group: int
    halo: Halo

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows} PEs, Kc {self.group}, {self.halo} halos"

    def applied_to(self, architecture: Architecture) -> Architecture:
        """The architecture with this mapping fixed."""
        parameters, flow = architecture.require_accelerator()
        return replace(
            architecture,
            parameters=replace(parameters, pe_x=self.columns, pe_y=self.rows),
            dataflow=replace(flow, output_channel_group_max=self.group, halo=self.halo),
        )


@dataclass(frozen=True, order=True)
class HardwareMapping(PlanarMapping):
    """A mapping, and the hardware that it runs on: the parameters of an architecture that change."""

    parameters: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        sizes = dict(self.parameters)
        vectors = f", {sizes['F']} x {sizes['I']} multipliers each" if sizes else ""
        return f"{super().__str__()}{vectors}"

    def applied_to(self, architecture: Architecture) -> Architecture:
        """The architecture resized, with the mapping fixed."""
        return super().applied_to(architecture.resized(dict(self.parameters)) if self.parameters else architecture)


class MappingSpace:
    """Every mapping of a layer, in order: by hardware, grid and halos, the architecture's own first, then ``Kc`` rises.

    ``family`` (place among those of ``tilings``), ``asked`` and ``held``: per mapping its family, ``Kc`` as asked for
    and what the accumulators hold of it, arrays. SpecError: no mapping fits the layer, or there is nothing to compute.
    """

    def __init__(self, designs: Designs, layer: Layer) -> None:
        self.designs = designs
        self.layer = layer
        found = tilings(designs, plane_of(layer))
        if found is None or not found.pairs.any():
            lower_layer(designs.architecture, layer)  # says what is wrong
            raise SpecError(f"no mapping fits layer {layer.name!r}", field="accumulator_entries")
        self.tilings: Tilings = found
        sizes = np.array(_group_sizes(layer.output_channels_per_group))
        most = np.minimum(found.most, sizes[-1])
        # Of those that are cut down to what the accumulators hold the first one stands for all.
        self.sizes: Integers = np.searchsorted(sizes, most) + 1
        self.family: Integers = np.repeat(np.arange(len(most)), self.sizes)
        first = np.cumsum(self.sizes) - self.sizes
        self.asked: Integers = sizes[np.arange(len(self.family)) - first[self.family]]
        self.held: Integers = np.minimum(self.asked, most[self.family])

    def __len__(self) -> int:
        return len(self.family)

    def __iter__(self) -> Iterator[PlanarMapping]:
        return (self.mapping(place) for place in range(len(self)))

    @property
    def last(self) -> Integers:
        """The last mapping of every family, that with the largest ``Kc``."""
        last: Integers = np.cumsum(self.sizes) - 1
        return last

    def rows(self, places: Integers, designs: Sequence[Architecture]) -> Rows:
        """The rows of some mappings, as :class:`.Batch` lowers the layer onto their designs one by one.

        ``designs``: the architectures of all hardware; grids, ``Kc`` and halos in them are not looked at.
        """
        family = self.family[places]
        chosen = family, self.held[places], self.layer.output_channels_per_group
        return Rows(
            [designs[place] for place in self.tilings.designs[family].tolist()],
            [self.layer] * len(places),
            self.tilings.with_groups(*chosen),
            tuple(self.tilings.lowered[kind] for kind in self.tilings.kind_of_group(*chosen).tolist()),
        )

    def mapping(self, place: int) -> PlanarMapping:
        """The mapping at a place."""
        family = self.tilings.families[self.family[place]]
        choices = family.columns, family.rows, int(self.asked[place]), family.halo
        if not self.designs.is_hardware:
            return PlanarMapping(*choices)
        return HardwareMapping(*choices, self.designs.hardware[family.design][0])

    def design(self, place: int) -> Architecture:
        """The accelerator with the mapping at a place fixed."""
        family = self.tilings.families[self.family[place]]
        choices = PlanarMapping(family.columns, family.rows, int(self.asked[place]), family.halo)
        return choices.applied_to(self.designs.hardware[family.design][1])


def mapping_space(architecture: Architecture, layer: Layer) -> MappingSpace:
    """Every mapping of a layer onto the architecture's own hardware; SpecError also where it has no dataflow."""
    return MappingSpace(own_hardware(architecture), layer)


def own_hardware(architecture: Architecture) -> Designs:
    """The architecture with its own hardware alone; SpecError where it has no dataflow."""
    architecture.require_accelerator()
    return Designs(architecture, False, (((), architecture),))


def _group_sizes(channels: int) -> list[int]:
    """The smallest group for every possible number of groups, rising."""
    return sorted({-(-channels // groups) for groups in range(1, channels + 1)})
