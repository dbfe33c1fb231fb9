"""The orders in which the nodes of the innermost stage can stand, and where their enumeration applies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from timeloop_py.mapper.frame import Frame

#: Nodes beside an overlapping tile among which at most one can stay through loops that it cannot move past.
BESIDE_WINDOW = 2


@dataclass(frozen=True)
class NodeOrder:
    """Nodes, outermost first, each at the position that tile sizes are chosen for.

    A node that keeps its tile through loops directly outside, past which it cannot move
    (:meth:`timeloop_py.mapper.growth.Growth._stays_put`), stands at two positions: first up to where its tile stays,
    then where it is. ``waiting_too``: nothing stands between the first of them and the outermost node, beyond which the
    tile may stay as well.
    """

    positions: tuple[int, ...]
    waiting_too: bool = False

    @property
    def stands(self) -> int | None:
        """The second position of a node with two."""
        repeated = (place for place in range(1, len(self.positions)) if self.positions[place] in self.positions[:place])
        return next(repeated, None)

    @property
    def held(self) -> list[int]:
        """One position of every node."""
        return [position for position in range(len(self.positions)) if position != self.stands]


def applies(frame: Frame) -> bool:
    """Whether the innermost stage of a frame can be enumerated."""
    space = frame.space
    stage = len(frame.levels) - 1
    nodes = _nodes(frame)
    if space.space == "level" or space.imperfect or space.constraints.bind_loops or stage == 0 or not frame.dims:
        return False
    windows = [index for index in nodes if frame.tracked.get(index)]
    if any(index not in frame.interface for index in nodes) or len(windows) > 1:
        return False
    if windows and (len(nodes) - 1 > BESIDE_WINDOW or frame.relevance[windows[0]].slides_both_ways):
        return False
    # Only the outermost node is kept open towards the stage above: where two nodes could profit from the same loop
    # there, the search does without this enumeration.
    plain = [frame.relevance[index].idle for index in nodes if not frame.tracked[index]]
    return bool((sum((idle.astype(int) for idle in plain), start=np.zeros(len(frame.dims))) <= 1).all())


def node_orders(frame: Frame) -> Iterator[NodeOrder]:
    """All orders of the nodes of the innermost stage."""
    for nodes in permutations(_nodes(frame)):
        yield NodeOrder(nodes)
        window = next((position for position, index in enumerate(nodes) if frame.tracked[index]), 0)
        for position in range(1, window):
            twice = (*nodes[: position + 1], *nodes[position:])
            yield NodeOrder(twice)
            yield NodeOrder(twice, waiting_too=True)


def _nodes(frame: Frame) -> list[int]:
    stage = len(frame.levels) - 1
    return [index for index, node in enumerate(frame.nodes) if node.stage == stage]
