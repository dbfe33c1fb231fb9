"""All mappings of a small mapspace, one by one, from its definition in words: no pruning, no order left out.

It shares with the search only the types that a mapspace and a mapping are written in. Costs come from the traffic
engine, which has a brute force of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from itertools import pairwise, permutations, product
from math import ceil, prod
from typing import Any

import numpy as np

from timeloop_py.mapper.constraints import Limits, SpatialLimits
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.model.hierarchy_cost import hierarchy_cost
from timeloop_py.model.network_hops import network_routes
from timeloop_py.nest.checks import capacity_excesses, mapping_violations
from timeloop_py.nest.traffic import Traffic, count_traffic
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Store

Keep = dict[str, tuple[str, ...]]  # tensors held, per level that holds any


class TooManyError(Exception):
    """The mapspace is larger than a test should enumerate."""


Factors = dict[str, tuple[int, int]]  # along x and y of an array, by dimension
Loops = tuple[tuple[str, int], ...]  # dimension and bound, outer to inner


@dataclass(frozen=True)
class Point:
    """One mapping: what levels hold, groups of storage nodes, factors of every array, loops of every segment."""

    keep: Keep
    order: tuple[tuple[Store, ...], ...]
    spatial: list[Factors]
    segments: tuple[Loops, ...]


def points(space: Mapspace) -> Iterator[Point]:
    """Every mapping, whether it fits or not."""
    for keep in keeps(space):
        for spatial in spatial_choices(space, keep):
            imperfect = space.imperfect and not spread_twice(space, spatial)
            left = {
                dim: ceil(size / prod(x * y for factors in spatial for one, (x, y) in factors.items() if one == dim))
                for dim, size in space.problem.dims.items()
            }
            for order in node_orders(space, keep, spatial):
                levels = levels_of_segments(keep, order)
                for segments in all_segments(space, keep, left, levels, imperfect):
                    for ordered in product(*(list(permutations(segment)) for segment in segments)):
                        if in_order(space, levels, ordered):
                            yield Point(keep, order, spatial, ordered)


def all_mappings(space: Mapspace) -> Iterator[Mapping]:
    """Every mapping, whether it fits or not; without those whose arrays are wider than their work."""
    for point in points(space):
        mapping = nest_of(point.keep, point.order, point.spatial, point.segments)
        if not space.imperfect or not mapping_violations(space.problem, space.hierarchy, mapping):
            yield mapping


def all_costs(space: Mapspace, most: int) -> dict[str, np.ndarray]:
    """Energy and cycles of every mapping that fits, as arrays."""
    costs = list(costs_by_shape(space, most))
    return {
        "energy_pj": np.concatenate([energy for energy, _ in costs]) if costs else np.zeros(0),
        "cycles": np.concatenate([cycles for _, cycles in costs]) if costs else np.zeros(0),
    }


def any_fits(space: Mapspace, most: int) -> bool:
    """Whether a mapping fits: the costs of the first ones that do are enough."""
    return any(len(energy) > 0 for energy, _ in costs_by_shape(space, most))


def costs_by_shape(space: Mapspace, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Energy and cycles of the mappings that fit, those of one shape at a time. TooManyError: more than ``most``."""
    shapes: dict[object, list[Point]] = defaultdict(list)
    for number, point in enumerate(points(space)):
        if number >= most:
            raise TooManyError
        shapes[shape_of(space, point)].append(point)
    for same in shapes.values():
        yield single_costs(space, same) if space.imperfect else batch_cost(space, same)


def full_order(space: Mapspace, loops: Loops) -> tuple[str, ...]:
    """All dimensions, in an order that has the loops in theirs."""
    dims, used = list(space.problem.dims), [dim for dim, _ in loops]
    if used == [dim for dim in dims if dim in used]:
        return tuple(dims)
    return (*used, *(dim for dim in dims if dim not in used))


def shape_of(space: Mapspace, point: Point) -> object:
    """Equal for mappings that differ in bounds alone, where loops of one iteration may stand anywhere."""
    return tuple(point.keep.items()), point.order, tuple(full_order(space, loops) for loops in point.segments)


def batch_cost(space: Mapspace, same: list[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Costs of mappings of one shape that fit their buffers: bounds are arrays."""
    dims = list(space.problem.dims)
    spatial = [
        {dim: tuple(np.array([point.spatial[array][dim][axis] for point in same]) for axis in (0, 1)) for dim in dims}
        for array in range(len(same[0].spatial))
    ]
    segments = []
    for segment, loops in enumerate(same[0].segments):
        bounds = [dict(point.segments[segment]) for point in same]
        segments.append(
            tuple((dim, np.array([bound.get(dim, 1) for bound in bounds])) for dim in full_order(space, loops))
        )
    mapping = nest_of(same[0].keep, same[0].order, spatial, tuple(segments))
    traffic = count_traffic(space.problem, mapping, space.options, perfect=True)
    routes = network_routes(space.problem, space.hierarchy, mapping)
    cost = hierarchy_cost(traffic, space.hierarchy, space.options, routes)
    fits = np.broadcast_to(fitting(space, traffic), len(same))
    energy = np.broadcast_to(np.asarray(cost.energy_pj, dtype=float), fits.shape)
    cycles = np.broadcast_to(np.asarray(cost.cycles, dtype=float), fits.shape)
    return energy[fits], cycles[fits]


def fitting(space: Mapspace, traffic: Traffic) -> np.ndarray:
    """True where all tiles fit their buffers."""
    fits = np.ones(1, dtype=bool)
    for level in space.hierarchy.levels:
        rows = [row for row in traffic.rows if row.level == level.name]
        if level.usable_words is not None and rows:
            fits = fits & (sum(row.tile_words for row in rows) <= level.usable_words)
        for row in rows:
            own = level.usable_words_of(row.tensor)
            if own is not None:
                fits = fits & (row.tile_words <= own)
    return fits


def single_costs(space: Mapspace, same: list[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Costs of mappings that fit, one by one."""
    energies, cycles = [], []
    for point in same:
        mapping = nest_of(point.keep, point.order, point.spatial, point.segments)
        if mapping_violations(space.problem, space.hierarchy, mapping):
            continue
        traffic = count_traffic(space.problem, mapping, space.options)
        if capacity_excesses(space.hierarchy, {(row.level, row.tensor): row.tile_words for row in traffic.rows}):
            continue
        routes = network_routes(space.problem, space.hierarchy, mapping)
        cost = hierarchy_cost(traffic, space.hierarchy, space.options, routes)
        energies.append(float(cost.energy_pj))
        cycles.append(float(cost.cycles))
    return np.array(energies), np.array(cycles)


def keeps(space: Mapspace) -> Iterator[Keep]:
    """Every choice of kept tensors; the outermost level that may hold a tensor holds it."""
    names = [tensor.name for tensor in space.problem.tensors]
    choices: list[list[tuple[str, ...]]] = []
    for index, level in enumerate(space.hierarchy.levels):
        options = []
        for chosen in product((True, False), repeat=len(names)):
            held = tuple(name for name, keep in zip(names, chosen, strict=True) if keep)
            if any(not level.may_hold(name) for name in held):
                continue
            first = [
                name
                for name in names
                if level.may_hold(name) and not any(outer.may_hold(name) for outer in space.hierarchy.levels[:index])
            ]
            must = {*first, *space.constraints.keep.get(level.name, ())}
            must_not = set(space.constraints.bypass.get(level.name, ())) - set(first)
            if must <= set(held) and not must_not & set(held):
                options.append(held)
        choices.append(options)
    for combined in product(*choices):
        yield {level.name: held for level, held in zip(space.hierarchy.levels, combined, strict=True) if held}


def factors(size: int, imperfect: bool) -> list[int]:
    return [factor for factor in range(1, size + 1) if imperfect or size % factor == 0]


def spatial_choices(space: Mapspace, keep: Keep) -> Iterator[list[Factors]]:
    names = [*keep, space.hierarchy.compute.name]
    position = {stage.name: index for index, stage in enumerate(space.hierarchy.stages)}
    dims = space.problem.dims
    per_array = []
    for outer, inner in pairwise(names):
        fan = space.hierarchy.fan_out(position[outer], position[inner])
        limits = space.constraints.spatial.get(outer, SpatialLimits())
        options = []
        pairs = [
            [
                (x, y)
                for x in factors(size, space.imperfect)
                for y in factors(size, space.imperfect)
                if (x - 1) * y < size
            ]
            for size in dims.values()
        ]
        for chosen in product(*pairs):
            if prod(x for x, _ in chosen) > fan.x or prod(y for _, y in chosen) > fan.y:
                continue
            choice = dict(zip(dims, chosen, strict=True))
            if all(within(limits.x, dim, x) and within(limits.y, dim, y) for dim, (x, y) in choice.items()):
                options.append(choice)
        per_array.append(options)
    for combined in product(*per_array):
        spread = {dim: prod(choice[dim][0] * choice[dim][1] for choice in combined) for dim in dims}
        twice = spread_twice(space, list(combined))
        if (twice or not space.imperfect) and any(size % spread[dim] for dim, size in dims.items()):
            continue  # imperfect ones that spread a rank twice are not countable as multicasts
        if any(not works(size, [choice[dim] for choice in combined]) for dim, size in dims.items()):
            continue
        if prod(spread.values()) + 1e-9 < space.constraints.utilization * space.hierarchy.compute.instances:
            continue
        yield list(combined)


def spread_twice(space: Mapspace, spatial: list[Factors]) -> bool:
    """Whether two dimensions of one rank are spread."""
    spread = {dim for factors in spatial for dim, pair in factors.items() if pair != (1, 1)}
    return any(len(spread.intersection(rank.dims)) > 1 for tensor in space.problem.tensors for rank in tensor.ranks)


def works(size: int, factors_of: list[tuple[int, int]]) -> bool:
    """Whether every instance along a dimension has work where no loop over time stands among the arrays."""
    inside = 1
    for x, y in reversed(factors_of):
        for factor in (y, x):
            if factor > ceil(size / inside):
                return False
            inside *= factor
    return True


def within(limits: MappingOf[str, Limits] | None, dim: str, factor: int) -> bool:
    if limits is None:
        return True
    if dim not in limits:
        return factor == 1
    return limits[dim].allows(factor)


def node_orders(space: Mapspace, keep: Keep, spatial: list[Factors]) -> Iterator[tuple[tuple[Store, ...], ...]]:
    """Groups of storage nodes below those of the outermost level, outer to inner; loops stand between the groups."""
    levels = list(keep)
    below = [tuple(Store(level, name) for name in keep[level]) for level in levels[1:]]
    if space.space == "level":
        yield tuple(below)
        return
    nodes = [node for group in below for node in group]
    for order in permutations(nodes):
        depth = {node: index for index, node in enumerate(order)}
        fine = True
        for one in nodes:
            for other in nodes:
                outer, inner = levels.index(one.level), levels.index(other.level)
                if outer >= inner:
                    continue
                array_used = any(pair != (1, 1) for array in range(outer, inner) for pair in spatial[array].values())
                if (one.tensor == other.tensor or array_used) and depth[one] > depth[other]:
                    fine = False
        if fine:
            yield tuple((node,) for node in order)


def levels_of_segments(keep: Keep, order: tuple[tuple[Store, ...], ...]) -> list[str]:
    """The level that each segment's loops belong to: the innermost of which a storage node stands outside."""
    levels = list(keep)
    found = [0]
    for group in order:
        found.append(max(found[-1], *(levels.index(store.level) for store in group)))
    return [levels[place] for place in found]


def all_segments(
    space: Mapspace, keep: Keep, left: dict[str, int], levels: list[str], imperfect: bool
) -> Iterator[tuple[Loops, ...]]:
    """Temporal loops of all dimensions in segments, outer to inner; loops of one iteration left out.

    Only those that keep to the limits on factors of the levels that the segments belong to.
    """
    count = len(levels)
    per_dim = [
        [chain for chain in chains(size, count, imperfect) if allowed_factors(space, keep, levels, dim, chain)]
        for dim, size in left.items()
    ]
    for chosen in product(*per_dim):
        yield tuple(
            tuple((dim, chain[segment]) for dim, chain in zip(left, chosen, strict=True) if chain[segment] > 1)
            for segment in range(count)
        )


def chains(size: int, count: int, imperfect: bool) -> Iterator[tuple[int, ...]]:
    """Factors per segment, outer to inner. Imperfect: the outermost one takes what the inner ones leave."""
    if count == 1:
        yield (size,)
        return
    for inner in factors(size, imperfect):
        if imperfect and inner == size and size > 1:
            # All iterations in this segment: nothing outside.
            yield (*([1] * (count - 1)), size)
            continue
        for outer in chains(ceil(size / inner), count - 1, imperfect):
            yield (*outer, inner)


def allowed_factors(space: Mapspace, keep: Keep, levels: list[str], dim: str, chain: tuple[int, ...]) -> bool:
    """Whether the factors of a dimension, one per segment, keep to the limits of every level in use."""
    if not space.constraints.bind_loops:
        return True
    return all(
        limits[dim].allows(prod(factor for one, factor in zip(levels, chain, strict=True) if one == level))
        for level, limits in space.constraints.factors.items()
        if level in keep and dim in limits
    )


def in_order(space: Mapspace, levels: list[str], segments: tuple[Loops, ...]) -> bool:
    """Whether the loops of every level keep to its order."""
    if not space.constraints.bind_loops:
        return True
    for level, wanted in space.constraints.order.items():
        loops = [loop for one, segment in zip(levels, segments, strict=True) if one == level for loop in segment]
        places = [wanted.index(dim) for dim, _ in loops if dim in wanted]
        if places != sorted(places):
            return False
    return True


def nest_of(
    keep: Keep,
    order: tuple[tuple[Store, ...], ...],
    spatial: list[dict[str, tuple[Any, ...]]],
    segments: tuple[tuple[tuple[str, Any], ...], ...],
) -> Mapping:
    """The nest: the loops over an array stand directly above the first storage node of a level further in.

    Bounds are numbers, or arrays for a batch of one shape.
    """
    levels = list(keep)
    nodes: list[Node] = [Store(levels[0], name) for name in keep[levels[0]]]
    passed = 0
    for index, segment in enumerate(segments):
        if index:
            for store in order[index - 1]:
                while passed < levels.index(store.level):
                    nodes.extend(spread_loops(spatial[passed]))
                    passed += 1
                nodes.append(store)
        nodes.extend(Loop(dim, bound) for dim, bound in segment)
    nodes.extend(spread_loops(spatial[-1]))
    return Mapping(tuple(nodes))


def spread_loops(factors_of: dict[str, tuple[Any, ...]]) -> list[Loop]:
    bounds = [
        *((dim, x, LoopKind.SPATIAL_X) for dim, (x, _) in factors_of.items()),
        *((dim, y, LoopKind.SPATIAL_Y) for dim, (_, y) in factors_of.items()),
    ]
    return [Loop(dim, bound, kind) for dim, bound, kind in bounds if np.any(bound > 1)]


def optimum(costs: dict[str, np.ndarray], objective: str) -> float:
    """The least value of an objective's last measure among the mappings that are optimal in those before it."""
    energy, cycles = costs["energy_pj"], costs["cycles"]
    least = np.inf
    for part in objective.split(","):
        value = measure(energy, cycles, part)
        least = value.min()
        best = value <= least * (1 + 1e-12)
        energy, cycles = energy[best], cycles[best]
    return float(least)


def measure(energy: np.ndarray, cycles: np.ndarray, text: str) -> np.ndarray:
    """A weighted sum of metrics."""
    metrics = {"energy": energy, "cycles": cycles, "edp": energy * cycles, "ed2p": energy * cycles**2}
    total = np.zeros(len(energy))
    for term in text.split("+"):
        weight, _, name = term.rpartition("*")
        total += float(weight or 1) * metrics[name]
    return total


__all__ = ["SpecError", "TooManyError", "all_costs", "all_mappings", "any_fits", "optimum"]
