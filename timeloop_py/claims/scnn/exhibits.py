"""Every table and figure of the paper's evaluation, rebuilt: frames, figures and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import load_ledger
from timeloop_py.claims.scnn import areas, capacity, design_space, performance, sensitivity, shapes
from timeloop_py.claims.scnn.runs import Runs
from timeloop_py.claims.systems import Exhibit
from timeloop_py.explore.crossover import Metric
from timeloop_py.explore.density_plane import density_plane, frontier
from timeloop_py.explore.results import LABELS, layer_figures
from timeloop_py.report.bar_plots import ranged_bars, stacked_shares
from timeloop_py.report.density_plots import density_sensitivity
from timeloop_py.report.latex import Column, to_latex
from timeloop_py.report.maps import Plane, density_planes, shaded_table
from timeloop_py.report.tradeoffs import Axis, trade_offs
from timeloop_py.report.work_plots import density_by_layer

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ScnnExhibit:
    """How an exhibit is made, and with which letters the ids of its claims begin (none: an extension of the paper)."""

    make: Callable[[Runs], Exhibit]
    claims: str = ""


def _table(name: str, frame: pd.DataFrame, caption: str, columns: Sequence[str | Column] | None = None) -> Exhibit:
    latex = to_latex(frame, columns, caption=caption, label=f"tab:{name}", renames=LABELS)
    return Exhibit(tables={name: frame}, latex={name: latex})


def _table1(runs: Runs) -> Exhibit:
    columns = [
        Column("network"),
        Column("layers", "Conv. layers"),
        Column("largest_weights_mib", "Largest weights", "MiB", digits=3),
        Column("largest_inputs_mib", "Largest input", "MiB", digits=3),
        Column("largest_outputs_mib", "Largest output", "MiB", digits=3),
        Column("multiplies", "Multiplies", "billions", 1e9, 3),
    ]
    caption = "Network characteristics (Table I); two bytes per value."
    return _table("table1_networks", shapes.network_characteristics(runs), caption, columns)


def _table2(runs: Runs) -> Exhibit:
    return _table("table2_parameters", shapes.design_parameters(runs), "SCNN design parameters (Table II).")


def _table3(runs: Runs) -> Exhibit:
    return _table("table3_area", areas.pe_areas(runs), "Area of SCNN's PE (Table III), TSMC 16 nm.")


def _table4(runs: Runs) -> Exhibit:
    columns = [
        Column("architecture"),
        Column("pes", "PEs"),
        Column("multipliers", "Multipliers"),
        Column("sram_mib", "Activation SRAM", "MiB", digits=3),
        Column("area_mm2", digits=3),
    ]
    caption = "Accelerator configurations (Table IV). SCNN's SRAM includes 0.25 MiB of indices."
    return _table("table4_configurations", areas.configurations(runs), caption, columns)


#: Modules of GoogLeNet that Figure 1 shows: those whose densities are published.
_SHOWN_MODULES = ("IC_3a", "IC_5b")


def _figure1(runs: Runs) -> Exhibit:
    frame = shapes.layer_densities(runs)
    short = frame.assign(layer=frame["layer"].str.replace("inception_", "IC_"))
    hidden = (short["network"] == "GoogLeNet") & ~short["layer"].str.startswith(_SHOWN_MODULES)
    return Exhibit(tables={"fig1_density": frame}, figures={"fig1_density": density_by_layer(short[~hidden])})


def _figure7(runs: Runs) -> Exhibit:
    frame = runs.sweep.assign(layer="total", network="GoogLeNet")
    columns = ["architecture", "weight_density", "activation_density", "cycles", "energy_pj"]
    return Exhibit(
        tables={"fig7_density": frame[columns]},
        figures={"fig7_density": density_sensitivity(frame, baseline="dcnn", labels=LABELS)},
        latex={"fig7_density": _relative_to_dcnn(frame)},
    )


def _relative_to_dcnn(frame: pd.DataFrame) -> str:
    """Figure 7 as a table: SCNN's speed-up, and energies over DCNN's, by density."""
    cycles = frame.pivot(index="weight_density", columns="architecture", values="cycles").sort_index(ascending=False)
    energy = frame.pivot(index="weight_density", columns="architecture", values="energy_pj").loc[cycles.index]
    table = cycles.assign(
        density=cycles.index,
        speedup=cycles["dcnn"] / cycles["scnn"],
        dcnn_opt=energy["dcnn_opt"] / energy["dcnn"],
        scnn=energy["scnn"] / energy["dcnn"],
    )
    columns = [
        Column("density", "Density of weights and activations", digits=1),
        Column("speedup", "Speed-up of SCNN", digits=3),
        Column("dcnn_opt", "Energy of DCNN-opt", digits=3),
        Column("scnn", "Energy of SCNN", digits=3),
    ]
    caption = "GoogLeNet over density, relative to DCNN at the same density (Figure 7)."
    return to_latex(table, columns, caption=caption, label="tab:fig7_density")


def _by_layer(runs: Runs) -> pd.DataFrame:
    """Rows as the figures per layer want them: inception modules called as in the paper."""
    return runs.layers.assign(layer=runs.layers["layer"].str.replace("inception_", "IC_"))


_PER_LAYER = ["architecture", "network", "layer", "weight_density", "activation_density"]


def _figure8(runs: Runs) -> Exhibit:
    frame = _by_layer(runs)
    return Exhibit(
        tables={"fig8_speedup": frame[[*_PER_LAYER, "cycles", "oracle_cycles"]]},
        figures={"fig8_speedup": layer_figures(frame)["speedup_by_layer"]},
        latex={"fig8_speedup": _network_table(runs, "cycles", "Speed-up over DCNN, network-wide (Figure 8).", "fig8")},
    )


def _figure9(runs: Runs) -> Exhibit:
    frame = _by_layer(runs)
    scnn = frame[frame["architecture"] == "scnn"]
    shares = [name for name in map(str, frame) if name.endswith("_share")]
    return Exhibit(
        tables={"fig9_utilization": scnn[[*_PER_LAYER, "cycles", "utilization", *shares]]},
        figures={"fig9_utilization": layer_figures(scnn)["utilization_scnn"]},
    )


def _figure10(runs: Runs) -> Exhibit:
    frame = _by_layer(runs)
    caption = "Energy of DCNN over each design's, network-wide (Figure 10)."
    return Exhibit(
        tables={"fig10_energy": frame[[*_PER_LAYER, "energy_pj"]]},
        figures={"fig10_energy": layer_figures(frame)["energy_by_layer"]},
        latex={"fig10_energy": _network_table(runs, "energy_pj", caption, "fig10")},
    )


def _network_table(runs: Runs, metric: str, caption: str, label: str) -> str:
    """DCNN over every other design by network, and the mean of the networks."""
    totals = runs.layers.groupby(["network", "architecture"], sort=False)[metric].sum().unstack()
    gains = (1 / totals.div(totals["dcnn"], axis=0)).drop(columns="dcnn")
    gains.loc["Mean"] = gains.mean()
    if metric == "cycles":
        gains = gains.drop(columns="dcnn_opt")
    columns = [Column("network"), *(Column(name, LABELS[name], digits=3) for name in map(str, gains))]
    return to_latex(gains.rename_axis("network").reset_index(), columns, caption=caption, label=f"tab:{label}")


def _section4(runs: Runs) -> Exhibit:
    banks, runs_of_zeros = capacity.bank_stalls(runs), capacity.placeholder_overheads(runs)
    columns = [
        Column("network"),
        Column("banks", "Banks"),
        Column("bank_contention", "Bank rule"),
        Column("stall_share", "Cycles lost", "%", 0.01, 2),
    ]
    caption = "Cycles lost to bank conflicts (section IV)."
    return Exhibit(
        tables={"section4_banks": banks, "section4_placeholders": runs_of_zeros},
        latex={"section4_banks": to_latex(banks, columns, caption=caption, label="tab:section4_banks")},
    )


def _section6c(runs: Runs) -> Exhibit:
    table = performance.granularity_table(runs)
    columns = [
        Column("pes", "PEs"),
        Column("pe_grid", "Grid"),
        Column("multiply_array", "Multipliers per PE"),
        Column("speedup", "Speed-up over 4 PEs", digits=3),
        Column("utilization_network", "Utilization", digits=2),
        Column("utilization_busy", "Utilization while working", digits=2),
        Column("barrier_share", "Lost at barriers", digits=2),
        Column("fragmentation_share", "Lost to fragmentation", digits=2),
    ]
    caption = "SCNN with fewer and larger PEs on GoogLeNet, 1,024 multipliers (section VI-C)."
    exhibit = _table("section6c_granularity", table, caption, columns)
    figure = stacked_shares(
        table, bars="pes", parts=_SLOTS, bars_label="PEs (1,024 multipliers)", label="Share of multiplier slots"
    )
    return replace(exhibit, figures={"section6c_granularity": figure})


_SLOTS = {
    "useful_share": "useful products",
    "out_of_range_share": "products out of range",
    "fragmentation_share": "fragmentation",
    "barrier_share": "barrier",
    "idle_pes_share": "PEs without a tile",
}


def _section6d(runs: Runs) -> Exhibit:
    penalties, onsets = capacity.spill_penalties(runs), capacity.spill_densities(runs)
    columns = [
        Column("network"),
        Column("layer"),
        Column("tiles", "Tiles"),
        Column("spilled_kb", "Over DRAM", "KB"),
        Column("penalty_low", "Energy penalty, DRAM low", "%", 0.01, 2),
        Column("penalty", "as fitted", "%", 0.01, 2),
        Column("penalty_high", "DRAM high", "%", 0.01, 2),
    ]
    caption = "Layers that SCNN tiles over DRAM, and the energy of moving their activations (section VI-D)."
    paper = next(claim.paper for claim in load_ledger("scnn") if claim.id == "S6D-penalty")
    assert isinstance(paper, tuple)
    figure = ranged_bars(
        penalties,
        bars="layer",
        low="penalty_low",
        value="penalty",
        high="penalty_high",
        label="Energy of spilled activations\nover the layer's other energy",
        lines=dict(zip(("paper, least", "paper, mean", "paper, most"), paper, strict=True)),
        names=("DRAM as fitted", "range of DRAM energies"),
    )
    return Exhibit(
        tables={
            "section6d_penalty": penalties,
            "section6d_placement": capacity.layer_placement(runs),
            "section6d_onsets": onsets,
        },
        figures={"section6d_penalty": figure},
        latex={"section6d_penalty": to_latex(penalties, columns, caption=caption, label="tab:section6d_penalty")},
    )


# -- beyond the paper ------------------------------------------------------------------------------------------


def _sensitivity(runs: Runs) -> Exhibit:
    table = sensitivity.sensitivities(runs)
    swings = sensitivity.swings(table)
    columns = [Column("event", "Event"), *(Column(name, name, "%", digits=2) for name in map(str, swings))]
    caption = "Change of each claim as one energy goes through its plausible range."
    latex = to_latex(swings.reset_index(), columns, caption=caption, label="tab:sensitivity")
    figure = shaded_table(swings, title="Change in percent over the range of an energy", largest=40.0)
    return Exhibit({"sensitivity": table}, {"sensitivity": figure}, {"sensitivity": latex})


#: Densities of the plane, and those of weights at which the line between winners is solved.
_PLANE = tuple(round(0.05 * step, 2) for step in range(1, 21))
_FRONTIER = (0.2, 0.4, 0.6, 0.8, 1.0)


def _density_plane(runs: Runs) -> Exhibit:
    # Without bank conflicts, under half a percent of the cycles here: they would have to be walked at every pair.
    banks = ("dataflow.bank_contention", "none")
    designs = runs.sweep_designs | {"scnn": runs.design("scnn", [("dataflow.barrier", "none"), banks])}
    network = runs.sweep_network
    panels: dict[str, tuple[str, Metric, str]] = {
        "cycles_dcnn": ("dcnn", "cycles", "Speed, SCNN over DCNN"),
        "energy_dcnn": ("dcnn", "energy_pj", "Energy, DCNN over SCNN"),
        "energy_dcnn_opt": ("dcnn_opt", "energy_pj", "Energy, DCNN-opt over SCNN"),
    }
    frames = {
        other: density_plane(designs["scnn"], designs[other], network, _PLANE, _PLANE) for other in ("dcnn", "dcnn_opt")
    }
    lines = {
        name: frontier(designs["scnn"], designs[other], network, _FRONTIER, metric)
        for name, (other, metric, _) in panels.items()
    }
    figure = density_planes(
        [Plane(frames[other], f"{metric}_gain", title, lines[name]) for name, (other, metric, title) in panels.items()],
        label="Gain of SCNN",
    )
    return Exhibit(
        tables={
            **{f"density_plane_{other}": frame for other, frame in frames.items()},
            **{f"density_frontier_{name}": frame for name, frame in lines.items()},
        },
        figures={"density_plane": figure},
    )


def _design_space(runs: Runs) -> Exhibit:
    frame = design_space.search(runs)
    front = frame[frame["front"]].sort_values(["network", "cycles_ratio"], kind="stable")
    best = front[front["network"] == design_space.ALL]
    columns = [
        Column("design"),
        Column("area_mm2", digits=3),
        Column("cycles_ratio", "Cycles over the paper's", digits=3),
        Column("energy_ratio", "Energy over the paper's", digits=3),
    ]
    caption = "Pareto front of SCNN's design space at 1,024 multipliers, geometric mean of the three networks."
    figure = trade_offs(
        frame,
        panels_by="network",
        x=Axis("cycles_ratio", "Cycles over\nthe paper's design"),
        y=Axis("energy_ratio", "Energy over the paper's design"),
        shade=Axis("area_mm2", "area [mm²]"),
        front="front",
        marked="paper",
        marked_label="SCNN, 7.9 mm²",
        shade_edges=(6.0, 8.0, 12.0),
    )
    return Exhibit(
        tables={"design_space": frame, "design_space_front": front},
        figures={"design_space": figure},
        latex={"design_space_front": to_latex(best, columns, caption=caption, label="tab:design_space")},
    )


EXHIBITS = {
    "table1": ScnnExhibit(_table1, "T1-"),
    "table2": ScnnExhibit(_table2, "T2-"),
    "table3": ScnnExhibit(_table3, "T3-"),
    "table4": ScnnExhibit(_table4, "T4-"),
    "fig1": ScnnExhibit(_figure1, "S2-"),
    "fig7": ScnnExhibit(_figure7, "F7"),
    "fig8": ScnnExhibit(_figure8, "F8-"),
    "fig9": ScnnExhibit(_figure9, "F9-"),
    "fig10": ScnnExhibit(_figure10, "F10-"),
    "section4": ScnnExhibit(_section4, "S4-"),
    "section6c": ScnnExhibit(_section6c, "S6C-"),
    "section6d": ScnnExhibit(_section6d, "S6D-"),
    "sensitivity": ScnnExhibit(_sensitivity),
    "density_plane": ScnnExhibit(_density_plane),
    "design_space": ScnnExhibit(_design_space),
}
