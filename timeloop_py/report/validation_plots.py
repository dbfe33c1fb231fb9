"""Figures of a comparison with a reference: errors with their confidence intervals, differences by cause, families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from timeloop_py.report.columns import require
from timeloop_py.report.style import SMALL_PT, Margins, house_style, panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL_IN = 2.4
_WIDTHS_IN = (3.9, 2.4)
_MET, _MISSED = "#ffffff", "#c44e3a"
#: Where the dots of a column stand beside each other, as parts of its width.
_SPREAD = 0.6


@house_style()
def errors_and_causes(
    frame: pd.DataFrame,
    differences: pd.DataFrame,
    *,
    size: str,
    error: str,
    interval: str,
    labels: Mapping[str, str],
    size_label: str,
    error_label: str,
    difference_label: str,
    error_limit: float,
    difference_limit: float,
) -> Figure:
    """Left: the error of every point over its size, with a bar for the interval. Right: differences by cause.

    Parameters
    ----------
    frame : DataFrame
        One row per point: ``size`` (above 0) stands on a logarithmic axis, ``interval`` is half the width of the
        interval of ``error``, in the same unit; missing ones are not drawn.
    differences : DataFrame
        Rows as those of `frame`, one column per cause.
    labels : mapping
        From a cause to what it is called; its order is that of the axis.
    error_limit, difference_limit : float
        Levels that are drawn on both sides of zero; the axes are linear up to there and logarithmic beyond. Points
        beyond them are filled.

    Raises
    ------
    ValueError
        Where a column is missing or a frame has no rows.
    """
    require(frame, [size, error, interval])
    require(differences, list(labels))
    figure, [[left, right]] = panels([_WIDTHS_IN], _PANEL_IN, Margins(left=0.5, bottom=0.9, top=0.1, across=0.6))
    left.errorbar(
        frame[size], frame[error], frame[interval].fillna(0.0), linestyle="none", ecolor="#aaaaaa", elinewidth=0.5
    )
    _dots(left, frame[size].to_numpy(), frame[error].to_numpy(), error_limit, size=2.8)
    left.set_xscale("log")
    left.set_xlabel(size_label)
    left.set_ylabel(error_label)
    for place, cause in enumerate(labels):
        values = differences[cause].to_numpy()
        _dots(right, _column(place, len(values)), values, difference_limit, size=1.8)
    _columns(right, list(labels.values()))
    right.set_ylabel(difference_label)
    _scale(left, frame[error].to_numpy(), error_limit)
    _scale(right, differences[list(labels)].to_numpy(), difference_limit)
    return figure


@house_style()
def errors_by_family(
    frame: pd.DataFrame, *, family: str, error: str, error_label: str, mean_limit: float, limit: float
) -> Figure:
    """The errors of every family side by side, with a bar for the mean of their absolute values.

    ``frame`` has one row per point; a missing error is left out. Axis and points as in :func:`errors_and_causes`; a
    mean above ``mean_limit`` has another colour.

    Raises ValueError where a column is missing or the frame has no rows.
    """
    require(frame, [family, error])
    names = [str(name) for name in frame[family].unique()]
    figure, [[ax]] = panels(
        [(max(0.31 * len(names), 3.2),)], _PANEL_IN, Margins(left=0.5, bottom=1.4, top=0.25, across=0.0)
    )
    for place, name in enumerate(names):
        values = frame.loc[frame[family] == name, error].to_numpy()
        mean = float(np.nanmean(np.abs(values)))
        ax.bar(place, mean, width=0.8, color="#f0c4bb" if mean > mean_limit else "#d5dde6", zorder=1)
        _dots(ax, _column(place, len(values)), values, limit, size=2.0)
    _columns(ax, names)
    ax.set_ylabel(error_label)
    _scale(ax, frame[error].to_numpy(), limit)
    ax.text(0.0, 1.02, "bars: mean absolute error; red: beyond a limit", transform=ax.transAxes, fontsize=SMALL_PT)
    return figure


def _dots(ax: Axes, across: Sequence[float] | np.ndarray, values: np.ndarray, limit: float, size: float) -> None:
    """Points, those beyond the limit filled and above the others."""
    across, beyond = np.asarray(across), np.abs(values) > limit
    for chosen, fill in ((~beyond, _MET), (beyond, _MISSED)):
        ax.plot(
            across[chosen],
            values[chosen],
            linestyle="none",
            marker="o",
            markersize=size,
            markerfacecolor=fill,
            markeredgecolor="#1c1c1c",
            markeredgewidth=0.4,
            zorder=3,
        )


def _column(place: int, count: int) -> np.ndarray:
    return place + _SPREAD * (np.arange(count) / max(count - 1, 1) - 0.5)


def _columns(ax: Axes, names: Sequence[str]) -> None:
    ax.set_xticks(range(len(names)), names, rotation=90)
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.6, len(names) - 0.4)


def _scale(ax: Axes, values: np.ndarray, limit: float) -> None:
    """An axis that is linear up to the limit and logarithmic beyond, and lines at the limit."""
    ax.set_yscale("symlog", linthresh=limit, linscale=1.5)
    ticks = [0.0, limit / 2, limit, *(level for level in (10.0, 30.0, 100.0) if level > limit)]
    ax.set_yticks([*(-tick for tick in ticks[:0:-1]), *ticks])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.minorticks_off()
    reach = max(1.4 * float(np.nanmax(np.abs(values), initial=0.0)), 2 * limit)
    ax.set_ylim(-reach, reach)
    ax.axhline(0, color="black", linewidth=0.6)
    for level in (-limit, limit):
        ax.axhline(level, color="black", linewidth=0.6, linestyle=(0, (4.0, 2.0)))
