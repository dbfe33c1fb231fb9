"""One side of the dimensions of a problem: its choices of tile sizes at the nodes of a stage, with what they cost.

Words are a product over sides: what stands here is the factor of this side, counted in nests in which every dimension
of the other side has one iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.labels import Integers, Numbers
from timeloop_py.mapper.spread import Spread
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
) -> Side:
    """The side of ``axes``; ``chains_of(axis, size)`` are the chains of tile sizes to choose from, (choices, nodes)."""
    choices, _ = spatial_choices(frame, axes)
    arrays = frame.spread.factors.shape[1]
    parts, numbers = [], []
    for number, choice in enumerate(choices):
        taken = choice[0].prod(axis=0)
        sizes = [frame.space.problem.dims[frame.dims[axis]] // int(one) for axis, one in zip(axes, taken, strict=True)]
        rows = _combined([chains_of(axis, size) for axis, size in zip(axes, sizes, strict=True)], len(order))
        parts.append(rows)
        numbers.append(np.full(len(rows), number, dtype=np.intp))
    choice_of = np.concatenate(numbers)
    chains = np.ones((len(choice_of), len(order), len(frame.dims)), dtype=np.int64)
    chains[:, :, list(axes)] = np.concatenate(parts)
    own = len(frame.levels) - 2
    pinned = [
        axis
        for place, axis in enumerate(axes)
        if frame.spread.pins[:, own, axis].any() and (choices[:, 0, own, place] > 1).any()
    ]
    _, first, spread = np.unique(numbered([choice_of, *chains[:, 0, pinned].T]), return_index=True, return_inverse=True)
    factors = np.ones((len(first), arrays, len(frame.dims)), dtype=np.int64)
    pins = np.zeros_like(factors)
    factors[:, :, list(axes)] = choices[choice_of[first], 0]
    pins[:, :, list(axes)] = choices[choice_of[first], 1]
    for axis in pinned:
        pins[:, own, axis] = np.where(factors[:, own, axis] > 1, chains[first, 0, axis], pins[:, own, axis])
    sizes_here = np.ones(len(frame.dims), dtype=np.int64)
    sizes_here[list(axes)] = [frame.space.problem.dims[frame.dims[axis]] for axis in axes]
    counter = frame.counter.on(Spread(factors, np.ones_like(factors), pins, sizes_here // factors.prod(axis=1)))
    return Side(frame, order, tuple(axes), chains, choice_of, counter, spread.ravel())


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


def divisor_chains(size: int, length: int) -> list[tuple[int, ...]]:
    """All ``(v_0, ..., v_n)`` in which ``v_0`` divides ``size`` and every number divides the one before it."""
    if length == 0:
        return [()]
    return [
        (first, *rest)
        for first in range(1, size + 1)
        if size % first == 0
        for rest in divisor_chains(first, length - 1)
    ]


def _combined(per_axis: Sequence[Integers], nodes: int) -> Integers:
    """Every combination of chains of the axes: (rows, nodes, axes)."""
    if not per_axis:
        return np.ones((1, nodes, 0), dtype=np.int64)
    grids = np.meshgrid(*(np.arange(len(rows)) for rows in per_axis), indexing="ij")
    return np.stack([rows[grid.ravel()] for rows, grid in zip(per_axis, grids, strict=True)], axis=2)
