"""All ways to fill the innermost stage of a placement space, priced by broadcasting and cut at a ceiling.

The nodes of the innermost stage see most of the choices there are, and few of them lead to good mappings. So they are
not built loop by loop but enumerated: for every order of the nodes, all chains of tile sizes of every dimension at the
nodes. Dimensions are split in two sides, those of overlapping tiles and the others. Every word count is a product of a
number per choice of one side and a number per choice of the other (an interface's words are a product over the ranks of
its tensor and over the dimensions it does not have), so energies and buffer sizes of all pairs are matrix products.
Pairs whose lower bound is below the ceiling become labels, from which the search goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from timeloop_py.mapper.crew import Crew
from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.held import Found
from timeloop_py.mapper.labels import Labels
from timeloop_py.mapper.node_order import NodeOrder
from timeloop_py.mapper.objective import Goal
from timeloop_py.mapper.pairs import Pairs
from timeloop_py.mapper.seeds import Seeds
from timeloop_py.mapper.tables import Ceiling, Tables


class Innermost:
    """The nests that hold all nodes of the innermost stage, in one order, as labels of a search.

    Only nests that use the array above the stage become labels: without, nodes of several stages may stand in any
    order, which the search builds itself. ``unused`` are the choices of spatial factors for which it has to, with the
    least bound of their labels that were left to it.
    """

    def __init__(self, frame: Frame, order: NodeOrder) -> None:
        self.frame = frame
        self.order = order
        self.unused: dict[int, float] = {}
        if order not in frame.tables:
            frame.tables[order] = Tables(frame, order)
        self.tables = frame.tables[order]
        self._priced_before = self.tables.priced
        #: fillings priced when they were last enumerated
        self.last_priced = 0

    @property
    def priced(self) -> int:
        """Fillings of the stage whose energy was computed for this goal."""
        return self.tables.priced - self._priced_before

    def found(self, goal: Goal, ceiling: Ceiling, seeds: Seeds) -> Iterator[Found]:
        """All labels whose lower bound is at most ``ceiling()``; their actions name a seed.

        The ceiling is asked again and again, and may fall; it may also raise an error to end the enumeration.
        """
        before = self.priced
        for labels, pairs in self.tables.labels(goal, ceiling):
            yield self._found(goal, labels, pairs, seeds)
        self.last_priced = self.priced - before

    def found_together(self, crew: Crew, goal: Goal, ceiling: float, seeds: Seeds, most: int) -> Found | None:
        """All labels whose lower bound is at most ``ceiling``, found by several processes; None: more than ``most``."""
        before = self.priced
        found = crew.labels(self.tables, goal, ceiling, most)
        self.last_priced = self.priced - before
        return None if found is None else self._found(goal, *found, seeds)

    def _found(self, goal: Goal, labels: Labels, pairs: Pairs, seeds: Seeds) -> Found:
        unused = self.frame.spread.unused[labels.spread, self.tables.fillings.stage - 1]
        left = labels.rows(np.flatnonzero(unused))
        for spread, bound in zip(left.spread.tolist(), self.frame.bound(left, goal).tolist(), strict=True):
            self.unused[spread] = min(bound, self.unused.get(spread, np.inf))
        used = np.flatnonzero(~unused)
        labels, pairs = labels.rows(used), pairs.rows(used)
        action = seeds.add(self.order, self.tables.fillings.chains_of(pairs), labels.spread)
        return Found(labels.with_columns(action=action), self.tables.fillings.place_of(pairs))
