"""Figures per layer: speed-up, relative energy, and what the multipliers do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.style import Designs, Margins, house_style, panels, text_width_in
from timeloop_py.report.totals import ALL_LAYERS, by_network, layer_totals

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Layers side by side; longer networks go on in the next row.
MAX_LAYERS_PER_ROW = 38
#: Width of a layer in a figure of few layers; many are squeezed into the width of the page.
_LAYER_IN = 0.42
_PANEL_IN = 1.6
_LEGEND_LINE_IN = 0.15
_LEGEND_HANDLE_IN = 0.4
#: What an axis label may be longer than its axis.
_ROOM_FOR_LABEL_IN = 0.5
#: A bar narrower than this cannot be told from its neighbour.
_BAR_IN = 0.035


@house_style()
def speedup_by_layer(
    results: pd.DataFrame,
    *,
    baseline: str | None = None,
    labels: Mapping[str, str] | None = None,
    column: str = "architecture",
    group: Callable[[str], str] | None = None,
) -> Figure:
    """Speed-up over the baseline per layer and network-wide, in the manner of Figure 8 of the SCNN paper.

    Bars are baseline cycles over the design's cycles; the bar ``all`` is the ratio of the sums over the layers of the
    network. An oracle is a design like any other: give it rows of its own.

    Parameters
    ----------
    results : DataFrame
        One row per design, network and layer, at one density point (each layer may have its own).
    baseline : str, optional
        The design drawn as the line at 1, together with those as fast as it in every layer; default: the first one.
    labels : mapping, optional
        What designs are called in the figure, in drawing order; default: their names.
    column : str
        The column that tells designs apart.
    group : callable, optional
        From a layer's name to the name it is summed under (an inception module).

    Raises
    ------
    ValueError
        Where columns are missing, the baseline is unknown or alone, or a layer has several rows.
    """
    designs, ratios = _ratios_by_layer(results, "cycles", baseline, labels, column, group)
    speedups = {network: 1 / table for network, table in ratios.items()}
    return _draw_ratios(speedups, designs, "Speed-up over {}")


@house_style()
def energy_by_layer(
    results: pd.DataFrame,
    *,
    baseline: str | None = None,
    labels: Mapping[str, str] | None = None,
    column: str = "architecture",
    group: Callable[[str], str] | None = None,
) -> Figure:
    """Energy relative to the baseline per layer and network-wide, in the manner of Figure 10 of the SCNN paper.

    Parameters and errors as for :func:`speedup_by_layer`; bars are the design's energy over the baseline's.
    """
    designs, ratios = _ratios_by_layer(results, "energy_pj", baseline, labels, column, group)
    return _draw_ratios(ratios, designs, "Energy relative to {}")


@house_style()
def utilization_by_layer(
    results: pd.DataFrame,
    *,
    design: str,
    labels: Mapping[str, str] | None = None,
    column: str = "architecture",
    barrier: str = "barrier_share",
    group: Callable[[str], str] | None = None,
) -> Figure:
    """Multiplier utilization and what is lost at barriers, in the manner of Figure 9 of the SCNN paper.

    Groups of layers are averaged over time (each layer weighs its cycles).

    Parameters
    ----------
    results : DataFrame
        One row per network and layer of `design`, with ``cycles``, ``utilization`` and the column `barrier`.
    design : str
        The design to draw.
    labels, column, group
        As for :func:`speedup_by_layer`.
    barrier : str
        The column with the share of multiplier slots lost waiting at barriers.

    Raises
    ------
    ValueError
        Where columns are missing, the design is unknown, or a layer has several rows.
    """
    require(results, [column])
    designs = Designs.of(results, column, design, labels)
    totals = layer_totals(results[results[column] == design], ["cycles"], ["utilization", barrier], column, group)
    tables = {network: rows.set_index("layer") for network, rows in by_network(totals).items()}
    used, waiting = f"{designs.label(design)}: multiplier utilization", "lost waiting at barriers"
    figure, drawn = layer_panels(tables, "Share of multiplier slots", [used, waiting])
    for ax, rows in drawn:
        ax.bar(range(len(rows)), rows["utilization"], 0.7, color="#7fa9cf", linewidth=0, label=used)
        ax.plot(
            range(len(rows)),
            rows[barrier],
            linestyle="none",
            marker="D",
            markerfacecolor="white",
            markeredgecolor="black",
            markeredgewidth=0.8,
            clip_on=False,
            zorder=3,
            label=waiting,
        )
        ax.set_ylim(0, 1)
    add_legend(figure, drawn[0][0])
    return figure


def _ratios_by_layer(
    results: pd.DataFrame,
    metric: str,
    baseline: str | None,
    labels: Mapping[str, str] | None,
    column: str,
    group: Callable[[str], str] | None,
) -> tuple[Designs, dict[str, pd.DataFrame]]:
    """The designs, and per network a table (layers and ``all`` x designs) of a metric over the baseline's."""
    totals = layer_totals(results, [metric], (), column, group)
    designs = Designs.of(totals, column, baseline, labels)
    if len(designs.names) == 1:
        raise ValueError(f"the frame has no design besides the baseline {designs.baseline}")
    ratios: dict[str, pd.DataFrame] = {}
    for network, rows in by_network(totals).items():
        table = rows.pivot(index="layer", columns=column, values=metric)
        table = table.reindex(index=rows["layer"].unique(), columns=list(designs.names))
        table.loc[ALL_LAYERS] = table.sum(skipna=False)
        ratios[network] = table.div(table[designs.baseline], axis=0)
    return designs, ratios


def _draw_ratios(tables: Mapping[str, pd.DataFrame], designs: Designs, axis_label: str) -> Figure:
    """Grouped bars of every design but the baseline, which is the line at 1 with those that never differ from it."""
    import numpy as np

    twins = [
        name
        for name in designs.names
        if all(np.allclose(table[name], 1.0, rtol=1e-9, atol=0) for table in tables.values())
    ]
    names = [name for name in designs.names[1:] if name not in twins] or list(designs.names[1:])
    line = [designs.label(name) for name in designs.names if name not in names]
    reference = " and ".join(line) if len(line) <= 2 else f"{line[0]} and {len(line) - 1} others"
    legend = [designs.label(name) for name in names]
    reference_entry = None
    if text_width_in(axis_label.format(reference)) > _PANEL_IN + _ROOM_FOR_LABEL_IN:
        reference_entry = f"baseline: {reference}"
        reference = "the baseline"
        legend.append(reference_entry)
    figure, drawn = layer_panels(tables, axis_label.format(reference), legend, bars=len(names))
    width = 0.8 / len(names)
    for ax, rows in drawn:
        for index, name in enumerate(names):
            style = designs.styles[name]
            shift = (index - (len(names) - 1) / 2) * width
            ax.bar(
                [position + shift for position in range(len(rows))],
                rows[name],
                width,
                color=style.color,
                hatch=style.hatch,
                edgecolor="white",
                linewidth=0.3,
                label=designs.label(name),
            )
        ax.axhline(1, color="black", linewidth=0.8, zorder=3, label=reference_entry)
        if rows.index[-1] == ALL_LAYERS:
            ax.axvline(len(rows) - 1.5, color="#888888", linewidth=0.6)
    highest = max(ax.dataLim.y1 for ax, _ in drawn)
    for ax, _ in drawn:
        ax.set_ylim(0, highest * 1.05)
    add_legend(figure, drawn[0][0])
    return figure


def layer_panels(
    tables: Mapping[str, pd.DataFrame], axis_label: str, legend: Sequence[str], bars: int = 1
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Axes for tables with one row per layer, each with the rows to draw at 0, 1, 2 ... on its x axis.

    A layer is equally wide everywhere, and has room for `bars` bars; networks share a row where they fit and are cut
    into equal parts where they are longer than one. Above the panels is room for a legend of these names.
    """
    most_in_row = max(1, min(MAX_LAYERS_PER_ROW, int(Margins().panel_width_in(1) * 0.8 / (bars * _BAR_IN))))
    rows: list[list[tuple[str, pd.DataFrame]]] = [[]]
    for network, table in tables.items():
        count = math.ceil(len(table) / most_in_row)
        size = math.ceil(len(table) / count)
        for part in range(count):
            piece = table.iloc[part * size : (part + 1) * size]
            if rows[-1] and sum(len(other) for _, other in rows[-1]) + len(piece) > most_in_row:
                rows.append([])
            rows[-1].append((network if part == 0 else f"{network}, continued", piece))
    names_in = max(text_width_in(str(name)) for table in tables.values() for name in table.index)
    margins = Margins(bottom=names_in + 0.12, down=names_in + 0.4, across=0.15)
    most = max(sum(len(piece) for _, piece in row) for row in rows)
    across = max(len(row) for row in rows) - 1
    layer_in = min(max(_LAYER_IN, bars * _BAR_IN / 0.8), (margins.panel_width_in(1) - across * margins.across) / most)
    widths = [[layer_in * len(piece) for _, piece in row] for row in rows]
    width = max(sum(row) for row in widths) + margins.left
    right = max(margins.right, max(map(text_width_in, legend)) + _LEGEND_HANDLE_IN + 0.1 - width)
    margins = replace(
        margins, right=right, top=0.28 + _LEGEND_LINE_IN * math.ceil(len(legend) / _legend_columns(legend, width))
    )
    figure, axes = panels(widths, _PANEL_IN, margins)
    drawn: list[tuple[Axes, pd.DataFrame]] = []
    for axes_row, row in zip(axes, rows, strict=True):
        for ax, (title, piece) in zip(axes_row, row, strict=True):
            ax.set_title(title)
            ax.set_xticks(range(len(piece)), [str(name) for name in piece.index], rotation=90)
            ax.tick_params(axis="x", length=0)
            ax.set_xlim(-0.5, len(piece) - 0.5)
            ax.tick_params(axis="y", labelleft=ax is axes_row[0])
            drawn.append((ax, piece))
        axes_row[0].set_ylabel(axis_label)
    return figure, drawn


def _legend_columns(names: Sequence[str], width_in: float) -> int:
    """How many entries of a legend fit side by side."""
    return max(1, min(len(names), int(width_in / (max(map(text_width_in, names)) + _LEGEND_HANDLE_IN))))


def add_legend(figure: Figure, ax: Axes) -> None:
    """One legend for all panels, above them on the right, bars before markers."""
    from matplotlib.lines import Line2D

    handles, names = ax.get_legend_handles_labels()
    bars_first = sorted(zip(handles, names, strict=True), key=lambda entry: isinstance(entry[0], Line2D))
    figure.legend(
        [handle for handle, _ in bars_first],
        [name for _, name in bars_first],
        loc="upper right",
        ncols=_legend_columns(names, figure.get_figwidth()),
        borderaxespad=0.1,
    )
