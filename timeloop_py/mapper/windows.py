"""The best order of the loops around a tile of a tensor whose tiles overlap.

While only loops over the window's dimensions, or over dimensions that the tensor does not have, stand above a node, its
tile moves by less than itself, and what every loop brings in depends on which loops are inside it. Loops run in
segments (between two storage nodes), at most one per dimension; within a segment any order is allowed. As the words of
a loop depend on the set of loops inside it and not on their order (:mod:`timeloop_py.mapper.words`), the best order of
a segment is a shortest path through the subsets of its loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.mapspace import Node
from timeloop_py.mapper.words import Advances, Integers, Numbers, Place, WordCounter, Words


@dataclass(frozen=True)
class Sweep:
    """Words that all loops of some segments bring in, in the best order, and the axes of each from inner to outer.

    Both are per row; ``orders`` (rows, loops) are filled with -1 where a row has fewer loops.
    """

    words: Words
    orders: tuple[NDArray[np.int8], ...]


def sweep(counter: WordCounter, node: Node, tile: Integers, place: Place, segments: Sequence[Integers]) -> Sweep:
    """Words of the loops in ``segments`` (inner to outer; each (rows, dimensions): iterations) around a tile.

    Totals over all iterations of everything further outside, with perfect factors. ``place`` is where the innermost
    segment begins. The order that brings the fewest words to all instances is the best in every respect: what parents
    send is a fixed share, that of the first tiles.
    """
    every = np.zeros(len(place.spread))
    orders: list[NDArray[np.int8]] = []
    first = counter.first(node, tile, place)
    for segment in segments:
        words, order = _segment(counter.advances(node, tile, place, segment), segment)
        every = every + words
        orders.append(order)
        place = Place(place.inside * segment, place.spread, place.passed)
    return Sweep(Words(every, every * (first.distinct / first.every)), tuple(orders))


def _segment(advances: Advances, segment: Integers) -> tuple[Numbers, NDArray[np.int8]]:
    """The fewest words at all instances, by sets of loops from small to large; the loops from inner to outer."""
    axes = [axis for axis in range(segment.shape[1]) if (segment[:, axis] > 1).any()]
    rows = len(segment)
    best = {0: np.zeros(rows)}
    outermost: dict[int, NDArray[np.int8]] = {}
    sets = [sum(1 << axis for axis in chosen) for size in range(len(axes)) for chosen in combinations(axes, size + 1)]
    for loops in sets:
        for axis in axes:
            inner = loops ^ (1 << axis)
            if inner > loops:
                continue
            words = best[inner] + advances(inner, axis)
            if loops not in best:
                best[loops], outermost[loops] = words, np.full(rows, axis, dtype=np.int8)
                continue
            outermost[loops][words < best[loops]] = axis
            best[loops] = np.minimum(words, best[loops])
    whole = sum(1 << axis for axis in axes)
    return best[whole], _order(outermost, whole, rows)


def _order(outermost: dict[int, NDArray[np.int8]], whole: int, rows: int) -> NDArray[np.int8]:
    """The axes of every row from inner to outer, read back from the outermost one of every set."""
    order = np.full((rows, whole.bit_count()), -1, dtype=np.int8)
    loops = np.full(rows, whole)
    for place in range(whole.bit_count() - 1, -1, -1):
        for one in np.unique(loops):
            order[loops == one, place] = outermost[int(one)][loops == one]
        loops ^= 1 << order[:, place].astype(np.int64)
    return order
