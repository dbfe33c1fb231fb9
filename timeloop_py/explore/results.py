"""The result folder of a sweep: tables, figures and where they came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from timeloop_py.explore.runner import run_sweep
from timeloop_py.explore.sweep import JobResult, Sweep
from timeloop_py.model.evaluate import OWN_DENSITIES
from timeloop_py.report.bundle import provenance, write_bundle
from timeloop_py.report.density_plots import density_sensitivity
from timeloop_py.report.energy_plots import energy_breakdown
from timeloop_py.report.layer_plots import energy_by_layer, speedup_by_layer, utilization_by_layer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LABELS = {"scnn": "SCNN", "dcnn": "DCNN", "dcnn_opt": "DCNN-opt"}
#: Rows of a design that is limited by its multipliers alone, drawn beside it.
ORACLE = " (oracle)"


def write_results(
    folder: Path, sweep: Sweep, result: JobResult, command: Sequence[str], plots: bool = True
) -> tuple[Path, ...]:
    """Write the tables, the figures and provenance.json; all of them or none.

    ``results.csv``, ``summary.csv`` and ``accesses.csv`` hold the sweep. Where it varies densities,
    ``own_densities.csv`` and the figures per layer hold every layer at the densities of its network file.
    SpecError: the folder cannot be written to.
    """
    specs = {f"architecture {one.name}": one.digest for one in sweep.architectures}
    specs |= {f"network {one.name}": one.digest for one in sweep.networks}
    tables = {"results": result.results, "summary": result.summary, "accesses": result.accesses}
    own = result.results
    if OWN_DENSITIES not in sweep.points:
        own = tables["own_densities"] = run_sweep(replace(sweep, points=(OWN_DENSITIES,))).results
    return write_bundle(
        folder,
        tables=tables,
        figures={**density_figures(result), **layer_figures(own)} if plots else {},
        origin=provenance(command, specs),
    )


def density_figures(result: JobResult) -> dict[str, Figure]:
    """Curves and stacks over density, where the points of the sweep form one path."""
    results = result.results
    layers = results.groupby(["architecture", "network", "layer"], sort=False)
    points = results[["weight_density", "activation_density"]].drop_duplicates()
    shared = bool((layers.size() == len(points)).all())
    varying = [name for name in points.columns if len(set(points[name])) > 1]
    together = bool((points["weight_density"] == points["activation_density"]).all())
    if not shared or len(points) < 2 or (len(varying) > 1 and not together):
        return {}
    labels = _labels(results)
    figures = {"energy_breakdown": energy_breakdown(result.accesses, labels=labels)}
    baseline = _baseline(results)
    figures["density_sensitivity"] = density_sensitivity(results, labels=labels, baseline=baseline)
    return figures


def layer_figures(results: pd.DataFrame) -> dict[str, Figure]:
    """Speed-up and energy per layer over the dense baseline, utilization of every sparse design."""
    figures: dict[str, Figure] = {}
    baseline = _baseline(results)
    if len(results["architecture"].unique()) > 1:
        labels = _labels(results)
        oracle = _with_oracle(results)
        figures["speedup_by_layer"] = speedup_by_layer(oracle, baseline=baseline, labels=_labels(oracle), group=_module)
        figures["energy_by_layer"] = energy_by_layer(results, baseline=baseline, labels=labels, group=_module)
    for design in results.loc[results["oracle_cycles"].notna(), "architecture"].unique():
        frame = results.assign(barrier_cycles=results["barrier_share"] * results["cycles"])
        name = f"utilization_{_file_name(design)}"
        figures[name] = utilization_by_layer(frame, design=design, labels=_labels(results), group=_module)
    return figures


def _baseline(results: pd.DataFrame) -> str:
    """The design that others are compared with: DCNN where it is there, else the first dense one, else the first."""
    names = [str(name) for name in results["architecture"].unique()]
    dense = [str(name) for name in results.loc[results["oracle_cycles"].isna(), "architecture"].unique()]
    return "dcnn" if "dcnn" in names else (dense or names)[0]


def _with_oracle(results: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    sparse = results[results["oracle_cycles"].notna()]
    names = [LABELS.get(name, name) + ORACLE for name in sparse["architecture"]]
    oracle = sparse.assign(architecture=names, cycles=sparse["oracle_cycles"])
    return pd.concat([results, oracle], ignore_index=True)


def _labels(results: pd.DataFrame) -> dict[str, str]:
    return {str(name): LABELS.get(str(name), str(name)) for name in results["architecture"].unique()}


def _module(layer: str) -> str:
    """Layers of one module (``inception_3a/1x1``) are drawn together."""
    return layer.split("/")[0]


def _file_name(design: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", design).strip("_")
