"""Planar-tiled mapspaces by any objective, and their Pareto fronts: evaluated whole, so exact by construction.

Bank conflicts take longest to evaluate and only ever add cycles. So all mappings are evaluated without them first,
which bounds the cycles of each from below at its own energy; with them only those whose bound some true result does not
already beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.objective import Objective
from timeloop_py.mapper.pareto import Front, FrontPoint, enumerated_front, non_dominated_pairs, outer_metrics
from timeloop_py.mapper.planar_hardware import HardwareMapping, hardware_space, resized
from timeloop_py.mapper.planar_space import TIE, PlanarMapping, mapping_space
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
    design = space.designs[best]
    return PlanarOutcome(
        mapping=space.mappings[best],
        design=design,
        evaluation=evaluate_units([Unit(design, network, layer)], (point,)),
        covered=len(space.mappings),
        front=None if metrics is None else space.front(metrics),
    )


class _Space:
    """All mappings of a layer: energies, bounds of the cycles, and true cycles where they are known (else infinite)."""

    def __init__(
        self, architecture: Architecture, network: Network, layer: Layer, point: Point, hardware: bool
    ) -> None:
        self.mappings: tuple[PlanarMapping, ...] = tuple(
            (hardware_space if hardware else mapping_space)(architecture, layer)
        )
        if not self.mappings:
            lower_layer(architecture, layer)  # says what does not fit
        self.network, self.layer, self.point = network, layer, point
        self.designs = _designs(architecture, self.mappings)
        _, flow = architecture.require_accelerator()
        self.exact = flow.template.core == "dot_product" or flow.bank_contention == "none"
        bounds = self._evaluate([_without_conflicts(design) for design in self.designs])
        self.energy: Floats = bounds.layer_energy_pj[:, 0]
        self.least_cycles: Floats = bounds.layer_cycles[:, 0]
        self.cycles = self.least_cycles.copy() if self.exact else np.full(len(self.mappings), np.inf)

    def best(self, objective: Objective) -> int:
        """The mapping with the least objective, its measures one after the other."""
        bounds = objective.measures[0].value(self.energy, self.least_cycles)
        self._look_at([int(np.argmin(bounds))])
        reached = objective.measures[0].value(self.energy[self.known], self.cycles[self.known]).min()
        self._look_at(np.flatnonzero(bounds <= reached * (1 + TIE)))
        left = self.known
        for measure in objective.measures:
            cost = measure.value(self.energy[left], self.cycles[left])
            left = left[cost <= cost.min() * (1 + TIE)]
        return int(left[0])

    def front(self, metrics: tuple[str, ...]) -> Front[PlanarMapping]:
        """The front: first of the bounds, then of whatever no true result is below."""
        first, second = outer_metrics(metrics)
        low = first.value(self.energy, self.least_cycles), second.value(self.energy, self.least_cycles)
        self._look_at(non_dominated_pairs(*low))
        known = self.known
        true = first.value(self.energy[known], self.cycles[known]), second.value(self.energy[known], self.cycles[known])
        beaten = ((true[0] <= low[0][:, None]) & (true[1] <= low[1][:, None])).any(axis=1)
        self._look_at(np.flatnonzero(~beaten))
        points = [
            FrontPoint(self.mappings[index], float(self.energy[index]), float(self.cycles[index]), proven=True)
            for index in self.known
        ]
        return enumerated_front(metrics, points)

    @property
    def known(self) -> NDArray[np.intp]:
        """Mappings whose true cycles are known, in the order of the space."""
        return np.flatnonzero(np.isfinite(self.cycles))

    def _look_at(self, indices: Sequence[int] | NDArray[np.intp]) -> None:
        """Know the true cycles of these mappings."""
        missing = [int(index) for index in indices if not np.isfinite(self.cycles[index])]
        if missing:
            evaluation = self._evaluate([self.designs[index] for index in missing])
            self.cycles[missing] = evaluation.layer_cycles[:, 0]

    def _evaluate(self, designs: Sequence[Architecture]) -> Evaluation:
        return evaluate_units([Unit(design, self.network, self.layer) for design in designs], (self.point,))


def _designs(architecture: Architecture, mappings: Sequence[PlanarMapping]) -> list[Architecture]:
    """The architecture with every mapping fixed; each hardware is built once."""
    sizes = [mapping.parameters if isinstance(mapping, HardwareMapping) else () for mapping in mappings]
    built = {parameters: resized(architecture, parameters) for parameters in dict.fromkeys(sizes)}
    return [
        PlanarMapping.applied_to(mapping, built[parameters])
        for mapping, parameters in zip(mappings, sizes, strict=True)
    ]


def _without_conflicts(architecture: Architecture) -> Architecture:
    _, flow = architecture.require_accelerator()
    return replace(architecture, dataflow=replace(flow, bank_contention="none"))
