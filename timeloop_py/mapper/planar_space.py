"""The mapspace of a planar-tiled accelerator, searched by evaluating all of it.

On given hardware a dataflow of the SCNN paper leaves three choices per layer:

- the shape in which its PEs are laid over the plane: any ``columns x rows`` with as many PEs;
- the output-channel group ``Kc``: any that its accumulators hold, up to all output channels;
- who computes what a tile shares with its neighbours: output halos or input halos (Cartesian products only).

Group sizes that need the same number of groups differ in their last group only; of those the smallest is taken, which
spreads the channels most evenly. The space is small enough to be evaluated whole, in arrays: what comes out is the
optimum of the space under the model, by construction. Bank conflicts, which take longest to evaluate and only ever add
cycles, are left out at first: then every mapping has a lower bound, and only those whose bound is no worse than the
true cost of some other are evaluated with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from timeloop_py.model.batch import Array
from timeloop_py.model.evaluate import Evaluation, Point, Unit, evaluate_units
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


def mapping_space(architecture: Architecture, layer: Layer) -> Iterator[PlanarMapping]:
    """Every mapping of a layer, the architecture's own grid and halos first.

    SpecError: the architecture has no dataflow.
    """
    parameters, flow = architecture.require_accelerator()
    pes, words = parameters.processing_elements, parameters.accumulator_words
    own = (parameters.pe_x, parameters.pe_y)
    grids = [own, *((x, pes // x) for x in range(1, pes + 1) if pes % x == 0 and (x, pes // x) != own)]
    scatters = flow.template.core == "cartesian_product"
    other: Halo = "input" if flow.halo == "output" else "output"
    halos = (flow.halo, other) if scatters else (flow.halo,)
    for columns, rows in grids:
        for halo in halos:
            seen = set()
            for group in _group_sizes(layer.output_channels_per_group):
                mapping = PlanarMapping(columns, rows, group, halo)
                try:
                    held = tile_plane(
                        layer, replace(flow, halo=halo, output_channel_group_max=group), columns, rows, words
                    ).group
                except SpecError:  # this grid leaves tiles that the accumulators cannot hold
                    break
                if held in seen:
                    break  # larger groups are cut down to the same
                seen.add(held)
                yield mapping


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
    variants: dict[PlanarMapping, Architecture] = {}
    solved: dict[object, tuple[tuple[PlanarMapping, ...], Evaluation, tuple[int, ...]]] = {}
    covered = 0
    answers = []
    for done, layer in enumerate(network.layers):
        key = (layer.shape_key(), network.reads_network_input(layer.name))
        if key not in solved:
            choices = tuple(mapping_space(architecture, layer))
            for mapping in choices:
                if mapping not in variants:
                    variants[mapping] = mapping.applied_to(architecture)
            if not choices:
                lower_layer(architecture, layer)  # says what does not fit
            covered += len(choices)
            units = [Unit(variants[mapping], network, layer) for mapping in choices]
            left = _undominated(units, points, objective)
            choices = tuple(choices[place] for place in left)
            evaluation = evaluate_units([units[place] for place in left], points)
            solved[key] = (choices, evaluation, _best_of(_cost(evaluation, objective)))
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


def _undominated(units: Sequence[Unit], points: Sequence[Point], objective: Objective) -> list[int]:
    """Units that may be the best at some point: whose cost without bank conflicts is no more than a true cost."""
    _, flow = units[0].architecture.require_accelerator()
    if flow.template.core == "dot_product" or flow.bank_contention == "none":
        return list(range(len(units)))
    free = {id(unit.architecture): _without_conflicts(unit.architecture) for unit in units}
    bounds = _cost(
        evaluate_units([replace(unit, architecture=free[id(unit.architecture)]) for unit in units], points), objective
    )
    promising = sorted(set(_best_of(bounds)))
    reached = _cost(evaluate_units([units[place] for place in promising], points), objective).min(axis=0)
    return [int(place) for place in np.flatnonzero((bounds <= reached * (1 + TIE)).any(axis=1))]


def _without_conflicts(architecture: Architecture) -> Architecture:
    _, flow = architecture.require_accelerator()
    return replace(architecture, dataflow=replace(flow, bank_contention="none"))


def _cost(evaluation: Evaluation, objective: Objective) -> Array:
    """What the objective says of every unit at every point."""
    cycles, energy = evaluation.layer_cycles, evaluation.layer_energy_pj
    return {"cycles": cycles, "energy_pj": energy, "edp": energy * cycles, "ed2p": energy * cycles**2}[objective]


def _best_of(cost: Array) -> tuple[int, ...]:
    """The unit with the lowest cost at every point, the first of those that tie."""
    return tuple(int(index) for index in np.argmax(cost <= cost.min(axis=0) * (1 + TIE), axis=0))
