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

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from timeloop_py.sparsity.bank_addresses import POOL, Integers, Scatter
from timeloop_py.tensors.density import DensityModel

Array = NDArray[np.float64]

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
_PRODUCTS_AT_A_TIME = 1 << 14


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


def step_cycles(scatter: Scatter, rows: Sequence[RowOfSteps], queue_depth: int) -> Array:
    """Mean cycles of a step, (kinds of tiles, rows): 1 where no products meet."""
    found = np.array(_step_cycles(scatter, tuple(rows), queue_depth))
    return found.reshape(len(rows), len(scatter.tiles)).T


@lru_cache(maxsize=1 << 12)
def _step_cycles(scatter: Scatter, rows: tuple[RowOfSteps, ...], depth: int) -> tuple[tuple[float, ...], ...]:
    cycles = _mean_cycles(scatter, rows, depth, -(-PILOT_WALKS // len(scatter.tiles)))
    waits = np.flatnonzero(cycles.max(axis=1) > 1 + _HARDLY_ANY)
    if waits.size:
        # Steps of very many products are fewer: they average over more of them.
        products = max(1, scatter.weight_lanes * scatter.activation_lanes // _MANY_PRODUCTS)
        many = max(WALKS_OF_A_KIND // min(products, 4), -(-WALKS // (len(scatter.tiles) * products)))
        cycles[waits] = _mean_cycles(scatter, [rows[place] for place in waits], depth, many)
    return tuple(tuple(row) for row in cycles.tolist())


def _mean_cycles(scatter: Scatter, rows: Sequence[RowOfSteps], depth: int, walks: int) -> Array:
    """Mean cycles of a step, (rows, kinds of tiles), over ``walks`` walks of each kind."""
    banks = scatter.banks_of_addresses()
    per_row = len(scatter.tiles) * walks * WALK_STEPS * (scatter.banks + 1)
    at_a_time = max(1, _AT_A_TIME // per_row)
    result = []
    for start in range(0, len(rows), at_a_time):
        drawn = [_walks(scatter, row, walks) for row in rows[start : start + at_a_time]]
        arrivals = np.concatenate([_arrivals(scatter, banks, one) for one in drawn], axis=1)
        pauses = _joined_pauses(drawn)
        counted = np.repeat([one.counted_from for one in drawn], len(drawn[0].lengths))
        stalls = _stalls(arrivals, pauses, depth, counted).reshape(len(drawn), len(scatter.tiles), walks).sum(axis=2)
        steps = np.stack([np.maximum(one.lengths - one.counted_from, 0) for one in drawn])
        result.append(stalls / np.maximum(steps.reshape((*stalls.shape, walks)).sum(axis=2), 1))
    return 1 + np.concatenate(result)


def _joined_pauses(drawn: Sequence[_Walks]) -> Integers | None:
    if all(one.pauses is None for one in drawn):
        return None
    none = np.zeros((WALK_STEPS, drawn[0].lengths.size), np.int64)
    return np.concatenate([none if one.pauses is None else one.pauses for one in drawn], axis=1)


@dataclass(frozen=True)
class _Walks:
    """Walks, those of each kind of tile one after the other, and their steps, walk after walk.

    ``lengths`` (walks,): steps of each. Per step: its ``walk``, ``time`` (place in the walk) and ``table`` (row of the
    table of banks), and what the vectors' lanes add to an address. ``pauses`` (WALK_STEPS, walks): cycles that pass
    before a step, None where there are none. Only steps from ``counted_from`` on count.
    """

    lengths: Integers
    walk: Integers
    time: Integers
    table: Integers
    weights: Integers
    activations: Integers
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
    each = np.repeat(np.arange(walk.size), taken[walk, block])
    time = np.arange(each.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    activation, weight = np.divmod(time - begins[walk, block][each], streamed[walk, block][each])
    weight_block, activation_block = of_weights[walk, block][each], of_activations[walk, block][each]
    pauses = None
    if row.pause or row.wait:
        passed = np.floor(row.pause * np.arange(blocks) + row.wait * begins)[walk, block]
        pauses = np.zeros((WALK_STEPS, lengths.size), np.int64)
        pauses[begins[walk, block], walk] = np.diff(passed, prepend=0) * (np.diff(walk, prepend=0) == 0)
    return _Walks(
        lengths=lengths,
        walk=walk[each],
        time=time,
        table=(walk // walks * parities + parity[walk % walks, block])[each],
        weights=weights.taken(weight_block, weight),
        activations=activations.taken(activation_block, begun[walk, block][each] + activation),
        pauses=pauses,
        counted_from=WARM_UP_STEPS if is_long else 0,
    )


def _arrivals(scatter: Scatter, banks: Integers, walks: _Walks) -> NDArray[np.int16]:
    """Products by step, walk and bank."""
    arrivals = np.zeros((WALK_STEPS, walks.lengths.size, scatter.banks), np.int16)
    at_a_time = max(1, _PRODUCTS_AT_A_TIME // (scatter.weight_lanes * scatter.activation_lanes))
    # Empty lanes add so much that the sum is the address of dropped products or one beyond it.
    beyond = np.full((*banks.shape[:2], scatter.addresses), scatter.banks)
    table = np.concatenate([banks, beyond], axis=2)
    # Steps come last: the others are too few to be worth a loop of NumPy's.
    weights = np.ascontiguousarray(walks.weights.T) + walks.table * table.shape[2]
    activations = np.ascontiguousarray(walks.activations.T)
    table, of_step = table.ravel(), np.arange(at_a_time) * (scatter.banks + 1)
    for start in range(0, walks.walk.size, at_a_time):
        part = slice(start, start + at_a_time)
        bank = table.take(weights[:, None, part] + activations[:, part], mode="clip")
        steps = bank.shape[2]
        bank += of_step[:steps]
        counted = np.bincount(bank.ravel(), minlength=steps * (scatter.banks + 1))
        arrivals[walks.time[part], walks.walk[part]] = counted.reshape(steps, -1)[:, :-1]
    return arrivals


def _stalls(arrivals: NDArray[np.int16], pauses: Integers | None, depth: int, counted_from: Integers) -> Integers:
    """Cycles that every walk waits for banks, from a step on; nothing waits at the start."""
    # Banks come first: a maximum over a short last axis takes long.
    waiting = np.zeros(arrivals.shape[:0:-1], np.int16)
    stalls = np.zeros(arrivals.shape[1], np.int64)
    for time, arriving in enumerate(arrivals):
        if pauses is not None:
            waiting -= np.minimum(pauses[time], waiting.max(axis=0)).astype(np.int16)
            np.maximum(waiting, 0, out=waiting)
        waiting += arriving.T
        cycles = np.maximum(waiting.max(axis=0) - depth, 1)
        waiting -= cycles
        np.maximum(waiting, 0, out=waiting)
        stalls += np.where(time >= counted_from, cycles - 1, 0)
    return stalls
