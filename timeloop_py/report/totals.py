"""Sums over layers: what a network or a group of layers takes, from one row per layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require

if TYPE_CHECKING:
    import pandas as pd

POINT = ("weight_density", "activation_density")
#: What a whole network is called where layers stand in the same column.
ALL_LAYERS = "all"


def by_network(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each network, in order of first appearance."""
    return {str(network): frame[frame["network"] == network] for network in frame["network"].unique()}


def summed(frame: pd.DataFrame, keys: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Sums of metrics over the rows that share `keys`; unknown where one of them is unknown (a layer left out)."""
    groups = frame.groupby(list(keys), sort=False)[list(metrics)]
    incomplete = groups.count().lt(groups.size(), axis=0)
    return groups.sum().mask(incomplete).reset_index()


def network_totals(results: pd.DataFrame, metrics: Sequence[str], column: str = "architecture") -> pd.DataFrame:
    """Sums of additive metrics over the layers of each network.

    Parameters
    ----------
    results : DataFrame
        One row per design, network, layer and density point.
    metrics : sequence of str
        Additive columns, such as ``cycles`` and ``energy_pj``.
    column : str
        The column that tells designs apart.

    Returns
    -------
    DataFrame
        Columns `column`, ``network``, ``weight_density``, ``activation_density`` and the metrics, in order of first
        appearance.

    Raises
    ------
    ValueError
        Where a column is missing, or the layers of a network were not all evaluated at the same points (their sum
        would compare different work).
    """
    keys = [column, "network", *POINT]
    require(results, [*keys, "layer", *metrics])
    groups = results.groupby(keys, sort=False)
    layers = groups["layer"].nunique().groupby(level=[column, "network"], sort=False).agg(["min", "max"])
    uneven = layers.index[layers["min"] != layers["max"]]
    if len(uneven) > 0:
        raise ValueError(f"{' on '.join(uneven[0])}: not every layer was evaluated at every density point")
    return summed(results, keys, metrics)


def layer_totals(
    results: pd.DataFrame,
    sums: Sequence[str],
    cycle_weighted: Sequence[str] = (),
    column: str = "architecture",
    group: Callable[[str], str] | None = None,
) -> pd.DataFrame:
    """Sums per layer, or per group of layers.

    Parameters
    ----------
    results : DataFrame
        One row per design, network and layer, at one density point (each layer may have its own).
    sums : sequence of str
        Additive columns.
    cycle_weighted : sequence of str
        Columns that are averages over time (``utilization``): averaged with ``cycles`` as weights.
    column : str
        The column that tells designs apart.
    group : callable, optional
        From a layer's name to the name it is summed under (an inception module); default: each layer by itself.

    Returns
    -------
    DataFrame
        Columns `column`, ``network``, ``layer`` and the metrics, in order of first appearance.

    Raises
    ------
    ValueError
        Where a column is missing, or a layer stands there twice (a sweep: choose one point first).
    """
    keys = [column, "network", "layer"]
    weights = ["cycles"] if cycle_weighted and "cycles" not in sums else []
    require(results, [*keys, *sums, *cycle_weighted, *weights])
    repeated = results.duplicated(keys)
    if repeated.any():
        design, network, layer = results.loc[repeated, keys].iloc[0]
        raise ValueError(f"{design} has several rows for layer {layer} of {network}: choose one density point first")
    frame = results[[*keys, *sums, *weights, *cycle_weighted]].copy()
    for name in cycle_weighted:
        frame[name] = frame[name] * frame["cycles"]
    if group is not None:
        frame["layer"] = frame["layer"].map(group)
    totals = summed(frame, keys, [name for name in frame.columns if name not in keys])
    for name in cycle_weighted:
        totals[name] = totals[name] / totals["cycles"]
    return totals.drop(columns=weights)
