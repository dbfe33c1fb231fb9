"""How many positions of a rank a tile touches, and how many two tiles share.

A tile along one rank is the set ``T = {sum_i c_i * x_i : 0 <= x_i < n_i}``: a box of indices seen through an
affine projection. With one term it is a range; with two (``p*stride + r*dilation``) it may have holes. The
two functions here count ``|T|`` and ``|T_from & (T_to + shift)|`` exactly, for numbers, arrays and (where an
elementary form exists) symbols; everywhere else they are named functions with a table behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from timeloop_py.numbers.operations import Number, absolute, is_plain, is_symbolic, maximum, minimum


def touched_positions(counts: Sequence[Number], coefficients: Sequence[Number]) -> Number:
    """``|T|``: distinct values of ``sum_i coefficients[i] * x_i`` with ``0 <= x_i < counts[i]``.

    Two terms: with ``s, d`` the coefficients divided by their greatest common divisor,
    ``|T| = P*R - max(0, P-d) * max(0, R-s)``: the points minus the pairs that meet (p, r) ~ (p+d, r-s).
    """
    counts, coefficients = _relevant(counts, coefficients)
    if not counts:
        return 1
    if len(counts) == 1:
        return counts[0]
    if len(counts) == 2:
        (first, second), (stride, dilation) = counts, _reduced(coefficients)
        return first * second - maximum(0, first - dilation) * maximum(0, second - stride)
    if is_symbolic(*counts, *coefficients):
        return _named("TouchedPositions", *counts, *coefficients)
    return _by_row(_touched_table, [*counts, *coefficients])


def shared_positions(
    counts_from: Sequence[Number],
    counts_to: Sequence[Number],
    coefficients: Sequence[Number],
    shifts: Sequence[Number],
) -> Number:
    """``|T_from & (T_to + D)|`` where the tile moves by ``shifts[i]`` along index ``i``.

    One term, or two without holes: the overlap of two ranges. Two terms with holes where one reduced
    coefficient is 1: rows of separate blocks, two alignments overlap. Otherwise a table.
    """
    keep = [
        index
        for index in range(len(coefficients))
        if not (_is_one(counts_from[index]) and _is_one(counts_to[index]) and _is_zero(shifts[index]))
        and not _is_zero(coefficients[index])
    ]
    froms = [counts_from[index] for index in keep]
    tos = [counts_to[index] for index in keep]
    moves = [shifts[index] for index in keep]
    steps = [coefficients[index] for index in keep]
    if not keep:
        return 1
    if len(keep) == 1:
        return _range_overlap(froms[0], tos[0], moves[0])
    if len(keep) > 2:
        if is_symbolic(*froms, *tos, *steps, *moves):
            return _named("SharedPositions", *froms, *tos, *steps, *moves)
        return _by_row(_shared_table, [*froms, *tos, *steps, *moves])
    return _shared_of_two(froms, tos, steps, moves)


def _shared_of_two(
    froms: Sequence[Number], tos: Sequence[Number], steps: Sequence[Number], moves: Sequence[Number]
) -> Number:
    stride, dilation = _reduced(steps)
    # A negative coefficient mirrors its index: x -> n-1-x turns it positive and moves the tiles apart.
    shift = 0
    for step, reduced, move, count_from, count_to in zip(steps, (stride, dilation), moves, froms, tos, strict=True):
        mirrored = _negative(step)
        shift = shift + reduced * (move - mirrored * (2 * move + count_to - count_from))
    extents = [stride * (first - 1) + dilation * (second - 1) + 1 for first, second in (froms, tos)]
    box = _range_overlap(extents[0], extents[1], shift)
    if not isinstance(stride, np.ndarray) and not isinstance(dilation, np.ndarray) and stride == dilation == 1:
        return box
    if is_symbolic(*froms, *tos, *steps, *moves):
        if _surely_without_holes(froms, stride, dilation) and _surely_without_holes(tos, stride, dilation):
            return box
        return _named("SharedPositions", *froms, *tos, *steps, *moves)
    whole = _without_holes(froms, stride, dilation) & _without_holes(tos, stride, dilation)
    if np.all(whole):
        return box
    rows = _block_overlap(froms, tos, stride, dilation, shift)
    columns = _block_overlap(froms[::-1], tos[::-1], dilation, stride, shift)
    by_rows = (dilation == 1) & (froms[1] <= stride) & (tos[1] <= stride)
    by_columns = (stride == 1) & (froms[0] <= dilation) & (tos[0] <= dilation)
    closed = whole | by_rows | by_columns
    if is_plain(*froms, *tos, *steps, *moves):
        if closed:
            return box if whole else rows if by_rows else columns
        return _shared_table(*froms, *tos, *steps, *moves)
    result = np.where(whole, box, np.where(by_rows, rows, columns))
    if not np.all(closed):
        table = _by_row(_shared_table, [*froms, *tos, *steps, *moves])
        result = np.where(closed, result, table)
    return result


def positions_inside(
    counts: Sequence[int], coefficients: Sequence[int], base: int, clip: tuple[int, int] | None
) -> frozenset[int]:
    """The positions ``base + T`` that lie in ``[clip[0], clip[1])``: the set itself, for clipped ranks."""
    found = {base + offset for offset in _offsets(tuple(counts), tuple(coefficients))}
    if clip is not None:
        found = {position for position in found if clip[0] <= position < clip[1]}
    return frozenset(found)


def _range_overlap(count_from: Number, count_to: Number, shift: Number) -> Number:
    if count_from is count_to or (is_symbolic(count_from) and count_from == count_to):
        return maximum(0, count_from - absolute(shift))
    return maximum(0, minimum(count_from, shift + count_to) - maximum(0, shift))


def _block_overlap(
    froms: Sequence[Number], tos: Sequence[Number], stride: Number, dilation: Number, shift: Number
) -> Number:
    """Overlap of rows of blocks: ``counts[0]`` blocks of ``counts[1]`` positions, ``stride`` apart."""
    row = shift // stride
    inside = shift - row * stride
    aligned = _range_overlap(froms[0], tos[0], row) * _range_overlap(froms[1], tos[1], inside)
    next_row = _range_overlap(froms[0], tos[0], row + 1)
    return aligned + next_row * _range_overlap(froms[1], tos[1], inside - stride)


def _without_holes(counts: Sequence[Number], stride: Number, dilation: Number) -> Number:
    first, second = counts
    dense_rows = (dilation == 1) & ((second >= stride) | (first == 1))
    dense_columns = (stride == 1) & ((first >= dilation) | (second == 1))
    return np.asarray(dense_rows | dense_columns)


def _surely_without_holes(counts: Sequence[Number], stride: Number, dilation: Number) -> bool:
    """Where the assumptions on the symbols settle it (a loop that runs at least twice over a stride of 2)."""
    import sympy

    first, second = counts
    dense_rows = dilation == 1 and (_is_one(first) or (second >= stride) == sympy.true)
    dense_columns = stride == 1 and (_is_one(second) or (first >= dilation) == sympy.true)
    return bool(dense_rows or dense_columns)


def _reduced(coefficients: Sequence[Number]) -> tuple[Number, Number]:
    first, second = (absolute(coefficient) for coefficient in coefficients)
    if is_symbolic(first, second):
        import sympy

        divisor = sympy.gcd(first, second)
        return first / divisor, second / divisor
    divisor = math.gcd(first, second) if is_plain(first, second) else np.gcd(first, second)
    return first // divisor, second // divisor


def _relevant(counts: Sequence[Number], coefficients: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    kept = [
        (count, step)
        for count, step in zip(counts, coefficients, strict=True)
        if not _is_one(count) and not _is_zero(step)
    ]
    return [count for count, _ in kept], [step for _, step in kept]


def _is_one(value: Number) -> bool:
    return is_plain(value) and value == 1


def _is_zero(value: Number) -> bool:
    return is_plain(value) and value == 0


def _negative(value: Number) -> Number:
    if is_symbolic(value):
        return 1 if value.is_negative else 0
    return int(value < 0) if is_plain(value) else np.asarray(value < 0).astype(np.int64)


def _named(name: str, *arguments: Number) -> Number:
    import sympy

    return sympy.Function(name)(*arguments)


def _by_row(function: object, columns: Sequence[Number]) -> Number:
    """Apply a cached scalar function once per distinct row of broadcast integer columns."""
    assert callable(function)
    if is_plain(*columns):
        return function(*(int(column) for column in columns))
    arrays = np.broadcast_arrays(*(np.asarray(column, dtype=np.int64) for column in columns))
    rows = np.stack([array.ravel() for array in arrays], axis=1)
    distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
    values = np.array([function(*(int(entry) for entry in row)) for row in distinct], dtype=np.int64)
    return values[inverse.ravel()].reshape(arrays[0].shape)


@lru_cache(maxsize=65536)
def _offsets(counts: tuple[int, ...], coefficients: tuple[int, ...]) -> frozenset[int]:
    found = {0}
    for count, coefficient in zip(counts, coefficients, strict=True):
        found = {base + coefficient * index for base in found for index in range(count)}
    return frozenset(found)


def _touched_table(*row: int) -> int:
    half = len(row) // 2
    return len(_offsets(row[:half], row[half:]))


@lru_cache(maxsize=65536)
def _shared_table(*row: int) -> int:
    terms = len(row) // 4
    froms, tos, steps, moves = (row[index * terms : (index + 1) * terms] for index in range(4))
    shift = sum(step * move for step, move in zip(steps, moves, strict=True))
    first = _offsets(froms, steps)
    return sum(1 for offset in _offsets(tos, steps) if offset + shift in first)
