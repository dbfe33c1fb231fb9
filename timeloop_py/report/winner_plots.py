"""Where the winner changes: which design is best per layer and density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.columns import quantity, require
from timeloop_py.report.density_path import DensityPath
from timeloop_py.report.style import SMALL_PT, Designs, Margins, SeriesStyle, house_style, panels, text_width_in
from timeloop_py.report.totals import ALL_LAYERS, POINT, by_network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

_METRIC_NAMES = {"edp_pj_cycles": "energy-delay product"}
_ROW_IN = 0.115
_PANEL_MOST_IN = 3.2


@house_style()
def winner_map(winners: pd.DataFrame, *, metric: str, labels: Mapping[str, str], baseline: str | None = None) -> Figure:
    """The winner per layer (rows) and density point (columns), one panel per network; the whole network on top.

    Parameters
    ----------
    winners : DataFrame
        Columns ``network, layer, weight_density, activation_density, metric, winner``; the layer ``all`` is
        the network.
    metric : str
        Whose winners to draw.
    labels : mapping
        What designs are called, in drawing order; every winner must be among them.
    baseline : str, optional
        The design that other figures draw as the baseline: its style is the same here.

    Raises ValueError where columns are missing or the densities do not form one path.
    """
    require(winners, ["network", "layer", *POINT, "metric", "winner"])
    chosen = winners[winners["metric"] == metric]
    require(chosen, ["winner"])
    first = baseline or next(iter(labels))
    designs = Designs.of(chosen.assign(winner=first), "winner", first, labels)
    found = [name for name in labels if name in set(chosen["winner"])]
    path = DensityPath.of(chosen)
    networks = by_network(chosen)
    names = max((str(layer) for layer in chosen["layer"]), key=len)
    margins = Margins(
        left=text_width_in(names) + 0.2,
        right=max(text_width_in(designs.label(name)) for name in found) + 0.5,
        bottom=0.75,
        down=0.9,
        across=0.4,
    )
    most = max(len(rows["layer"].unique()) for rows in networks.values())
    height = most * _ROW_IN + 0.1
    figure, axes = panels([[min(_PANEL_MOST_IN, margins.panel_width_in(1))]] * len(networks), height, margins)
    for (ax,), (network, rows) in zip(axes, networks.items(), strict=True):
        ax.set_title(f"{network}: lowest {_METRIC_NAMES.get(metric, quantity(metric).name.lower())}")
        _draw(ax, rows, path, designs.styles)
    handles = [_swatch(designs.styles[name], designs.label(name)) for name in found]
    axes[0][0].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)
    return figure


def _draw(ax: Axes, rows: pd.DataFrame, path: DensityPath, styles: Mapping[str, SeriesStyle]) -> None:
    from matplotlib.patches import Rectangle

    layers = list(rows["layer"].unique())
    columns = {point: index for index, point in enumerate(path.points)}
    for row, layer in enumerate(layers):
        here = rows[rows["layer"] == layer]
        won = dict(
            zip(zip(here["weight_density"], here["activation_density"], strict=True), here["winner"], strict=True)
        )
        cells = [(columns[point], name) for point, name in won.items()]
        for start, stop, name in _runs(sorted(cells)):  # one patch for neighbours with the same winner
            style = styles[name]
            ax.add_patch(
                Rectangle(
                    (start - 0.5, row - 0.5),
                    stop - start,
                    1,
                    facecolor=style.color,
                    hatch=style.hatch,
                    edgecolor="white",
                    linewidth=0.4,
                )
            )
    ax.set_xlim(-0.5, len(path.points) - 0.5)
    ax.set_ylim(len(layers) - 0.5, -0.5)
    named = path.thinned(14)
    ax.set_xticks(list(named), [path.tick_labels[index] for index in named], rotation=90)
    ax.set_yticks(range(len(layers)), ["network" if layer == ALL_LAYERS else layer for layer in layers])
    ax.tick_params(axis="y", labelsize=SMALL_PT - 1.5, length=0)
    ax.grid(visible=False)
    ax.set_xlabel(path.axis_label)
    if layers[0] == ALL_LAYERS:
        ax.axhline(0.5, color="black", linewidth=1.2)


def _runs(cells: Sequence[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """(first column, column after the last, winner) of neighbouring cells with one winner."""
    found: list[tuple[int, int, str]] = []
    for column, name in cells:
        if found and found[-1][1:] == (column, name):
            found[-1] = (found[-1][0], column + 1, name)
        else:
            found.append((column, column + 1, name))
    return found


def _swatch(style: SeriesStyle, label: str) -> Patch:
    from matplotlib.patches import Patch

    return Patch(facecolor=style.color, hatch=style.hatch, edgecolor="white", label=label)
