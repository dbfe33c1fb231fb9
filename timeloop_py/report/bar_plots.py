"""Bars: parts of a whole side by side, and values with the range they may lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.style import SMALL_PT, Margins, house_style, panels, part_styles, text_width_in

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_BAR_IN = 0.55
_PANEL_IN = 1.9


@house_style()
def stacked_shares(frame: pd.DataFrame, *, bars: str, parts: Mapping[str, str], bars_label: str, label: str) -> Figure:
    """Columns of a frame that are shares of a whole stacked, one bar per row.

    Parameters
    ----------
    frame : DataFrame
        One row per bar.
    bars : str
        The column with the names of the bars; ``bars_label`` says what they are.
    parts : mapping
        From the columns to stack, bottom first, to what they are called.
    label : str
        What the columns are shares of.

    Raises
    ------
    ValueError
        Where a column is missing or the frame has no rows.
    """
    require(frame, [bars, *parts])
    margins = Margins(left=0.5, right=max(map(text_width_in, parts.values())) + 0.4, top=0.12, bottom=0.5)
    figure, [[ax]] = panels([[_BAR_IN * len(frame)]], _PANEL_IN, margins)
    places = range(len(frame))
    bottom = [0.0] * len(frame)
    for (column, name), style in zip(parts.items(), part_styles(len(parts)), strict=True):
        heights = [float(value) for value in frame[column]]
        ax.bar(
            places,
            heights,
            0.75,
            bottom,
            label=name,
            color=style.color,
            hatch=style.hatch,
            edgecolor=style.edge,
            linewidth=0.3,
        )
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    ax.set_xticks(places, [str(name) for name in frame[bars]])
    ax.tick_params(axis="x", length=0)
    ax.set_xlabel(bars_label)
    ax.set_ylabel(label)
    ax.set_ylim(0, 1)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True, borderaxespad=0.2)
    return figure


@house_style()
def ranged_bars(
    frame: pd.DataFrame,
    *,
    bars: str,
    low: str,
    value: str,
    high: str,
    label: str,
    lines: Mapping[str, float],
    names: Sequence[str],
) -> Figure:
    """A bar per row up to its value, a whisker from its low to its high, on a logarithmic axis; levels as lines.

    Parameters
    ----------
    frame : DataFrame
        One row per bar.
    bars, low, value, high : str
        Columns: the bar's name, and its numbers (above 0).
    label : str
        What the numbers are.
    lines : mapping
        From a name to a level to compare with.
    names : sequence of str
        What the bars, and what the whiskers are.

    Raises
    ------
    ValueError
        Where a column is missing or the frame has no rows.
    """
    require(frame, [bars, low, value, high])
    margins = Margins(left=0.75, right=max(map(text_width_in, lines)) + 0.2, top=0.3, bottom=0.65)
    figure, [[ax]] = panels([[0.4 * len(frame)]], _PANEL_IN, margins)
    places = range(len(frame))
    style = part_styles(3)[2]
    ax.bar(places, frame[value], 0.7, color=style.color, linewidth=0, label=names[0])
    ax.vlines(places, frame[low], frame[high], colors="black", linewidths=0.9, label=names[1], zorder=3)
    for column in (low, high):
        ax.plot(places, frame[column], linestyle="none", marker="_", markersize=6, color="black", zorder=3)
    for name, level in lines.items():
        ax.axhline(level, color="black", linewidth=0.7, linestyle=(0, (4.0, 2.0)))
        ax.annotate(
            name,
            (1.0, level),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL_PT,
        )
    ax.set_yscale("log")
    _percent_axis(figure)
    ax.set_xticks(places, [str(name) for name in frame[bars]], rotation=90)
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel(label)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1)
    return figure


def _percent_axis(figure: Figure) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

    axis = figure.axes[0].yaxis
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(PercentFormatter(1.0))
