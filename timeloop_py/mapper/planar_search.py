"""Planar-tiled mapspaces by any objective, and their Pareto fronts: exact, by bounds of every mapping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.objective import Objective
from timeloop_py.mapper.pareto import Front, FrontPoint, enumerated_front, non_dominated_pairs, outer_metrics
from timeloop_py.mapper.planar_bounds import Candidates
from timeloop_py.mapper.planar_hardware import hardware_families
from timeloop_py.mapper.planar_space import TIE, PlanarMapping, mapping_families
from timeloop_py.model.evaluate import Evaluation, Point, Unit, evaluate_units
from timeloop_py.nest.lowering import lower_layer
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network

Floats = NDArray[np.float64]


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
    space = _Space(architecture, network, layer, point, hardware)
    best = space.best(objective)
    design = space.candidates.design(best)
    return PlanarOutcome(
        mapping=space.mappings[best],
        design=design,
        evaluation=evaluate_units([Unit(design, network, layer)], (point,)),
        covered=len(space.mappings),
        front=None if metrics is None else space.front(metrics),
    )


class _Space:
    """All mappings of a layer at one density point."""

    def __init__(
        self, architecture: Architecture, network: Network, layer: Layer, point: Point, hardware: bool
    ) -> None:
        families = list((hardware_families if hardware else mapping_families)(architecture, layer))
        if not families:
            lower_layer(architecture, layer)  # says what does not fit
        self.mappings: list[PlanarMapping] = [mapping for mappings, _ in families for mapping in mappings]
        self.candidates = Candidates([family for _, family in families], network, layer, (point,))

    def best(self, objective: Objective) -> int:
        """The mapping with the least objective, its measures one after the other."""
        left, evaluation = self.candidates.may_be_best(objective.measures[0].value, TIE)
        energy, cycles = evaluation.layer_energy_pj[:, 0], evaluation.layer_cycles[:, 0]
        for measure in objective.measures:
            cost = measure.value(energy, cycles)
            ties = cost <= cost.min() * (1 + TIE)
            left, energy, cycles = left[ties], energy[ties], cycles[ties]
        return int(left[0])

    def front(self, metrics: tuple[str, ...]) -> Front[PlanarMapping]:
        """The front: first of the bounds without bank conflicts, then of whatever no true result is below."""
        self.candidates.refine(np.arange(len(self.mappings)))
        energy, least = self.candidates.energy_pj[:, 0], self.candidates.cycles[:, 0]
        first, second = outer_metrics(metrics)
        low = first.value(energy, least), second.value(energy, least)
        known = np.array(sorted(non_dominated_pairs(*low)))
        cycles = self._true_cycles(known)
        true = first.value(energy[known], cycles), second.value(energy[known], cycles)
        beaten = ((true[0] <= low[0][:, None]) & (true[1] <= low[1][:, None])).any(axis=1)
        rest = np.setdiff1d(np.flatnonzero(~beaten), known)
        if rest.size:
            known, cycles = np.append(known, rest), np.append(cycles, self._true_cycles(rest))
        points = [
            FrontPoint(self.mappings[index], float(energy[index]), float(cycles[place]), proven=True)
            for index, place in sorted(zip(known.tolist(), range(len(known)), strict=True))
        ]
        return enumerated_front(metrics, points)

    def _true_cycles(self, indices: NDArray[np.intp]) -> Floats:
        if self.candidates.has_conflicts:
            cycles = self.candidates.evaluate(indices).layer_cycles
        else:
            cycles = self.candidates.cycles[indices]
        return cycles[:, 0]
