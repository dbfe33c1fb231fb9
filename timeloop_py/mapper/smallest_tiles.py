"""The smallest tiles that the mappings of a mapspace can have: what decides whether any of them fits.

A tile only grows with the loops inside it. So loops over time stand as far out as they may: where nothing says to which
level a loop belongs, above every storage node that can be placed, and all tiles hold what is spread over space alone.
Where factors of levels are limited, the loops of a level stand directly below its first storage node, which has them
inside; the nodes after it do not. Of the factors that limits allow, those are kept whose tiles no others undercut at
every level. Prescribed orders of loops change no tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product as cartesian

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.constraints import Limits
from timeloop_py.mapper.mapspace import Mapspace, Node, Retention
from timeloop_py.mapper.spread import Spread, factor_choices, perfect_alone
from timeloop_py.mapper.words import Place, WordCounter

Numbers = NDArray[np.float64]
#: Temporal iterations along a dimension inside the loops of every level, outermost first.
Inside = tuple[int, ...]


@dataclass(frozen=True)
class Tiles:
    """Words of the tiles of one instance, by (level, tensor), and compute units in use; a row per choice."""

    words: dict[tuple[str, str], Numbers]
    lanes: NDArray[np.int64]


def smallest_tiles(space: Mapspace) -> Iterator[Tiles]:
    """Rows among which every mapping of ``space`` finds one that needs no more of any buffer, on as many units."""
    for retention, spread in _retentions(space):
        if not len(spread):
            continue
        for used in np.unique(~spread.unused, axis=0):
            rows = spread.rows(np.flatnonzero((~spread.unused == used).all(axis=1)))
            for depths, levels in _places(retention, tuple(bool(one) for one in used)):
                tiles = _tiles(retention, rows, depths, levels)
                if tiles is not None:
                    yield tiles


def _retentions(space: Mapspace) -> Iterator[tuple[Retention, Spread]]:
    """Retentions with their spatial factors; how loops over time are shared out below an array is left open."""
    for retention in space.retentions():
        yield retention, factor_choices(retention)
        if space.imperfect:
            yield perfect_alone(retention)


def _places(retention: Retention, used: tuple[bool, ...]) -> set[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Ways to place the storage nodes: the outermost level whose loops are inside each of them, and which have loops.

    ``used``: the arrays that loops run over.
    """
    stages, nodes = len(retention.stages), retention.nodes
    space = retention.space
    if space.space == "level":
        return {(tuple(node.stage for node in nodes), (True,) * stages)}
    if not space.constraints.factors:
        return {(tuple(0 if node.stage == 0 else stages for node in nodes), (True,) * stages)}
    below = [index for index, node in enumerate(nodes) if node.stage > 0]
    start = (tuple(0 if node.stage == 0 else -1 for node in nodes), 0, (True, *([False] * (stages - 1))))
    reached = {start}
    for _ in below:
        after = set()
        for depths, stage, levels in reached:
            for index in below:
                node = nodes[index]
                if depths[index] >= 0 or any(
                    depths[other] < 0 and _stands_above(nodes[other], node, used) for other in below
                ):
                    continue
                here = max(stage, node.stage)
                # The first node of a level has its loops inside; nodes that follow have those further in.
                depth = here if here > stage else here + 1
                placed = tuple(depth if one == index else value for one, value in enumerate(depths))
                after.add((placed, here, tuple(has or level == here for level, has in enumerate(levels))))
        reached = after
    return {(depths, levels) for depths, _, levels in reached}


def _stands_above(outer: Node, inner: Node, used: Sequence[bool]) -> bool:
    return outer.stage < inner.stage and (outer.tensor is inner.tensor or any(used[outer.stage : inner.stage]))


def _tiles(retention: Retention, spread: Spread, depths: Sequence[int], levels: Sequence[bool]) -> Tiles | None:
    space, dims = retention.space, retention.space.dims
    names = [space.hierarchy.names[index] for index in retention.stages]
    limits = {
        dim: [space.constraints.factors.get(name, {}).get(dim, Limits()) for name in names]
        for dim in space.problem.dims
    }
    for dim, size in space.problem.dims.items():
        if size == 1 and any(one.least > 1 for one in limits[dim]):
            return None
    chosen: list[int] = []
    inside: list[tuple[Inside, ...]] = []
    known: dict[tuple[object, ...], list[Inside]] = {}
    for row in range(len(spread)):
        options = []
        for axis, dim in enumerate(dims):
            key = (dim, int(spread.full[row, axis]), *_room(space, spread, row, axis))
            if key not in known:
                known[key] = _insides(key[1], limits[dim], levels, space.imperfect, key[2], key[3])
            options.append(known[key])
        for one in cartesian(*options):
            chosen.append(row)
            inside.append(one)
    if not chosen:
        return None
    rows = np.array(chosen, dtype=np.intp)
    # (rows, dimensions, levels), and nothing inside the innermost level's loops
    sizes = np.array(inside, dtype=np.int64).reshape(len(rows), len(dims), len(levels))
    sizes = np.concatenate((sizes, np.ones((len(rows), len(dims), 1), dtype=np.int64)), axis=2)
    counter = WordCounter(space, spread)
    words = {
        (node.level, node.tensor.name): counter.tile_words(node, Place(sizes[:, :, depth], rows, node.stage))
        for node, depth in zip(retention.nodes, depths, strict=True)
    }
    return Tiles(words, spread.lanes[rows])


def _room(space: Mapspace, spread: Spread, row: int, axis: int) -> tuple[int, int]:
    """With imperfect factors: the outermost array along a dimension (-1: none), and the most iterations inside it.

    The most is what leaves work to every instance where no loop over time stands outside.
    """
    arrays = np.flatnonzero(spread.factors[row, :, axis] > 1)
    if not space.imperfect or not len(arrays):
        return -1, 0
    outermost = int(arrays[0])
    x, y = int(spread.along_x[row, outermost, axis]), int(spread.along_y[row, outermost, axis])
    factor, within = (x, y) if x > 1 else (y, 1)
    within *= math.prod(int(one) for one in spread.factors[row, outermost + 1 :, axis])
    return outermost, (space.problem.dims[space.dims[axis]] - 1) // (within * (factor - 1))


def _insides(
    full: int, limits: Sequence[Limits], levels: Sequence[bool], imperfect: bool, outermost: int, most: int
) -> list[Inside]:
    """Iterations inside the loops of every level, those that no others undercut."""
    found: set[Inside] = set()

    def grow(rest: int, stage: int, inside: Inside) -> None:
        if stage < 0:
            if rest == 1:
                within = (*inside, 1)[outermost + 1]
                if outermost < 0 or inside[0] > within or inside[0] <= most:
                    found.add(tuple(min(full, one) for one in inside))
            return
        for factor in range(1, rest + 1):
            fits = (imperfect or rest % factor == 0) and (factor == 1 or levels[stage])
            if fits and limits[stage].allows(factor):
                grow(-(-rest // factor), stage - 1, (factor * (inside[0] if inside else 1), *inside))

    grow(full, len(limits) - 1, ())
    return [
        one
        for one in sorted(found)
        if not any(other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in found)
    ]
