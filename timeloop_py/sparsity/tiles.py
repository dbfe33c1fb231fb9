"""Tiles of a mapping as shapes: what part of a tensor a run of inner loops touches."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from functools import cached_property

from timeloop_py.numbers.touched import touched_positions
from timeloop_py.specs.hierarchy import Hierarchy
from timeloop_py.specs.mapping import Loop, Mapping, Store
from timeloop_py.specs.problem import Problem, Tensor

#: indices of each dimension that a tile covers; a dimension left out: one
Extents = MappingOf[str, int]
#: positions per rank of a tensor
Shape = tuple[int, ...]


class Tiles:
    """Shapes of tiles, and the loops between the storage nodes of a tensor. Loops of one iteration are left out."""

    def __init__(self, problem: Problem, hierarchy: Hierarchy, mapping: Mapping) -> None:
        self.problem = problem
        self.hierarchy = hierarchy
        self.mapping = mapping

    @cached_property
    def _nodes(self) -> MappingOf[tuple[str, str], int]:
        """Node of every storage node, by (level, tensor)."""
        nodes = enumerate(self.mapping.nodes)
        return {(node.level, node.tensor): index for index, node in nodes if isinstance(node, Store)}

    def levels(self, tensor: str) -> tuple[str, ...]:
        """Levels that keep a tensor, outermost first."""
        return tuple(level for level, name in self._nodes if name == tensor)

    def parent(self, level: str, tensor: str) -> str | None:
        """The next level further out that keeps the tensor."""
        levels = self.levels(tensor)
        index = levels.index(level)
        return levels[index - 1] if index else None

    def child(self, level: str, tensor: str) -> str | None:
        """The next level further in that keeps the tensor; None: compute."""
        levels = self.levels(tensor)
        index = levels.index(level) + 1
        return levels[index] if index < len(levels) else None

    def keeper(self, level: str, tensor: str) -> str | None:
        """The level itself if it keeps the tensor, else the nearest one further out that does."""
        depth = self.hierarchy.index(level)
        above = [name for name in self.levels(tensor) if self.hierarchy.index(name) <= depth]
        return above[-1] if above else None

    def loops_below(self, level: str, tensor: str) -> list[Loop]:
        """All loops inside the tile of a tensor in a level, innermost first."""
        below = self.mapping.nodes[self._nodes[level, tensor] :]
        return [node for node in reversed(below) if isinstance(node, Loop) and node.bound > 1]

    def loops_between(self, level: str, tensor: str) -> list[Loop]:
        """Those that are outside its tile in the next level further in, innermost first."""
        loops = self.loops_below(level, tensor)
        child = self.child(level, tensor)
        return loops if child is None else loops[len(self.loops_below(child, tensor)) :]

    def tile(self, level: str, tensor: str) -> Shape:
        """Shape of the largest tile of a tensor in a level."""
        return self.shape(self.problem.tensor(tensor), extents_of(self.loops_below(level, tensor)))

    def tensor_shape(self, tensor: str) -> Shape:
        """Shape of the whole tensor."""
        return self.shape(self.problem.tensor(tensor), self.problem.dims)

    def shape(self, tensor: Tensor, extents: Extents) -> Shape:
        """Positions per rank that ``extents`` of the dimensions touch, never more than there are."""
        sides = []
        for rank in tensor.ranks:
            sizes = [min(extents.get(term.dim, 1), self.problem.dims[term.dim]) for term in rank.terms]
            side = int(touched_positions(sizes, [term.coefficient for term in rank.terms]))
            sides.append(side if rank.clip is None else min(side, rank.clip[1] - rank.clip[0]))
        return tuple(sides)


def extents_of(loops: Sequence[Loop]) -> dict[str, int]:
    """Iterations per dimension of some loops together."""
    extents: dict[str, int] = {}
    for loop in loops:
        extents[loop.dim] = extents.get(loop.dim, 1) * loop.bound
    return extents
