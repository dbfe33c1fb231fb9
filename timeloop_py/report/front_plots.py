"""Pareto fronts of mappings: what one metric costs in the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from timeloop_py.report.columns import energy_scale, quantity, require
from timeloop_py.report.style import TWO_COLUMNS_IN, house_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_PER_ROW = 3
_PANEL_IN = 2.0


@house_style()
def pareto_fronts(points: pd.DataFrame, *, x: str, y: str, best: pd.DataFrame, best_label: str) -> Figure:
    """One panel per layer: its front as a staircase, and the mapping that the search chose as a star.

    Left of and below a staircase nothing exists. Where a front is not whole, the points that are not proven are hollow.

    Parameters
    ----------
    points : DataFrame
        Columns ``architecture``, ``network``, ``layer``, `x`, `y` and ``proven_optimal``; a row per point of a front.
    x, y : str
        Columns of the metrics, less is better.
    best : DataFrame
        The chosen mappings: a row per layer with the same columns.
    best_label : str
        What the star is called.

    Raises ValueError where a column is missing or there are no points.
    """
    from matplotlib.figure import Figure

    keys = ["architecture", "network", "layer"]
    require(points, [*keys, x, y, "proven_optimal"])
    groups = list(points.groupby(keys, sort=False))
    columns = min(_PER_ROW, len(groups))
    rows = math.ceil(len(groups) / columns)
    figure = Figure(
        figsize=(max(3.4, TWO_COLUMNS_IN * columns / _PER_ROW), _PANEL_IN * rows + 0.4), layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    one_design = len(points[["architecture", "network"]].drop_duplicates()) == 1
    for ax, (key, front) in zip(axes.flat, groups, strict=False):
        chosen = best[(best[keys] == list(key)).all(axis=1)]
        _panel(ax, front, chosen, x, y)
        ax.set_title(str(key[2]) if one_design else f"{key[2]}, {key[0]}")
    for ax in list(axes.flat)[len(groups) :]:
        ax.set_visible(False)
    figure.legend(handles=_handles(points, best_label), loc="outside upper center", ncols=3)
    return figure


def _panel(ax: Axes, front: pd.DataFrame, chosen: pd.DataFrame, x: str, y: str) -> None:
    x_scale, x_label = _scaled(x, float(front[x].max()))
    y_scale, y_label = _scaled(y, float(front[y].max()))
    ordered = front.sort_values(x)
    ax.step(ordered[x] / x_scale, ordered[y] / y_scale, where="post", color="#0b5a9a", linewidth=1.0, zorder=2)
    for proven, fill in ((True, "#0b5a9a"), (False, "white")):
        some = ordered[ordered["proven_optimal"].astype(bool) == proven]
        ax.plot(
            some[x] / x_scale,
            some[y] / y_scale,
            linestyle="none",
            marker="o",
            color="#0b5a9a",
            markerfacecolor=fill,
            zorder=3,
        )
    (star,) = ax.plot(chosen[x] / x_scale, chosen[y] / y_scale, zorder=4)
    _as_star(star)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.margins(0.08)


def _as_star(line: Line2D) -> None:
    line.set(
        linestyle="none",
        marker="*",
        markersize=9,
        markerfacecolor="#e8ab3f",
        markeredgecolor="black",
        markeredgewidth=0.8,
    )


def _scaled(column: str, largest: float) -> tuple[float, str]:
    """A divisor and a label that keep the numbers at the axis short."""
    named = quantity(column)
    if named.unit == "pJ":
        divisor, unit = energy_scale(largest)
        return divisor, f"{named.name} [{unit}]"
    power = 3 * max(0, int(math.log10(largest)) // 3) if largest > 0 else 0
    factor = f"10$^{{{power}}}$ " if power else ""
    unit = f"{factor}{named.unit}".strip()
    return 10.0**power, f"{named.name} [{unit}]" if unit else named.name


def _handles(points: pd.DataFrame, best_label: str) -> list[Line2D]:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color="#0b5a9a", marker="o", label="Pareto front")]
    if not points["proven_optimal"].astype(bool).all():
        handles.append(Line2D([], [], color="#0b5a9a", marker="o", markerfacecolor="white", label="not proven"))
    star = Line2D([], [], label=best_label)
    _as_star(star)
    return [*handles, star]
