"""Running the searches of many layers: equal ones once, on all cores, within one time limit."""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timeloop_py.mapper.layer_search import SearchTask
from timeloop_py.mapper.processes import leave_interrupts_to_the_parent
from timeloop_py.mapper.results import SearchResult

if TYPE_CHECKING:
    from timeloop_py.mapper.solve import Progress


@dataclass(frozen=True)
class SearchProgress:
    """How far a search is: ``done`` of ``searches`` (one per shape of layer).

    ``doing`` says which layer and measure is searched, empty where one has just ended; ``best`` and ``lower_bound`` are
    those of that measure.
    """

    done: int
    searches: int
    doing: str = ""
    best: float = math.inf
    lower_bound: float = 0.0


Told = Callable[[SearchProgress], None]


@dataclass(frozen=True)
class _Turn:
    """A search with its share of the time: what is left, over the searches left, times how many run at once."""

    task: SearchTask
    place: int
    of: int
    at_once: int
    end: float
    #: processes that it may start itself
    processes: int

    def run(self, report: Callable[[str, Progress], None] | None = None) -> SearchResult:
        now = time.monotonic()
        share = min(1.0, self.at_once / (self.of - self.place))
        return self.task.run(now + (self.end - now) * share, report, self.processes)


def run_tasks(tasks: Sequence[SearchTask], end: float, jobs: int, told: Told | None = None) -> Iterator[SearchResult]:
    """The results of searches in their order, each as soon as it is there; equal searches run once.

    ``end`` in seconds of ``time.monotonic``. Several searches run side by side in up to ``jobs`` processes; one alone
    may use as many.
    """
    keys = [task.key for task in tasks]
    firsts = list(dict.fromkeys(keys))
    distinct = [tasks[keys.index(key)] for key in firsts]
    at_once = min(jobs, len(distinct))
    processes = jobs if at_once <= 1 else 1
    turns = [_Turn(task, place, len(distinct), at_once, end, processes) for place, task in enumerate(distinct)]
    running = _one_by_one(turns, told) if at_once <= 1 else _side_by_side(turns, at_once)
    found: dict[object, SearchResult] = {}
    for task, key in zip(tasks, keys, strict=True):
        while key not in found:
            place, result = next(running)
            found[firsts[place]] = result
            if told is not None:
                told(SearchProgress(len(found), len(firsts)))
        yield found[key].renamed(task.layer)


def _one_by_one(turns: Sequence[_Turn], told: Told | None) -> Iterator[tuple[int, SearchResult]]:
    for turn in turns:
        yield turn.place, turn.run(None if told is None else _reporter(turn, told))


def _reporter(turn: _Turn, told: Told) -> Callable[[str, Progress], None]:
    def report(doing: str, progress: Progress) -> None:
        told(SearchProgress(turn.place, turn.of, f"{turn.task.layer}: {doing}", progress.best, progress.lower_bound))

    return report


def _side_by_side(turns: Sequence[_Turn], at_once: int) -> Iterator[tuple[int, SearchResult]]:
    # Forked workers need no guard in the caller's script; elsewhere processes start afresh.
    forks = sys.platform == "linux"
    context = multiprocessing.get_context("fork" if forks else "spawn")
    if forks:  # else every worker would work it out for itself
        for turn in turns:
            turn.task.prepare()
    with context.Pool(at_once, leave_interrupts_to_the_parent) as pool:
        yield from pool.imap_unordered(_run_alone, turns)


def _run_alone(turn: _Turn) -> tuple[int, SearchResult]:
    return turn.place, turn.run()
