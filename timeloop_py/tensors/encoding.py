"""How a tile is stored: formats per rank, and the bits they take as expectation and at worst.

A tile is a tree: a fiber of rank 0 has a coordinate for each of its positions, below each a fiber of rank 1, and so on
down to the values. Each rank has a format (Wu et al., "Sparseloop", MICRO 2022, section III):

========= ========================================================================== =====================
``U``     nothing: every coordinate is there                                         keeps empty parts
``UB``    a bit per coordinate beside uncompressed data                              keeps empty parts
``UOP``   an offset per coordinate, and one: where its fiber of the next rank begins keeps empty parts
``B``     a bit per coordinate                                                       drops empty parts
``CP``    the coordinate of each part that is not empty                              drops empty parts
``RLE``   the run of empty coordinates before it, with placeholders; last rank only  drops empty parts
========= ========================================================================== =====================

Fibers of ``CP`` and ``RLE`` have no fixed length: the rank above says where each ends, ``UOP`` by itself, ``B`` and
``CP`` by a payload per part (of the same width). CSR is ``UOP`` over ``CP``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from timeloop_py.tensors import run_length
from timeloop_py.tensors.density import DensityModel, positions

FormatName = Literal["U", "UB", "UOP", "B", "CP", "RLE"]
_DROPS_EMPTY = ("B", "CP", "RLE")
_OPEN_LENGTH = ("CP", "RLE")


@dataclass(frozen=True)
class RankFormat:
    """The format of one rank.

    ``bits``: of a coordinate (CP; by default as many as the rank needs) or a run (RLE; by default 4). ``payload_bits``:
    of an offset into the next rank (UOP, and B or CP above CP or RLE; by default as many as a full tile needs).
    """

    name: FormatName
    bits: int | None = None
    payload_bits: int | None = None

    @property
    def drops_empty(self) -> bool:
        return self.name in _DROPS_EMPTY


@dataclass(frozen=True)
class Size:
    """Bits of a stored tile: values (placeholders included) and metadata apart."""

    data_bits: float
    metadata_bits: float

    @property
    def bits(self) -> float:
        return self.data_bits + self.metadata_bits


@dataclass(frozen=True)
class Encoding:
    """Formats of the ranks of a tile, outermost first, and the width of a value.

    An encoding of one rank stores tiles of any shape flattened; one of several ranks needs tiles of as many ranks.
    """

    ranks: tuple[RankFormat, ...]
    word_bits: int = 16

    def __post_init__(self) -> None:
        if not self.ranks:
            raise ValueError("an encoding needs a rank")
        for above, below in zip(self.ranks[:-1], self.ranks[1:], strict=True):
            if above.name == "RLE":
                raise ValueError("RLE stores the last rank only")
            if above.name in ("U", "UB") and below.name in _OPEN_LENGTH:
                raise ValueError(f"{above.name} does not say where the {below.name} fibers below it end: UOP does")
        if self.ranks[-1].name == "UOP":
            raise ValueError("UOP points to the next rank: it cannot be the last one")

    def shape(self, tile: int | tuple[int, ...]) -> tuple[int, ...]:
        """Extents of the encoding's ranks for a tile."""
        if len(self.ranks) == 1:
            return (int(positions(tile)),)
        if not isinstance(tile, tuple) or len(tile) != len(self.ranks):
            raise ValueError(f"an encoding of {len(self.ranks)} ranks needs a tile of as many, found {tile}")
        return tile

    def expected_size(self, tile: int | tuple[int, ...], zeros: DensityModel) -> Size:
        """Expected bits of a tile. Exact wherever the model's emptiness is (placeholders: see expected_placeholders).

        A part of the tree at depth i is stored unless a rank at or above it drops it for being empty; being empty
        far up implies being empty below, so only the deepest such rank counts.
        """
        shape = self.shape(tile)
        stored = []
        for depth in range(len(shape) + 1):
            parts = math.prod(shape[:depth])
            dropping = [i for i in range(depth) if self.ranks[i].drops_empty]
            if dropping:
                inside = (1,) * (dropping[-1] + 1) + shape[dropping[-1] + 1 :]
                # A flattened tile is asked for by its count: only then is its shape of one rank.
                part = math.prod(inside) if len(shape) == 1 else inside
                parts *= 1 - zeros.probability_empty(part)
            stored.append(parts)
        placeholders = 0.0
        if self.ranks[-1].name == "RLE":
            each = run_length.expected_placeholders(shape[-1], zeros, self.run_bits)
            placeholders = math.prod(shape[:-1]) * float(each)
        return self.size_of(shape, stored, placeholders)

    def worst_size(self, tile: int | tuple[int, ...], zeros: DensityModel) -> Size:
        """The most bits that a tile can take: its non-zeros as many, and as far apart, as the model allows."""
        shape = self.shape(tile)
        nonzeros = int(zeros.worst_occupancy(tile))
        stored = []
        for depth in range(len(shape) + 1):
            dropping = [i for i in range(depth) if self.ranks[i].drops_empty]
            # Below the deepest rank that drops, whole fibers are kept for each part that is not empty.
            kept = min(math.prod(shape[: dropping[-1] + 1]), nonzeros) if dropping else 1
            stored.append(kept * math.prod(shape[dropping[-1] + 1 if dropping else 0 : depth]))
        placeholders = 0
        if self.ranks[-1].name == "RLE":
            fibers = math.prod(shape[:-1])
            placeholders = run_length.most_entries(fibers, shape[-1], nonzeros, self.run_bits) - nonzeros
        return self.size_of(shape, stored, placeholders)

    def size_of(self, shape: tuple[int, ...], stored: Sequence[float], placeholders: float = 0) -> Size:
        """Bits of a tile that stores ``stored[i]`` parts at depth i (0: the tile, last: values)."""
        metadata = 0.0
        for i, rank in enumerate(self.ranks):
            fibers, parts = stored[i], stored[i + 1]
            if rank.name in ("B", "UB"):
                metadata += fibers * shape[i]
            elif rank.name == "UOP":
                metadata += fibers * (shape[i] + 1) * self.payload_bits(shape, i)
            elif rank.name in _OPEN_LENGTH:
                metadata += (parts + (placeholders if rank.name == "RLE" else 0)) * self.rank_bits(shape, i)
            if self.has_payloads(i):
                metadata += parts * self.payload_bits(shape, i)
        return Size((stored[-1] + placeholders) * self.word_bits, metadata)

    def has_payloads(self, rank: int) -> bool:
        """Whether each part of a rank says where its fiber of the next rank ends (UOP apart)."""
        below = self.ranks[rank + 1].name if rank + 1 < len(self.ranks) else "U"
        return self.ranks[rank].name in ("B", "CP") and below in _OPEN_LENGTH

    @property
    def run_bits(self) -> int:
        """Bits of a run of the last rank."""
        return 4 if self.ranks[-1].bits is None else self.ranks[-1].bits

    def rank_bits(self, shape: tuple[int, ...], rank: int) -> int:
        """Bits of a coordinate or run of a rank."""
        if self.ranks[rank].name == "RLE":
            return self.run_bits
        bits = self.ranks[rank].bits
        return max(1, (shape[rank] - 1).bit_length()) if bits is None else bits

    def payload_bits(self, shape: tuple[int, ...], rank: int) -> int:
        """Bits of an offset into the rank below: it may be any count of its parts."""
        bits = self.ranks[rank].payload_bits
        return math.prod(shape[: rank + 2]).bit_length() if bits is None else bits


def uncompressed(word_bits: int = 16) -> Encoding:
    """Every position, zeros too."""
    return Encoding((RankFormat("U"),), word_bits)


def bitmask(word_bits: int = 16) -> Encoding:
    """A bit per position, and the non-zeros."""
    return Encoding((RankFormat("B"),), word_bits)


def coordinate_list(coordinate_bits: int | None = None, word_bits: int = 16) -> Encoding:
    """The non-zeros and their places in the flattened tile."""
    return Encoding((RankFormat("CP", coordinate_bits),), word_bits)


def run_length_code(run_bits: int = 4, word_bits: int = 16) -> Encoding:
    """The non-zeros and the runs of zeros before them: SCNN's with 4-bit runs and 16-bit values."""
    return Encoding((RankFormat("RLE", run_bits),), word_bits)


def compressed_rows(
    coordinate_bits: int | None = None, offset_bits: int | None = None, word_bits: int = 16
) -> Encoding:
    """CSR: offsets of rows over coordinates of columns (UOP over CP)."""
    return Encoding((RankFormat("UOP", payload_bits=offset_bits), RankFormat("CP", coordinate_bits)), word_bits)


def placeholder_overhead(tile: int, zeros: DensityModel, run_bits: int) -> float:
    """Expected placeholders per expected non-zero: what the run limit costs in storage."""
    return float(
        run_length.expected_placeholders(tile, zeros, run_bits) / np.maximum(zeros.expected_occupancy(tile), 1e-300)
    )
