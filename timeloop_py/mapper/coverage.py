"""How many mappings a mapspace has by its definition, exactly and without visiting them; capacities are disregarded.

A mapping is a choice of what levels keep, of spatial factors, of an order of the storage nodes, of factors per segment
and of an order of the loops in every segment. Given the spatial factors, the factors of one dimension do not know those
of another; only the number of loops that meet in a segment does: ``n`` loops have ``n!`` orders. So what is summed over
is, dimension by dimension, how many loops stand in every segment so far. Segments of one level are alike where no order
is prescribed: their numbers of loops are kept sorted. A prescribed order of ``m`` of ``n`` loops leaves ``n! / m!``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from itertools import product as cartesian

from timeloop_py.mapper.constraints import Limits, SpatialLimits
from timeloop_py.mapper.mapspace import Mapspace, Retention

#: Loops along one dimension: segments with a loop, per level.
Loops = tuple[int, ...]
#: Columns and rows that a dimension takes of every array, outermost first.
Lanes = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Block:
    """Segments of one level (or all, where levels make no difference), with the loops of some dimensions.

    ``loops``: per segment, the loops in it and how many of them have a prescribed order. ``spans``: of every dimension
    with a prescribed place, that place, and its outermost and innermost segment.
    """

    loops: tuple[tuple[int, int], ...]
    spans: tuple[tuple[int, int, int], ...] = ()

    @property
    def orders(self) -> int:
        return math.prod(math.factorial(count) // math.factorial(fixed) for count, fixed in self.loops)


def mappings_in(space: Mapspace) -> int:
    """The number of mappings of a mapspace, whether or not they fit."""
    if not space.imperfect:
        return _count(space, (False, True))
    return _count(space, (False,)) + _count(replace(space, imperfect=False), (True,))


def _count(space: Mapspace, twice: tuple[bool, ...]) -> int:
    """The mappings of a space that spread two dimensions of one rank (True), those that do not, or both."""
    by_level = space.imperfect or space.constraints.bind_loops
    # What only depends on which levels hold anything, is counted once.
    spreads: dict[tuple[int, ...], dict[tuple[bool, ...], Counter[tuple[Lanes, ...]]]] = {}
    nests: dict[tuple[tuple[int, ...], tuple[bool, ...], Loops], int] = {}
    total = 0
    for retention in space.retentions():
        stages = retention.stages
        if stages not in spreads:
            spreads[stages] = _spreads(retention, twice)
        for used, lanes_of in spreads[stages].items():
            segments: Counter[Loops] = Counter()
            for pattern, orders in _node_orders(retention, used).items():
                segments[pattern if by_level else (sum(pattern),)] += orders
            for pattern, orders in segments.items():
                if (stages, used, pattern) not in nests:
                    nests[stages, used, pattern] = _nests(retention, pattern, lanes_of, by_level)
                total += orders * nests[stages, used, pattern]
    return total


# -- loops over time ----------------------------------------------------------------------------------


def _nests(retention: Retention, segments: Loops, lanes_of: Counter[tuple[Lanes, ...]], by_level: bool) -> int:
    """Choices of loops in given numbers of segments per level, summed over spatial factors."""
    space = retention.space
    levels = [space.hierarchy.names[index] for index in retention.stages] if by_level else [None]
    orders = [space.constraints.order.get(level, ()) if level else () for level in levels]
    # Dimensions with a prescribed place first: thereafter segments of a level are alike again.
    dims = sorted(space.problem.dims, key=lambda dim: not any(dim in order for order in orders))
    empty = tuple(_Block(((0, 0),) * count) for count in segments)
    reached: Counter[tuple[tuple[_Block, ...], tuple[object, ...]]] = Counter()
    for lanes, count in lanes_of.items():
        keys = {dim: _key(space, dim, one) for dim, one in zip(space.problem.dims, lanes, strict=True)}
        reached[empty, tuple(keys[dim] for dim in dims)] += count
    for number, dim in enumerate(dims):
        limits = [space.constraints.factors.get(level, {}).get(dim) if level else None for level in levels]
        places = [order.index(dim) if dim in order else None for order in orders]
        choices: dict[object, Counter[Loops]] = {}
        after: Counter[tuple[tuple[_Block, ...], tuple[object, ...]]] = Counter()
        for (blocks, (key, *rest)), count in reached.items():
            if key not in choices:
                choices[key] = _factorizations(key, segments, limits, space.imperfect)  # type: ignore[arg-type]
            for loops, ways in choices[key].items():
                options = [
                    _with_loops(block, count, place, bool(set(order).intersection(dims[number + 1 :]))).items()
                    for block, count, place, order in zip(blocks, loops, places, orders, strict=True)
                ]
                for chosen in cartesian(*options):
                    times = math.prod(times for _, times in chosen)
                    after[tuple(block for block, _ in chosen), tuple(rest)] += count * ways * times
        reached = after
    return sum(count * math.prod(block.orders for block in blocks) for (blocks, _), count in reached.items())


@cache
def _with_loops(block: _Block, count: int, place: int | None, ordered: bool) -> Counter[_Block]:
    """A block after ``count`` of its segments got a loop of one more dimension, which may have a prescribed ``place``.

    ``ordered``: more dimensions with a prescribed place are to come.
    """
    found: Counter[_Block] = Counter()
    for chosen in combinations(range(len(block.loops)), count):
        spans = block.spans
        if place is not None and chosen:
            first, last = chosen[0], chosen[-1]
            if any(end > first if other < place else begin < last for other, begin, end in spans):
                continue
            spans = tuple(sorted((*spans, (place, first, last))))
        loops = [
            (loops + 1, fixed + (place is not None)) if segment in chosen else (loops, fixed)
            for segment, (loops, fixed) in enumerate(block.loops)
        ]
        found[_Block(tuple(loops), spans) if ordered else _Block(tuple(sorted(loops)))] += 1
    return found


def _key(space: Mapspace, dim: str, lanes: Lanes) -> tuple[int, int, int]:
    """What the spatial factors of a dimension leave to its loops over time.

    The iterations that are left, and for imperfect factors: the outermost array along the dimension (-1: none), and the
    most that the bounds of its loops may multiply to where none stands outside that array, so that no instance of it is
    without work.
    """
    size = space.problem.dims[dim]
    left = -(-size // math.prod(x * y for x, y in lanes))
    outermost = next((array for array, factors in enumerate(lanes) if factors != (1, 1)), -1)
    if not space.imperfect or outermost < 0:
        return left, -1, 0
    x, y = lanes[outermost]
    factor, inside = (x, y) if x > 1 else (y, 1)
    inside *= math.prod(columns * rows for columns, rows in lanes[outermost + 1 :])
    return left, outermost, (size - 1) // (inside * (factor - 1))


def _factorizations(
    key: tuple[int, int, int], segments: Loops, limits: Sequence[Limits | None], imperfect: bool
) -> Counter[Loops]:
    """Choices of bounds above 1 for a dimension, by how many segments of every level have a loop."""
    left, outermost, most = key
    # Iterations left and product of all bounds (where it is asked for), by loops of the levels further in.
    reached: Counter[tuple[int, int, Loops]] = Counter({(left, 1, ()): 1})
    for stage in reversed(range(len(segments))):
        after: Counter[tuple[int, int, Loops]] = Counter()
        within = limits[stage]
        for (rest, bounds, loops), count in reached.items():
            for (outside, product, number), ways in _bounds(rest, segments[stage], imperfect).items():
                if within is None or within.allows(product):
                    whole = bounds * product if most else 1
                    after[outside, whole, (number, *loops)] += count * ways
        reached = after
    found: Counter[Loops] = Counter()
    for (rest, bounds, loops), count in reached.items():
        if rest == 1 and not (most and not any(loops[: outermost + 1]) and bounds > most):
            found[loops] += count
    return found


@cache
def _bounds(left: int, segments: int, imperfect: bool) -> Counter[tuple[int, int, int]]:
    """Choices of bounds above 1 for up to ``segments`` segments: iterations left outside, product of bounds, number."""
    found: Counter[tuple[int, int, int]] = Counter()
    reached: Counter[tuple[int, int]] = Counter({(left, 1): 1})
    for number in range(segments + 1):
        after: Counter[tuple[int, int]] = Counter()
        for (rest, product), count in reached.items():
            found[rest, product, number] += count
            for bound in range(2, rest + 1):
                if imperfect or rest % bound == 0:
                    after[-(-rest // bound), product * bound] += count
        reached = after
    return found


# -- storage nodes and arrays -------------------------------------------------------------------------


def _node_orders(retention: Retention, used: tuple[bool, ...]) -> Counter[Loops]:
    """Orders of the storage nodes, by how many segments every level then has; ``used``: per array."""
    stages = len(retention.stages)
    if retention.space.space == "level":
        return Counter({(1,) * stages: 1})
    nodes = [node for node in retention.nodes if node.stage > 0]
    before = [
        [
            other
            for other, outer in enumerate(nodes)
            if outer.stage < node.stage and (outer.tensor is node.tensor or any(used[outer.stage : node.stage]))
        ]
        for node in nodes
    ]
    start: Loops = (1, *([0] * (stages - 1)))
    reached: Counter[tuple[frozenset[int], int, Loops]] = Counter({(frozenset(), 0, start): 1})
    for _ in nodes:
        after: Counter[tuple[frozenset[int], int, Loops]] = Counter()
        for (placed, stage, segments), count in reached.items():
            for index, node in enumerate(nodes):
                if index not in placed and placed.issuperset(before[index]):
                    here = max(stage, node.stage)
                    more = tuple(number + (level == here) for level, number in enumerate(segments))
                    after[placed | {index}, here, more] += count
        reached = after
    found: Counter[Loops] = Counter()
    for (_, _, segments), count in reached.items():
        found[segments] += count
    return found


def _spreads(retention: Retention, twice: tuple[bool, ...]) -> dict[tuple[bool, ...], Counter[tuple[Lanes, ...]]]:
    """Choices of spatial factors: the lanes of every dimension, by which arrays are used.

    With perfect factors lanes are drawn together in one: only their product counts.
    """
    space = retention.space
    sizes = tuple(space.problem.dims.values())
    reached: Counter[tuple[tuple[bool, ...], tuple[int, ...], tuple[Lanes, ...]]] = Counter()
    reached[(), sizes, ((),) * len(sizes)] = 1
    for array in reversed(range(len(retention.arrays))):
        choices = _array_spreads(retention, array)
        after: Counter[tuple[tuple[bool, ...], tuple[int, ...], tuple[Lanes, ...]]] = Counter()
        for (used, left, lanes), count in reached.items():
            for factors, ways in choices.items():
                if not all(_fits(size, *pair, space.imperfect) for size, pair in zip(left, factors, strict=True)):
                    continue
                rest = tuple(-(-size // (x * y)) for size, (x, y) in zip(left, factors, strict=True))
                more = tuple((pair, *one) for pair, one in zip(factors, lanes, strict=True))
                if not space.imperfect:
                    more = tuple(((math.prod(x * y for x, y in one), 1),) for one in more)
                after[(any(pair != (1, 1) for pair in factors), *used), rest, more] += count * ways
        reached = after
    found: dict[tuple[bool, ...], Counter[tuple[Lanes, ...]]] = {}
    for (used, _, lanes), count in reached.items():
        units = math.prod(x * y for one in lanes for x, y in one)
        enough = units + 1e-9 >= space.constraints.utilization * space.hierarchy.compute.instances
        if enough and _spread_twice(space, lanes) in twice:
            found.setdefault(used, Counter())[lanes] += count
    return found


def _fits(size: int, x: int, y: int, imperfect: bool) -> bool:
    """Whether an array's factors leave no column and no row without work. Rows run inside columns."""
    return y <= size and x <= -(-size // y) and (imperfect or size % (x * y) == 0)


def _spread_twice(space: Mapspace, lanes: Sequence[Lanes]) -> bool:
    """Whether two dimensions of one rank are spread: a mapspace has that with perfect factors alone."""
    spread = {dim for dim, one in zip(space.problem.dims, lanes, strict=True) if any(pair != (1, 1) for pair in one)}
    return any(len(spread.intersection(rank.dims)) > 1 for tensor in space.problem.tensors for rank in tensor.ranks)


def _array_spreads(retention: Retention, array: int) -> Counter[tuple[tuple[int, int], ...]]:
    """Factors of all dimensions along both axes of an array (perfect factors: as columns, with their number)."""
    space = retention.space
    level = space.hierarchy.names[retention.stages[array]]
    limits = space.constraints.spatial.get(level, SpatialLimits())
    fan_out = retention.arrays[array].fan_out
    dims = list(space.problem.dims.items())
    along_y = list(_axis_factors(dims, fan_out.y, limits.y, space.imperfect))
    found: Counter[tuple[tuple[int, int], ...]] = Counter()
    for columns in _axis_factors(dims, fan_out.x, limits.x, space.imperfect):
        for rows in along_y:
            if space.imperfect:
                found[tuple(zip(columns, rows, strict=True))] += 1
            else:
                found[tuple((x * y, 1) for x, y in zip(columns, rows, strict=True))] += 1
    return found


def _axis_factors(
    dims: Sequence[tuple[str, int]], width: int, limits: object, imperfect: bool
) -> Iterator[tuple[int, ...]]:
    if not dims:
        yield ()
        return
    (dim, size), *rest = dims
    allowed = Limits() if limits is None else limits.get(dim, Limits(1, 1))  # type: ignore[attr-defined]
    for factor in range(1, min(size, width) + 1):
        if (imperfect or size % factor == 0) and allowed.allows(factor):
            for others in _axis_factors(rest, width // factor, limits, imperfect):
                yield (factor, *others)
