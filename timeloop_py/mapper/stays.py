"""Where a node may be worth keeping inside a loop that its tile does not notice.

It could stand outside the loop as well (:meth:`timeloop_py.mapper.growth.Growth._better_outside`), but for a loop over
the same dimension inside it: the two would be one longer loop then. That is worse only for an overlapping tile further
in, and only where the other loops of the segment leave more of it in place with the two apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.labels import Integers
from timeloop_py.mapper.mapspace import Node
from timeloop_py.mapper.objective import TIE
from timeloop_py.mapper.sides import Rows, Side
from timeloop_py.mapper.windows import sweep
from timeloop_py.mapper.words import Place


def gains(side: Side, node: Node, tile: Integers, begin: Place, inner: Integers, outer: Integers) -> NDArray[np.bool_]:
    """True for rows whose overlapping tile receives fewer words with two segments apart than with both as one.

    ``tile``, ``inner`` and ``outer`` (rows, dimensions): iterations in the tile of ``node``, and those of the segments.
    """
    apart = sweep(side.counter, node, tile, begin, [inner, outer]).words
    moved = sweep(side.counter, node, tile, begin, [inner * outer]).words
    return np.asarray(apart.every < moved.every * (1 - TIE))


def loops_to_stay_through(side: Side, node: Node, places: tuple[int, int, int], axes: Rows) -> Integers:
    """Bits of those dimensions over which some loop directly outside a node gives a gain.

    ``places``: positions of the node, of the next one in it, and of ``node`` with the overlapping tile.
    """
    outer, tile = side.chains[:, places[0]], side.chains[:, places[2]]
    begin = side.at(places[1])
    segment = outer // begin.inside
    left = side.counter.spread.full[side.spread] // outer
    found = np.zeros(len(side), dtype=np.int64)
    for axis in axes:
        inside = segment[:, axis] > 1
        for bound in np.unique(left[inside, axis]):
            rows = np.flatnonzero(inside & (left[:, axis] == bound))
            for factor in (one for one in range(2, int(bound) + 1) if bound % one == 0):
                more = np.ones((len(rows), outer.shape[1]), dtype=np.int64)
                more[:, axis] = factor
                some = Place(begin.inside[rows], begin.spread[rows], begin.passed)
                found[rows[gains(side, node, tile[rows], some, segment[rows], more)]] |= 1 << int(axis)
    return found
