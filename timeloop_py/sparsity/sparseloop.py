"""Sparse access counts in the convention of Sparseloop, rounded where that tool rounds.

Counts are those of one instance that has data (``instances`` times how often its tile is not empty make totals). What
a format leaves out never happens; what an action saves is rounded down, per instance, for the words of every kind. An
action further out cuts off the accesses below it, which are then not counted as saved, and an action further in saves
the rest of what it alone would save. Computes shrink with the innermost action on each operand, gated or skipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product as cartesian

from timeloop_py.sparsity.accesses import DenseRow, SparseComputes, SparseCounts, SparseRow, Split
from timeloop_py.sparsity.actions import Densities, Saving, savings
from timeloop_py.sparsity.metadata import RankWords, StoredTile
from timeloop_py.sparsity.tiles import Tiles
from timeloop_py.specs.case import Sparsity

#: digits that rounding noise of products of probabilities does not reach
_DIGITS = 9


def sparseloop_counts(
    tiles: Tiles,
    sparsity: Sparsity,
    densities: Densities,
    rows: Sequence[DenseRow],
    computes: int,
    compute_cycles: int,
) -> SparseCounts:
    """Counts of all (level, tensor) of ``rows``, and what is left of ``computes`` and their cycles."""
    saved = savings(tiles, sparsity, densities)
    stored = {
        (row.level, row.tensor): StoredTile(
            tiles, sparsity, row.level, row.tensor, densities[row.tensor], _parent_tells(tiles, sparsity, row)
        )
        for row in rows
    }
    counted = tuple(
        _Place(tiles, row, stored[row.level, row.tensor], saved, _sent_ranks(tiles, stored, row)).row() for row in rows
    )
    return SparseCounts(counted, _computes(tiles, sparsity, densities, saved, computes, compute_cycles))


def _parent_tells(tiles: Tiles, sparsity: Sparsity, row: DenseRow) -> bool:
    """The level above has metadata, so empty tiles are never sent."""
    parent = tiles.parent(row.level, row.tensor)
    return parent is not None and row.tensor in sparsity.level(parent).formats


def _sent_ranks(tiles: Tiles, stored: Mapping[tuple[str, str], StoredTile], row: DenseRow) -> int:
    """Inner ranks of the metadata that a read sends down, those an action saves: what the next level stores."""
    child = tiles.child(row.level, row.tensor)
    return len(stored[child or row.level, row.tensor].ranks)


class _Place:
    """One tensor in one level, per instance."""

    def __init__(
        self,
        tiles: Tiles,
        row: DenseRow,
        stored: StoredTile,
        saved: Mapping[tuple[str, str], Saving],
        sent_ranks: int,
    ) -> None:
        self.dense = row
        self.stored = stored
        self.is_output = tiles.problem.tensor(row.tensor).is_output
        self.saving = saved.get((row.level, row.tensor))
        levels = tiles.levels(row.tensor)
        outer = [
            saved[level, row.tensor] for level in levels[: levels.index(row.level)] if (level, row.tensor) in saved
        ]
        #: share of accesses that the nearest action further out cuts off
        self.cut = outer[-1].probability if outer else 0.0
        self.sent_ranks = sent_ranks

    @property
    def saved_share(self) -> float:
        """Of what is left by actions further out."""
        if self.saving is None:
            return 0.0
        if self.cut >= 1:
            return 0.0
        return max(0.0, 1 - (1 - self.saving.probability) / (1 - self.cut))

    def row(self) -> SparseRow:
        share = self.stored.probability_empty if self.stored.given_some else 0.0
        instances = self.dense.instances * (1 - share)
        reads = self._saved(self._left(self.dense.reads), math.ceil if self.is_output else math.floor)
        fills = Split(self._left(self.dense.fills))
        updates = self._saved(self._left(self.dense.updates), math.floor)
        ranks = self.stored.rank_words(as_sparseloop=True)
        md_reads = self._rank_splits(ranks, self.dense.reads, saved=True)
        md_fills = self._rank_splits(ranks, self.dense.fills, saved=False)
        md_updates = self._rank_splits(ranks, self.dense.updates, saved=True)
        data = {"read": reads, "write": fills, "update": updates}
        bits = {
            "metadata_read": self._bits(ranks, md_reads),
            "metadata_write": self._bits(ranks, md_fills),
            "metadata_update": self._bits(ranks, md_updates),
        }
        word_bits = self.stored.level.word_bits
        happening = {name: split.actual + split.gated for name, split in (data | bits).items()}
        read_words = happening["read"] + happening["metadata_read"] // word_bits
        metadata_bits = happening["metadata_write"] + happening["metadata_update"]
        written_words = happening["write"] + happening["update"] + metadata_bits // word_bits
        return SparseRow(
            level=self.dense.level,
            tensor=self.dense.tensor,
            instances=self.dense.instances,
            reads=reads.scaled(instances),
            fills=fills.scaled(instances),
            updates=updates.scaled(instances),
            metadata_reads=_words(md_reads).scaled(instances),
            metadata_fills=_words(md_fills).scaled(instances),
            metadata_updates=_words(md_updates).scaled(instances),
            temporal_reductions=self._temporal_reductions(updates) * instances,
            capacity_words=self.stored.worst_words,
            lines={action: count * instances for action, count in self._lines(data, bits).items()},
            read_words=_round_up(read_words * (1 - share)) * self.dense.instances,
            written_words=_round_up(written_words * (1 - share)) * self.dense.instances,
        )

    def _per_instance(self, words: int) -> int:
        return words // self.dense.instances

    def _left(self, words: int) -> int:
        """Words of one instance that its format has and actions further out have not cut off."""
        left = self._per_instance(words)
        if self.stored.format is not None:
            left -= _round_down(left * (1 - self.stored.density))
        return left - _round_down(left * self.cut)

    def _saved(self, words: int, rounding: Callable[[float], int]) -> Split:
        """Of words that are left: what the action here saves."""
        if self.saving is None:
            return Split(words)
        saved = rounding(round(words * self.saved_share, _DIGITS))
        if self.saving.kind == "gating":
            return Split(words - saved, gated=saved)
        return Split(words - saved, skipped=saved)

    def _rank_splits(self, ranks: Sequence[RankWords], words: int, saved: bool) -> list[tuple[Split, Split]]:
        """Coordinates and payloads per rank, outermost first, for tiles that are accessed ``words / size`` times."""
        passes = self._per_instance(words) / self.stored.size
        splits: list[tuple[Split, Split]] = []
        for position, rank in enumerate(ranks):
            sent = len(ranks) - position <= self.sent_ranks
            pair = [_round_up(count * passes) for count in (rank.coordinates, rank.payloads)]
            pair = [count - _round_down(count * self.cut) for count in pair]
            coordinates, payloads = (
                self._saved(count, math.floor) if saved and sent else Split(count) for count in pair
            )
            splits.append((coordinates, payloads))
        return splits

    def _bits(self, ranks: Sequence[RankWords], splits: Sequence[tuple[Split, Split]]) -> Split:
        """Widths are padded to divide a line of the metadata storage."""
        width = self.stored.level.metadata_storage_width
        pairs = [
            (
                coordinates.scaled(_padded(rank.coordinate_bits, width)),
                payloads.scaled(_padded(rank.payload_bits, width)),
            )
            for rank, (coordinates, payloads) in zip(ranks, splits, strict=True)
        ]
        return _words(pairs)

    def _temporal_reductions(self, updates: Split) -> float:
        dense = self._per_instance(self.dense.temporal_reductions)
        all_updates = self._per_instance(self.dense.updates)
        return _round_up(dense * updates.actual / all_updates) if all_updates else 0.0

    def _lines(self, data: Mapping[str, Split], bits: Mapping[str, Split]) -> dict[str, float]:
        width = self.stored.level.metadata_storage_width
        lines: dict[str, float] = {}
        for action, split in data.items():
            for name, words in _named(action, split):
                lines[name] = math.ceil(words / self.stored.level.words_per_line) * self._partly_filled
        for action, split in bits.items():
            for name, count in _named(action, split):
                lines[name] = math.ceil(count / width) if width else 0
        return lines

    @property
    def _partly_filled(self) -> float:
        """Lines per full line of a compressed tile: 1 for tiles so large that less than a percent is at stake."""
        width = self.stored.level.words_per_line
        if not self.stored.is_compressed or width == 1 or self.stored.density >= 1:
            return 1.0
        tenths = max(1, math.floor(round(self.stored.density * 10, _DIGITS)))
        threshold = math.ceil((width - 1) / (2 * width) * 1000 / tenths)
        if self.stored.size // width >= threshold:
            return 1.0
        return self.stored.lines_per_full_line(width)


def _named(action: str, split: Split) -> tuple[tuple[str, float], ...]:
    return (action, split.actual), (f"gated_{action}", split.gated), (f"skipped_{action}", split.skipped)


def _words(splits: Sequence[tuple[Split, Split]]) -> Split:
    flat = [split for pair in splits for split in pair]
    return Split(*(sum(values) for values in zip(*((s.actual, s.gated, s.skipped) for s in flat), strict=True)))


def _padded(bits: int, line_bits: int | None) -> int:
    """The least width from ``bits`` on that divides a line."""
    if not bits or not line_bits:
        return bits
    return next((width for width in range(bits, line_bits) if line_bits % width == 0), line_bits)


def _round_down(value: float) -> int:
    return math.floor(round(value, _DIGITS))


def _round_up(value: float) -> int:
    return math.ceil(round(value, _DIGITS))


def _computes(
    tiles: Tiles,
    sparsity: Sparsity,
    densities: Densities,
    saved: Mapping[tuple[str, str], Saving],
    computes: int,
    compute_cycles: int,
) -> SparseComputes:
    """Computes that are left by the actions on operands, by what their operands look like then.

    An operand is non-zero, zero (seen where it has no metadata), or absent. Computes of non-zero operands happen. With
    a zero they are gated where the array gates. With an absent operand beside another that is there, they are skipped
    where the array skips, else gated where it gates. Without any operand they do not exist. All others happen.
    """
    operands = [tensor.name for tensor in tiles.problem.tensors if not tensor.is_output]
    left = computes
    sharpest: dict[str, Saving] = {}
    for name in operands:
        inner = [saved[level, name] for level in tiles.levels(name) if (level, name) in saved]
        if inner:
            sharpest[name] = inner[-1]
            left -= _round_down(left * inner[-1].probability)

    states: list[tuple[tuple[str, float], ...]] = []
    for name in operands:
        # Where an operand's zeros decided, it is non-zero more often among the computes that are left.
        decided = max((saving.probability for saving in sharpest.values() if name in saving.leaders), default=0.0)
        density = float(densities[name].density)
        some = min(1.0, density / (1 - decided)) if decided < 1 else 0.0
        has_metadata = name in sparsity.level(tiles.levels(name)[-1]).formats
        states.append((("nonzero", some), ("absent" if has_metadata else "zero", 1 - some)))

    shares = {"happens": 0.0, "gated": 0.0, "skipped": 0.0, "absent": 0.0}
    for joint in cartesian(*states):
        kinds = {kind for kind, _ in joint}
        shares[_fate(kinds, sparsity)] += math.prod(probability for _, probability in joint)
    gated = _round_down(left * shares["gated"])
    skipped = _round_down(left * shares["skipped"])
    actual = left - gated - skipped - _round_down(left * shares["absent"])
    cycles = -(-(actual + gated) * compute_cycles // computes)
    return SparseComputes(actual, gated, skipped, cycles)


def _fate(operands: set[str], sparsity: Sparsity) -> str:
    if operands == {"absent"}:
        return "absent"
    if "absent" in operands and "skipping" in sparsity.compute:
        return "skipped"
    if operands != {"nonzero"} and "gating" in sparsity.compute:
        return "gated"
    return "happens"
