"""The mapspace of a planar-tiled accelerator, and the best mappings of a network at many density points.

On given hardware a dataflow of the SCNN paper leaves three choices per layer:

- the shape in which its PEs are laid over the plane: any ``columns x rows`` with as many PEs;
- the output-channel group ``Kc``: any that its accumulators hold, up to all output channels;
- who computes what a tile shares with its neighbours: output halos or input halos (Cartesian products only).

Group sizes that need the same number of groups differ in their last group only; of those the smallest is taken, which
spreads the channels most evenly. The answer is the optimum of the space under the model: every mapping has a lower
bound (:mod:`timeloop_py.mapper.planar_bounds`), and all whose bound is no worse than the true cost of some other are
evaluated.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from timeloop_py.mapper.planar_bounds import Candidates, Family
from timeloop_py.model.batch import Array
from timeloop_py.model.evaluate import Evaluation, Point
from timeloop_py.nest.lowering import lower_layer
from timeloop_py.nest.tiling import tile_plane
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.dataflow import Halo
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network

Objective = Literal["cycles", "energy_pj", "edp", "ed2p"]
#: Objectives by the name that the command line gives them.
OBJECTIVES: Mapping[str, Objective] = {"cycles": "cycles", "energy": "energy_pj", "edp": "edp", "ed2p": "ed2p"}

#: Relative difference below which two mappings cost the same: the one that stands first in the space is taken.
TIE = 1e-9


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


@dataclass(frozen=True)
class BestMappings:
    """The best mapping of every layer at every density point.

    ``evaluations[i]`` has one unit per mapping of ``choices[i]``, those of layer ``i`` that may be the best, and
    ``chosen[i][p]`` says which of them is at point ``p``. ``covered`` counts the mappings of the space.
    """

    network: Network
    choices: tuple[tuple[PlanarMapping, ...], ...]
    evaluations: tuple[Evaluation, ...]
    chosen: tuple[tuple[int, ...], ...]
    covered: int

    def mapping(self, layer: int, point: int) -> PlanarMapping:
        """The mapping of a layer at a density point."""
        return self.choices[layer][self.chosen[layer][point]]

    def values(self, read: Callable[[Evaluation], Array]) -> Array:
        """An array (layers, points) of what ``read`` gives (units, points) for the best mappings."""
        rows = []
        for evaluation, chosen in zip(self.evaluations, self.chosen, strict=True):
            rows.append(read(evaluation)[list(chosen), range(len(chosen))])
        return np.stack(rows)

    @property
    def cycles(self) -> Array:
        """Cycles per layer and point."""
        return self.values(lambda evaluation: evaluation.layer_cycles)

    @property
    def energy_pj(self) -> Array:
        """Energy per layer and point, pJ."""
        return self.values(lambda evaluation: evaluation.layer_energy_pj)


def mapping_families(architecture: Architecture, layer: Layer) -> Iterator[tuple[tuple[PlanarMapping, ...], Family]]:
    """Every mapping of a layer by grid and halos, the architecture's own first; in a family ``Kc`` rises.

    SpecError: the architecture has no dataflow.
    """
    parameters, flow = architecture.require_accelerator()
    pes, words = parameters.processing_elements, parameters.accumulator_words
    own = (parameters.pe_x, parameters.pe_y)
    grids = [own, *((x, pes // x) for x in range(1, pes + 1) if pes % x == 0 and (x, pes // x) != own)]
    scatters = flow.template.core == "cartesian_product"
    other: Halo = "input" if flow.halo == "output" else "output"
    halos = (flow.halo, other) if scatters else (flow.halo,)
    sizes = _group_sizes(layer.output_channels_per_group)
    for columns, rows in grids:
        for halo in halos:
            unlimited = replace(flow, halo=halo, output_channel_group_max=sizes[-1])
            try:
                most = tile_plane(layer, unlimited, columns, rows, words).group
            except SpecError:  # this grid leaves tiles that the accumulators cannot hold
                continue
            # Of those that are cut down to what the accumulators hold the first one stands for all.
            asked = sizes[: bisect_left(sizes, most) + 1]
            mappings = tuple(PlanarMapping(columns, rows, group, halo) for group in asked)
            yield mappings, Family((*asked[:-1], most), partial(_applied, architecture, mappings))


def _applied(architecture: Architecture, mappings: Sequence[PlanarMapping], place: int) -> Architecture:
    return mappings[place].applied_to(architecture)


def mapping_space(architecture: Architecture, layer: Layer) -> Iterator[PlanarMapping]:
    """Every mapping of a layer, in the order of :func:`mapping_families`."""
    for mappings, _ in mapping_families(architecture, layer):
        yield from mappings


def _group_sizes(channels: int) -> list[int]:
    """The smallest group for every possible number of groups, rising."""
    return sorted({-(-channels // groups) for groups in range(1, channels + 1)})


def best_planar_mappings(
    architecture: Architecture,
    network: Network,
    points: Sequence[Point],
    objective: Objective = "edp",
    progress: Callable[[int, int], None] | None = None,
) -> BestMappings:
    """The best mapping of each layer at each point by ``objective``, from the whole mapspace.

    Layers of one shape are searched once. Ties go to the mapping that stands first. SpecError: an unknown objective, or
    a layer that no mapping fits.
    """
    if objective not in OBJECTIVES.values():
        known = ", ".join(OBJECTIVES.values())
        raise SpecError(f"unknown objective {objective!r}: expected one of {known}", field="objective")
    solved: dict[object, tuple[tuple[PlanarMapping, ...], Evaluation, tuple[int, ...]]] = {}
    covered = 0
    answers = []
    for done, layer in enumerate(network.layers):
        key = (layer.shape_key(), network.reads_network_input(layer.name))
        if key not in solved:
            families = list(mapping_families(architecture, layer))
            if not families:
                lower_layer(architecture, layer)  # says what does not fit
            space = [mapping for mappings, _ in families for mapping in mappings]
            covered += len(space)
            candidates = Candidates([family for _, family in families], network, layer, points)
            left, evaluation = candidates.may_be_best(partial(_value, objective), TIE)
            costs = _value(objective, evaluation.layer_energy_pj, evaluation.layer_cycles)
            solved[key] = (tuple(space[place] for place in left), evaluation, _best_of(costs))
        answers.append(solved[key])
        if progress:
            progress(done + 1, len(network.layers))
    return BestMappings(
        network=network,
        choices=tuple(choices for choices, _, _ in answers),
        evaluations=tuple(evaluation for _, evaluation, _ in answers),
        chosen=tuple(chosen for _, _, chosen in answers),
        covered=covered,
    )


def _value(objective: Objective, energy: Array, cycles: Array) -> Array:
    """What the objective says of energies and cycles."""
    return {"cycles": cycles, "energy_pj": energy, "edp": energy * cycles, "ed2p": energy * cycles**2}[objective]


def _best_of(cost: Array) -> tuple[int, ...]:
    """The unit with the lowest cost at every point, the first of those that tie."""
    return tuple(int(index) for index in np.argmax(cost <= cost.min(axis=0) * (1 + TIE), axis=0))
