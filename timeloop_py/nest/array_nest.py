"""Lowering onto multiplier arrays: a layer and a template with open bounds become a mapping (docs/dataflows.md).

Bounds are filled in from what is certain to what is left: numbers and sizes, spatial loops that share an axis of the
array, loops limited by a capacity, and what remains of every dimension.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product as cartesian
from typing import Any

import numpy as np

from timeloop_py.nest.traffic import Traffic, count_traffic, tile_words
from timeloop_py.nest.walk import Nest
from timeloop_py.numbers.touched import touched_positions
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.array_dataflow import ArrayTemplate, OpenLoop, OpenStore, Skip
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.layer_problem import layer_problem
from timeloop_py.specs.mapping import Loop, LoopKind, Node, Store
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.problem import Problem, Tensor

#: How much longer than the fewest cycles ``best`` spatial bounds may take where that makes words cheaper.
SLACK = 0.1


class DoesNotApplyError(SpecError):
    """A layer that an accelerator is not made for, and why."""


@dataclass(frozen=True)
class SkipPlace:
    """A skip of a mapping: it stands before node ``position``. ``packed``: zeros take their turn.

    ``vector``: non-zeros of a fiber that a cycle takes, which is what the array has lanes for and not what a dimension
    has positions for: vectors of non-zeros are packed across dimensions.
    """

    operand: str
    position: int
    vector: int
    packed: bool


@dataclass(frozen=True)
class ArrayNest:
    """A layer's mapping onto an array, with what it skips.

    ``traffic`` are the dense counts of its words; where dimensions had to be rounded up to be counted, ``word_share``
    is the part of a tensor's words that exists.
    """

    problem: Problem
    mapping: LoopMapping
    skips: tuple[SkipPlace, ...]
    traffic: Traffic
    word_share: Mapping[str, float]

    @property
    def used_lanes(self) -> int:
        """Multipliers that have work in the first pass."""
        nodes = self.mapping.nodes
        lanes = math.prod(
            min(
                size,
                math.prod(
                    node.bound for node in nodes if isinstance(node, Loop) and node.is_spatial and node.dim == dim
                ),
            )
            for dim, size in self.problem.dims.items()
        )
        for skip in self.skips:
            dims = self.problem.tensor(skip.operand).dims
            fiber = [node for node in nodes[skip.position :] if isinstance(node, Loop) and node.dim in dims]
            packed = math.prod(node.bound for node in fiber if node.is_spatial)
            lanes = lanes // packed * min(skip.vector, math.prod(node.bound for node in fiber))
        return lanes


@dataclass(frozen=True)
class _Limits:
    """What bounds the loops: sizes by name, capacities of components in bits, and bits of the tensors in them."""

    sizes: tuple[tuple[str, int], ...]
    capacity_bits: tuple[tuple[str, float], ...]
    tensor_bits: tuple[tuple[tuple[str, str], int], ...]


def array_nest(architecture: Architecture, layer: Layer) -> ArrayNest:
    """The mapping of a layer onto an array.

    :class:`DoesNotApplyError` for a kind of layer that the dataflow does not run, or a dimension that has to fit and
    does not.
    """
    flow = architecture.require_array()
    if layer.kind not in flow.template.layers:
        raise DoesNotApplyError(f"{flow.template.reason or 'the dataflow runs ' + ', '.join(flow.template.layers)}")
    stores = {(node.component, node.tensor) for node in flow.template.nodes if isinstance(node, OpenStore)}
    limits = _Limits(
        tuple(sorted(architecture.sizes.items())),
        tuple(
            sorted(
                (name, part.attributes["capacity_bytes"] * 8 / part.attributes.get("sets", 1))
                for name, part in architecture.components.items()
                if "capacity_bytes" in part.attributes
            )
        ),
        tuple(sorted((place, stored_bits(architecture, *place)) for place in stores)),
    )
    geometry = (layer.N, layer.groups, layer.K, layer.C, layer.W, layer.H, layer.R, layer.S)
    return _lowered(flow.template, limits, geometry, layer.stride, layer.dilation, layer.padding)


def stored_bits(architecture: Architecture, component: str, tensor: str) -> int:
    """Bits of a word of a tensor in a component, without index: partial sums are wider until they are outputs."""
    sizes, flow = architecture.sizes, architecture.require_array()
    word = sizes.get("word_bits", 16)
    if tensor == "Weights":
        return sizes.get("weight_bits", word)
    if tensor == "Outputs" and component not in ("dram", flow.activations_in):
        return sizes.get("accumulator_bits", 24)
    return word


@lru_cache(maxsize=8192)
def _lowered(
    template: ArrayTemplate,
    limits: _Limits,
    geometry: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
) -> ArrayNest:
    N, groups, K, C, W, H, R, S = geometry
    problem = layer_problem(
        Layer("layer", K=K, C=C, W=W, H=H, R=R, S=S, N=N, groups=groups, stride=stride, dilation=dilation,
              padding=padding)
    )  # fmt: skip
    return _Filling(template, limits, problem).nest()


class _Filling:
    """Bounds of one layer, filled in step by step; ``bounds`` by position among the template's nodes."""

    def __init__(self, template: ArrayTemplate, limits: _Limits, problem: Problem) -> None:
        self.template = template
        self.problem = problem
        self.sizes = dict(limits.sizes)
        self.capacity_bits = dict(limits.capacity_bits)
        self.tensor_bits = dict(limits.tensor_bits)
        self.bounds: dict[int, int] = {}

    def nest(self) -> ArrayNest:
        self._fixed()
        choices = self._array_axes()
        if len(choices) == 1:
            self.bounds.update(choices[0])
        self._certain()
        self._most()
        self._best(choices)
        nodes = self._nodes({})
        mapping = self._mapping({})
        skips: list[SkipPlace] = []
        for position, node in enumerate(nodes):
            if isinstance(node, Skip):
                skips.append(
                    SkipPlace(node.operand, position - len(skips), self._vector(node.operand, position), node.packed)
                )
        traffic, counted = self._traffic(mapping)
        return ArrayNest(self.problem, mapping, tuple(skips), traffic, _word_shares(self.problem, counted))

    def _loops(self) -> Iterator[tuple[int, OpenLoop]]:
        for position, node in enumerate(self.template.nodes):
            if isinstance(node, OpenLoop):
                yield position, node

    def _left(self, dim: str, besides: Mapping[int, Any] | None = None) -> Any:
        """Iterations of a dimension that the bounds so far leave, rounded up."""
        bounds = {**self.bounds, **(besides or {})}
        taken = math.prod(bounds.get(position, 1) for position, loop in self._loops() if loop.dim == dim)
        return -(-self.problem.dims[dim] // taken)

    def _vector(self, operand: str, skip: int) -> int:
        """Lanes of the array below a skip that its operand's dimensions are spread over."""
        dims = self.problem.tensor(operand).dims
        return math.prod(
            self.sizes[loop.bound.names[0]] if loop.bound.kind == "size" else self.bounds[position]
            for position, loop in self._loops()
            if position > skip and loop.dim in dims and loop.kind is not LoopKind.TEMPORAL
        )

    # -- numbers and sizes ----------------------------------------------------------------------------

    def _fixed(self) -> None:
        for position, loop in reversed(list(self._loops())):
            if loop.bound.kind in ("number", "size"):
                wanted = loop.bound.number if loop.bound.kind == "number" else self.sizes[loop.bound.names[0]]
                self.bounds[position] = max(1, min(wanted, self._left(loop.dim)))

    # -- axes of the array -----------------------------------------------------------------------------

    def _array_axes(self) -> list[dict[int, int]]:
        """Spatial loops that share an axis: ``all`` and ``most`` are filled in; ways to fill in the ``best`` ones."""
        room = dict(self.sizes)
        for position, loop in self._loops():
            axis = loop.bound.names[0] if loop.bound.names else ""
            if loop.kind is LoopKind.TEMPORAL or loop.bound.kind not in ("all", "most") or axis not in room:
                continue
            left = self._left(loop.dim)
            if loop.bound.kind == "all" and left > room[axis]:
                raise DoesNotApplyError(
                    f"{left} iterations of {loop.dim} have to lie along {axis}, which has {room[axis]}"
                )
            self.bounds[position] = distinct_bounds(left, room[axis])[0]
            room[axis] //= self.bounds[position]
        shared = [
            (position, loop)
            for position, loop in self._loops()
            if loop.kind is not LoopKind.TEMPORAL and loop.bound.kind == "best" and loop.bound.names[0] in room
        ]
        dims = {loop.dim for _, loop in shared}
        found: dict[tuple[int, ...], int] = {}
        for choice in self._shares(shared, room):
            besides = {position: bound for (position, _), bound in zip(shared, choice, strict=True)}
            found[choice] = math.prod(self._left(dim, besides) for dim in dims)
        fewest = min(found.values())
        return [
            {position: bound for (position, _), bound in zip(shared, choice, strict=True)}
            for choice, iterations in found.items()
            if iterations <= fewest * (1 + SLACK)
        ]

    def _shares(self, loops: Sequence[tuple[int, OpenLoop]], room: Mapping[str, int]) -> Iterator[tuple[int, ...]]:
        """Ways to share the axes among loops; only bounds that no smaller one of as many passes could replace."""
        if not loops:
            yield ()
            return
        (_, loop), *others = loops
        axis = loop.bound.names[0]
        for bound in distinct_bounds(self._left(loop.dim), room[axis]):
            for rest in self._shares(others, {**room, axis: room[axis] // bound}):
                yield (bound, *rest)

    def _certain(self) -> None:
        """Loops that take all that is left of their dimension, because no other one is open."""
        for position, loop in self._loops():
            others = [other for other, same in self._loops() if same.dim == loop.dim and other not in self.bounds]
            if loop.bound.kind == "rest" and others == [position]:
                self.bounds[position] = self._left(loop.dim)

    # -- capacities ------------------------------------------------------------------------------------

    def _most(self) -> None:
        """Loops of ``most`` iterations that fit components, from the innermost out."""
        for position, loop in reversed(list(self._loops())):
            if position not in self.bounds and loop.bound.kind == "most":
                left = self._left(loop.dim)
                self.bounds[position] = min(left, self._most_that_fit(position, loop, left))

    def _most_that_fit(self, position: int, loop: OpenLoop, left: int) -> int:
        """The most iterations of a loop that fit its components alone, loops without a bound counting once."""
        bounds = np.array(distinct_bounds(left, left), dtype=np.int64)
        fitting = bounds[np.broadcast_to(self._fits(loop.bound.names, {position: bounds}), bounds.shape)]
        if not fitting.size:
            raise DoesNotApplyError(f"not one iteration of {loop.dim} fits {', '.join(loop.bound.names)}")
        return int(fitting.max())

    def _best(self, choices: Sequence[dict[int, int]]) -> None:
        """Of all bounds that fit together those whose words cost least, counted in one batch.

        ``choices`` are ways to fill in the spatial loops; every one of them goes with all bounds of the temporal ones.
        """
        free = [
            (position, loop)
            for position, loop in reversed(list(self._loops()))
            if position not in self.bounds and loop.bound.kind == "best" and position not in choices[0]
        ]
        if not free and len(choices) == 1:
            return
        names = tuple(dict.fromkeys(name for _, loop in free for name in loop.bound.names))
        most = {position: self._most_that_fit(position, loop, self._left(loop.dim)) for position, loop in free}
        rows = []
        for choice in choices:
            axes = [distinct_bounds(self._left(loop.dim, choice), most[position]) for position, loop in free]
            rows += [(*choice.values(), *bounds) for bounds in cartesian(*axes)]
        places = [*choices[0], *most]
        grid = np.array(rows, dtype=np.int64).T
        open_bounds = dict(zip(places, grid, strict=True))
        keep = np.broadcast_to(self._fits(names, open_bounds), grid.shape[1:]).copy()
        for dim in {loop.dim for _, loop in free}:
            inner = [open_bounds[position] for position, loop in free if loop.dim == dim]
            spatial = [open_bounds[position] for position in choices[0] if self._dim(position) == dim]
            # Bounds beyond what the inner ones leave of the dimension would repeat others.
            keep &= math.prod([*spatial, *inner[:-1]]) * (inner[-1] - 1) < self._left(dim)
        if not np.any(keep):
            raise DoesNotApplyError(f"not one pass of the array fits {', '.join(names)}")
        grid = grid[:, keep]
        cost = np.asarray(self._cost(dict(zip(places, grid, strict=True))), dtype=float)
        chosen = np.lexsort((*(-grid[::-1]), np.broadcast_to(cost, grid.shape[1:])))[0]
        self.bounds.update({position: int(bound) for position, bound in zip(places, grid[:, chosen], strict=True)})

    def _dim(self, position: int) -> str:
        node = self.template.nodes[position]
        assert isinstance(node, OpenLoop)
        return node.dim

    def _cost(self, besides: Mapping[int, Any]) -> Any:
        """What the words of the components with a price cost; bounds may be arrays.

        All dimensions are rounded up: a short last pass costs like a full one here.
        """
        mapping = self._mapping(besides)
        traffic = count_traffic(_rounded(self.problem, mapping), mapping, self.template.options, perfect=True)
        prices = dict(self.template.costs)
        return sum(prices[row.level] * (row.reads + row.updates) for row in traffic.rows if row.level in prices)

    def _fits(self, names: Sequence[str], besides: Mapping[int, Any]) -> Any:
        """Whether the tiles below the storage nodes of components fit, loops without a bound counting once."""
        mapping = self._mapping(besides, rest=False)
        nest = Nest(_rounded(self.problem, mapping), mapping, perfect=True)
        fits: Any = True
        for name in names:
            bits = sum(
                tile_words(nest, self.problem.tensor(store.tensor), store.depth) * self.tensor_bits[name, store.tensor]
                for store in nest.stores
                if store.level == name
            )
            fits = fits & (bits <= self.capacity_bits[name])
        return fits

    # -- the mapping -----------------------------------------------------------------------------------

    def _mapping(self, besides: Mapping[int, Any], rest: bool = True) -> LoopMapping:
        """The nodes but skips; bounds may be arrays."""
        return LoopMapping(tuple(node for node in self._nodes(besides, rest) if not isinstance(node, Skip)))

    def _nodes(self, besides: Mapping[int, Any], rest: bool = True) -> list[Node | Skip]:
        bounds = {**self.bounds, **besides}
        if rest:
            for position, loop in self._loops():
                if position not in bounds:
                    bounds[position] = self._left(loop.dim, bounds)
        nodes: list[Node | Skip] = []
        for position, node in enumerate(self.template.nodes):
            if isinstance(node, OpenLoop):
                nodes.append(Loop(node.dim, bounds.get(position, 1), node.kind))
            elif isinstance(node, OpenStore):
                nodes.append(Store(node.component, node.tensor))
            else:
                nodes.append(node)
        return nodes

    def _traffic(self, mapping: LoopMapping) -> tuple[Traffic, Problem]:
        """Counts, and the problem that was counted.

        Inputs that two dimensions spread over the array (row and tap of row stationary) share words along diagonals,
        which are counted for even factors only: uneven spatial ones are rounded up.
        """
        crossed = [rank.dims for tensor in self.problem.tensors for rank in tensor.ranks if len(rank.dims) > 1]
        spatial = {node.dim for node in mapping.nodes if isinstance(node, Loop) and node.is_spatial and node.bound > 1}
        problem = _rounded(self.problem, mapping, [dim for dims in crossed if spatial.issuperset(dims) for dim in dims])
        return count_traffic(problem, mapping, self.template.options), problem


def _rounded(problem: Problem, mapping: LoopMapping, dims: Sequence[str] | None = None) -> Problem:
    """The problem with dimensions (None: all) as long as their loops multiply to."""
    nominal = {
        dim: math.prod(node.bound for node in mapping.nodes if isinstance(node, Loop) and node.dim == dim)
        for dim in (problem.dims if dims is None else dims)
    }
    return replace(problem, dims={**problem.dims, **nominal})


def _word_shares(problem: Problem, counted: Problem) -> dict[str, float]:
    """By tensor, its words over those of the problem that was counted."""

    def words(one: Problem, tensor: Tensor) -> float:
        return math.prod(
            float(touched_positions([one.dims[dim] for dim in rank.dims], [term.coefficient for term in rank.terms]))
            for rank in tensor.ranks
        )

    return {tensor.name: words(problem, tensor) / words(counted, tensor) for tensor in problem.tensors}


def distinct_bounds(size: int, most: int) -> list[int]:
    """Bounds up to ``most`` that are the smallest with their number of passes over ``size``, the largest first."""
    found = []
    passes = 1
    while True:
        bound = -(-size // passes)
        if bound <= most:
            found.append(bound)
        if bound == 1:
            break
        # the fewest passes with a smaller bound
        passes = -(-size // (bound - 1))
    return found
