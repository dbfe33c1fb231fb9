"""Fibers of a skipped operand: how many there are, how long they are, and which lanes work on them side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product as cartesian

import numpy as np

from timeloop_py.nest.array_nest import ArrayNest, SkipPlace
from timeloop_py.specs.mapping import Loop


@dataclass(frozen=True)
class FiberKind:
    """``count`` times a fiber for every lane; ``lanes``: (positions, how many lanes), longest first."""

    count: int
    lanes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Fibers:
    """The fibers of one operand in a layer's nest.

    ``vector``: positions of a fiber that a cycle of its lane takes at once. ``different``: of the fibers that a lane
    works off one after another, how many are not repetitions of another one (averaged over kinds). ``inner``: dense
    iterations of loops over other dimensions for each position.
    """

    kinds: tuple[FiberKind, ...]
    vector: int
    different: int
    inner: int

    @property
    def count(self) -> int:
        """Fibers that a lane works off."""
        return sum(kind.count for kind in self.kinds)

    @property
    def lanes(self) -> int:
        """Lanes side by side, at the most."""
        return max(sum(lanes for _, lanes in kind.lanes) for kind in self.kinds)

    @property
    def longest(self) -> int:
        """Positions of the longest fiber."""
        return max(length for kind in self.kinds for length, _ in kind.lanes)


def fibers(nest: ArrayNest, skip: SkipPlace) -> Fibers:
    """Fibers of a skip's operand.

    Where a dimension is split over lanes, they get as equal parts of it as there are.
    """
    dims = nest.problem.tensor(skip.operand).dims
    above = [node for node in nest.mapping.nodes[: skip.position] if isinstance(node, Loop)]
    below = [node for node in nest.mapping.nodes[skip.position :] if isinstance(node, Loop)]
    repeats = inner = 1
    for dim in nest.problem.dims:
        if dim not in dims:
            repeats *= _passes(nest.problem.dims[dim], dim, above, below)
            inner *= math.prod(node.bound for node in below if node.dim == dim and not node.is_spatial)
    kinds: Counter[tuple[tuple[int, int], ...]] = Counter()
    per_dim = [_of_dim(nest.problem.dims[dim], dim, above, below) for dim in nest.problem.dims if dim in dims]
    for combination in cartesian(*(found.items() for found in per_dim)):
        lanes: Counter[int] = Counter({1: 1})
        count = 1
        for lengths, times in combination:
            count *= times
            lanes = Counter({
                length: sum(
                    copies * others
                    for have, copies in lanes.items()
                    for more, others in lengths
                    if have * more == length
                )
                for length in {have * more for have in lanes for more, _ in lengths}
            })  # fmt: skip
        kinds[tuple(sorted(((length, copies) for length, copies in lanes.items() if length), reverse=True))] += count
    different = sum(kinds.values())
    return Fibers(
        kinds=tuple(FiberKind(count * repeats, lanes) for lanes, count in kinds.items()),
        vector=skip.vector,
        different=different,
        inner=inner,
    )


def _passes(size: int, dim: str, above: Sequence[Loop], below: Sequence[Loop]) -> int:
    """Iterations of the temporal loops above over a dimension in which any lane has work."""
    tile = math.prod(node.bound for node in below if node.dim == dim)
    spatial = math.prod(node.bound for node in above if node.dim == dim and node.is_spatial)
    outer = math.prod(node.bound for node in above if node.dim == dim and not node.is_spatial)
    return min(outer, -(-size // (tile * spatial)))


def _of_dim(size: int, dim: str, above: Sequence[Loop], below: Sequence[Loop]) -> Counter[tuple[tuple[int, int], ...]]:
    """Iterations of the temporal loops above by what the lanes of a dimension then have: (length, lanes) pairs.

    What an iteration covers is dealt out to the lanes vector by vector, so that none has two more than another.
    """
    tile = math.prod(node.bound for node in below if node.dim == dim)
    vector = math.prod(node.bound for node in below if node.dim == dim and node.is_spatial)
    lanes = math.prod(node.bound for node in above if node.dim == dim and node.is_spatial)
    step, starts = tile * lanes, np.zeros(1, dtype=np.int64)
    for node in reversed([node for node in above if node.dim == dim and not node.is_spatial]):
        starts = (starts[:, None] + step * np.arange(node.bound)).ravel()
        step *= node.bound
    found: Counter[tuple[tuple[int, int], ...]] = Counter()
    for room, count in zip(*np.unique(np.clip(size - starts, 0, tile * lanes), return_counts=True), strict=True):
        if room > 0:
            found[_dealt(int(room), lanes, vector)] += int(count)
    return found


def _dealt(room: int, lanes: int, vector: int) -> tuple[tuple[int, int], ...]:
    """Positions per lane when ``room`` of them are dealt out in vectors, the last of which may be short."""
    vectors = -(-room // vector)
    each, more = divmod(vectors, lanes)
    dealt = Counter({(each + 1) * vector: more, each * vector: lanes - more})
    missing = vectors * vector - room
    if missing:
        longest = max(length for length, count in dealt.items() if count)
        dealt[longest] -= 1
        dealt[longest - missing] += 1
    return tuple(sorted((length, count) for length, count in dealt.items() if count))
