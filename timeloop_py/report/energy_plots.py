"""Where the energy goes: stacked by component, per design and density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.columns import energy_scale, require
from timeloop_py.report.density_path import DensityPath
from timeloop_py.report.style import (
    MAX_PARTS,
    SMALL_PT,
    Designs,
    Margins,
    house_style,
    panels,
    part_styles,
    text_width_in,
)
from timeloop_py.report.totals import POINT, by_network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More bars than this in one panel cannot be named: the density points are thinned.
MAX_BARS = 60
_BAR, _GAP = 0.86, 0.9
_PANEL_IN = 1.9


@house_style()
def energy_breakdown(
    accesses: pd.DataFrame,
    *,
    baseline: str | None = None,
    part: str = "level",
    labels: Mapping[str, str] | None = None,
    part_labels: Mapping[str, str] | None = None,
    column: str = "architecture",
) -> Figure:
    """Energy stacked by component, one bar per design at every density point, one panel per network.

    Parameters
    ----------
    accesses : DataFrame
        Rows with `column`, ``network``, ``weight_density``, ``activation_density``, `part` and ``energy_pj``
        (``accesses.csv``); summed over everything else.
    baseline : str, optional
        The design drawn first in every group; default: the first of the frame.
    part : str
        The column to stack: ``level``, ``tensor`` or ``action``. Beyond nine parts the smallest ones are drawn together
        as ``other``.
    labels : mapping, optional
        What designs are called in the figure, in drawing order; default: their names.
    part_labels : mapping, optional
        What parts are called; default: their names with spaces.
    column : str
        The column that tells designs apart.

    Raises
    ------
    ValueError
        Where columns are missing, the baseline is unknown, or the densities do not form one path.
    """
    require(accesses, [column, "network", *POINT, part, "energy_pj"])
    designs = Designs.of(accesses, column, baseline, labels)
    path = DensityPath.of(accesses)
    chosen = path.thinned(max(1, MAX_BARS // len(designs.names)))
    parts, frame = _largest_parts(accesses, part)
    part_names = [(part_labels or {}).get(name, name.replace("_", " ")) for name in parts]
    networks = by_network(frame)
    design_in = designs.label_width_in()
    right = max(text_width_in(name) for name in part_names) + 0.34
    margins = Margins(right=right, bottom=design_in + 0.42, down=design_in + 0.75)
    figure, axes = panels([[margins.panel_width_in(1)]] * len(networks), _PANEL_IN, margins)
    for (ax,), (network, rows) in zip(axes, networks.items(), strict=True):
        stacks = _stacks(rows, [*POINT, column], part, parts)
        ax.set_title(network)
        _draw_stacks(ax, stacks, part_names, path, chosen, designs)
        below_in = design_in + 0.27
        ax.text(0.5, -below_in / _PANEL_IN, path.axis_label, transform=ax.transAxes, ha="center", va="top")
    return figure


def _largest_parts(accesses: pd.DataFrame, part: str) -> tuple[list[str], pd.DataFrame]:
    """The parts to draw in order of appearance, and the frame with all others renamed to ``other``, the last part."""
    totals = accesses.groupby(part, sort=False)["energy_pj"].sum()
    if len(totals) <= MAX_PARTS:
        return [str(name) for name in totals.index], accesses
    kept = set(totals.sort_values(ascending=False, kind="stable").index[: MAX_PARTS - 1])
    frame = accesses.assign(**{part: accesses[part].where(accesses[part].isin(kept), "other")})
    return [*(str(name) for name in totals.index if name in kept and name != "other"), "other"], frame


def _stacks(
    rows: pd.DataFrame, keys: Sequence[str], part: str, parts: Sequence[str]
) -> dict[tuple[float, float, str], list[float]]:
    """Energy of every part, in the order of `parts`, by weight density, activation density and design."""
    sums = rows.groupby([*keys, part], sort=False)["energy_pj"].sum().reset_index()
    stacks: dict[tuple[float, float, str], list[float]] = {}
    for weight, activation, design, name, energy in sums.itertuples(index=False):
        stack = stacks.setdefault((float(weight), float(activation), str(design)), [0.0] * len(parts))
        stack[parts.index(str(name))] = float(energy)
    return stacks


def _draw_stacks(
    ax: Axes,
    stacks: Mapping[tuple[float, float, str], Sequence[float]],
    part_names: Sequence[str],
    path: DensityPath,
    chosen: Sequence[int],
    designs: Designs,
) -> None:
    from matplotlib.collections import PolyCollection

    bars: list[tuple[float, str, Sequence[float]]] = []
    size = len(designs.names)
    below_pt = 72 * designs.label_width_in() + 9
    for group, index in enumerate(chosen):
        start = group * (size + _GAP)
        for offset, design in enumerate(designs.names):
            stack = stacks.get((*path.points[index], design))
            if stack is not None:
                bars.append((start + offset, designs.label(design), stack))
        ax.annotate(
            path.tick_labels[index],
            (start + (size - 1) / 2, 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -below_pt),
            textcoords="offset points",
            fontsize=SMALL_PT,
            ha="center",
            va="top",
        )
    positions = [position for position, _, _ in bars]
    highest = max(sum(stack) for _, _, stack in bars)
    divisor, unit = energy_scale(highest)
    bottoms = [0.0] * len(bars)
    for index, (name, style) in enumerate(zip(part_names, part_styles(len(part_names)), strict=True)):
        tops = [bottom + stack[index] / divisor for bottom, (_, _, stack) in zip(bottoms, bars, strict=True)]
        # One collection per part: several times quicker to draw than the patches of `Axes.bar`.
        boxes = [
            ((x - _BAR / 2, bottom), (x + _BAR / 2, bottom), (x + _BAR / 2, top), (x - _BAR / 2, top))
            for x, bottom, top in zip(positions, bottoms, tops, strict=True)
            if top > bottom
        ]
        drawn = PolyCollection(boxes, facecolor=style.color, edgecolor=style.edge, hatch=style.hatch, linewidth=0.3)
        drawn.set_label(name)
        ax.add_collection(drawn, autolim=False)
        bottoms = tops
    ax.set_xticks(positions, [name for _, name, _ in bars], rotation=90)
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-1, (len(chosen) - 1) * (size + _GAP) + size)
    ax.set_ylim(0, 1.05 * highest / divisor)
    ax.set_ylabel(f"Energy [{unit}]")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True, borderaxespad=0.2)
