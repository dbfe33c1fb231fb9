"""Sparseloop's convention beyond the measured cases: rounding, cut-off subtrees, lines, operands at compute."""

import math

import pytest

from timeloop_py.nest.traffic import TensorTraffic
from timeloop_py.sparsity.accesses import SparseCounts, SparseRow
from timeloop_py.sparsity.sparseloop import sparseloop_counts
from timeloop_py.sparsity.tiles import Tiles
from timeloop_py.specs.case import LevelSparsity, RankFormat, SparseAction, Sparsity, TensorFormat
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, Mapping, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term
from timeloop_py.tensors.density import Bernoulli, DensityModel, Fixed, Hypergeometric

DOT = (
    Tensor("A", (Rank((Term("K"),)),)),
    Tensor("B", (Rank((Term("K"),)),)),
    Tensor("Z", (Rank((Term("M"),)),), is_output=True),
)


def dense(level: str, tensor: str, reads: int, fills: int = 0, updates: int = 0) -> TensorTraffic:
    return TensorTraffic(level, tensor, 1, 1, fills, reads, updates, max(0, updates - 1), 0, reads, 0)


def formats(**forms: str) -> dict[str, TensorFormat]:
    return {
        name: TensorFormat(tuple(RankFormat(rank) for rank in text.split()))  # type: ignore[arg-type]
        for name, text in forms.items()
    }


def level(name: str, *actions: tuple[str, str, str], **forms: str) -> LevelSparsity:
    entries = tuple(SparseAction(kind, target, tuple(leaders)) for kind, target, leaders in actions)  # type: ignore[arg-type]
    return LevelSparsity(name, formats(**forms), entries)


def dot(
    sparsity: Sparsity,
    densities: dict[str, DensityModel],
    rows: tuple[TensorTraffic, ...] = (),
    length: int = 16,
    **fields: int,
) -> SparseCounts:
    storage = StorageLevel("Buf", metadata_datawidth=4, metadata_storage_width=8, **fields)  # type: ignore[arg-type]
    nest = Tiles(
        Problem({"K": length, "M": 1}, DOT),
        Hierarchy((storage,), ComputeLevel("MAC")),
        Mapping((*(Store("Buf", name) for name in "ABZ"), Loop("K", length))),
    )
    full = {name: Fixed(1.0) for name in "ABZ"} | densities
    return sparseloop_counts(nest, sparsity, full, rows, length, length)


def row(counts: SparseCounts, tensor: str) -> SparseRow:
    return next(entry for entry in counts.rows if entry.tensor == tensor)


class TestComputes:
    A, B = Fixed(0.25), Fixed(0.5)

    def computes(self, sparsity: Sparsity) -> tuple[float, float, float, float]:
        found = dot(sparsity, {"A": self.A, "B": self.B}).computes
        return found.actual, found.gated, found.skipped, found.cycles

    def test_zeros_that_nothing_looks_at_are_computed(self) -> None:
        assert self.computes(Sparsity()) == (16, 0, 0, 16)

    def test_gating_sees_zeros_and_keeps_the_time(self) -> None:
        assert self.computes(Sparsity((), ("gating",))) == (2, 14, 0, 16)

    def test_skipping_needs_metadata_to_see_absent_operands(self) -> None:
        assert self.computes(Sparsity((), ("skipping",))) == (16, 0, 0, 16)
        # One operand alone: 8 of 16. None at all: 6, which never reach the array.
        both = Sparsity((level("Buf", A="CP", B="CP"),), ("skipping",))
        assert self.computes(both) == (2, 0, 8, 2)
        gating = Sparsity((level("Buf", A="CP", B="CP"),), ("gating",))
        assert self.computes(gating) == (2, 8, 0, 10)

    def test_what_an_action_left_has_its_leader_there(self) -> None:
        # B skipped on A leaves 4 computes, in which A is not zero: the array gates on B alone.
        sparsity = Sparsity((level("Buf", ("skipping", "B", "A")),), ("gating",))
        assert self.computes(sparsity) == (2, 2, 0, 4)


class TestRounding:
    def test_savings_are_rounded_down_and_for_outputs_up(self) -> None:
        sparsity = Sparsity((level("Buf", ("skipping", "B", "A"), ("skipping", "Z", "A")),))
        rows = (dense("Buf", "B", 10), dense("Buf", "Z", 9, updates=10))
        counts = dot(sparsity, {"A": Bernoulli(0.25)}, rows, length=10)
        assert row(counts, "B").reads.skipped == math.floor(7.5)
        assert row(counts, "Z").reads.skipped == math.ceil(6.75)
        assert row(counts, "Z").updates.skipped == math.floor(7.5)
        # 9 reductions go with 10 updates, of which 3 are left.
        assert row(counts, "Z").temporal_reductions == math.ceil(9 * 3 / 10)

    def test_metadata_widths_are_padded_to_divide_a_line(self) -> None:
        form = TensorFormat((RankFormat("CP", metadata_word_bits=3),))
        sparsity = Sparsity((LevelSparsity("Buf", {"A": form}),))
        counts = dot(sparsity, {"A": Fixed(0.5)}, (dense("Buf", "A", 16),))
        # 8 coordinates of 4 bits in lines of 8.
        assert row(counts, "A").metadata_reads.actual == 8
        assert row(counts, "A").lines["metadata_read"] == 4


class TestLines:
    def test_small_compressed_tiles_do_not_fill_their_lines(self) -> None:
        sparsity = Sparsity((level("Buf", A="CP"),))
        counts = dot(sparsity, {"A": Hypergeometric(0.25, 16)}, (dense("Buf", "A", 16),), words_per_line=4)
        # 4 non-zeros in 16 positions: exactly one line.
        assert row(counts, "A").lines["read"] == pytest.approx(1)
        spread = dot(sparsity, {"A": Hypergeometric(0.25, 64)}, (dense("Buf", "A", 64),), words_per_line=4)
        mean = sum(math.comb(16, k) * math.comb(48, 16 - k) / math.comb(64, 16) * math.ceil(k / 4) for k in range(17))
        assert row(spread, "A").lines["read"] == pytest.approx(4 * mean)

    def test_large_ones_do(self) -> None:
        sparsity = Sparsity((level("Buf", A="CP"),))
        length = 4 * 75
        counts = dot(sparsity, {"A": Bernoulli(0.5)}, (dense("Buf", "A", length),), length=length, words_per_line=4)
        assert row(counts, "A").lines["read"] == math.ceil(length / 2 / 4)


class TestTwoLevels:
    """B comes from Back in tiles of 2 that meet 2 elements of A; A of 16 has 4 non-zeros."""

    def counts(self, *levels: LevelSparsity) -> SparseCounts:
        nest = Tiles(
            Problem({"K": 16, "M": 1}, DOT),
            Hierarchy((StorageLevel("Back"), StorageLevel("Buf")), ComputeLevel("MAC")),
            Mapping(
                (*(Store("Back", n) for n in "ABZ"), Loop("K", 8), *(Store("Buf", n) for n in "ABZ"), Loop("K", 2))
            ),
        )
        rows = (dense("Back", "B", 160), dense("Buf", "B", 1600, fills=160))
        densities = {"A": Hypergeometric(0.25, 16), "B": Fixed(1.0), "Z": Fixed(1.0)}
        return sparseloop_counts(nest, Sparsity(levels), densities, rows, 1600, 1600)

    def at(self, counts: SparseCounts, name: str) -> SparseRow:
        return next(entry for entry in counts.rows if entry.level == name)

    def test_an_action_cuts_off_what_lies_below(self) -> None:
        counts = self.counts(level("Back", ("skipping", "B", "A")))
        empty = 66 / 120
        back, buf = self.at(counts, "Back"), self.at(counts, "Buf")
        assert (back.reads.actual, back.reads.skipped) == (160 - 88, 88)
        assert (buf.fills.actual, buf.fills.skipped) == (160 - 88, 0)
        assert (buf.reads.actual, buf.reads.skipped) == (1600 - 880, 0)
        assert counts.computes.actual == 1600 - math.floor(1600 * empty)

    def test_an_inner_action_saves_the_rest_of_what_it_would_save_alone(self) -> None:
        counts = self.counts(level("Back", ("skipping", "B", "A")), level("Buf", ("gating", "B", "A")))
        buf = self.at(counts, "Buf")
        # 720 are left; in all a quarter of 1600 remain.
        assert (buf.reads.actual, buf.reads.gated, buf.reads.skipped) == (400, 320, 0)
        assert counts.computes.actual == 400
