"""Trade-offs: designs as points over two metrics, the Pareto front shaded by a third one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.style import SMALL_PT, Margins, house_style, panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_PANEL_IN = 2.1
#: Ratios that may stand at an axis.
_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.4, 2, 3, 5, 7, 10, 20, 30, 50)
#: Greys of the third metric, dark for small.
_SHADES = ("#111111", "#5a5a5a", "#9a9a9a", "#dcdcdc")


@dataclass(frozen=True)
class Axis:
    """A column and what it is called on an axis."""

    column: str
    label: str


@house_style()
def trade_offs(
    frame: pd.DataFrame,
    *,
    panels_by: str,
    x: Axis,
    y: Axis,
    shade: Axis,
    front: str,
    marked: str,
    marked_label: str,
    shade_edges: Sequence[float],
) -> Figure:
    """One panel per value of a column: all designs as small dots, the front as shaded ones, one design marked.

    Parameters
    ----------
    frame : DataFrame
        One row per panel and design.
    panels_by : str
        The column with the panel of a row.
    x, y, shade : Axis
        The metrics (less is better); `x` and `y` are ratios on logarithmic axes, `shade` fills the points of the front,
        darker for less.
    front, marked : str
        Columns of truth values: on the front, and the design to mark (``marked_label`` names it).
    shade_edges : sequence of float
        The three values of `shade` between its four greys.

    Raises
    ------
    ValueError
        Where a column is missing or the frame has no rows.
    """
    require(frame, [panels_by, x.column, y.column, shade.column, front, marked])
    names = [str(name) for name in frame[panels_by].unique()]
    margins = Margins(left=0.55, right=1.25, top=0.25, bottom=0.5, across=0.35)
    figure, [axes] = panels([[margins.panel_width_in(len(names))] * len(names)], _PANEL_IN, margins)
    for index, (ax, name) in enumerate(zip(axes, names, strict=True)):
        rows = frame[frame[panels_by] == name]
        others, best, chosen = rows[~rows[front]], rows[rows[front]], rows[rows[marked]]
        ax.plot(others[x.column], others[y.column], linestyle="none", marker=".", markersize=1.6, color="#bbbbbb")
        ax.scatter(
            best[x.column],
            best[y.column],
            s=16,
            c=[_SHADES[sum(value > edge for edge in shade_edges)] for value in best[shade.column]],
            edgecolors="black",
            linewidths=0.5,
            zorder=3,
        )
        ax.plot(
            chosen[x.column],
            chosen[y.column],
            linestyle="none",
            marker="*",
            markersize=10,
            markerfacecolor="white",
            markeredgecolor="black",
            markeredgewidth=0.9,
            zorder=4,
        )
        ax.set_title(name)
        ax.set_xlabel(x.label)
        ax.set_xscale("log")
        ax.set_yscale("log")
        for axis in (ax.xaxis, ax.yaxis):
            _plain_ticks(axis)
        if index == 0:
            ax.set_ylabel(y.label)
    _legend(figure, shade, shade_edges, marked_label)
    return figure


def _plain_ticks(axis: object) -> None:
    from matplotlib.axis import Axis as TickAxis
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    assert isinstance(axis, TickAxis)
    axis.set_major_locator(FixedLocator(_TICKS))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend(figure: Figure, shade: Axis, edges: Sequence[float], marked_label: str) -> None:
    from matplotlib.lines import Line2D

    def point(color: str, marker: str = "o", size: float = 4) -> Line2D:
        return Line2D(
            [],
            [],
            linestyle="none",
            marker=marker,
            markersize=size,
            markerfacecolor=color,
            markeredgecolor="black",
            markeredgewidth=0.6,
        )

    names = [f"up to {edges[0]:g}", *(f"{a:g} to {b:g}" for a, b in itertools.pairwise(edges))]
    names.append(f"above {edges[-1]:g}")
    handles = [point("white", "*", 8), *(point(color) for color in _SHADES)]
    handles.append(Line2D([], [], linestyle="none", marker=".", markersize=2.5, color="#bbbbbb"))
    figure.legend(
        handles,
        [marked_label, *names, "dominated"],
        title=f"Front by\n{shade.label}",
        title_fontsize=SMALL_PT,
        alignment="left",
        loc="center right",
        borderaxespad=0.3,
    )
