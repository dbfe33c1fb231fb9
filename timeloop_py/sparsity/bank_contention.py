"""Products that meet in an accumulator bank (MODEL section 3): how much longer than a cycle a step lasts.

A bank takes one product a cycle, and up to ``queue_depth`` products may still wait in front of it when the next step
starts. So a step lasts ``max(1, max over banks of (waiting + arriving) - queue_depth)`` cycles: with depth 0
(unqueued) as long as the fullest bank.

How evenly products spread over the banks depends on the sides of the tile, the filter and the channels of a group
(:mod:`timeloop_py.sparsity.bank_addresses`), and hardly ever is it as if by chance: channels of a 1x1 filter whose
tiles have a multiple of A sums all meet in one bank, a dense row of one channel never meets itself. There is no closed
form; the expectation is a mean over short walks, in which vectors drawn from the density models are multiplied in the
order of the dataflow, block after block, and the queues are followed step by step. The same arguments always give the
same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timeloop_py.sparsity.bank_addresses import POOL, Integers, Scatter
from timeloop_py.tensors.density import DensityModel

Array = NDArray[np.float64]
#: Banks by address.
Table = NDArray[np.unsignedinteger[Any]]

#: Steps of a walk that starts anywhere in a long row of steps, and how many of the first ones only fill the queues.
WALK_STEPS = 160
WARM_UP_STEPS = 32
#: Walks that a mean is taken over and at least of every kind of tile, and those that show first whether queues ever
#: make a step wait.
WALKS = 192
WALKS_OF_A_KIND = 12
PILOT_WALKS = 16
_MANY_PRODUCTS = 256
# Where the pilot shows less waiting than this share of the steps, it is good enough.
_HARDLY_ANY = 0.002
# Steps that a long row takes of each block, or those of two activation vectors.
_STEPS_OF_A_BLOCK = 16
# Blocks of a walk, most of them empty where zeros are many, and counts of products that are worked on at a time.
_MOST_BLOCKS = 256
_AT_A_TIME = 1 << 22
_PRODUCTS_AT_A_TIME = 1 << 15


@dataclass(frozen=True)
class RowOfSteps:
    """What a PE works off in one output-channel group, at one density point.

    ``blocks``: channels times stride parities, None for a row of more than :data:`WALK_STEPS` whose length does not
    matter. ``pause``: cycles that pass before every block. ``wait``: cycles that the PE waits for others at the end of
    a block, as a share of the block's steps.
    """

    weights: DensityModel
    activations: DensityModel
    blocks: int | None
    pause: float = 0.0
    wait: float = 0.0


class Walk:
    """The walks of rows of steps, taken as far as asked.

    ``cycles`` (rows, kinds of tiles): of a step at the least, the mean when all is walked.
    """

    def __init__(self, scatter: Scatter, rows: tuple[RowOfSteps, ...], depth: int) -> None:
        self.cycles = np.ones((len(rows), len(scatter.tiles)))
        self._rest = _rising_cycles(scatter, rows, depth)

    def reaches_end(self, limits: Array | None) -> bool:
        """Go on until every row has a kind of tile beyond its limit, (rows, kinds of tiles), or to the end."""
        while limits is None or not (self.cycles > limits).any(axis=1).all():
            cycles = next(self._rest, None)
            if cycles is None:
                return True
            self.cycles = cycles
        return False


#: Walks that stopped at a limit, by their arguments.
Begun = dict[tuple[Scatter, tuple[RowOfSteps, ...], int], Walk]


def step_cycles(
    scatter: Scatter,
    rows: Sequence[RowOfSteps],
    queue_depth: int,
    limits: Array | None = None,
    begun: Begun | None = None,
) -> Array:
    """Mean cycles of a step, (kinds of tiles, rows): 1 where no products meet.

    More cycles than ``limits``, (rows, kinds of tiles), are of no use, however many. Where every row has a kind of tile
    with more, all numbers may be too low, but those kinds stay above their limits: stalls only add up along a walk.
    Walks that stop so are left in ``begun``, where the next call finds them.
    """
    arguments = scatter, tuple(rows), queue_depth
    known = _known(*arguments)
    if known.cycles is None:
        begun = {} if begun is None else begun
        walk = begun.pop(arguments, None) or Walk(*arguments)
        if not walk.reaches_end(limits):
            begun[arguments] = walk
            return walk.cycles.T.copy()
        known.cycles = walk.cycles
    return known.cycles.T.copy()


@dataclass
class _Known:
    """Mean cycles of a step, (rows, kinds of tiles); None where no walk has come to its end yet."""

    cycles: Array | None = None


@lru_cache(maxsize=1 << 12)
def _known(scatter: Scatter, rows: tuple[RowOfSteps, ...], depth: int) -> _Known:
    return _Known()


def _rising_cycles(scatter: Scatter, rows: tuple[RowOfSteps, ...], depth: int) -> Iterator[Array]:
    """Mean cycles of a step so far, (rows, kinds of tiles), every few steps; the last ones are of all steps."""
    noticed, pilot = 1 + _HARDLY_ANY, -(-PILOT_WALKS // len(scatter.tiles))
    *_, cycles = _mean_cycles(scatter, rows, depth, pilot, noticed)
    waits = np.flatnonzero(cycles.max(axis=1) > noticed)
    if waits.size:
        # Steps of very many products are fewer: they average over more of them.
        products = max(1, scatter.weight_lanes * scatter.activation_lanes // _MANY_PRODUCTS)
        many = max(WALKS_OF_A_KIND // min(products, 4), -(-WALKS // (len(scatter.tiles) * products)))
        for found in _mean_cycles(scatter, [rows[place] for place in waits], depth, many):
            cycles[waits] = found
            yield cycles
    yield cycles


def _mean_cycles(
    scatter: Scatter, rows: Sequence[RowOfSteps], depth: int, walks: int, enough: float = math.inf
) -> Iterator[Array]:
    """Mean cycles of a step, (rows, kinds of tiles), over ``walks`` walks of each kind, rising as they go on.

    Walks end early where every row has a kind of tile with more than ``enough`` cycles. That is then known of the whole
    walks, too: what was waited stays, and the mean is over all their steps from the beginning.
    """
    banks = scatter.banks_of_addresses()
    kinds = len(scatter.tiles)
    per_row = kinds * walks * WALK_STEPS * (scatter.banks + 1)
    at_a_time = max(1, _AT_A_TIME // per_row)
    cycles = np.ones((len(rows), kinds))
    for start in range(0, len(rows), at_a_time):
        together = slice(start, start + at_a_time)
        drawn = [_walks(scatter, row, walks) for row in rows[together]]
        shape = len(drawn), kinds, walks
        steps = np.stack([np.maximum(one.lengths - one.counted_from, 0) for one in drawn]).reshape(shape).sum(axis=2)
        for stalls in _stalls(scatter, banks, drawn, depth):
            cycles[together] = 1 + stalls.reshape(shape).sum(axis=2) / np.maximum(steps, 1)
            yield cycles
            if (cycles[together].max(axis=1) > enough).all():
                break


def _joined_pauses(drawn: Sequence[_Walks]) -> Integers | None:
    if all(one.pauses is None for one in drawn):
        return None
    none = np.zeros((WALK_STEPS, drawn[0].lengths.size), np.int64)
    return np.concatenate([none if one.pauses is None else one.pauses for one in drawn], axis=1)


@dataclass(frozen=True)
class _Walks:
    """Walks, those of each kind of tile one after the other, and their steps, in order of time.

    ``lengths`` (walks,): steps of each. ``begins`` (WALK_STEPS + 1,): the first step of every time. Per step: its
    ``walk``, ``table`` (row of the table of banks) and vectors, whose lanes add ``of_weights`` and ``of_activations``,
    (vectors, lanes), to an address. ``pauses`` (WALK_STEPS, walks): cycles that pass before a step, None where there
    are none. Only steps from ``counted_from`` on count.
    """

    lengths: Integers
    begins: Integers
    walk: Integers
    table: Integers
    weights: Integers
    activations: Integers
    of_weights: Integers
    of_activations: Integers
    pauses: Integers | None
    counted_from: int


def _walks(scatter: Scatter, row: RowOfSteps, walks: int) -> _Walks:
    kinds, parities = len(scatter.tiles), len(scatter.parities)
    weights, activations = scatter.weights(row.weights), scatter.activations(row.activations)
    streamed = weights.number.reshape(parities, POOL).mean(axis=1)
    per_block = float((streamed * activations.number.reshape(-1, parities, POOL).mean(axis=(0, 2))).mean())
    is_long = row.blocks is None or row.blocks * per_block > WALK_STEPS
    # Of a long row a part, from many blocks: of each a few activation vectors in a row.
    held = max(2, int(_STEPS_OF_A_BLOCK / max(streamed.mean(), 1))) if is_long else activations.number.max(initial=0)
    per_block = min(per_block, held * float(streamed.mean()))
    enough = int(1.5 * WALK_STEPS / per_block) + parities + 8 if per_block else 1
    blocks = min(row.blocks or _MOST_BLOCKS, enough, _MOST_BLOCKS)
    # The same draws for every kind of tile and every row: what differs between them is not chance.
    rng = np.random.default_rng(0)
    parity = (np.arange(blocks) + is_long * rng.integers(parities, size=(walks, 1))) % parities
    of_weights, of_activations = (parity * POOL + rng.integers(POOL, size=(walks, blocks)) for _ in range(2))
    shift = scatter.size_of_tile[:, None, None] * (parities * POOL)
    of_weights = np.broadcast_to(of_weights, (kinds, walks, blocks)).reshape(-1, blocks)
    of_activations = (of_activations + shift).reshape(-1, blocks)
    vectors, streamed = activations.number[of_activations], weights.number[of_weights]
    beyond = np.maximum(vectors - held, 0)
    begun = np.floor(np.tile(rng.random((walks, blocks)), (kinds, 1)) * (beyond + 1)).astype(np.int64)
    steps = streamed * (vectors - beyond)
    ends = np.cumsum(steps, axis=1)
    begins = ends - steps
    taken = np.clip(ends, 0, WALK_STEPS) - np.clip(begins, 0, WALK_STEPS)
    lengths = taken.sum(axis=1)
    walk, block = np.nonzero(taken)
    # Steps in order of time: which walk takes one, and the block that it is of.
    time, stepping = np.nonzero(np.arange(WALK_STEPS)[:, None] < lengths)
    each = np.repeat(np.arange(walk.size), taken[walk, block])[(np.cumsum(lengths) - lengths)[stepping] + time]
    activation, weight = np.divmod(time - begins[walk, block][each], streamed[walk, block][each])
    first = (activations.first[of_activations] + begun)[walk, block]
    pauses = None
    if row.pause or row.wait:
        passed = np.floor(row.pause * np.arange(blocks) + row.wait * begins)[walk, block]
        pauses = np.zeros((WALK_STEPS, lengths.size), np.int64)
        pauses[begins[walk, block], walk] = np.diff(passed, prepend=0) * (np.diff(walk, prepend=0) == 0)
    return _Walks(
        lengths=lengths,
        begins=np.searchsorted(time, np.arange(WALK_STEPS + 1)),
        walk=stepping,
        table=(walk // walks * parities + parity[walk % walks, block])[each],
        weights=weights.first[of_weights[walk, block]][each] + weight,
        activations=first[each] + activation,
        of_weights=weights.addresses,
        of_activations=activations.addresses,
        pauses=pauses,
        counted_from=WARM_UP_STEPS if is_long else 0,
    )


def _arrivals(scatter: Scatter, banks: Table, walks: _Walks, first: int, last: int) -> NDArray[np.int16]:
    """Products by step, walk and bank, of the steps from ``first`` to before ``last``."""
    part = slice(walks.begins[first], walks.begins[last])
    time = np.repeat(np.arange(last - first), np.diff(walks.begins[first : last + 1]))
    sides = [
        walks.of_weights[walks.weights[part]] + walks.table[part][:, None] * banks.shape[2],
        walks.of_activations[walks.activations[part]],
    ]
    few, many = sorted(sides, key=lambda side: side.shape[1])
    address = few[:, :, None] + many[:, None, :]  # long rows are the quicker ones
    place = (time * walks.lengths.size + walks.walk[part]) * (scatter.banks + 1)
    shape = last - first, walks.lengths.size, scatter.banks + 1
    bank = banks.ravel().take(address) + place[:, None, None]
    counted = np.zeros(shape, np.int16)
    np.add.at(counted.reshape(-1), bank.ravel(), np.int16(1))
    return counted[:, :, :-1]


def _stalls(scatter: Scatter, banks: Table, drawn: Sequence[_Walks], depth: int) -> Iterator[Integers]:
    """Cycles that every walk of all rows has waited for banks so far, every few steps; nothing waits at the start."""
    pauses = _joined_pauses(drawn)
    counted_from = np.repeat([one.counted_from for one in drawn], [one.lengths.size for one in drawn])
    products = scatter.weight_lanes * scatter.activation_lanes
    together = max(1, _PRODUCTS_AT_A_TIME // (products * len(counted_from)))
    waiting = np.zeros((len(counted_from), scatter.banks), np.int16)
    stalls = np.zeros(len(counted_from), np.int64)
    for first in range(0, WALK_STEPS, together):
        last = min(first + together, WALK_STEPS)
        arrivals = [_arrivals(scatter, banks, one, first, last) for one in drawn]
        joined = arrivals[0] if len(arrivals) == 1 else np.concatenate(arrivals, axis=1)
        for time, arriving in enumerate(joined, first):
            if pauses is not None:
                waiting -= np.minimum(pauses[time], waiting.max(axis=1)).astype(np.int16)[:, None]
                np.maximum(waiting, 0, out=waiting)
            waiting += arriving
            cycles = np.maximum(waiting.max(axis=1) - depth, 1)
            np.maximum(waiting, cycles[:, None], out=waiting)
            waiting -= cycles[:, None]
            stalls += np.where(time >= counted_from, cycles - 1, 0)
        yield stalls
