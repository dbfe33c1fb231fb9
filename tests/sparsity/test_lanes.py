"""Lanes against sampling: real zeros, real waiting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.sparsity.lanes import (
    FiberRule,
    entries,
    fiber_pmf,
    waiting_at_end,
    waiting_each,
    waiting_in_queue,
)
from timeloop_py.tensors.density import Bernoulli, mean_and_variance
from timeloop_py.tensors.run_length import occupied

Integers = np.ndarray


def worked_off(mask: np.ndarray, rule: FiberRule) -> int:
    """Cycles of one fiber, window by window."""
    window = rule.window or len(mask)
    stored = mask if rule.run_bits is None else occupied(mask, rule.run_bits)
    cycles = 0
    for start in range(0, len(mask), window):
        cycles += max(rule.least, -(-int(stored[start : start + window].sum()) // rule.vector))
    return cycles


@settings(max_examples=60)
@given(st.integers(1, 5), st.integers(0, 4), st.integers(1, 3), st.sampled_from([0, 1]), st.floats(0.05, 1.0))
def test_a_fiber_against_every_arrangement_of_its_zeros(
    length: int, window: int, vector: int, least: int, density: float
) -> None:
    rule = FiberRule(vector, window, least)
    expected: dict[int, float] = {}
    for arrangement in range(2**length):
        mask = np.array([arrangement >> place & 1 for place in range(length)], dtype=bool)
        chance = density ** mask.sum() * (1 - density) ** (~mask).sum()
        cycles = worked_off(mask, rule)
        expected[cycles] = expected.get(cycles, 0.0) + chance
    pmf = fiber_pmf(length, Bernoulli(density), rule)
    for cycles, chance in expected.items():
        assert pmf[cycles] == pytest.approx(chance, abs=1e-12)
    assert pmf.sum() == pytest.approx(1)


def test_placeholders_take_their_turn() -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((20_000, 64)) < 0.09
    rule = FiberRule(run_bits=4)
    drawn = [worked_off(mask, rule) for mask in masks]
    mean, variance = mean_and_variance(fiber_pmf(64, Bernoulli(0.09), rule))
    assert mean == pytest.approx(np.mean(drawn), rel=0.01)
    assert variance == pytest.approx(np.var(drawn), rel=0.03)
    stored = [occupied(mask, 4).sum() for mask in masks]
    assert entries(64, Bernoulli(0.09), 4) == pytest.approx(np.mean(stored), rel=0.01)


@pytest.mark.parametrize(("length", "vector", "window"), [(144, 1, 16), (2304, 16, 256), (64, 1, 0), (100, 16, 256)])
def test_a_dense_fiber_takes_the_dense_time(length: int, vector: int, window: int) -> None:
    pmf = fiber_pmf(length, Bernoulli(1.0), FiberRule(vector, window))
    assert pmf[-(-length // vector)] == 1.0


def test_more_density_is_never_quicker() -> None:
    rule = FiberRule(16, 256)
    means = [mean_and_variance(fiber_pmf(2304, Bernoulli(density), rule))[0] for density in np.linspace(0.02, 1, 30)]
    assert np.all(np.diff(means) > 0)


def test_an_index_window_bounds_the_gain() -> None:
    mean, _ = mean_and_variance(fiber_pmf(2560, Bernoulli(0.001), FiberRule(16, 256)))
    assert mean == pytest.approx(10, rel=0.01)  # ten windows, a cycle each


def test_the_slowest_of_unequal_lanes_against_sampling() -> None:
    rng = np.random.default_rng(2)
    rule = FiberRule(1, 16)
    lanes = [(63, 10), (54, 6)]
    masks = [rng.random((4000, count, length)) < 0.4 for length, count in lanes]
    slowest = [
        max(worked_off(lane, rule) for group in masks for lane in group[draw]) for draw in range(masks[0].shape[0])
    ]
    fibers = [(fiber_pmf(length, Bernoulli(0.4), rule), count) for length, count in lanes]
    assert waiting_each(fibers) == pytest.approx(np.mean(slowest), rel=0.005)


def queue_simulation(work: np.ndarray, depth: int) -> float:
    """Cycles per fiber of lanes whose next fiber is handed out when each has finished the ``depth``-th before it."""
    fibers, lanes = work.shape
    done = np.zeros(lanes)
    finished = np.zeros((fibers, lanes))
    handed = -1.0
    for fiber in range(fibers):
        handed = max(handed + 1, finished[fiber - depth].max() if fiber >= depth else 0.0)
        done = np.maximum(done, handed) + work[fiber]
        finished[fiber] = done
    return float(done.max()) / fibers


@pytest.mark.parametrize("depth", [2, 4, 8, 16])
@pytest.mark.parametrize(
    ("length", "density", "lanes"), [(64, 0.09, 64), (16, 0.25, 64), (137, 0.11, 64), (64, 0.09, 4)]
)
def test_a_queue_against_simulation(length: int, density: float, lanes: int, depth: int) -> None:
    rng = np.random.default_rng(3)
    work = np.maximum(rng.binomial(length, density, size=(4000, lanes)), 1)
    modelled = waiting_in_queue(float(work.mean()), float(work.var()), lanes, depth)
    assert modelled == pytest.approx(queue_simulation(work, depth), rel=0.04)


def test_a_deeper_queue_never_costs() -> None:
    cycles = [waiting_in_queue(5.76, 5.2, 64, depth) for depth in (2, 4, 8, 16, 64, 1024)]
    assert np.all(np.diff(cycles) < 0)
    assert cycles[-1] == pytest.approx(5.76, rel=1e-3)


def test_without_zeros_nobody_waits() -> None:
    assert waiting_in_queue(64.0, 0.0, 64, 8) == 64.0
    assert waiting_at_end(9.0, 0.0, 16, 24, 169) == 9.0 * 24 * 169


def test_waiting_at_the_end_against_sampling() -> None:
    rng = np.random.default_rng(4)
    rule = FiberRule(16, 256)
    mean, variance = mean_and_variance(fiber_pmf(2304, Bernoulli(0.35), rule))
    drawn = rng.choice(1000, size=(3000, 16, 24), p=_padded(fiber_pmf(2304, Bernoulli(0.35), rule)))
    assert waiting_at_end(mean, variance, 16, 24, 169) == pytest.approx(
        169 * drawn.sum(axis=2).max(axis=1).mean(), rel=0.002
    )


def _padded(pmf: np.ndarray) -> np.ndarray:
    padded = np.zeros(1000)
    padded[: pmf.size] = pmf
    return padded / padded.sum()


def test_depth_one_is_refused() -> None:
    with pytest.raises(ValueError, match="waiting_each"):
        waiting_in_queue(1.0, 1.0, 4, 1)
