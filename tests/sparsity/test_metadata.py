"""Metadata of stored tiles: ranks, widths, and expectations against all masks there are."""

import math
from itertools import combinations, product

import numpy as np
import pytest

from timeloop_py.sparsity.metadata import Rank, StoredTile, ranks_of
from timeloop_py.sparsity.tiles import Tiles
from timeloop_py.specs.case import LevelSparsity, RankFormat, Sparsity, TensorFormat
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, Mapping, Store
from timeloop_py.specs.problem import Problem, Tensor, Term
from timeloop_py.specs.problem import Rank as TensorRank
from timeloop_py.tensors.density import Bernoulli, DensityModel, Fixed, Hypergeometric

A = Tensor("A", (TensorRank((Term("M"),)), TensorRank((Term("K"),))))


def nest(*nodes: Loop | Store, words_per_line: int = 1) -> Tiles:
    dims = {dim: math.prod(n.bound for n in nodes if isinstance(n, Loop) and n.dim == dim) for dim in "MKN"}
    stored = [node.level for node in nodes if isinstance(node, Store)]
    levels = tuple(
        StorageLevel(name, words_per_line=words_per_line, metadata_datawidth=4, metadata_storage_width=8)
        for name in stored
    )
    return Tiles(Problem(dims, (A,)), Hierarchy(levels, ComputeLevel("MAC")), Mapping(nodes))


def compressed(outer: bool = False, **formats: str) -> Sparsity:
    """Per level the formats of the ranks of A, as ``Buf="UOP CP"``."""
    order = "outer_to_inner" if outer else "inner_to_outer"
    return Sparsity(
        tuple(
            LevelSparsity(
                level,
                {"A": TensorFormat(tuple(RankFormat(form) for form in text.split()), order)},  # type: ignore[arg-type]
            )
            for level, text in formats.items()
        )
    )


ONE_LEVEL = nest(Store("Buf", "A"), Loop("M", 3), Loop("N", 5), Loop("K", 4))
TWO_LEVELS = nest(Store("Back", "A"), Loop("M", 4), Store("Buf", "A"), Loop("N", 8), Loop("M", 2), Loop("K", 8))


class TestRanks:
    def test_every_loop_over_the_tensor_is_a_rank(self) -> None:
        assert ranks_of(ONE_LEVEL, compressed(Buf="UOP CP"), "Buf", "A") == (Rank(3, (1, 4)), Rank(4, (1, 1)))

    def test_spare_ranks_have_one_coordinate(self) -> None:
        inner = ranks_of(ONE_LEVEL, compressed(Buf="UOP UOP CP"), "Buf", "A")
        assert [rank.length for rank in inner] == [1, 3, 4]
        outer = ranks_of(ONE_LEVEL, compressed(outer=True, Buf="UOP CP CP"), "Buf", "A")
        assert [rank.length for rank in outer] == [3, 4, 1]

    def test_too_few_ranks_are_refused(self) -> None:
        with pytest.raises(SpecError, match="1 ranks for 2 nested loops"):
            ranks_of(ONE_LEVEL, compressed(Buf="CP"), "Buf", "A")

    def test_a_level_sends_tiles_as_the_next_one_stores_them(self) -> None:
        ranks = ranks_of(TWO_LEVELS, compressed(Back="UOP UOP CP", Buf="UOP CP"), "Back", "A")
        assert ranks == (Rank(4, (2, 8)), Rank(2, (1, 8)), Rank(8, (1, 1)))

    def test_an_uncompressed_level_below_is_one_rank(self) -> None:
        ranks = ranks_of(TWO_LEVELS, compressed(Back="UOP CP"), "Back", "A")
        assert ranks == (Rank(4, (2, 8)), Rank(16, (1, 1)))

    def test_a_mask_over_uncompressed_data_goes_down_to_words(self) -> None:
        ranks = ranks_of(TWO_LEVELS, compressed(Back="UB"), "Back", "A")
        assert ranks == (Rank(8, (1, 1)),)


def masks(model: DensityModel, shape: tuple[int, int]) -> list[tuple[float, np.ndarray]]:
    """All masks of a tile with their probabilities."""
    size = math.prod(shape)
    pmf = model.occupancy_pmf(shape)
    found = []
    for nonzeros in range(size + 1):
        for places in combinations(range(size), nonzeros):
            mask = np.zeros(size, dtype=bool)
            mask[list(places)] = True
            found.append((pmf[nonzeros] / math.comb(size, nonzeros), mask.reshape(shape)))
    return found


class TestExpectations:
    @pytest.mark.parametrize("model", [Bernoulli(0.3), Hypergeometric(0.25, 40)])
    @pytest.mark.parametrize("some", [False, True])
    def test_words_are_means_over_all_masks(self, model: DensityModel, some: bool) -> None:
        drawn = [(p, mask) for p, mask in masks(model, (3, 4)) if mask.any() or not some]
        total = sum(p for p, _ in drawn)

        def mean(count: object) -> float:
            return sum(p * count(mask) for p, mask in drawn) / total  # type: ignore[operator]

        def stored(text: str) -> StoredTile:
            return StoredTile(ONE_LEVEL, compressed(Buf=text), "Buf", "A", model, given_some=some)

        rows = mean(lambda mask: mask.any(axis=1).sum())
        nonzeros = mean(np.sum)
        not_empty = mean(np.any)
        offsets, coordinates = stored("UOP CP").rank_words()
        assert offsets.payloads == pytest.approx(not_empty * 4)
        assert coordinates.coordinates == pytest.approx(nonzeros)
        assert coordinates.payloads == 0
        bits, masks_of_rows = stored("B B").rank_words()
        assert bits.coordinates == pytest.approx(not_empty * 3)
        assert bits.payloads == pytest.approx(rows)
        assert masks_of_rows.coordinates == pytest.approx(rows * 4)
        upper, _ = stored("CP CP").rank_words()
        assert upper.words == pytest.approx(2 * rows)
        assert stored("UOP CP").expected_occupancy == pytest.approx(nonzeros)
        everything = stored("UB UB").rank_words()
        assert [rank.coordinates for rank in everything] == pytest.approx([3, 12])

    def test_widths_come_from_the_format_then_from_the_level(self) -> None:
        form = TensorFormat((RankFormat("UOP", payload_word_bits=0), RankFormat("CP", metadata_word_bits=2)))
        sparsity = Sparsity((LevelSparsity("Buf", {"A": form}),))
        offsets, coordinates = StoredTile(ONE_LEVEL, sparsity, "Buf", "A", Fixed(0.5), given_some=False).rank_words()
        assert (offsets.payload_bits, offsets.bits) == (0, 0)
        assert (coordinates.coordinate_bits, coordinates.bits) == (2, 12)
        (mask,) = StoredTile(
            nest(Store("Buf", "A"), Loop("K", 6)), compressed(Buf="B"), "Buf", "A", Fixed(0.5), given_some=False
        ).rank_words()
        assert mask.coordinate_bits == 1

    def test_a_tensor_without_format_has_no_metadata(self) -> None:
        stored = StoredTile(ONE_LEVEL, Sparsity(), "Buf", "A", Fixed(0.5), given_some=False)
        assert stored.rank_words() == ()
        assert (stored.worst_words, stored.stored_share, stored.stored_line_share(4)) == (12, 1.0, 1.0)


class TestPlaceholders:
    def stored(self, length: int, density: float, bits: int) -> StoredTile:
        form = TensorFormat((RankFormat("RLE", metadata_word_bits=bits),))
        sparsity = Sparsity((LevelSparsity("Buf", {"A": form}),))
        row = nest(Store("Buf", "A"), Loop("K", length))
        return StoredTile(row, sparsity, "Buf", "A", Bernoulli(density), given_some=False)

    def encoded(self, row: tuple[int, ...], bits: int) -> int:
        """Zeros that run-length coding of a row has to store."""
        placeholders = run = 0
        for value in row:
            if value:
                placeholders += run // 2**bits
                run = 0
            else:
                run += 1
        return placeholders

    @pytest.mark.parametrize("bits", [1, 2])
    def test_expected_over_all_rows(self, bits: int) -> None:
        length, density = 9, 0.2
        expected = sum(
            density ** sum(row) * (1 - density) ** (length - sum(row)) * self.encoded(row, bits)
            for row in product((0, 1), repeat=length)
        )
        stored = self.stored(length, density, bits)
        assert stored.placeholders == pytest.approx(expected)
        assert stored.stored_share == pytest.approx(density + expected / length)
        (rank,) = stored.rank_words()
        assert rank.coordinates == pytest.approx(density * length + expected)
        (average,) = stored.rank_words(as_sparseloop=True)
        assert average.coordinates == pytest.approx(density * length)

    def test_a_field_that_holds_every_run_needs_none(self) -> None:
        assert self.stored(9, 0.2, 4).placeholders == 0


class TestLines:
    def test_a_compressed_tile_fills_its_lines_on_average(self) -> None:
        row = nest(Store("Buf", "A"), Loop("K", 5), words_per_line=2)
        stored = StoredTile(row, compressed(Buf="CP"), "Buf", "A", Bernoulli(0.5), given_some=False)
        mean = sum(math.comb(5, k) / 32 * math.ceil(k / 2) for k in range(6))
        assert stored.stored_line_share(2) == pytest.approx(mean / 3)
        assert stored.lines_per_full_line(2) == pytest.approx(mean * 2 / 2.5)
        assert stored.stored_line_share(1) == pytest.approx(0.5)
