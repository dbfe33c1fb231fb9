"""The plane of weight and activation densities: which of two designs wins where, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from timeloop_py.explore.crossover import Metric, crossovers_on_path
from timeloop_py.explore.sweep import density_points
from timeloop_py.model.capacity import largest_fitting_density
from timeloop_py.model.evaluate import evaluate
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.network import Network

if TYPE_CHECKING:
    import pandas as pd

#: The sparsest density of a frontier's paths.
SPARSEST = 0.02


def density_plane(
    first: Architecture,
    second: Architecture,
    network: Network,
    weight_density: Sequence[float],
    activation_density: Sequence[float],
    metrics: Sequence[Metric] = ("cycles", "energy_pj"),
) -> pd.DataFrame:
    """Two designs at every pair of densities, totals over the network.

    Columns ``weight_density``, ``activation_density`` and, per metric, ``<metric>_first``, ``<metric>_second``,
    ``<metric>_gain`` (the second's over the first's: above 1 the first one wins) and ``<metric>_winner`` (its name,
    empty where they are equal). SpecError: a density outside (0, 1].
    """
    import pandas as pd

    points = density_points(weight_density, activation_density, grid=True)
    evaluation = evaluate([first, second], network, points)
    layers = len(network.layers)
    cycles = evaluation.layer_cycles.reshape(2, layers, -1).sum(axis=1)
    energy = evaluation.layer_energy_pj.reshape(2, layers, -1).sum(axis=1)
    values = {"cycles": cycles, "energy_pj": energy, "edp_pj_cycles": cycles * energy}
    columns: dict[str, object] = {
        "weight_density": [weight for weight, _ in points],
        "activation_density": [activation for _, activation in points],
    }
    for metric in metrics:
        one, other = values[metric]
        columns[f"{metric}_first"], columns[f"{metric}_second"] = one, other
        columns[f"{metric}_gain"] = other / one
        columns[f"{metric}_winner"] = np.select([one < other, one > other], [first.name, second.name], "")
    return pd.DataFrame(columns)


def frontier(
    first: Architecture,
    second: Architecture,
    network: Network,
    weight_density: Sequence[float],
    metric: Metric = "cycles",
) -> pd.DataFrame:
    """The line in the plane where the order of two designs changes: per weight density every change along activations.

    Columns ``weight_density``, ``activation_density`` (bracketed to 1e-9), ``better_below``, ``kind`` (``crossing``, or
    ``jump`` where a metric jumps over the other). No row for a weight density at which one design always wins.
    """
    import pandas as pd

    rows = [
        change
        for weight in weight_density
        for change in crossovers_on_path(first, second, network, ((weight, 1.0), (weight, SPARSEST)), metric)
    ]
    columns = ["weight_density", "activation_density", "better_below", "kind"]
    return pd.DataFrame([{name: getattr(row, name) for name in columns} for row in rows], columns=columns)


@dataclass(frozen=True)
class Spill:
    """A layer spills to DRAM above this activation density (its output as dense as its input); energy jumps there.

    ``activation_density`` is 1 where it always fits, 0 where it never does.
    """

    network: str
    layer: str
    activation_density: float


def spill_onsets(architecture: Architecture, network: Network) -> tuple[Spill, ...]:
    """Where each layer of a network starts to spill as its activations get denser: the jumps of its energy."""
    return tuple(
        Spill(network.name, layer.name, largest_fitting_density(architecture, layer)) for layer in network.layers
    )
