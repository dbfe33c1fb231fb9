"""What zeros leave of the accesses of a hierarchy: actual, gated and skipped ones, metadata apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class DenseRow(Protocol):
    """Accesses of one tensor at one level without regard to zeros, in words over all instances."""

    @property
    def level(self) -> str: ...
    @property
    def tensor(self) -> str: ...
    @property
    def instances(self) -> int: ...
    @property
    def reads(self) -> int: ...
    @property
    def fills(self) -> int: ...
    @property
    def updates(self) -> int: ...
    @property
    def temporal_reductions(self) -> int: ...


@dataclass(frozen=True)
class Split:
    """Words over all instances by what becomes of them; what a format leaves out is in none of the three."""

    actual: float = 0.0
    gated: float = 0.0
    skipped: float = 0.0

    def scaled(self, factor: float) -> Split:
        return Split(self.actual * factor, self.gated * factor, self.skipped * factor)


@dataclass(frozen=True)
class SparseRow:
    """Accesses of one tensor at one level, in words over all instances (expectations)."""

    level: str
    tensor: str
    #: instances that the mapping uses, with or without data
    instances: float
    reads: Split
    fills: Split
    updates: Split
    #: coordinates and payloads together
    metadata_reads: Split
    metadata_fills: Split
    metadata_updates: Split
    temporal_reductions: float
    #: data words of the fullest tile, per instance
    capacity_words: int
    #: line accesses by action, over all instances
    lines: Mapping[str, float]
    #: words that load the bandwidth, metadata included
    read_words: float
    written_words: float


@dataclass(frozen=True)
class SparseComputes:
    """Multiply-accumulates over all lanes, and the cycles they take."""

    actual: float
    gated: float
    skipped: float
    cycles: float


@dataclass(frozen=True)
class SparseCounts:
    """Accesses and computes under one convention."""

    rows: tuple[SparseRow, ...]
    computes: SparseComputes
