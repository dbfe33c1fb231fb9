"""The result folder of a sweep: tables, figures and where they came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from timeloop_py.explore.runner import run_sweep
from timeloop_py.explore.sweep import JobResult, Sweep, table_digests
from timeloop_py.explore.winners import winners
from timeloop_py.model.evaluate import OWN_DENSITIES
from timeloop_py.report.bundle import provenance, write_bundle
from timeloop_py.report.density_plots import density_sensitivity
from timeloop_py.report.energy_plots import energy_breakdown
from timeloop_py.report.layer_plots import energy_by_layer, speedup_by_layer, utilization_by_layer
from timeloop_py.report.style import FigureFormat
from timeloop_py.report.winner_plots import winner_map

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LABELS = {"scnn": "SCNN", "dcnn": "DCNN", "dcnn_opt": "DCNN-opt"}
#: Rows of a design that is limited by its multipliers alone, drawn beside it.
ORACLE = " (oracle)"


def write_results(
    folder: Path,
    sweep: Sweep,
    result: JobResult,
    command: Sequence[str],
    plots: bool = True,
    formats: Sequence[FigureFormat] = ("png",),
) -> tuple[Path, ...]:
    """Write the tables, the figures and provenance.json; all of them or none.

    ``results.csv``, ``summary.csv`` and ``accesses.csv`` hold the sweep, ``winners.csv`` the best design per layer and
    point where there are several. Where it varies densities,
    ``own_densities.csv`` and the figures per layer hold every layer at the densities of its network file.
    SpecError: the folder cannot be written to.
    """
    specs = {f"architecture {one.name}": one.digest for one in sweep.architectures}
    specs |= {f"network {one.name}": one.digest for one in sweep.networks}
    specs |= {f"table {name}": digest for one in sweep.architectures for name, digest in table_digests(one).items()}
    tables = {"results": result.results, "summary": result.summary, "accesses": result.accesses}
    own = result.results
    if OWN_DENSITIES not in sweep.points:
        own = tables["own_densities"] = run_sweep(replace(sweep, points=(OWN_DENSITIES,))).results
    if len(sweep.architectures) > 1:
        tables["winners"] = winners(result.results)
    figures = {**density_figures(result, tables.get("winners")), **layer_figures(own)} if plots else {}
    return write_bundle(
        folder,
        tables=tables,
        figures=figures,
        origin=provenance(command, specs),
        formats=formats,
    )


def density_figures(result: JobResult, best: pd.DataFrame | None = None) -> dict[str, Figure]:
    """Curves, stacks and winners over density, where the points of the sweep form one path.

    Of designs that run every layer: the sums of others would be those of less work.
    """
    designs = _complete(result.results)
    results, accesses = (frame[frame["architecture"].isin(designs)] for frame in (result.results, result.accesses))
    layers = results.groupby(["architecture", "network", "layer"], sort=False)
    points = results[["weight_density", "activation_density"]].drop_duplicates()
    shared = bool((layers.size() == len(points)).all())
    varying = [name for name in points.columns if len(set(points[name])) > 1]
    together = bool((points["weight_density"] == points["activation_density"]).all())
    if not designs or not shared or len(points) < 2 or (len(varying) > 1 and not together):
        return {}
    labels = _labels(results)
    figures = {"energy_breakdown": energy_breakdown(accesses, labels=labels)}
    baseline = _baseline(results)
    figures["density_sensitivity"] = density_sensitivity(results, labels=labels, baseline=baseline)
    if best is not None and not best.empty:
        named = _labels(result.results)
        figures["winners"] = winner_map(best, metric="edp_pj_cycles", labels=named, baseline=baseline)
    return figures


def layer_figures(results: pd.DataFrame) -> dict[str, Figure]:
    """Speed-up and energy per layer over the dense baseline, utilization of every sparse design."""
    figures: dict[str, Figure] = {}
    baseline = _baseline(results)
    if len(results["architecture"].unique()) > 1:
        labels = _labels(results)
        faster = _with_oracle(_of_other_cycles(results, baseline))
        if len(faster["architecture"].unique()) > 1:
            figures["speedup_by_layer"] = speedup_by_layer(
                faster, baseline=baseline, labels=_labels(faster), group=_module
            )
        figures["energy_by_layer"] = energy_by_layer(results, baseline=baseline, labels=labels, group=_module)
    for design in results.loc[results["oracle_cycles"].notna(), "architecture"].unique():
        frame = results.assign(barrier_cycles=results["barrier_share"] * results["cycles"])
        name = f"utilization_{_file_name(design)}"
        figures[name] = utilization_by_layer(frame, design=design, labels=_labels(results), group=_module)
    return figures


def _baseline(results: pd.DataFrame) -> str:
    """The design that others are compared with: DCNN or a variant of it, else the first dense one, else the first."""
    names = _complete(results) or [str(name) for name in results["architecture"].unique()]
    sparse = set(results.loc[results["oracle_cycles"].notna(), "architecture"])
    dense = [name for name in names if name not in sparse]
    return next((name for name in dense if _base(name) == "dcnn"), (dense or names)[0])


def _complete(results: pd.DataFrame) -> list[str]:
    """Designs that have a result in every layer of every network."""
    missing = set(results.loc[results["cycles"].isna(), "architecture"])
    return [str(name) for name in results["architecture"].unique() if name not in missing]


def layers_left_out(result: JobResult) -> list[str]:
    """Which designs do not run all layers of a network, and why: a sentence for each."""
    if "note" not in result.results:
        return []
    rows = result.results[result.results["note"].fillna("") != ""]
    keys = ["architecture", "network", "note"]
    counts = rows.groupby(keys, sort=False)["layer"].nunique().reset_index()
    return [
        f"{design} leaves {count} layer{'s' * (count > 1)} of {network} out ({reason}): it is not in the figures of "
        "whole networks"
        for design, network, reason, count in counts.itertuples(index=False)
    ]


def _of_other_cycles(results: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Without designs that take the cycles of the baseline in every layer (DCNN-opt's are DCNN's)."""
    cycles = results.pivot(index=["network", "layer"], columns="architecture", values="cycles")
    same = [name for name in cycles if name != baseline and (cycles[name] == cycles[baseline]).all()]
    return results[~results["architecture"].isin(same)]


def _with_oracle(results: pd.DataFrame) -> pd.DataFrame:
    """With rows of the oracle of every sparse design, once for variants that share it."""
    import pandas as pd

    sparse = results[results["oracle_cycles"].notna()]
    oracles: dict[str, pd.DataFrame] = {}
    for name, rows in sparse.groupby("architecture", sort=False):
        cycles, shared = rows["oracle_cycles"], oracles.get(_base(str(name)))
        design = _base(str(name)) if shared is None or list(shared["cycles"]) == list(cycles) else str(name)
        if design not in oracles:
            oracles[design] = rows.assign(architecture=design + ORACLE, cycles=cycles)
    return pd.concat([results, *oracles.values()], ignore_index=True)


def _labels(results: pd.DataFrame) -> dict[str, str]:
    """What designs are called in figures: ``scnn[barrier=none]`` is ``SCNN, barrier=none``."""
    return {str(name): _label(str(name)) for name in results["architecture"].unique()}


def _label(design: str) -> str:
    base = _base(design)
    settings = design.removeprefix(base).removesuffix(ORACLE)
    shown = re.sub(r"dataflow=(\w+)", lambda found: _published_name(found[1]), settings.strip("[]"))
    parts = [LABELS.get(base, base), *(part for part in shown.split(",") if part)]
    return ", ".join(parts) + (ORACLE if ORACLE in design else "")


def _published_name(dataflow: str) -> str:
    """``pt_is_cp_sparse`` as papers write it: ``PT-IS-CP-sparse``."""
    parts = dataflow.split("_")
    return "-".join(part if part in ("dense", "sparse") else part.upper() for part in parts)


def _base(design: str) -> str:
    """The name of a design without what tells it from its variants."""
    return re.split(r"[\[ ]", design)[0]


def _module(layer: str) -> str:
    """Layers of one module (``inception_3a/1x1``) are drawn together."""
    return layer.split("/")[0]


def _file_name(design: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", design).strip("_")
