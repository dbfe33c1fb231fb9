"""Figure of densities: how many operands are zero per layer, and what is left of the work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from timeloop_py.report.columns import require
from timeloop_py.report.layer_plots import add_legend, layer_panels
from timeloop_py.report.style import house_style, part_styles
from timeloop_py.report.totals import by_network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_BARS = (("activation_density", "input activations"), ("weight_density", "weights"))
_WORK = "multiplies of two non-zeros"


@house_style()
def density_by_layer(frame: pd.DataFrame, *, networks: Sequence[str] | None = None) -> Figure:
    """Densities as bars and the share of multiplies with two non-zero operands, as Figure 1 of the SCNN paper has them.

    Parameters
    ----------
    frame : DataFrame
        One row per network and layer: ``network``, ``layer``, ``weight_density``, ``activation_density``, ``work``.
    networks : sequence of str, optional
        Which networks, in this order; default: all of them.

    Raises
    ------
    ValueError
        Where a column is missing or the frame has no rows.
    """
    require(frame, ["network", "layer", "work", *(name for name, _ in _BARS)])
    found = by_network(frame)
    tables = {name: found[name].set_index("layer") for name in networks or found}
    figure, drawn = layer_panels(tables, "Share", [*(label for _, label in _BARS), _WORK])
    width = 0.8 / len(_BARS)
    for ax, rows in drawn:
        places = range(len(rows))
        for index, ((name, label), style) in enumerate(zip(_BARS, part_styles(6)[1::3], strict=True)):
            shift = (index - (len(_BARS) - 1) / 2) * width
            ax.bar(
                [place + shift for place in places],
                rows[name],
                width,
                color=style.color,
                hatch=style.hatch,
                edgecolor="white",
                linewidth=0.3,
                label=label,
            )
        ax.plot(
            places,
            rows["work"],
            linestyle="none",
            marker="^",
            markersize=4.5,
            markerfacecolor="white",
            markeredgecolor="black",
            markeredgewidth=0.8,
            zorder=3,
            label=_WORK,
        )
        ax.set_ylim(0, 1.02)
    add_legend(figure, drawn[0][0])
    return figure
