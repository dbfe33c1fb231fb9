"""What is simulated of a point: slices of long layers, and enough seeds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from timeloop_py.explore.validation_grid import ValidationPoint
from timeloop_py.explore.validation_runs import LEAST_CHANNELS, Effort, Run, executed, modelled, sliced
from timeloop_py.simulator.api import simulate
from timeloop_py.specs.layer import Layer

LAYER = Layer("conv", K=64, C=96, W=16, H=16, R=3, S=3, padding=(1, 1))
POINT = ValidationPoint("one", "scnn", "net", LAYER.with_densities(0.3, 0.4), "unstructured", (4, 4), (4, 4))


def test_short_layers_stay_whole() -> None:
    (found,) = sliced([POINT], Effort(slots=1e9, cycles=1e9))
    assert found is POINT
    (found,) = sliced([POINT], Effort(slots=1, slices=False))
    assert found is POINT


@pytest.mark.parametrize("effort", [Effort(slots=1e6), Effort(cycles=4e3)], ids=["slots", "cycles"])
def test_long_layers_lose_output_channels_and_then_input_channels(effort: Effort) -> None:
    (found,) = sliced([POINT], effort)
    assert (found.layer.K, found.layer.C) in {(32, 96), (16, 96), (16, 48), (16, 24)}
    assert replace(found.layer, K=64, C=96) == POINT.layer
    assert replace(found, layer=POINT.layer) == POINT
    alone = simulate(found.machine(), found.layer, verify=False)
    assert alone.steps * 16 <= 1.1 * effort.slots
    assert alone.cycles <= 1.1 * effort.cycles
    (twice,) = sliced([found], effort)
    assert twice is found


def test_slices_keep_groups_and_some_channels() -> None:
    grouped = replace(POINT, layer=replace(POINT.layer, groups=2))
    (found,) = sliced([grouped], Effort(slots=1))
    assert (found.layer.K, found.layer.C, found.layer.groups) == (2 * LEAST_CHANNELS, 2 * 24, 2)
    few = replace(POINT, layer=replace(POINT.layer, C=3))
    (found,) = sliced([few], Effort(slots=1))
    assert (found.layer.K, found.layer.C) == (LEAST_CHANNELS, 3)


def test_without_conflicts_every_layer_is_whole() -> None:
    free = POINT.without_conflicts()
    assert sliced([free], Effort(slots=1, cycles=1))[0] is free


def test_seeds_follow_the_scatter() -> None:
    small = replace(LAYER, K=16, C=24)
    exact = executed(replace(POINT, layer=small.with_densities(1, 1)), Effort(seeds=(3, 9)))
    assert len(exact.cycles) == 3
    assert exact.standard_error == 0
    drawn = replace(POINT, layer=small.with_densities(0.3, 0.4))
    assert len(executed(drawn, Effort(seeds=(2, 4), standard_error_percent=1e-9)).cycles) == 4
    run = executed(drawn, Effort(seeds=(2, 30)))
    assert 100 * run.standard_error <= 0.9 * run.mean
    assert 2 <= len(run.cycles) < 30


def test_a_run_is_the_mean_over_its_seeds() -> None:
    results = [simulate(POINT.machine(), POINT.layer, seed=seed, verify=False) for seed in (5, 6, 7)]
    run = executed(POINT, Effort(seeds=(3, 3)), first_seed=5)
    np.testing.assert_array_equal(run.cycles, [result.cycles for result in results])
    assert run.mean == pytest.approx(np.mean([result.cycles for result in results]))
    assert run.standard_error == pytest.approx(np.std(run.cycles, ddof=1) / math.sqrt(3))
    assert run.shares["barrier"] == pytest.approx(np.mean([result.slots.shares()["barrier"] for result in results]))
    assert sum(run.shares.values()) == pytest.approx(1)
    assert math.isnan(Run.of(results[:1]).standard_error)


def test_the_model_of_many_points_is_that_of_each() -> None:
    points = [POINT, replace(POINT, pe_grid=(8, 8)), replace(POINT, architecture="dcnn")]
    together = modelled(points).layer_cycles[:, 0]
    assert together == pytest.approx([float(modelled([each]).layer_cycles[0, 0]) for each in points])
