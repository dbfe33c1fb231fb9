"""Tiles encoded and decoded, value by value: what the expectations of :mod:`.encoding` count."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from timeloop_py.tensors import run_length
from timeloop_py.tensors.density import Mask
from timeloop_py.tensors.encoding import Encoding, RankFormat, Size

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """A stored tile.

    ``values``: stored words, placeholders (zeros) included. ``metadata``: per rank the bits (B, UB), coordinates (CP)
    or runs (RLE) of all its fibers, one after the other. ``offsets``: per rank where the fibers of its parts begin
    and end among the parts of the next rank (UOP), or where they end (payloads of B and CP).
    """

    encoding: Encoding
    tile_shape: tuple[int, ...]
    values: NDArray[Any]
    metadata: tuple[Integers, ...]
    offsets: tuple[Integers, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the encoding's ranks."""
        return self.encoding.shape(self.tile_shape)

    @property
    def size(self) -> Size:
        """Bits it takes, stream by stream."""
        bits = 0
        for rank, form in enumerate(self.encoding.ranks):
            width = 1 if form.name in ("B", "UB") else self.encoding.rank_bits(self.shape, rank)
            bits += self.metadata[rank].size * width
            bits += self.offsets[rank].size * self.encoding.payload_bits(self.shape, rank)
        return Size(self.values.size * self.encoding.word_bits, bits)


def encode(encoding: Encoding, tile: ArrayLike) -> Encoded:
    """Store the values of a tile (an array; non-zero is what differs from 0)."""
    values = np.asarray(tile)
    shape = encoding.shape(values.shape)
    parts = values.reshape(1, -1)  # one row per fiber of the current rank
    metadata, kept = [], []
    for rank, (extent, form) in enumerate(zip(shape, encoding.ranks, strict=True)):
        split = parts.reshape(len(parts), extent, math.prod(shape[rank + 1 :]))
        nonzero = (split != 0).any(axis=2)
        stored = _stored(nonzero, form, encoding.run_bits)
        metadata.append(_metadata(nonzero, stored, form))
        kept.append(stored)
        parts = split[stored]
    offsets = [_offsets(encoding, rank, kept) for rank in range(len(shape))]
    return Encoded(encoding, values.shape, parts.ravel(), tuple(metadata), tuple(offsets))


def decode(encoded: Encoded) -> NDArray[Any]:
    """The tile again, from its streams alone."""
    fibers = np.zeros(1, dtype=np.int64)  # place of each fiber among all fibers of its rank, empty ones counted
    for rank, (extent, form) in enumerate(zip(encoded.shape, encoded.encoding.ranks, strict=True)):
        entries = encoded.metadata[rank]
        if form.name == "B":
            fiber, place = np.nonzero(entries.reshape(len(fibers), extent))
        elif form.name in ("CP", "RLE"):
            lengths = _lengths(encoded, rank)
            fiber = np.repeat(np.arange(len(fibers)), lengths)
            place = entries
            if form.name == "RLE":
                through = np.cumsum(entries + 1)
                starts = np.concatenate([[0], through])[np.cumsum(lengths) - lengths]
                place = through - 1 - starts[fiber]
        else:
            fiber, place = np.divmod(np.arange(len(fibers) * extent), extent)
        fibers = fibers[fiber] * extent + place
    tile = np.zeros(math.prod(encoded.shape), dtype=encoded.values.dtype)
    tile[fibers] = encoded.values
    return tile.reshape(encoded.tile_shape)


def _stored(nonzero: Mask, form: RankFormat, run_bits: int) -> Mask:
    """Which parts (fibers, extent) are kept."""
    if form.name == "RLE":
        return run_length.occupied(nonzero, run_bits)
    return nonzero if form.drops_empty else np.ones_like(nonzero)


def _metadata(nonzero: Mask, stored: Mask, form: RankFormat) -> Integers:
    """Bits, coordinates or runs of all fibers (fibers, extent)."""
    if form.name in ("B", "UB"):
        return nonzero.astype(np.int64).ravel()
    fiber, place = np.nonzero(stored)
    if form.name == "CP":
        return place.astype(np.int64)
    if form.name == "RLE":
        position = fiber * (stored.shape[1] + 1) + place + 1  # a gap of one between fibers: each starts anew
        first = np.diff(fiber, prepend=-1) > 0
        before = np.where(first, fiber * (stored.shape[1] + 1), np.concatenate([[0], position[:-1]]))
        return np.asarray(position - before - 1, dtype=np.int64)
    return np.zeros(0, dtype=np.int64)


def _offsets(encoding: Encoding, rank: int, kept: list[Mask]) -> Integers:
    """Where the fibers of a rank's parts lie among the parts of the next rank."""
    if encoding.ranks[rank].name != "UOP" and not encoding.has_payloads(rank):
        return np.zeros(0, dtype=np.int64)
    ends = np.cumsum(kept[rank + 1].sum(axis=1), dtype=np.int64)
    if encoding.ranks[rank].name != "UOP":
        return ends
    fibers, extent = kept[rank].shape
    begins = np.concatenate([[0], ends])[np.arange(fibers) * extent]
    return np.concatenate([begins[:, None], ends.reshape(fibers, extent)], axis=1).ravel()


def _lengths(encoded: Encoded, rank: int) -> Integers:
    """Parts in each fiber of a CP or RLE rank, from the offsets of the rank above."""
    if rank == 0:
        return np.array([encoded.metadata[0].size])
    offsets = encoded.offsets[rank - 1]
    if encoded.encoding.ranks[rank - 1].name == "UOP":
        return np.diff(offsets.reshape(-1, encoded.shape[rank - 1] + 1), axis=1).ravel()
    return np.diff(offsets, prepend=0)
