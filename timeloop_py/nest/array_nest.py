"""Lowering onto multiplier arrays: a layer and a template with open bounds become a mapping (docs/dataflows.md).

Bounds are filled in from what is certain to what is left: numbers and sizes, spatial loops that share an axis of the
array, loops limited by a capacity, and what remains of every dimension.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

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


class DoesNotApplyError(SpecError):
    """A layer that an accelerator is not made for, and why."""


@dataclass(frozen=True)
class ArrayNest:
    """A layer's mapping onto an array. ``skips``: operand and the position in the mapping that its skip stands before.

    ``traffic`` are the dense counts of its words; where dimensions had to be rounded up to be counted, ``word_share``
    is the part of a tensor's words that exists.
    """

    problem: Problem
    mapping: LoopMapping
    skips: tuple[tuple[str, int], ...]
    traffic: Traffic
    word_share: Mapping[str, float]

    @property
    def used_lanes(self) -> int:
        """Multipliers that have work in the first pass."""
        return math.prod(node.bound for node in self.mapping.nodes if isinstance(node, Loop) and node.is_spatial)


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
        self._array_axes()
        self._certain()
        self._capacities()
        nodes = self._nodes({})
        mapping = LoopMapping(tuple(node for node in nodes if not isinstance(node, Skip)))
        skips: list[tuple[str, int]] = []
        for position, node in enumerate(nodes):
            if isinstance(node, Skip):
                skips.append((node.operand, position - len(skips)))
        traffic, counted = self._traffic(mapping)
        return ArrayNest(self.problem, mapping, tuple(skips), traffic, _word_shares(self.problem, counted))

    def _loops(self) -> Iterator[tuple[int, OpenLoop]]:
        for position, node in enumerate(self.template.nodes):
            if isinstance(node, OpenLoop):
                yield position, node

    def _left(self, dim: str, besides: Mapping[int, int] | None = None) -> int:
        """Iterations of a dimension that the bounds so far leave, rounded up."""
        bounds = {**self.bounds, **(besides or {})}
        taken = math.prod(bounds.get(position, 1) for position, loop in self._loops() if loop.dim == dim)
        return -(-self.problem.dims[dim] // taken)

    # -- numbers and sizes ----------------------------------------------------------------------------

    def _fixed(self) -> None:
        for position, loop in reversed(list(self._loops())):
            if loop.bound.kind in ("number", "size"):
                wanted = loop.bound.number if loop.bound.kind == "number" else self.sizes[loop.bound.names[0]]
                self.bounds[position] = max(1, min(wanted, self._left(loop.dim)))

    # -- axes of the array -----------------------------------------------------------------------------

    def _array_axes(self) -> None:
        """Spatial loops that share an axis: whole dimensions first, then what leaves the fewest iterations."""
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
        best: tuple[int, tuple[int, ...]] | None = None
        for choice in self._shares(shared, room):
            besides = {position: bound for (position, _), bound in zip(shared, choice, strict=True)}
            dims = {loop.dim for _, loop in shared}
            iterations = math.prod(self._left(dim, besides) for dim in dims)
            # Of equal ones those that give the loops named first the most.
            if best is None or (iterations, [-bound for bound in choice]) < (best[0], [-bound for bound in best[1]]):
                best = (iterations, choice)
        if best is not None:
            self.bounds.update({position: bound for (position, _), bound in zip(shared, best[1], strict=True)})

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

    def _capacities(self) -> None:
        """Loops limited by components: ``most`` from the innermost out, then ``best`` by words over DRAM."""
        for position, loop in reversed(list(self._loops())):
            if position not in self.bounds and loop.bound.kind == "most":
                fitting = [
                    bound
                    for bound in distinct_bounds(self._left(loop.dim), self.problem.dims[loop.dim])
                    if self._fits(loop.bound.names, {position: bound})
                ]
                if not fitting:
                    raise DoesNotApplyError(f"not one iteration of {loop.dim} fits {', '.join(loop.bound.names)}")
                self.bounds[position] = max(fitting)
        groups: dict[tuple[str, ...], list[tuple[int, OpenLoop]]] = {}
        for position, loop in reversed(list(self._loops())):
            if position not in self.bounds and loop.bound.kind == "best":
                groups.setdefault(loop.bound.names, []).append((position, loop))
        for free in groups.values():
            self._least_traffic(free)

    def _least_traffic(self, free: Sequence[tuple[int, OpenLoop]]) -> None:
        names = free[0][1].bound.names
        largest = self._largest(free, names, {})
        if not largest:
            raise DoesNotApplyError(f"not one pass of the array fits {', '.join(names)}")
        costs = []
        for choice in largest:
            besides = {position: bound for (position, _), bound in zip(free, choice, strict=True)}
            mapping = LoopMapping(tuple(node for node in self._nodes(besides) if not isinstance(node, Skip)))
            # All dimensions rounded up: a short last pass costs like a full one here, and counting is quick.
            traffic = count_traffic(_rounded(self.problem, mapping), mapping, self.template.options)
            off_chip = sum(row.reads + row.updates for row in traffic.rows if row.level == "dram")
            on_chip = sum(row.reads + row.updates for row in traffic.rows if row.level in names)
            costs.append((off_chip, on_chip, [-bound for bound in choice], choice))
        chosen = min(costs)[-1]
        self.bounds.update({position: bound for (position, _), bound in zip(free, chosen, strict=True)})

    def _largest(
        self, free: Sequence[tuple[int, OpenLoop]], names: Sequence[str], besides: Mapping[int, int]
    ) -> list[tuple[int, ...]]:
        """Bounds of loops that fit together, and none of them could be larger."""
        (position, loop), *others = free
        left = self._left(loop.dim, besides)
        found: list[tuple[int, ...]] = []
        for bound in reversed(distinct_bounds(left, left)):
            if not self._fits(names, {**besides, position: bound}):
                break
            found += [
                (bound, *rest)
                for rest in (self._largest(others, names, {**besides, position: bound}) if others else [()])
            ]
        return [
            one
            for one in found
            if not any(other != one and all(a >= b for a, b in zip(other, one, strict=True)) for other in found)
        ]

    def _fits(self, names: Sequence[str], besides: Mapping[int, int]) -> bool:
        """Whether the tiles below the storage nodes of components fit, loops without a bound counting once."""
        mapping = LoopMapping(tuple(node for node in self._nodes(besides, rest=False) if not isinstance(node, Skip)))
        nest = Nest(self.problem, mapping)
        for name in names:
            bits = sum(
                tile_words(nest, self.problem.tensor(store.tensor), store.depth) * self.tensor_bits[name, store.tensor]
                for store in nest.stores
                if store.level == name
            )
            if bits > self.capacity_bits[name]:
                return False
        return True

    # -- the mapping -----------------------------------------------------------------------------------

    def _nodes(self, besides: Mapping[int, int], rest: bool = True) -> list[Node | Skip]:
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
