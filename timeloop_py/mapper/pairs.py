"""Pairs of choices of the two sides of a stage's dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from timeloop_py.mapper.labels import Numbers
from timeloop_py.mapper.sides import Rows


@dataclass(frozen=True)
class Pairs:
    """Rows of the two sides, a choice of spatial factors, a lower bound of the energy and the most it may be."""

    others: Rows
    windows: Rows
    spread: Rows
    energy: Numbers
    most: Numbers

    @staticmethod
    def none() -> Pairs:
        rows = np.zeros(0, dtype=np.intp)
        return Pairs(rows, rows, rows, np.zeros(0), np.zeros(0))

    @staticmethod
    def joined(parts: Sequence[Pairs]) -> Pairs:
        return Pairs(*(np.concatenate(columns) for columns in zip(*(part.columns for part in parts), strict=True)))

    @staticmethod
    def of(others: Rows, windows: Rows, energy: Numbers, spread: int, most: float) -> Pairs:
        return Pairs(others, windows, np.full(len(others), spread, dtype=np.intp), energy, np.full(len(others), most))

    @property
    def columns(self) -> tuple[Rows, Rows, Rows, Numbers, Numbers]:
        return self.others, self.windows, self.spread, self.energy, self.most

    def rows(self, chosen: Rows | slice) -> Pairs:
        others, windows, spread, energy, most = self.columns
        return Pairs(others[chosen], windows[chosen], spread[chosen], energy[chosen], most[chosen])
