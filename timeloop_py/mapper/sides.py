"""One side of the dimensions of a problem: its choices of tile sizes at the nodes of a stage, with what they cost.

Words are a product over sides: what stands here is the factor of this side, counted in nests in which every dimension
of the other side has one iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.labels import Integers, Numbers
from timeloop_py.mapper.spread import Spread, sizes_of
from timeloop_py.mapper.windows import sweep
from timeloop_py.mapper.words import Place, WordCounter, Words

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Side:
    """Choices along some ``axes`` for the nodes of a stage in one ``order``, outermost first.

    ``chains`` (rows, nodes, dimensions): temporal iterations inside every node. ``choice``: number of the row's spatial
    factors (:func:`spatial_choices`). ``counter`` counts under these factors and the pins that the chains add, and
    ``spread`` says which of its choices is the row's.
    """

    frame: Frame
    order: tuple[int, ...]
    axes: tuple[int, ...]
    chains: Integers
    choice: Rows
    counter: WordCounter
    spread: Rows

    def __len__(self) -> int:
        return len(self.chains)

    def rows(self, chosen: Rows) -> Side:
        """Some of the rows."""
        return Side(
            self.frame,
            self.order,
            self.axes,
            self.chains[chosen],
            self.choice[chosen],
            self.counter,
            self.spread[chosen],
        )

    @property
    def stage(self) -> int:
        return len(self.frame.levels) - 1

    def at(self, position: int) -> Place:
        """Where the node at ``position`` of the order stands."""
        return Place(self.chains[:, position], self.spread, self.stage)

    @cached_property
    def tile_words(self) -> list[Numbers]:
        """Words of the tile of every node."""
        return [
            self.counter.tile_words(self.frame.nodes[index], self.at(position))
            for position, index in enumerate(self.order)
        ]

    @cached_property
    def first(self) -> list[Words]:
        """Words of the first tiles of every node."""
        return [
            self.counter.first(self.frame.nodes[index], self.chains[:, position], self.at(position))
            for position, index in enumerate(self.order)
        ]

    def outside(self, position: int, axes: Sequence[int] | None = None) -> Numbers:
        """Iterations outside a node over this side's dimensions, or some of them."""
        chosen = list(self.axes if axes is None else axes)
        outside = self.counter.spread.full[self.spread][:, chosen] // self.chains[:, position][:, chosen]
        return np.asarray(outside.prod(axis=1), dtype=np.float64)

    def whole(self, position: int) -> Words:
        """Words of a node if every iteration outside brings in a whole tile."""
        return self.first[position] * self.outside(position)

    def least_sliding(self, position: int, outermost: int) -> Words:
        """A lower bound of :meth:`sliding`: whatever lies inside ``outermost`` arrives at least once."""
        node, own = self.frame.nodes[self.order[position]], self.first[position]
        region = self.counter.first(node, self.chains[:, outermost], self.at(outermost))
        every = np.maximum(0.0, region.every - own.every) * self.outside(outermost)
        return Words(every, every * (own.distinct / own.every))

    def sliding(self, position: int, outermost: int) -> Words:
        """Words that loops bring into overlapping tiles while they slide.

        The loops are those between the node at ``position`` and the node just outside the segment below ``outermost``
        (position of the node above that segment); totals over everything further outside. The best order per segment.
        """
        node = self.frame.nodes[self.order[position]]
        segments = [
            self.chains[:, above] // self.chains[:, above + 1] for above in range(position - 1, outermost - 1, -1)
        ]
        own = self.chains[:, outermost : position + 1][:, :, list(self.axes)].reshape(len(self), -1)
        _, distinct, inverse = np.unique(numbered([self.spread, *own.T]), return_index=True, return_inverse=True)
        some = self.rows(distinct)
        tile = some.chains[:, position]
        words = sweep(some.counter, node, tile, some.at(position), [segment[distinct] for segment in segments]).words
        return Words(words.every[inverse.ravel()], words.distinct[inverse.ravel()])


def spatial_choices(frame: Frame, axes: Sequence[int]) -> tuple[Integers, Rows]:
    """Different spatial factors and outer pins along ``axes``, (choices, 2, arrays, axes), and which one a spread has.

    Below the array directly above the innermost stage, the chain of tile sizes says what runs: no pin there.
    """
    spread = frame.spread
    pins = spread.pins.copy()
    pins[:, len(frame.levels) - 2] = 0
    both = np.stack((spread.factors, pins), axis=1)[:, :, :, list(axes)]
    choices, number = np.unique(both.reshape(len(spread), -1), axis=0, return_inverse=True)
    return choices.reshape(len(choices), *both.shape[1:]), number.ravel()


def make_side(
    frame: Frame,
    order: tuple[int, ...],
    axes: Sequence[int],
    chains_of: Callable[[int, int], Integers],
    fits: Callable[[Sequence[Numbers]], NDArray[np.bool_]],
) -> Side:
    """The side of ``axes``; ``chains_of(axis, size)`` are the chains of tile sizes to choose from, (choices, nodes).

    Rows whose tiles do not fit even beside the smallest of the other side are left out; ``fits`` is asked about words
    of tiles node by node.
    """
    choices, _ = spatial_choices(frame, axes)
    counter = _counter(frame, axes, choices[:, 0], choices[:, 1])
    stage = len(frame.levels) - 1
    parts = []
    for number in range(len(choices)):
        rows = np.ones((1, len(order), len(frame.dims)), dtype=np.int64)
        for axis in axes:
            chains = chains_of(axis, int(counter.spread.full[number, axis]))
            repeated = len(rows)
            rows = np.repeat(rows, len(chains), axis=0)
            rows[:, :, axis] = np.tile(chains, (repeated, 1))
            spread = np.full(len(rows), number, dtype=np.intp)
            words = [
                counter.tile_words(frame.nodes[index], Place(rows[:, position], spread, stage))
                for position, index in enumerate(order)
            ]
            # Tiles only grow with the dimensions to come.
            rows = rows[fits(words)]
        parts.append(rows)
    chains = np.concatenate(parts)
    choice_of = np.repeat(np.arange(len(parts)), [len(rows) for rows in parts])
    own = len(frame.levels) - 2
    pinned = [
        axis
        for place, axis in enumerate(axes)
        if frame.spread.pins[:, own, axis].any() and (choices[:, 0, own, place] > 1).any()
    ]
    _, first, spread = np.unique(numbered([choice_of, *chains[:, 0, pinned].T]), return_index=True, return_inverse=True)
    factors, pins = choices[choice_of[first], 0], choices[choice_of[first], 1]
    for place, axis in enumerate(axes):
        if axis in pinned:
            pins[:, own, place] = np.where(factors[:, own, place] > 1, chains[first, 0, axis], pins[:, own, place])
    return Side(frame, order, tuple(axes), chains, choice_of, _counter(frame, axes, factors, pins), spread.ravel())


def _counter(frame: Frame, axes: Sequence[int], some_factors: Integers, some_pins: Integers) -> WordCounter:
    """Counts under spatial factors and pins (choices, arrays, axes) of some dimensions, one iteration of all others."""
    shape = (*some_factors.shape[:2], len(frame.dims))
    factors, pins = np.ones(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    factors[:, :, list(axes)] = some_factors
    pins[:, :, list(axes)] = some_pins
    sizes = np.ones(len(frame.dims), dtype=np.int64)
    sizes[list(axes)] = [frame.space.problem.dims[frame.dims[axis]] for axis in axes]
    return frame.counter.on(Spread(factors, np.ones_like(factors), pins, sizes // factors.prod(axis=1)))


def numbered(columns: Sequence[Integers]) -> Integers:
    """One number per row, equal where all columns are."""
    number = np.zeros(len(columns[0]), dtype=np.int64)
    several = 1
    for column in columns:
        size = int(column.max(initial=0)) + 1
        if several * size >= 1 << 62:
            values, number = np.unique(number, return_inverse=True)
            several = len(values)
        number = number * size + column
        several *= size
    return number


@lru_cache(maxsize=1024)
def divisor_chains(size: int, length: int) -> Integers:
    """All ``(v_0, ..., v_n)`` in which ``v_0`` divides ``size`` and every number divides the one before it, as rows."""
    if length == 0:
        return np.ones((1, 0), dtype=np.int64)
    parts = []
    for first in sizes_of(size, imperfect=False).tolist():
        rest = divisor_chains(first, length - 1)
        parts.append(np.column_stack((np.full(len(rest), first), rest)))
    return np.concatenate(parts)
