"""Several processes that enumerate the fillings of one order together: each prices some blocks of rows of one side.

What is found does not depend on how many there are: every filling belongs to one block, and whether it stays below a
ceiling is told from itself alone.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized

import numpy as np

from timeloop_py.mapper.labels import Labels, joined
from timeloop_py.mapper.objective import Goal
from timeloop_py.mapper.pairs import Pairs
from timeloop_py.mapper.paths import OutOfTimeError
from timeloop_py.mapper.processes import can_fork, leave_interrupts_to_the_parent
from timeloop_py.mapper.tables import Tables


@dataclass(frozen=True)
class _Share:
    """What one process found until it was done; ``ended``: or until the deadline."""

    labels: list[Labels]
    pairs: list[Pairs]
    priced: int
    ended: bool


@dataclass(frozen=True)
class _Task:
    """The enumeration of one order; ``found`` counts all labels, and beyond ``most`` of them nobody needs the rest."""

    tables: Tables
    goal: Goal
    ceiling: float
    deadline: float
    most: int
    processes: int
    found: Synchronized[int]

    def run(self, number: int) -> _Share:
        labels: list[Labels] = []
        pairs: list[Pairs] = []
        before, ended = self.tables.priced, False
        try:
            for some, their in self.tables.labels(self.goal, self._still, slice(number, None, self.processes)):
                labels.append(some)
                pairs.append(their)
                with self.found:
                    self.found.value += len(some)
                if self.found.value > self.most:
                    break
        except OutOfTimeError:
            ended = True
        return _Share(labels, pairs, self.tables.priced - before, ended)

    def _still(self) -> float:
        if time.monotonic() > self.deadline:
            raise OutOfTimeError(0.0)
        return self.ceiling


@dataclass(frozen=True)
class Crew:
    """As many processes as there are cores for a search; forked for each task, they know what the search knows."""

    processes: int
    deadline: float

    @property
    def is_alone(self) -> bool:
        """There is nobody to share the work with."""
        return self.processes < 2 or not can_fork()

    def labels(self, tables: Tables, goal: Goal, ceiling: float, most: int) -> tuple[Labels, Pairs] | None:
        """All labels of an order whose lower bound is at most ``ceiling``, and their pairs; None: more than ``most``.

        Raises OutOfTimeError at the deadline.
        """
        context = multiprocessing.get_context("fork")
        found = context.Value("q", 0)
        task = _Task(tables, goal, ceiling, self.deadline, most, self.processes, found)
        with context.Pool(self.processes, _begin, (task,)) as pool:
            shares = pool.map(_run, range(self.processes), chunksize=1)
        tables.priced += sum(share.priced for share in shares)
        if any(share.ended for share in shares):
            raise OutOfTimeError(0.0)
        labels = [
            tables.fillings.frame.start().rows(np.zeros(0, dtype=np.intp)),
            *(one for share in shares for one in share.labels),
        ]
        if sum(map(len, labels)) > most:
            return None
        return joined(labels), Pairs.joined([Pairs.none(), *(one for share in shares for one in share.pairs)])


#: What a forked process works on.
_task: _Task | None = None


def _begin(task: _Task) -> None:
    global _task
    _task = task
    leave_interrupts_to_the_parent()


def _run(number: int) -> _Share:
    assert _task is not None
    return _task.run(number)
