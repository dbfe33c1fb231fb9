"""Latency and energy over density: which design wins where, and where they change order."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.columns import quantity
from timeloop_py.report.density_path import DensityPath, crossings
from timeloop_py.report.style import (
    SMALL_PT,
    Designs,
    Margins,
    house_style,
    panels,
    spread,
)
from timeloop_py.report.totals import POINT, by_network, network_totals

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

#: Curves that reach further apart than this are drawn on a logarithmic axis.
_LOG_RANGE = 8.0
#: Up to so many curves, every pair's crossings are marked and numbered; with more, there is no room.
_FEW_CURVES = 3
_TITLES = {"cycles": "Latency"}
_PANEL_IN = 2.0
#: Long names of designs make the figure wider, not its panels unreadable.
_MIN_PANEL_WIDTH_IN = 1.5


@house_style()
def density_sensitivity(
    results: pd.DataFrame,
    *,
    baseline: str | None = None,
    metrics: Sequence[str] = ("cycles", "energy_pj"),
    labels: Mapping[str, str] | None = None,
    column: str = "architecture",
) -> Figure:
    """Latency and energy over density, in the manner of Figure 7 of the SCNN paper.

    One row of panels per network, one panel per metric: the sum over the layers of the network, relative to the
    baseline at the densest point. A ring marks where two designs change order, with the density there (interpolated
    between the points of the sweep, as the curve is drawn); among more than three curves, only where one crosses the
    baseline, without the number.

    Parameters
    ----------
    results : DataFrame
        One row per design, network, layer and density point (``results.csv``).
    baseline : str, optional
        The design whose densest point is 1; default: the first one.
    metrics : sequence of str
        Additive columns, one panel each.
    labels : mapping, optional
        What designs are called in the figure, in drawing order; default: their names.
    column : str
        The column that tells designs apart.

    Raises
    ------
    ValueError
        Where columns are missing, the baseline is unknown, or the densities do not form one path.
    """
    totals = network_totals(results, metrics, column)
    designs = Designs.of(totals, column, baseline, labels)
    path = DensityPath.of(totals)
    networks = by_network(totals)
    names_in = designs.label_width_in()
    margins = Margins(left=0.68, right=names_in + 0.16, across=names_in + 0.85, top=0.25, bottom=0.64, down=0.95)
    width = max(_MIN_PANEL_WIDTH_IN, margins.panel_width_in(max(len(metrics), 2)))
    figure, axes = panels([[width] * len(metrics)] * len(networks), _PANEL_IN, margins)
    letters = iter(string.ascii_lowercase)
    for row, (network, rows) in zip(axes, networks.items(), strict=True):
        for ax, metric in zip(row, metrics, strict=True):
            title = _TITLES.get(metric, quantity(metric).name)
            letter = f"({next(letters)}) " if len(networks) * len(metrics) > 1 else ""
            ax.set_title(f"{letter}{title}, {network}")
            ax.set_ylabel(f"{title} relative to\n{designs.label(designs.baseline)} at {path.tick_labels[0]}")
            table = rows.pivot(index=list(POINT), columns=column, values=metric).reindex(list(path.points))
            _draw(ax, path, _relative_curves(table, designs), designs)
    return figure


def _relative_curves(table: pd.DataFrame, designs: Designs) -> dict[tuple[str, ...], NDArray[np.float64]]:
    """The columns over the baseline's first value; designs whose curves coincide share one."""
    import numpy as np

    reference = float(table[designs.baseline].to_numpy()[0])
    if not reference > 0:
        raise ValueError(f"the baseline {designs.baseline} has no value above 0 at the densest point")
    curves: dict[tuple[str, ...], NDArray[np.float64]] = {}
    for name in designs.names:
        if name not in table.columns:
            continue
        curve = table[name].to_numpy(dtype=float) / reference
        twins = [key for key, other in curves.items() if np.allclose(curve, other, rtol=1e-9, atol=0, equal_nan=True)]
        if twins:
            curves = {(*key, name) if key == twins[0] else key: other for key, other in curves.items()}
        else:
            curves[(name,)] = curve
    return curves


def _draw(ax: Axes, path: DensityPath, curves: Mapping[tuple[str, ...], NDArray[np.float64]], designs: Designs) -> None:
    import numpy as np

    values = np.concatenate(list(curves.values()))
    lowest, highest = float(np.nanmin(values)), float(np.nanmax(values))
    log = lowest > 0 and highest / lowest > _LOG_RANGE
    _value_axis(ax, lowest, highest, log)
    _density_axis(ax, path)
    for names, curve in curves.items():
        style = designs.styles[names[0]]
        ax.plot(
            path.positions,
            curve,
            color=style.color,
            linestyle=style.dash,
            marker=style.marker,
            markeredgecolor="white",
            markeredgewidth=0.4,
            clip_on=False,
            zorder=3,
        )
    complete = [curve.tolist() for curve in curves.values() if not np.isnan(curve).any()]
    few = len(complete) <= _FEW_CURVES
    found = [
        point
        for index, first in enumerate(complete if few else complete[:1])
        for second in complete[index + 1 :]
        for point in crossings(path.positions, first, second, log)
    ]
    _mark_crossings(ax, found, numbered=few)
    _name_curves(ax, curves, designs, log)


def _value_axis(ax: Axes, lowest: float, highest: float, log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_ylim(lowest / 1.25, highest * 1.25)
    else:
        ax.set_ylim(0, highest * 1.08)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _density_axis(ax: Axes, path: DensityPath) -> None:
    low, high = min(path.positions), max(path.positions)
    pad = 0.03 * (high - low) or 0.05
    ax.set_xlim(high + pad, low - pad)  # densest on the left
    named = path.thinned(14)
    ax.set_xticks([path.positions[i] for i in named], [path.tick_labels[i] for i in named], rotation=90)
    ax.set_xlabel(path.axis_label)


def _mark_crossings(ax: Axes, points: Sequence[tuple[float, float]], numbered: bool) -> None:
    """Rings; their densities alternately above and below, where curves that fall to the right leave room."""
    for index, (density, height) in enumerate(sorted(points, key=lambda point: -point[1])):
        ax.plot(
            density,
            height,
            marker="o",
            markersize=7,
            markerfacecolor="none",
            markeredgecolor="black",
            markeredgewidth=0.7,
            zorder=4,
        )
        if numbered:
            above = index % 2 == 0
            ax.annotate(
                f"{density:.2f}",
                (density, height),
                xytext=(4, 5) if above else (-4, -5),
                textcoords="offset points",
                horizontalalignment="left" if above else "right",
                verticalalignment="bottom" if above else "top",
                fontsize=SMALL_PT,
                zorder=5,
            )


def _name_curves(ax: Axes, curves: Mapping[tuple[str, ...], NDArray[np.float64]], designs: Designs, log: bool) -> None:
    """Names at the sparse end of the curves, moved apart where they would overlap."""
    read = math.log if log else float
    bottom, top = map(read, ax.get_ylim())
    named = sorted(
        ((read(float(curve[-1])) - bottom) / (top - bottom), names)
        for names, curve in curves.items()
        if not math.isnan(curve[-1])
    )
    line = 1.25 * SMALL_PT / (_PANEL_IN * 72)
    places = spread([place for place, _ in named], [line * len(names) for _, names in named], 0, 1)
    for place, (_, names) in zip(places, named, strict=True):
        ax.annotate(
            ",\n".join(designs.label(name) for name in names),
            (1.0, place),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=SMALL_PT,
            color=designs.styles[names[0]].color,
            va="center",
            annotation_clip=False,
        )
