"""Figures 7a, 8 and 9 and section VI-C: cycles and utilization."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.scnn.runs import NETWORKS, PE_GRANULARITIES, Measure, Runs, sweep_points
from timeloop_py.explore.crossover import Metric, crossovers_on_path

if TYPE_CHECKING:
    import pandas as pd

#: The last two inception modules, of which the text of section VI-B speaks.
LATE_MODULES = ("inception_5a", "inception_5b")


def overtaking_density(runs: Runs, other: str, metric: Metric) -> float:
    """The highest density, weights and activations alike, below which SCNN beats another design on Figure 7's network.

    NaN where the two never change order.
    """
    designs = runs.sweep_designs
    found = crossovers_on_path(designs["scnn"], designs[other], runs.sweep_network, sweep_points(), metric)
    densest = next(found, None)
    return math.nan if densest is None else densest.weight_density


def _speedup_at(density: float) -> Measure:
    def measure(runs: Runs) -> Measured:
        cycles = runs.sweep[runs.sweep["weight_density"] == density].set_index("architecture")["cycles"]
        return Measured(float(cycles["dcnn"] / cycles["scnn"]), _FIGURE_7)

    return measure


_FIGURE_7 = "57 convolutions of GoogLeNet, no barrier: the figure is from the paper's analytical model"


def _crossover(runs: Runs) -> Measured:
    return Measured(overtaking_density(runs, "dcnn", "cycles"), f"solved to 1e-9; {_FIGURE_7}")


def speedup(runs: Runs, network: str) -> float:
    """DCNN's cycles over SCNN's, whole network."""
    total = runs.table("cycles", network).sum()
    return float(total["dcnn"] / total["scnn"])


def _network_speedup(network: str) -> Measure:
    def measure(runs: Runs) -> Measured:
        table = runs.table("cycles", network)
        layers = table["dcnn"] / table["scnn"]
        return Measured(speedup(runs, network), f"total cycles; mean over layers {layers.mean():.2f}")

    return measure


def _average_speedup(runs: Runs) -> Measured:
    values = {network: speedup(runs, network) for network in NETWORKS}
    shown = ", ".join(f"{network} {value:.2f}" for network, value in values.items())
    return Measured(sum(values.values()) / len(values), f"plain mean of {shown}")


def _oracle_holds(runs: Runs) -> Measured:
    slowest = max(float((rows["oracle_cycles"] / rows["cycles"]).max()) for rows in map(runs.of_design, NETWORKS))
    return Measured(slowest <= 1, f"at the closest layer the oracle takes {slowest:.2f} of SCNN's cycles")


def modules(runs: Runs) -> pd.DataFrame:
    """SCNN's cycles and the oracle's by inception module; their ratio is the utilization."""
    rows = runs.of_design("GoogLeNet")
    by_module = rows.groupby(rows.index.str.split("/").str[0], sort=False)
    return by_module[["cycles", "oracle_cycles"]].sum()


def _oracle_gap(runs: Runs) -> Measured:
    table = modules(runs)
    gap = table["cycles"] / table["oracle_cycles"]
    early, late = float(gap["inception_3a"]), float(gap["inception_5b"])
    return Measured(late > early, f"SCNN takes {early:.2f} times the oracle's cycles in IC_3a, {late:.2f} in IC_5b")


def _late_utilization(runs: Runs) -> Measured:
    late = modules(runs).loc[list(LATE_MODULES)].sum()
    layers = runs.of_design("GoogLeNet")
    mean = layers.loc[[name.startswith(LATE_MODULES) for name in layers.index], "utilization"].mean()
    return Measured(
        float(late["oracle_cycles"] / late["cycles"]), f"over both modules; mean over their layers {mean:.3f}"
    )


# -- section VI-C --------------------------------------------------------------------------------------------

_SHARES = ("useful", "out_of_range", "fragmentation", "barrier", "bank_stalls", "idle_pes")


def granularity_table(runs: Runs) -> pd.DataFrame:
    """Section VI-C: one row per number of PEs, GoogLeNet in total.

    ``speedup`` over 4 PEs. Shares of the multiplier slots, and utilization by four definitions: ``utilization_network``
    (products of non-zeros over all slots), ``utilization_layers`` (its mean over layers), ``utilization_busy`` (over
    the slots of PEs while they work: what fragmentation alone leaves), ``utilization_busy_layers``.
    """
    import pandas as pd

    frame = runs.granularities
    rows = []
    for pes, ((columns, height), (weights, activations)) in PE_GRANULARITIES.items():
        layers = frame[frame["pes"] == pes]
        cycles = layers["cycles"]
        mean = {name: float((layers[f"{name}_share"] * cycles).sum() / cycles.sum()) for name in _SHARES}
        per_layer = layers["useful_share"] + layers["out_of_range_share"]
        working = mean["useful"] + mean["out_of_range"]
        rows.append(
            {
                "pes": pes,
                "pe_grid": f"{columns} x {height}",
                "multiply_array": f"{weights} x {activations}",
                "cycles": float(cycles.sum()),
                **{f"{name}_share": value for name, value in mean.items()},
                "utilization_network": working,
                "utilization_layers": float(per_layer.mean()),
                "utilization_busy": working / (working + mean["fragmentation"]),
                "utilization_busy_layers": float((per_layer / (per_layer + layers["fragmentation_share"])).mean()),
            }
        )
    table = pd.DataFrame(rows)
    table.insert(4, "speedup", table["cycles"].iloc[-1] / table["cycles"])
    return table


def _granularity(runs: Runs, pes: int, column: str) -> float:
    return float(granularity_table(runs).set_index("pes")[column].loc[pes])


def _granularity_speedup(runs: Runs) -> Measured:
    barrier = {pes: _granularity(runs, pes, "barrier_share") for pes in (64, 4)}
    of_pes = runs.granularities_with_banks.groupby("pes")["cycles"].sum()
    note = (
        f"slots lost at barriers: {barrier[64]:.1%} with 64 PEs, {barrier[4]:.1%} with 4; without bank conflicts, "
        f"{of_pes[4] / of_pes[64]:.2f} with sums interleaved over the banks"
    )
    return Measured(_granularity(runs, 64, "speedup"), note)


_DEFINITIONS = {
    "all slots": "utilization_network",
    "mean of layers": "utilization_layers",
    "mean of layers while working": "utilization_busy_layers",
}


def _math_utilization(pes: int) -> Measure:
    def measure(runs: Runs) -> Measured:
        others = ", ".join(f"{name} {_granularity(runs, pes, column):.2f}" for name, column in _DEFINITIONS.items())
        note = f"slots of PEs while they work; {others}; the paper defines none"
        return Measured(_granularity(runs, pes, "utilization_busy"), note)

    return measure


MEASURES: Mapping[str, Measure] = {
    "F7a-dense": _speedup_at(1.0),
    "F7a-crossover": _crossover,
    "F7a-sparse": _speedup_at(0.1),
    "F8-alexnet": _network_speedup("AlexNet"),
    "F8-googlenet": _network_speedup("GoogLeNet"),
    "F8-vgg": _network_speedup("VGGNet"),
    "F8-average": _average_speedup,
    "F8-oracle": _oracle_holds,
    "F8-oracle-gap": _oracle_gap,
    "F9-late-utilisation": _late_utilization,
    "S6C-speedup": _granularity_speedup,
    "S6C-utilisation-64": _math_utilization(64),
    "S6C-utilisation-4": _math_utilization(4),
}
