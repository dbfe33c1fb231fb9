"""Drawing and writing the figures of a default exploration."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from measure import Measurement, cpu_seconds

from timeloop_py.report.bundle import provenance, write_bundle
from timeloop_py.report.density_plots import density_sensitivity
from timeloop_py.report.energy_plots import energy_breakdown

DESIGNS = {"dcnn": 1.0, "dcnn_opt": 0.8, "scnn": 1.3}
LEVELS = ("dram", "weights", "activations", "multipliers", "accumulators", "crossbar")


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results (57 layers, 10 densities, 3 designs) and accesses (6 levels each) of made-up cost."""
    results = pd.DataFrame(
        [
            (design, "googlenet", f"layer {layer}", n / 10, n / 10, 1e5 * factor * n, 1e7 * factor * n)
            for design, factor in DESIGNS.items()
            for layer in range(57)
            for n in range(1, 11)
        ],
        columns=["architecture", "network", "layer", "weight_density", "activation_density", "cycles", "energy_pj"],
    )
    accesses = pd.concat(
        [results.assign(level=level, energy_pj=results["energy_pj"] / len(LEVELS)) for level in LEVELS]
    )
    return results, accesses


def bench_report() -> Iterator[Measurement]:
    results, accesses = frames()

    def draw_and_write() -> None:
        figures = {
            "density_sensitivity": density_sensitivity(results, baseline="dcnn"),
            "energy_breakdown": energy_breakdown(accesses, baseline="dcnn"),
        }
        tables = {"results": results, "accesses": accesses}
        with tempfile.TemporaryDirectory() as folder:
            write_bundle(Path(folder), tables=tables, figures=figures, origin=provenance([], {}))

    yield Measurement("report: tables and figures of the default explore", cpu_seconds(draw_and_write))
