"""One step of a search: the best mapping of a mapspace under a goal, with a lower bound.

A mapspace is searched in parts (:mod:`timeloop_py.mapper.shares`), and within them by the orders of the nodes of the
innermost stage, where it can be enumerated. For those a ceiling rises from the lower bound: whatever stays below it is
searched, and as soon as a mapping is found below the ceiling, nothing better is left. Other parts are searched one by
one, those of the least bound first. Mappings found on the way lower the ceiling: the one of the smallest tiles, there
at once; those of a narrow beam from the most promising seeds. They are mappings of the space like any other, so what
their measure cuts off holds nothing better.

Ties: of mappings with the same measure the one of less energy counts, then the one of fewer cycles, then the one found
first. The search has no randomness and looks at no clock but for the deadline: the same input gives the same answer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from timeloop_py.mapper.crew import Crew
from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.growth import Step
from timeloop_py.mapper.held import Found, Held
from timeloop_py.mapper.innermost import Innermost
from timeloop_py.mapper.labels import Labels
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.nests import MappingCost, mapping_cost, mapping_of
from timeloop_py.mapper.node_order import NodeOrder, applies, node_orders
from timeloop_py.mapper.objective import TIE, Goal
from timeloop_py.mapper.paths import Incumbent, OutOfTimeError, PathSearch
from timeloop_py.mapper.seeds import SEED, Seeds
from timeloop_py.mapper.shares import Shares, Whole, shares_of
from timeloop_py.mapper.sides import Rows
from timeloop_py.mapper.smallest import all_loops_outside, outermost
from timeloop_py.specs.mapping import Mapping

#: Labels per cell that a narrow search keeps, and seeds it starts from.
BEAM = 64
NARROW = 256
#: How far above the lower bound the first ceiling is, and by what the distance then grows: where few seeds lay below
#: the last one, and otherwise.
FIRST_STEP = 0.001
LONG_STEP = 4.0
STEP = 2.0
#: Seeds that are few: searched from without asking a narrow search for a ceiling first. The most that are held at once.
FEW = 3000
MANY = 200_000
#: Fillings that an order priced last time from which on it is worth several processes.
WORTH_SHARING = 1_000_000
#: Ceilings above this multiple of the lower bound: the smallest tiles are tried, and with them whether anything fits.
FAR = 4.0


@dataclass(frozen=True)
class Candidate:
    """A mapping and its exact cost. Of two with the same measure, the one of less energy counts, then fewer cycles."""

    measure: float
    mapping: Mapping
    cost: MappingCost

    @property
    def key(self) -> tuple[float, float, float]:
        return self.measure, self.cost.energy_pj, self.cost.cycles


@dataclass(frozen=True)
class Solution:
    """The best mapping of a mapspace (None: none exists, or none was found in time).

    ``lower_bound``: no mapping has a smaller measure. ``continued``: partial nests that were continued, ``priced``:
    fillings of the innermost stage whose energy was computed.
    """

    best: Candidate | None
    lower_bound: float
    proven: bool
    continued: int
    priced: int


@dataclass
class Progress:
    """What a search tells while it runs."""

    best: float = math.inf
    lower_bound: float = 0.0


Report = Callable[[Progress], None]
SeedSteps = Callable[[int], tuple[Step, ...]]


class Part:
    """Some shares of a mapspace with a lower bound, and the enumerations of their innermost stage if there are any."""

    def __init__(self, shares: Shares, numbers: Sequence[int], lows: Sequence[float]) -> None:
        self.shares = shares
        self.numbers = numbers
        self.low = min(lows)
        self._inner: dict[NodeOrder, Innermost] = {}

    @cached_property
    def frame(self) -> Frame:
        return self.shares.frame(self.numbers)

    def inner(self) -> Iterator[Innermost]:
        """The enumerations, each with its tables made when its turn comes first."""
        for order in node_orders(self.frame):
            if order not in self._inner:
                self._inner[order] = Innermost(self.frame, order)
            yield self._inner[order]

    def unused(self, ceiling: float) -> NDArray[np.intp]:
        """Choices of spatial factors that the enumerations left to the search, if they may stay in the ceiling."""
        bounds = [pair for inner in self._inner.values() for pair in inner.unused.items()]
        return np.array(sorted({spread for spread, bound in bounds if bound <= ceiling * (1 + TIE)}), dtype=np.intp)

    @property
    def priced(self) -> int:
        return sum(inner.priced for inner in self._inner.values())


def solve(
    space: Mapspace,
    goal: Goal,
    deadline: float = math.inf,
    shares: Sequence[Shares] | None = None,
    report: Report | None = None,
    known: Candidate | None = None,
    processes: int = 1,
) -> Solution:
    """The best mapping of ``space`` under ``goal``.

    ``deadline`` in seconds of ``time.monotonic``; ``shares`` those of the space if they are at hand; ``known`` a
    mapping of it to begin with. The solution does not depend on the number of ``processes``.
    """
    chosen = shares_of(space) if shares is None else shares
    return Solver(space, goal, deadline, chosen, report, known, processes).run()


def parts_of(bounds: Sequence[tuple[Shares, Sequence[int], Sequence[float]]]) -> list[Part]:
    """Parts of shares (numbers and lower bounds) that may hold a mapping, the lowest bounds first."""
    parts: list[Part] = []
    for shares, numbers, lows in bounds:
        low_of = dict(zip(numbers, lows, strict=True))
        order = sorted((number for number in numbers if low_of[number] < math.inf), key=low_of.__getitem__)
        parts.extend(Part(shares, batch, [low_of[one] for one in batch]) for batch in shares.batches(order))
    return sorted(parts, key=lambda part: part.low)


class Solver:
    """The search of one mapspace under one goal."""

    def __init__(
        self,
        space: Mapspace,
        goal: Goal,
        deadline: float,
        shares: Sequence[Shares],
        report: Report | None = None,
        known: Candidate | None = None,
        processes: int = 1,
    ) -> None:
        self.space = space
        self.goal = goal
        self.deadline = deadline
        self.report = report
        self.crew = Crew(processes, deadline)
        self.parts = parts_of([(one, range(len(lows := one.lower_bounds(goal))), lows.tolist()) for one in shares])
        self.best = known
        self.incumbent = Incumbent(math.inf if known is None else known.measure)
        #: nothing in the mapspace has a measure below this
        self.proven = min((part.low for part in self.parts), default=math.inf)
        self.continued = 0
        #: only the mapping of the smallest tiles is known, which tells little
        self._is_rough = known is None

    def run(self) -> Solution:
        complete = True
        try:
            # The products of two tables are narrow: a second thread of the algebra library only waits.
            with threadpool_limits(1):
                self._search()
        except OutOfTimeError as stopped:
            complete = False
            self.proven = max(self.proven, stopped.lower_bound)
        measure = math.inf if self.best is None else self.best.measure
        low = measure if complete else min(self.proven, measure)
        priced = sum(part.priced for part in self.parts)
        return Solution(self.best, low, complete, self.continued, priced)

    def _search(self) -> None:
        if self.best is None:
            self._find_any()
        # Frames of imperfect shares are made when their turn comes.
        if self.space.imperfect:
            self._refine()
        staged = [part for part in self.parts if isinstance(part.shares, Whole) and applies(part.frame)]
        whole = [part for part in self.parts if part not in staged]
        if staged:
            self._raise_ceiling(staged, whole)
        for number, part in enumerate(whole):
            if part.low > self.incumbent.ceiling() or self._is_best:
                return
            rest = self._low_after(whole, number)
            if self._is_rough or isinstance(part.shares, Whole):
                self._continue(part, part.frame.start(), None, beam=BEAM)
                self._is_rough = self.best is None
            self._continue(part, part.frame.start(), None, rest=rest)
            self._prove(min(rest, self.incumbent.measure))

    def _refine(self) -> None:
        """Better bounds of all shares that may hold something better than what is known, and parts by them."""
        found: dict[Shares, tuple[list[int], list[float]]] = {}
        refined = math.inf
        for number, part in enumerate(self.parts):
            if part.low > self.incumbent.ceiling():
                break
            self._still(math.inf)
            numbers, lows = found.setdefault(part.shares, ([], []))
            numbers.extend(part.numbers)
            lows.extend(part.shares.refined(part.numbers, self.goal).tolist())
            refined = min(refined, *lows)
            self._prove(min(refined, self._low_after(self.parts, number), self.incumbent.measure))
        self.parts = parts_of([(shares, *bounds) for shares, bounds in found.items()])

    @staticmethod
    def _low_after(parts: Sequence[Part], number: int) -> float:
        """A lower bound of all parts that come after one."""
        return parts[number + 1].low if number + 1 < len(parts) else math.inf

    def _find_any(self) -> None:
        for part in self.parts:
            found = all_loops_outside(part.frame, self.goal)
            if found is not None:
                self._consider(part.frame, *found)
            if self.best is not None:
                return
            self._still(math.inf)

    def _raise_ceiling(self, staged: list[Part], whole: list[Part]) -> None:
        """Search the parts whose innermost stage can be enumerated, below a ceiling that rises."""
        low = staged[0].low
        ceiling = low * (1 + FIRST_STEP)
        while True:
            ceiling = min(ceiling, self.incumbent.measure)
            passes = [self._exhaust(part, ceiling) for part in staged if part.low <= ceiling]
            seeds = sum(count for count, _ in passes)
            if all(complete for _, complete in passes):
                if self.incumbent.measure <= ceiling * (1 + TIE) or self._is_best:
                    return
                if not whole:
                    self._prove(ceiling)
            if ceiling == math.inf:
                return
            ceiling = low + (ceiling - low) * (LONG_STEP if seeds <= FEW else STEP)
            if ceiling > FAR * low and self._is_rough:
                for part in staged:
                    labels, steps = outermost(part.frame)
                    self._continue(part, labels, {SEED: steps}.__getitem__, beam=BEAM)
                self._is_rough = False
                if self.incumbent.measure == math.inf:
                    ceiling = math.inf

    def _exhaust(self, part: Part, ceiling: float) -> tuple[int, bool]:
        """Search everything of a part that stays within the ceiling; how many seeds there were, and whether it is done.

        It is not where the seeds are few, but not very few, and a narrow search from them finds nothing below the
        ceiling: there will be little more to do under the next one.
        """
        held = Held(part.frame)
        for inner in part.inner():
            for found in self._seeds(part, inner, ceiling, held):
                was_few = held.count <= FEW
                held.add(found)
                if was_few and held.count > FEW:
                    self._narrow(part, held.labels, held.seeds)
                    held.keep(lambda labels: self._below(part, labels, ceiling))
                    if self._is_best or self._found_together(part, inner, ceiling, held):
                        break
                if len(held) >= MANY:
                    self._follow(part, held, ceiling)
                    held.forget()
                    if self._is_best:
                        break
            held.end_order()
            # What one order leads to may spare many seeds of the next.
            if self.incumbent.measure > ceiling and len(held) > FEW:
                self._follow(part, held, ceiling)
                held.forget()
            if self._is_best:
                return held.count, True
        if NARROW < held.count <= FEW and ceiling < math.inf:
            if self._is_rough:
                self._narrow(part, held.labels, held.seeds)
            if self.incumbent.measure > ceiling * (1 + TIE):
                return held.count, False
        if len(held):
            self._follow(part, held, ceiling)
        unused = part.unused(min(ceiling, self.incumbent.measure))
        self._continue(part, part.frame.start().rows(unused), None, ceiling)
        return held.count, True

    def _seeds(self, part: Part, inner: Innermost, ceiling: float, held: Held) -> Iterator[Found]:
        """Seeds of one order; none are left where several processes have found them all."""
        if held.count <= FEW or not self._found_together(part, inner, ceiling, held):
            yield from inner.found(self.goal, lambda: self._still(ceiling), held.seeds)

    def _found_together(self, part: Part, inner: Innermost, ceiling: float, held: Held) -> bool:
        """Whether several processes find all seeds of an order: where that is worth it, and they are not too many.

        While no mapping is known that the next ceiling would reach, they are likely to be, and some are searched from
        before all are found.
        """
        is_near = self.incumbent.measure - part.low <= STEP * (ceiling - part.low)
        if self.crew.is_alone or not is_near or inner.last_priced < WORTH_SHARING:
            return False
        most = MANY - 1 - sum(map(len, held.done))
        found = inner.found_together(self.crew, self.goal, self._still(ceiling), held.seeds, most)
        if found is not None:
            held.replace_order(found)
        return found is not None

    @property
    def _is_best(self) -> bool:
        """The best mapping known is as good as any can be: there is nothing left to search."""
        return self.incumbent.measure <= self.proven * (1 + TIE)

    def _still(self, ceiling: float) -> float:
        """The ceiling, or what was found below it meanwhile; raises an error at the deadline."""
        if time.monotonic() > self.deadline:
            raise OutOfTimeError(self.proven)
        return min(ceiling, self.incumbent.measure)

    def _follow(self, part: Part, held: Held, ceiling: float) -> None:
        """Search all that seeds lead to; many of them first narrowly, for a lower ceiling.

        Where they lead to no mapping below it, and no good one is known, one above it tells how far to go.
        """
        labels = held.labels
        if len(labels) > FEW:
            self._narrow(part, labels, held.seeds)
            labels = labels.rows(self._below(part, labels, math.inf))
        self._continue(part, labels, held.seeds.steps, ceiling)
        if self._is_rough:
            self._narrow(part, labels, held.seeds)

    def _below(self, part: Part, labels: Labels, ceiling: float) -> Rows:
        """Labels that may lead to a mapping below the ceiling, as good as the best known."""
        return np.flatnonzero(part.frame.bound(labels, self.goal) <= min(ceiling, self.incumbent.measure) * (1 + TIE))

    def _narrow(self, part: Part, labels: Labels, seeds: Seeds) -> None:
        """A good mapping from the most promising seeds."""
        best = np.argsort(part.frame.bound(labels, self.goal), kind="stable")[:NARROW]
        known = self.incumbent.measure
        self._continue(part, labels.rows(np.sort(best)), seeds.steps, beam=BEAM)
        self._is_rough &= self.incumbent.measure == known

    def _continue(
        self,
        part: Part,
        labels: Labels,
        seed_steps: SeedSteps | None,
        ceiling: float = math.inf,
        beam: int = 0,
        rest: float = 0.0,
    ) -> None:
        """Search from ``labels``; every mapping that is found becomes the incumbent if it is better.

        ``seed_steps``: what stands in labels that are not the empty nest, by their actions. ``rest``: a lower bound of
        whatever is left to search once these are done.
        """
        if not len(labels):
            return
        incumbent = Incumbent(min(ceiling, self.incumbent.measure), lambda: self.incumbent.measure)
        search = PathSearch(part.frame, self.goal, incumbent, beam, self.deadline)
        if seed_steps is not None:
            search.seed_steps = seed_steps
        try:
            for ending in search.run(labels):
                self._consider(part.frame, ending.choice, ending.steps)
                if self._is_best:
                    break
        except OutOfTimeError as stopped:
            raise OutOfTimeError(max(self.proven, min(stopped.lower_bound, rest))) from None
        finally:
            self.continued += search.continued

    def _consider(self, frame: Frame, choice: int, steps: Sequence[Step]) -> None:
        mapping = mapping_of(frame.retention, frame.spread, choice, steps)
        cost = mapping_cost(self.space, mapping)
        candidate = Candidate(float(self.goal.bound(cost.energy_pj, cost.cycles)), mapping, cost)
        if candidate.measure < math.inf and (self.best is None or candidate.key < self.best.key):
            self.best = candidate
            self.incumbent.measure = min(self.incumbent.measure, candidate.measure)
            self._tell()

    def _prove(self, lower_bound: float) -> None:
        self.proven = max(self.proven, lower_bound)
        self._tell()

    def _tell(self) -> None:
        if self.report is not None:
            self.report(Progress(self.incumbent.measure, self.proven))
