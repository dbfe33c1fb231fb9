"""One figure for a comparison of everything: performance and energy of all designs on all networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.style import TWO_COLUMNS_IN, house_style, series_styles

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = ("network", "zeros", "architecture", "speedup", "energy_gain", "area_mm2")


@house_style()
def performance_and_energy(
    table: pd.DataFrame, *, baseline: str, labels: Mapping[str, str] | None = None
) -> Figure:
    """Speed-up (top) and energy gain (below) over the baseline per network, a marker for every design.

    A filled marker is the network with its zeros, the end of the line above or below it the same network without. The
    legend gives the area of each design. Designs without numbers on a network have no marker there.

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
    designs = [name for name in dict.fromkeys(table["architecture"]) if name != baseline]
    if not designs:
        raise ValueError("no design beside the baseline")
    networks = list(dict.fromkeys(table["network"]))
    figure = Figure(figsize=(TWO_COLUMNS_IN, 4.6), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    styles = series_styles(len(designs) + 1)[1:]
    for axis, column, title in zip(
        axes, ("speedup", "energy_gain"), ("Speed-up over {}", "Energy gain over {}"), strict=True
    ):
        for place, (design, style) in enumerate(zip(designs, styles, strict=True)):
            _draw(axis, table[table["architecture"] == design], networks, column, place, len(designs), style)
        axis.axhline(1.0, color="#1c1c1c", linewidth=0.8)
        axis.set_yscale("log", base=2)
        axis.set_ylabel(title.format((labels or {}).get(baseline, baseline)))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        for edge in range(1, len(networks)):
            axis.axvline(edge - 0.5, color="#dddddd", linewidth=0.5)
    axes[-1].set_xticks(range(len(networks)), networks)
    handles, names = axes[0].get_legend_handles_labels()
    areas = table.drop_duplicates("architecture").set_index("architecture")["area_mm2"]
    named = [f"{(labels or {}).get(name, name)}, {areas[name]:.1f} mm²" for name in names]
    figure.legend(handles, named, loc="outside upper center", ncols=4)
    return figure


def _draw(
    axis: Axes, rows: pd.DataFrame, networks: list[str], column: str, place: int, count: int, style: object
) -> None:
    """Markers of one design, side by side with those of the others."""
    own = rows[rows["zeros"] == "own"].set_index("network")[column]
    dense = rows[rows["zeros"] == "none"].set_index("network")[column]
    offset = (place + 0.5) / count * 0.8 - 0.4
    x = [index + offset for index, network in enumerate(networks) if network in own.index and own[network] > 0]
    kept = [network for network in networks if network in own.index and own[network] > 0]
    color, marker = getattr(style, "color"), getattr(style, "marker")  # noqa: B009
    for position, network in zip(x, kept, strict=True):
        if network in dense.index and dense[network] > 0:
            axis.plot([position] * 2, [dense[network], own[network]], color=color, linewidth=1.0)
            axis.plot([position], [dense[network]], marker="_", color=color, markersize=4)
    label = str(rows["architecture"].iloc[0])
    axis.plot(x, [own[network] for network in kept], marker=marker, color=color, linestyle="none", label=label)
