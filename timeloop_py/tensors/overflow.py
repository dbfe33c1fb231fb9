"""Whether a compressed tile fits its buffer: a probability."""

from __future__ import annotations

import math

import numpy as np

from timeloop_py.tensors import run_length
from timeloop_py.tensors.density import Array, Bernoulli, DensityModel
from timeloop_py.tensors.encoding import Encoding


def overflow_probability(
    encoding: Encoding, tile: int | tuple[int, ...], zeros: DensityModel, capacity_bits: float
) -> float:
    """Probability that a stored tile takes more than ``capacity_bits`` (values and metadata together).

    Exact for any model where the size depends on the number of non-zeros alone (only the last rank drops empty parts,
    without runs), for one rank of RLE as far as the distribution of its entries is, and for independent zeros
    (Bernoulli) in every encoding. Otherwise TypeError: the joint distribution of parts at several depths is unknown.
    """
    shape = encoding.shape(tile)
    last = encoding.ranks[-1]
    if not any(rank.drops_empty for rank in encoding.ranks[:-1]) and (last.name != "RLE" or len(shape) == 1):
        pmf = (
            run_length.entries_pmf(tile, zeros, encoding.run_bits) if last.name == "RLE" else zeros.occupancy_pmf(tile)
        )
        parts = [math.prod(shape[:depth]) for depth in range(len(shape) + 1)]
        sizes = [
            encoding.size_of(shape, [*parts[:-1], count if last.drops_empty else parts[-1]]).bits
            for count in range(pmf.size)
        ]
        return float(np.sum(pmf[np.array(sizes) > capacity_bits]))
    if not isinstance(zeros, Bernoulli):
        raise TypeError(f"the size of a tile in {len(shape)} compressed ranks is known for independent zeros only")
    return float(np.sum(_size_pmf(encoding, shape, float(zeros.probability))[math.floor(capacity_bits) + 1 :]))


def _size_pmf(encoding: Encoding, shape: tuple[int, ...], density: float) -> Array:
    """Distribution of the bits of a whole tile of independent positions, built from the values up.

    ``full`` is the distribution of the bits of a part that is not empty (a density of its own, not normalised);
    ``empty_bits`` and ``empty`` are the bits of an empty part where it is kept, and its probability.
    """
    full = np.concatenate([np.zeros(encoding.word_bits), [density]])
    empty_bits, empty = encoding.word_bits, 1 - density
    for rank in reversed(range(len(shape))):
        extent, form = shape[rank], encoding.ranks[rank]
        overhead = extent if form.name in ("B", "UB") else 0
        if form.name == "UOP":
            overhead = (extent + 1) * encoding.payload_bits(shape, rank)
        if form.name == "RLE":
            entries = run_length.entries_pmf(extent, Bernoulli(density), encoding.run_bits)
            fiber = np.zeros(extent * (encoding.word_bits + encoding.run_bits) + 1)
            fiber[:: encoding.word_bits + encoding.run_bits] = entries
        else:
            each = encoding.rank_bits(shape, rank) if form.name == "CP" else 0
            each += encoding.payload_bits(shape, rank) if encoding.has_payloads(rank) else 0
            part = np.concatenate([np.zeros(each), full])
            kept = 0 if form.drops_empty else empty_bits
            part = np.pad(part, (0, max(0, kept + 1 - part.size)))
            part[kept] += empty
            fiber = _power(part, extent)
        empty, empty_bits = empty**extent, overhead + (0 if form.drops_empty else extent * empty_bits)
        full = np.concatenate([np.zeros(overhead), fiber])
        full[empty_bits] -= empty
    whole = np.pad(full, (0, max(0, empty_bits + 1 - full.size)))
    whole[empty_bits] += empty
    return whole


def _power(pmf: Array, copies: int) -> Array:
    """The distribution of a sum of independent copies."""
    length = (pmf.size - 1) * copies + 1
    transform = np.fft.rfft(pmf, length)
    return np.maximum(np.fft.irfft(transform**copies, length), 0.0)
