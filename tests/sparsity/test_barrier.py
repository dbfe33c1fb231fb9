"""Barriers against recorded runs of a public cycle simulator, sampled PEs, and the laws that tie them together."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.sparsity import barrier
from timeloop_py.sparsity.fragmentation import Moments, activation_vectors, group_steps, weight_vectors
from timeloop_py.tensors.density import Bernoulli, Fixed, Hypergeometric
from timeloop_py.tensors.structured import BlockStructured, WholeChannel

# Recorded runs: 8x8 PEs of 4x4 multipliers, Kc 8, tiles over the padded plane rounded up; see scnn_cases.md.
CASES = list(csv.DictReader((Path(__file__).parents[1] / "data" / "scnn_cases.csv").read_text().splitlines()))


def real_positions(plane: int, padding: int, grid: int = 8) -> np.ndarray:
    """Positions of the unpadded plane in each column: the padded plane is rounded up to the grid and cut evenly."""
    side = -(-(plane + 2 * padding) // grid)
    real = np.zeros(side * grid)
    real[padding : padding + plane] = 1
    return real.reshape(grid, side).sum(axis=1)


def modelled(case):
    """(steps of all PEs, cycles with a barrier per group, per channel) of one row."""
    number = {key: int(case[key]) for key in ("C", "W", "H", "R", "S", "pad", "kc_groups", "Kc")}
    tiles = np.outer(real_positions(number["W"], number["pad"]), real_positions(number["H"], number["pad"]))
    sizes, counts = np.unique(tiles, return_counts=True)
    activations = Bernoulli(float(case["act_density"]))
    weights = weight_vectors(number["Kc"] * number["R"] * number["S"], Bernoulli(float(case["weight_density"])), 4)
    steps = group_steps(number["C"], weights, activation_vectors(sizes, activations, 4))
    groups = number["kc_groups"]
    return (
        groups * float(np.sum(steps.mean * counts)),
        groups * float(barrier.per_group(number["C"], weights, sizes, counts, activations, 4)),
        groups * float(barrier.per_channel(number["C"], weights, sizes, counts, activations, 4)),
    )


COLUMNS = (
    "multiplier_steps_sum",
    "cycles_barrier_per_kc_group_noconflict",
    "cycles_barrier_per_channel_noconflict",
)


def by_layer_and_density():
    runs = defaultdict(list)
    for case in CASES:
        runs[case["layer"], case["weight_density"], case["act_density"]].append(case)
    return list(runs.values())


@pytest.mark.parametrize(
    "runs", by_layer_and_density(), ids=lambda runs: f"{runs[0]['layer']} {runs[0]['act_density']}"
)
def test_recorded_runs(runs):
    """Means over seeds: per group within 3%, per channel within 2%, single rows within 6%, where cycles are many.

    Below 10,000 cycles a layer is one draw of a few thousand weights; there, only the order is checked.
    """
    measured = np.array([[float(case[column]) for column in COLUMNS] for case in runs])
    model = np.array(modelled(runs[0]))
    error = np.abs(measured.mean(axis=0) / model - 1)
    many = measured.mean(axis=0) > np.array([10_000 * 64, 10_000, 10_000])  # steps are a sum over 64 PEs
    assert np.all(error[many] <= np.array([0.02, 0.03, 0.02])[many])
    assert np.all(error <= 0.04)
    rows = np.abs(measured / model - 1)
    assert np.all(rows[:, many] <= 0.06)
    if float(runs[0]["act_density"]) == 1:
        np.testing.assert_array_equal(measured[0], model)


def test_there_are_recorded_runs_of_every_kind():
    assert len(CASES) == 39
    assert {float(case["act_density"]) for case in CASES} == {0.1, 0.2, 0.4, 0.5, 1.0}


def sampled_groups(C, block, sizes, counts, zeros, lanes, groups=400, seed=0):
    """Steps of every PE in many groups: (groups, channels, PEs) of A_c * W_c with weights broadcast."""
    rng = np.random.default_rng(seed)

    def vectors(n, shape):
        pmf = zeros.occupancy_pmf(n)
        return -(-rng.choice(pmf.size, shape, p=pmf) // lanes)

    tiles = [vectors(int(n), (groups, C, int(c))) for n, c in zip(sizes, counts, strict=True)]
    return np.concatenate(tiles, axis=2) * vectors(block, (groups, C, 1))


@pytest.mark.parametrize(
    "zeros", [Bernoulli(0.3), Bernoulli(0.8), Hypergeometric(0.4, 5000), BlockStructured(0.4, (2,))]
)
def test_barriers_over_sampled_pes(zeros):
    C, block, sizes, counts = 96, 36, np.array([4, 6, 9]), np.array([4, 12, 20])
    steps = sampled_groups(C, block, sizes, counts, zeros, 4)
    weights = weight_vectors(block, zeros, 4)
    moments = group_steps(C, weights, activation_vectors(sizes, zeros, 4))
    slowest = steps.sum(axis=1).max(axis=1)
    error = 5 * slowest.std() / np.sqrt(slowest.size)
    exact = barrier.per_group(C, weights, sizes, counts, zeros, 4)
    assert exact == pytest.approx(slowest.mean(), abs=error)
    # 0.5% for the normal approximation.
    normal = barrier.per_group_of_parities(moments, counts)
    assert normal == pytest.approx(slowest.mean(), abs=0.005 * slowest.mean() + error)
    each = steps.max(axis=2).sum(axis=1)
    expected = barrier.per_channel(C, weights, sizes, counts, zeros, 4)
    assert expected == pytest.approx(each.mean(), abs=5 * each.std() / np.sqrt(each.size))
    mean = steps.sum(axis=1).mean(axis=0)
    assert barrier.without(moments, counts) == pytest.approx(mean[-20:].mean(), rel=0.01)


def test_parities_of_a_stride_add_up():
    """Two parities with their own tiles and taps, PE classes joint: against sampled PEs."""
    C, zeros, counts = 64, Bernoulli(0.4), np.array([10, 26])
    parities = [(18, np.array([6, 9])), (12, np.array([4, 9]))]
    sampled, moments, each, sampled_each = 0, Moments(0.0, 0.0), 0.0, 0.0
    for index, (block, sizes) in enumerate(parities):
        steps = sampled_groups(C, block, sizes, counts, zeros, 4, seed=index)
        weights = weight_vectors(block, zeros, 4)
        sampled = sampled + steps.sum(axis=1)
        moments = moments + group_steps(C, weights, activation_vectors(sizes, zeros, 4))
        sampled_each = sampled_each + steps.max(axis=2).sum(axis=1)
        each += barrier.per_channel(C, weights, sizes, counts, zeros, 4)
    slowest = sampled.max(axis=1)
    assert barrier.per_group_of_parities(moments, counts) == pytest.approx(slowest.mean(), rel=0.01)
    assert each == pytest.approx(sampled_each.mean(), rel=0.01)


@given(
    st.integers(1, 64),
    st.integers(1, 100),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), min_size=1, max_size=4),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
)
def test_more_barriers_never_cost_fewer_steps(C, block, classes, dw, da):
    sizes, counts = (np.array(column) for column in zip(*classes, strict=True))
    counts[0] += 1
    activations = Bernoulli(da)
    weights = weight_vectors(block, Bernoulli(dw), 4)
    steps = group_steps(C, weights, activation_vectors(sizes, activations, 4))
    none, group = barrier.without(steps, counts), barrier.per_group(C, weights, sizes, counts, activations, 4)
    channel = barrier.per_channel(C, weights, sizes, counts, activations, 4)
    assert none <= group * (1 + 1e-9) + 1e-9
    assert group <= channel * (1 + 1e-9) + 1e-9


@given(st.integers(1, 64), st.integers(1, 100), st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_dense_pes_wait_for_the_largest_tile_only(C, block, sizes):
    dense, counts = Bernoulli(1.0), np.ones(len(sizes))
    weights = weight_vectors(block, dense, 4)
    steps = group_steps(C, weights, activation_vectors(np.array(sizes), dense, 4))
    expected = C * -(-block // 4) * -(-max(sizes) // 4)
    assert barrier.without(steps, counts) == expected
    assert barrier.per_group_of_parities(steps, counts) == expected
    assert barrier.per_group(C, weights, np.array(sizes), counts, dense, 4) == pytest.approx(expected, rel=1e-12)
    assert barrier.per_channel(C, weights, np.array(sizes), counts, dense, 4) == expected


def test_even_and_shared_zeros_make_nobody_wait():
    counts, sizes = np.array([64]), np.array([16])
    for zeros in (Fixed(0.5), WholeChannel(0.5)):
        weights = weight_vectors(72, zeros, 4)
        steps = group_steps(64, weights, activation_vectors(sizes, zeros, 4))
        slowest = barrier.per_group(64, weights, sizes, counts, zeros, 4)
        assert slowest == pytest.approx(barrier.without(steps, counts))
        assert barrier.per_channel(64, weights, sizes, counts, zeros, 4) == pytest.approx(steps.mean[0])


def test_axes_and_batches():
    rng = np.random.default_rng(0)
    sizes, counts = rng.integers(0, 30, (5, 3)), rng.integers(1, 20, (5, 3))
    density = np.array([0.2, 0.6])
    weights = weight_vectors(72, Bernoulli(density), 4)
    zeros = Bernoulli(density)
    # Axes: layers, classes, densities.
    steps = group_steps(32, weights, activation_vectors(sizes[:, :, None], zeros, 4))
    table = barrier.per_group(32, weights, sizes[:, :, None], counts[:, :, None], zeros, 4, axis=1)
    each = barrier.per_channel(32, weights, sizes[:, :, None], counts[:, :, None], zeros, 4, axis=1)
    assert table.shape == each.shape == (5, 2)
    alone = group_steps(32, weight_vectors(72, Bernoulli(0.6), 4), activation_vectors(sizes[3], Bernoulli(0.6), 4))
    heavy = weight_vectors(72, Bernoulli(0.6), 4)
    assert table[3, 1] == pytest.approx(float(barrier.per_group(32, heavy, sizes[3], counts[3], Bernoulli(0.6), 4)))
    normal = barrier.per_group_of_parities(steps, counts[:, :, None], axis=1)
    assert normal[3, 1] == pytest.approx(float(barrier.per_group_of_parities(alone, counts[3])))
    assert barrier.without(steps, counts[:, :, None], axis=1)[3, 1] == pytest.approx(
        float(barrier.without(alone, counts[3]))
    )
    assert each[3, 1] == pytest.approx(
        float(barrier.per_channel(32, weight_vectors(72, Bernoulli(0.6), 4), sizes[3], counts[3], Bernoulli(0.6), 4))
    )


def test_formulas():
    import sympy

    p, C = sympy.symbols("p C", positive=True)
    sizes, counts = [2, 4], [12, 36]
    weights = weight_vectors(72, Bernoulli(p), 4)
    steps = group_steps(C, weights, activation_vectors(sizes, Bernoulli(p), 4))
    number_w = weight_vectors(72, Bernoulli(0.2), 4)
    numbers = group_steps(256, number_w, activation_vectors(np.array(sizes), Bernoulli(0.2), 4))
    pairs = [
        (
            barrier.per_group(C, weights, sizes, counts, Bernoulli(p), 4),
            barrier.per_group(256, number_w, sizes, counts, Bernoulli(0.2), 4),
        ),
        (barrier.per_group_of_parities(steps, counts), barrier.per_group_of_parities(numbers, counts)),
        (
            barrier.per_channel(C, weights, sizes, counts, Bernoulli(p), 4),
            barrier.per_channel(256, number_w, sizes, counts, Bernoulli(0.2), 4),
        ),
        (barrier.without(steps, counts), barrier.without(numbers, counts)),
    ]
    for formula, number in pairs:
        assert formula.free_symbols == {p, C}
        assert float(formula.subs({C: 256, p: 0.2}).evalf()) == pytest.approx(float(number))
