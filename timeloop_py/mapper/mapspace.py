"""Mapspaces: which mappings of a problem onto a hierarchy there are.

``level``: every level has one order of its temporal loops, one factor per dimension, spatial loops over the array below
it, and all tensors that it keeps are stored above its loops (what Timeloop searches).

``placement``: every tensor's tile at every level has a place of its own in the nest. All orders of the storage nodes in
which a tensor's outer node precedes its inner one, with at most one temporal loop per dimension, in any order, between
two storage nodes that follow each other. The spatial loops of an array stand directly above the first storage node of
any level further in; where an array is used, the nodes of its outer level and beyond stand above it. An array that no
loop runs over separates nothing.

In both, a tensor may be kept or bypassed at every level but the outermost that may hold it, its home. What the
outermost level holds stands above all loops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from itertools import product as cartesian
from typing import Literal

from timeloop_py.mapper.constraints import Constraints
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.hierarchy import CountingOptions, FanOut, Hierarchy
from timeloop_py.specs.problem import Problem, Tensor

Space = Literal["level", "placement"]
SPACES: tuple[Space, ...] = ("level", "placement")


@dataclass(frozen=True)
class Mapspace:
    """All mappings of ``problem`` onto ``hierarchy`` of one kind, within constraints.

    ``imperfect``: factors need not divide; the last pass of a loop is then shorter.
    """

    problem: Problem
    hierarchy: Hierarchy
    options: CountingOptions = field(default_factory=CountingOptions)
    space: Space = "placement"
    imperfect: bool = False
    constraints: Constraints = field(default_factory=Constraints)

    def __post_init__(self) -> None:
        for tensor in self.problem.tensors:
            if any(rank.clip is not None or rank.entries is not None for rank in tensor.ranks):
                raise SpecError(f"tensor {tensor.name!r} has a clipped or scattered rank: its nests are not searched")
            if not any(level.may_hold(tensor.name) for level in self.hierarchy.levels):
                raise SpecError(f"no level may hold tensor {tensor.name!r}")
        for option in ("link_transfer", "share_halos"):
            if getattr(self.options, option):
                raise SpecError(
                    f"the search counts without {option}: evaluate its mapping with it", field=f"options.{option}"
                )
        if self.options.elide_first_read == "per_stay" and not self.options.charge_drain_read:
            raise SpecError(
                "the search takes per_stay only with charge_drain_read: fetching a sum again must not save energy",
                field="options.elide_first_read",
            )
        if self.imperfect and self.options.padded_cycles:
            raise SpecError("padded cycles are those of perfect factors", field="options.padded_cycles")

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions that have anything to iterate over."""
        return tuple(dim for dim, size in self.problem.dims.items() if size > 1)

    def retentions(self) -> Iterator[Retention]:
        """Every choice of what each level keeps, fullest first."""
        names = [tensor.name for tensor in self.problem.tensors]
        places: list[tuple[int, str]] = []
        kept: list[tuple[bool, ...]] = []
        for name in names:
            holders = [index for index, level in enumerate(self.hierarchy.levels) if level.may_hold(name)]
            for index in holders:
                level = self.hierarchy.names[index]
                choice: tuple[bool, ...] = (True, False)
                if name in self.constraints.keep.get(level, ()) or index == holders[0]:
                    choice = (True,)
                elif name in self.constraints.bypass.get(level, ()):
                    choice = (False,)
                places.append((index, name))
                kept.append(choice)
        for chosen in cartesian(*kept):
            held = {place for place, keep in zip(places, chosen, strict=True) if keep}
            yield Retention(self, tuple(tuple(name for name in names if (index, name) in held) for index in self._all))

    @property
    def _all(self) -> range:
        return range(len(self.hierarchy.levels))


@dataclass(frozen=True)
class Node:
    """A storage node to be placed. ``stage`` counts the levels that hold anything, outermost first."""

    stage: int
    level: str
    tensor: Tensor
    #: the stage of the tensor's next node outwards; None: this is its home
    parent: int | None


@dataclass(frozen=True)
class Array:
    """Instances between two stages that follow each other (the last: between storage and compute)."""

    outer: int
    fan_out: FanOut


@dataclass(frozen=True)
class Retention:
    """A mapspace with the tensors that every level keeps fixed."""

    space: Mapspace
    kept: tuple[tuple[str, ...], ...]

    @property
    def stages(self) -> tuple[int, ...]:
        """Indices of the levels that hold any tensor."""
        return tuple(index for index, names in enumerate(self.kept) if names)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All storage nodes, outermost stage first."""
        found: list[Node] = []
        last: dict[str, int] = {}
        for stage, index in enumerate(self.stages):
            for name in self.kept[index]:
                level = self.space.hierarchy.names[index]
                found.append(Node(stage, level, self.space.problem.tensor(name), last.get(name)))
                last[name] = stage
        return tuple(found)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The array below every stage."""
        hierarchy, stages = self.space.hierarchy, (*self.stages, self.space.hierarchy.compute_index)
        return tuple(
            Array(stage, hierarchy.fan_out(outer, inner)) for stage, (outer, inner) in enumerate(pairwise(stages))
        )

    def node_orders(self) -> int:
        """In how many orders the storage nodes can stand below those of the outermost stage."""
        nodes = [node for node in self.nodes if node.stage > 0]
        if self.space.space == "level":
            return 1
        return math.factorial(len(nodes)) // math.prod(
            math.factorial(sum(node.tensor is tensor for node in nodes)) for tensor in self.space.problem.tensors
        )

    @property
    def segments(self) -> int:
        """Runs of temporal loops: below every stage, or below every storage node that does not stand on top."""
        if self.space.space == "level":
            return len(self.stages)
        return 1 + sum(node.stage > 0 for node in self.nodes)
