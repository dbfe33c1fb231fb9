"""How much of a point the simulator executes: how many seeds, and of layers that take too long a slice.

Where banks conflict the simulator goes through every step, in time proportional to multiplier slots. Such runs are
kept short; which layers are sliced is decided by the model's expectation, before anything is simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from timeloop_py.explore.validation_grid import ValidationPoint
from timeloop_py.model.evaluate import Evaluation, Unit, evaluate_units, network_of
from timeloop_py.simulator.api import simulate
from timeloop_py.simulator.result import SimulationResult
from timeloop_py.specs.layer import Layer

#: Output channels that a sliced layer keeps at least, two of the paper's groups, and as many input channels.
LEAST_CHANNELS = 16
#: Causes of slots in which a step is issued.
_ISSUED = ("useful", "out_of_range", "zero_operands", "placeholders", "fragmentation")


@dataclass(frozen=True)
class Effort:
    """Bounds of what is simulated.

    ``slots`` and ``cycles`` of a run whose steps are gone through: multiplier slots of its steps, and cycles without
    conflicts. ``slices``: whether layers that exceed them are cut (:func:`sliced`). ``seeds``: at least and at most so
    many; within that as many as bring the standard error of the mean to ``standard_error_percent``.
    """

    slots: float = 2e6
    cycles: float = 20e3
    slices: bool = True
    seeds: tuple[int, int] = (5, 24)
    standard_error_percent: float = 0.9


@dataclass(frozen=True)
class Run:
    """What the simulator gave for a point: ``cycles`` of every seed, mean ``shares`` of the slots by cause."""

    cycles: NDArray[np.float64]
    shares: dict[str, float]

    @classmethod
    def of(cls, results: Sequence[SimulationResult]) -> Run:
        shares = [result.slots.shares() for result in results]
        return cls(
            np.array([result.cycles for result in results], dtype=float),
            {cause: float(np.mean([share[cause] for share in shares])) for cause in shares[0]},
        )

    @property
    def mean(self) -> float:
        """Cycles, the mean over seeds."""
        return float(self.cycles.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean, in cycles; NaN for one seed."""
        count = len(self.cycles)
        return float(self.cycles.std(ddof=1)) / count**0.5 if count > 1 else float("nan")


def executed(point: ValidationPoint, effort: Effort, first_seed: int = 0) -> Run:
    """Run a point on the simulator, with as many seeds as the effort asks for."""
    machine, results = point.machine(), []
    fewest, most = effort.seeds
    for seed in range(first_seed, first_seed + most):
        results.append(simulate(machine, point.layer, seed=seed, verify=False))
        run = Run.of(results)
        if len(results) >= fewest and 100 * run.standard_error <= effort.standard_error_percent * run.mean:
            break
    return run


def modelled(points: Sequence[ValidationPoint]) -> Evaluation:
    """The model of all points at once."""
    return evaluate_units([Unit(point.machine(), network_of(point.layer), point.layer) for point in points])


def sliced(points: Sequence[ValidationPoint], effort: Effort) -> list[ValidationPoint]:
    """The points, of layers that take too long only some channels; the same object where it is the whole layer.

    Where banks conflict and a run exceeds ``effort``, output channels are halved, and then input channels, until it
    is short enough or :data:`LEAST_CHANNELS` of both are left. Plane, filter, stride, tiles and vectors stay what they
    are.
    """
    found = list(points)
    long = [place for place, point in enumerate(found) if effort.slices and point.conflicts]
    while long:
        counted = modelled([found[place].without_conflicts() for place in long])
        slots = sum((counted.slots[cause][:, 0] for cause in _ISSUED), np.zeros(len(long)))
        over = (slots > effort.slots) | (counted.layer_cycles[:, 0] > effort.cycles)
        long = [place for place, exceeds in zip(long, over, strict=True) if exceeds]
        thinner = {place: _thinner(found[place].layer) for place in long}
        long = [place for place in long if thinner[place] != found[place].layer]
        for place in long:
            found[place] = replace(found[place], layer=thinner[place])
    return found


def _thinner(layer: Layer) -> Layer:
    """With half of its output channels, else of its input channels, else the same."""
    inputs, outputs = layer.channels_per_group, layer.output_channels_per_group
    if outputs // 2 >= LEAST_CHANNELS:
        return replace(layer, K=layer.groups * (outputs // 2))
    if inputs // 2 >= LEAST_CHANNELS:
        return replace(layer, C=layer.groups * (inputs // 2))
    return layer
