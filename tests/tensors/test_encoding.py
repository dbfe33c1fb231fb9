"""Encodings: expected, worst and overflowing sizes against every tile encoded value by value."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.tensors.codec import decode, encode
from timeloop_py.tensors.density import Bernoulli, Hypergeometric
from timeloop_py.tensors.encoding import (
    Encoding,
    RankFormat,
    bitmask,
    compressed_rows,
    coordinate_list,
    run_length_code,
    uncompressed,
)
from timeloop_py.tensors.overflow import overflow_probability
from timeloop_py.tensors.structured import Banded, NMStructured


def ranks(*names, **widths):
    return Encoding(tuple(RankFormat(name, **widths) for name in names), 8)


ONE_RANK = [uncompressed(8), bitmask(8), coordinate_list(), coordinate_list(7, 8), run_length_code(1, 8), ranks("UB")]
TWO_RANKS = [
    compressed_rows(word_bits=8),
    compressed_rows(5, 9, 8),
    ranks("CP", "CP"),
    ranks("B", "B"),
    ranks("B", "CP"),
    ranks("CP", "U"),
    ranks("U", "B"),
    ranks("UOP", "B"),
    ranks("UOP", "U"),
    ranks("UB", "UB"),
    Encoding((RankFormat("UOP"), RankFormat("RLE", 1)), 8),
    Encoding((RankFormat("CP"), RankFormat("RLE", 1)), 8),
]
THREE_RANKS = [ranks("UOP", "CP", "CP"), ranks("CP", "UOP", "CP"), ranks("B", "U", "B"), ranks("CP", "B", "U")]
ALL = (
    [pytest.param(encoding, (9,), id=f"{encoding.ranks[0].name}") for encoding in ONE_RANK]
    + [pytest.param(encoding, (3, 4), id=" ".join(r.name for r in encoding.ranks)) for encoding in TWO_RANKS]
    + [pytest.param(encoding, (2, 2, 3), id=" ".join(r.name for r in encoding.ranks)) for encoding in THREE_RANKS]
)


def every_tile(shape):
    for bits in itertools.product([0, 1], repeat=math.prod(shape)):
        yield np.array(bits).reshape(shape)


@pytest.mark.parametrize(("encoding", "shape"), ALL)
def test_sizes_over_every_tile(encoding, shape):
    n = math.prod(shape)
    density = 0.3
    sizes, probabilities = [], []
    for mask in every_tile(shape):
        sizes.append(encode(encoding, mask).size)
        nonzeros = int(mask.sum())
        probabilities.append(density**nonzeros * (1 - density) ** (n - nonzeros))
    data = np.array([size.data_bits for size in sizes])
    metadata = np.array([size.metadata_bits for size in sizes])
    bits, p = data + metadata, np.array(probabilities)
    zeros = Bernoulli(density)
    expected, worst = encoding.expected_size(shape, zeros), encoding.worst_size(shape, zeros)
    assert (expected.data_bits, expected.metadata_bits) == pytest.approx((p @ data, p @ metadata))
    assert worst.bits == bits.max()
    for capacity in np.unique(bits):
        for room in (capacity - 1, capacity, capacity + 0.5):
            assert overflow_probability(encoding, shape, zeros, room) == pytest.approx(p @ (bits > room), abs=1e-12)


@pytest.mark.parametrize("encoding", [*ONE_RANK, *TWO_RANKS], ids=lambda e: " ".join(r.name for r in e.ranks))
def test_sizes_of_exact_counts(encoding):
    """Four non-zeros among 12 positions: the tile is the whole tensor."""
    shape = (12,) if len(encoding.ranks) == 1 else (3, 4)
    zeros = Hypergeometric(1 / 3, 12)
    sizes = [encode(encoding, mask).size for mask in every_tile(shape) if mask.sum() == 4]
    expected = encoding.expected_size(shape, zeros)
    assert expected.data_bits == pytest.approx(np.mean([size.data_bits for size in sizes]))
    worst = max(size.bits for size in sizes)
    assert encoding.worst_size(shape, zeros).bits == worst
    if encoding.ranks[-1].name != "RLE" or len(shape) == 1:
        # Runs in rows of a matrix: the placeholders of fixed counts in several codes are tested by expectation only.
        assert expected.metadata_bits == pytest.approx(np.mean([size.metadata_bits for size in sizes]))
    if not any(rank.drops_empty for rank in encoding.ranks[:-1]) and (
        len(shape) == 1 or encoding.ranks[-1].name != "RLE"
    ):
        over = np.mean([size.bits > worst - 1 for size in sizes])
        assert overflow_probability(encoding, shape, zeros, worst - 1) == pytest.approx(over)


@given(st.data())
def test_every_tile_comes_back(data):
    encoding = data.draw(st.sampled_from([*ONE_RANK, *TWO_RANKS, *THREE_RANKS, run_length_code(2)]))
    count = len(encoding.ranks)
    shape = tuple(data.draw(st.integers(1, 7)) for _ in range(count if count > 1 else data.draw(st.integers(1, 3))))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    density = data.draw(st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.0]))
    tile = np.where(rng.random(shape) < density, rng.integers(-9, 10, shape), 0)
    stored = encode(encoding, tile)
    returned = decode(stored)
    np.testing.assert_array_equal(returned, tile)
    assert returned.shape == tile.shape
    assert stored.size.bits <= encoding.worst_size(shape, Bernoulli(0.5)).bits


def test_formats_worked_out_by_hand():
    tile = np.array([[0, 5, 0, 0], [0, 0, 0, 0], [7, 0, 0, 9]])
    rows = encode(compressed_rows(), tile)
    assert rows.values.tolist() == [5, 7, 9]
    assert rows.offsets[0].tolist() == [0, 1, 1, 3]
    assert rows.metadata[1].tolist() == [1, 0, 3]
    # Offsets count up to 12 (4 bits), columns up to 3 (2 bits).
    assert (rows.size.data_bits, rows.size.metadata_bits) == (3 * 16, 4 * 4 + 3 * 2)
    mask = encode(bitmask(), tile)
    assert mask.metadata[0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1]
    runs = encode(run_length_code(2), tile)
    assert runs.metadata[0].tolist() == [1, 3, 2, 2]
    assert runs.values.tolist() == [5, 0, 7, 9]
    assert runs.size.bits == 4 * (16 + 2)
    both = encode(ranks("CP", "CP"), tile)
    assert both.metadata[0].tolist() == [0, 2]
    assert both.offsets[0].tolist() == [1, 3]


def test_scnn_words_are_twenty_bits():
    """Table II: 500 bytes of weight FIFO hold 50 vectors of four weights of 20 bits."""
    dense = run_length_code().worst_size(200, Bernoulli(1.0))
    assert dense.bits == 50 * 4 * 20 == 500 * 8
    assert (dense.data_bits, dense.metadata_bits) == (200 * 16, 200 * 4)


@given(st.integers(1, 200), st.floats(0.01, 1), st.floats(0.01, 1))
def test_sizes_grow_with_density_and_never_pass_the_worst(n, low, high):
    low, high = sorted((low, high))
    for encoding in (bitmask(), coordinate_list(), run_length_code()):
        sizes = [encoding.expected_size(n, Bernoulli(density)).bits for density in (low, high)]
        assert sizes[0] <= sizes[1] * (1 + 1e-9)
        assert sizes[1] <= encoding.worst_size(n, Bernoulli(high)).bits * (1 + 1e-9)
    assert overflow_probability(run_length_code(), n, Bernoulli(high), n * 20) == 0


def test_overflow_of_a_realistic_tile():
    """A 20-bit word per entry: the chance that 600 positions at 0.4 need more than 256 words, against sampling."""
    rng = np.random.default_rng(0)
    zeros, words = Bernoulli(0.4), 256
    sampled = np.mean([rng.binomial(600, 0.4) > words for _ in range(20_000)])
    probability = overflow_probability(run_length_code(), 600, zeros, words * 20)
    assert probability == pytest.approx(sampled, abs=5 * math.sqrt(sampled / 20_000))


def test_structured_tiles():
    # 2:4 in 4 rows of 8: always 16 non-zeros, in every row.
    expected = compressed_rows().expected_size((4, 8), NMStructured(2, 4))
    assert expected == compressed_rows().worst_size((4, 8), NMStructured(2, 4))
    assert expected.data_bits == 16 * 16
    # Only the 2 diagonal 4x4 tiles of an 8x8 diagonal matrix have rows at all.
    band = Banded(8, 8, 0)
    size = ranks("CP", "CP").expected_size((4, 4), band)
    assert size.data_bits == pytest.approx(4 * 8 / 2)


def test_encodings_that_cannot_be_read_back_are_refused():
    with pytest.raises(ValueError, match="last rank only"):
        ranks("RLE", "U")
    with pytest.raises(ValueError, match="where the CP fibers"):
        ranks("U", "CP")
    with pytest.raises(ValueError, match="cannot be the last"):
        ranks("CP", "UOP")
    with pytest.raises(ValueError, match="needs a rank"):
        Encoding(())
    with pytest.raises(ValueError, match="2 ranks"):
        compressed_rows().expected_size(12, Bernoulli(0.5))
    with pytest.raises(TypeError, match="independent zeros only"):
        overflow_probability(ranks("CP", "CP"), (3, 4), Hypergeometric(0.5, 12), 100)
