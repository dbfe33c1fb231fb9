"""The fillings of one order, priced by broadcasting and cut at a ceiling.

Energies and buffer sizes of all pairs of rows are matrix products. Pairs whose lower bound is below the ceiling become
labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from timeloop_py.mapper.filling_words import FillingWords
from timeloop_py.mapper.fillings import Fillings
from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.labels import CLOSED, OPEN, Labels, Numbers
from timeloop_py.mapper.node_order import NodeOrder
from timeloop_py.mapper.objective import TIE, Goal
from timeloop_py.mapper.pairs import Pairs
from timeloop_py.mapper.sides import Rows
from timeloop_py.mapper.words import Words

#: Rows of one side that are priced at once against all of the other.
BLOCK = 64
#: Labels that are made at once.
ROWS = 1 << 15
Ceiling = Callable[[], float]
ALL = slice(None)


class Tables:
    """Prices the fillings of one order; ``priced`` counts those whose energy was computed."""

    def __init__(self, frame: Frame, order: NodeOrder) -> None:
        self.fillings = Fillings(frame, order)
        self.words = FillingWords(self.fillings)
        self.priced = 0
        #: per case, factors of the energy's terms: (rows of the other side, terms), (terms, rows of the windows)
        self._matrices: dict[int, tuple[Numbers, Numbers]] = {}
        #: per case, the second of them before any row was counted exactly
        self._least: dict[int, Numbers] = {}
        self._sliding_term: dict[int, int] = {}

    def labels(self, goal: Goal, ceiling: Ceiling, share: slice = ALL) -> Iterator[tuple[Labels, Pairs]]:
        """Labels whose lower bound is at most ``ceiling``, and the pairs they stand for.

        ``share``: which blocks of the other side's rows are priced, of those under equal spatial factors.
        """
        for case in range(1 if self.fillings.windowed is None else self.fillings.windowed + 1):
            for pairs in self._case_pairs(case, goal, ceiling, share):
                for begin in range(0, len(pairs.spread), ROWS):
                    part = pairs.rows(slice(begin, begin + ROWS))
                    part = part.rows(self._possible(case, part))
                    if not len(part.spread):
                        continue
                    for exact in (False, True):
                        labels = self._labelled(case, part, exact)
                        good = np.flatnonzero(self.fillings.frame.bound(labels, goal) <= ceiling() * (1 + TIE))
                        part = part.rows(good)
                    if len(good):
                        yield labels.rows(good), part

    def _case_pairs(self, case: int, goal: Goal, ceiling: Ceiling, share: slice) -> Iterator[Pairs]:
        """Rows of the two sides that may stay within the ceiling, under every choice of spatial factors they allow."""
        found: list[Pairs] = []
        for (first, second), spreads in self.fillings.groups.items():
            most = self._most_energy(goal, ceiling(), spreads)
            others, windows = self.fillings.rows(case, first, second)
            if most < 0 or not len(others) or not len(windows):
                continue
            for one, two, energy in self._pairs(case, others, windows, spreads, most, share):
                for spread in spreads:
                    fine = self.fillings.allowed(self.fillings.others, spread)[one]
                    fine &= self.fillings.allowed(self.fillings.windows, spread)[two]
                    found.append(Pairs.of(one[fine], two[fine], energy[fine], spread, most))
                ceiling()
                if sum(len(pairs.spread) for pairs in found) >= ROWS:
                    yield Pairs.joined(found)
                    found = []
        if found:
            yield Pairs.joined(found)

    def _possible(self, case: int, pairs: Pairs) -> Rows:
        """Pairs that the stages outside leave within the energy."""
        frame = self.fillings.frame
        tile = self.fillings.tile_numbers[0][pairs.others] + self.fillings.tile_numbers[1][pairs.windows]
        most = pairs.most * (1 + TIE) - pairs.energy
        rows = np.flatnonzero(frame.outer_pj(tile, pairs.spread, self.fillings.mask, None, most) <= most)
        if not self.fillings.waiting or not len(rows):
            return rows
        some, most = pairs.rows(rows), most[rows]
        movable = np.zeros((len(rows), len(frame.interface)), dtype=bool)
        for place in self.fillings.waiting:
            number = frame.interface[self.fillings.nodes[place]]
            stays_put = self.words.below(case, place, some.windows) != 0
            movable[:, number] = ~stays_put & ~frame.pinned[some.spread, number]
        extra = frame.outer_pj(tile[rows], some.spread, self.fillings.mask, movable)
        return rows[extra <= most]

    def _most_energy(self, goal: Goal, ceiling: float, spreads: list[int]) -> float:
        """The most energy at which the goal can stay within the ceiling, however short compute alone takes."""
        prices = self.fillings.frame.prices
        cycles = float(prices.compute_cycles[spreads].min()) + prices.latency_cycles
        most = np.inf
        for measure, limit in ((goal.measure, ceiling), *goal.limits):
            without = float(measure.value(0.0, cycles))
            slope = float(measure.value(1.0, cycles)) - without
            room = limit * (1 + TIE) - without
            most = min(most, room / slope if slope > 0 else np.inf if room >= 0 else -1.0)
        return most

    def _terms(self, case: int, spreads: list[int]) -> tuple[float, float, Numbers]:
        """The energy of fillings in a case as a sum of terms, whose factors of the two sides stand in the matrices.

        The least energy of anything else as labels count it; the same with what the stages outside add at least; the
        price of every term's words.
        """
        frame, prices = self.fillings.frame, self.fillings.frame.prices
        certain = prices.fixed_pj[spreads].copy()
        terms: list[tuple[Words, Words]] = []
        factors: list[float] = []
        for index, number in frame.interface.items():
            position = self.fillings.nodes.index(index) if index in self.fillings.nodes else None
            if position is None or position in self.fillings.waiting:
                certain += frame.least_pj[spreads, number]
                continue
            if position == self.fillings.windowed:
                self._sliding_term[case] = len(factors)
            for pair in self.words.of_node(case, position):
                terms.append(pair)
                factors += [prices.every_pj[spreads, number].min(), prices.distinct_pj[spreads, number].min()]
        if case not in self._matrices:
            left = [column for first, _ in terms for column in (first.every, first.distinct)]
            right = [row for _, second in terms for row in (second.every, second.distinct)]
            self._matrices[case] = (
                np.stack(left, axis=1) if left else np.zeros((len(self.fillings.others), 0)),
                np.stack(right, axis=0) if right else np.zeros((0, len(self.fillings.windows))),
            )
            self._least[case] = self._matrices[case][1].copy()
        with_outside = float((certain + frame.outside_pj[spreads]).min())
        return float(certain.min()), with_outside, np.array(factors)

    def _make_exact(self, case: int, windows: Rows) -> None:
        """Count how overlapping tiles slide, for some rows of the windows, and put it into the matrix."""
        fresh = self.words.make_exact(case, windows)
        if len(fresh):
            ((_, counted), *_) = self.words.of_node(case, self.fillings.windowed or 0)
            right, term = self._matrices[case][1], self._sliding_term[case]
            right[term, fresh], right[term + 1, fresh] = counted.every[fresh], counted.distinct[fresh]

    def _pairs(
        self, case: int, others: Rows, windows: Rows, spreads: list[int], most: float, share: slice
    ) -> Iterator[tuple[Rows, Rows, Numbers]]:
        """Pairs of rows that fit and may stay within the energy, with their lower bound of it."""
        certain, with_outside, factors = self._terms(case, spreads)
        room = (most - with_outside) * (1 + TIE)
        # Whatever was counted exactly before: the same fillings are looked at in the same order.
        left, right = self._matrices[case]
        first, second = left[others] * factors, self._least[case][:, windows]
        for turn in range(3):
            if not len(others) or not len(windows):
                return
            if turn == 1:
                self._make_exact(case, windows)
                second = right[:, windows]
            keep = first @ second.min(axis=1) <= room
            first, others = first[keep], others[keep]
            if not len(others):
                return
            keep = first.min(axis=0) @ second <= room
            second, windows = second[:, keep], windows[keep]
        # Rows of like tiles together: what finds no room beside the smallest of them finds none beside any.
        held = np.stack([words[others] for words in self.fillings.others.tile_words], axis=1)
        beside = np.stack([words[windows] for words in self.fillings.windows.tile_words], axis=0)
        order = np.lexsort(held.T)
        first, others, held = first[order], others[order], held[order]
        for begin in range(0, len(others), BLOCK)[share]:
            rows = slice(begin, begin + BLOCK)
            near = np.flatnonzero(self.fillings.fit_beside(held[rows].min(axis=0, keepdims=True), beside)[0])
            near = near[first[rows].min(axis=0) @ second[:, near] <= room]
            if not len(near):
                continue
            energy = first[rows] @ second[:, near]
            self.priced += energy.size
            fits = self.fillings.fit_beside(held[rows], beside[:, near])
            row, column = np.nonzero(fits & (energy <= room))
            if len(row):
                yield others[rows][row], windows[near[column]], certain + energy[row, column]

    def _labelled(self, case: int, pairs: Pairs, exact: bool) -> Labels:
        """The labels of pairs; unless ``exact``, with some loops free (:meth:`FillingWords.of_node`)."""
        frame = self.fillings.frame
        chains = self.fillings.chains_of(pairs)
        inside = [np.searchsorted(sizes, chains[:, :, axis]) for axis, sizes in enumerate(frame.sizes)]
        indices = np.stack(inside, axis=2).astype(np.int16)
        labels = frame.start().rows(pairs.spread)
        labels = labels.with_columns(
            inside=indices[:, 0], placed=np.full(len(chains), self.fillings.mask, dtype=np.int64)
        )
        for position in self.fillings.order.held:
            index = self.fillings.nodes[position]
            number = frame.interface[index]
            words = self.words.of_pairs(case, position, pairs, exact)
            labels = frame.charged(labels, index, words)
            status, rest, below = labels.status.copy(), labels.rest.copy(), labels.below.copy()
            if position == self.fillings.windowed and case == 0:
                status[:, number] = OPEN + frame.tile_code(index, indices[:, position])
            elif position in self.fillings.waiting:
                status[:, number], below[:, number] = OPEN, self.words.below(case, position, pairs.windows)
            else:
                status[:, number], rest[:, number] = CLOSED, 0.0
            labels = labels.with_columns(status=status, rest=rest, below=below)
        return labels
