"""Access counts by walking a loop nest and keeping the real sets: slow, obvious, and independent of the model.

It shares nothing with ``timeloop_py.nest`` but the types a problem, a mapping and the counting options are
written in. The definitions are those of ``docs/counting.md``. A set of tensor positions is an integer with one
bit per position.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod

from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store
from timeloop_py.specs.problem import Problem, Tensor

Words = int  # a set of positions of a tensor, one bit each
Time = tuple[int, ...]  # iterations of temporal loops, outer to inner
Place = tuple[int, ...]  # iterations of spatial loops, outer to inner: one instance
Group = tuple[Place, tuple[int, ...]]  # a parent instance, and an offset in the tensor's ranks below it


@dataclass(frozen=True)
class StoreCounts:
    """Words at one storage node: ``tile_words`` of one instance, the rest totals over all instances."""

    tile_words: int
    fills: int
    reads: int
    updates: int
    temporal_reductions: int
    link_transfers: int


@dataclass(frozen=True)
class Counts:
    stores: dict[tuple[str, str], StoreCounts]
    computes: int
    compute_cycles: int


@dataclass(frozen=True)
class PlacedLoop:
    loop: Loop
    step: int


@dataclass(frozen=True)
class PlacedStore:
    """A storage node below the first ``times`` temporal and the first ``places`` spatial loops of the nest."""

    level: str
    times: int
    places: int


@dataclass(frozen=True)
class Nest:
    problem: Problem
    temporal: list[PlacedLoop]
    spatial: list[PlacedLoop]
    stores: dict[str, list[PlacedStore]]  # per tensor, outermost first


@dataclass(frozen=True)
class Point:
    """A multiply-accumulate: when and where it happens, and its index in every dimension."""

    time: Time
    place: Place
    index: dict[str, int]


@dataclass
class Walked:
    """What happens at one storage node over the whole schedule, per instance."""

    largest: int = 0
    arrived: Counter[Place] = field(default_factory=Counter)
    left: Counter[Place] = field(default_factory=Counter)
    ever_held: defaultdict[Place, Words] = field(default_factory=lambda: defaultdict(int))
    served: int = 0  # words its parent reads for it
    linked: int = 0  # words taken from neighbours

    def visited(self, place: Place) -> int:
        return self.ever_held[place].bit_count()

    def refetched(self, place: Place) -> int:
        return self.arrived[place] - self.visited(place)

    @property
    def fresh(self) -> int:
        return sum(self.visited(place) for place in self.ever_held)


def count(problem: Problem, mapping: Mapping, options: CountingOptions) -> Counts:
    """Every count of a mapping, from sets."""
    nest = resolve(problem, mapping)
    points = list(walk(nest))
    cycles = prod(item.loop.bound for item in nest.temporal)
    if not options.padded_cycles:
        cycles = len({point.time for point in points})
    stores = {}
    for tensor in problem.tensors:
        positions = position_bits(tensor, points)
        for level, counts in count_tensor(nest, tensor, points, positions, mapping, options):
            stores[level, tensor.name] = counts
    return Counts(stores, computes=len(points), compute_cycles=cycles)


def resolve(problem: Problem, mapping: Mapping) -> Nest:
    """The loops with their index steps: the product of the bounds of the same dimension's loops further inside."""
    nest = Nest(problem, [], [], {tensor.name: [] for tensor in problem.tensors})
    for number, node in enumerate(mapping.nodes):
        if isinstance(node, Store):
            nest.stores[node.tensor].append(PlacedStore(node.level, len(nest.temporal), len(nest.spatial)))
            continue
        inside = (other for other in mapping.nodes[number + 1 :] if isinstance(other, Loop) and other.dim == node.dim)
        loops = nest.spatial if node.is_spatial else nest.temporal
        loops.append(PlacedLoop(node, prod(other.bound for other in inside)))
    return nest


def walk(nest: Nest) -> Iterator[Point]:
    """All valid points. Every index of a dimension is reached by exactly one set of iterations of its loops."""
    dims = nest.problem.dims

    def iterations(loops: list[PlacedLoop], index: dict[str, int]) -> tuple[int, ...]:
        return tuple([index[item.loop.dim] // item.step % item.loop.bound for item in loops])

    for indices in product(*(range(bound) for bound in dims.values())):
        index = dict(zip(dims, indices, strict=True))
        yield Point(iterations(nest.temporal, index), iterations(nest.spatial, index), index)


def position_bits(tensor: Tensor, points: list[Point]) -> list[Words]:
    """Per point the position it touches, as a set of one; empty where a rank's clip cuts it off."""
    numbers: dict[tuple[int, ...], int] = {}
    bits = []
    for point in points:
        position = tuple(
            [sum(term.coefficient * point.index[term.dim] for term in rank.terms) for rank in tensor.ranks]
        )
        inside = all(
            rank.clip is None or rank.clip[0] <= value < rank.clip[1]
            for rank, value in zip(tensor.ranks, position, strict=True)
        )
        bits.append(1 << numbers.setdefault(position, len(numbers)) if inside else 0)
    return bits


def count_tensor(
    nest: Nest,
    tensor: Tensor,
    points: list[Point],
    positions: list[Words],
    mapping: Mapping,
    options: CountingOptions,
) -> Iterator[tuple[str, StoreCounts]]:
    stores = nest.stores[tensor.name]
    walks = []
    for parent, store in zip([None, *stores], stores, strict=False):
        links = (
            parent is not None
            and options.link_transfer
            and not tensor.is_output
            and (parent.level, tensor.name) not in mapping.no_link_transfer
        )
        walks.append(walk_store(nest, tensor, parent, store, tiles(store, points, positions), options, links))
    lanes = lane_words(stores[-1], points, positions)
    for depth, (store, walked) in enumerate(zip(stores, walks, strict=True)):
        is_home, is_innermost = depth == 0, depth == len(stores) - 1
        fills, reads, updates = 0 if is_home else sum(walked.arrived.values()), 0, 0
        if not tensor.is_output:
            reads = lanes if is_innermost else walks[depth + 1].served
        else:
            travelling = walked.arrived if resends_everything(options) else refetched(walked)
            if not is_home:
                fills = sum(travelling.values())
                if options.refill == "one_copy":
                    fills = busiest(nest, tensor, stores[depth - 1], store, travelling)
            elided = walked.fresh if options.elide_first_read else 0
            if options.elide_first_read == "per_stay" and not is_home:
                elided = sum(walked.arrived.values())
            if is_innermost:
                updates = lanes
                reads = updates - elided
            else:
                child, below = stores[depth + 1], walks[depth + 1]
                updates = busiest(nest, tensor, store, child, below.left)
                if options.parent_accumulates:
                    reads = updates - elided
                else:
                    down = below.arrived if resends_everything(options) else refetched(below)
                    reads = busiest(nest, tensor, store, child, down)
            if options.charge_drain_read and not is_home:
                reads += sum(walked.left.values())
        yield (
            store.level,
            StoreCounts(
                tile_words=walked.largest,
                fills=fills,
                reads=reads,
                updates=updates,
                temporal_reductions=updates - walked.fresh if tensor.is_output else 0,
                link_transfers=walked.linked,
            ),
        )


def resends_everything(options: CountingOptions) -> bool:
    """Whether the parent sends partial sums down on every arrival, zeros on the first visit included."""
    return not options.parent_accumulates and not options.elide_first_read


def refetched(walked: Walked) -> Counter[Place]:
    return Counter({place: walked.refetched(place) for place in walked.ever_held})


def tiles(store: PlacedStore, points: list[Point], positions: list[Words]) -> dict[Time, dict[Place, Words]]:
    """At every step of the store's schedule the tile of each instance that has a valid iteration there."""
    steps: defaultdict[Time, defaultdict[Place, Words]] = defaultdict(lambda: defaultdict(int))
    for point, position in zip(points, positions, strict=True):
        steps[point.time[: store.times]][point.place[: store.places]] |= position
    return {time: dict(steps[time]) for time in sorted(steps)}


def lane_words(store: PlacedStore, points: list[Point], positions: list[Words]) -> int:
    """Words between the innermost store and compute: per time step and instance the distinct positions of its lanes."""
    lanes: defaultdict[tuple[Time, Place], Words] = defaultdict(int)
    for point, position in zip(points, positions, strict=True):
        lanes[point.time, point.place[: store.places]] |= position
    return size(lanes.values())


def walk_store(
    nest: Nest,
    tensor: Tensor,
    parent: PlacedStore | None,
    store: PlacedStore,
    steps: dict[Time, dict[Place, Words]],
    options: CountingOptions,
    links: bool,
) -> Walked:
    """Every instance holds a tile until its next valid iteration; what the next tile shares with it stays."""
    walked = Walked()
    held: dict[Place, Words] = {}
    for tiles_now in steps.values():
        multicasts: defaultdict[Group, Words] = defaultdict(int)
        for place, tile in tiles_now.items():
            before = held.get(place, 0)
            kept = before & tile
            if options.halo_reuse == "none" and before != tile:
                kept = 0
            arriving = tile & ~kept
            walked.arrived[place] += arriving.bit_count()
            walked.left[place] += (before & ~kept).bit_count()
            walked.ever_held[place] |= tile
            walked.largest = max(walked.largest, tile.bit_count())
            if parent is None:
                continue
            if links and arriving and any(held.get(other) == arriving for other in neighbours(nest, parent, place)):
                walked.linked += arriving.bit_count()
                continue
            group = group_of(nest, tensor, parent, place)
            multicasts[(group[0], ()) if options.share_halos else group] |= arriving
        walked.served += size(multicasts.values())
        held.update(tiles_now)
    for place, tile in held.items():
        walked.left[place] += tile.bit_count()
    return walked


def group_of(nest: Nest, tensor: Tensor, parent: PlacedStore, place: Place) -> Group:
    """The parent instance above an instance, and how far its tile is offset along the tensor's ranks below it."""
    offset: Counter[str] = Counter()
    for item, iteration in list(zip(nest.spatial, place, strict=False))[parent.places :]:
        offset[item.loop.dim] += iteration * item.step
    ranks = tuple(sum(term.coefficient * offset[term.dim] for term in rank.terms) for rank in tensor.ranks)
    return place[: parent.places], ranks


def busiest(nest: Nest, tensor: Tensor, parent: PlacedStore, store: PlacedStore, words: Counter[Place]) -> int:
    """Sum over parent instances and distinct offsets below them of the most active copy's words."""
    most: dict[Group, int] = {}
    for place, number in words.items():
        group = group_of(nest, tensor, parent, place)
        most[group] = max(most.get(group, 0), number)
    return sum(most.values())


def neighbours(nest: Nest, parent: PlacedStore, place: Place) -> Iterator[Place]:
    """Instances one column or one row away below the same parent; several loops along an axis are one axis."""
    for kind in (LoopKind.SPATIAL_X, LoopKind.SPATIAL_Y):
        axis = [number for number in range(parent.places, len(place)) if nest.spatial[number].loop.kind is kind]
        bounds = [nest.spatial[number].loop.bound for number in axis]
        line = list(product(*(range(bound) for bound in bounds)))
        here = line.index(tuple(place[number] for number in axis))
        for there in (here - 1, here + 1):
            if 0 <= there < len(line):
                moved = dict(zip(axis, line[there], strict=True))
                yield tuple(moved.get(number, iteration) for number, iteration in enumerate(place))


def size(sets: Iterable[Words]) -> int:
    return sum(words.bit_count() for words in sets)
