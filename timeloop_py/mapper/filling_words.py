"""Words that cross into the nodes of the innermost stage, for all fillings of one order.

Every word count is a product of a number per choice of one side and a number per choice of the other, or a sum of such
products: an interface's words are a product over the ranks of its tensor and over the dimensions it does not have.

A *case* says which segment above the overlapping tile is the innermost one with a loop that leaves nothing of the tile
in place (0: none): from there on every iteration brings in a whole tile.
"""

from __future__ import annotations

from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.fillings import Fillings
from timeloop_py.mapper.labels import STUCK, Integers, Numbers
from timeloop_py.mapper.pairs import Pairs
from timeloop_py.mapper.sides import Rows, Side
from timeloop_py.mapper.stays import loops_to_stay_through
from timeloop_py.mapper.windows import sweep
from timeloop_py.mapper.words import Place, Words


class FillingWords:
    """The words of one order's fillings, and what else tells how their tiles stay."""

    def __init__(self, fillings: Fillings) -> None:
        self._fillings = fillings
        self._exact: dict[int, NDArray[np.bool_]] = {}

    def below(self, case: int, place: int, windows: Rows) -> Integers:
        """What labels have to remember of the loops inside a waiting node, by rows of the windows."""
        if place:
            return np.full(len(windows), STUCK, dtype=np.int64)
        if case or not self._fillings.windowed:
            return np.zeros(len(windows), dtype=np.int64)
        missing = windows[self._stays_below[windows] < 0]
        if len(missing):
            missing = np.unique(missing)
            self._stays_below[missing] = self._find_stays(self._fillings.windows.rows(missing))
        return self._stays_below[windows]

    @cached_property
    def _stays_below(self) -> Integers:
        """Known bits of :meth:`_find_stays`, by rows of the windows; -1: not asked for yet."""
        return np.full(len(self._fillings.windows), -1, dtype=np.int64)

    def _find_stays(self, windows: Side) -> Integers:
        """Bits of the dimensions over which the outermost node may stay through a loop directly outside."""
        frame, place = self._fillings.frame, self._fillings.windowed or 0
        nodes = self._fillings.nodes
        axes = np.flatnonzero(frame.relevance[nodes[0]].idle & frame.relevance[nodes[place]].window)
        if self._fillings.order.stands is None:
            return loops_to_stay_through(windows, frame.nodes[nodes[place]], (0, 1, place), axes)
        # The order of the loops between the nodes is bound already: whatever loop there is may be a reason.
        looped = windows.chains[:, 0] > windows.chains[:, self._fillings.order.stands]
        return np.asarray(looped[:, axes] @ (1 << axes))

    def of_node(self, case: int, position: int) -> list[tuple[Words, Words]]:
        """Words of the node at ``position`` as a sum of products: factors of the other side, of the windows.

        Loops over dimensions that the overlapping tile does not have are taken as free where they stand among those
        that slide it: a lower bound. What slides is counted when it is asked for (:meth:`make_exact`).
        """
        key = (case, position)
        if key not in self._word_cache:
            self._word_cache[key] = self._count_words(case, position)
        return self._word_cache[key]

    @cached_property
    def _word_cache(self) -> dict[tuple[int, int], list[tuple[Words, Words]]]:
        return {}

    def _count_words(self, case: int, position: int) -> list[tuple[Words, Words]]:
        others, windows = self._fillings.others, self._fillings.windows
        if position != self._fillings.windowed:
            return [(others.whole(position), windows.whole(position))]
        top = max(case - 1, 0)
        repeated = others.first[position] * self._outside_windows(case)
        sliding = windows.least_sliding(position, top)
        self._exact[case] = np.zeros(len(windows), dtype=bool)
        if case:
            return [(repeated, windows.first[position] * windows.outside(top) + sliding)]
        return [(repeated, sliding), (others.first[position], windows.first[position])]

    def _outside_windows(self, case: int) -> Numbers:
        """Iterations of the other side outside the overlapping tile, those of loops that slide it left out."""
        fillings = self._fillings
        place, top = fillings.windowed or 0, max(case - 1, 0)
        return fillings.others.outside(place, fillings.closing) * fillings.others.outside(top, fillings.idle)

    def make_exact(self, case: int, rows: Rows) -> Rows:
        """Count how the overlapping tiles of some rows of the windows slide: a lower bound stands there until then.

        Gives the rows that were not counted before.
        """
        if self._fillings.windowed is None:
            return rows[:0]
        rows = rows[~self._exact[case][rows]]
        if not len(rows):
            return rows
        self._exact[case][rows] = True
        top, side = max(case - 1, 0), self._fillings.windows.rows(rows)
        words = side.sliding(self._fillings.windowed, top)
        if case:
            words = words + side.first[self._fillings.windowed] * side.outside(top)
        counted = self.of_node(case, self._fillings.windowed)[0][1]
        counted.every[rows], counted.distinct[rows] = words.every, words.distinct
        return rows

    def of_pairs(self, case: int, position: int, pairs: Pairs, exact: bool) -> Words:
        """Words of the node at ``position``; unless ``exact``, with some loops free (:meth:`of_node`)."""
        others, windows = pairs.others, pairs.windows
        if position in self._fillings.waiting:
            first, second = self._fillings.others.first[position], self._fillings.windows.first[position]
            return first.rows(others) * second.rows(windows)
        terms = (one.rows(others) * two.rows(windows) for one, two in self.of_node(case, position))
        words = reduce(Words.__add__, terms)
        return self._with_idle_loops(case, pairs, words) if exact and position == self._fillings.windowed else words

    def _with_idle_loops(self, case: int, pairs: Pairs, words: Words) -> Words:
        """Words of the overlapping tile, exact where loops of other dimensions stand among those that slide it."""
        place, top = self._fillings.windowed or 0, max(case - 1, 0)
        idle = self._fillings.others.chains[pairs.others, top : place + 1][:, :, self._fillings.idle]
        among = np.flatnonzero((idle[:, 0] > idle[:, -1]).any(axis=1))
        if not len(among):
            return words
        some = pairs.rows(among)
        exact = self._sliding(case, some) + self._whole_tiles(case, some)
        every, distinct = words.every.copy(), words.distinct.copy()
        every[among], distinct[among] = exact.every, exact.distinct
        return Words(every, distinct)

    def _sliding(self, case: int, pairs: Pairs) -> Words:
        """Words that slide the overlapping tiles of pairs, with all loops in their best order."""
        frame, place, top = self._fillings.frame, self._fillings.windowed or 0, max(case - 1, 0)
        chains = self._fillings.chains_of(pairs)
        tile = chains[:, place]
        segments = [chains[:, above] // chains[:, above + 1] for above in range(place - 1, top - 1, -1)]
        for segment in segments:
            segment[:, self._fillings.closing] = 1
        node, start = frame.nodes[self._fillings.nodes[place]], Place(tile, pairs.spread, self._fillings.stage)
        return sweep(frame.counter, node, tile, start, segments).words

    def _whole_tiles(self, case: int, pairs: Pairs) -> Words:
        """Words of the overlapping tiles of pairs that arrive whole: at first, and with every loop further outside."""
        place = self._fillings.windowed or 0
        others, windows = self._fillings.others.first[place], self._fillings.windows.first[place]
        if case:
            others = others * self._outside_windows(case)
            windows = windows * self._fillings.windows.outside(case - 1)
        return others.rows(pairs.others) * windows.rows(pairs.windows)
