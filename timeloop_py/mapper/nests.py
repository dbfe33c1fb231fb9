"""From the steps of a search to a mapping, and to its exact cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from timeloop_py.mapper.growth import Step
from timeloop_py.mapper.mapspace import Mapspace, Retention
from timeloop_py.mapper.spread import Spread
from timeloop_py.model.hierarchy_cost import hierarchy_cost
from timeloop_py.model.network_hops import network_routes
from timeloop_py.nest.traffic import count_traffic
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Store


@dataclass(frozen=True)
class MappingCost:
    """Exact cycles and energy of a mapping."""

    energy_pj: float
    cycles: float


def mapping_cost(space: Mapspace, mapping: Mapping) -> MappingCost:
    """Count and price a mapping as an evaluation does."""
    traffic = count_traffic(space.problem, mapping, space.options)
    routes = network_routes(space.problem, space.hierarchy, mapping)
    cost = hierarchy_cost(traffic, space.hierarchy, space.options, routes)
    return MappingCost(float(cost.energy_pj), float(cost.cycles))


def mapping_of(retention: Retention, spread: Spread, choice: int, steps: Sequence[Step]) -> Mapping:
    """The mapping of ``steps`` (from inner to outer) under a choice of spatial factors.

    Loops of one dimension in one segment are drawn together at the innermost of them.
    """
    nodes = retention.nodes
    stages = len(retention.stages)
    inner_first: list[Node] = list(_array(retention, spread, choice, stages - 1))
    unplaced = {index for index, node in enumerate(nodes) if node.stage > 0}
    reached = stages - 1
    segment: dict[int, int] = {}
    for step in steps:
        if not step.nodes:
            segment[step.axis] = segment.get(step.axis, 1) * step.bound
            continue
        inner_first.extend(_loops(retention, segment))
        segment = {}
        inner_first.extend(_store(retention, index) for index in reversed(step.nodes))
        unplaced.difference_update(step.nodes)
        # An array stands directly above the last node of all stages further in.
        innermost = max((nodes[index].stage for index in unplaced), default=0)
        for array in range(reached - 1, innermost - 1, -1):
            inner_first.extend(_array(retention, spread, choice, array))
        reached = innermost
    inner_first.extend(_loops(retention, segment))
    inner_first.extend(_store(retention, index) for index in reversed(range(len(nodes))) if nodes[index].stage == 0)
    return Mapping(tuple(reversed(inner_first)))


def _store(retention: Retention, index: int) -> Store:
    node = retention.nodes[index]
    return Store(node.level, node.tensor.name)


def _loops(retention: Retention, segment: dict[int, int]) -> list[Node]:
    return [Loop(retention.space.dims[axis], bound) for axis, bound in segment.items()]


def _array(retention: Retention, spread: Spread, choice: int, array: int) -> list[Node]:
    """Loops over an array, inner first: along y, then along x."""
    loops: list[Node] = []
    for kind, factors in ((LoopKind.SPATIAL_Y, spread.along_y), (LoopKind.SPATIAL_X, spread.along_x)):
        row = factors[choice, array]
        loops.extend(
            Loop(dim, int(row[axis]), kind)
            for axis, dim in reversed(list(enumerate(retention.space.dims)))
            if row[axis] > 1
        )
    return loops
