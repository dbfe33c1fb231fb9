"""All ways to fill the innermost stage of a placement space, priced by broadcasting and cut at a ceiling.

The nodes of the innermost stage see most of the choices there are, and few of them lead to good mappings. So they are
not built loop by loop but enumerated: for every order of the nodes, all chains of tile sizes of every dimension at the
nodes. Dimensions are split in two sides, those of overlapping tiles and the others. Every word count is a product of a
number per choice of one side and a number per choice of the other (an interface's words are a product over the ranks of
its tensor and over the dimensions it does not have), so energies and buffer sizes of all pairs are matrix products.
Pairs whose lower bound is below the ceiling become labels, from which the search goes on.

Two reductions keep the tables small; both are moves of a node to where it costs no more:

- *Inwards past its own dimension.* A loop directly below a node, over a dimension that moves the node's tile by whole
  tiles, can as well stand above it: the tile is smaller, and as many words cross.
- *Outwards past a dimension that it does not have*, where no other loop stands in between: the tile stays as it is, and
  stays longer.

Where a tensor with overlapping tiles is held further in, the order of the loops counts for it, and a node cannot be
thought past a loop that has to stay where it is: the first move is then only made past dimensions that leave nothing of
the overlapping tile in place either (outermost in their segment, they let all other loops of it profit from overlaps),
the second not at all. The outermost node is not moved: it may be waiting for loops beyond the stage.

A node that is not moved outwards past a loop may still stay through it. Where no other loop over that dimension stands
directly inside the node, the nest with the node moved is priced in its place: it costs as much. Otherwise moving the
node would leave two loops over one dimension in a segment; those nests are enumerated by themselves, with tile sizes
chosen both where the node stands and where its stay ends (:class:`timeloop_py.mapper.node_order.NodeOrder`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.held import Found
from timeloop_py.mapper.labels import CLOSED, OPEN, STUCK, Integers, Labels, Numbers
from timeloop_py.mapper.node_order import NodeOrder
from timeloop_py.mapper.objective import TIE, Goal
from timeloop_py.mapper.pairs import Pairs
from timeloop_py.mapper.seeds import Seeds
from timeloop_py.mapper.sides import Rows, Side, divisor_chains, make_side, spatial_choices
from timeloop_py.mapper.stays import gains, loops_to_stay_through
from timeloop_py.mapper.windows import sweep
from timeloop_py.mapper.words import Place, Words

if TYPE_CHECKING:
    from timeloop_py.mapper.crew import Crew

#: Rows of one side that are priced at once against all of the other.
BLOCK = 64
#: Labels that are made at once.
ROWS = 1 << 15
Ceiling = Callable[[], float]
ALL = slice(None)


class Innermost:
    """The nests that hold all nodes of the innermost stage, in one order, as labels of a search.

    Only nests that use the array above the stage become labels: without, nodes of several stages may stand in any
    order, which the search builds itself. ``unused`` are the choices of spatial factors for which it has to, with the
    least bound of their labels that were left to it.
    """

    def __init__(self, frame: Frame, order: NodeOrder) -> None:
        self.frame = frame
        self.order = order
        self.unused: dict[int, float] = {}
        if order not in frame.tables:
            frame.tables[order] = Tables(frame, order)
        self.tables = frame.tables[order]
        self._priced_before = self.tables.priced
        #: fillings priced when they were last enumerated
        self.last_priced = 0

    @property
    def priced(self) -> int:
        """Fillings of the stage whose energy was computed for this goal."""
        return self.tables.priced - self._priced_before

    def found(self, goal: Goal, ceiling: Ceiling, seeds: Seeds) -> Iterator[Found]:
        """All labels whose lower bound is at most ``ceiling()``; their actions name a seed.

        The ceiling is asked again and again, and may fall; it may also raise an error to end the enumeration.
        """
        before = self.priced
        for labels, pairs in self.tables.labels(goal, ceiling):
            yield self._found(goal, labels, pairs, seeds)
        self.last_priced = self.priced - before

    def found_together(self, crew: Crew, goal: Goal, ceiling: float, seeds: Seeds, most: int) -> Found | None:
        """All labels whose lower bound is at most ``ceiling``, found by several processes; None: more than ``most``."""
        before = self.priced
        found = crew.labels(self.tables, goal, ceiling, most)
        self.last_priced = self.priced - before
        return None if found is None else self._found(goal, *found, seeds)

    def _found(self, goal: Goal, labels: Labels, pairs: Pairs, seeds: Seeds) -> Found:
        unused = self.frame.spread.unused[labels.spread, self.tables.stage - 1]
        left = labels.rows(np.flatnonzero(unused))
        for spread, bound in zip(left.spread.tolist(), self.frame.bound(left, goal).tolist(), strict=True):
            self.unused[spread] = min(bound, self.unused.get(spread, np.inf))
        used = np.flatnonzero(~unused)
        labels, pairs = labels.rows(used), pairs.rows(used)
        action = seeds.add(self.order, self.tables.chains_of(pairs), labels.spread)
        return Found(labels.with_columns(action=action), self.tables.place_of(pairs))


class Tables:
    """Both sides of one order, and the matrices of their pairs."""

    def __init__(self, frame: Frame, order: NodeOrder) -> None:
        self.frame = frame
        self.order = order
        self.nodes = nodes = order.positions
        self.stage = len(frame.levels) - 1
        self.windowed = next((place for place, index in enumerate(nodes) if frame.tracked[index]), None)
        #: positions of nodes of which only the first tiles are counted here: the loops beyond the stage tell the rest
        self.waiting = [place for place in range(1 + order.waiting_too) if place != self.windowed]
        others, windows = self._axes()
        self.others = make_side(frame, nodes, others, self._chains, self._fits)
        self.windows = make_side(frame, nodes, windows, self._chains, self._fits)
        if order.stands is not None:
            self._leave_only_stays(order.stands)
        numbers = [spatial_choices(frame, axes)[1] for axes in (others, windows)]
        self._groups: dict[tuple[int, int], list[int]] = {}
        for row, pair in enumerate(zip(*(one.tolist() for one in numbers), strict=True)):
            self._groups.setdefault(pair, []).append(row)
        self.priced = 0
        #: per case, factors of the energy's terms: (rows of the other side, terms), (terms, rows of the windows)
        self._matrices: dict[int, tuple[Numbers, Numbers]] = {}
        #: per case, the second of them before any row was counted exactly
        self._least: dict[int, Numbers] = {}
        self._row_cache: dict[tuple[int, int, int], tuple[Rows, Rows]] = {}
        self._exact: dict[int, NDArray[np.bool_]] = {}
        self._sliding_term: dict[int, int] = {}

    def _axes(self) -> tuple[list[int], list[int]]:
        """Axes of the two sides: others, windows. Without windows, two sides with about as many choices."""
        axes = range(len(self.frame.dims))
        if self.windowed is not None:
            window = self.frame.relevance[self.nodes[self.windowed]].window
            return [axis for axis in axes if not window[axis]], [axis for axis in axes if window[axis]]
        ordered = sorted(axes, key=lambda axis: -len(self.frame.sizes[axis]))
        return sorted(ordered[::2]), sorted(ordered[1::2])

    def _chains(self, axis: int, size: int) -> Integers:
        """Tile sizes of a dimension at the nodes, (choices, nodes), after the reductions."""
        if (axis, size) not in self._known_chains:
            chains = divisor_chains(size, len(self.nodes))
            self._known_chains[axis, size] = chains[self._stays(axis, chains) & self._keeps(axis, chains)]
        return self._known_chains[axis, size]

    @cached_property
    def _known_chains(self) -> dict[tuple[int, int], Integers]:
        return {}

    def _keeps(self, axis: int, chains: Integers) -> NDArray[np.bool_]:
        """Whether a node with two positions keeps its tile through the loop between them."""
        stands = self.order.stands
        if stands is None:
            return np.ones(len(chains), dtype=bool)
        keeps = chains[:, stands - 1] == chains[:, stands]
        if self.frame.relevance[self.nodes[stands]].idle[axis]:
            keeps |= chains[:, stands - 2] == chains[:, stands - 1]
        if self.order.waiting_too:
            keeps &= chains[:, 0] == chains[:, 1]
        return np.asarray(keeps)

    def _leave_only_stays(self, stands: int) -> None:
        """Leave out rows in which the node with two positions needs only one.

        It does not move outwards where, over some dimension, a loop stands both directly outside and directly inside,
        and where the overlapping tile is still sliding there, and receives fewer words than with one longer loop.
        """
        outer, here, inner = (self.windows.chains[:, stands + one] for one in (-1, 0, 1))
        windows = self.windows.rows(np.flatnonzero(((outer > here) & (here > inner)).any(axis=1)))
        outer, here, inner = (windows.chains[:, stands + one] for one in (-1, 0, 1))
        node, begin = self.frame.nodes[self.nodes[stands + 1]], windows.at(stands + 1)
        gain = gains(windows, node, inner, begin, here // inner, outer // here)
        self.windows = windows.rows(np.flatnonzero(gain))
        here, inner = (self.others.chains[:, stands + one][:, self._closing] for one in (0, 1))
        self.others = self.others.rows(np.flatnonzero((here == inner).all(axis=1)))

    def _stays(self, axis: int, chains: Integers) -> NDArray[np.bool_]:
        """False where one of the module's two moves applies to a node."""
        stays = np.ones(len(chains), dtype=bool)
        for position, index in enumerate(self.nodes):
            if position in (0, self.windowed):
                continue
            relevance = self.frame.relevance[index]
            ordered = self.windowed is not None and self.windowed > position
            harmless = not ordered or self.frame.relevance[self.nodes[self.windowed or 0]].simple[axis]
            if relevance.simple[axis] and harmless:
                inner = chains[:, position + 1] if position + 1 < len(self.nodes) else 1
                stays &= chains[:, position] <= inner
            if relevance.idle[axis] and not ordered:
                stays &= chains[:, position - 1] <= chains[:, position]
        return stays

    def _fits(self, tile_words: Sequence[Numbers]) -> NDArray[np.bool_]:
        """Whether tiles of these words, node by node, find room together."""
        words = np.stack(tile_words, axis=1)
        return self._fit_beside(words, np.ones((len(self.nodes), 1)))[:, 0]

    def _fit_beside(self, first: Numbers, second: Numbers) -> NDArray[np.bool_]:
        """Whether the tiles of pairs fit: words are products of (rows, positions) and (positions, columns)."""
        level = self.frame.levels[self.stage]
        held = self.order.held
        fits = np.ones((len(first), second.shape[1]), dtype=bool)
        if level.usable_words is not None:
            fits &= first[:, held] @ second[held] <= level.usable_words
        for position in held:
            own = level.usable_words_of(self.frame.nodes[self.nodes[position]].tensor.name)
            if own is not None:
                fits &= first[:, position, None] * second[position] <= own
        return fits

    # -- pairs ----------------------------------------------------------------------------------------

    def labels(self, goal: Goal, ceiling: Ceiling, share: slice = ALL) -> Iterator[tuple[Labels, Pairs]]:
        """Labels whose lower bound is at most ``ceiling``, and the pairs they stand for.

        ``share``: which blocks of the other side's rows are priced, of those under equal spatial factors.
        """
        for case in range(1 if self.windowed is None else self.windowed + 1):
            for pairs in self._case_pairs(case, goal, ceiling, share):
                for begin in range(0, len(pairs.spread), ROWS):
                    part = pairs.rows(slice(begin, begin + ROWS))
                    part = part.rows(self._possible(case, part))
                    if not len(part.spread):
                        continue
                    for exact in (False, True):
                        labels = self._labelled(case, part, exact)
                        good = np.flatnonzero(self.frame.bound(labels, goal) <= ceiling() * (1 + TIE))
                        part = part.rows(good)
                    if len(good):
                        yield labels.rows(good), part

    def _case_pairs(self, case: int, goal: Goal, ceiling: Ceiling, share: slice) -> Iterator[Pairs]:
        """Rows of the two sides that may stay within the ceiling, under every choice of spatial factors they allow."""
        found: list[Pairs] = []
        for (first, second), spreads in self._groups.items():
            most = self._most_energy(goal, ceiling(), spreads)
            others, windows = self._rows(case, first, second)
            if most < 0 or not len(others) or not len(windows):
                continue
            for one, two, energy in self._pairs(case, others, windows, spreads, most, share):
                for spread in spreads:
                    fine = self._allowed(self.others, spread)[one] & self._allowed(self.windows, spread)[two]
                    found.append(Pairs.of(one[fine], two[fine], energy[fine], spread, most))
                ceiling()
                if sum(len(pairs.spread) for pairs in found) >= ROWS:
                    yield Pairs.joined(found)
                    found = []
        if found:
            yield Pairs.joined(found)

    def _rows(self, case: int, first: int, second: int) -> tuple[Rows, Rows]:
        """Rows of both sides with these spatial factors, the other side's in the case."""
        key = (case, first, second)
        if key not in self._row_cache:
            others = self.others.choice == first
            if self.windowed is not None:
                others &= self._case == case
            self._row_cache[key] = np.flatnonzero(others), np.flatnonzero(self.windows.choice == second)
        return self._row_cache[key]

    def _possible(self, case: int, pairs: Pairs) -> Rows:
        """Pairs that the stages outside leave within the energy."""
        frame = self.frame
        tile = self._tile_numbers[0][pairs.others] + self._tile_numbers[1][pairs.windows]
        most = pairs.most * (1 + TIE) - pairs.energy
        rows = np.flatnonzero(frame.outer_pj(tile, pairs.spread, self._mask, None, most) <= most)
        if not self.waiting or not len(rows):
            return rows
        some, most = pairs.rows(rows), most[rows]
        movable = np.zeros((len(rows), len(frame.interface)), dtype=bool)
        for place in self.waiting:
            number = frame.interface[self.nodes[place]]
            stays_put = self._below(case, place, some.windows) != 0
            movable[:, number] = ~stays_put & ~frame.pinned[some.spread, number]
        extra = frame.outer_pj(tile[rows], some.spread, self._mask, movable)
        return rows[extra <= most]

    @cached_property
    def _tile_numbers(self) -> tuple[Integers, Integers]:
        """By rows of the sides, what their dimensions add to the number of the outermost tile."""
        numbers = []
        for side in (self.others, self.windows):
            inside = [np.searchsorted(sizes, side.chains[:, 0, axis]) for axis, sizes in enumerate(self.frame.sizes)]
            numbers.append(self.frame.tile_number(np.stack(inside, axis=1).astype(np.int16)))
        return numbers[0], numbers[1]

    def _allowed(self, side: Side, spread: int) -> NDArray[np.bool_]:
        """Rows of a side whose outermost tile the spatial factors allow."""
        key = (side is self.windows, spread)
        if key not in self._known_allowed:
            outermost = side.chains[:, 0]
            pins = self.frame.spread.pins[spread, self.stage - 1]
            fine = (self.frame.spread.full[spread] % outermost == 0) & ((pins == 0) | (pins == outermost))
            self._known_allowed[key] = fine[:, list(side.axes)].all(axis=1)
        return self._known_allowed[key]

    @cached_property
    def _known_allowed(self) -> dict[tuple[bool, int], NDArray[np.bool_]]:
        return {}

    @property
    def _mask(self) -> int:
        return sum(self.frame.bit[index] for index in set(self.nodes))

    def _below(self, case: int, place: int, windows: Rows) -> Integers:
        """What labels have to remember of the loops inside a waiting node, by rows of the windows."""
        if place:
            return np.full(len(windows), STUCK, dtype=np.int64)
        if case or not self.windowed:
            return np.zeros(len(windows), dtype=np.int64)
        missing = windows[self._stays_below[windows] < 0]
        if len(missing):
            missing = np.unique(missing)
            self._stays_below[missing] = self._find_stays(self.windows.rows(missing))
        return self._stays_below[windows]

    @cached_property
    def _stays_below(self) -> Integers:
        """Known bits of :meth:`_find_stays`, by rows of the windows; -1: not asked for yet."""
        return np.full(len(self.windows), -1, dtype=np.int64)

    def _find_stays(self, windows: Side) -> Integers:
        """Bits of the dimensions over which the outermost node may stay through a loop directly outside."""
        frame, place = self.frame, self.windowed or 0
        axes = np.flatnonzero(frame.relevance[self.nodes[0]].idle & frame.relevance[self.nodes[place]].window)
        if self.order.stands is None:
            return loops_to_stay_through(windows, frame.nodes[self.nodes[place]], (0, 1, place), axes)
        # The order of the loops between the nodes is bound already: whatever loop there is may be a reason.
        looped = windows.chains[:, 0] > windows.chains[:, self.order.stands]
        return np.asarray(looped[:, axes] @ (1 << axes))

    @cached_property
    def _closing(self) -> list[int]:
        """Axes of the other side over which a loop leaves nothing of the overlapping tile in place."""
        if self.windowed is None:
            return []
        simple = self.frame.relevance[self.nodes[self.windowed]].simple
        return [axis for axis in self.others.axes if simple[axis]]

    @cached_property
    def _idle(self) -> list[int]:
        return [axis for axis in self.others.axes if axis not in self._closing]

    @cached_property
    def _case(self) -> Rows:
        """Per row of the other side, the innermost segment above the overlapping tile with a closing loop (0: none).

        Segment ``s`` lies between nodes ``s - 1`` and ``s``.
        """
        case = np.zeros(len(self.others), dtype=np.intp)
        chains = self.others.chains[:, :, self._closing]
        for segment in range(1, (self.windowed or 0) + 1):
            case[(chains[:, segment - 1] > chains[:, segment]).any(axis=1)] = segment
        return case

    def _most_energy(self, goal: Goal, ceiling: float, spreads: list[int]) -> float:
        """The most energy at which the goal can stay within the ceiling, however short compute alone takes."""
        prices = self.frame.prices
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
        frame, prices = self.frame, self.frame.prices
        certain = prices.fixed_pj[spreads].copy()
        terms: list[tuple[Words, Words]] = []
        factors: list[float] = []
        for index, number in frame.interface.items():
            position = self.nodes.index(index) if index in self.nodes else None
            if position is None or position in self.waiting:
                certain += frame.least_pj[spreads, number]
                continue
            if position == self.windowed:
                self._sliding_term[case] = len(factors)
            for pair in self._words(case, position):
                terms.append(pair)
                factors += [prices.every_pj[spreads, number].min(), prices.distinct_pj[spreads, number].min()]
        if case not in self._matrices:
            left = [column for first, _ in terms for column in (first.every, first.distinct)]
            right = [row for _, second in terms for row in (second.every, second.distinct)]
            self._matrices[case] = (
                np.stack(left, axis=1) if left else np.zeros((len(self.others), 0)),
                np.stack(right, axis=0) if right else np.zeros((0, len(self.windows))),
            )
            self._least[case] = self._matrices[case][1].copy()
        with_outside = float((certain + frame.outside_pj[spreads]).min())
        return float(certain.min()), with_outside, np.array(factors)

    def _words(self, case: int, position: int) -> list[tuple[Words, Words]]:
        """Words of the node at ``position`` as a sum of products: factors of the other side, of the windows.

        Loops over dimensions that the overlapping tile does not have are taken as free where they stand among those
        that slide it: a lower bound. What slides is counted when it is asked for (:meth:`_make_exact`).
        """
        key = (case, position)
        if key not in self._word_cache:
            self._word_cache[key] = self._count_words(case, position)
        return self._word_cache[key]

    @cached_property
    def _word_cache(self) -> dict[tuple[int, int], list[tuple[Words, Words]]]:
        return {}

    def _count_words(self, case: int, position: int) -> list[tuple[Words, Words]]:
        others, windows = self.others, self.windows
        if position != self.windowed:
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
        place, top = self.windowed or 0, max(case - 1, 0)
        return self.others.outside(place, self._closing) * self.others.outside(top, self._idle)

    def _make_exact(self, case: int, rows: Rows) -> None:
        """Count how the overlapping tiles of some rows of the windows slide: a lower bound stands there until then."""
        if self.windowed is None:
            return
        rows = rows[~self._exact[case][rows]]
        if not len(rows):
            return
        self._exact[case][rows] = True
        top, side = max(case - 1, 0), self.windows.rows(rows)
        words = side.sliding(self.windowed, top)
        if case:
            words = words + side.first[self.windowed] * side.outside(top)
        counted = self._words(case, self.windowed)[0][1]
        counted.every[rows], counted.distinct[rows] = words.every, words.distinct
        right, term = self._matrices[case][1], self._sliding_term[case]
        right[term, rows], right[term + 1, rows] = words.every, words.distinct

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
        held = np.stack([words[others] for words in self.others.tile_words], axis=1)
        beside = np.stack([words[windows] for words in self.windows.tile_words], axis=0)
        order = np.lexsort(held.T)
        first, others, held = first[order], others[order], held[order]
        for begin in range(0, len(others), BLOCK)[share]:
            rows = slice(begin, begin + BLOCK)
            near = np.flatnonzero(self._fit_beside(held[rows].min(axis=0, keepdims=True), beside)[0])
            near = near[first[rows].min(axis=0) @ second[:, near] <= room]
            if not len(near):
                continue
            energy = first[rows] @ second[:, near]
            self.priced += energy.size
            fits = self._fit_beside(held[rows], beside[:, near])
            row, column = np.nonzero(fits & (energy <= room))
            if len(row):
                yield others[rows][row], windows[near[column]], certain + energy[row, column]

    def chains_of(self, pairs: Pairs) -> Integers:
        """Tile sizes of pairs (rows, positions, dimensions): along every dimension those of one of its sides."""
        return self.others.chains[pairs.others] * self.windows.chains[pairs.windows]

    def place_of(self, pairs: Pairs) -> Integers:
        """A number per pair, by which they can be put into one order however they were found."""
        place = pairs.spread.astype(np.int64) * len(self.others) + pairs.others
        return np.asarray(place * len(self.windows) + pairs.windows)

    # -- labels ---------------------------------------------------------------------------------------

    def _labelled(self, case: int, pairs: Pairs, exact: bool) -> Labels:
        """The labels of pairs; unless ``exact``, with some loops free (:meth:`_words`)."""
        frame, others, windows, spreads = self.frame, pairs.others, pairs.windows, pairs.spread
        chains = self.chains_of(pairs)
        inside = [np.searchsorted(sizes, chains[:, :, axis]) for axis, sizes in enumerate(frame.sizes)]
        indices = np.stack(inside, axis=2).astype(np.int16)
        labels = frame.start().rows(spreads)
        labels = labels.with_columns(inside=indices[:, 0], placed=np.full(len(chains), self._mask, dtype=np.int64))
        for position in self.order.held:
            index = self.nodes[position]
            number = frame.interface[index]
            words = self._words_of_pairs(case, position, others, windows)
            if exact and position == self.windowed:
                words = self._with_idle_loops(case, pairs, words)
            labels = frame.charged(labels, index, words)
            status, rest, below = labels.status.copy(), labels.rest.copy(), labels.below.copy()
            if position == self.windowed and case == 0:
                status[:, number] = OPEN + frame.tile_code(index, indices[:, position])
            elif position in self.waiting:
                status[:, number], below[:, number] = OPEN, self._below(case, position, windows)
            else:
                status[:, number], rest[:, number] = CLOSED, 0.0
            labels = labels.with_columns(status=status, rest=rest, below=below)
        return labels

    def _words_of_pairs(self, case: int, position: int, others: Rows, windows: Rows) -> Words:
        if position in self.waiting:
            return self.others.first[position].rows(others) * self.windows.first[position].rows(windows)
        return reduce(Words.__add__, (one.rows(others) * two.rows(windows) for one, two in self._words(case, position)))

    def _with_idle_loops(self, case: int, pairs: Pairs, words: Words) -> Words:
        """Words of the overlapping tile, exact where loops of other dimensions stand among those that slide it."""
        place, top = self.windowed or 0, max(case - 1, 0)
        idle = self.others.chains[pairs.others, top : place + 1][:, :, self._idle]
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
        frame, place, top = self.frame, self.windowed or 0, max(case - 1, 0)
        chains = self.chains_of(pairs)
        tile = chains[:, place]
        segments = [chains[:, above] // chains[:, above + 1] for above in range(place - 1, top - 1, -1)]
        for segment in segments:
            segment[:, self._closing] = 1
        node, start = frame.nodes[self.nodes[place]], Place(tile, pairs.spread, self.stage)
        return sweep(frame.counter, node, tile, start, segments).words

    def _whole_tiles(self, case: int, pairs: Pairs) -> Words:
        """Words of the overlapping tiles of pairs that arrive whole: at first, and with every loop further outside."""
        place = self.windowed or 0
        others, windows = self.others.first[place], self.windows.first[place]
        if case:
            others = others * self._outside_windows(case)
            windows = windows * self.windows.outside(case - 1)
        return others.rows(pairs.others) * windows.rows(pairs.windows)
