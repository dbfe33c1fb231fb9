"""The search of one problem's mapspace on a storage hierarchy: steps of an objective, fronts, time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.nests import mapping_cost, mapping_of
from timeloop_py.mapper.objective import Goal, Measure, Objective
from timeloop_py.mapper.pareto import Front, FrontPoint, walked_front
from timeloop_py.mapper.paths import Incumbent, OutOfTimeError, PathSearch
from timeloop_py.mapper.shares import Apart, Shares, shares_of
from timeloop_py.mapper.solve import Candidate, Part, Progress, Solution, Solver
from timeloop_py.mapper.starts import Starts
from timeloop_py.mapper.unavoidable import unavoidable
from timeloop_py.specs.mapping import Mapping

#: Seconds beyond the deadline, and labels per cell, of the narrow search for some mapping where none was found in time.
GRACE_S = 5.0
GRACE_BEAM = 4
#: Parts of the time left that a search with imperfect factors may take to find mappings to begin with: with perfect
#: factors, and of padded problems.
PERFECT = 0.6
PADDED = 0.5

#: What a running search tells: what it is doing, and where it stands.
Report = Callable[[str, Progress], None]


@dataclass(frozen=True)
class Outcome:
    """What is known of a mapspace after a search. ``lower_bound`` is that of the objective's first measure."""

    best: Candidate | None
    proven: bool
    lower_bound: float
    #: partial nests and fillings of the innermost stage that were priced
    priced: int
    front: Front[Mapping] | None = None

    @property
    def nothing_fits(self) -> bool:
        """It is proven that the space holds no mapping."""
        return self.best is None and self.proven


@dataclass
class _Known:
    """What is known before the search of the whole space begins."""

    lower_bound: float
    report: Callable[[Progress], None] | None
    best: Candidate | None = None

    def consider(self, candidate: Candidate | None) -> None:
        if candidate is None or (self.best is not None and self.best.key <= candidate.key):
            return
        self.best = candidate
        if self.report is not None:
            self.report(Progress(candidate.measure, self.lower_bound))

    @property
    def solution(self) -> Solution:
        measure = math.inf if self.best is None else self.best.measure
        return Solution(self.best, min(self.lower_bound, measure), False, 0, 0)


class HierarchySearch:
    """Searches one mapspace until a deadline (of ``time.monotonic``), in up to so many ``processes``.

    Whatever asks it in turn shares its frames.
    """

    def __init__(self, space: Mapspace, deadline: float, report: Report | None = None, processes: int = 1) -> None:
        self.space = space
        self.deadline = deadline
        self.report = report
        self.processes = processes
        self.priced = 0
        #: the user stopped the search: what is known so far counts, and no other step begins
        self.interrupted = False
        self._shares: list[Shares] | None = None
        self._starts = Starts(space, processes) if space.imperfect else None

    def best(self, objective: Objective) -> Outcome:
        """The best mapping by an objective.

        Measures after the first one decide among the optima of those before: each becomes a limit of the next step.
        Where the time ends in a later step, what the earlier ones found stays.
        """
        limits: tuple[tuple[Measure, float], ...] = ()
        outcome: Outcome | None = None
        for measure in objective.measures:
            solution = self._solve(Goal(measure, limits), str(measure))
            if outcome is None:
                outcome = Outcome(solution.best, solution.proven, solution.lower_bound, self.priced)
            else:
                outcome = replace(
                    outcome,
                    best=solution.best or outcome.best,
                    proven=outcome.proven and solution.proven,
                    priced=self.priced,
                )
            if solution.best is None or self.interrupted:
                break
            limits += ((measure, solution.best.measure),)
        assert outcome is not None
        return outcome

    def front(self, metrics: tuple[str, ...]) -> Front[Mapping]:
        """The Pareto front in some metrics; what was found in time, where the time ends."""
        count = 0

        def found(points: int) -> None:
            nonlocal count
            count = points

        def least(measure: Measure, limits: tuple[tuple[Measure, float], ...]) -> FrontPoint[Mapping] | None:
            if time.monotonic() > self.deadline or self.interrupted:
                return None
            solution = self._solve(Goal(measure, limits), f"front, point {count + 1}: {measure}")
            best = solution.best
            if best is None:
                return None
            return FrontPoint(best.mapping, best.cost.energy_pj, best.cost.cycles, solution.proven)

        return walked_front(metrics, least, found)

    def _solve(self, goal: Goal, doing: str) -> Solution:
        report = self.report
        told = None if report is None else lambda progress: report(doing, progress)
        known = _Known(unavoidable(self.space, goal), told)
        solver: Solver | None = None
        try:
            shares = self._prepared(goal, known)
            solver = Solver(self.space, goal, self.deadline, shares, told, known.best, self.processes)
            solution = solver.run()
        except OutOfTimeError:
            solution = known.solution
        except KeyboardInterrupt:
            self.interrupted = True
            if solver is not None:
                known.best, known.lower_bound = solver.best, solver.proven
            solution = known.solution
        if solution.best is None and not solution.proven and solver is not None:
            solution = replace(solution, best=self._some_mapping(goal, solver.parts))
        self.priced += solution.continued + solution.priced
        return solution

    def _prepared(self, goal: Goal, known: _Known) -> list[Shares]:
        """The shares of the space; with imperfect factors, mappings to begin with are looked for on the way.

        Raises OutOfTimeError where not even the shares could be told in time.
        """
        perfect: Solution | None = None
        if self._starts is not None:
            perfect = self._starts.perfect(goal, self._part_of_time(PERFECT))
            known.consider(perfect.best)
            self.priced += perfect.continued + perfect.priced
        if self._shares is None:
            self._shares = shares_of(self.space, self._check_time)
        if self._starts is None or perfect is None:
            return self._shares
        for candidate in self._starts.padded(goal, self._shares, known.best, self._part_of_time(PADDED)):
            known.consider(candidate)
        # Nothing with perfect factors is left to find.
        return [share for share in self._shares if isinstance(share, Apart)] if perfect.proven else self._shares

    def _part_of_time(self, part: float) -> float:
        """A deadline after a part of the time that is left."""
        now = time.monotonic()
        return now + part * (self.deadline - now)

    def _check_time(self) -> None:
        # With perfect factors there are few shares, and nothing is known without them.
        if self.space.imperfect and time.monotonic() > self.deadline:
            raise OutOfTimeError(0.0)

    def _some_mapping(self, goal: Goal, parts: Sequence[Part]) -> Candidate | None:
        """A mapping where the time ended before any was found: that of a very narrow search, given a little more."""
        deadline = time.monotonic() + GRACE_S
        for frame in (part.frame for part in parts):
            search = PathSearch(frame, goal, Incumbent(), GRACE_BEAM, deadline)
            found: list[Candidate] = []
            try:
                for ending in search.run():
                    mapping = mapping_of(frame.retention, frame.spread, ending.choice, ending.steps)
                    cost = mapping_cost(self.space, mapping)
                    measure = float(goal.bound(cost.energy_pj, cost.cycles))
                    if measure < math.inf:
                        found.append(Candidate(measure, mapping, cost))
            except OutOfTimeError:
                pass
            self.priced += search.continued
            if found:
                return min(found, key=lambda candidate: candidate.key)
            if time.monotonic() > deadline:
                break
        return None
