"""Partial nests of a search, many at a time, and which of them cannot be part of a better mapping than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]
Chosen = NDArray[np.intp] | NDArray[np.bool_]

#: Status of an interface: its node is not placed; nothing of its tile is kept any longer; its tile is kept so far.
#: A status above OPEN says which tile it is (plus one), where that matters.
UNPLACED, CLOSED, OPEN = -2, -1, 0
#: Bit of ``below``: a loop stands directly outside the node that its tile stays through.
STUCK = 1 << 30


@dataclass(frozen=True)
class Labels:
    """Inner parts of nests, one per row.

    ``inside`` (rows, dimensions): index of the temporal tile size of every dimension. ``spread``: choice of spatial
    factors. ``placed``: bits of the storage nodes inside. ``status`` (rows, interfaces). ``looped``: bits of dimensions
    that have a loop in the current segment already (where that matters), ``covered``: those of them that are not its
    outermost one. ``below`` (rows, interfaces): the bits covered in the segment directly inside the interface's node,
    and STUCK. ``started`` (rows, dimensions): index of the tile size where the current level's loops begin, ``rank``:
    position in the level's prescribed order (both where constraints ask for them). ``used`` (rows, stages): words in
    stages of which some nodes are placed. ``energy_pj`` and ``load`` (rows, ports): what is certain to happen. ``rest``
    (rows, interfaces): the share of the least words of an interface that has not happened yet. ``parent`` and
    ``action``: the partial nest that this one continues, and how.
    """

    inside: NDArray[np.int16]
    spread: NDArray[np.int32]
    placed: Integers
    status: Integers
    looped: Integers
    covered: Integers
    below: Integers
    started: NDArray[np.int16]
    rank: NDArray[np.int16]
    used: Numbers
    energy_pj: Numbers
    load: Numbers
    rest: Numbers
    parent: Integers
    action: Integers

    def __len__(self) -> int:
        return len(self.spread)

    def rows(self, chosen: Chosen) -> Labels:
        """Some of the rows."""
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Labels(*[column.take(chosen, axis=0) for column in vars(self).values()])

    def with_columns(self, **columns: NDArray[np.generic]) -> Labels:
        """With some columns replaced."""
        return Labels(**{**vars(self), **columns})


def joined(parts: Sequence[Labels]) -> Labels:
    """All rows of several batches, in order."""
    if len(parts) == 1:
        return parts[0]
    return Labels(*map(np.concatenate, zip(*(vars(part).values() for part in parts), strict=True)))


def undominated(labels: Labels, sizes: Sequence[int], slack_pj: Numbers) -> Labels:
    """Drop every label that another one with the same future equals or betters in all that counts.

    Two labels have the same future if they have the same tile sizes, spatial factors, placed nodes and statuses (and
    loops that constraints ask about): whatever loops and nodes follow, the words they bring are the same, for they
    depend on these alone. If one has also used no more of any buffer that is still being filled, every continuation of
    the other is one of its own, at no more energy and no more load. ``slack_pj`` (per choice of spatial factors) is
    what rounding to lines may add in the end: a label within it is no better for certain.

    ``covered`` and ``below`` are no part of the future: they only tell which loops need not be tried outside a node,
    for a nest that costs no more is searched in their place (:meth:`timeloop_py.mapper.growth.Growth._better_outside`).

    What is kept of equal labels is the first.
    """
    if len(labels) < 2:
        return labels
    keys = _keys(labels, sizes)
    order = np.lexsort((labels.energy_pj, *keys))
    labels = labels.rows(order)
    starts = np.zeros(len(labels), dtype=bool)
    starts[0] = True
    for key in keys:
        column = key[order]
        starts[1:] |= column[1:] != column[:-1]
    group = np.cumsum(starts) - 1
    metrics = np.concatenate((labels.used, labels.load), axis=1)
    energy, slack = labels.energy_pj, slack_pj[labels.spread]
    alive = np.ones(len(labels), dtype=bool)
    settled = np.zeros(len(labels), dtype=bool)
    # The first label of a group has the least energy: it stays, and drops those it dominates. So does the next, ...
    while True:
        pending = np.flatnonzero(alive & ~settled)
        if not len(pending):
            return labels.rows(np.sort(np.flatnonzero(alive)))
        groups = group[pending]
        firsts = np.ones(len(pending), dtype=bool)
        firsts[1:] = groups[1:] != groups[:-1]
        best = pending[firsts]
        settled[best] = True
        others = pending[~firsts]
        if not len(others):
            continue
        rival = best[np.searchsorted(group[best], group[others])]
        worse = energy[others] >= energy[rival] + slack[rival]
        worse &= (metrics[others] >= metrics[rival]).all(axis=1)
        alive[others[worse]] = False


def _keys(labels: Labels, sizes: Sequence[int]) -> list[Integers]:
    """Columns that are equal for labels with the same future."""
    place = labels.spread.astype(np.int64)
    for axis, size in enumerate(sizes):
        place = place * size + labels.inside[:, axis]
    columns = [place, labels.placed * (1 << 16) + labels.looped, labels.rank.astype(np.int64)]
    columns.extend(labels.status.T)
    columns.extend(labels.started.astype(np.int64).T)
    return [column for column in columns if len(column) and (column != column[0]).any()] or [place]
