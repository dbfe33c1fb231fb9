"""The model against the simulator on a few points, and how families of points are judged."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from timeloop_py.explore.cross_validation import (
    SLOTS,
    Limits,
    cross_validate,
    families_figure,
    points_figure,
    slot_differences,
    summarize,
    write_validation,
)
from timeloop_py.explore.validation_families import STRUCTURES
from timeloop_py.explore.validation_grid import ValidationPoint
from timeloop_py.explore.validation_runs import Effort
from timeloop_py.simulator.result import Slots
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network

LAYER = Layer("conv", K=64, C=96, W=16, H=16, R=3, S=3, padding=(1, 1))
POINT = ValidationPoint("one", "scnn", "net", LAYER.with_densities(0.3, 0.4), "unstructured", (4, 4), (4, 4))


def seeds(count: int) -> Effort:
    return Effort(seeds=(count, count))


class TestComparison:
    def test_both_sides_name_the_same_causes(self) -> None:
        assert {cause.name for cause in fields(Slots)} == set(SLOTS)

    def test_a_row_says_what_was_compared(self) -> None:
        seen: list[tuple[int, int]] = []
        frame = cross_validate([POINT], seeds(3), progress=lambda done, total: seen.append((done, total)))
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
        frame = cross_validate([POINT], seeds(1))
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
            seeds(2),
        )
        assert frame["error_percent"].abs().max() < 1e-9
        assert frame["worst_slot_points"].abs().max() < 1e-9

    @pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: structure.name)
    def test_structured_zeros(self, structure: object) -> None:
        """Means over seeds of a wide layer, whatever the structure of its zeros."""
        form = next(each for each in STRUCTURES if each is structure)
        layer = form.applied_to(replace(LAYER, K=128), 0.35, 0.4)
        frame = cross_validate([replace(POINT, layer=layer, zeros=form.name)], seeds(8))
        row = frame.iloc[0]
        assert abs(row["error_percent"]) <= 1.0 + 4 * row["standard_error_percent"]
        assert abs(row["worst_slot_points"]) <= 5

    def test_nearly_empty_groups_wait_for_the_drain(self) -> None:
        """The known trouble of maxima of means: VGG's first layer at one tenth of everything."""
        layer = load_network("vgg16").layer("conv1_1").with_densities(0.1, 0.1)
        frame = cross_validate([replace(POINT, layer=layer, pe_grid=(8, 8)).without_conflicts()], seeds(8))
        row = frame.iloc[0]
        assert abs(row["error_percent"]) <= 1.0 + 4 * row["standard_error_percent"]
        assert row["model_drain_share"] == pytest.approx(row["simulated_drain_share"], abs=0.03)


def frame_of(errors: list[float], points: list[float]) -> pd.DataFrame:
    rows = []
    for error, slot in zip(errors, points, strict=True):
        row = {
            "family": "made up",
            "architecture": "scnn",
            "sliced": False,
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


def test_a_point_without_a_number_is_not_left_out() -> None:
    frame = frame_of([0.1] * 99 + [np.nan], [0.0] * 100)
    (row,) = summarize(frame).to_dict("records")
    assert row["met"] is False
    assert row["max_absolute_error_percent"] == row["mean_absolute_error_percent"] == np.inf
    (ax,) = families_figure(frame).axes
    assert np.isfinite(ax.get_ylim()).all()


def test_the_figures_draw_causes_and_families() -> None:
    frame = frame_of([0.5, -1.5], [1.0, -2.0])
    errors, causes = points_figure(frame).axes
    assert errors.get_xscale() == "log"
    assert [text.get_text() for text in causes.get_xticklabels()] == [cause.replace("_", " ") for cause in SLOTS]
    (families,) = families_figure(pd.concat([frame, frame.assign(family="other")])).axes
    assert [text.get_text() for text in families.get_xticklabels()] == ["made up", "other"]


def test_families_are_judged_apart() -> None:
    frame = pd.concat([frame_of([0.5], [1.0]), frame_of([9.0], [1.0]).assign(family="other", sliced=True)])
    summary = summarize(frame).set_index("family")
    assert summary["met"].to_dict() == {"made up": True, "other": False}
    assert summary["sliced"].to_dict() == {"made up": 0, "other": 1}


def test_a_folder_holds_tables_figures_and_provenance(tmp_path: Path) -> None:
    written = write_validation(tmp_path, frame_of([0.5], [1.0]), ["timeloop-py"], {"first_seed": 4})
    names = {path.name for path in written}
    assert names == {
        *("cross_validation.csv", "summary.csv", "provenance.json"),
        *(f"{name}.{ending}" for name in ("cross_validation", "families") for ending in ("png", "pdf")),
    }
    assert '"first_seed": 4' in (tmp_path / "provenance.json").read_text()
    assert len(pd.read_csv(tmp_path / "cross_validation.csv")) == 1
