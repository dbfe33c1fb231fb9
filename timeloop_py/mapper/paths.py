"""The search: nests built from the inside out, all that are worth continuing at once.

A nest is a path through tile sizes. It starts at the innermost point, where every dimension has one iteration inside;
each loop multiplies one of them, each storage node holds the tile that lies inside its place, and the path ends where
all iterations lie inside. What a loop costs is known when it is added (:mod:`timeloop_py.mapper.words`), so partial
nests with the same future compete and the worse ones go (:func:`timeloop_py.mapper.labels.undominated`); those whose
lower bound is above the best mapping known go, too (:meth:`timeloop_py.mapper.frame.Frame.bound`). Cells of equal
progress are worked off in order: a loop leads to a cell of larger tiles, a storage node to one with one node more.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.growth import Growth, Step, by_placed_nodes
from timeloop_py.mapper.labels import Integers, Labels, Numbers, joined, undominated
from timeloop_py.mapper.objective import TIE, Goal

#: Labels that are continued at once: what a few arrays of this length take fits into a cache.
BLOCK = 1 << 15
#: Labels that may wait to be continued: more, and the search stops with what it has (some 200 bytes each).
MOST_WAITING = 5_000_000
#: The action of a label that is the empty nest.
EMPTY = -1


@dataclass
class Incumbent:
    """The measure of the best mapping known; ``others`` tells what other workers found."""

    measure: float = np.inf
    others: Callable[[], float] = field(default=lambda: np.inf)

    def ceiling(self) -> float:
        """Bounds above this cannot lead to a mapping as good as the best known."""
        self.measure = min(self.measure, self.others())
        return self.measure * (1 + TIE)


class OutOfTimeError(Exception):
    """The deadline passed or memory ran short; no mapping left unfound has a measure below ``lower_bound``."""

    def __init__(self, lower_bound: float) -> None:
        super().__init__(lower_bound)
        self.lower_bound = lower_bound


@dataclass(frozen=True)
class Ending:
    """A whole nest: energy and cycles (exact but for rounding), spatial factors, steps from inner to outer."""

    measure: float
    energy_pj: float
    cycles: float
    choice: int
    steps: tuple[Step, ...]


class PathSearch:
    """The search of one frame. ``beam`` > 0 keeps that many labels of a cell at most: quick, without proof."""

    def __init__(self, frame: Frame, goal: Goal, incumbent: Incumbent, beam: int = 0, deadline: float = np.inf) -> None:
        self.frame = frame
        self.goal = goal
        self.incumbent = incumbent
        self.beam = beam
        self.deadline = deadline
        #: labels continued; True once the beam dropped any
        self.continued = 0
        self.was_cut = False
        #: the steps of labels that the search was started from, by their actions
        self.seed_steps: Callable[[int], tuple[Step, ...]] = lambda _: ()
        #: what waits to be continued, by the iterations and the nodes inside
        self._cells: dict[int, list[Labels]] = defaultdict(list)
        self._parents: list[Integers] = []
        self._actions: list[Integers] = []
        self._recorded = 0
        self._steps: list[tuple[Step, ...]] = []
        self._number_of_step: dict[tuple[Step, ...], int] = {}

    def run(self, labels: Labels | None = None) -> Iterator[Ending]:
        """Whole nests, none of which is certainly worse than the incumbent when it is found.

        ``labels``: where to start (default: the empty nest). Raises OutOfTimeError at the deadline.
        """
        self._queue(self.frame.start() if labels is None else labels)
        while self._cells:
            cell = min(self._cells)
            labels = self._worth_continuing(joined(self._cells.pop(cell)))
            self._record(labels)
            block_rows = self._block_rows
            for begin in range(0, len(labels), block_rows):
                if time.monotonic() > self.deadline or self._waiting > MOST_WAITING:
                    self._queue(labels.rows(np.arange(begin, len(labels))))
                    raise OutOfTimeError(self._least_bound())
                block = labels.rows(np.arange(begin, min(begin + block_rows, len(labels))))
                for mask, group in by_placed_nodes(block):
                    yield from self._continue(Growth(self.frame, mask), group)

    def _continue(self, growth: Growth, labels: Labels) -> Iterator[Ending]:
        self.continued += len(labels)
        finished = np.flatnonzero(growth.finished(labels))
        if len(finished):
            yield from self._endings(labels.rows(finished))
        found = []
        for step, placed in growth.with_nodes(labels):
            found.append(placed.with_columns(parent=placed.action, action=self._numbers(len(placed), step)))
        for axis in range(len(self.frame.dims)):
            looped, _, bounds = growth.with_loops(labels, axis)
            if len(looped):
                action = np.zeros(len(looped), dtype=np.int64)
                for bound in np.unique(bounds):
                    action[bounds == bound] = self._number((Step(axis, int(bound)),))
                found.append(looped.with_columns(parent=looped.action, action=action))
        if found:
            self._queue(joined(found))

    def _worth_continuing(self, labels: Labels) -> Labels:
        frame = self.frame
        labels = labels.rows(np.flatnonzero(frame.bound(labels, self.goal) <= self.incumbent.ceiling()))
        labels = undominated(labels, [len(sizes) for sizes in frame.sizes], frame.prices.rounding_pj)
        if self.beam and len(labels) > self.beam:
            self.was_cut = True
            order = np.argsort(frame.bound(labels, self.goal), kind="stable")[: self.beam]
            labels = labels.rows(np.sort(order))
        return labels

    @property
    def _block_rows(self) -> int:
        """Rows that are continued at once, fewer where each has many continuations."""
        most = max((len(after) for axis in self.frame.successors for after in axis), default=1)
        return max(256, BLOCK * 8 // max(8, most))

    @property
    def _waiting(self) -> int:
        return sum(len(labels) for parts in self._cells.values() for labels in parts)

    def _least_bound(self) -> float:
        waiting = [labels for parts in self._cells.values() for labels in parts]
        return min((float(self.frame.bound(labels, self.goal).min()) for labels in waiting), default=np.inf)

    def _queue(self, labels: Labels) -> None:
        if not len(labels):
            return
        labels = labels.rows(np.flatnonzero(self.frame.bound(labels, self.goal) <= self.incumbent.ceiling()))
        progress = labels.inside.sum(axis=1, dtype=np.int64)
        cells, group = np.unique(progress * 64 + np.bitwise_count(labels.placed), return_inverse=True)
        for number, cell in enumerate(cells):
            rows = labels if len(cells) == 1 else labels.rows(np.flatnonzero(group == number))
            self._cells[int(cell)].append(rows)

    # -- how a label came about -----------------------------------------------------------------------

    def _record(self, labels: Labels) -> None:
        """Remember parent and action; from here on ``action`` is the number of the label itself."""
        self._parents.append(labels.parent.copy())
        self._actions.append(labels.action.copy())
        labels.action[:] = np.arange(self._recorded, self._recorded + len(labels))
        self._recorded += len(labels)

    def _numbers(self, rows: int, step: Step) -> Integers:
        return np.full(rows, self._number((step,)), dtype=np.int64)

    def _number(self, steps: tuple[Step, ...]) -> int:
        if steps not in self._number_of_step:
            self._number_of_step[steps] = len(self._steps)
            self._steps.append(steps)
        return self._number_of_step[steps]

    def _endings(self, labels: Labels) -> Iterator[Ending]:
        """Whole nests, best first; of those with equal energy and cycles the first."""
        labels = labels.with_columns(rest=np.zeros_like(labels.rest))
        energy, cycles = self.frame.lower_bounds(labels)
        measure = np.asarray(self.goal.bound(energy, cycles), dtype=np.float64)
        for row in self._best_first(measure, energy, cycles):
            if measure[row] > self.incumbent.ceiling():
                break
            yield Ending(
                float(measure[row]),
                float(energy[row]),
                float(cycles[row]),
                int(labels.spread[row]),
                self._steps_of(int(labels.action[row])),
            )

    def _best_first(self, measure: Numbers, energy: Numbers, cycles: Numbers) -> list[int]:
        order = np.lexsort((cycles, energy, measure))
        rounded = bool((self.frame.prices.rounding_pj > 0).any())
        seen: set[tuple[float, float]] = set()
        rows: list[int] = []
        for row in order:
            key = (float(energy[row]), float(cycles[row]))
            if rounded or key not in seen:
                seen.add(key)
                rows.append(int(row))
        return rows

    def _steps_of(self, number: int) -> tuple[Step, ...]:
        starts = np.cumsum([0, *(len(part) for part in self._parents)])
        steps: list[Step] = []
        while number >= 0:
            part = int(np.searchsorted(starts, number, side="right")) - 1
            action = int(self._actions[part][number - starts[part]])
            if action >= 0:
                steps[:0] = self._steps[action]
            elif action != EMPTY:
                steps[:0] = self.seed_steps(action)
            number = int(self._parents[part][number - starts[part]])
        return tuple(steps)
