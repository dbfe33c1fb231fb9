"""The Python face of evaluation and exploration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from timeloop_py.explore.runner import Progress, run_sweep
from timeloop_py.explore.sweep import Sweep, density_points
from timeloop_py.model.evaluate import Evaluation, network_of
from timeloop_py.model.evaluate import evaluate as evaluate_points
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    architecture: Architecture,
    network: Network | Layer,
    *,
    weight_density: float | None = None,
    activation_density: float | None = None,
    layer: str | None = None,
) -> Evaluation:
    """Evaluate a network or a layer on an accelerator, at its own densities or at given ones.

    Gives an :class:`Evaluation` (``.cycles``, ``.energy_pj``, ``.area_mm2``, ``.accesses``, ``.binding``,
    ``.to_frame()``, ``.summary()``). SpecError: a density outside (0, 1], a layer that cannot be tiled, a missing
    energy.
    """
    return evaluate_points(architecture, network, density_points(weight_density, activation_density), layer)


def explore(
    architectures: Architecture | Sequence[Architecture],
    networks: Network | Layer | Sequence[Network | Layer],
    *,
    weight_density: Sequence[float] | float | None = None,
    activation_density: Sequence[float] | float | None = None,
    grid: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Evaluate architectures on networks over density points.

    Parameters
    ----------
    weight_density, activation_density
        Densities, paired; a single value goes with every entry of the other. Left out: each layer's own.
    grid
        Every weight density with every activation density instead of pairs.
    progress
        Called with (jobs done, jobs) as the sweep goes on.

    Gives a tidy frame, one row per architecture, network, layer and point, units in the column names;
    ``frame.attrs["sweep"]`` is the :class:`Sweep`, from which :func:`crossover` solves between the points.
    """
    chosen = (architectures,) if isinstance(architectures, Architecture) else tuple(architectures)
    nets = (networks,) if isinstance(networks, (Network, Layer)) else tuple(networks)
    sweep = Sweep(
        chosen,
        tuple(network_of(net) if isinstance(net, Layer) else net for net in nets),
        density_points(weight_density, activation_density, grid),
    )
    frame = run_sweep(sweep, progress).results
    frame.attrs["sweep"] = sweep
    return frame
