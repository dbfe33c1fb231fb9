"""Words that neighbours share: halos sent once to several instances, tiles forwarded over links.

Both are options beyond plain multicast (equal data, sent once). They look at every instance below one parent,
so they take plain numbers and perfect factors only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as cartesian

from timeloop_py.nest.interface import Copies, Interface
from timeloop_py.nest.walk import NestLoop, moves
from timeloop_py.numbers.operations import product
from timeloop_py.numbers.touched import positions_inside
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.mapping import LoopKind
from timeloop_py.specs.problem import Rank


def words_with_shared_halos(interface: Interface) -> int:
    """Words a parent reads where overlapping tiles of its children are sent as one stream.

    At an advance the parent sends the union over instances of ``T_to - T_from``. A position needs no sending
    if every instance that wants it had it: per rank, with S the instances whose new tile has the position and
    F those that also had it before, the union is ``prod_r |{x : S(x)}| - prod_r |{x : S(x) = F(x)}|``.
    """
    _require_perfect(interface, "share_halos")
    total = 0
    for loop in interface.events:
        moved, stayed, still = 1, 1 if loop is not None else 0, True
        for rank in interface.tensor.ranks:
            wanted, kept, same = _rank_union(interface, rank, loop)
            moved *= wanted
            stayed *= kept
            still = still and same
        if not interface.keep_overlap and not still:
            stayed = 0
        total += _times(interface, loop) * (moved - stayed)
    return total


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


def forwarded_words(interface: Interface) -> tuple[int, int]:
    """``(reads saved at the parent, words received over links)`` with neighbour-to-neighbour forwarding.

    An instance takes its next delta from a mesh neighbour (one step along x or y below the same parent) whose
    previous tile was exactly that delta. Equal tiles moved by ``D``: the neighbour's offset must be ``D``, and
    the tile must not overlap its predecessor. A multicast is saved where all its takers are served.
    """
    _require_perfect(interface, "link_transfer")
    nest = interface.nest
    tensor = interface.tensor
    between = nest.spatial(interface.parent, interface.depth)
    axes = [[loop for loop in between if loop.kind is kind] for kind in (LoopKind.SPATIAL_X, LoopKind.SPATIAL_Y)]
    extents = [product(loop.bound for loop in axis) for axis in axes]
    places = {
        (x, y): tuple(
            sum(
                term.coefficient * offset
                for term in rank.terms
                for dim, offset in (*_axis_offsets(axes[0], x), *_axis_offsets(axes[1], y))
                if dim == term.dim
            )
            for rank in tensor.ranks
        )
        for x in range(extents[0])
        for y in range(extents[1])
    }
    saved = received = 0
    for loop in interface.events[1:]:
        assert loop is not None
        shift = tuple(_rank_shift(interface, rank, loop) for rank in tensor.ranks)
        words = _delta_if_disjoint(interface, loop)
        if not any(shift) or words == 0:
            continue
        served = {
            (x, y)
            for (x, y), place in places.items()
            if any(
                neighbour in places
                and all(there - here == move for there, here, move in zip(places[neighbour], place, shift, strict=True))
                for neighbour in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1))
            )
        }
        groups: dict[tuple[int, ...], bool] = {}
        for instance, place in places.items():
            groups[place] = groups.get(place, True) and instance in served
        times = _times(interface, loop)
        saved += times * words * sum(groups.values())
        received += times * words * len(served)
    return saved, received


def _delta_if_disjoint(interface: Interface, loop: NestLoop) -> int:
    """Words of the whole tile if it does not overlap its predecessor when ``loop`` advances, else 0."""
    words = product(
        len(positions_inside(_tile(interface, rank), [t.coefficient for t in rank.terms], 0, None))
        for rank in interface.tensor.ranks
    )
    per_event = interface.arriving_at(loop, Copies.ALL)
    instances = product(one.bound for one in interface.nest.spatial(interface.parent, interface.depth))
    whole = _times(interface, loop) * instances * words
    return int(words) if per_event == whole else 0


def _tile(interface: Interface, rank: Rank) -> list[int]:
    return [interface.nest.tile(interface.depth, dim) for dim in rank.dims]


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
