"""Which points are compared, how a point is judged, and the model against the simulator on a few of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from timeloop_py.explore.cross_validation import (
    SLOTS,
    Limits,
    cross_validate,
    slot_differences,
    summarize,
    validation_figure,
)
from timeloop_py.explore.validation_grid import (
    DENSITIES,
    PE_GRIDS,
    STRUCTURES,
    VECTORS,
    Factors,
    ValidationPoint,
    default_points,
    layers_of,
)
from timeloop_py.model.planar import SLOTS as MODEL_SLOTS
from timeloop_py.simulator.machine import Machine
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network

LAYER = Layer("conv", K=64, C=96, W=16, H=16, R=3, S=3, padding=(1, 1))
POINT = ValidationPoint("one", "scnn", "net", LAYER.with_densities(0.3, 0.4), "unstructured", (4, 4), (4, 4))


class TestGrid:
    def test_the_published_comparison_covers_what_it_promises(self) -> None:
        points = [point for point in default_points() if point.family == "unstructured"]
        assert len(points) >= 200
        assert {point.network for point in points} == {"alexnet", "googlenet", "vgg16"}
        assert {point.pe_grid for point in points} == set(PE_GRIDS) >= {(2, 2), (16, 16)}
        assert {point.vectors for point in points} == set(VECTORS) >= {(2, 2), (16, 16)}
        for tensor in ("weight_density", "activation_density"):
            assert {getattr(point.layer, tensor) for point in points} == set(DENSITIES)
        assert (min(DENSITIES), max(DENSITIES)) == (0.05, 1.0)
        every = layers_of([load_network(name) for name in ("alexnet", "googlenet", "vgg16")])
        assert {(point.network, point.layer.name) for point in points} == {(net, layer.name) for net, layer in every}
        structured = [point for point in default_points() if point.family == "structured"]
        assert {point.zeros for point in structured} == {structure.name for structure in STRUCTURES}

    def test_drawn_points_take_all_levels_equally_often(self) -> None:
        factors = Factors(("scnn",), (("net", LAYER),), (0.1, 0.2, 0.3), DENSITIES, PE_GRIDS, VECTORS)
        points = factors.points(20, "some", seed=3)
        assert len(points) == 20
        assert points == factors.points(20, "some", seed=3) != factors.points(20, "some", seed=4)
        for level in (
            lambda point: point.layer.weight_density,
            lambda point: point.pe_grid,
            lambda point: point.vectors,
        ):
            often = Counter(level(point) for point in points).values()
            assert max(often) - min(often) <= 1

    def test_few_combinations_are_all_taken(self) -> None:
        factors = Factors(("scnn",), (("net", LAYER),), (0.1, 0.2), (0.5,), ((8, 8),), ((4, 4), (2, 2)))
        points = factors.points(100, "all")
        assert len(points) == factors.size == 4
        assert len({(point.layer.weight_density, point.vectors) for point in points}) == 4

    @pytest.mark.parametrize(("vectors", "banks", "entries"), [((4, 4), 32, 32), ((2, 2), 8, 128), ((16, 16), 512, 32)])
    def test_banks_grow_with_the_vectors(self, vectors: tuple[int, int], banks: int, entries: int) -> None:
        machine = Machine.of(replace(POINT, vectors=vectors).machine())
        assert (machine.weight_vector, machine.activation_vector) == vectors
        assert (machine.accumulator_banks, machine.accumulator_entries) == (banks, entries)
        assert (machine.pe_columns, machine.pe_rows) == (4, 4)

    def test_a_setting_of_the_point_comes_first(self) -> None:
        queued = POINT.with_setting("dataflow.bank_contention", "queued")
        assert queued.with_setting("dataflow.bank_contention", "none") == queued


class TestComparison:
    def test_both_sides_name_the_same_causes(self) -> None:
        assert set(MODEL_SLOTS) == {*SLOTS, "memory"}

    def test_a_row_says_what_was_compared(self) -> None:
        seen: list[tuple[int, int]] = []
        frame = cross_validate([POINT], seeds=3, progress=lambda done, total: seen.append((done, total)))
        row = frame.iloc[0]
        assert seen == [(1, 1)]
        assert (row["layer"], row["pe_grid"], row["vectors"], row["seeds"]) == ("conv", "4x4", "4x4", 3)
        assert row["error_percent"] == pytest.approx(100 * (row["model_cycles"] / row["simulated_cycles"] - 1))
        for side in ("model", "simulated"):
            assert sum(row[f"{side}_{cause}_share"] for cause in SLOTS) == pytest.approx(1)
        apart = slot_differences(frame).iloc[0]
        assert row["worst_slot_points"] == pytest.approx(apart[row["worst_slot"]])
        assert abs(row["worst_slot_points"]) == pytest.approx(apart.abs().max())
        # Student's t with two degrees of freedom: 4.30 standard errors.
        assert row["ci95_cycles"] == pytest.approx(
            4.3027 * row["standard_error_percent"] / 100 * row["simulated_cycles"], rel=1e-4
        )

    def test_one_seed_has_no_interval(self) -> None:
        frame = cross_validate([POINT], seeds=1)
        assert np.isnan(frame["ci95_cycles"][0])

    @pytest.mark.parametrize(
        ("dataflow", "architecture"),
        [("pt_is_cp_dense", "scnn"), ("pt_is_cp_sparse", "scnn"), ("pt_is_dp_dense", "dcnn")],
    )
    def test_without_zeros_nothing_differs(self, dataflow: str, architecture: str) -> None:
        layers = [
            LAYER,
            Layer("strided", K=20, C=6, W=23, H=19, R=5, S=3, stride=(2, 3), padding=(1, 0)),
            Layer("grouped", K=24, C=8, W=9, H=30, R=1, S=1, groups=2),
        ]
        settings = (("dataflow.name", dataflow), ("dataflow.bank_contention", "none"))
        frame = cross_validate(
            [
                replace(POINT, layer=layer, architecture=architecture, pe_grid=grid, settings=settings)
                for layer in layers
                for grid in ((2, 2), (8, 8), (4, 16))
            ],
            seeds=2,
        )
        assert frame["error_percent"].abs().max() < 1e-9
        assert frame["worst_slot_points"].abs().max() < 1e-9

    @pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: structure.name)
    def test_structured_zeros(self, structure: object) -> None:
        """Means over seeds of a wide layer, whatever the structure of its zeros."""
        form = next(each for each in STRUCTURES if each is structure)
        layer = form.applied_to(replace(LAYER, K=128), 0.35, 0.4)
        frame = cross_validate([replace(POINT, layer=layer, zeros=form.name)], seeds=8)
        row = frame.iloc[0]
        assert abs(row["error_percent"]) <= 1.0 + 4 * row["standard_error_percent"]
        assert abs(row["worst_slot_points"]) <= 5

    def test_nearly_empty_groups_wait_for_the_drain(self) -> None:
        """The known trouble of maxima of means: VGG's first layer at one tenth of everything."""
        layer = load_network("vgg16").layer("conv1_1").with_densities(0.1, 0.1)
        frame = cross_validate(
            [replace(POINT, layer=layer, pe_grid=(8, 8)).with_setting("dataflow.bank_contention", "none")], seeds=8
        )
        row = frame.iloc[0]
        assert abs(row["error_percent"]) <= 1.0 + 4 * row["standard_error_percent"]
        assert row["model_drain_share"] == pytest.approx(row["simulated_drain_share"], abs=0.03)


def frame_of(errors: list[float], points: list[float]) -> pd.DataFrame:
    rows = []
    for error, slot in zip(errors, points, strict=True):
        row = {
            "family": "made up",
            "error_percent": error,
            "standard_error_percent": 1.0,
            "simulated_cycles": 100.0,
            "model_cycles": 100.0 + error,
            "ci95_cycles": 2.0,
            "worst_slot": "barrier",
            "worst_slot_points": slot,
        }
        shares = {f"{side}_{cause}_share": 0.1 for side in ("model", "simulated") for cause in SLOTS}
        rows.append(row | shares)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("errors", "points", "met"),
    [
        ([0.5, -0.5, 1.0], [1.0, -2.0, 0.0], True),
        ([2.0, -2.0, 1.0], [0.0, 0.0, 0.0], False),  # the mean
        ([0.1] * 18 + [-9.0, 5.0], [0.0] * 20, False),  # the 95th percentile
        ([0.5, -0.5, 1.0], [0.0, -5.5, 0.0], False),  # a cause
    ],
)
def test_limits(errors: list[float], points: list[float], met: bool) -> None:
    (row,) = summarize(frame_of(errors, points)).to_dict("records")
    assert row["met"] is met
    assert row["mean_absolute_error_percent"] == pytest.approx(np.abs(errors).mean())
    assert row["max_absolute_error_percent"] == pytest.approx(np.abs(errors).max())
    assert row["inside_ci95"] == pytest.approx(np.mean(np.abs(errors) <= 2.0))
    assert summarize(frame_of(errors, points), Limits(100, 100, 100))["met"].all()


def test_the_figure_draws_families_and_causes() -> None:
    figure = validation_figure(frame_of([0.5, -1.5], [1.0, -2.0]))
    errors, causes = figure.axes
    assert errors.get_xscale() == "log"
    assert [text.get_text() for text in causes.get_xticklabels()] == [cause.replace("_", " ") for cause in SLOTS]
