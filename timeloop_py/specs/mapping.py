"""Mappings: where every loop of a problem runs and where every tensor's tile is held.

A mapping is one list from outer to inner of loops and storage nodes. It says per-level mappings and
uneven ones alike: the tile of a tensor at a level is what lies below its storage node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from timeloop_py.specs.errors import SpecError


class LoopKind(Enum):
    """How the iterations of a loop are spread: over time, or over columns (x) or rows (y) of an array."""

    TEMPORAL = "loop"
    SPATIAL_X = "spatial_x"
    SPATIAL_Y = "spatial_y"


@dataclass(frozen=True)
class Loop:
    """A loop over tiles of one dimension.

    ``bound`` is the number of iterations in every pass but the last. Where loops of a dimension multiply to
    more than the dimension (an imperfect factor), the iterations and tiles beyond its end do not exist: the
    last pass is shorter, a spatial one leaves instances idle.
    """

    dim: str
    bound: int
    kind: LoopKind = LoopKind.TEMPORAL

    @property
    def is_spatial(self) -> bool:
        return self.kind is not LoopKind.TEMPORAL


@dataclass(frozen=True)
class Store:
    """The tile of ``tensor`` in ``level`` is what the nodes below this one touch."""

    level: str
    tensor: str


Node = Loop | Store


@dataclass(frozen=True)
class Place:
    """Where a node was written down, for errors found after the file was read."""

    path: str
    line: int | None
    field: str

    def error(self, message: str) -> SpecError:
        return SpecError(message, path=self.path, line=self.line, field=self.field)


@dataclass(frozen=True)
class Mapping:
    """Nodes from outer to inner. The storage nodes of a tensor stand in the order of the levels."""

    nodes: tuple[Node, ...]
    #: tensors whose neighbours do not forward to each other, per level above the array
    no_link_transfer: tuple[tuple[str, str], ...] = ()
    #: one place per node for a mapping that was read from a file, else empty; no part of its value
    places: tuple[Place, ...] = field(default=(), compare=False, repr=False)


def last_pass(nodes: Sequence[Node], dims: MappingOf[str, int]) -> list[int]:
    """Iterations of every loop when all loops of its dimension outside it are at their end (1 for a storage node).

    The loops of a dimension are the digits of a mixed-radix number, its last index the number ``size - 1``: the
    digit of a loop is the index of its last iteration. The outermost loop takes what the inner ones leave, so it may
    exceed its bound where the loops multiply to less than the dimension.
    """
    step = {dim: math.prod(node.bound for node in nodes if isinstance(node, Loop) and node.dim == dim) for dim in dims}
    rest = {dim: size - 1 for dim, size in dims.items()}
    passes: list[int] = []
    for node in nodes:
        if isinstance(node, Store):
            passes.append(1)
            continue
        step[node.dim] //= node.bound
        digit, rest[node.dim] = divmod(rest[node.dim], step[node.dim])
        passes.append(digit + 1)
    return passes
