"""Words rank by rank, counted once and then looked up: perfect factors.

Ranks of a tensor share no dimension and all passes of a loop are alike, so the counts of
:class:`timeloop_py.mapper.words.WordCounter` are products over ranks (and over the dimensions that the tensor does not
have, which only repeat): the words of a tile are ``prod_r A_r``, and those that a loop brings in when it advances are
``prod_r A_r - prod_r B_r`` per iteration, with ``A_r`` the positions of a rank in the tile and ``B_r`` those that are
there already (:mod:`timeloop_py.nest.interface`). A rank has few tile sizes, and its numbers come from the same engine:
asked about a problem that has this rank only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.mapspace import Mapspace, Node
from timeloop_py.mapper.spread import Spread, sizes_of
from timeloop_py.mapper.words import Advances, Integers, Numbers, Place, WordCounter, Words
from timeloop_py.specs.problem import Problem, Rank, Tensor

Rows = NDArray[np.intp]

#: The dimension that lets a rank's tiles start again from the beginning, as loops of other dimensions do.
AGAIN = ""
#: Entries that a table of shared positions may have; a rank with more is counted row by row.
MOST_ENTRIES = 1 << 22


class RankTable:
    """The numbers of some dimensions of a node: those of one rank, or (``rank`` None) those its tensor does not have.

    ``tile``: positions of the tile at one instance with all it holds for the instances below, ``every`` and
    ``distinct``: those of the first tiles of all instances, and of those that hold different data; each (choices of
    spatial factors, tile sizes).
    """

    def __init__(self, space: Mapspace, node: Node, axes: Sequence[int], rank: Rank | None) -> None:
        self.axes = list(axes)
        self.bits = sum(1 << axis for axis in axes)
        self.is_window = rank is not None and len(axes) > 1
        names = [space.dims[axis] for axis in axes]
        dims = {dim: space.problem.dims[dim] for dim in (*names, *(rank.dims if rank else ()))}
        tensor = Tensor(node.tensor.name, (rank,) if rank else (), node.tensor.is_output)
        self._space = replace(space, problem=Problem({**dims, AGAIN: 2}, (tensor,)))
        self._node = replace(node, tensor=tensor)
        # The tile along dimensions that a tensor does not have is of no interest to it.
        sizes = [sizes_of(dims[dim], imperfect=False) if rank else np.ones(1, dtype=np.int64) for dim in names]
        self._lookup = [_positions(one) for one in sizes]
        self._lengths = [len(one) for one in sizes]
        grids = np.meshgrid(*sizes, indexing="ij") if sizes else []
        self._tiles = np.stack([grid.ravel() for grid in grids], axis=1) if grids else np.ones((1, 0), dtype=np.int64)
        self._full_sizes = np.array([dims[dim] for dim in names], dtype=np.int64)
        self._numbers: dict[bytes, int] = {}
        self._contents: list[Integers] = []
        self.tile = self.every = self.distinct = np.zeros((0, len(self._tiles)))
        self._stayed: dict[tuple[int, int], Numbers] = {}

    @property
    def entries(self) -> int:
        return len(self._contents) * len(self._tiles) ** 2

    def choices(self, spread: Spread) -> Rows:
        """The number of every row's spatial factors along these dimensions; new ones are counted."""
        both = np.stack((spread.factors[:, :, self.axes], spread.pins[:, :, self.axes]), axis=1)
        width = math.prod(both.shape[1:])
        flat = both.reshape(len(both), width) if width else np.zeros((len(both), 1), dtype=np.int64)
        contents, number = np.unique(flat, axis=0, return_inverse=True)
        known = len(self._contents)
        numbers = []
        for content in contents:
            key = content.tobytes()
            if key not in self._numbers:
                self._numbers[key] = len(self._contents)
                self._contents.append(content[:width].reshape(both.shape[1:]))
            numbers.append(self._numbers[key])
        if len(self._contents) > known:
            self._count(range(known, len(self._contents)))
        return np.array(numbers, dtype=np.intp)[number.ravel()]

    def code(self, inside: Integers) -> Integers:
        """One number for the tile sizes (rows, dimensions of the search) along these dimensions."""
        code = np.zeros(len(inside), dtype=np.int64)
        for axis, lookup, length in zip(self.axes, self._lookup, self._lengths, strict=True):
            code = code * length + lookup[inside[:, axis]] if length > 1 else code
        return code

    def tile_at(self, choice: Rows, index: Sequence[NDArray[np.integer[Any]]]) -> Numbers:
        """Positions of tiles whose sizes are given by their indices, one array per dimension of the rank."""
        code = np.zeros(1, dtype=np.int64)
        for one, length in zip(index, self._lengths, strict=True):
            code = code * length + one
        return self.tile[choice, code]

    def stayed(
        self, choice: Rows, tile: Integers, inside: Integers, passed: int, axis: int, bound: Integers
    ) -> Numbers:
        """``B_r`` over all instances when the loop over dimension ``axis`` of the search directly outside advances.

        ``tile`` and ``inside`` are codes, ``passed`` as in :class:`timeloop_py.mapper.words.Place`. How often the loop
        advances does not matter to what stays: one bound per code is as good as any other.
        """
        moving = self.axes.index(axis) if axis in self.axes else len(self.axes)
        table = self._table(passed, moving)
        where = (choice * len(self._tiles) + tile) * len(self._tiles) + inside
        found = table[where]
        missing = np.flatnonzero(np.isnan(found) & (bound > 1))
        if len(missing):
            fresh, first = np.unique(where[missing], return_index=True)
            rows = missing[first]
            table[fresh] = self._count_stayed(choice[rows], tile[rows], inside[rows], passed, moving, bound[rows])
            found = table[where]
        # A loop of one iteration never advances.
        return np.where(bound > 1, found, 0.0)

    def stayed_alone(self, choice: Rows, tile: Integers, inside: Integers, axis: int) -> Numbers:
        """``B_r`` of a dimension alone in its rank: its tile is where it was, or somewhere else altogether."""
        return np.where((tile == inside) & (axis not in self.axes), self.every[choice, tile], 0.0)

    def _table(self, passed: int, moving: int) -> Numbers:
        table = self._stayed.get((passed, moving), np.zeros(0))
        if len(table) < self.entries:
            table = np.concatenate((table, np.full(self.entries - len(table), np.nan)))
            self._stayed[passed, moving] = table
        return table

    def _counter(self, choices: Rows) -> WordCounter:
        contents = np.array([self._contents[choice] for choice in choices])
        rows, _, arrays, _ = contents.shape
        factors = np.concatenate((contents[:, 0], np.ones((rows, arrays, 1), dtype=np.int64)), axis=2)
        pins = np.concatenate((contents[:, 1], np.zeros((rows, arrays, 1), dtype=np.int64)), axis=2)
        full = np.append(self._full_sizes, 2) // factors.prod(axis=1)
        return WordCounter(self._space, Spread(factors, np.ones_like(factors), pins, full))

    def _count(self, choices: range) -> None:
        counter = self._counter(np.array(choices))
        spread, code = (
            grid.ravel() for grid in np.meshgrid(np.arange(len(choices)), np.arange(len(self._tiles)), indexing="ij")
        )
        tiles = np.concatenate((self._tiles[code], np.ones((len(code), 1), dtype=np.int64)), axis=1)
        fits = np.flatnonzero((counter.spread.full[spread] % tiles == 0).all(axis=1))
        place = Place(tiles[fits], spread[fits], self._node.stage)
        words = counter.first(self._node, place.inside, place)
        shape = (len(choices), len(self._tiles))
        columns = (counter.tile_words(self._node, place), words.every, words.distinct)
        counted = []
        for column in columns:
            table = np.zeros(len(code))
            table[fits] = column
            counted.append(table.reshape(shape))
        self.tile, self.every, self.distinct = (
            np.concatenate((known, fresh))
            for known, fresh in zip((self.tile, self.every, self.distinct), counted, strict=True)
        )

    def _count_stayed(
        self, choice: Rows, tile: Integers, inside: Integers, passed: int, moving: int, bound: Integers
    ) -> Numbers:
        several, row = np.unique(choice, return_inverse=True)
        counter = self._counter(several)
        one = np.ones((len(choice), 1), dtype=np.int64)
        tiles, insides = (np.concatenate((self._tiles[code], one), axis=1) for code in (tile, inside))
        bound = np.full(len(choice), 2, dtype=np.int64) if moving == len(self.axes) else bound
        after = insides.copy()
        after[:, moving] *= bound
        times = (bound - 1) * (counter.spread.full[row.ravel()] // after).prod(axis=1)
        place = Place(insides, row.ravel(), passed)
        arriving = counter.advancing(self._node, tiles, place, moving, bound)
        return np.asarray(self.every[choice, tile] - arriving.every / times)


@dataclass(frozen=True)
class _Ranks:
    """The tables of a node, and the numbers of the spatial factors in each."""

    tables: tuple[RankTable, ...]
    choices: tuple[Rows, ...]

    def copies(self, spread: Rows) -> Numbers:
        """Instances that hold equal data, as far as dimensions tell that the tensor does not have."""
        copies: Numbers = self.tables[0].every[self.choices[0][spread], 0]
        return copies


class _Segment:
    """Words that the loops of a segment bring in: what stays is looked up once per rank and loops inside over it."""

    def __init__(
        self, ranks: _Ranks, tile: Integers, place: Place, segment: Integers, first: Numbers, full: Integers
    ) -> None:
        self._ranks, self._tile, self._place, self._segment, self._first = ranks, tile, place, segment, first
        self._copies = ranks.copies(place.spread)
        self._outside: dict[int, Integers] = {0: (full[place.spread] // place.inside).prod(axis=1)}
        self._kept: dict[tuple[int, int, int], Numbers] = {}

    def __call__(self, inner: int, axis: int) -> Numbers:
        stayed = self._copies
        for number, table in enumerate(self._ranks.tables[1:], 1):
            stayed = stayed * self._stayed(number, inner & table.bits, axis if axis in table.axes else -1)
        advances = self._outside_of(inner) - self._outside_of(inner | 1 << axis)
        return np.asarray((self._first - stayed) * advances)

    def _outside_of(self, loops: int) -> Integers:
        """Iterations outside some loops of the segment."""
        if loops not in self._outside:
            axis = loops.bit_length() - 1
            outside: Integers = self._outside_of(loops ^ (1 << axis)) // self._segment[:, axis]
            self._outside[loops] = outside
        return self._outside[loops]

    def _stayed(self, number: int, inner: int, axis: int) -> Numbers:
        """``B_r`` of one rank with the loops ``inner`` of it inside; -1: a loop of another rank advances."""
        key = (number, inner, axis)
        if key not in self._kept:
            self._kept[key] = self._look_up(*key)
        return self._kept[key]

    def _look_up(self, number: int, inner: int, axis: int) -> Numbers:
        table, choice = self._ranks.tables[number], self._ranks.choices[number][self._place.spread]
        inside = self._place.inside.copy()
        for other in table.axes:
            if inner >> other & 1:
                inside[:, other] *= self._segment[:, other]
        here, around = table.code(self._tile), table.code(inside)
        if table.is_window:
            bound = np.full(len(choice), 2, dtype=np.int64) if axis < 0 else self._segment[:, axis]
            return table.stayed(choice, here, around, self._place.passed, axis, bound)
        return table.stayed_alone(choice, here, around, axis)


class WordTables(WordCounter):
    """The counts of a :class:`~timeloop_py.mapper.words.WordCounter`, looked up rank by rank."""

    def __init__(
        self, space: Mapspace, spread: Spread, tables: dict[Node, tuple[RankTable, ...]] | None = None
    ) -> None:
        super().__init__(space, spread)
        self._tables = {} if tables is None else tables
        self._ranks: dict[tuple[int, int | None, str], _Ranks] = {}

    def on(self, spread: Spread) -> WordTables:
        """The same tables for other choices of spatial factors."""
        return WordTables(self.space, spread, self._tables)

    def ranks(self, node: Node) -> list[tuple[RankTable, Rows]]:
        """The tables of a node's ranks, with the numbers of all spatial factors in them."""
        ranks = self._of(node)
        return list(zip(ranks.tables[1:], ranks.choices[1:], strict=True))

    def tile_words(self, node: Node, place: Place) -> Numbers:
        words = np.ones(len(place.spread))
        ranks = self._of(node)
        for table, choice in zip(ranks.tables[1:], ranks.choices[1:], strict=True):
            words = words * table.tile[choice[place.spread], table.code(place.inside)]
        return words

    def first(self, node: Node, tile: Integers, place: Place) -> Words:
        every, distinct = np.ones(len(place.spread)), np.ones(len(place.spread))
        ranks = self._of(node)
        for table, choice in zip(ranks.tables, ranks.choices, strict=True):
            where = choice[place.spread], table.code(tile)
            every, distinct = every * table.every[where], distinct * table.distinct[where]
        return Words(every, distinct)

    def advancing(self, node: Node, tile: Integers, place: Place, axis: int, bound: Integers) -> Words:
        ranks = self._of(node)
        if any(table.is_window and table.entries > MOST_ENTRIES for table in ranks.tables):
            return super().advancing(node, tile, place, axis, bound)
        first = self.first(node, tile, place)
        stayed = ranks.copies(place.spread)
        for table, numbers in zip(ranks.tables[1:], ranks.choices[1:], strict=True):
            choice, code, inside = numbers[place.spread], table.code(tile), table.code(place.inside)
            if table.is_window:
                stayed = stayed * table.stayed(choice, code, inside, place.passed, axis, bound)
            else:
                stayed = stayed * table.stayed_alone(choice, code, inside, axis)
        full = self.spread.full[place.spread]
        after = place.inside.copy()
        after[:, axis] = after[:, axis] * bound
        times = (bound - 1) * (full // after).prod(axis=1)
        every = (first.every - stayed) * times
        return Words(every, every * (first.distinct / first.every))

    def advances(self, node: Node, tile: Integers, place: Place, segment: Integers) -> Advances:
        ranks = self._of(node)
        if any(table.is_window and table.entries > MOST_ENTRIES for table in ranks.tables):
            return super().advances(node, tile, place, segment)
        return _Segment(ranks, tile, place, segment, self.first(node, tile, place).every, self.spread.full)

    def _of(self, node: Node) -> _Ranks:
        key = (node.stage, node.parent, node.tensor.name)
        if key not in self._ranks:
            if node not in self._tables:
                self._tables[node] = self._make(node)
            tables = self._tables[node]
            self._ranks[key] = _Ranks(tables, tuple(table.choices(self.spread) for table in tables))
        return self._ranks[key]

    def _make(self, node: Node) -> tuple[RankTable, ...]:
        idle = [axis for axis, dim in enumerate(self.dims) if dim not in node.tensor.dims]
        tables = [RankTable(self.space, node, idle, None)]
        for rank in node.tensor.ranks:
            axes = [axis for axis, dim in enumerate(self.dims) if dim in rank.dims]
            if axes:
                tables.append(RankTable(self.space, node, axes, rank))
        return tuple(tables)


def _positions(sizes: Integers) -> Integers:
    """The index of every size, by size."""
    positions = np.zeros(int(sizes[-1]) + 1, dtype=np.int64)
    positions[sizes] = np.arange(len(sizes))
    return positions
