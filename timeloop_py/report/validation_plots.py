"""Figures of a comparison with a reference: errors with their confidence intervals, and differences by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.style import Margins, house_style, panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_PANEL_IN = 2.4
_WIDTHS_IN = (3.9, 2.4)
#: Marker and fill per family, in the order they come.
_MARKERS = (("o", "#ffffff"), ("s", "#5b8fb9"), ("^", "#1c1c1c"), ("D", "#e8ab3f"))
#: Where the dots of a cause stand beside each other, as parts of its column.
_SPREAD = 0.6


@house_style()
def errors_and_causes(
    frame: pd.DataFrame,
    differences: pd.DataFrame,
    *,
    family: str,
    size: str,
    error: str,
    interval: str,
    labels: Mapping[str, str],
    size_label: str,
    error_label: str,
    difference_label: str,
    error_limits: Sequence[float],
    difference_limit: float,
) -> Figure:
    """Left: the error of every point over its size, with a bar for the interval. Right: differences by cause.

    Parameters
    ----------
    frame : DataFrame
        One row per point: ``family`` decides the marker, ``size`` (above 0) stands on a logarithmic axis, ``interval``
        is half the width of the interval of ``error``, in the same unit; missing ones are not drawn.
    differences : DataFrame
        Rows as those of `frame`, one column per cause.
    labels : mapping
        From a cause to what it is called; its order is that of the axis.
    error_limits, difference_limit : floats
        Levels that are drawn on both sides of zero.

    Raises
    ------
    ValueError
        Where a column is missing or a frame has no rows.
    """
    require(frame, [family, size, error, interval])
    require(differences, list(labels))
    figure, [[left, right]] = panels([_WIDTHS_IN], _PANEL_IN, Margins(left=0.5, bottom=0.85, top=0.3, across=0.6))
    families = [str(name) for name in frame[family].unique()]
    for name, (marker, fill) in zip(families, _MARKERS, strict=False):
        rows = frame[frame[family] == name]
        left.errorbar(
            rows[size],
            rows[error],
            yerr=rows[interval].fillna(0.0),
            linestyle="none",
            marker=marker,
            markersize=3.2,
            markerfacecolor=fill,
            markeredgecolor="#1c1c1c",
            markeredgewidth=0.5,
            ecolor="#999999",
            elinewidth=0.5,
            label=name,
        )
    left.set_xscale("log")
    left.set_xlabel(size_label)
    left.set_ylabel(error_label)
    left.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(families), borderaxespad=0.1)
    for place, cause in enumerate(labels):
        values = differences[cause].to_numpy()
        step = _SPREAD / max(len(values) - 1, 1)
        right.plot(
            [place - _SPREAD / 2 + step * index for index in range(len(values))],
            values,
            linestyle="none",
            marker=".",
            markersize=1.8,
            color="#0b5a9a",
        )
    right.set_xticks(range(len(labels)), list(labels.values()), rotation=90)
    right.tick_params(axis="x", length=0)
    right.set_ylabel(difference_label)
    for ax, limits in ((left, error_limits), (right, (difference_limit,))):
        ax.axhline(0, color="black", linewidth=0.6)
        for limit in limits:
            for level in (-limit, limit):
                ax.axhline(level, color="black", linewidth=0.6, linestyle=(0, (4.0, 2.0)))
    return figure
