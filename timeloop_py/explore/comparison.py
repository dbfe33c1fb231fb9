"""All accelerators on all networks, with and without zeros: who wins where, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from timeloop_py.explore.runner import Progress, run_sweep
from timeloop_py.explore.sweep import JobResult, Sweep, table_digests
from timeloop_py.model.evaluate import OWN_DENSITIES
from timeloop_py.model.planar import SLOTS
from timeloop_py.report.bundle import provenance, write_bundle
from timeloop_py.report.comparison_plots import performance_and_energy
from timeloop_py.report.style import FigureFormat
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.library import names
from timeloop_py.specs.network import load_network

if TYPE_CHECKING:
    import pandas as pd

#: Networks of a comparison of everything: fully connected layers of AlexNet and VGG-16 included.
NETWORKS = ("alexnet:all", "vgg16:all", "googlenet", "resnet18", "resnet50", "mobilenet_v1", "mobilenet_v2")
#: The networks of the SCNN paper, for the table of its slides.
PAPER_NETWORKS = ("alexnet", "googlenet", "vgg16")
BASELINE = "dcnn"
#: Multipliers of SCNN and DCNN, which the normalised designs have, too.
BUDGET = 1024
DENSE = ((1.0, 1.0),)
LABELS = {
    "scnn": "SCNN",
    "dcnn": "DCNN",
    "dcnn_opt": "DCNN-opt",
    "cambricon_x": "Cambricon-X",
    "cnvlutin": "Cnvlutin",
    "dadiannao": "DaDianNao",
    "diannao": "DianNao",
    "eie": "EIE",
    "eyeriss": "Eyeriss",
}
_MEASURES = {"performance": "time_us", "energy": "energy_pj", "energy-delay": "edp_pj_us"}


def accelerator_names() -> list[str]:
    """Shipped architectures that are accelerators with a dataflow of their own, SCNN and DCNN first."""
    found = [name for name in names("arch_specs") if _is_compared(load_architecture(name))]
    first = ["scnn", "dcnn", "dcnn_opt"]
    return [*first, *(name for name in found if name not in first)]


def _is_compared(architecture: Architecture) -> bool:
    return architecture.is_accelerator and not architecture.is_processor


@dataclass(frozen=True)
class Comparison:
    """Results at the layers' own densities and without zeros; the tables that follow from them."""

    sparse: JobResult
    dense: JobResult
    table: pd.DataFrame
    winners: pd.DataFrame


def compare(sweep: Sweep, progress: Progress | None = None) -> Comparison:
    """Evaluate a sweep at its density points (one) and once more without zeros.

    The table has a row per network, zeros (``own`` or ``none``) and architecture; times and energies are compared with
    DCNN's (the first architecture's, where it is missing) on the layers that the architecture runs.
    """
    total = 2 * sum(1 for _ in sweep.jobs())

    def second_half(done: int, jobs: int) -> None:
        if progress:
            progress(total - jobs + done, total)

    first_half = None if progress is None else lambda done, _: progress(done, total)
    sparse = run_sweep(sweep, first_half)
    dense = run_sweep(replace(sweep, points=DENSE), second_half)
    table = comparison_table(sweep.architectures, sparse, dense)
    return Comparison(sparse, dense, table, winners(table))


def comparison_table(architectures: Sequence[Architecture], sparse: JobResult, dense: JobResult) -> pd.DataFrame:
    """One row per network, zeros and architecture, with what binds it and what its multipliers lose most to."""
    import pandas as pd

    designs = {one.name: one for one in architectures}
    baseline = BASELINE if BASELINE in designs else next(iter(designs))
    rows = []
    for zeros, result in (("own", sparse), ("none", dense)):
        for (network, name), layers in result.results.groupby(["network", "architecture"], sort=False):
            ran = layers[layers["cycles"].notna()]
            theirs = result.results[
                (result.results["network"] == network)
                & (result.results["architecture"] == baseline)
                & result.results["layer"].isin(ran["layer"])
            ]
            rows.append(_row(designs[str(name)], designs[baseline], str(network), zeros, layers, ran, theirs))
    order = {name: place for place, name in enumerate(designs)}
    frame = pd.DataFrame(rows)
    frame["_order"] = frame["architecture"].map(order)
    networks = {name: place for place, name in enumerate(dict.fromkeys(frame["network"]))}
    frame["_network"] = frame["network"].map(networks)
    frame = frame.sort_values(["_network", "zeros", "_order"], ascending=[True, False, True], kind="stable")
    return frame.drop(columns=["_order", "_network"]).reset_index(drop=True)


def _row(
    design: Architecture,
    baseline: Architecture,
    network: str,
    zeros: str,
    layers: pd.DataFrame,
    ran: pd.DataFrame,
    theirs: pd.DataFrame,
) -> dict[str, object]:
    handled = zero_handling(design)
    row: dict[str, object] = {
        "network": network,
        "zeros": zeros,
        "architecture": design.name,
        "multipliers": multipliers(design),
        "weights": handled["weights"],
        "activations": handled["activations"],
        "dataflow": design.dataflow_name,
        "layers": len(ran),
        "layers_left_out": len(layers) - len(ran),
        "area_mm2": float(layers["area_mm2"].iloc[0]),
    }
    if ran.empty:
        nothing = dict.fromkeys(
            ("cycles", "time_us", "speedup", "energy_pj", "energy_gain", "edp_pj_us", "utilization"), float("nan")
        )
        return row | nothing | {"binding": "", "lost_to": "", "lost_share": float("nan"), "note": _notes(layers)}
    cycles, energy = float(ran["cycles"].sum()), float(ran["energy_pj"].sum())
    time_us = cycles / (design.clock_ghz * 1e3)
    baseline_us = float(theirs["cycles"].sum()) / (baseline.clock_ghz * 1e3)
    lost = {name: float((ran[f"{name}_share"] * ran["cycles"]).sum()) / cycles for name in SLOTS if name != "useful"}
    largest = max(lost, key=lambda name: lost[name])
    return row | {
        "cycles": cycles,
        "time_us": time_us,
        "speedup": baseline_us / time_us,
        "energy_pj": energy,
        "energy_gain": float(theirs["energy_pj"].sum()) / energy,
        "edp_pj_us": energy * time_us,
        "utilization": float((ran["utilization"] * ran["cycles"]).sum()) / cycles,
        "binding": str(ran.groupby("binding")["cycles"].sum().idxmax()),
        "lost_to": largest,
        "lost_share": lost[largest],
        "note": _notes(layers),
    }


def _notes(layers: pd.DataFrame) -> str:
    if "note" not in layers:
        return ""
    return "; ".join(dict.fromkeys(note for note in layers["note"].dropna() if note))


def label(name: str) -> str:
    """What a design is called in a figure."""
    base = name.removesuffix(f"_{BUDGET}")
    return LABELS.get(base, base)


def multipliers(design: Architecture) -> int:
    """Multipliers of the chip."""
    return design.components["multiplier"].count


def zero_handling(design: Architecture) -> dict[str, str]:
    """What a design's spec does about zero ``weights`` and ``activations``: ``skipping``, ``gating`` or ``-``."""
    if design.array is not None:
        skipped, gated = set(design.array.template.skips), set(design.array.gated)
    else:
        flow = design.require_accelerator()[1]
        skipped = {"Weights", "Inputs"} if flow.template.compressed else set()
        gated = {"Weights", "Inputs"} if flow.zero_gating else set()
    return {
        name: "skipping" if tensor in skipped else "gating" if tensor in gated else "-"
        for name, tensor in (("weights", "Weights"), ("activations", "Inputs"))
    }


def winners(table: pd.DataFrame) -> pd.DataFrame:
    """The best design of the common budget per network, zeros and measure, how far ahead, and why the next is not.

    Designs that leave out layers of a network compete where nobody runs all of them, or not at all.
    """
    import pandas as pd

    equal = table[(table["multipliers"] == BUDGET) & (table["layers_left_out"] == 0)]
    rows = []
    for (network, zeros), designs in equal.groupby(["network", "zeros"], sort=False):
        for measure, column in _MEASURES.items():
            ranked = designs.sort_values(column, kind="stable")
            best = ranked.iloc[0]
            row = {"network": network, "zeros": zeros, "measure": measure, "winner": best["architecture"]}
            row |= {"winner_binding": best["binding"], "winner_lost_to": best["lost_to"]}
            if len(ranked) > 1:
                second = ranked.iloc[1]
                row |= {
                    "runner_up": second["architecture"],
                    "ahead": float(second[column] / best[column]),
                    "runner_up_lost_to": second["lost_to"],
                    "runner_up_lost_share": second["lost_share"],
                }
            rows.append(row)
    return pd.DataFrame(rows)


def slides_table(architectures: Sequence[Architecture]) -> pd.DataFrame:
    """The table of the SCNN slides from the specs: what each design does about zeros and which dataflow it runs.

    With speed-up and energy gain over DCNN on the convolutions of the paper's networks, at their own densities.
    """
    import pandas as pd

    sweep = Sweep(tuple(architectures), tuple(load_network(name) for name in PAPER_NETWORKS), (OWN_DENSITIES,))
    result = run_sweep(sweep)
    table = comparison_table(architectures, result, result)
    own = table[table["zeros"] == "own"].set_index(["architecture", "network"])
    rows = []
    for design in architectures:
        row: dict[str, object] = {
            "architecture": design.name,
            **zero_handling(design),
            "dataflow": design.dataflow_name,
        }
        row["multipliers"] = multipliers(design)
        for network in PAPER_NETWORKS:
            row[f"speedup_{network}"] = own.loc[(design.name, network), "speedup"]
            row[f"energy_gain_{network}"] = own.loc[(design.name, network), "energy_gain"]
        row["note"] = own.loc[(design.name, PAPER_NETWORKS[0]), "note"]
        rows.append(row)
    return pd.DataFrame(rows)


def write_comparison(
    folder: Path,
    sweep: Sweep,
    comparison: Comparison,
    slides: pd.DataFrame | None,
    command: Sequence[str],
    plots: bool = True,
    formats: Sequence[FigureFormat] = ("png",),
) -> tuple[Path, ...]:
    """Write ``comparison.csv``, ``winners.csv``, ``slides.csv``, the results behind them and the figure."""
    specs = {f"architecture {one.name}": one.digest for one in sweep.architectures}
    specs |= {f"network {one.name}": one.digest for one in sweep.networks}
    specs |= {f"table {name}": digest for one in sweep.architectures for name, digest in table_digests(one).items()}
    tables = {
        "comparison": comparison.table,
        "winners": comparison.winners,
        **({} if slides is None else {"slides": slides}),
        "results": comparison.sparse.results,
        "results_dense": comparison.dense.results,
        "accesses": comparison.sparse.accesses,
    }
    drawn = comparison.table[comparison.table["multipliers"] == BUDGET]
    figures = {}
    if plots and BASELINE in set(drawn["architecture"]):
        labels = {name: label(name) for name in drawn["architecture"].unique()}
        figures["comparison"] = performance_and_energy(drawn, baseline=BASELINE, labels=labels)
    return write_bundle(folder, tables=tables, figures=figures, origin=provenance(command, specs), formats=formats)
