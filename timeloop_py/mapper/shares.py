"""The shares in which a mapspace is searched: what each level keeps, and with imperfect factors also what is spread.

With perfect factors a share is a retention, with all its choices of spatial factors in one frame. So is what an
imperfect space has with perfect factors alone (:func:`timeloop_py.mapper.spread.perfect_alone`). With imperfect factors
there are far more: it matters for every dimension how many iterations lie below an array, for in a last pass some
instances have less to do. So every choice of spatial factors is a share of its own, and frames of some of them are made
when their turn comes. Until then their lower bounds are plain ones (:mod:`timeloop_py.mapper.unavoidable`), and an
estimate says which of them are promising: the bound of mappings whose arrays stand outside all loops over time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.labels import Numbers
from timeloop_py.mapper.mapspace import Mapspace, Retention
from timeloop_py.mapper.objective import Goal
from timeloop_py.mapper.spread import Spread, factor_choices, perfect_alone, pinned, pinned_outside, spread_choices
from timeloop_py.mapper.unavoidable import unavoidable_with

#: Called again and again while shares are made; may raise an error to stop that.
Check = Callable[[], None]
#: Rows of a frame of several shares.
ROWS = 4096


class Shares(ABC):
    """Shares of one retention, by number."""

    @abstractmethod
    def lower_bounds(self, goal: Goal) -> Numbers:
        """A lower bound of the goal's measure for every share."""

    @abstractmethod
    def estimates(self, goal: Goal) -> Numbers:
        """About how good the best mapping of every share may be."""

    @abstractmethod
    def refined(self, shares: Sequence[int], goal: Goal) -> Numbers:
        """Better lower bounds of some shares, which take the work of making their frame."""

    @abstractmethod
    def batches(self, shares: Sequence[int]) -> Iterator[list[int]]:
        """Shares that are searched in one frame, in their order."""

    @abstractmethod
    def frame(self, shares: Sequence[int]) -> Frame:
        """The frame that shares are searched in."""


class Whole(Shares):
    """A retention with perfect factors, and some choices of spatial factors: one share."""

    def __init__(self, retention: Retention, spread: Spread) -> None:
        self._frame = Frame(retention, spread)

    def lower_bounds(self, goal: Goal) -> Numbers:
        return np.array([self._frame.least(goal)])

    def estimates(self, goal: Goal) -> Numbers:
        return self.lower_bounds(goal)

    def refined(self, shares: Sequence[int], goal: Goal) -> Numbers:
        return self.lower_bounds(goal)

    def batches(self, shares: Sequence[int]) -> Iterator[list[int]]:
        if shares:
            yield list(shares)

    def frame(self, shares: Sequence[int]) -> Frame:
        return self._frame


class Apart(Shares):
    """A share for every choice of spatial factors in ``spread``, all of which spread the same dimensions."""

    def __init__(self, retention: Retention, spread: Spread) -> None:
        self.retention = retention
        self._spread = spread
        self._outside = Frame(retention, pinned_outside(spread))

    def lower_bounds(self, goal: Goal) -> Numbers:
        return unavoidable_with(self.retention, self._spread, goal)

    def estimates(self, goal: Goal) -> Numbers:
        return self._outside.bound(self._outside.start(), goal)

    def refined(self, shares: Sequence[int], goal: Goal) -> Numbers:
        spreads = self._pinned(shares)
        frame = Frame(self.retention, Spread.joined(spreads))
        starts = np.cumsum([0, *(len(spread) for spread in spreads[:-1])])
        return np.minimum.reduceat(frame.bound(frame.start(), goal), starts)

    def batches(self, shares: Sequence[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        rows = 0
        for share in shares:
            if batch and rows + self._most_rows[share] > ROWS:
                yield batch
                batch, rows = [], 0
            batch.append(share)
            rows += int(self._most_rows[share])
        if batch:
            yield batch

    def frame(self, shares: Sequence[int]) -> Frame:
        return Frame(self.retention, Spread.joined(self._pinned(shares)))

    def factors(self, share: int) -> Spread:
        """The spatial factors of a share, one row without pins."""
        return self._spread.rows(np.array([share], dtype=np.intp))

    def _pinned(self, shares: Sequence[int]) -> list[Spread]:
        return [pinned(self.retention, self.factors(share)) for share in shares]

    @cached_property
    def _most_rows(self) -> NDArray[np.int64]:
        """At most so many choices of pins has every share."""
        wide = self._spread.factors[:, :-1] > 1
        rows: NDArray[np.int64] = np.where(wide, self._spread.full[:, None, :], 1).prod(axis=(1, 2))
        return rows


def shares_of(space: Mapspace, check: Check = lambda: None) -> list[Shares]:
    """All shares of a mapspace, by retention and by which dimensions are spread."""
    return [shares for retention in space.retentions() for shares in _shares_of(retention, check)]


def _shares_of(retention: Retention, check: Check) -> Iterator[Shares]:
    check()
    if not retention.space.imperfect:
        spread = spread_choices(retention)
        if len(spread):
            yield Whole(retention, spread)
        return
    perfect, spread = perfect_alone(retention)
    if len(spread):
        yield Whole(perfect, pinned(perfect, spread))
    spread = factor_choices(retention, check)
    if not len(spread):
        return
    _, group = np.unique((spread.factors > 1).reshape(len(spread), -1), axis=0, return_inverse=True)
    for number in range(group.max() + 1):
        check()
        yield Apart(retention, spread.rows(np.flatnonzero(group.ravel() == number)))
