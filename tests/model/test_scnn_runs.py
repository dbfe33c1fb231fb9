"""Cycles of the whole model against runs of a public SCNN simulator (tests/data/scnn_cases.md)."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import mean

import pytest

from timeloop_py.model.evaluate import evaluate
from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.layer import Layer

DATA = Path(__file__).parents[1] / "data" / "scnn_cases.csv"
BARRIERS = {
    "per_group": "cycles_barrier_per_kc_group_noconflict",
    "per_channel": "cycles_barrier_per_channel_noconflict",
}
#: Below, the chance of a single draw of zeros exceeds the model's error (0.1/0.1 on inception_3a/1x1: 1,284 to 1,403
#: cycles over three seeds).
LEAST_CYCLES = 10_000
#: Relative error of the mean over seeds, and of a single run.
MEAN_TOLERANCE = {"per_group": 0.03, "per_channel": 0.02}
ROW_TOLERANCE = 0.06


def runs() -> list[dict[str, str]]:
    with DATA.open(newline="") as file:
        return list(csv.DictReader(file))


@cache
def modelled(barrier: str, layer: Layer) -> float:
    scnn = load_architecture(
        "scnn",
        (
            ("dataflow.tiling", "padded_ceil"),
            ("dataflow.barrier", barrier),
            ("dataflow.bank_contention", "none"),
            ("dataflow.output_channel_group_max", 8),
        ),
    )
    return evaluate(scnn, layer).cycles


def layer_of(run: dict[str, str]) -> Layer:
    stride, padding = int(run["stride"]), int(run["pad"])
    return Layer(
        run["layer"],
        **{name: int(run[name]) for name in ("K", "C", "W", "H", "R", "S", "groups")},
        stride=(stride, stride),
        padding=(padding, padding),
        weight_density=float(run["weight_density"]),
        activation_density=float(run["act_density"]),
    )


@pytest.mark.parametrize("barrier", BARRIERS)
def test_means_over_seeds(barrier: str) -> None:
    groups = defaultdict(list)
    for run in runs():
        groups[layer_of(run)].append(float(run[BARRIERS[barrier]]))
    errors = {
        (layer.name, layer.weight_density): modelled(barrier, layer) / mean(cycles) - 1
        for layer, cycles in groups.items()
        if mean(cycles) > LEAST_CYCLES
    }
    assert len(errors) >= 8
    assert {key: error for key, error in errors.items() if abs(error) > MEAN_TOLERANCE[barrier]} == {}


@pytest.mark.parametrize("barrier", BARRIERS)
def test_single_runs(barrier: str) -> None:
    large = [run for run in runs() if float(run[BARRIERS[barrier]]) > LEAST_CYCLES]
    assert len(large) >= 20
    for run in large:
        assert modelled(barrier, layer_of(run)) == pytest.approx(float(run[BARRIERS[barrier]]), rel=ROW_TOLERANCE)


@pytest.mark.parametrize("barrier", BARRIERS)
def test_dense_runs_are_exact(barrier: str) -> None:
    dense = [run for run in runs() if float(run["weight_density"]) == 1]
    assert len(dense) == 3
    for run in dense:
        assert modelled(barrier, layer_of(run)) == pytest.approx(float(run[BARRIERS[barrier]]), rel=1e-12)


def test_oracle_and_products_match_the_dense_runs() -> None:
    for run in runs():
        if float(run["weight_density"]) < 1:
            continue
        frame = evaluate(load_architecture("scnn"), layer_of(run)).to_frame()
        assert frame["multiplies"][0] == pytest.approx(float(run["cartesian_products"]), rel=1e-12)
        assert frame["useful_multiplies"][0] == pytest.approx(float(run["useful_products"]), rel=1e-12)
        assert frame["oracle_cycles"][0] == pytest.approx(float(run["oracle_cycles"]), abs=0.06)
