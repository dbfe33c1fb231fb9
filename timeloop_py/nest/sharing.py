"""Words that neighbours share: halos sent once to several instances, tiles forwarded over links.

Both are options beyond plain multicast (equal data, sent once). They look at every instance below one parent,
so they take plain numbers and perfect factors only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import product as cartesian

from timeloop_py.nest.interface import Copies, Interface
from timeloop_py.nest.walk import NestLoop, moves
from timeloop_py.numbers.operations import product
from timeloop_py.numbers.touched import positions_inside
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.mapping import LoopKind
from timeloop_py.specs.problem import Rank


@dataclass(frozen=True)
class Sent:
    """Words a parent reads to serve its children, and words that children take from neighbours instead."""

    read: int
    forwarded: int


def words_sent(interface: Interface, share_halos: bool, link_transfer: bool) -> Sent:
    """Count the words of an interface with sharing between neighbours.

    With ``link_transfer`` an instance takes its next delta from a mesh neighbour (one step along x or y below the same
    parent) whose previous tile was exactly that delta; the parent sends the rest. Equal tiles moved by ``D``: the
    neighbour's offset must be ``D``, and the tile must not overlap its predecessor. With ``share_halos`` the parent
    reads positions that several instances want once.
    """
    _require_perfect(interface, "share_halos" if share_halos else "link_transfer")
    places = _places(interface)
    read = forwarded = 0
    for loop in interface.events:
        served = _served(interface, loop, places) if link_transfer and loop is not None else frozenset()
        times = _times(interface, loop)
        if served:
            left = {place for instance, place in places.items() if instance not in served}
            read += times * _union(interface, left, share_halos)
            forwarded += times * len(served) * _tile_words(interface)
        elif share_halos:
            read += times * _shared_delta(interface, loop)
        else:
            read += int(interface.arriving_at(loop, Copies.DISTINCT))
    return Sent(read, forwarded)


def _shared_delta(interface: Interface, loop: NestLoop | None) -> int:
    """``|union over instances of T_to - T_from|`` below one parent.

    A position needs no sending if every instance that wants it had it: per rank, with S the instances whose new tile
    has the position and F those that also had it before, it is ``prod_r |{x : S(x)}| - prod_r |{x : S(x) = F(x)}|``.
    """
    moved, stayed, still = 1, 1 if loop is not None else 0, True
    for rank in interface.tensor.ranks:
        wanted, kept, same = _rank_union(interface, rank, loop)
        moved *= wanted
        stayed *= kept
        still = still and same
    return moved - (stayed if interface.keep_overlap or still else 0)


def _rank_union(interface: Interface, rank: Rank, loop: NestLoop | None) -> tuple[int, int, bool]:
    """Positions wanted by any instance, positions all their takers had, and whether nothing moves."""
    nest = interface.nest
    between = nest.spatial(interface.parent, interface.depth)
    coefficients = {term.dim: term.coefficient for term in rank.terms}
    steps = [
        [index * one.step * coefficients[one.dim] for index in range(one.bound)]
        for one in between
        if one.dim in coefficients
    ]
    tiles = [nest.tile(interface.depth, dim) for dim in rank.dims]
    tile = positions_inside(tiles, [term.coefficient for term in rank.terms], 0, None)
    shift = _rank_shift(interface, rank, loop)
    takers: dict[int, int] = {}
    holders: dict[int, int] = {}
    for parts in cartesian(*steps):
        offset = sum(parts)
        for position in tile:
            place = position + offset + shift
            takers[place] = takers.get(place, 0) + 1
            if position + shift in tile:
                holders[place] = holders.get(place, 0) + 1
    kept = sum(1 for place, count in takers.items() if holders.get(place, 0) == count)
    return len(takers), kept, shift == 0


def _rank_shift(interface: Interface, rank: Rank, loop: NestLoop | None) -> int:
    if loop is None:
        return 0
    shift = 0
    for term in rank.terms:
        shift += term.coefficient * int(moves(interface.nest, interface.depth, loop, term.dim, None)[0].shift)
    return shift


def _times(interface: Interface, loop: NestLoop | None) -> int:
    """How often ``loop`` advances, over all parent instances; 1 per parent for the first tile."""
    nest = interface.nest
    instances = product(one.bound for one in nest.spatial(0, interface.parent))
    if loop is None:
        return int(instances)
    outer = product(one.bound for one in interface.temporal if one.position < loop.position)
    return int(instances * outer * (loop.bound - 1))


def _places(interface: Interface) -> dict[tuple[int, int], tuple[int, ...]]:
    """Where the tile of each instance below one parent stands, per rank, by its (x, y) in the array."""
    between = interface.nest.spatial(interface.parent, interface.depth)
    axes = [[loop for loop in between if loop.kind is kind] for kind in (LoopKind.SPATIAL_X, LoopKind.SPATIAL_Y)]
    extents = [product(loop.bound for loop in axis) for axis in axes]
    return {
        (x, y): tuple(
            sum(
                term.coefficient * offset
                for term in rank.terms
                for dim, offset in (*_axis_offsets(axes[0], x), *_axis_offsets(axes[1], y))
                if dim == term.dim
            )
            for rank in interface.tensor.ranks
        )
        for x in range(extents[0])
        for y in range(extents[1])
    }


def _served(
    interface: Interface, loop: NestLoop, places: Mapping[tuple[int, int], tuple[int, ...]]
) -> frozenset[tuple[int, int]]:
    """Instances whose delta a neighbour held a step before, when ``loop`` advances."""
    shift = tuple(_rank_shift(interface, rank, loop) for rank in interface.tensor.ranks)
    if not any(shift) or not _disjoint(interface, loop):
        return frozenset()
    return frozenset(
        (x, y)
        for (x, y), place in places.items()
        if any(
            neighbour in places
            and all(there - here == move for there, here, move in zip(places[neighbour], place, shift, strict=True))
            for neighbour in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1))
        )
    )


def _union(interface: Interface, places: Set[tuple[int, ...]], share_halos: bool) -> int:
    """Words of whole tiles at these places: equal ones once, and with ``share_halos`` equal positions once."""
    if not share_halos:
        return len(places) * _tile_words(interface)
    tiles = [sorted(tile) for tile in _tile_positions(interface)]
    positions: set[tuple[int, ...]] = set()
    for place in places:
        positions.update(cartesian(*([p + offset for p in tile] for tile, offset in zip(tiles, place, strict=True))))
    return len(positions)


def _tile_positions(interface: Interface) -> list[frozenset[int]]:
    return [
        positions_inside(
            [interface.nest.tile(interface.depth, dim) for dim in rank.dims],
            [term.coefficient for term in rank.terms],
            0,
            None,
        )
        for rank in interface.tensor.ranks
    ]


def _tile_words(interface: Interface) -> int:
    return int(product(len(tile) for tile in _tile_positions(interface)))


def _disjoint(interface: Interface, loop: NestLoop) -> bool:
    """Whether a tile and its successor have nothing in common when ``loop`` advances."""
    instances = product(one.bound for one in interface.nest.spatial(interface.parent, interface.depth))
    whole = _times(interface, loop) * instances * _tile_words(interface)
    return bool(interface.arriving_at(loop, Copies.ALL) == whole)


def _axis_offsets(axis: Sequence[NestLoop], index: int) -> list[tuple[str, int]]:
    offsets = []
    for loop in reversed(axis):
        offsets.append((loop.dim, (index % loop.bound) * loop.step))
        index //= loop.bound
    return offsets


def _require_perfect(interface: Interface, option: str) -> None:
    nest = interface.nest
    imperfect = nest.imperfect_dims
    if imperfect:
        raise SpecError(
            f"{option} is defined for perfect factors only; the loops of {', '.join(sorted(imperfect))} are imperfect",
            field=f"options.{option}",
        )
    if any(rank.clip is not None for rank in interface.tensor.ranks):
        raise SpecError(f"{option} does not take clipped ranks", field=f"options.{option}")
