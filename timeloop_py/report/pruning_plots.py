"""Pruning on processors: speed-up over dense against the share of weights that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.style import TWO_COLUMNS_IN, Designs, house_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@house_style()
def speedup_by_pruning(table: pd.DataFrame) -> Figure:
    """A panel per platform and part of the network, a line per kind of pruning; dense is the line at 1.

    ``table``: columns ``platform``, ``part``, ``pruning``, ``weight_density``, ``speedup``; ValueError without.
    """
    from matplotlib.figure import Figure

    require(table, ("platform", "part", "pruning", "weight_density", "speedup"))
    platforms, parts = (list(dict.fromkeys(table[column])) for column in ("platform", "part"))
    kinds = Designs.of(table, "pruning", None, None)
    figure = Figure(figsize=(TWO_COLUMNS_IN, 1.7 * len(parts) + 0.5), layout="constrained")
    axes = figure.subplots(len(parts), len(platforms), sharex=True, squeeze=False)
    for row, part in zip(axes, parts, strict=True):
        for axis, platform in zip(row, platforms, strict=True):
            shown = table[(table["platform"] == platform) & (table["part"] == part)]
            for name in kinds.names:
                line, style = shown[shown["pruning"] == name], kinds.styles[name]
                x, y = line["weight_density"], line["speedup"]
                axis.plot(x, y, color=style.color, linestyle=style.dash, marker=style.marker, label=name)
            axis.axhline(1.0, color="#555555", linewidth=0.8)
            axis.set_yscale("log", base=2)
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_title(f"{platform}, {part}")
        row[0].set_ylabel("Speed-up over dense")
    for axis in axes[-1]:
        axis.set_xlabel("Share of weights left")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=len(kinds.names))
    return figure
