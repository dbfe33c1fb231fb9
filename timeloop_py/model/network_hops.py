"""How far words travel on the arrays that a mapping spreads its loops over.

The rule, which is the one behind Timeloop's average numbers of hops: a word enters an array at the middle of its left
edge, runs along x to the furthest column of its destinations, and from there a wire of its own leads vertically to
every destination. Words coming up take the same wires. A mapping uses columns from the left and rows from the top.

With the first R of V rows used, a word multicast to m instances takes on average

    sum over loops along x of (bound - 1) * stride * (1/2 if the loop distinguishes the tensor's data, else 1)
    + m / R * sum over rows r < R of |r - (V - 1) / 2|

hops: a loop that distinguishes data sends each word to one of its columns, any other to all of them. Where loops of
two dimensions of one rank are spread, instances on a diagonal may hold the same data; destinations are then grouped
one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product as cartesian

import numpy as np

from timeloop_py.nest.arrays import array_uses
from timeloop_py.numbers.operations import Number, is_plain, is_symbolic, maximum, product
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.hierarchy import Hierarchy
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store
from timeloop_py.specs.problem import Problem, Tensor


@dataclass(frozen=True)
class Route:
    """What a word of ``tensor``, sent from (or coming up to) its tile in level ``parent``, does on one array.

    ``network`` is the level above the array. ``copies`` of the word arrive there, for arrays further out may have
    multicast it; each takes ``hops`` on average.
    """

    tensor: str
    is_output: bool
    parent: str
    network: str
    copies: Number
    hops: Number


@dataclass(frozen=True)
class _Spread:
    """A spatial loop, and how far an iteration of it moves the data along a rank (None: not a loop of the tensor)."""

    dim: str
    bound: Number
    along_x: bool
    rank: int | None
    step: Number


def network_routes(problem: Problem, hierarchy: Hierarchy, mapping: Mapping) -> tuple[Route, ...]:
    """The routes of all tensors over those arrays whose hops cost energy.

    Bounds may be numbers, arrays or symbols. With imperfect spatial factors the hops are those of a full pass. Raises
    SpecError where symbolic bounds spread two dimensions of one rank: that has no closed form.
    """
    uses = [use for use in array_uses(hierarchy, mapping) if hierarchy.levels[use.outer].energy_per_hop_pj > 0]
    if not uses:
        return ()
    return tuple(
        route
        for tensor in problem.tensors
        for route in _tensor_routes(tensor, hierarchy, mapping)
        if any(hierarchy.names[use.outer] == route.network for use in uses)
    )


def _tensor_routes(tensor: Tensor, hierarchy: Hierarchy, mapping: Mapping) -> list[Route]:
    homes = [
        hierarchy.index(node.level) for node in mapping.nodes if isinstance(node, Store) and node.tensor == tensor.name
    ]
    routes: list[Route] = []
    copies: Number = 1
    parent = -1
    for use in array_uses(hierarchy, mapping):
        if use.outer < homes[0]:
            continue
        source = max(level for level in homes if level <= use.outer)
        if source != parent:
            parent, copies = source, 1
        loops = [_spread(tensor, mapping, index) for index in use.loops]
        multicast, hops = _multicast_and_hops(tensor, loops, use.available.y)
        lanes = product(loop.bound for loop in loops)
        if not is_plain(lanes) and not is_symbolic(lanes):
            hops = hops * (lanes > 1)  # a batch: where all loops have one iteration, the array is not used
        names = hierarchy.names[parent], hierarchy.names[use.outer]
        routes.append(Route(tensor.name, tensor.is_output, *names, copies, hops))
        copies = copies * multicast
    return routes


def _spread(tensor: Tensor, mapping: Mapping, index: int) -> _Spread:
    loop = mapping.nodes[index]
    assert isinstance(loop, Loop)
    inner = product(
        node.bound for node in mapping.nodes[index + 1 :] if isinstance(node, Loop) and node.dim == loop.dim
    )
    for number, rank in enumerate(tensor.ranks):
        for term in rank.terms:
            if term.dim == loop.dim:
                return _Spread(loop.dim, loop.bound, loop.kind is LoopKind.SPATIAL_X, number, inner * term.coefficient)
    return _Spread(loop.dim, loop.bound, loop.kind is LoopKind.SPATIAL_X, None, 0)


def _multicast_and_hops(tensor: Tensor, loops: Sequence[_Spread], rows: int) -> tuple[Number, Number]:
    """Destinations of a word, and its hops; both on average over the words of the array."""
    dims: dict[int, set[str]] = defaultdict(set)
    for loop in loops:
        if loop.rank is not None:
            dims[loop.rank].add(loop.dim)
    if all(len(spread) == 1 for spread in dims.values()):
        return _separate(loops, rows)
    numbers = [number for loop in loops for number in (loop.bound, loop.step)]
    if is_symbolic(*numbers):
        raise SpecError(f"hops of {tensor.name!r} have no closed form: two dimensions of one rank are spread")
    if is_plain(*numbers):
        return _grouped(loops, rows)
    # A batch: few different arrays stand behind many tilings.
    table = np.stack(np.broadcast_arrays(*numbers), axis=-1)
    distinct, inverse = np.unique(table.reshape(-1, len(numbers)), axis=0, return_inverse=True)
    answers = np.array([_grouped(_with_numbers(loops, entry), rows) for entry in distinct])
    answers = answers[inverse.reshape(-1)].reshape(*table.shape[:-1], 2)
    return answers[..., 0], answers[..., 1]


def _with_numbers(loops: Sequence[_Spread], row: Sequence[int]) -> list[_Spread]:
    bounds, steps = row[::2], row[1::2]
    return [
        _Spread(loop.dim, int(bound), loop.along_x, loop.rank, int(step))
        for loop, bound, step in zip(loops, bounds, steps, strict=True)
    ]


def _separate(loops: Sequence[_Spread], rows: int) -> tuple[Number, Number]:
    """The closed form: every loop either distinguishes data or repeats them."""
    multicast = product(loop.bound for loop in loops if loop.rank is None)
    used = product(loop.bound for loop in loops if not loop.along_x)
    hops: Number = multicast * _to_the_middle(used, rows) / used
    stride: Number = 1
    for loop in reversed(loops):
        if loop.along_x:
            reach = (loop.bound - 1) * stride
            hops = hops + (reach if loop.rank is None else reach / 2)
            stride = stride * loop.bound
    return multicast, hops


def _to_the_middle(used: Number, rows: int) -> Number:
    """Distances of the first ``used`` of some rows from their middle, added up: ``sum of |r - (rows - 1) / 2|``."""
    middle, first_below = (rows - 1) / 2, (rows + 1) // 2
    below = maximum(0, used - first_below)
    return used * middle - used * (used - 1) / 2 + below * (2 * (first_below - middle) + below - 1)


def _grouped(loops: Sequence[_Spread], rows: int) -> tuple[float, float]:
    """Destinations that hold the same data found one by one (plain numbers)."""
    middle = (rows - 1) / 2
    furthest: dict[tuple[tuple[int, int], ...], int] = defaultdict(int)
    vertical = 0.0
    total = 0
    for indices in cartesian(*(range(loop.bound) for loop in loops)):
        x = y = 0
        place: dict[int, int] = defaultdict(int)
        for loop, index in zip(loops, indices, strict=True):
            x, y = (x * loop.bound + index, y) if loop.along_x else (x, y * loop.bound + index)
            if loop.rank is not None:
                place[loop.rank] += index * loop.step
        key = tuple(sorted(place.items()))
        furthest[key] = max(furthest[key], x)
        vertical += abs(y - middle)
        total += 1
    return total / len(furthest), (sum(furthest.values()) + vertical) / len(furthest)
