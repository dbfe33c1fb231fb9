"""Words that cross between a storage node and the node of the same tensor above it.

The one closed form of the project (MODEL of access counts): with ``T`` the tile of a tensor below a node and
``D_j`` how far it moves when temporal loop ``j`` outside advances,

    words arriving per instance = |T| + sum over j of b_1*...*b_(j-1) * (b_j - 1) * (|T| - |T & (T + D_j)|)

Ranks of a tensor share no dimension, and instances and imperfect passes of a dimension do not depend on the
other dimensions. So every sum over instances and passes is a product over ranks of small sums:
``words(j) = prod_r A_r(j) - prod_r B_r(j)``, with ``A_r`` the touched and ``B_r`` the shared positions of
rank ``r``, each summed over the kinds of moves of its dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import product as cartesian

from timeloop_py.nest.walk import (
    Last,
    Move,
    Nest,
    NestLoop,
    absolute_moves,
    count_iterations,
    first_tile,
    index_offsets,
    last_iteration,
    merged,
    moves,
    nominal_shift,
    of_dim,
)
from timeloop_py.numbers.operations import Number, is_equal, is_plain, product
from timeloop_py.numbers.touched import positions_inside, shared_positions, touched_positions
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.problem import Rank, Tensor


class Copies(Enum):
    """Which instances of a node are counted."""

    ALL = "all"  # every instance
    DISTINCT = "distinct"  # of instances below one parent that hold the same data, the busiest one


@dataclass(frozen=True)
class Offset:
    """A joint spatial offset of the dimensions of one rank, standing for ``weight`` instances.

    ``room`` per dimension is what is left of it from the offset on (None: its factors are perfect).
    """

    weight: Number
    offsets: tuple[Number, ...]
    room: tuple[Number | None, ...]


class Interface:
    """Traffic of one tensor into the tiles below loop ``depth``, sent from a node below loop ``parent``."""

    def __init__(self, nest: Nest, tensor: Tensor, depth: int, parent: int, keep_overlap: bool = True) -> None:
        self.nest = nest
        self.tensor = tensor
        self.depth = depth
        self.parent = parent
        self.keep_overlap = keep_overlap
        self.temporal = nest.temporal(depth)
        self.idle_dims = [dim for dim in nest.bounds if dim not in tensor.dims]
        self._stayed_cache: dict[object, Number] = {}
        self._weight_cache: dict[object, Number] = {}

    # -- instances ------------------------------------------------------------------------------------

    def offsets(self, rank: Rank, copies: Copies) -> list[Offset]:
        """The instances that the spatial loops above the node make, seen along one rank."""
        above = [of_dim(self.nest.spatial(0, self.parent), dim) for dim in rank.dims]
        between = [of_dim(self.nest.spatial(self.parent, self.depth), dim) for dim in rank.dims]
        spread = sum(bool(loops) for loops in between) > 1
        plain_rank = rank.clip is None and not self.nest.imperfect_dims.intersection(rank.dims)
        if plain_rank:
            return [Offset(self._nominal_weight(rank, copies), (0,) * len(rank.terms), (None,) * len(rank.terms))]
        if spread and copies is Copies.DISTINCT and self.nest.imperfect_dims.intersection(rank.dims):
            raise SpecError(
                f"imperfect spatial factors on two dimensions ({', '.join(rank.dims)}) of one rank of "
                f"{self.tensor.name!r} are not countable as multicasts: make the factors perfect"
            )
        found: list[Offset] = []
        for outer in cartesian(*(index_offsets(loops) for loops in above)):
            seen: set[Number] = set()
            for inner in cartesian(*(index_offsets(loops) for loops in between)):
                if copies is Copies.DISTINCT and spread:
                    place = sum(term.coefficient * there for term, (_, there) in zip(rank.terms, inner, strict=True))
                    if place in seen:
                        continue
                    seen.add(place)
                offsets = tuple(first + second for (_, first), (_, second) in zip(outer, inner, strict=True))
                weight = product(one for one, _ in (*outer, *inner))
                room = tuple(self._room(dim, offset) for dim, offset in zip(rank.dims, offsets, strict=True))
                found.append(Offset(weight, offsets, room))
        return found

    def _nominal_weight(self, rank: Rank, copies: Copies) -> Number:
        key = id(rank), copies
        if key not in self._weight_cache:
            self._weight_cache[key] = self._instances_along(rank, copies)
        return self._weight_cache[key]

    def _instances_along(self, rank: Rank, copies: Copies) -> Number:
        above = product(loop.bound for loop in self.nest.spatial(0, self.parent) if loop.dim in rank.dims)
        between = [loop for loop in self.nest.spatial(self.parent, self.depth) if loop.dim in rank.dims]
        if copies is Copies.ALL:
            return above * product(loop.bound for loop in between)
        if rank.entries is not None:
            return above * product(loop.bound for loop in between)
        coefficient = {term.dim: term.coefficient for term in rank.terms}
        return above * touched_positions(
            [loop.bound for loop in between], [loop.step * coefficient[loop.dim] for loop in between]
        )

    def _room(self, dim: str, offset: Number) -> Number | None:
        return self.nest.bounds[dim] - offset if dim in self.nest.imperfect_dims else None

    def _idle_offsets(self, dim: str, copies: Copies) -> Iterator[tuple[Number, Number | None]]:
        """(weight, room) of the instances along a dimension that the tensor does not have."""
        stop = self.depth if copies is Copies.ALL else self.parent
        loops = of_dim(self.nest.spatial(0, stop), dim)
        if dim not in self.nest.imperfect_dims:
            yield product(loop.bound for loop in loops), None
            return
        for weight, offset in index_offsets(loops):
            yield weight, self.nest.bounds[dim] - offset

    # -- words that arrive ----------------------------------------------------------------------------

    def arriving(self, copies: Copies) -> Number:
        """Words that arrive in all counted instances together; as many leave them."""
        if self._is_plain:
            return self._instances(copies) * self._arriving_per_instance
        return sum((self.arriving_at(loop, copies) for loop in self.events), 0)

    @cached_property
    def _is_plain(self) -> bool:
        """All instances are alike: no imperfect factor, no clipped rank."""
        return not self.nest.imperfect_dims and all(rank.clip is None for rank in self.tensor.ranks)

    def _instances(self, copies: Copies) -> Number:
        idle = product(weight for dim in self.idle_dims for weight, _ in self._idle_offsets(dim, copies))
        return idle * product(self._nominal_weight(rank, copies) for rank in self.tensor.ranks)

    @property
    def _arriving_per_instance(self) -> Number:
        """``|T| + sum over j of outer_j * (b_j - 1) * (|T| - |T & (T + D_j)|)``, kept for the other interface."""
        key = (self.tensor.name, self.depth, self.keep_overlap)
        known = self.nest.arriving_per_instance
        if key not in known:
            tile = product(self._stayed(rank, None) for rank in self.tensor.ranks)
            total, outer = tile, 1
            for loop in self.events[1:]:
                assert loop is not None
                stayed = product(self._stayed(rank, loop) for rank in self.tensor.ranks)
                total = total + outer * (loop.bound - 1) * (tile - stayed)
                outer = outer * loop.bound
            known[key] = total
        return known[key]

    def _stayed(self, rank: Rank, loop: NestLoop | None) -> Number:
        """Positions of a rank that a nominal tile shares with its successor; all of them without a loop."""
        inner = () if loop is None else tuple(self._next_inside(dim, loop) for dim in rank.dims)
        own = loop.position if loop is not None and loop.dim in rank.dims else None
        key = (id(rank), loop is None, own, inner)
        if key not in self._stayed_cache:
            nominal = tuple(self._nominal_move(dim, loop) for dim in rank.dims)
            touched, shared = self._positions(rank, [term.coefficient for term in rank.terms], nominal)
            self._stayed_cache[key] = touched if loop is None else shared
        return self._stayed_cache[key]

    def _nominal_move(self, dim: str, loop: NestLoop | None) -> Move:
        """One advance of a loop (None: the first tile), in which all tiles are whole."""
        tile = self.nest.tile(self.depth, dim)
        return Move(1, 0 if loop is None else nominal_shift(self.nest, self.depth, loop, dim), tile, tile)

    def _next_inside(self, dim: str, loop: NestLoop) -> int | None:
        inside = self.nest.next_inside(self.depth, loop.position, dim)
        return None if inside is None else inside.position

    @cached_property
    def events(self) -> tuple[NestLoop | None, ...]:
        """None for the first tile, then every temporal loop whose advance can move the tile."""
        last_relevant = max((loop.position for loop in self.temporal if loop.dim in self.tensor.dims), default=-1)
        # Loops inside the innermost one of the tensor's own dimensions leave the tile where it is.
        return (None, *(loop for loop in self.temporal if loop.position <= last_relevant))

    def arriving_at(self, loop: NestLoop | None, copies: Copies) -> Number:
        """Words that arrive each time ``loop`` advances (None: the first tiles)."""
        idle = product(self._idle_times(dim, loop, copies) for dim in self.idle_dims)
        moved: Number = 1
        stayed: Number = 1 if loop is not None else 0
        for rank in self.tensor.ranks:
            touched, shared = self._rank_words(rank, loop, copies)
            moved = moved * touched
            stayed = stayed * shared
        return idle * (moved - stayed)

    def _idle_times(self, dim: str, loop: NestLoop | None, copies: Copies) -> Number:
        return sum(
            (
                weight * sum((move.times for move in self._moves(dim, loop, room)), 0)
                for weight, room in self._idle_offsets(dim, copies)
            ),
            0,
        )

    def _moves(self, dim: str, loop: NestLoop | None, room: Number | None) -> list[Move]:
        if loop is None:
            return [first_tile(self.nest.tile(self.depth, dim), of_dim(self.temporal, dim), room)]
        return moves(self.nest, self.depth, loop, dim, room)

    def _rank_words(self, rank: Rank, loop: NestLoop | None, copies: Copies) -> tuple[Number, Number]:
        """``(A_r, B_r)``: touched and shared positions of a rank, over instances and kinds of moves."""
        coefficients = [term.coefficient for term in rank.terms]
        touched: Number = 0
        shared: Number = 0
        for offset in self.offsets(rank, copies):
            kinds = [
                self._rank_moves(rank, dim, loop, place, room)
                for dim, place, room in zip(rank.dims, offset.offsets, offset.room, strict=True)
            ]
            for joint in cartesian(*kinds):
                times = offset.weight * product(move.times for move in joint)
                here, kept = self._positions(rank, coefficients, joint)
                touched = touched + times * here
                if loop is not None:
                    shared = shared + times * kept
        return touched, shared

    def _rank_moves(
        self, rank: Rank, dim: str, loop: NestLoop | None, place: Number, room: Number | None
    ) -> list[Move]:
        if rank.clip is not None:
            tile = self.nest.tile(self.depth, dim)
            return absolute_moves(self.temporal, loop, dim, tile, place, self.nest.bounds[dim])
        return merged(self._moves(dim, loop, room))

    def _positions(self, rank: Rank, coefficients: Sequence[int], joint: tuple[Move, ...]) -> tuple[Number, Number]:
        sizes_from = [move.size_from for move in joint]
        sizes_to = [move.size_to for move in joint]
        if rank.entries is not None:  # a whole tile that never moves: the checks of the lowering see to that
            return rank.entries, rank.entries
        if rank.clip is not None:
            base_from = sum(c * (move.base_from or 0) for c, move in zip(coefficients, joint, strict=True))
            base_to = base_from + sum(c * move.shift for c, move in zip(coefficients, joint, strict=True))
            before = positions_inside(sizes_from, coefficients, base_from, rank.clip)
            after = positions_inside(sizes_to, coefficients, base_to, rank.clip)
            kept = len(before & after)
            same = before == after
            return len(after), kept if self.keep_overlap or same else 0
        here = touched_positions(sizes_to, coefficients)
        if rank.by_occupancy:
            return here, here if all(is_plain(move.shift) and move.shift == 0 for move in joint) else 0
        kept_positions = shared_positions(sizes_from, sizes_to, coefficients, [move.shift for move in joint])
        if self.keep_overlap:
            return here, kept_positions
        before_count = touched_positions(sizes_from, coefficients)
        return here, kept_positions * is_equal(kept_positions, here) * is_equal(kept_positions, before_count)

    # -- words ever held ------------------------------------------------------------------------------

    def visited(self, copies: Copies) -> Number:
        """Different words the counted instances ever hold, each instance counting its own."""
        idle = product(
            sum((weight * (1 if room is None else _is_active(room)) for weight, room in pairs), 0)
            for pairs in (self._idle_offsets(dim, copies) for dim in self.idle_dims)
        )
        return idle * product(self._rank_visited(rank, copies) for rank in self.tensor.ranks)

    def _rank_visited(self, rank: Rank, copies: Copies) -> Number:
        tiles = [self.nest.tile(self.depth, dim) for dim in rank.dims]
        loops = [of_dim(self.temporal, dim) for dim in rank.dims]
        # Dimensions without loops stay at their one index.
        moving = [axis for axis, dim in enumerate(rank.dims) if of_dim(self.nest.loops, dim)] or [0]
        total: Number = 0
        for offset in self.offsets(rank, copies):
            if rank.entries is not None:
                total = total + offset.weight * rank.entries
            elif len(moving) == 1 and rank.clip is None:
                axis = moving[0]
                total = total + offset.weight * _held(tiles[axis], loops[axis], offset.room[axis])
            elif rank.clip is None and not self.nest.imperfect_dims.intersection(rank.dims):
                counts = [*tiles, *(loop.bound for group in loops for loop in group)]
                steps = [term.coefficient for term in rank.terms] + [
                    loop.step * term.coefficient
                    for group, term in zip(loops, rank.terms, strict=True)
                    for loop in group
                ]
                total = total + offset.weight * touched_positions(counts, steps)
            else:
                total = total + offset.weight * self._enumerated(rank, tiles, loops, offset.offsets)
        return total

    def _enumerated(
        self,
        rank: Rank,
        tiles: Sequence[int],
        loops: Sequence[Sequence[NestLoop]],
        offsets: Sequence[int],
    ) -> int:
        positions = {0}
        for term, tile, group, offset in zip(rank.terms, tiles, loops, offsets, strict=True):
            bound = self.nest.bounds[term.dim]
            held = {
                base + index
                for base in (offset + sum(parts) for parts in cartesian(*(_bases(loop) for loop in group)))
                for index in range(tile)
                if base + index < bound
            }
            positions = {place + term.coefficient * index for place in positions for index in held}
        if rank.clip is not None:
            positions = {place for place in positions if rank.clip[0] <= place < rank.clip[1]}
        return len(positions)

    # -- words at every iteration ---------------------------------------------------------------------

    def streamed(self) -> Number:
        """Different words used at every iteration of all loops, summed over time: what compute asks for.

        Equal words of several lanes at one time are one (multicast, or spatial reduction for outputs).
        """
        idle = product(
            sum(
                (weight * self._iterations(dim, room) for weight, room in self._idle_offsets(dim, Copies.DISTINCT)),
                0,
            )
            for dim in self.idle_dims
        )
        return idle * product(self._rank_streamed(rank) for rank in self.tensor.ranks)

    def _rank_streamed(self, rank: Rank) -> Number:
        total: Number = 0
        for offset in self.offsets(rank, Copies.DISTINCT):
            if rank.clip is None:
                times = product(self._iterations(dim, room) for dim, room in zip(rank.dims, offset.room, strict=True))
            else:
                times = self._iterations_inside(rank, offset.offsets)
            total = total + offset.weight * times
        return total

    def _iterations(self, dim: str, room: Number | None) -> Number:
        loops = of_dim(self.temporal, dim)
        if room is None:
            return product(loop.bound for loop in loops)
        return count_iterations(loops, last_iteration(loops, 1, room))

    def _iterations_inside(self, rank: Rank, offsets: Sequence[int]) -> int:
        assert rank.clip is not None
        indices = [
            [
                term.coefficient * (offset + sum(parts))
                for parts in cartesian(*(_bases(loop) for loop in of_dim(self.temporal, term.dim)))
                if offset + sum(parts) < self.nest.bounds[term.dim]
            ]
            for term, offset in zip(rank.terms, offsets, strict=True)
        ]
        return sum(rank.clip[0] <= sum(parts) < rank.clip[1] for parts in cartesian(*indices))


def _is_active(room: Number) -> Number:
    """1 where an instance has any work, else 0."""
    if is_plain(room):
        return int(room > 0)
    return (room > 0) * 1


def _held(tile: Number, loops: Sequence[NestLoop], room: Number | None) -> Number:
    """Indices of one dimension that an instance ever holds."""
    if room is None:
        return tile * product(loop.bound for loop in loops)
    last: Last = last_iteration(loops, tile, room)
    return (count_iterations(loops, last) - 1) * tile * last.active + last.size * last.active


def _bases(loop: NestLoop) -> range:
    return range(0, loop.bound * loop.step, loop.step)
