"""Density models against the enumeration of every tensor they allow, and against what they sample."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.tensors.density import (
    Bernoulli,
    Fixed,
    Hypergeometric,
    binomial_pmf,
    expected_maximum_of_distributions,
    hypergeometric_pmf,
    pmf_of_vectors,
)
from timeloop_py.tensors.structured import Banded, BlockStructured, NMStructured, WholeChannel


def bernoulli_tensors(shape, density):
    """Every mask of ``shape`` with its probability."""
    size = math.prod(shape)
    for bits in itertools.product([False, True], repeat=size):
        yield np.array(bits).reshape(shape), density ** sum(bits) * (1 - density) ** (size - sum(bits))


def fixed_count_tensors(shape, nonzeros):
    size = math.prod(shape)
    probability = 1 / math.comb(size, nonzeros)
    for chosen in itertools.combinations(range(size), nonzeros):
        mask = np.zeros(size, dtype=bool)
        mask[list(chosen)] = True
        yield mask.reshape(shape), probability


def block_tensors(shape, kept, block):
    grid = tuple(-(-extent // side) for extent, side in zip(shape, block, strict=True))
    for coarse, probability in bernoulli_tensors(grid, kept):
        yield np.kron(coarse, np.ones(block, dtype=bool))[tuple(slice(extent) for extent in shape)], probability


def n_m_tensors(rows, groups, n, m):
    patterns = [np.isin(np.arange(m), chosen) for chosen in itertools.combinations(range(m), n)]
    for chosen in itertools.product(patterns, repeat=rows * groups):
        yield np.concatenate(chosen).reshape(rows, groups * m), len(patterns) ** -(rows * groups)


def channel_tensors(shape, kept):
    for alive, probability in bernoulli_tensors((shape[0],), kept):
        yield np.broadcast_to(alive[:, None], shape), probability


def pmf_of_corner(tensors, box):
    """The distribution of the non-zeros in the box at the origin."""
    size = math.prod(box)
    pmf = np.zeros(size + 1)
    for mask, probability in tensors:
        pmf[np.count_nonzero(mask[tuple(slice(side) for side in box)])] += probability
    return pmf


# (model, every tensor it allows, tile as the model is asked for it, the box in those tensors)
ENUMERATED = [
    pytest.param(Bernoulli(0.3), lambda: bernoulli_tensors((9,), 0.3), 9, (9,), id="bernoulli"),
    pytest.param(Bernoulli(0.8), lambda: bernoulli_tensors((3, 4), 0.8), (3, 4), (3, 4), id="bernoulli box"),
    pytest.param(Hypergeometric(0.25, 12), lambda: fixed_count_tensors((12,), 3), 5, (5,), id="exact count"),
    pytest.param(Hypergeometric(0.7, 10), lambda: fixed_count_tensors((10,), 7), 6, (6,), id="exact count, dense"),
    pytest.param(BlockStructured(0.4, (3,)), lambda: block_tensors((9,), 0.4, (3,)), 9, (9,), id="groups of 3"),
    pytest.param(BlockStructured(0.4, (3,)), lambda: block_tensors((11,), 0.4, (3,)), 11, (11,), id="cut group"),
    pytest.param(
        BlockStructured(0.4, (2, 2)), lambda: block_tensors((3, 5), 0.4, (2, 2)), (3, 5), (3, 5), id="2 x 2 blocks"
    ),
    pytest.param(
        BlockStructured(0.6, (2,)), lambda: block_tensors((2, 5), 0.6, (1, 2)), (2, 5), (2, 5), id="row groups"
    ),
    pytest.param(NMStructured(2, 4), lambda: n_m_tensors(1, 3, 2, 4), 12, (1, 12), id="2:4"),
    pytest.param(NMStructured(2, 4), lambda: n_m_tensors(1, 2, 2, 4), 7, (1, 7), id="2:4 cut"),
    pytest.param(NMStructured(1, 3), lambda: n_m_tensors(2, 2, 1, 3), (2, 5), (2, 5), id="1:3 rows"),
    pytest.param(
        NMStructured(1, 3, -2),
        lambda: ((tensor.T, chance) for tensor, chance in n_m_tensors(2, 2, 1, 3)),
        (5, 2),
        (5, 2),
        id="1:3 columns",
    ),
    pytest.param(WholeChannel(0.3), lambda: channel_tensors((1, 6), 0.3), 6, (1, 6), id="channel"),
    pytest.param(WholeChannel(0.3), lambda: channel_tensors((4, 3), 0.3), (4, 3), (4, 3), id="channels"),
]


@pytest.mark.parametrize(("model", "tensors", "tile", "box"), ENUMERATED)
def test_a_tile_is_distributed_as_in_the_enumeration(model, tensors, tile, box):
    pmf = pmf_of_corner(tensors(), box)
    np.testing.assert_allclose(model.occupancy_pmf(tile), pmf, atol=1e-12)
    occupancy = np.arange(pmf.size)
    assert model.expected_occupancy(tile) == pytest.approx(pmf @ occupancy)
    assert model.worst_occupancy(tile) == np.max(np.nonzero(pmf)[0])
    assert model.probability_empty(tile) == pytest.approx(pmf[0], abs=1e-12)
    for lanes in (1, 2, 4):
        vectors = -(-occupancy // lanes)
        mean = pmf @ vectors
        assert model.vector_moments(tile, lanes) == pytest.approx((mean, pmf @ (vectors - mean) ** 2))
    for room in range(pmf.size):
        assert model.probability_above(tile, room) == pytest.approx(pmf[room + 1 :].sum(), abs=1e-12)


SAMPLED = [
    (Bernoulli(0.3), (40, 50), (2, 5)),
    (Fixed(0.3), (40, 50), 7),
    (Hypergeometric(0.3, 2000), (40, 50), 10),
    (BlockStructured(0.3, (2, 5)), (40, 50), (4, 5)),
    (BlockStructured(0.3, (4,)), (40, 52), 8),
    (NMStructured(2, 4), (40, 52), 6),
    (WholeChannel(0.3), (40, 50), 10),
    (Banded(40, 50, 3), (40, 50), (8, 10)),
]


@pytest.mark.parametrize(("model", "shape", "tile"), SAMPLED, ids=lambda value: str(value))
def test_samples_follow_the_distribution(model, shape, tile):
    """Tiles at random aligned places of sampled tensors; each frequency within 5 standard errors."""
    rng = np.random.default_rng(7)
    pmf = model.occupancy_pmf(tile)
    counts = np.zeros(pmf.size)
    draws = 4000
    for _ in range(draws):
        if isinstance(tile, tuple):
            mask = model.sample(shape, rng)
            start = [rng.integers(extent // side) * side for extent, side in zip(shape, tile, strict=True)]
            box = mask[start[0] : start[0] + tile[0], start[1] : start[1] + tile[1]]
        else:
            row = model.sample(shape, rng)[rng.integers(shape[0])]
            # A count that cuts a group starts at a whole one.
            step = math.lcm(tile, model.m) if isinstance(model, NMStructured) else tile
            start = rng.integers((len(row) - tile) // step + 1) * step
            box = row[start : start + tile]
        counts[np.count_nonzero(box)] += 1
    # With fixed counts of channels, tensors share a little: still below the bound for independent draws.
    assert np.all(np.abs(counts / draws - pmf) <= 5 * np.sqrt(pmf * (1 - pmf) / draws) + 1e-9)


@pytest.mark.parametrize(("model", "shape", "tile"), SAMPLED, ids=lambda value: str(value))
def test_the_same_seed_gives_the_same_tensor(model, shape, tile):
    first, second = (model.sample(shape, np.random.default_rng(3)) for _ in range(2))
    assert first.dtype == bool
    assert first.shape == shape
    np.testing.assert_array_equal(first, second)


@given(st.integers(1, 300), st.floats(0.01, 1))
def test_fixed_tiles_have_the_exact_mean_and_two_values(n, density):
    model = Fixed(density)
    pmf = model.occupancy_pmf(n)
    assert pmf.sum() == pytest.approx(1)
    assert pmf @ np.arange(n + 1) == pytest.approx(n * density)
    assert np.count_nonzero(pmf) <= 2
    assert model.worst_occupancy(n) == np.max(np.nonzero(pmf)[0])


def test_fixed_answers_of_sparseloop():
    # A 2 x 8 tile at 1/16 is never empty; a 2 x 4 one is in half the cases (public cases s09 and s18).
    assert Fixed(0.0625).probability_empty((2, 8)) == 0
    assert Fixed(0.0625).probability_empty((2, 4)) == 0.5
    assert Fixed(0.3).worst_occupancy(10) == 3
    assert Fixed(1.0).vector_moments(18, 4) == (5, 0)


def test_hypergeometric_answers_of_sparseloop():
    # P(2 x 4 tile empty) = C(56, 4) / C(64, 4) (public case s18).
    model = Hypergeometric(0.0625, 64)
    assert model.nonzeros == 4
    assert model.probability_empty((2, 4)) == pytest.approx(math.comb(56, 4) / math.comb(64, 4))
    assert model.occupancy_pmf((2, 4))[0] == pytest.approx(math.comb(56, 4) / math.comb(64, 4))
    assert Hypergeometric(0.1, 25).nonzeros == 3
    assert Hypergeometric(0.1, 30).nonzeros == 3
    assert Hypergeometric(0.1, 25).density == 3 / 25


def test_a_tile_larger_than_the_tensor_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        Hypergeometric(0.5, 10).occupancy_pmf(11)


@given(st.integers(0, 400), st.floats(0, 1))
def test_binomial_is_the_sum_of_bernoullis(n, density):
    pmf = binomial_pmf(n, density)
    expected = [math.comb(n, k) * density**k * (1 - density) ** (n - k) for k in range(min(n, 5) + 1)]
    np.testing.assert_allclose(pmf[: len(expected)], expected, rtol=1e-9, atol=1e-14)
    assert pmf.sum() == pytest.approx(1)


@given(st.data())
def test_hypergeometric_is_the_ratio_of_binomial_coefficients(data):
    total = data.draw(st.integers(1, 60))
    nonzeros, drawn = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    expected = [
        math.comb(nonzeros, k) * math.comb(total - nonzeros, drawn - k) / math.comb(total, drawn)
        for k in range(drawn + 1)
    ]
    np.testing.assert_allclose(hypergeometric_pmf(total, nonzeros, drawn), expected, rtol=1e-9, atol=1e-14)


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 1), st.integers(1, 2)), min_size=1, max_size=2))
def test_maximum_of_distributions_is_that_of_all_outcomes(classes):
    members = [binomial_pmf(n, p) for n, p, copies in classes for _ in range(copies)]
    expected = sum(
        max(outcome) * math.prod(pmf[value] for pmf, value in zip(members, outcome, strict=True))
        for outcome in itertools.product(*(range(pmf.size) for pmf in members))
    )
    drawn = [(binomial_pmf(n, p), copies) for n, p, copies in classes]
    assert expected_maximum_of_distributions(drawn) == pytest.approx(expected)


def test_vectors_of_a_distribution():
    np.testing.assert_allclose(pmf_of_vectors(np.array([0.1, 0.2, 0.3, 0.4]), 2), [0.1, 0.5, 0.4])
    np.testing.assert_allclose(pmf_of_vectors(np.array([0.1, 0.9]), 4), [0.1, 0.9])
    np.testing.assert_allclose(pmf_of_vectors(np.array([1.0]), 4), [1.0])


@pytest.mark.parametrize(
    "model",
    [Fixed(0.3), Hypergeometric(0.3, 500), NMStructured(2, 4), BlockStructured(0.3, (4,)), WholeChannel(0.3)],
    ids=str,
)
def test_arrays_of_tiles_answer_entry_by_entry(model):
    tiles, lanes = np.array([[3, 8], [8, 17]]), np.array([2, 4])
    mean, variance = model.vector_moments(tiles, lanes)
    assert mean.shape == variance.shape == (2, 2)
    for index in np.ndindex(2, 2):
        one = (int(tiles[index]), int(lanes[index[1]]))
        assert (mean[index], variance[index]) == pytest.approx(model.vector_moments(*one))
        assert model.tile_variance(tiles, lanes)[index] == pytest.approx(model.tile_variance(*one))
        assert model.probability_empty(tiles)[index] == pytest.approx(model.probability_empty(one[0]))
        assert model.worst_occupancy(tiles)[index] == model.worst_occupancy(one[0])
        assert model.expected_occupancy(tiles)[index] == pytest.approx(model.expected_occupancy(one[0]))


def test_bernoulli_takes_arrays_of_densities_and_symbols():
    import sympy

    density = np.array([0.2, 0.9])
    mean, variance = Bernoulli(density).vector_moments(np.array([[10], [20]]), 4)
    one = Bernoulli(0.9).vector_moments(20, 4)
    assert (mean[1, 1], variance[1, 1]) == pytest.approx(one)
    np.testing.assert_allclose(Bernoulli(density).probability_empty(3), (1 - density) ** 3)
    p = sympy.symbols("p", positive=True)
    assert Bernoulli(p).probability_empty(3) == (1 - p) ** 3
    assert Bernoulli(p).expected_occupancy(7) == 7 * p


@pytest.mark.parametrize(
    "model", [Bernoulli(0.3), Fixed(0.3), Hypergeometric(0.3, 400), NMStructured(2, 4), BlockStructured(0.3, (4,))]
)
def test_maximum_over_tiles_of_a_channel(model):
    """Against sampling of independent tiles, within 5 standard errors."""
    sizes, counts, lanes = np.array([6, 10, 10]), np.array([3, 2, 0]), 4
    rng = np.random.default_rng(0)
    drawn = [
        max(
            -(-int(rng.choice(n + 1, p=model.occupancy_pmf(n))) // lanes)
            for n, copies in zip(sizes.tolist(), counts.tolist(), strict=True)
            for _ in range(copies)
        )
        for _ in range(3000)
    ]
    expected = model.expected_maximum_vectors(sizes, counts, lanes)
    assert expected == pytest.approx(np.mean(drawn), abs=5 * np.std(drawn) / math.sqrt(3000) + 1e-9)
    stacked = model.expected_maximum_vectors(np.stack([sizes, sizes], axis=1), counts[:, None], lanes, axis=0)
    np.testing.assert_allclose(stacked, [expected, expected])


def test_tiles_of_a_channel_share_its_fate():
    model = WholeChannel(0.25)
    assert model.vector_moments(10, 4) == pytest.approx((0.75, 9 * 0.25 * 0.75))
    assert model.tile_variance(10, 4) == 0
    # 64 tiles of one channel are dense together: no wait for the unluckiest one.
    assert model.expected_maximum_vectors([10, 18, 99], [60, 4, 0], 4) == pytest.approx(0.25 * 5)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5), st.integers(1, 5), st.integers(1, 5))
def test_bands_count_what_the_matrix_has(rows, columns, half_width, height, width):
    model = Banded(rows, columns, half_width)
    matrix = np.array([[abs(i - j) <= half_width for j in range(columns)] for i in range(rows)])
    np.testing.assert_array_equal(model.sample((rows, columns), np.random.default_rng(0)), matrix)
    assert model.density == pytest.approx(matrix.mean())
    tiles = [matrix[i : i + height, j : j + width] for i in range(0, rows, height) for j in range(0, columns, width)]
    occupancies = [np.count_nonzero(tile) for tile in tiles]
    assert model.worst_occupancy((height, width)) == max(occupancies)
    assert model.expected_occupancy((height, width)) == pytest.approx(np.mean(occupancies))
    assert model.probability_empty((height, width)) == pytest.approx(occupancies.count(0) / len(occupancies))
    pmf = model.occupancy_pmf((height, width))
    assert [pmf[k] for k in sorted(set(occupancies))] == pytest.approx(
        [occupancies.count(k) / len(occupancies) for k in sorted(set(occupancies))]
    )


def test_a_band_is_its_own_matrix_only():
    with pytest.raises(ValueError, match="4 x 4"):
        Banded(4, 4, 1).sample((4, 5), np.random.default_rng(0))


def test_simd_groups_fill_whole_vectors():
    """Groups as wide as the vector leave no lane empty; groups of half its width rarely do."""
    scattered, grouped = Bernoulli(0.3), BlockStructured(0.3, (4,))
    for n in (72, 144):
        useful = n * 0.3 / 4
        assert grouped.vector_moments(n, 4)[0] == pytest.approx(useful)
        assert scattered.vector_moments(n, 4)[0] > useful + 0.3
