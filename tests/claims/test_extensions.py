"""Sensitivities and SCNN's design space."""

import numpy as np
import pytest

from timeloop_py.claims.scnn import design_space, sensitivity
from timeloop_py.claims.scnn.runs import Runs
from timeloop_py.model.evaluate import evaluate


@pytest.fixture(scope="module")
def table(runs):
    return sensitivity.sensitivities(runs)


def test_elasticities_of_a_ratio_of_energies_add_up_to_zero(table) -> None:
    # A ratio of energies does not change when every energy is multiplied by the same factor; nor does a crossing.
    sums = table.groupby("claim")["elasticity"].sum()
    assert np.allclose(sums, 0, atol=2e-3)


def test_gating_needs_multipliers(table) -> None:
    opt = table[table["claim"] == "F10-opt"].set_index("event")
    assert opt.loc["multiplier.multiply", "elasticity"] > 0
    assert opt.loc["multiplier.gated", "elasticity"] < 0
    assert opt.loc["crossbar.transfer", "elasticity"] == 0  # neither dense design has a crossbar


def test_ends_of_a_range_frame_the_value(table) -> None:
    assert (table["low_pj"] <= table["value_pj"]).all()
    assert (table["value_pj"] <= table["high_pj"]).all()


def test_swings_put_the_most_moving_event_first(table) -> None:
    grid = sensitivity.swings(table)
    largest = grid.abs().max(axis=1)
    assert largest.is_monotonic_decreasing
    assert grid.shape == (table["event"].nunique(), table["claim"].nunique())


def test_every_design_has_the_multipliers_and_the_papers_is_among_them() -> None:
    points = list(design_space.design_points())
    assert design_space.PAPER in points
    assert len(points) == len(set(points))
    for point in points:
        assert point.pe_grid[0] * point.pe_grid[1] * point.weights * point.activations == 1024


def test_settings_of_the_papers_point_change_nothing(runs: Runs) -> None:
    scnn = runs.designs["scnn"]
    again = runs.design("scnn", design_space.PAPER.settings(scnn))
    assert again.parameters == scnn.parameters
    assert again.dataflow == scnn.dataflow


def test_search_reports_what_an_evaluation_gives(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(design_space, "PE_GRIDS", ((8, 8),))
    monkeypatch.setattr(design_space, "OUTPUT_CHANNEL_GROUPS", (8, 32))
    monkeypatch.setattr(design_space, "RAM_FACTORS", (0.5, 1.0))
    frame = design_space.search(runs)
    chosen = design_space.Point((8, 8), 8, 2, 2, 1.0, 32)
    row = frame[(frame["design"] == chosen.name) & (frame["network"] == "GoogLeNet")].iloc[0]
    alone = evaluate(runs.design("scnn", chosen.settings(runs.designs["scnn"])), runs.networks["GoogLeNet"])
    assert row["cycles"] == pytest.approx(alone.cycles)
    assert row["energy_pj"] == pytest.approx(alone.energy_pj)
    assert row["area_mm2"] == pytest.approx(alone.area_mm2)
    paper = frame[frame["paper"]]
    assert len(paper) == 4
    assert np.allclose(paper[["cycles_ratio", "energy_ratio"]], 1)
    together = frame[frame["network"] == design_space.ALL].set_index("design").loc[chosen.name]
    parts = frame[(frame["design"] == chosen.name) & (frame["network"] != design_space.ALL)]
    assert together["energy_ratio"] == pytest.approx(np.exp(np.log(parts["energy_ratio"]).mean()))
