"""Words that cross into a tensor's tiles, loop by loop, for many nests at once: calls of the traffic engine.

What a loop brings into a tile when it advances depends on the nest in three ways only: the tile itself, how many
iterations each dimension has between the tile and the loop, and how many outside it. For when loop ``j`` advances the
tile moves by ``D = s_j - sum over inner loops of (b_i - 1) * s_i``, and that sum over the loops of one dimension is the
extent of all of them together, whatever their order. So the words of a whole nest are a sum over its loops in which
every term is known as soon as the loop is added to what lies inside it: the search builds nests from the inside out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.mapspace import Mapspace, Node
from timeloop_py.mapper.spread import Spread
from timeloop_py.nest.interface import Copies, Interface
from timeloop_py.nest.traffic import tile_words
from timeloop_py.nest.walk import Nest
from timeloop_py.numbers.operations import Number
from timeloop_py.specs.mapping import Loop, LoopKind, Store
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.mapping import Node as NestNode

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Words:
    """Words at all instances, and those that their parents send (equal data once)."""

    every: Numbers
    distinct: Numbers

    def __add__(self, other: Words) -> Words:
        return Words(self.every + other.every, self.distinct + other.distinct)

    def __mul__(self, factor: Words | Integers | Numbers) -> Words:
        if isinstance(factor, Words):
            return Words(self.every * factor.every, self.distinct * factor.distinct)
        return Words(self.every * factor, self.distinct * factor)

    def rows(self, chosen: NDArray[np.intp]) -> Words:
        return Words(self.every[chosen], self.distinct[chosen])


@dataclass(frozen=True)
class Place:
    """A place in many nests, one per row.

    ``inside`` (rows, dimensions) are the temporal iterations inside it, ``spread`` the choice of spatial factors, and
    ``passed`` the outermost array that lies inside (those further in do, too).
    """

    inside: Integers
    spread: NDArray[np.intp]
    passed: int

    def rows(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Place:
        return Place(self.inside[chosen], self.spread[chosen], self.passed)


#: Words at all instances, by the bits of dimensions with a loop inside, and the dimension that advances.
Advances = Callable[[int, int], Numbers]


class WordCounter:
    """Words of a mapspace under given choices of spatial factors. Rows of all arrays are nests."""

    def __init__(self, space: Mapspace, spread: Spread) -> None:
        self.space = space
        self.spread = spread
        self.dims = space.dims
        self._keep = space.options.halo_reuse == "one_tile"

    def on(self, spread: Spread) -> WordCounter:
        """The same counts under other choices of spatial factors."""
        return WordCounter(self.space, spread)

    def tile_words(self, node: Node, place: Place) -> Numbers:
        """Words of the tile that ``node`` holds if it stands at ``place``."""
        return _row(tile_words(self._nest(self._tile(node, place.inside, place)), node.tensor, 0), place)

    def first(self, node: Node, tile: Integers, place: Place) -> Words:
        """Words of the first tile of every instance; ``tile`` (rows, dimensions) are its temporal iterations."""
        whole = Place(tile, place.spread, node.stage)
        return self._arriving(node, self._outside(tile, whole, tile), (), self._tile(node, tile, whole), whole)

    def advancing(self, node: Node, tile: Integers, place: Place, axis: int, bound: Integers) -> Words:
        """Words that a loop of ``bound`` iterations over dimension ``axis`` directly outside ``place`` brings in.

        Over all iterations of the loops further outside.
        """
        after = place.inside.copy()
        after[:, axis] = np.minimum(after[:, axis] * bound, self.spread.full[place.spread, axis])
        advancing = Loop(self.dims[axis], bound)  # type: ignore[arg-type]  # a batch: bounds are arrays
        below = (Piece((advancing,)), *self._between(node, tile, place))
        if self.space.imperfect:
            return self._arriving(node, self._outside(after, place), below, self._tile(node, tile, place), place)
        # All passes are alike: it is enough to count them. Loops stay where the distance of instances depends on them.
        pinned = np.where(self.spread.pins[place.spread].any(axis=1), self.spread.full[place.spread], after)
        outside: Integers = (self.spread.full[place.spread] // pinned).prod(axis=1)
        above = self._outside(after, place, pinned)
        return self._arriving(node, above, below, self._tile(node, tile, place), place) * outside

    def advances(self, node: Node, tile: Integers, place: Place, segment: Integers) -> Advances:
        """How many words the loops of a segment around ``place`` bring in, one loop at a time.

        ``segment`` (rows, dimensions) are their iterations. The function given is asked about the loop over a dimension
        directly outside some others (bits of their dimensions).
        """

        def every(inner: int, axis: int) -> Numbers:
            inside = place.inside.copy()
            for other in range(segment.shape[1]):
                if inner >> other & 1:
                    inside[:, other] *= segment[:, other]
            around = Place(inside, place.spread, place.passed)
            return self.advancing(node, tile, around, axis, segment[:, axis]).every

        return every

    def closing(self, node: Node, tile: Integers, place: Place) -> Words:
        """Words of all loops outside ``place``, the innermost of which runs over a dimension of the tensor's own.

        That loop leaves nothing of the tile in place, nor does any other with that loop inside it: every iteration
        brings in a whole tile. Perfect factors.
        """
        outside: Integers = (self.spread.full[place.spread] // place.inside).prod(axis=1) - 1
        return self.first(node, tile, place) * outside

    # -- parts of nests, outer to inner ---------------------------------------------------------------

    def _tile(self, node: Node, tile: Integers, place: Place) -> tuple[Loop, ...]:
        """All iterations below the node, over time or space."""
        return self._loops(self.spread.factors[place.spread, node.stage :].prod(axis=1) * tile)

    def _between(self, node: Node, tile: Integers, place: Place) -> list[Piece]:
        """What stands between ``place`` and the node."""
        found: list[Piece] = []
        reached = tile
        for array in range(node.stage - 1, place.passed - 1, -1):
            pins = self.spread.pins[place.spread, array]
            below = np.where(pins > 0, pins, reached)
            found[:0] = [self._array(array, place), Piece(self._loops(-(-below // reached)))]
            reached = below
        return [Piece(self._loops(-(-place.inside // reached))), *found]

    def _outside(self, inside: Integers, place: Place, whole: Integers | None = None) -> list[Piece]:
        """What stands outside, up to ``whole`` iterations (default: all).

        ``inside`` are the iterations further in, the advancing loop's included.
        """
        whole = self.spread.full[place.spread] if whole is None else whole
        found: list[Piece] = []
        for array in range(place.passed - 1, -1, -1):
            pins = self.spread.pins[place.spread, array]
            below = np.where(pins > 0, pins, inside)
            found[:0] = [self._array(array, place), Piece(self._loops(-(-below // inside)))]
            inside = below
        return [Piece(self._loops(-(-whole // inside))), *found]

    def _array(self, array: int, place: Place) -> Piece:
        # Along which of its axes a loop runs is of no interest to the counts.
        return Piece(self._loops(self.spread.factors[place.spread, array], LoopKind.SPATIAL_X), array)

    def _loops(self, bounds: Integers, kind: LoopKind = LoopKind.TEMPORAL) -> tuple[Loop, ...]:
        return tuple(
            Loop(dim, bounds[:, axis], kind)  # type: ignore[arg-type]
            for axis, dim in enumerate(self.dims)
            if (bounds[:, axis] != 1).any()
        )

    def _arriving(
        self, node: Node, above: Sequence[Piece], advancing: Sequence[Piece], tile: Sequence[Loop], place: Place
    ) -> Words:
        """Words that the first loop of ``advancing`` brings in; those of the first tiles where there is none."""
        pieces = [*above, *advancing]
        loops = [loop for piece in pieces for loop in piece.loops]
        below_parent = [piece.array is not None and piece.array >= (node.parent or 0) for piece in pieces]
        shared = pieces[: below_parent.index(True)] if True in below_parent else pieces
        nest = self._nest([*loops, Store(node.level, node.tensor.name), *tile])
        interface = Interface(nest, node.tensor, len(loops), sum(len(piece.loops) for piece in shared), self._keep)
        loop = nest.loops[sum(len(piece.loops) for piece in above)] if advancing else None
        every = _row(interface.arriving_at(loop, Copies.ALL), place)
        if self.space.imperfect or loop is None:
            return Words(every, _row(interface.arriving_at(loop, Copies.DISTINCT), place))
        # Instances are alike: whatever arrives at all of them, parents send the same share of it.
        first = (_row(interface.arriving_at(None, copies), place) for copies in (Copies.DISTINCT, Copies.ALL))
        return Words(every, every * (next(first) / next(first)))

    def _nest(self, nodes: Sequence[NestNode]) -> Nest:
        return Nest(self.space.problem, LoopMapping(tuple(nodes)), perfect=not self.space.imperfect)


@dataclass(frozen=True)
class Piece:
    """Neighbouring loops of a nest: those of one array, or loops over time (None)."""

    loops: tuple[Loop, ...]
    array: int | None = None


def _row(words: Number, place: Place) -> Numbers:
    """Counts as one float per nest: exact up to 2^53."""
    return np.broadcast_to(np.asarray(words, dtype=np.float64), place.spread.shape)
