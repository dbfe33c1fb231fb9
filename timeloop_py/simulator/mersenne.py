"""The 64-bit Mersenne Twister, whose bits NumPy does not offer (its MT19937 is the 32-bit one)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from timeloop_py.simulator.arrays import FloatArray
from timeloop_py.specs.layer import Layer

_WORDS = 312
_MIDDLE = 156
_TWIST = np.uint64(0xB5026F5AA96619E9)
_UPPER = np.uint64(0xFFFFFFFF80000000)
_LOWER = np.uint64(0x7FFFFFFF)

UintArray = npt.NDArray[np.uint64]


def mt19937_64(seed: int, count: int) -> UintArray:
    """The first ``count`` outputs of MT19937-64 with an integer seed, those of C++'s ``std::mt19937_64``.

    T. Nishimura, "Tables of 64-bit Mersenne Twisters", ACM TOMACS 10(4), 2000, doi:10.1145/369534.369540;
    initialisation as in the authors' ``mt19937-64.c``.
    """
    words = [seed % 2**64]
    for index in range(1, _WORDS):
        words.append((6364136223846793005 * (words[-1] ^ words[-1] >> 62) + index) % 2**64)
    state = np.array(words, np.uint64)
    blocks = []
    for _ in range(-(-count // _WORDS)):
        state = _next(state)
        blocks.append(_tempered(state))
    return np.concatenate(blocks)[:count] if blocks else np.empty(0, np.uint64)


def _next(state: UintArray) -> UintArray:
    """The next 312 words: word i of words i and i+1 and the new word i-156, in three runs free of dependences."""
    new = np.empty_like(state)
    new[:_MIDDLE] = _twisted(state[:_MIDDLE], state[1 : _MIDDLE + 1], state[_MIDDLE:])
    new[_MIDDLE:-1] = _twisted(state[_MIDDLE:-1], state[_MIDDLE + 1 :], new[: _MIDDLE - 1])
    new[-1:] = _twisted(state[-1:], new[:1], new[_MIDDLE - 1 : _MIDDLE])
    return new


def _twisted(upper: UintArray, lower: UintArray, far: UintArray) -> UintArray:
    bits = (upper & _UPPER) | (lower & _LOWER)
    twisted: UintArray = far ^ (bits >> np.uint64(1)) ^ ((bits & np.uint64(1)) * _TWIST)
    return twisted


def _tempered(state: UintArray) -> UintArray:
    bits = state ^ ((state >> np.uint64(29)) & np.uint64(0x5555555555555555))
    bits ^= (bits << np.uint64(17)) & np.uint64(0x71D67FFFEDA60000)
    bits ^= (bits << np.uint64(37)) & np.uint64(0xFFF7EEE000000000)
    tempered: UintArray = bits ^ (bits >> np.uint64(43))
    return tempered


def mersenne_tensors(layer: Layer, seed: int) -> tuple[FloatArray, FloatArray]:
    """Activations [N, C, H, W] and weights [K, C/G, S, R] with the zeros of the recorded public simulator runs.

    An element is non-zero where a draw ``(x >> 11) * 2**-53`` is below the density of the layer; activations are drawn
    with seed ``2*seed + 1``, weights with ``2*seed + 2``, each in the order of its axes. The values are small whole
    numbers from the bits that the draw leaves out, so that sums are exact.
    """
    activations = _sparse(2 * seed + 1, (layer.N, layer.C, layer.H, layer.W), layer.activation_density)
    weights = _sparse(2 * seed + 2, (layer.K, layer.channels_per_group, layer.S, layer.R), layer.weight_density)
    return activations, weights


def _sparse(seed: int, shape: tuple[int, ...], density: float) -> FloatArray:
    bits = mt19937_64(seed, int(np.prod(shape)))
    draws = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    values = 1.0 + (bits & np.uint64(15)).astype(np.float64)
    return np.where(draws < density, values, 0.0).reshape(shape)
