"""How partial nests go on: by a loop around them, or by storage nodes on top of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.constraints import Limits
from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.labels import CLOSED, OPEN, STUCK, Integers, Labels
from timeloop_py.mapper.words import Place


@dataclass(frozen=True)
class Step:
    """One element of a nest: a loop over ``bound`` tiles of a dimension (its axis), or storage nodes."""

    axis: int = -1
    bound: int = 1
    nodes: tuple[int, ...] = ()


def by_placed_nodes(labels: Labels) -> Iterator[tuple[int, Labels]]:
    """Labels apart by which nodes are placed."""
    masks, group = np.unique(labels.placed, return_inverse=True)
    for number, mask in enumerate(masks):
        yield int(mask), labels if len(masks) == 1 else labels.rows(np.flatnonzero(group == number))


class Growth:
    """The continuations of labels that share the nodes they have placed, ``mask``."""

    def __init__(self, frame: Frame, mask: int) -> None:
        self.frame = frame
        self.mask = mask
        unplaced = [index for index, bit in frame.bit.items() if not mask & bit]
        #: the stage whose loops are being added: the innermost one with a node outside
        self.stage = max((frame.nodes[index].stage for index in unplaced), default=0)
        self.unplaced = unplaced
        self.placed = [index for index, bit in frame.bit.items() if mask & bit]
        self.outermost = min((frame.nodes[index].stage for index in self.placed), default=len(frame.levels))
        self.limits = dict(frame.space.constraints.factors.get(frame.levels[self.stage].name, {}))
        self.order = frame.space.constraints.order.get(frame.levels[self.stage].name, ())

    # -- storage nodes --------------------------------------------------------------------------------

    def with_nodes(self, labels: Labels) -> Iterator[tuple[Step, Labels]]:
        """Labels with the next node, or all nodes of the next stage in the level space, on top."""
        if self.frame.space.space == "level":
            group = tuple(index for index in self.unplaced if self.frame.nodes[index].stage == self.stage)
            if group:
                yield Step(nodes=group), self._place(labels, group)
            return
        for index in self.unplaced:
            node = self.frame.nodes[index]
            inner = any(
                self.frame.nodes[other].tensor is node.tensor and self.frame.nodes[other].stage > node.stage
                for other in self.unplaced
            )
            if inner:
                continue
            # Nodes of an outer stage stand above those of an inner one wherever a loop runs over the array between.
            crossed = list(range(node.stage, self.stage))
            free = np.asarray(self.frame.spread.unused[:, crossed].all(axis=1))[labels.spread]
            yield Step(nodes=(index,)), self._place(labels.rows(np.flatnonzero(free)), (index,))

    def _place(self, labels: Labels, group: tuple[int, ...]) -> Labels:
        for index in group:
            labels = self._hold(labels, index)
            if index in self.frame.interface:
                labels = self._open(labels, index)
        mask = self.mask | sum(self.frame.bit[index] for index in group)
        below = labels.below.copy()
        # Moved past a loop further outside, an earlier node stands inside the new ones, in a segment of its own.
        earlier = [number for index, number in self.frame.interface.items() if index not in group]
        below[:, earlier] &= STUCK
        labels = labels.with_columns(
            placed=np.full(len(labels), mask, dtype=np.int64),
            looped=np.zeros_like(labels.looped),
            covered=np.zeros_like(labels.covered),
            below=below,
        )
        after = Growth(self.frame, mask)
        if after.stage < self.stage:
            labels = self._complete(labels, after.stage)
        return labels

    def _hold(self, labels: Labels, index: int) -> Labels:
        """Those labels in which the tile of a node fits into what is left of its buffer."""
        frame, node = self.frame, self.frame.nodes[index]
        level = frame.levels[node.stage]
        words = frame.counter.tile_words(node, self._place_of(labels))
        own = level.usable_words_of(node.tensor.name)
        fits = np.ones(len(labels), dtype=bool) if own is None else words <= own
        if level.usable_words is not None:
            used = labels.used.copy()
            used[:, node.stage] += words
            fits &= used[:, node.stage] <= level.usable_words
            labels = labels.with_columns(used=used)
        return labels.rows(np.flatnonzero(fits))

    def _open(self, labels: Labels, index: int) -> Labels:
        """The first tiles arrive; from now on they are kept as long as loops leave them where they are."""
        frame = self.frame
        tile = frame.tile_sizes(labels.inside)
        words = frame.counter.first(frame.nodes[index], tile, self._place_of(labels))
        status, below = labels.status.copy(), labels.below.copy()
        code = frame.tile_code(index, labels.inside) if frame.tracked[index] else 0
        status[:, frame.interface[index]] = OPEN + code
        below[:, frame.interface[index]] = labels.covered
        return frame.charged(labels.with_columns(status=status, below=below), index, words)

    def _complete(self, labels: Labels, outer: int) -> Labels:
        """All nodes of the stage stand: the array above it comes next, and the loops of an outer stage."""
        frame = self.frame
        keep = np.ones(len(labels), dtype=bool)
        tile = frame.tile_sizes(labels.inside)
        for array in range(outer, self.stage):
            pins = frame.spread.pins[labels.spread, array]
            keep &= ((pins == 0) | (pins == tile)).all(axis=1)
        keep &= self._within_limits(labels)
        labels = labels.rows(np.flatnonzero(keep))
        used = labels.used.copy()
        used[:, outer + 1 :] = 0
        started = labels.inside if labels.started.shape[1] else labels.started
        return labels.with_columns(used=used, started=started, rank=np.full(len(labels), -1, dtype=np.int16))

    def _within_limits(self, labels: Labels) -> NDArray[np.bool_]:
        """True where the loops of the stage have the factors that constraints ask for."""
        keep = np.ones(len(labels), dtype=bool)
        for axis, dim in enumerate(self.frame.dims):
            if dim in self.limits:
                keep &= _allowed(self.limits[dim], self._factor(labels, axis, labels.inside[:, axis]))
        return keep

    def _factor(self, labels: Labels, axis: int, index: NDArray[np.int16]) -> Integers:
        sizes = self.frame.sizes[axis]
        return np.asarray(-(-sizes[index] // sizes[labels.started[:, axis]]))

    def finished(self, labels: Labels) -> NDArray[np.bool_]:
        """True for whole nests."""
        if self.mask != self.frame.everything:
            return np.zeros(len(labels), dtype=bool)
        whole = np.asarray((labels.inside == self.frame.full[labels.spread]).all(axis=1))
        return np.asarray(whole & self._within_limits(labels))

    # -- loops ----------------------------------------------------------------------------------------

    def with_loops(self, labels: Labels, axis: int) -> tuple[Labels, Integers, Integers]:
        """Labels with one more loop over a dimension, which row each continues, and its bound."""
        frame = self.frame
        rows, target = self._targets(labels, axis)
        labels = labels.rows(rows)
        sizes = frame.sizes[axis]
        bound = -(-sizes[target] // sizes[labels.inside[:, axis]])
        place = self._place_of(labels)
        below = self._below(labels, axis)
        for index in self.placed:
            if index in frame.interface:
                labels = self._cross(labels, index, place, axis, bound)
        inside = labels.inside.copy()
        inside[:, axis] = target
        kept = self._any_kept(labels)
        looped, covered = np.where(kept, labels.looped | (1 << axis), 0), np.where(kept, labels.looped, 0)
        rank = labels.rank
        if frame.dims[axis] in self.order:
            rank = np.full(len(labels), self.order.index(frame.dims[axis]), dtype=np.int16)
        labels = labels.with_columns(inside=inside, looped=looped, covered=covered, below=below, rank=rank)
        return labels, rows, np.asarray(bound, dtype=np.int64)

    def _targets(self, labels: Labels, axis: int) -> tuple[NDArray[np.intp], Integers]:
        """Rows that may take a loop over a dimension, and the index of the tile size it leads to."""
        frame = self.frame
        sizes = frame.sizes[axis]
        open_rows = np.flatnonzero(self._may_loop(labels, axis))
        here = labels.inside[open_rows, axis]
        lengths = np.array([len(after) for after in frame.successors[axis]])[here]
        rows = np.repeat(open_rows, lengths)
        if not len(rows):
            return rows, np.zeros(0, dtype=np.int64)
        target = np.concatenate([frame.successors[axis][size] for size in here])
        full = sizes[frame.full[labels.spread[rows], axis]]
        if frame.space.imperfect:
            keep = (sizes[target] == full) | (
                (sizes[target] < full) & (sizes[target] % sizes[labels.inside[rows, axis]] == 0)
            )
        else:
            keep = full % sizes[target] == 0
        for array in range(self.stage):
            pins = frame.spread.pins[labels.spread[rows], array, axis]
            keep &= (pins == 0) | (np.maximum(pins, 1) % sizes[target] == 0)
        if frame.dims[axis] in self.limits:
            most = self.limits[frame.dims[axis]].most
            if most is not None:
                keep &= -(-sizes[target] // sizes[labels.started[rows, axis]]) <= most
        return rows[keep], target[keep]

    def _may_loop(self, labels: Labels, axis: int) -> NDArray[np.bool_]:
        frame = self.frame
        may: NDArray[np.bool_] = labels.looped & (1 << axis) == 0
        if frame.dims[axis] in self.order:
            may &= (labels.rank < 0) | (labels.rank >= self.order.index(frame.dims[axis]))
        if frame.space.space == "level" or frame.space.constraints.bind_loops or frame.spread.pins[:, :, axis].any():
            return may
        for index in self.placed:
            may &= ~self._better_outside(labels, index, axis)
        return may

    def _better_outside(self, labels: Labels, index: int, axis: int) -> NDArray[np.bool_]:
        """True where a node could as well stand outside a loop that is to be added, so that this need not be tried.

        The dimension is none of the tensor's own, and nothing has moved since the node was placed: outside the loop
        the node holds the same tile as long and receives the same words. It can move there unless a node of an outer
        stage stands between; other nodes and their loops do not notice. The label with the node placed later is
        searched, too, unless the loop then shares a segment with another one over its dimension, while a tile slides
        that both move: the two are not one loop (:meth:`_stays_put`).
        """
        if not self._could_move(index, axis):
            return np.zeros(len(labels), dtype=bool)
        return self._unmoved(labels, index) & ~self._stays_put(labels, index, axis)

    def _could_move(self, index: int, axis: int) -> bool:
        frame = self.frame
        idle = index in frame.interface and bool(frame.relevance[index].idle[axis])
        return idle and self.outermost >= frame.nodes[index].stage

    def _unmoved(self, labels: Labels, index: int) -> NDArray[np.bool_]:
        """True where a node still holds its first tile."""
        code = self.frame.tile_code(index, labels.inside) if self.frame.tracked[index] else 0
        return np.asarray(labels.status[:, self.frame.interface[index]] == OPEN + code)

    def _stays_put(self, labels: Labels, index: int, axis: int) -> NDArray[np.bool_]:
        """True where a node cannot move outside a loop: the nest without it in between would be none of the space.

        Its segment inside and the loop would then be one segment, with two loops over the dimension and others between.
        No single loop need stand for both where a tile is still sliding over the dimension. (A tile that does not have
        the dimension slides no worse with both innermost in the segment, unless its window slides both ways.)
        """
        below = labels.below[:, self.frame.interface[index]]
        if not below.any():
            return np.zeros(len(labels), dtype=bool)
        slides = (below >> axis & 1 == 1) & self.frame.slides(labels, axis)
        return np.asarray((below & STUCK != 0) | slides)

    def _below(self, labels: Labels, axis: int) -> Integers:
        """``below`` after a loop: nodes that stay through it with their tile cannot move past it later on."""
        below = labels.below
        for index in self.placed:
            if self._could_move(index, axis):
                number = self.frame.interface[index]
                rows = np.flatnonzero(self._unmoved(labels, index) & (below[:, number] != 0))
                if len(rows):
                    below = below.copy() if below is labels.below else below
                    below[rows, number] |= STUCK
        return below

    def _cross(self, labels: Labels, index: int, place: Place, axis: int, bound: Integers) -> Labels:
        """What the loop brings into the tiles of a placed node."""
        frame, node = self.frame, self.frame.nodes[index]
        number, relevance = frame.interface[index], frame.relevance[index]
        kept = np.flatnonzero(labels.status[:, number] >= OPEN)
        if not len(kept):
            return labels
        where = place.rows(kept)
        tile = where.inside
        if frame.tracked[index]:
            tile = frame.tile_of_code(index, labels.status[kept, number] - OPEN)
        closes = relevance.simple[axis] and not frame.space.imperfect
        if closes:
            words = frame.counter.closing(node, tile, where)
        elif frame.tracked[index]:
            words = frame.counter.advancing(node, tile, where, axis, bound[kept])
        else:
            return labels
        changed = frame.charged(labels.rows(kept), index, words)
        energy, load, rest, status = (
            column.copy() for column in (labels.energy_pj, labels.load, labels.rest, labels.status)
        )
        energy[kept], load[kept], rest[kept] = changed.energy_pj, changed.load, changed.rest
        if closes:
            status[kept, number] = CLOSED
            rest[kept, number] = 0.0
        return labels.with_columns(energy_pj=energy, load=load, rest=rest, status=status)

    def _any_kept(self, labels: Labels) -> NDArray[np.bool_]:
        """True where a second loop over a dimension in one segment could tell: a tracked tile is still kept.

        Anywhere else loops of a dimension in one segment may as well be one: where all interfaces are closed no order
        counts, and a tile that stays as long as no loop of its own comes stays longer if the idle loops come first.
        """
        return self.frame.slides(labels)

    def _place_of(self, labels: Labels) -> Place:
        """Where the next loop goes: outside the arrays of all stages that are complete."""
        return Place(self.frame.tile_sizes(labels.inside), labels.spread.astype(np.intp), self.stage)


def _allowed(limits: Limits, factor: Integers) -> NDArray[np.bool_]:
    allowed = factor >= limits.least
    if limits.most is not None:
        allowed &= factor <= limits.most
    return np.asarray(allowed)
