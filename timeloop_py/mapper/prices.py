"""What a word costs: energy and bandwidth as linear functions of the words that cross interfaces.

The prices are found by asking the cost model: rows of traffic with one word at one interface and none elsewhere. So
every counting option and every energy is where it belongs, and the search has no formula of its own for either. Lines
of several words are priced by the word: what rounding a share of a line up adds comes on top, and is left to the final
evaluation (``Prices.rounding_pj`` bounds it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product as cartesian

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.mapspace import Node, Retention
from timeloop_py.mapper.spread import Spread
from timeloop_py.mapper.words import Place, WordCounter, Words
from timeloop_py.model.hierarchy_cost import dense_accesses, hierarchy_cost
from timeloop_py.model.network_hops import network_routes
from timeloop_py.nest.interface import Copies, Interface
from timeloop_py.nest.traffic import Held, TensorTraffic, Traffic, compute_cycles_of, input_row, output_row
from timeloop_py.nest.walk import Nest
from timeloop_py.numbers.operations import Number, product
from timeloop_py.specs.hierarchy import Hierarchy
from timeloop_py.specs.mapping import Loop, LoopKind, Store
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.mapping import Node as NestNode

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Port:
    """A bandwidth: cycles are words over ``words_per_cycle`` (per choice of spatial factors: all instances)."""

    level: str
    kind: str
    words_per_cycle: Numbers


@dataclass(frozen=True)
class Prices:
    """Per choice of spatial factors (first axis) and interface (second): energy and port words of one word.

    ``every`` prices words at all instances, ``distinct`` those that parents send. ``fixed_pj`` and ``fixed_load`` are
    there whatever crosses; ``least`` are the words that must cross every interface: each instance's different ones.
    """

    every_pj: Numbers
    distinct_pj: Numbers
    fixed_pj: Numbers
    every_load: Numbers
    distinct_load: Numbers
    fixed_load: Numbers
    ports: tuple[Port, ...]
    compute_cycles: Numbers
    latency_cycles: float
    rounding_pj: Numbers
    least: tuple[Words, ...]


def find_prices(retention: Retention, spread: Spread, counter: WordCounter) -> Prices:
    """The prices of a retention's interfaces: one per node that is no home, in the order of ``retention.nodes``."""
    space = retention.space
    nodes = retention.nodes
    mapping = _representative(retention, spread)
    nest = Nest(space.problem, mapping, perfect=not space.imperfect)
    visits = [_visited(retention, spread, nest, node) for node in nodes]
    hierarchy = _by_word(space.hierarchy)
    routes = network_routes(space.problem, space.hierarchy, mapping)

    def cost(crossing: int | None, copies: Copies | None) -> tuple[Number, Number]:
        traffic = _traffic(nest, retention, visits, crossing, copies)
        energy = hierarchy_cost(traffic, hierarchy, space.options, routes).energy_pj
        loads = [_load(traffic, hierarchy, port.level, port.kind) for port in ports]
        shape = (len(spread),)
        energies = np.broadcast_to(np.asarray(energy, dtype=np.float64), shape)
        port_loads = [np.broadcast_to(np.asarray(load, dtype=np.float64), shape) for load in loads]
        return energies, np.stack(port_loads, axis=-1) if port_loads else np.zeros((*shape, 0))

    ports = _ports(nest, retention, len(spread))
    fixed_pj, fixed_load = cost(None, None)
    crossings = [index for index, node in enumerate(nodes) if node.parent is not None]
    every = [cost(index, Copies.ALL) for index in crossings]
    distinct = [cost(index, Copies.DISTINCT) for index in crossings]
    cycles = compute_cycles_of(nest, space.options)
    return Prices(
        every_pj=_stacked([energy - fixed_pj for energy, _ in every], len(spread)),
        distinct_pj=_stacked([energy - fixed_pj for energy, _ in distinct], len(spread)),
        fixed_pj=fixed_pj,
        every_load=_stacked([load - fixed_load for _, load in every], len(spread), fixed_load.shape[1:]),
        distinct_load=_stacked([load - fixed_load for _, load in distinct], len(spread), fixed_load.shape[1:]),
        fixed_load=fixed_load,
        ports=ports,
        compute_cycles=np.broadcast_to(np.asarray(cycles, dtype=np.float64), (len(spread),)),
        latency_cycles=sum(
            level.network_fill_latency + level.network_drain_latency for level in space.hierarchy.levels
        ),
        rounding_pj=_rounding_pj(nest, retention, len(spread)),
        least=tuple(
            _least_imperfect(retention, spread, counter, nodes[index])
            if space.imperfect
            else _words(_visited_in(nest, nodes[index]), len(spread))
            for index in crossings
        ),
    )


@dataclass(frozen=True)
class _Given:
    """Words as an interface counts them, given."""

    arrived: dict[Copies, Number]
    visits: dict[Copies, Number]

    def arriving(self, copies: Copies) -> Number:
        return self.arrived[copies]

    def visited(self, copies: Copies) -> Number:
        return self.visits[copies]


def _representative(retention: Retention, spread: Spread) -> LoopMapping:
    """A batch of mappings with the spatial factors of ``spread``: what spatial loops alone decide, it decides too."""
    nodes: list[NestNode] = []
    arrays = len(retention.arrays)
    outside = spread.full
    for array in range(arrays):
        nodes.extend(Store(node.level, node.tensor.name) for node in retention.nodes if node.stage == array)
        pins = spread.pins[:, array]
        later = [spread.pins[:, index] for index in range(array, arrays)]
        # Unpinned dimensions run outside all arrays.
        inside = np.where(pins > 0, pins, np.maximum.reduce(later) if array + 1 < arrays else 1)
        inside = np.maximum(inside, 1)
        nodes.extend(_loops(retention, -(-outside // inside), LoopKind.TEMPORAL))
        outside = inside
        nodes.extend(_loops(retention, spread.along_x[:, array], LoopKind.SPATIAL_X))
        nodes.extend(_loops(retention, spread.along_y[:, array], LoopKind.SPATIAL_Y))
    return LoopMapping(tuple(nodes))


def _loops(retention: Retention, bounds: NDArray[np.int64], kind: LoopKind) -> list[NestNode]:
    return [
        Loop(dim, bounds[:, axis], kind)  # type: ignore[arg-type]  # a batch: bounds are arrays
        for axis, dim in enumerate(retention.space.dims)
        if (bounds[:, axis] != 1).any()
    ]


def _visited(retention: Retention, spread: Spread, nest: Nest, node: Node) -> dict[Copies, Number]:
    """Different words that the tiles of a node ever hold; only sums need to know."""
    if not node.tensor.is_output:
        return dict.fromkeys(Copies, 0)
    windowed = any(sum(one in retention.space.dims for one in rank.dims) > 1 for rank in node.tensor.ranks)
    if not (retention.space.imperfect and windowed):
        return _visited_in(nest, node)
    # Clipped windows are counted one by one, in plain numbers.
    single = [_visited_in(_single_nest(retention, spread, row), node) for row in range(len(spread))]
    return {copies: np.array([words[copies] for words in single]) for copies in Copies}


def _words(counted: dict[Copies, Number], rows: int) -> Words:
    every, distinct = (np.broadcast_to(np.asarray(counted[copies], dtype=np.float64), rows) for copies in Copies)
    return Words(every, distinct)


def _least_imperfect(retention: Retention, spread: Spread, counter: WordCounter, node: Node) -> Words:
    """Words that the instances of a node ever hold, at least.

    Those of a tile that holds all iterations. Where dimensions of one rank are spread, loops further outside move the
    tile by steps that may meet more often than those of one tile: then no more than along one of them at a time.
    """
    dims, wide = retention.space.dims, np.asarray((spread.factors > 1).any(axis=(0, 1)))
    options: list[list[list[int]]] = []
    for rank in node.tensor.ranks:
        axes = [axis for axis, dim in enumerate(dims) if dim in rank.dims]
        if len(axes) > 1 and wide[axes].any():
            options.append([[axis for axis in axes if axis != whole] for whole in axes])
    every, distinct = np.zeros(len(spread)), np.zeros(len(spread))
    for chosen in cartesian(*options):
        tile = spread.full.copy()
        tile[:, [axis for axes in chosen for axis in axes]] = 1
        words = counter.first(node, tile, Place(tile, np.arange(len(spread)), node.stage))
        every, distinct = np.maximum(every, words.every), np.maximum(distinct, words.distinct)
    return Words(every, distinct)


def _single_nest(retention: Retention, spread: Spread, row: int) -> Nest:
    batch = _representative(retention, spread.rows(np.array([row], dtype=np.intp)))
    nodes = tuple(node if isinstance(node, Store) else replace(node, bound=int(node.bound[0])) for node in batch.nodes)  # type: ignore[index]
    return Nest(retention.space.problem, LoopMapping(nodes))


def _visited_in(nest: Nest, node: Node) -> dict[Copies, Number]:
    chain = nest.chain(node.tensor.name)
    index = next(index for index, store in enumerate(chain) if store.level == node.level)
    interface = Interface(nest, node.tensor, chain[index].depth, chain[max(0, index - 1)].depth)
    return {copies: interface.visited(copies) for copies in Copies}


def _traffic(
    nest: Nest, retention: Retention, visits: list[dict[Copies, Number]], crossing: int | None, copies: Copies | None
) -> Traffic:
    """Traffic with one word at the interface of node ``crossing``, counted as ``copies``, and none at any other."""
    nodes = retention.nodes
    rows: list[TensorTraffic] = []
    for tensor in retention.space.problem.tensors:
        chain = [index for index, node in enumerate(nodes) if node.tensor is tensor]
        words = {
            index: _Given({one: int(index == crossing and one is copies) for one in Copies}, visits[index])
            for index in chain
        }
        for index, below in zip(chain, [*chain[1:], None], strict=True):
            store = next(one for one in nest.chain(tensor.name) if one.level == nodes[index].level)
            instances = product(loop.bound for loop in nest.spatial(0, store.depth))
            held = Held(store.level, tensor.name, 0, instances)
            if below is None:
                sent = Interface(nest, tensor, len(nest.loops), store.depth).streamed()
            else:
                sent = words[below].arriving(Copies.DISTINCT)
            is_home = nodes[index].parent is None
            if tensor.is_output:
                child = None if below is None else words[below]
                rows.append(output_row(held, words[index], is_home, sent, child, retention.space.options))
            else:
                rows.append(input_row(held, None if is_home else words[index], sent))
    computes = product(retention.space.problem.dims.values())
    return Traffic(tuple(rows), computes, compute_cycles=0, used_lanes=0)


def _by_word(hierarchy: Hierarchy) -> Hierarchy:
    """The hierarchy with a line's energy shared by its words, and without bandwidths (they are priced as loads)."""
    levels = tuple(
        replace(
            level,
            words_per_line=1,
            energy_pj={action: energy / level.words_per_line for action, energy in level.energy_pj.items()},
            read_bandwidth=None,
            write_bandwidth=None,
            shared_bandwidth=None,
        )
        for level in hierarchy.levels
    )
    return replace(hierarchy, levels=levels)


def _ports(nest: Nest, retention: Retention, choices: int) -> tuple[Port, ...]:
    ports: list[Port] = []
    for index in retention.stages:
        level = retention.space.hierarchy.levels[index]
        store = next(store for store in nest.stores if store.level == level.name)
        instances = product(loop.bound for loop in nest.spatial(0, store.depth))
        for kind in ("read", "write", "shared"):
            bandwidth = getattr(level, f"{kind}_bandwidth")
            if bandwidth is not None:
                rate = np.asarray(instances * bandwidth, dtype=np.float64)
                ports.append(Port(level.name, kind, np.broadcast_to(rate, (choices,))))
    return tuple(ports)


def _load(traffic: Traffic, hierarchy: Hierarchy, level: str, kind: str) -> Number:
    rows = [row for row in dense_accesses(traffic, hierarchy) if row.level == level]
    reads, writes = sum(row.read_words for row in rows), sum(row.written_words for row in rows)
    return {"read": reads, "write": writes, "shared": reads + writes}[kind]


def _rounding_pj(nest: Nest, retention: Retention, choices: int) -> Numbers:
    """What lines that are not full can add at most: one per instance, tensor and action."""
    total: Number = 0
    for node in retention.nodes:
        level = retention.space.hierarchy.level(node.level)
        if level.words_per_line == 1:
            continue
        store = next(store for store in nest.chain(node.tensor.name) if store.level == node.level)
        instances = product(loop.bound for loop in nest.spatial(0, store.depth))
        dearest = sum(level.energy_pj.get(action, 0.0) for action in ("read", "write", "update"))
        total = total + instances * dearest
    return np.broadcast_to(np.asarray(total, dtype=np.float64), (choices,))


def _stacked(values: list[Number], choices: int, shape: tuple[int, ...] = ()) -> Numbers:
    if not values:
        return np.zeros((choices, 0, *shape))
    return np.stack(values, axis=1)
