"""Figures 7b and 10: energy, and what it would be at other energies per event.

Energy is linear in the energies per event, so one evaluation gives it for every table: :class:`PricedEnergies` keeps
the parts apart. Calibration and sensitivities use it; the ledger's own numbers come from the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from timeloop_py.claims.ledger import Measured, Value
from timeloop_py.claims.scnn.performance import overtaking_density
from timeloop_py.claims.scnn.runs import DESIGNS, NETWORKS, Measure, Runs, sweep_points
from timeloop_py.model.batch import Array
from timeloop_py.model.evaluate import Evaluation, evaluate

#: Step of the density grid between whose points a crossing is interpolated (to about 1e-4).
_STEP = 0.02


@dataclass(frozen=True)
class Energies:
    """Energies in pJ: per network and design over the layers, and per design over the densities of Figure 7."""

    layers: Mapping[tuple[str, str], Array]
    densities: Array
    sweep: Mapping[str, Array]

    def mean_gain(self, design: str) -> float:
        """DCNN's energy over a design's: mean of the three networks, each in total."""
        return float(np.mean([self.layers[n, "dcnn"].sum() / self.layers[n, design].sum() for n in NETWORKS]))

    def gain_per_layer(self, other: str) -> Array:
        """Another design's energy over SCNN's, all layers."""
        return np.concatenate([self.layers[n, other] / self.layers[n, "scnn"] for n in NETWORKS])

    def layer_range(self, other: str) -> tuple[float, float]:
        """The smallest and the largest gain of a layer."""
        gains = self.gain_per_layer(other)
        return float(gains.min()), float(gains.max())

    def crossover(self, other: str) -> float:
        """The highest density at which SCNN takes the energy of another design, linear between the points.

        Where SCNN is cheaper from the start, 1 and more: the line through the first two points.
        """
        excess = self.sweep["scnn"] / self.sweep[other] - 1
        below = np.flatnonzero(excess <= 0)
        if below.size == 0:
            return float(self.densities[-1])
        last = max(int(below[0]), 1)
        pair = slice(last - 1, last + 1)
        (x0, x1), (y0, y1) = self.densities[pair], excess[pair]
        return float(x0 + (x1 - x0) * y0 / (y0 - y1))

    def gated_always_cheaper(self) -> bool:
        """DCNN-opt below DCNN at every density below 1."""
        return bool((self.sweep["dcnn_opt"] < self.sweep["dcnn"])[self.densities < 1].all())


#: The energy claims as functions of energies alone.
CLAIMS: Mapping[str, Callable[[Energies], Value]] = {
    "F7b-opt-always": Energies.gated_always_cheaper,
    "F7b-crossover-dcnn": lambda energies: energies.crossover("dcnn"),
    "F7b-crossover-opt": lambda energies: energies.crossover("dcnn_opt"),
    "F10-opt": lambda energies: energies.mean_gain("dcnn_opt"),
    "F10-scnn": lambda energies: energies.mean_gain("scnn"),
    "F10-scnn-range": lambda energies: energies.layer_range("dcnn"),
    "F10-scnn-opt-range": lambda energies: energies.layer_range("dcnn_opt"),
}


class PricedEnergies:
    """The energies of Figures 7b and 10 by event, for any energies per event.

    ``events`` are those that happen, by name (``multiplier.multiply``); ``of`` scales them.
    """

    def __init__(self, runs: Runs) -> None:
        grid = evaluate(list(runs.sweep_designs.values()), runs.sweep_network, sweep_points(_STEP))
        own, sweep = _energy_by_event(runs.own), _energy_by_event(grid)
        self.events = tuple(sorted({*own, *sweep}))
        points = grid.densities.weight.shape[1]
        self._densities = grid.densities.weight[0]
        rows = {
            (network, design): [
                row
                for row, unit in enumerate(runs.own.units)
                if (unit.network.name, unit.architecture.name) == (runs.networks[network].name, design)
            ]
            for network in NETWORKS
            for design in DESIGNS
        }
        self._layers = {key: np.stack([own[event][chosen, 0] for event in self.events]) for key, chosen in rows.items()}
        self._sweep = {
            design: np.stack(
                [
                    sum(
                        (sweep[event][row] for row, unit in enumerate(grid.units) if unit.architecture.name == design),
                        np.zeros(points),
                    )
                    for event in self.events
                ]
            )
            for design in DESIGNS
        }

    def of(self, factors: Mapping[str, float]) -> Energies:
        """Energies with the energy of some events multiplied by a factor each."""
        scale = np.array([factors.get(event, 1.0) for event in self.events])
        return Energies(
            {key: scale @ parts for key, parts in self._layers.items()},
            self._densities,
            {design: scale @ parts for design, parts in self._sweep.items()},
        )


def _energy_by_event(evaluation: Evaluation) -> dict[str, Array]:
    """Energy in pJ by event, arrays (units, points)."""
    frame = evaluation.accesses_frame()
    shape = evaluation.densities.weight.shape
    place = {
        (unit.architecture.name, unit.network.name, unit.layer.name): row for row, unit in enumerate(evaluation.units)
    }
    components = {unit.architecture.name: unit.architecture.components for unit in evaluation.units}
    result: dict[str, Array] = {}
    keys = ["architecture", "network", "layer", "level", "tensor", "action"]
    for names, rows in frame.groupby(keys, sort=False):
        design, network, layer, level, _, action = map(str, names)
        event = f"{components[design][level].component_class}.{action}"
        energies = result.setdefault(event, np.zeros(shape))
        energies[place[design, network, layer]] += rows["energy_pj"].to_numpy()
    return result


# -- the ledger ----------------------------------------------------------------------------------------------


def energies_of(runs: Runs) -> Energies:
    """The energies of the runs themselves, at the densities of Figure 7."""
    table = runs.sweep.pivot(index="weight_density", columns="architecture", values="energy_pj")
    table = table.sort_index(ascending=False)
    return Energies(
        {(n, d): runs.table("energy_pj", n)[d].to_numpy() for n in NETWORKS for d in DESIGNS},
        table.index.to_numpy(dtype=float),
        {design: table[design].to_numpy() for design in DESIGNS},
    )


def _named_layers(runs: Runs) -> list[str]:
    return [f"{network} {layer.name}" for network, chosen in runs.networks.items() for layer in chosen.layers]


def _always(runs: Runs) -> Measured:
    sweep = energies_of(runs).sweep
    largest = float((sweep["dcnn_opt"] / sweep["dcnn"])[1:].max())
    return Measured(energies_of(runs).gated_always_cheaper(), f"at most {largest:.3f} of DCNN's energy below density 1")


def _crossover(other: str) -> Measure:
    def measure(runs: Runs) -> Measured:
        energies = energies_of(runs)
        dense = float(energies.sweep["scnn"][0] / energies.sweep[other][0])
        return Measured(
            overtaking_density(runs, other, "energy_pj"), f"at density 1.0 SCNN takes {dense:.2f} times its energy"
        )

    return measure


def _mean_gain(design: str) -> Measure:
    def measure(runs: Runs) -> Measured:
        layers = energies_of(runs).layers
        gains = {n: float(layers[n, "dcnn"].sum() / layers[n, design].sum()) for n in NETWORKS}
        return Measured(energies_of(runs).mean_gain(design), ", ".join(f"{n} {gain:.2f}" for n, gain in gains.items()))

    return measure


def _layer_range(other: str) -> Measure:
    def measure(runs: Runs) -> Measured:
        gains, names = energies_of(runs).gain_per_layer(other), _named_layers(runs)
        note = f"{names[int(gains.argmin())]} to {names[int(gains.argmax())]}, single layers"
        return Measured(energies_of(runs).layer_range(other), note)

    return measure


MEASURES: Mapping[str, Measure] = {
    "F7b-opt-always": _always,
    "F7b-crossover-dcnn": _crossover("dcnn"),
    "F7b-crossover-opt": _crossover("dcnn_opt"),
    "F10-opt": _mean_gain("dcnn_opt"),
    "F10-scnn": _mean_gain("scnn"),
    "F10-scnn-range": _layer_range("dcnn"),
    "F10-scnn-opt-range": _layer_range("dcnn_opt"),
}
