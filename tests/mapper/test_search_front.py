"""Pareto fronts against plain enumeration."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

import timeloop_py as tl
from tests.mapper.plain import TooManyError, all_costs
from tests.mapper.problems import random_mapspace
from timeloop_py.mapper.hierarchy_search import HierarchySearch
from timeloop_py.mapper.objective import METRICS, Measure, parse_objective
from timeloop_py.mapper.pareto import (
    FrontPoint,
    enumerated_front,
    front_metrics,
    non_dominated_pairs,
    outer_metrics,
    walked_front,
)
from timeloop_py.mapper.planar_mappings import mapping_space
from timeloop_py.mapper.planar_search import search_planar
from timeloop_py.model.evaluate import evaluate, network_of
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

#: Mappings of a space that a test enumerates.
MOST = 20_000


def front_of(metrics: tuple[str, ...], energy: np.ndarray, cycles: np.ndarray) -> set[tuple[float, ...]]:
    """By definition: values that no other values are below, in as many metrics as there are."""
    values = np.stack([METRICS[name](energy, cycles) for name in metrics], axis=1)
    values = np.unique(values.round(9), axis=0)
    return {
        tuple(row) for row in values.tolist() if not ((values <= row).all(axis=1) & (values < row).any(axis=1)).any()
    }


def close(found: set[tuple[float, ...]], expected: set[tuple[float, ...]]) -> bool:
    return len(found) == len(expected) and np.allclose(sorted(found), sorted(expected), rtol=1e-9)


ALL_METRICS = [
    ("energy_pj", "cycles"),
    ("edp_pj_cycles", "energy_pj"),
    ("cycles", "ed2p_pj_cycles2"),
    ("energy_pj", "edp_pj_cycles", "ed2p_pj_cycles2"),
    ("energy_pj", "cycles", "edp_pj_cycles"),
]


@pytest.mark.parametrize("seed", range(12))
def test_the_front_of_a_small_mapspace(seed: int) -> None:
    space = random_mapspace(seed, imperfect=False)
    try:
        costs = all_costs(space, MOST)
    except TooManyError:
        pytest.skip("too many mappings to enumerate")
    metrics = ALL_METRICS[seed % len(ALL_METRICS)]
    search = HierarchySearch(space, math.inf)
    if not len(costs["cycles"]):
        assert search.best(parse_objective("energy")).nothing_fits
        return
    front = search.front(metrics)
    assert front.complete
    assert all(point.proven for point in front.points)
    found = {tuple(float(METRICS[name](p.energy_pj, p.cycles)) for name in metrics) for p in front.points}
    assert close(found, front_of(metrics, costs["energy_pj"], costs["cycles"]))
    first = [METRICS[metrics[0]](point.energy_pj, point.cycles) for point in front.points]
    assert first == sorted(first)


@pytest.mark.parametrize("metrics", ALL_METRICS, ids="-".join)
def test_two_metrics_decide_all(metrics: tuple[str, ...]) -> None:
    """Of random points, the walk over the two outer metrics gives the front in all."""
    rng = np.random.default_rng(len("".join(metrics)))
    energy, cycles = rng.integers(1, 40, 200).astype(float), rng.integers(1, 40, 200).astype(float)
    asked = 0

    def least(measure: Measure, limits: tuple[tuple[Measure, float], ...]) -> FrontPoint[int]:
        nonlocal asked
        asked += 1
        cost = measure.value(energy, cycles)
        for other, limit in limits:
            cost = np.where(other.value(energy, cycles) <= limit, cost, np.inf)
        index = int(np.argmin(cost))
        return FrontPoint(index, float(energy[index]), float(cycles[index]), proven=True)

    expected = front_of(metrics, energy, cycles)
    points = [FrontPoint(index, float(energy[index]), float(cycles[index]), True) for index in range(len(energy))]
    for front in (walked_front(metrics, least), enumerated_front(metrics, points)):
        assert front.complete
        found = {tuple(float(METRICS[name](p.energy_pj, p.cycles)) for name in metrics) for p in front.points}
        assert close(found, expected)
    assert asked >= len(expected)


def test_a_walk_that_time_ends() -> None:
    answers = iter([FrontPoint("end", 9.0, 1.0, True), FrontPoint("first", 1.0, 9.0, True), None])
    front = walked_front(("energy_pj", "cycles"), lambda *_: next(answers))
    assert not front.complete
    assert [point.mapping for point in front.points] == ["first", "end"]
    unproven = iter([FrontPoint("end", 9.0, 1.0, True), FrontPoint("first", 2.0, 9.0, False)])
    front = walked_front(("energy_pj", "cycles"), lambda *_: next(unproven))
    assert not front.complete
    assert [(point.mapping, point.proven) for point in front.points] == [("first", False), ("end", True)]


def test_a_search_without_time_has_no_front() -> None:
    space = random_mapspace(0, imperfect=False)
    front = HierarchySearch(space, time.monotonic() - 1).front(("energy_pj", "cycles"))
    assert not front.complete
    assert not front.points


def test_pairs() -> None:
    first, second = [3, 1, 1, 2, 2, 9], [1, 5, 5, 7, 4, 1]
    assert list(non_dominated_pairs(first, second)) == [1, 4, 0]
    assert list(non_dominated_pairs([], [])) == []


def test_metrics_by_name() -> None:
    assert front_metrics("energy,cycles") == ("energy_pj", "cycles")
    assert front_metrics(["edp", "energy_pj", "edp"]) == ("edp_pj_cycles", "energy_pj")
    assert [str(one) for one in outer_metrics(("cycles", "edp_pj_cycles", "energy_pj"))] == ["energy_pj", "cycles"]
    for wrong in ("cycles", "cycles,cycles", "cycles,power"):
        with pytest.raises(SpecError):
            front_metrics(wrong)


@pytest.mark.parametrize("name", ["scnn", "dcnn"])
def test_the_front_of_a_planar_mapspace(name: str) -> None:
    layer = Layer("odd", K=13, C=5, W=9, H=6, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.5)
    architecture = tl.load_architecture(name)
    designs = [mapping.applied_to(architecture) for mapping in mapping_space(architecture, layer)]
    each = evaluate(designs, layer)
    energy, cycles = each.layer_energy_pj[:, 0], each.layer_cycles[:, 0]
    metrics = ("energy_pj", "cycles")
    found = search_planar(architecture, network_of(layer), layer, (None, None), parse_objective("edp"), metrics)
    assert found.front is not None
    assert close({(p.energy_pj, p.cycles) for p in found.front.points}, front_of(metrics, energy, cycles))
    assert found.evaluation.energy_pj * found.evaluation.cycles == pytest.approx((energy * cycles).min(), rel=1e-9)
