"""The search of one problem's mapspace on a storage hierarchy: steps of an objective, fronts, time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.nests import mapping_cost, mapping_of
from timeloop_py.mapper.objective import Goal, Measure, Objective
from timeloop_py.mapper.pareto import Front, FrontPoint, walked_front
from timeloop_py.mapper.paths import Incumbent, OutOfTimeError, PathSearch
from timeloop_py.mapper.solve import Candidate, Progress, Solution, Solver, frames_of_space
from timeloop_py.specs.mapping import Mapping

#: Seconds beyond the deadline, and labels per cell, of the narrow search for some mapping where none was found in time.
GRACE_S = 5.0
GRACE_BEAM = 4

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


class HierarchySearch:
    """Searches one mapspace until a deadline (of ``time.monotonic``); whatever asks it in turn shares its frames."""

    def __init__(self, space: Mapspace, deadline: float, report: Report | None = None) -> None:
        self.space = space
        self.deadline = deadline
        self.report = report
        self.frames = frames_of_space(space)
        self.priced = 0
        #: the user stopped the search: what is known so far counts, and no other step begins
        self.interrupted = False

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
        solver = Solver(self.space, goal, self.deadline, self.frames, told)
        try:
            solution = solver.run()
        except KeyboardInterrupt:
            self.interrupted = True
            measure = math.inf if solver.best is None else solver.best.measure
            solution = Solution(solver.best, min(solver.proven, measure), False, solver.continued, 0)
        if solution.best is None and not solution.proven:
            solution = replace(solution, best=self._some_mapping(goal))
        self.priced += solution.continued + solution.priced
        return solution

    def _some_mapping(self, goal: Goal) -> Candidate | None:
        """A mapping where the time ended before any was found: that of a very narrow search, given a little more."""
        deadline = time.monotonic() + GRACE_S
        for frame in self.frames:
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
