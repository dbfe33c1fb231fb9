"""Accesses of every level and tensor: fills, reads and updates, for any mapping of any affine problem.

What is counted, with its options, is written up in ``docs/counting.md``. All counts are totals over the
instances of a level; where loop bounds are arrays or symbols, so are the counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product as cartesian
from typing import Protocol

from timeloop_py.nest.interface import Copies, Interface
from timeloop_py.nest.sharing import words_sent
from timeloop_py.nest.walk import Nest, NestStore, count_iterations, last_iteration, of_dim
from timeloop_py.numbers.operations import Number, product
from timeloop_py.numbers.touched import positions_inside, touched_positions
from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.problem import Problem, Rank, Tensor


@dataclass(frozen=True)
class TensorTraffic:
    """Accesses of one tensor at one level, in words over all instances.

    ``fills`` come from the level above (for outputs: re-fetched partial sums), ``reads`` go to the level
    below (for outputs: the read half of accumulation, and drains where charged), ``updates`` are results from
    below. ``tile_words`` is the capacity used per instance.
    """

    level: str
    tensor: str
    tile_words: Number
    instances: Number
    fills: Number
    reads: Number
    updates: Number
    temporal_reductions: Number
    link_transfers: Number
    #: words sent down and words drained upwards, apart: what networks and bandwidths see
    sent_down: Number
    drained: Number


@dataclass(frozen=True)
class Traffic:
    """Counts of a mapping: per (level, tensor), and the computes with their cycles."""

    rows: tuple[TensorTraffic, ...]
    computes: Number
    compute_cycles: Number
    used_lanes: Number

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str], TensorTraffic]:
        return {(row.level, row.tensor): row for row in self.rows}

    def of(self, level: str, tensor: str) -> TensorTraffic:
        """The traffic of ``tensor`` at ``level``; KeyError where the mapping does not keep it there."""
        return self._by_place[(level, tensor)]

    def __contains__(self, place: tuple[str, str]) -> bool:
        return place in self._by_place


def count_traffic(
    problem: Problem,
    mapping: LoopMapping,
    options: CountingOptions | None = None,
    perfect: bool | None = None,
) -> Traffic:
    """Count all accesses of ``mapping``.

    ``perfect`` states whether loops multiply exactly to their dimensions where bounds are arrays or symbols
    (None: they do). Raises SpecError for the few combinations that have no defined count.
    """
    options = options or CountingOptions()
    nest = Nest(problem, mapping, perfect)
    rows: list[TensorTraffic] = []
    for tensor in problem.tensors:
        chain = nest.chain(tensor.name)
        for index, store in enumerate(chain):
            above = chain[index - 1] if index else None
            below = chain[index + 1] if index + 1 < len(chain) else None
            count = _output_row if tensor.is_output else _input_row
            rows.append(count(nest, tensor, store, above, below, options))
    return Traffic(
        rows=tuple(rows),
        computes=product(problem.dims.values()),
        compute_cycles=compute_cycles_of(nest, options),
        used_lanes=product(loop.bound for loop in nest.loops if loop.is_spatial),
    )


def compute_cycles_of(nest: Nest, options: CountingOptions) -> Number:
    """Iterations of all temporal loops in which any lane works."""
    temporal = nest.temporal(len(nest.loops))
    cycles: Number = 1
    for dim, bound in nest.bounds.items():
        loops = of_dim(temporal, dim)
        if dim in nest.imperfect_dims and not options.padded_cycles:
            cycles = cycles * count_iterations(loops, last_iteration(loops, 1, bound))
        else:
            cycles = cycles * product(loop.bound for loop in loops)
    return cycles


def tile_words(nest: Nest, tensor: Tensor, depth: int) -> Number:
    """Words of the largest tile of ``tensor`` below the first ``depth`` loops."""
    words: Number = 1
    for rank in tensor.ranks:
        if rank.entries is not None:
            words = words * rank.entries
        elif rank.clip is not None:
            words = words * _largest_clipped(nest, rank, rank.clip, depth)
        else:
            sizes = [nest.clipped_tile(depth, term.dim) for term in rank.terms]
            words = words * touched_positions(sizes, [term.coefficient for term in rank.terms])
    return words


def _largest_clipped(nest: Nest, rank: Rank, clip: tuple[int, int], depth: int) -> int:
    """Positions inside the clip of the largest tile, wherever it stands."""
    coefficients = [term.coefficient for term in rank.terms]
    places = [list(nest.tiles(depth, dim)) for dim in rank.dims]
    return max(
        len(
            positions_inside(
                [size for _, size in tile],
                coefficients,
                sum(c * base for c, (base, _) in zip(coefficients, tile, strict=True)),
                clip,
            )
        )
        for tile in cartesian(*places)
    )


class Words(Protocol):
    """Words of a tensor that cross into its tiles at a level, however they were counted: see :class:`Interface`."""

    def arriving(self, copies: Copies) -> Number: ...

    def visited(self, copies: Copies) -> Number: ...


@dataclass(frozen=True)
class Held:
    """A tensor at a level: the words of its tile, and how many instances hold one."""

    level: str
    tensor: str
    tile_words: Number
    instances: Number


def input_row(held: Held, own: Words | None, reads: Number, links: Number = 0) -> TensorTraffic:
    """Accesses of an operand. ``own`` words fill its tiles (None: its home), ``reads`` are sent on from them."""
    return TensorTraffic(
        level=held.level,
        tensor=held.tensor,
        tile_words=held.tile_words,
        instances=held.instances,
        fills=0 if own is None else own.arriving(Copies.ALL),
        reads=reads,
        updates=0,
        temporal_reductions=0,
        link_transfers=links,
        sent_down=reads,
        drained=0,
    )


def output_row(
    held: Held, own: Words, is_home: bool, updates: Number, child: Words | None, options: CountingOptions
) -> TensorTraffic:
    """Accesses of the output. ``updates`` come up from the tiles of ``child`` (None: from compute)."""
    fresh = own.visited(Copies.ALL)
    fetch_first = not options.elide_first_read and not options.parent_accumulates

    fills: Number = 0
    drained: Number = 0
    if not is_home:
        drained = own.arriving(Copies.ALL)  # whatever arrives leaves again
        copies = Copies.ALL if options.refill == "every_copy" else Copies.DISTINCT
        fills = own.arriving(copies) - (0 if fetch_first else own.visited(copies))

    if child is None or options.parent_accumulates:
        per_stay = options.elide_first_read == "per_stay" and not is_home
        elided = drained if per_stay else fresh if options.elide_first_read else 0
        reads = updates - elided
    else:
        reads = updates - (0 if fetch_first else child.visited(Copies.DISTINCT))
    sent_down = 0 if child is None else reads
    if options.charge_drain_read:
        reads = reads + drained
    return TensorTraffic(
        level=held.level,
        tensor=held.tensor,
        tile_words=held.tile_words,
        instances=held.instances,
        fills=fills,
        reads=reads,
        updates=updates,
        temporal_reductions=updates - fresh,
        link_transfers=0,
        sent_down=sent_down,
        drained=drained,
    )


def _held(nest: Nest, tensor: Tensor, store: NestStore) -> Held:
    instances = product(loop.bound for loop in nest.spatial(0, store.depth))
    return Held(store.level, tensor.name, tile_words(nest, tensor, store.depth), instances)


def _input_row(
    nest: Nest,
    tensor: Tensor,
    store: NestStore,
    above: NestStore | None,
    below: NestStore | None,
    options: CountingOptions,
) -> TensorTraffic:
    keep = options.halo_reuse == "one_tile"
    own: Interface | None = None
    links: Number = 0
    if above is not None:
        own = Interface(nest, tensor, store.depth, above.depth, keep)
        if _links(nest, tensor, above, options):
            links = words_sent(own, options.share_halos, True).forwarded
    if below is None:
        reads = Interface(nest, tensor, len(nest.loops), store.depth).streamed()
    else:
        sent = Interface(nest, tensor, below.depth, store.depth, keep)
        forwards = _links(nest, tensor, store, options)
        if options.share_halos or forwards:
            reads = words_sent(sent, options.share_halos, forwards).read
        else:
            reads = sent.arriving(Copies.DISTINCT)
    return input_row(_held(nest, tensor, store), own, reads, links)


def _links(nest: Nest, tensor: Tensor, parent: NestStore, options: CountingOptions) -> bool:
    return options.link_transfer and (parent.level, tensor.name) not in nest.no_link_transfer


def _output_row(
    nest: Nest,
    tensor: Tensor,
    store: NestStore,
    above: NestStore | None,
    below: NestStore | None,
    options: CountingOptions,
) -> TensorTraffic:
    keep = options.halo_reuse == "one_tile"
    own = Interface(nest, tensor, store.depth, store.depth if above is None else above.depth, keep)
    child: Interface | None = None
    if below is None:
        updates = Interface(nest, tensor, len(nest.loops), store.depth).streamed()
    else:
        child = Interface(nest, tensor, below.depth, store.depth, keep)
        updates = child.arriving(Copies.DISTINCT)
    return output_row(_held(nest, tensor, store), own, above is None, updates, child, options)
