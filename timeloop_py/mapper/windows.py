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

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.mapspace import Node
from timeloop_py.mapper.words import Integers, Place, WordCounter, Words


@dataclass(frozen=True)
class Sweep:
    """Words that all loops of some segments bring in, in the best order, and the axes of each from inner to outer.

    Both are per row; ``orders`` (rows, loops) are filled with -1 where a row has fewer loops.
    """

    words: Words
    orders: tuple[NDArray[np.int8], ...]


def sweep(counter: WordCounter, node: Node, tile: Integers, place: Place, segments: Sequence[Integers]) -> Sweep:
    """Words of the loops in ``segments`` (inner to outer; each (rows, dimensions): iterations) around a tile.

    Totals over all iterations of everything further outside. ``place`` is where the innermost segment begins. The order
    that brings the fewest words to all instances is the best in every respect: what parents send is a fixed share.
    """
    rows = len(place.spread)
    total = Words(np.zeros(rows), np.zeros(rows))
    orders: list[NDArray[np.int8]] = []
    for segment in segments:
        words, order = _segment(counter, node, tile, place, segment)
        total = total + words
        orders.append(order)
        place = Place(place.inside * segment, place.spread, place.passed)
    return Sweep(total, tuple(orders))


def _segment(
    counter: WordCounter, node: Node, tile: Integers, place: Place, segment: Integers
) -> tuple[Words, NDArray[np.int8]]:
    axes = [axis for axis in range(segment.shape[1]) if (segment[:, axis] > 1).any()]
    rows = len(segment)
    best: dict[int, Words] = {0: Words(np.zeros(rows), np.zeros(rows))}
    order: dict[int, NDArray[np.int8]] = {0: np.full((rows, len(axes)), -1, dtype=np.int8)}
    for mask in range(1, 1 << len(axes)):
        for bit, axis in enumerate(axes):
            if not mask >> bit & 1:
                continue
            inner = mask ^ (1 << bit)
            factors = np.ones_like(segment)
            for other, chosen in enumerate(axes):
                if inner >> other & 1:
                    factors[:, chosen] = segment[:, chosen]
            inside = Place(place.inside * factors, place.spread, place.passed)
            words = best[inner] + counter.advancing(node, tile, inside, axis, segment[:, axis])
            last = order[inner].copy()
            last[:, inner.bit_count()] = axis
            if mask not in best:
                best[mask], order[mask] = words, last
                continue
            better = words.every < best[mask].every
            best[mask] = Words(
                np.where(better, words.every, best[mask].every), np.where(better, words.distinct, best[mask].distinct)
            )
            order[mask] = np.where(better[:, None], last, order[mask])
    whole = (1 << len(axes)) - 1
    return best[whole], order[whole]
