"""Expectations against direct sums over the probability mass function, wide quadrature and sampling."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import binom

from timeloop_py.numbers.expectation import (
    ceiling_moments,
    expected_ceiling,
    expected_ceiling_squared,
    expected_maximum_normal,
    expected_maximum_of_ceilings,
    probability_empty,
    variance_of_ceiling,
)

DENSITIES = [0.0, 1e-7, 0.01, 0.1, 0.35, 0.5, 0.500001, 0.73, 0.9, 0.9999999, 1.0]


def summed_moments(n: int, density: float, lanes: int) -> tuple[float, float, float]:
    """Mean, second moment and variance of ceil(B/lanes), by summing over every value of B."""
    occupancy = np.arange(n + 1)
    mass = binom.pmf(occupancy, n, density)
    vectors = np.ceil(occupancy / lanes)
    mean = float(np.sum(mass * vectors))
    return mean, float(np.sum(mass * vectors**2)), float(np.sum(mass * (vectors - mean) ** 2))


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 8, 16, 33, 64])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 31, 64, 100, 1000, 10007])
def test_ceiling_moments_are_the_sums_over_the_distribution(n, lanes):
    density = np.array(DENSITIES)
    mean, square, variance = np.transpose([summed_moments(n, p, lanes) for p in DENSITIES])
    scale = np.maximum(1, np.abs(square))
    np.testing.assert_allclose(expected_ceiling(n, density, lanes), mean, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(expected_ceiling_squared(n, density, lanes) / scale, square / scale, atol=1e-10)
    np.testing.assert_allclose(variance_of_ceiling(n, density, lanes), variance, rtol=1e-9, atol=1e-10)


@given(st.integers(0, 10**7), st.integers(1, 64))
def test_a_dense_block_takes_exactly_the_ceiling(n, lanes):
    assert expected_ceiling(n, 1.0, lanes) == -(-n // lanes)
    assert expected_ceiling_squared(n, 1.0, lanes) == (-(-n // lanes)) ** 2
    assert variance_of_ceiling(n, 1.0, lanes) == 0
    assert expected_ceiling(n, 0.0, lanes) == 0


@given(st.integers(0, 3000), st.floats(0, 1), st.floats(0, 1), st.integers(1, 64))
def test_the_expected_ceiling_grows_with_density_and_stays_within_its_bounds(n, first, second, lanes):
    low, high = sorted((first, second))
    mean = expected_ceiling(n, np.array([low, high]), lanes)
    assert mean[0] <= mean[1] + 1e-10
    bound = np.maximum(n * np.array([low, high]) / lanes, 1 - probability_empty(n, np.array([low, high])))
    assert np.all(mean >= bound - 1e-10)
    assert np.all(mean <= math.ceil(n / lanes) + 1e-10)


def test_arguments_broadcast_lanes_included():
    n, density, lanes = np.array([[5], [40]]), np.array([0.2, 0.5, 1.0]), np.array([4, 4, 7])
    for function in (expected_ceiling, expected_ceiling_squared, variance_of_ceiling):
        table = function(n, density, lanes)
        assert table.shape == (2, 3)
        for i in range(2):
            for j in range(3):
                assert table[i, j] == pytest.approx(float(function(int(n[i, 0]), density[j], int(lanes[j]))), abs=1e-12)


def test_no_lanes_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        expected_ceiling(4, 0.5, 0)


def test_probability_empty():
    np.testing.assert_allclose(probability_empty([0, 1, 3, 3, 3], [1.0, 1.0, 0.0, 0.5, 0.1]), [1, 0, 1, 0.125, 0.729])
    assert probability_empty(10**6, 1e-9) == pytest.approx(math.exp(-1e-3), rel=1e-9)


def maximum_by_fine_steps(means, deviations, counts):
    """The integral of 1 - product of the distribution functions by two million midpoints."""
    exists = counts > 0
    constant = np.max(means[exists & (deviations == 0)], initial=-np.inf)
    low = max(np.max((means - 9 * deviations)[exists]), constant)
    high = np.max((means + (9 + np.sqrt(2 * np.log(np.maximum(counts, 1)))) * deviations)[exists])
    edges = np.linspace(low, high, 400_001)
    x = (edges[1:] + edges[:-1]) / 2
    below = np.ones_like(x)
    for mean, deviation, count in zip(means, deviations, counts, strict=True):
        if deviation > 0:
            below *= ndtr((x - mean) / deviation) ** count
    return low + np.mean(1 - below) * (high - low)


@pytest.mark.parametrize("seed", range(40))
def test_maximum_of_normals_of_any_scales(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(1, 6))
    means = rng.normal(0, rng.choice([0.1, 1, 10]), classes)
    deviations = 10 ** rng.uniform(-2, 1, classes)
    counts = rng.choice([0, 1, 2, 10, 1000, 10**6], classes)
    counts[0] = max(counts[0], 1)
    if seed % 3 == 0 and classes > 1:
        deviations[1] = 0
    expected = maximum_by_fine_steps(means, deviations, counts)
    assert expected_maximum_normal(means, deviations, counts) == pytest.approx(expected, abs=1e-6 * deviations.max())


def test_known_maxima_of_normals():
    # E[max of two] = 1/sqrt(pi), of three 3/(2 sqrt(pi)); E[max(0, X)] = 1/sqrt(2 pi).
    assert expected_maximum_normal([0.0], [1.0], [2]) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-9)
    assert expected_maximum_normal([0.0, 0.0], [1.0, 1.0], [1, 2]) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-9)
    assert expected_maximum_normal([0.0, 0.0], [1.0, 0.0], [1, 3]) == pytest.approx(
        1 / math.sqrt(2 * math.pi), abs=1e-9
    )
    assert expected_maximum_normal([3.0, 5.0], [0.0, 0.0], [1, 1]) == 5.0
    assert expected_maximum_normal([3.0, 5.0], [0.0, 0.0], [1, 0]) == 3.0
    with pytest.raises(ValueError, match="no member"):
        expected_maximum_normal([3.0], [1.0], [0])


def test_maximum_of_normals_over_batches_and_axes():
    rng = np.random.default_rng(0)
    means, deviations, counts = rng.normal(size=(4, 3, 5)), rng.uniform(0, 2, (4, 1, 5)), rng.integers(1, 9, 5)
    table = expected_maximum_normal(means, deviations, counts)
    assert table.shape == (4, 3)
    moved = expected_maximum_normal(
        np.moveaxis(means, -1, 0), np.moveaxis(deviations, -1, 0), counts[:, None, None], axis=0
    )
    np.testing.assert_array_equal(table, moved)
    assert table[2, 1] == expected_maximum_normal(means[2, 1], deviations[2, 0], counts)


@pytest.mark.parametrize("seed", range(60))
def test_maximum_of_ceilings_is_the_sum_over_the_distribution(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(1, 5))
    sizes = rng.integers(0, [10, 100, 1000][seed % 3], classes)
    counts = rng.integers(0, [3, 50, 100_000][seed % 3], classes)
    lanes = int(rng.integers(1, 20))
    thresholds = np.arange(math.ceil(sizes.max() / lanes) + 1) * lanes
    for density in (0.0, 1e-5, 0.01, 0.3, 0.5, 0.9, 0.999, 1.0):
        log_below = sum(
            c * np.log1p(-np.minimum(binom.sf(thresholds, n, density), 1 - 1e-16))
            for n, c in zip(sizes, counts, strict=True)
        )
        expected = np.sum(-np.expm1(log_below))
        assert expected_maximum_of_ceilings(sizes, counts, density, lanes) == pytest.approx(expected, abs=1e-9)


def test_maximum_of_ceilings_broadcasts_and_is_exact_where_dense():
    table = expected_maximum_of_ceilings([[[5, 9]], [[12, 0]]], [3, 2], np.array([0.4, 1.0])[:, None], 4)
    assert table.shape == (2, 2)
    np.testing.assert_array_equal(table[:, 1], [3, 3])
    assert table[0, 0] == expected_maximum_of_ceilings([5, 9], [3, 2], 0.4, 4)
    assert table[0, 0] == expected_maximum_of_ceilings([[5], [9]], [[3], [2]], [[0.4], [0.4]], 4, axis=0)[0]


def test_one_member_alone_is_its_own_maximum():
    assert expected_maximum_of_ceilings([57], [1], 0.3, 4) == pytest.approx(float(expected_ceiling(57, 0.3, 4)))


def by_quadrature(formula):
    """The value of a formula whose integrals hold numbers only; SciPy's quadrature, for mpmath's takes a minute."""
    import sympy
    from scipy.integrate import quad

    values = {}
    for integral in formula.atoms(sympy.Integral):
        x, low, high = integral.limits[0]
        values[integral] = quad(sympy.lambdify(x, integral.function, "scipy"), float(low), float(high))[0]
    return float(formula.xreplace(values))


class TestSymbolicFace:
    def test_numbers_never_import_sympy(self):
        code = (
            "import sys; from timeloop_py.numbers.expectation import expected_ceiling; "
            "expected_ceiling(9, 0.5, 4); sys.exit('sympy' in sys.modules or 'scipy' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_named_functions_evaluate_through_the_array_face(self):
        import sympy

        n, p = sympy.symbols("n p", positive=True)
        for function in (expected_ceiling, expected_ceiling_squared, variance_of_ceiling):
            formula = function(n, p, 4)
            assert formula.free_symbols == {n, p}
            assert float(formula.subs({n: 30, p: 0.2}).evalf()) == pytest.approx(float(function(30, 0.2, 4)))
            values = sympy.lambdify((n, p), formula)(np.array([3, 30]), 0.2)
            np.testing.assert_allclose(values, function(np.array([3, 30]), 0.2, 4))
        assert expected_ceiling(n, 1, 4) == variance_of_ceiling(n, 1, 4) + sympy.ceiling(n / 4)
        assert expected_ceiling(n, p, 1) == n * p
        assert probability_empty(n, p) == (1 - p) ** n

    def test_sequences_with_a_symbol_give_arrays_of_formulas(self):
        import sympy

        p = sympy.symbols("p", positive=True)
        mean, variance = ceiling_moments([3, 9], p, 4)
        assert mean.shape == variance.shape == (2,)
        numbers = ceiling_moments(np.array([3, 9]), 0.3, 4)
        for formulas, values in zip((mean, variance), numbers, strict=True):
            np.testing.assert_allclose([float(formula.subs(p, 0.3).evalf()) for formula in formulas], values)
        assert list(probability_empty([1, 2], p)) == [1 - p, (1 - p) ** 2]
        assert list(expected_ceiling([0, 5], p, 1)) == [0, 5 * p]

    @pytest.mark.parametrize("function", [expected_ceiling, expected_ceiling_squared])
    def test_sum_and_derivative_of_a_ceiling(self, function):
        import sympy

        p = sympy.symbols("p", positive=True)
        formula = function(10, p, sympy.Integer(4))
        assert float(sympy.re(formula.rewrite(sympy.Sum).subs(p, 0.1).doit().evalf())) == pytest.approx(
            float(function(10, 0.1, 4))
        )
        slope = (function(10, 0.1 + 1e-6, 4) - function(10, 0.1 - 1e-6, 4)) / 2e-6
        assert float(sympy.re(formula.diff(p).subs(p, 0.1).doit().evalf())) == pytest.approx(float(slope), rel=1e-6)

    def test_maximum_of_normals(self):
        import sympy

        m, s = sympy.symbols("m s", positive=True)
        formula = expected_maximum_normal([m, 3], [s, 1], [4, 2])
        number = float(expected_maximum_normal([2.0, 3.0], [1.0, 1.0], [4, 2]))
        assert float(formula.subs({m: 2, s: 1}).evalf()) == pytest.approx(number)
        assert by_quadrature(formula.rewrite(sympy.Integral).subs({m: 2, s: 1})) == pytest.approx(number, abs=1e-7)
        slope = (expected_maximum_normal([2.001, 3.0], [1, 1], [4, 2]) - number) / 0.001
        assert by_quadrature(formula.diff(m).subs({m: 2, s: 1})) == pytest.approx(float(slope), abs=1e-3)
        assert expected_maximum_normal([m, 3], [0, 0], [1, 1]) == sympy.Max(m, 3)
        assert r"\mathcal{N}" in sympy.latex(formula**2)
        with pytest.raises(ValueError, match="one entry per class"):
            expected_maximum_normal([m, 3], [s], [1, 1])

    def test_maximum_of_ceilings(self):
        import sympy

        p = sympy.symbols("p", positive=True)
        formula = expected_maximum_of_ceilings([8, 9], [2, 3], p, 4)
        number = float(expected_maximum_of_ceilings([8, 9], [2, 3], 0.3, 4))
        assert float(formula.subs(p, 0.3).evalf()) == pytest.approx(number)
        assert formula.subs(p, 1) == 3
        assert r"\max" in sympy.latex(formula)
        with pytest.raises(ValueError, match="one entry per class"):
            expected_maximum_of_ceilings([8, 9], [2], p, 4)
