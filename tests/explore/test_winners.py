"""Who wins where."""

from __future__ import annotations

import pandas as pd
import pytest

import timeloop_py as tl
from timeloop_py.explore.runner import run_sweep
from timeloop_py.explore.sweep import Sweep, density_points, load_designs
from timeloop_py.explore.winners import winners

GRID = (1.0, 0.8, 0.5, 0.1)


def test_winners_are_the_lowest_values_of_the_frame() -> None:
    designs = [tl.load_architecture(name) for name in ("scnn", "dcnn", "dcnn_opt")]
    frame = tl.explore(designs, tl.load_network("alexnet"), weight_density=GRID, activation_density=GRID)
    table = winners(frame)
    assert len(table) == (5 + 1) * len(GRID) * 3
    for row in table[table["layer"] != "all"].itertuples():
        here = frame[(frame["layer"] == row.layer) & (frame["weight_density"] == row.weight_density)]
        values = here.set_index("architecture")[row.metric]
        assert values[row.winner] == pytest.approx(values.min(), rel=1e-9)
        assert row.advantage == pytest.approx(values[row.runner_up] / values[row.winner])
    network = table[(table["layer"] == "all") & (table["metric"] == "cycles")].set_index("weight_density")["winner"]
    assert network.to_dict() == {1.0: "dcnn", 0.8: "scnn", 0.5: "scnn", 0.1: "scnn"}


def test_a_lone_design_wins_nothing() -> None:
    frame = tl.explore(tl.load_architecture("scnn"), tl.load_network("alexnet"))
    assert winners(frame).empty


def test_best_mappings_never_cost_more_and_say_what_they_are() -> None:
    designs = load_designs(["scnn"], [], "all", left_out=lambda message: None)
    assert len(designs) == 3
    network = tl.load_network("alexnet")
    points = density_points(GRID, GRID)
    fixed = run_sweep(Sweep(designs, (network,), points))
    best = run_sweep(Sweep(designs, (network,), points, "edp"))
    keys = ["architecture", "layer", "weight_density"]
    pd.testing.assert_frame_equal(fixed.results[keys], best.results[keys])
    assert (best.results["edp_pj_cycles"] <= fixed.results["edp_pj_cycles"] * (1 + 1e-9)).all()
    assert best.results["mapping"].str.fullmatch(r"\d+x\d+ PEs, Kc \d+, (in|out)put halos").all()
    energy = best.accesses.groupby(keys, sort=False)["energy_pj"].sum()
    assert energy.to_numpy() == pytest.approx(best.results["energy_pj"].to_numpy())
