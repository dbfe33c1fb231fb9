"""Mappings that a search with imperfect factors begins with: good ones from spaces with perfect factors.

A mapping with perfect factors is one of the imperfect space, too, so the best of them is a first ceiling. So is a
mapping of a padded problem: dimensions rounded up to a size that divides better, the last pass of the outermost loop
then made as short as the real size leaves it. Tiles of the real problem are no larger than those of the padded one, so
what fits there fits here. What such a mapping costs is counted by itself; the padded problem's cost only steers the way
to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from timeloop_py.mapper.labels import Integers
from timeloop_py.mapper.mapspace import Mapspace, Retention
from timeloop_py.mapper.nests import mapping_cost
from timeloop_py.mapper.objective import Goal
from timeloop_py.mapper.shares import Apart, Shares, Whole, shares_of
from timeloop_py.mapper.solve import Candidate, Solution, Solver
from timeloop_py.mapper.spread import Spread, pinned
from timeloop_py.nest.checks import mapping_violations
from timeloop_py.specs.mapping import Loop, Mapping, Node
from timeloop_py.specs.problem import Problem

#: Choices of spatial factors, the most promising ones, whose padded problems are searched.
SHARES = 4
#: A dimension is padded by at most this share of its size, or by one.
PADDING = 0.25


class Starts:
    """Finds mappings of an imperfect space; what it made for one goal serves the next."""

    def __init__(self, space: Mapspace, processes: int = 1) -> None:
        self.space = space
        self.processes = processes
        self._perfect = replace(space, imperfect=False)
        self._shares = shares_of(self._perfect)

    def perfect(self, goal: Goal, deadline: float) -> Solution:
        """The best mapping with perfect factors that is found before the deadline (of ``time.monotonic``)."""
        return Solver(self._perfect, goal, deadline, self._shares, processes=self.processes).run()

    def padded(
        self, goal: Goal, shares: Sequence[Shares], best: Candidate | None, deadline: float
    ) -> Iterator[Candidate]:
        """Better and better mappings than ``best`` of padded problems, until the deadline."""
        reached = math.inf if best is None else best.measure
        leading: _Padded | None = None
        for padded in self._promising(goal, shares, reached):
            leading = leading or padded
            found = self._solve(padded, goal, deadline)
            if found is not None and found.measure < reached:
                reached, leading = found.measure, padded
                yield found
        if leading is None or self.space.constraints.bind_loops:
            return
        for axis in range(len(self.space.dims)):
            for size in roomier(int(leading.full[axis])):
                wider = leading.with_size(axis, size)
                found = self._solve(wider, goal, deadline)
                if found is not None and found.measure < reached:
                    reached, leading = found.measure, wider
                    yield found

    def _promising(self, goal: Goal, shares: Sequence[Shares], ceiling: float) -> Iterator[_Padded]:
        """The most promising spatial factors, over which the problem is padded to divide evenly."""
        ranked = [
            (estimate, one, share)
            for one in shares
            if isinstance(one, Apart)
            for share, estimate in enumerate(one.estimates(goal).tolist())
        ]
        ranked.sort(key=lambda entry: entry[0])
        for estimate, one, share in ranked[:SHARES]:
            if estimate < ceiling:
                spread = one.factors(share)
                yield _Padded(one.retention.kept, spread, spread.full[0])

    def _solve(self, padded: _Padded, goal: Goal, deadline: float) -> Candidate | None:
        if time.monotonic() > deadline:
            return None
        space, share = padded.search_in(self._perfect)
        solution = Solver(space, Goal(goal.measure), deadline, [share], processes=self.processes).run()
        if solution.best is None:
            return None
        mapping = shortened(self.space.problem, solution.best.mapping)
        changed = mapping != solution.best.mapping
        if mapping_violations(self.space.problem, self.space.hierarchy, mapping) or (changed and self._asks_for_least):
            return None
        cost = mapping_cost(self.space, mapping)
        return Candidate(float(goal.bound(cost.energy_pj, cost.cycles)), mapping, cost)

    @property
    def _asks_for_least(self) -> bool:
        """Constraints that a mapping with shorter loops might no longer meet."""
        constraints = self.space.constraints
        arrays = [limits for one in constraints.spatial.values() for limits in (one.x or {}, one.y or {})]
        least = any(limit.least > 1 for limits in arrays for limit in limits.values())
        return constraints.bind_loops or constraints.utilization > 0 or least


@dataclass(frozen=True)
class _Padded:
    """What levels keep, one choice of spatial factors, and the temporal iterations of every dimension beside them."""

    kept: tuple[tuple[str, ...], ...]
    spread: Spread
    full: Integers

    def with_size(self, axis: int, size: int) -> _Padded:
        full = self.full.copy()
        full[axis] = size
        return replace(self, full=full)

    def search_in(self, space: Mapspace) -> tuple[Mapspace, Whole]:
        """The mapspace of the padded problem, and its share with these spatial factors."""
        sizes = self.full * self.spread.factors[0].prod(axis=0)
        dims = {**space.problem.dims, **dict(zip(space.dims, sizes.tolist(), strict=True))}
        wider = replace(space, problem=replace(space.problem, dims=dims))
        retention = Retention(wider, self.kept)
        return wider, Whole(retention, pinned(retention, replace(self.spread, full=self.full[None])))


def roomier(size: int) -> list[int]:
    """Larger sizes that have more divisors than any number from ``size`` up to them."""
    found: list[int] = []
    most = _divisors(size)
    for number in range(size + 1, size + 1 + max(1, int(size * PADDING))):
        if _divisors(number) > most:
            most = _divisors(number)
            found.append(number)
    return found


def _divisors(number: int) -> int:
    return int((number % np.arange(1, number + 1) == 0).sum())


def shortened(problem: Problem, mapping: Mapping) -> Mapping:
    """A mapping of a padded problem without the iterations that lie beyond the real one's dimensions altogether."""
    inside = {dim: math.prod(loop.bound for loop in _loops(mapping, dim)) for dim in problem.dims}
    nodes: list[Node] = []
    for node in mapping.nodes:
        if not isinstance(node, Loop):
            nodes.append(node)
            continue
        inside[node.dim] //= node.bound
        # Further in, every pass but the last one is whole; an outer loop of several iterations has a whole one.
        has_outer = any(isinstance(one, Loop) and one.dim == node.dim and one.bound > 1 for one in nodes)
        bound = node.bound if has_outer else -(-problem.dims[node.dim] // inside[node.dim])
        if bound > 1:
            nodes.append(replace(node, bound=bound))
    return replace(mapping, nodes=tuple(nodes))


def _loops(mapping: Mapping, dim: str) -> list[Loop]:
    return [node for node in mapping.nodes if isinstance(node, Loop) and node.dim == dim]
