"""What the buffers further out must cost, however the nest goes on: a lower bound beyond the least words.

Take a stage none of whose nodes stands yet, and let ``b`` be the tile sizes inside. For its nodes in any order let
``v_d`` be the tile size of dimension ``d`` where the one node that does not have ``d`` stands. Then

- every iteration of ``d`` outside that place brings in the node's tile anew: its words are the least ones times the
  product of ``full_d / v_d``;
- a node that stands further out holds at least ``v_d`` of ``d``, any other one at least ``b_d``.

So small ``v_d`` cost words and large ones cost room. The bound is the cheapest choice of ``v`` and of an order that
fits; where none fits, the nest has no continuation at all. It grows with ``b``, which leaves fewer ``v`` and makes
tiles larger: with single iterations inside it holds for every nest. (A node that stays open beyond the nodes of its
stage might as well stand outermost among them. Of two nodes only one can, for the first loop outside is idle to one of
them.)

Tiles that overlap the next one break the first rule: a loop over ``d`` may stand among those that slide the tile. If
what is swept inside that loop is ``U`` words and the tile holds ``T``, each of its iterations brings in at least
``U - T``. For any share ``h`` between 0 and 1: loops with ``T >= h * U`` could as well stand inside a tile of ``U``
words, at no more words, and that tile takes at most ``T / h``; the others cost at least ``1 - h`` of all words per
iteration. So the bound with the tile's room times ``h``, and its further passes times ``1 - h``, holds for every ``h``.

A node further in that is still open, the outermost of its stage, adds to this, if it may move outside any idle loop
(:meth:`timeloop_py.mapper.growth.Growth._better_outside`), so that none stands directly around it. Either it is left
where it is, at ``b``, and its words are the least ones times the iterations outside of the dimensions that it does not
have. Or a node ``X`` of the stage is placed around it first, with nothing in between, and then comes a loop that the
open node does not have. If ``X`` has it, ``X`` is left at ``b`` as well, and pays for the dimensions that it does not
have. (``X`` is of another tensor: around the open node's own tile, that loop would stand inside the outer node as
well.)
"""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.labels import Integers, Numbers
from timeloop_py.mapper.rank_words import WordTables

Rows = NDArray[np.int32] | NDArray[np.int64]

if TYPE_CHECKING:
    from timeloop_py.mapper.frame import Frame

#: Choices of tile sizes that are priced at once.
ROWS = 1 << 17
#: Bounds that are kept at once.
MOST_KNOWN = 1 << 24
#: The shares ``h`` that are tried.
SHARES = (0.5, 0.2)


class OuterBound:
    """Energy that one stage of a frame adds to the least words, by tile sizes inside it and spatial factors."""

    def __init__(self, frame: Frame, stage: int) -> None:
        self.frame = frame
        self.stage = stage
        self.nodes = [index for index, node in enumerate(frame.nodes) if node.stage == stage]
        crossing = [index for index in self.nodes if index in frame.interface]
        idle = np.array([frame.relevance[index].idle for index in crossing]).reshape(len(crossing), len(frame.dims))
        #: per dimension, the one node that does not have it (-1: none or several)
        self.without = [
            crossing[int(np.argmax(idle[:, axis]))] if idle[:, axis].sum() == 1 else -1
            for axis in range(len(frame.dims))
        ]
        self._between: dict[int, tuple[Integers, Integers, Integers]] = {}
        #: bounds by the place of spatial factors (-1: none) and tile sizes; NaN: not asked for yet
        self._known: Numbers = np.zeros((0, math.prod(map(len, frame.sizes))))
        #: the bounds of which nothing is known but that they are no smaller
        self._at_least = np.zeros(self._known.shape, dtype=bool)
        self._place = np.full(len(frame.spread), -1, dtype=np.int64)

    def extra_pj(
        self, tile: Integers, spread: Rows, movable: NDArray[np.bool_] | None = None, most: Numbers | None = None
    ) -> Numbers:
        """The bound for nests with all nodes further in and none of the stage; infinite where nothing fits.

        ``tile``: sizes inside (:meth:`Frame.tile_number`). ``movable`` (rows, interfaces): the interface's node is
        open, and no loop that is idle to it will stand directly around it. Where the bound is more than ``most`` (one
        number per row), it may be given as any smaller number that is more than that, which is found sooner.
        """
        frame = self.frame
        extra = self._stage_pj(tile, spread, np.full(len(tile), np.inf) if most is None else most)
        if movable is None:
            return extra
        inside = frame.inside_of(tile)
        for index, number in frame.interface.items():
            if frame.nodes[index].stage <= self.stage or frame.tracked[index]:
                continue
            rows = np.flatnonzero(movable[:, number])
            if not len(rows):
                continue
            some = inside[rows], spread[rows]
            idle = frame.relevance[index].idle
            left = extra[rows] + self._passes_pj(index, idle, *some, 1.0)
            around = np.full(len(rows), np.inf)
            for outer in self.nodes:
                kept = 1 - max(SHARES) if outer in self._tracked else 1.0
                paid = frame.relevance[outer].idle & ~idle
                if frame.nodes[outer].tensor is frame.nodes[index].tensor:
                    continue
                if outer not in frame.interface or (frame.relevance[outer].idle & idle).any():
                    around[:] = 0.0
                else:
                    around = np.minimum(around, self._passes_pj(outer, paid, *some, kept))
            extra[rows] = np.minimum(left, np.maximum(extra[rows], around))
        return extra

    def _passes_pj(
        self, index: int, axes: NDArray[np.bool_], inside: NDArray[np.int16], spread: Rows, share: float
    ) -> Numbers:
        """Energy of bringing in the least words of a node again for every iteration outside over some dimensions."""
        frame = self.frame
        outside = frame.spread.full[spread] // frame.tile_sizes(inside)
        passes = outside[:, axes].prod(axis=1) - 1
        return np.asarray(passes * share * frame.least_pj[spread, frame.interface[index]])

    def _stage_pj(self, tile: Integers, spread: Rows, most: Numbers) -> Numbers:
        """The bound of the stage's own nodes."""
        place = self._places(spread)
        known = self._known[place, tile]
        missing = np.flatnonzero(np.isnan(known) | (self._at_least[place, tile] & (known <= most)))
        if len(missing):
            width = self._known.shape[1]
            places, first, row = np.unique(
                place[missing] * width + tile[missing], return_index=True, return_inverse=True
            )
            limits = np.full(len(places), -np.inf)
            np.maximum.at(limits, row, most[missing])
            where = np.divmod(places, width)
            inside = self.frame.inside_of(where[1])
            found, at_least = self._solve(inside, spread[missing[first]], limits)
            self._known[where], self._at_least[where] = found, at_least
            known[missing] = found[row]
        return known

    def _places(self, spread: Rows) -> Integers:
        """Where the known bounds of spatial factors stand; there is room for some of them only."""
        if (self._place[spread] < 0).any():
            fresh = np.unique(spread[self._place[spread] < 0])
            if len(self._known) and (len(self._known) + len(fresh)) * self._known.shape[1] > MOST_KNOWN:
                self._known, self._at_least = self._known[:0], self._at_least[:0]
                self._place[:] = -1
                fresh = np.unique(spread)
            self._place[fresh] = len(self._known) + np.arange(len(fresh))
            shape = len(fresh), self._known.shape[1]
            self._known = np.concatenate((self._known, np.full(shape, np.nan)))
            self._at_least = np.concatenate((self._at_least, np.zeros(shape, dtype=bool)))
        return self._place[spread]

    def _solve(self, inside: NDArray[np.int16], spread: Rows, most: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
        counts = self._choices(inside, spread)
        found, at_least = np.empty(len(inside)), np.empty(len(inside), dtype=bool)
        begin = 0
        while begin < len(inside):
            end = max(begin + 1, int(np.searchsorted(np.cumsum(counts[begin:]), ROWS)) + begin)
            part = slice(begin, end)
            found[part], at_least[part] = self._cheapest(inside[part], spread[part], most[part])
            begin = end
        return found, at_least

    def _choices(self, inside: NDArray[np.int16], spread: Rows) -> Integers:
        """How many choices of tile sizes every row has."""
        counts = np.ones(len(inside), dtype=np.int64)
        for axis, node in enumerate(self.without):
            if node >= 0:
                counts *= self._multiples(axis)[0][inside[:, axis], self.frame.full[spread, axis]]
        return counts

    def _multiples(self, axis: int) -> tuple[Integers, Integers, Integers]:
        """Indices of sizes between two sizes of a dimension that the first divides and that divide the second.

        Their count and where they begin in the third array, (low, high) each.
        """
        if axis not in self._between:
            sizes = self.frame.sizes[axis]
            low, high, one = np.meshgrid(*[np.arange(len(sizes))] * 3, indexing="ij")
            between = (sizes[one] % sizes[low] == 0) & (sizes[high] % sizes[one] == 0)
            counts = between.sum(axis=2)
            starts = np.concatenate(([0], np.cumsum(counts.ravel())[:-1])).reshape(counts.shape)
            self._between[axis] = counts, starts, one[between]
        return self._between[axis]

    def _cheapest(self, inside: NDArray[np.int16], spread: Rows, most: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
        """The cheapest fitting choice of every row, or the cheapest of those above ``most``, fitting or not (True).

        What follows has a row per choice, a column per dimension.
        """
        rows = np.arange(len(inside))
        chosen: dict[int, Integers] = {}
        for axis, node in enumerate(self.without):
            if node < 0:
                continue
            counts, starts, sizes = self._multiples(axis)
            low, high = inside[rows, axis], self.frame.full[spread[rows], axis]
            lengths = counts[low, high]
            first = np.repeat(starts[low, high] - np.cumsum(lengths) + lengths, lengths)
            chosen = {other: np.repeat(column, lengths) for other, column in chosen.items()}
            chosen[axis] = sizes[first + np.arange(len(first))]
            rows = np.repeat(rows, lengths)
        factors = spread[rows].astype(np.intp)
        shares = SHARES if self._tracked else SHARES[:1]
        energies = [self._energy(chosen, factors, share) for share in shares]
        near = np.logical_or.reduce([energy <= most[rows] for energy in energies])
        kept = np.flatnonzero(near)
        chosen = {axis: column[kept] for axis, column in chosen.items()}
        tiles = [np.ascontiguousarray(column)[rows[kept]] for column in inside.T]
        known: dict[object, Numbers] = {}
        tile_words = {
            order: self._tile_words(order, chosen, tiles, factors[kept], known) for order in permutations(self.nodes)
        }
        found, at_least = np.zeros(len(inside)), np.zeros(len(inside), dtype=bool)
        for share, energy in zip(shares, energies, strict=True):
            fits = np.zeros(len(kept), dtype=bool)
            for order, words in tile_words.items():
                fits |= self._fits(order, words, share)
            best, beyond = np.full(len(inside), np.inf), np.full(len(inside), np.inf)
            np.minimum.at(best, rows[kept[fits]], energy[kept[fits]])
            np.minimum.at(beyond, rows[~near], energy[~near])
            at_least = np.where(np.minimum(best, beyond) > found, beyond < best, at_least)
            found = np.maximum(found, np.minimum(best, beyond))
        return found, at_least

    @property
    def _tracked(self) -> set[int]:
        return {index for index in self.nodes if self.frame.relevance[index].has_window}

    def _energy(self, chosen: dict[int, Integers], spread: Rows, share: float) -> Numbers:
        """Energy beyond the least words."""
        frame, prices = self.frame, self.frame.prices
        level = frame.levels[self.stage]
        energy = np.zeros(len(spread))
        for index in self.nodes:
            axes = [axis for axis, node in enumerate(self.without) if node == index]
            if index not in frame.interface or not axes:
                continue
            number = frame.interface[index]
            passes = np.ones(len(spread))
            for axis in axes:
                passes *= frame.spread.full[:, axis].astype(np.float64)[spread] / frame.sizes[axis][chosen[axis]]
            kept = np.zeros(len(frame.spread))
            if index in self._tracked:
                own = level.usable_words_of(frame.nodes[index].tensor.name)
                room = min((words for words in (own, level.usable_words) if words is not None), default=np.inf)
                instances = frame.spread.factors[:, : self.stage].prod(axis=(1, 2))
                kept = np.minimum(share, instances * room / prices.least[number].every)
            energy += (passes - 1) * ((1 - kept) * frame.least_pj[:, number])[spread]
        return energy

    def _tile_words(
        self,
        order: tuple[int, ...],
        chosen: dict[int, Integers],
        tiles: list[NDArray[np.int16]],
        spread: Rows,
        known: dict[object, Numbers],
    ) -> list[Numbers]:
        """Words of the smallest tiles with the nodes in an order, outermost first."""
        counter = self.frame.counter
        assert isinstance(counter, WordTables)
        found = []
        for position, index in enumerate(order):
            held = {axis for axis, node in enumerate(self.without) if node in order[position + 1 :]}
            words = np.ones(len(spread))
            for number, (table, choice) in enumerate(counter.ranks(self.frame.nodes[index])):
                key = (index, number, *held.intersection(table.axes))
                if key not in known:
                    columns = [chosen[axis] if axis in held else tiles[axis] for axis in table.axes]
                    known[key] = table.tile_at(choice[spread], columns)
                words = words * known[key]
            found.append(words)
        return found

    def _fits(self, order: tuple[int, ...], tile_words: list[Numbers], share: float) -> NDArray[np.bool_]:
        level = self.frame.levels[self.stage]
        words = [one * share if index in self._tracked else one for index, one in zip(order, tile_words, strict=True)]
        fits = np.ones(len(words[0]), dtype=bool)
        for index, one in zip(order, words, strict=True):
            own = level.usable_words_of(self.frame.nodes[index].tensor.name)
            if own is not None:
                fits &= one <= own
        if level.usable_words is not None:
            fits &= sum(words) <= level.usable_words
        return fits
