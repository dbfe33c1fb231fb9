"""Which design wins where: by layer, over whole networks, at every density point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.totals import ALL_LAYERS, POINT, summed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

METRICS = ("cycles", "energy_pj", "edp_pj_cycles")
#: Relative difference below which two designs tie; the one that stands first in the frame is named.
TIE = 1e-9


def winners(results: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """The best design per network, layer (``all``: the whole network), density point and metric.

    ``results`` holds one row per design, network, layer and point. Gives a row with the columns ``network, layer,
    weight_density, activation_density, metric, winner, runner_up, advantage``: the runner-up's value over the
    winner's. Where only one design has a result there is no row; a design that leaves layers of a network out has none
    for the network. The energy-delay product of a network is its energy times its cycles.
    """
    import pandas as pd

    keys = ["architecture", "network", "layer", *POINT]
    layers = results[[*keys, "cycles", "energy_pj"]]
    networks = summed(layers, ["architecture", "network", *POINT], ["cycles", "energy_pj"])
    frame = pd.concat([networks.assign(layer=ALL_LAYERS), layers], ignore_index=True).dropna(subset=["cycles"])
    frame["edp_pj_cycles"] = frame["cycles"] * frame["energy_pj"]
    places = ["network", "layer", *POINT]
    designs = list(results["architecture"].unique())
    tables = [
        _ranked(frame.pivot_table(values=metric, index=places, columns="architecture", sort=False)[designs], metric)
        for metric in metrics
    ]
    order = {
        place: rank for rank, place in enumerate(frame[places].drop_duplicates().itertuples(index=False, name=None))
    }
    ranked = pd.concat(tables).reset_index()
    ranks = [order[place] for place in ranked[places].itertuples(index=False, name=None)]
    ranked = ranked.assign(_rank=ranks).sort_values("_rank", kind="stable", ignore_index=True)
    return ranked[[*places, "metric", "winner", "runner_up", "advantage"]]


def _ranked(values: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Winner and runner-up of every row of a table (places x designs); rows of one design are left out."""
    import numpy as np

    values = values[values.notna().sum(axis=1) > 1]
    names = values.columns.to_numpy()
    costs = np.where(values.isna(), np.inf, values.to_numpy(dtype=float))
    rows = np.arange(len(costs))
    first = _first_lowest(costs)
    best = costs[rows, first]
    costs[rows, first] = np.inf
    second = _first_lowest(costs)
    found = {
        "metric": metric,
        "winner": names[first],
        "runner_up": names[second],
        "advantage": costs[rows, second] / best,
    }
    return values.assign(**found)[list(found)]


def _first_lowest(costs: np.ndarray) -> np.ndarray:
    """Column of the lowest cost per row, the first of those that tie."""
    lowest: np.ndarray = (costs <= costs.min(axis=1, keepdims=True) * (1 + TIE)).argmax(axis=1)
    return lowest
