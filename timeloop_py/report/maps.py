"""Maps: a table of numbers as shaded cells, and the plane of two densities with the line where the winner changes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.style import SMALL_PT, TWO_COLUMNS_IN, Margins, house_style, panels, text_width_in

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

_CELL_IN = 0.2
_PLANE_IN = 2.35
#: Fills of the plane from far behind to far ahead: lighter all the way (CIE L* 17 to 96), brown where behind.
_BANDS = ("#3d2313", "#7c4d2a", "#b38a61", "#8fb4d3", "#abc9e2", "#cfe0ee", "#eef4f9")
_EDGES = (0.5, 0.8, 1.0, 1.25, 2.0, 5.0)


@house_style()
def shaded_table(
    table: pd.DataFrame, *, title: str = "", labels: Mapping[str, str] | None = None, largest: float | None = None
) -> Figure:
    """Numbers as whole ones in cells, the darker the larger they are in size; the sign stands in the cell.

    Parameters
    ----------
    table : DataFrame
        The index names the rows, the columns the columns; NaN leaves a cell empty.
    title : str
        What the numbers are.
    labels : mapping, optional
        What rows and columns are called.
    largest : float, optional
        The size at which a cell is darkest; default: the largest of the table.
    """
    names = dict(labels or {})
    rows = [names.get(str(name), str(name)) for name in table.index]
    heads = [names.get(str(name), str(name)) for name in table.columns]
    values = table.to_numpy(dtype=float)
    top = max(map(text_width_in, heads)) + 0.15
    margins = Margins(left=max(map(text_width_in, rows)) + 0.2, right=0.1, top=top + (0.25 if title else 0), bottom=0.1)
    width = min(0.75, (TWO_COLUMNS_IN - margins.left - margins.right) / len(heads)) * len(heads)
    figure, [[ax]] = panels([[width]], _CELL_IN * len(rows), margins)
    darkest = largest or max((abs(value) for value in values.ravel().tolist() if not math.isnan(value)), default=1.0)
    for row, column in ((r, c) for r in range(len(rows)) for c in range(len(heads))):
        value = float(values[row, column])
        if math.isnan(value):
            continue
        shade = min(1.0, abs(value) / (darkest or 1.0))
        level = 1 - 0.75 * shade
        ax.add_patch(_rectangle(column, row, (level, level, level)))
        ink = "white" if level < 0.55 else "black"
        text = f"{value:+.0f}" if abs(value) >= 0.5 else "0"
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=ink, fontsize=SMALL_PT)
    ax.set_xlim(0, len(heads))
    ax.set_ylim(len(rows), 0)
    ax.set_xticks([index + 0.5 for index in range(len(heads))], heads, rotation=90)
    ax.set_yticks([index + 0.5 for index in range(len(rows))], rows)
    ax.xaxis.set_ticks_position("top")
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        figure.text(0.02, 1 - 0.06 / figure.get_figheight(), title, va="top", fontsize=8)
    return figure


def _rectangle(column: int, row: int, color: tuple[float, float, float]) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((column, row), 1, 1, facecolor=color, edgecolor="white", linewidth=0.8)


@dataclass(frozen=True)
class Plane:
    """One panel of :func:`density_planes`: a frame over both densities, the column with the gain, and its title.

    ``gain`` above 1: the first design is ahead. ``frontier``: rows with both densities at which the order changes.
    """

    frame: pd.DataFrame
    gain: str
    title: str
    frontier: pd.DataFrame | None = None


@house_style()
def density_planes(planes: Sequence[Plane], *, label: str) -> Figure:
    """Who wins by how much over weight and activation density: bands of the gain, a line where it is 1.

    ``label`` says what the gain is. Dots on the line are frontier points. ValueError: missing columns.
    """
    margins = Margins(left=0.5, right=1.05, top=0.28, bottom=0.5, across=0.35)
    width = margins.panel_width_in(max(len(planes), 2))
    figure, [axes] = panels([[width] * len(planes)], min(_PLANE_IN, width), margins)
    for index, (ax, plane) in enumerate(zip(axes, planes, strict=True)):
        require(plane.frame, ["weight_density", "activation_density", plane.gain])
        _draw_plane(ax, plane)
        ax.set_xlabel("Weight density")
        ax.tick_params(labelleft=index == 0)
        if index == 0:
            ax.set_ylabel("Activation density")
    _band_legend(figure, label)
    return figure


def _draw_plane(ax: Axes, plane: Plane) -> None:
    table = plane.frame.pivot(index="activation_density", columns="weight_density", values=plane.gain)
    x, y = table.columns.to_numpy(dtype=float), table.index.to_numpy(dtype=float)
    gains = table.to_numpy(dtype=float)
    bounds = [min(gains.min() * 0.99, _EDGES[0] / 2), *_EDGES, max(gains.max() * 1.01, _EDGES[-1] * 2)]
    ax.contourf(x, y, gains, levels=bounds, colors=_BANDS)
    for edge in _EDGES:
        if gains.min() < edge < gains.max():
            color, width = ("black", 1.6) if edge == 1 else ("#444444", 0.4)
            ax.contour(x, y, gains, levels=[edge], colors=color, linewidths=width)
    if plane.frontier is not None:
        ax.plot(
            plane.frontier["weight_density"],
            plane.frontier["activation_density"],
            linestyle="none",
            marker="o",
            markerfacecolor="white",
            markeredgecolor="black",
            clip_on=False,
            zorder=4,
        )
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.5, linestyle=(0, (2.0, 2.0)))
    ax.set_xlim(float(x.min()), 1)
    ax.set_ylim(float(y.min()), 1)
    ax.set_aspect("equal")
    ax.grid(visible=False)
    ax.set_title(plane.title)


def _band_legend(figure: Figure, label: str) -> None:
    from matplotlib.patches import Patch

    names = [f"below {_EDGES[0]:g}", *(f"{a:g} to {b:g}" for a, b in itertools.pairwise(_EDGES))]
    names.append(f"above {_EDGES[-1]:g}")
    handles = [Patch(facecolor=color, edgecolor="#444444", linewidth=0.3) for color in _BANDS]
    figure.legend(
        handles[::-1],
        names[::-1],
        title=label,
        title_fontsize=SMALL_PT,
        alignment="left",
        loc="center right",
        borderaxespad=0.3,
    )
