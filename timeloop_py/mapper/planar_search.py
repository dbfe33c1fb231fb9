"""Planar-tiled mapspaces by any objective, and their Pareto fronts: exact, by bounds of every mapping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timeloop_py.mapper.objective import Objective
from timeloop_py.mapper.pareto import Front, FrontPoint, enumerated_front, non_dominated_pairs, outer_metrics
from timeloop_py.mapper.planar_candidates import Candidates
from timeloop_py.mapper.planar_hardware import all_hardware, hardware_space
from timeloop_py.mapper.planar_mappings import PlanarMapping, mapping_space, own_hardware
from timeloop_py.mapper.planar_space import TIE
from timeloop_py.mapper.planar_tilings import plane_of, tilings
from timeloop_py.model.evaluate import Evaluation, Point, Unit, evaluate_units
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network


@dataclass(frozen=True)
class PlanarOutcome:
    """The best mapping of a layer, the accelerator with it fixed, and what evaluating it gives."""

    mapping: PlanarMapping
    design: Architecture
    evaluation: Evaluation
    covered: int
    front: Front[PlanarMapping] | None


def search_planar(
    architecture: Architecture,
    network: Network,
    layer: Layer,
    point: Point,
    objective: Objective,
    metrics: tuple[str, ...] | None = None,
    hardware: bool = False,
) -> PlanarOutcome:
    """The best mapping of a layer at a density point; ties go to the mapping that stands first in the space.

    ``hardware``: not on the given hardware only, but on any of as many multipliers (:func:`hardware_space`).
    SpecError: no mapping fits the layer, or the architecture has no dataflow.
    """
    space = (hardware_space if hardware else mapping_space)(architecture, layer)
    candidates = Candidates(space, network, (point,))
    best = _best(candidates, objective)
    design = space.design(best)
    return PlanarOutcome(
        mapping=space.mapping(best),
        design=design,
        evaluation=evaluate_units([Unit(design, network, layer)], (point,)),
        covered=len(space),
        front=None if metrics is None else _front(candidates, metrics),
    )


def prepare_planar(architecture: Architecture, layer: Layer, hardware: bool) -> None:
    """Cut a layer's plane over all grids: :func:`search_planar` finds that done for every layer of the plane."""
    tilings((all_hardware if hardware else own_hardware)(architecture), plane_of(layer))


def _best(candidates: Candidates, objective: Objective) -> int:
    """The mapping with the least objective, its measures one after the other."""
    left = candidates.may_be_best(objective.measures[0].value, TIE)
    for rank, measure in enumerate(objective.measures):
        if rank:
            candidates.evaluate(left)
        cost = measure.value(candidates.energy_pj[left, 0], candidates.cycles[left, 0])
        left = left[cost <= cost.min() * (1 + TIE)]
    return int(left[0])


def _front(candidates: Candidates, metrics: tuple[str, ...]) -> Front[PlanarMapping]:
    """The front: what no other is below takes its next step, until no bound is below what is known."""
    first, second = outer_metrics(metrics)
    energy, cycles = candidates.energy_pj[:, 0], candidates.cycles[:, 0]
    while True:
        low = np.stack([first.value(energy, cycles), second.value(energy, cycles)])
        known = np.flatnonzero(candidates.known)
        true = low[:, known[non_dominated_pairs(*low[:, known])]]
        below = true[:, None, :] <= low[:, :, None]
        beaten = (below[0] & below[1]).any(axis=1)
        waiting = np.flatnonzero(~beaten & ~candidates.known)
        if not waiting.size:
            break
        lowest = waiting[non_dominated_pairs(*low[:, waiting])]
        candidates.step(lowest, lowest)
    points = [
        FrontPoint(candidates.space.mapping(place), float(energy[place]), float(cycles[place]), proven=True)
        for place in known.tolist()
    ]
    return enumerated_front(metrics, points)
