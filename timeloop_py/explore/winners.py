"""Which design wins where: by layer, over whole networks, at every density point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.totals import ALL_LAYERS, POINT, summed

if TYPE_CHECKING:
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
    designs = list(results["architecture"].unique())
    rows = []
    for place, group in frame.groupby(["network", "layer", *POINT], sort=False):
        if len(group) < 2:
            continue
        values = group.set_index("architecture").reindex(
            [name for name in designs if name in set(group["architecture"])]
        )
        for metric in metrics:
            column = values[metric]
            first = column.index[int((column <= column.min() * (1 + TIE)).to_numpy().argmax())]
            others = column.drop(first)
            second = others.index[int((others <= others.min() * (1 + TIE)).to_numpy().argmax())]
            rows.append((*place, metric, first, second, others[second] / column[first]))
    columns = ["network", "layer", *POINT, "metric", "winner", "runner_up", "advantage"]
    return pd.DataFrame(rows, columns=columns)
