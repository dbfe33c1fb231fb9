"""A mapping as loops with steps, and what moves along one dimension when a loop advances.

Index of a dimension = sum over its loops of ``iteration * step``; the step of a loop is the product of the
nominal bounds of the loops of that dimension further inside. Iterations whose index lies beyond the
dimension do not exist: that is all an imperfect factor is. The valid iterations of one dimension for one
instance are therefore a lexicographic prefix of all: every loop runs its nominal bound, except where all
outer loops of the same dimension stand at their last iteration. Dimensions are independent of each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product as cartesian

from timeloop_py.numbers.operations import (
    Number,
    floor_divide,
    is_plain,
    is_positive,
    is_symbolic,
    maximum,
    minimum,
    product,
)
from timeloop_py.specs.mapping import Loop, LoopKind, Store
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.problem import Problem


@dataclass(frozen=True)
class NestLoop:
    """A loop with its place in the nest and its index step."""

    position: int
    dim: str
    bound: Number
    step: Number
    kind: LoopKind

    @property
    def is_spatial(self) -> bool:
        return self.kind is not LoopKind.TEMPORAL


@dataclass(frozen=True)
class NestStore:
    """A storage node; ``depth`` loops stand above it."""

    level: str
    tensor: str
    depth: int


@dataclass(frozen=True)
class Move:
    """One kind of transition of a tile along one dimension.

    ``times`` transitions in which the tile goes from a range of ``size_from`` indices to one of ``size_to``
    that starts ``shift`` further. ``base_from`` is the absolute index where that matters (clipped ranks).
    """

    times: Number
    shift: Number
    size_from: Number
    size_to: Number
    base_from: int | None = None


@dataclass(frozen=True)
class Last:
    """The last valid iteration of one dimension in one instance: per temporal loop, and its tile's size."""

    active: Number
    iterations: tuple[Number, ...]
    size: Number


class Nest:
    """Loops and storage nodes of a mapping, resolved against the dimensions of a problem.

    Loop bounds may be numbers, arrays (a batch of mappings of one shape) or symbols. ``perfect`` says that
    loops multiply exactly to their dimensions; left out, it is found out (plain numbers) or taken as given.
    """

    def __init__(self, problem: Problem, mapping: LoopMapping, perfect: bool | None = None) -> None:
        self.problem = problem
        self.bounds: Mapping[str, Number] = problem.dims
        remaining: dict[str, Number] = {}
        loops: list[NestLoop] = []
        stores: list[NestStore] = []
        total = sum(isinstance(node, Loop) for node in mapping.nodes)
        position = total
        for node in reversed(mapping.nodes):
            if isinstance(node, Loop):
                position -= 1
                step = remaining.get(node.dim, 1)
                loops.append(NestLoop(position, node.dim, node.bound, step, node.kind))
                remaining[node.dim] = step * node.bound
            else:
                assert isinstance(node, Store)
                stores.append(NestStore(node.level, node.tensor, position))
        self.loops: tuple[NestLoop, ...] = tuple(reversed(loops))
        self.stores: tuple[NestStore, ...] = tuple(reversed(stores))
        self.no_link_transfer = frozenset(mapping.no_link_transfer)
        self._products = remaining
        self._perfect = perfect
        self._temporal: dict[int, tuple[NestLoop, ...]] = {}
        self._spatial: dict[tuple[int, int], tuple[NestLoop, ...]] = {}
        self._tiles: dict[tuple[int, str], Number] = {}
        self._backs: dict[tuple[int, int, str], Number] = {}
        #: per (tensor, depth, overlap kept): one count serves fills of a level and reads of the one above
        self.arriving_per_instance: dict[tuple[str, int, bool], Number] = {}

    @cached_property
    def imperfect_dims(self) -> frozenset[str]:
        """Dimensions whose loops multiply to more than their bound."""
        if self._perfect:
            return frozenset()
        found = set()
        for dim, bound in self.bounds.items():
            nominal = self._products.get(dim, 1)
            if not is_plain(nominal, bound):
                if self._perfect is False:
                    found.add(dim)
            elif nominal != bound:
                found.add(dim)
        return frozenset(found)

    def chain(self, tensor: str) -> tuple[NestStore, ...]:
        """The storage nodes of a tensor, outermost (its home) first."""
        return tuple(store for store in self.stores if store.tensor == tensor)

    def tile(self, depth: int, dim: str) -> Number:
        """Nominal number of indices of ``dim`` below the first ``depth`` loops."""
        key = (depth, dim)
        if key not in self._tiles:
            self._tiles[key] = product(loop.bound for loop in self.loops[depth:] if loop.dim == dim)
        return self._tiles[key]

    def back(self, depth: int, position: int, dim: str) -> Number:
        """How far index ``dim`` falls back when the loop at ``position`` advances.

        The temporal loops over ``dim`` inside it, down to ``depth``, return to their first iteration:
        ``sum of (bound - 1) * step``.
        """
        inner = self.next_inside(depth, position, dim)
        if inner is None:
            return 0
        key = (depth, inner.position, dim)
        if key not in self._backs:
            self._backs[key] = (inner.bound - 1) * inner.step + self.back(depth, inner.position, dim)
        return self._backs[key]

    def next_inside(self, depth: int, position: int, dim: str) -> NestLoop | None:
        """The outermost temporal loop over ``dim`` inside ``position`` and above ``depth``."""
        return next((loop for loop in self.temporal(depth) if loop.dim == dim and loop.position > position), None)

    def clipped_tile(self, depth: int, dim: str) -> Number:
        """Like :meth:`tile`, never more than the dimension."""
        size = self.tile(depth, dim)
        return minimum(size, self.bounds[dim]) if dim in self.imperfect_dims else size

    def tiles(self, depth: int, dim: str) -> Iterator[tuple[int, int]]:
        """(base, size) of every tile of ``dim`` below the first ``depth`` loops, over time and instances."""
        tile, bound = self.tile(depth, dim), self.bounds[dim]
        for _, base in index_offsets([loop for loop in self.loops[:depth] if loop.dim == dim]):
            if base < bound:
                yield base, min(tile, bound - base)

    def temporal(self, depth: int) -> tuple[NestLoop, ...]:
        """Temporal loops among the first ``depth``; loops of one iteration left out."""
        if depth not in self._temporal:
            self._temporal[depth] = tuple(
                loop
                for loop in self.loops[:depth]
                if not loop.is_spatial and not (is_plain(loop.bound) and loop.bound == 1)
            )
        return self._temporal[depth]

    def spatial(self, start: int, stop: int) -> tuple[NestLoop, ...]:
        """Spatial loops at positions ``start`` to ``stop``; loops of one iteration left out."""
        if (start, stop) not in self._spatial:
            self._spatial[start, stop] = tuple(
                loop
                for loop in self.loops[start:stop]
                if loop.is_spatial and not (is_plain(loop.bound) and loop.bound == 1)
            )
        return self._spatial[start, stop]


def of_dim(loops: Sequence[NestLoop], dim: str) -> tuple[NestLoop, ...]:
    """The loops of one dimension, in order."""
    return tuple(loop for loop in loops if loop.dim == dim)


def index_offsets(loops: Sequence[NestLoop]) -> Iterator[tuple[Number, Number]]:
    """(weight, index) at which the iterations of loops over one dimension start.

    The weight is 1, or 0 where a row of a batch has fewer iterations than others.
    """
    for indices in cartesian(*(range(_largest_bound(loop.bound)) for loop in loops)):
        weight = product(
            1 if is_plain(loop.bound) else is_positive(loop.bound - index)
            for index, loop in zip(indices, loops, strict=True)
        )
        yield weight, sum((index * loop.step for index, loop in zip(indices, loops, strict=True)), 0)


def _largest_bound(bound: Number) -> int:
    if is_symbolic(bound):
        raise TypeError("the iterations of a symbolic loop cannot be told apart")
    return int(bound) if is_plain(bound) else int(bound.max())


def last_iteration(temporal: Sequence[NestLoop], tile: Number, room: Number) -> Last:
    """The last valid iteration of a dimension: ``room`` indices are left from the instance's offset on."""
    active = is_positive(room)
    rest = maximum(room, 1) - 1
    iterations: list[Number] = []
    for loop in temporal:
        here = minimum(loop.bound - 1, floor_divide(rest, loop.step))
        iterations.append(here)
        rest = rest - here * loop.step
    return Last(active, tuple(iterations), minimum(tile, rest + 1))


def count_iterations(temporal: Sequence[NestLoop], last: Last) -> Number:
    """Valid iterations of the given outer loops of a dimension: the rank of the last one, plus one."""
    rank: Number = 0
    for loop, iteration in zip(temporal, last.iterations, strict=False):
        rank = rank * loop.bound + iteration
    return (rank + 1) * last.active


def first_tile(tile: Number, temporal: Sequence[NestLoop], room: Number | None) -> Move:
    """The first tile of an instance as a move: ``times`` is 1, or 0 for an instance that never works."""
    if room is None:
        return Move(1, 0, tile, tile, 0)
    last = last_iteration(temporal, tile, room)
    return Move(last.active, 0, minimum(tile, maximum(room, 1)), minimum(tile, maximum(room, 1)), 0)


def nominal_shift(nest: Nest, depth: int, advancing: NestLoop, dim: str) -> Number:
    """``D`` of :func:`moves`: how far the tile below ``depth`` moves along ``dim`` when loop ``advancing`` goes on.

    In every pass but those that imperfect factors end early.
    """
    return (advancing.step if advancing.dim == dim else 0) - nest.back(depth, advancing.position, dim)


def moves(nest: Nest, depth: int, advancing: NestLoop, dim: str, room: Number | None) -> list[Move]:
    """What happens along ``dim`` to the tile below ``depth`` each time loop ``advancing`` goes on by one.

    Loops of ``dim`` inside it fall back to their first iteration, those outside stand still: the tile moves
    by ``D = step - sum over inner loops of (bound - 1) * step``. ``room`` is the number of indices from the
    instance's offset to the end of the dimension, None where its factors are perfect. With a room there are
    two kinds of pass: those in which all outer loops of the dimension stand at their last iteration, and all
    others, which are nominal.
    """
    loops = of_dim(nest.temporal(depth), dim)
    outer = tuple(loop for loop in loops if loop.position < advancing.position)
    inner = tuple(loop for loop in loops if loop.position > advancing.position)
    tile = nest.tile(depth, dim)
    advances = advancing.dim == dim
    shift = nominal_shift(nest, depth, advancing, dim)
    if room is None:
        times = product(loop.bound for loop in outer)
        return [Move(times * (advancing.bound - 1) if advances else times, shift, tile, tile)]

    last = last_iteration(loops, tile, room)
    passes = count_iterations(outer, last)
    nominal = passes - last.active
    inner_last = last.iterations[len(loops) - len(inner) :]
    last_back = sum((here * loop.step for here, loop in zip(inner_last, inner, strict=True)), 0)
    # Size of the tile that the last pass starts with: clipped only if it is its last tile, too.
    starts_last = is_positive(1 - last_back) if inner else 1
    start_size = last.size * starts_last + tile * (1 - starts_last)
    if not advances:
        return [
            Move(nominal, shift, tile, tile),
            Move(last.active, -last_back, last.size, start_size),
        ]
    here = last.iterations[len(outer)]
    final = is_positive(here) * last.active
    return [
        Move(nominal * (advancing.bound - 1) + (here * last.active - final), shift, tile, tile),
        Move(final, shift, tile, start_size),
    ]


def absolute_moves(
    temporal: Sequence[NestLoop], advancing: NestLoop | None, dim: str, tile: int, offset: int, bound: int
) -> list[Move]:
    """Like :meth:`moves` with every transition apart and its absolute index: for clipped ranks.

    ``advancing`` None gives the first tile.
    """
    loops = of_dim(temporal, dim)
    if offset >= bound:
        return []
    if advancing is None:
        size = min(tile, bound - offset)
        return [Move(1, 0, size, size, offset)]
    outer = tuple(loop for loop in loops if loop.position < advancing.position)
    inner = tuple(loop for loop in loops if loop.position > advancing.position)
    found: list[Move] = []
    for indices in cartesian(*(range(loop.bound) for loop in outer)):
        base = offset + sum(index * loop.step for index, loop in zip(indices, outer, strict=True))
        advances = advancing.dim == dim
        for here in range(advancing.bound - 1 if advances else 1):
            base_from = base + here * advancing.step if advances else base
            base_to = base_from + advancing.step if advances else base
            if max(base_from, base_to) >= bound:
                break
            last = last_iteration(inner, tile, bound - base_from)
            base_from += sum(i * loop.step for i, loop in zip(last.iterations, inner, strict=True))
            found.append(Move(1, base_to - base_from, last.size, min(tile, bound - base_to), base_from))
    return found


def merged(found: Sequence[Move]) -> list[Move]:
    """Moves of the same kind added up; those that never happen left out (plain numbers only)."""
    if not all(is_plain(move.times, move.shift, move.size_from, move.size_to) for move in found):
        return list(found)
    total: Counter[tuple[Number, Number, Number]] = Counter()
    for move in found:
        total[(move.shift, move.size_from, move.size_to)] += move.times
    return [Move(times, *kind) for kind, times in total.items() if times]
