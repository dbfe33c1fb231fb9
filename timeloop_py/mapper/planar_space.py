"""The best mappings of a network onto a planar-tiled accelerator, at many density points.

The answer is the optimum of the space (:mod:`timeloop_py.mapper.planar_mappings`) under the model: every mapping has a
lower bound (:mod:`timeloop_py.mapper.planar_bounds`), and all whose bound is no worse than the true cost of some other
are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from timeloop_py.mapper.planar_candidates import Candidates
from timeloop_py.mapper.planar_mappings import PlanarMapping, mapping_space
from timeloop_py.model.batch import Array
from timeloop_py.model.evaluate import Point
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.network import Network

Objective = Literal["cycles", "energy_pj", "edp", "ed2p"]
#: Objectives by the name that the command line gives them.
OBJECTIVES: Mapping[str, Objective] = {"cycles": "cycles", "energy": "energy_pj", "edp": "edp", "ed2p": "ed2p"}

#: Relative difference below which two mappings cost the same: the one that stands first in the space is taken.
TIE = 1e-9


@dataclass(frozen=True)
class BestMappings:
    """The best mapping of every layer at every density point, with its cycles and energy, arrays (layers, points).

    ``covered`` counts the mappings of the space.
    """

    network: Network
    mappings: tuple[tuple[PlanarMapping, ...], ...]
    cycles: Array
    energy_pj: Array
    covered: int

    def mapping(self, layer: int, point: int) -> PlanarMapping:
        """The mapping of a layer at a density point."""
        return self.mappings[layer][point]


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
    solved: dict[object, tuple[tuple[PlanarMapping, ...], Array, Array]] = {}
    covered = 0
    answers = []
    for done, layer in enumerate(network.layers):
        key = (layer.shape_key(), network.reads_network_input(layer.name))
        if key not in solved:
            space = mapping_space(architecture, layer)
            covered += len(space)
            candidates = Candidates(space, network, points)
            left = candidates.may_be_best(partial(_value, objective), TIE)
            best = left[_best_of(_value(objective, candidates.energy_pj[left], candidates.cycles[left]))]
            candidates.evaluate(np.unique(best))
            mappings = tuple(space.mapping(int(place)) for place in best)
            each = np.arange(len(points))
            solved[key] = mappings, candidates.cycles[best, each], candidates.energy_pj[best, each]
        answers.append(solved[key])
        if progress:
            progress(done + 1, len(network.layers))
    return BestMappings(
        network=network,
        mappings=tuple(mappings for mappings, _, _ in answers),
        cycles=np.stack([cycles for _, cycles, _ in answers]),
        energy_pj=np.stack([energy for _, _, energy in answers]),
        covered=covered,
    )


def _value(objective: Objective, energy: Array, cycles: Array) -> Array:
    """What the objective says of energies and cycles."""
    return {"cycles": cycles, "energy_pj": energy, "edp": energy * cycles, "ed2p": energy * cycles**2}[objective]


def _best_of(cost: Array) -> np.ndarray:
    """The row with the lowest cost at every point, the first of those that tie."""
    return np.asarray(np.argmax(cost <= cost.min(axis=0) * (1 + TIE), axis=0))
