"""One figure for a comparison of everything: performance and energy of all designs on all networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.style import TWO_COLUMNS_IN, Designs, SeriesStyle, house_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = ("network", "zeros", "architecture", "speedup", "energy_gain", "area_mm2")


@house_style()
def performance_and_energy(table: pd.DataFrame, *, baseline: str, labels: Mapping[str, str] | None = None) -> Figure:
    """Speed-up (top) and energy gain (below) over the baseline per network, a marker for every design.

    A filled marker is the network with its zeros, the end of the line above or below it the same network without. The
    legend gives the area of each design. Designs without numbers on a network have no marker there; those that leave
    layers out (column ``layers_left_out``, where there is one) have a star in the legend, which a line below explains.

    Parameters
    ----------
    table : DataFrame
        One row per network, zeros (``own``, ``none``) and architecture.
    baseline : str
        The design at 1; it has no marker.

    Raises
    ------
    ValueError
        Where columns are missing, or no design is left to draw.
    """
    from matplotlib.figure import Figure

    require(table, _COLUMNS)
    designs = Designs.of(table, "architecture", baseline, labels)
    others = designs.names[1:]
    if not others:
        raise ValueError("no design beside the baseline")
    networks = list(dict.fromkeys(table["network"]))
    figure = Figure(figsize=(TWO_COLUMNS_IN, 4.6), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, column, title in zip(
        axes, ("speedup", "energy_gain"), ("Speed-up over {}", "Energy gain over {}"), strict=True
    ):
        for place, design in enumerate(others):
            rows = table[table["architecture"] == design]
            offset = (place + 0.5) / len(others) * 0.8 - 0.4
            _draw(axis, rows, networks, column, offset, designs.styles[design], design)
        axis.axhline(1.0, color="#1c1c1c", linewidth=0.8)
        axis.set_yscale("log", base=2)
        axis.set_ylabel(title.format(designs.label(baseline)))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        for edge in range(1, len(networks)):
            axis.axvline(edge - 0.5, color="#dddddd", linewidth=0.5)
    axes[-1].set_xticks(range(len(networks)), networks)
    handles, names = axes[0].get_legend_handles_labels()
    areas = table.drop_duplicates("architecture").set_index("architecture")["area_mm2"]
    partial = _partial(table)
    named = [f"{designs.label(name)}{'*' * (name in partial)}, {areas[name]:.1f} mm²" for name in names]
    figure.legend(handles, named, loc="outside upper center", ncols=4)
    explained = "Markers: networks with their zeros. Dashes: the same without zeros."
    starred = f" * Only the layers that it runs, in {designs.label(baseline)} too." if partial & set(names) else ""
    figure.supxlabel(explained + starred, fontsize="small")
    return figure


def _partial(table: pd.DataFrame) -> set[str]:
    """Designs that leave layers of a network out which they have numbers on."""
    if "layers_left_out" not in table:
        return set()
    return set(table.loc[(table["layers_left_out"] > 0) & (table["speedup"] > 0), "architecture"])


def _draw(
    axis: Axes, rows: pd.DataFrame, networks: list[str], column: str, offset: float, style: SeriesStyle, label: str
) -> None:
    """Markers of one design, beside those of the others."""
    own, dense = (rows[rows["zeros"] == zeros].set_index("network")[column] for zeros in ("own", "none"))
    kept = [network for network in networks if network in own.index and own[network] > 0]
    places = [networks.index(network) + offset for network in kept]
    for place, network in zip(places, kept, strict=True):
        if network in dense.index and dense[network] > 0:
            axis.plot([place] * 2, [dense[network], own[network]], color=style.color, linewidth=1.0)
            axis.plot([place], [dense[network]], marker="_", color=style.color, markersize=4)
    values = [own[network] for network in kept]
    axis.plot(places, values, marker=style.marker, color=style.color, linestyle="none", label=label)
