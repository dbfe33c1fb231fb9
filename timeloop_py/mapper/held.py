"""Seeds on their way from the enumeration of the innermost stage to the search that goes on from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.labels import Integers, Labels, joined
from timeloop_py.mapper.seeds import Seeds
from timeloop_py.mapper.sides import Rows


@dataclass(frozen=True)
class Found:
    """Labels of one order of the nodes, whose actions name seeds.

    ``place`` (rows,) puts them into a sequence that does not depend on how they were found.
    """

    labels: Labels
    place: Integers

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: Rows) -> Found:
        """Some of the labels."""
        return Found(self.labels.rows(chosen), self.place[chosen])

    @staticmethod
    def in_sequence(parts: Sequence[Found]) -> Labels:
        """The labels of all parts of one order."""
        place = np.concatenate([part.place for part in parts])
        return joined([part.labels for part in parts]).rows(np.argsort(place, kind="stable"))


class Held:
    """Labels below a ceiling that wait to be searched from; ``count``: those that were found in all."""

    def __init__(self, frame: Frame) -> None:
        self.seeds = Seeds(frame)
        self.count = 0
        #: labels of orders that are done, and of the one under way
        self.done: list[Labels] = []
        self._order: list[Found] = []

    def __len__(self) -> int:
        return sum(map(len, self.done)) + sum(map(len, self._order))

    @property
    def labels(self) -> Labels:
        """All that waits, order by order."""
        return joined([*self.done, *(found.labels for found in self._order)])

    def add(self, found: Found) -> None:
        """More of the order under way."""
        self._order.append(found)
        self.count += len(found)

    def replace_order(self, found: Found) -> None:
        """All of the order under way."""
        self._order = []
        self.add(found)

    def end_order(self) -> None:
        """The order under way is done."""
        if self._order:
            self.done.append(Found.in_sequence(self._order))
            self._order = []

    def keep(self, chosen: Callable[[Labels], Rows]) -> None:
        """Let go of labels that are not among the rows chosen."""
        self.done = [labels.rows(chosen(labels)) for labels in self.done]
        self._order = [found.rows(chosen(found.labels)) for found in self._order]

    def forget(self) -> None:
        """Let go of all labels, and of their seeds."""
        self.done, self._order = [], []
        self.seeds.forget()
