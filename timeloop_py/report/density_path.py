"""The density points of a sweep as one axis, and where curves over it cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timeloop_py.report.totals import POINT

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DensityPath:
    """The density points of a sweep as positions on one axis, densest first."""

    points: tuple[tuple[float, float], ...]
    positions: tuple[float, ...]
    tick_labels: tuple[str, ...]
    axis_label: str

    @classmethod
    def of(cls, frame: pd.DataFrame) -> DensityPath:
        """Read the path off a frame.

        Both densities may move together, or one of them while the other one stands still. Raises ValueError for a
        plane of points, which has no one order.
        """
        weights, activations = (frame[name].to_numpy(dtype=float).tolist() for name in POINT)
        points = tuple(sorted(set(zip(weights, activations, strict=True)), reverse=True))
        weight, activation = points[0]
        if len(points) > 1 and len(set(activations)) == 1:
            label = f"Weight density (activation density {activation:g})"
            return cls(points, tuple(w for w, _ in points), tuple(_text(w) for w, _ in points), label)
        if len(points) > 1 and len(set(weights)) == 1:
            label = f"Activation density (weight density {weight:g})"
            return cls(points, tuple(a for _, a in points), tuple(_text(a) for _, a in points), label)
        if len(points) > 1 and any(not math.isclose(w, a) for w, a in points):
            raise ValueError("weight and activation density vary independently: choose the points of one path")
        ticks = tuple(f"{_text(w)}/{_text(a)}" for w, a in points)
        return cls(points, tuple(w for w, _ in points), ticks, "Weight / activation density")

    def thinned(self, most: int) -> range:
        """Indices of at most so many points, evenly spaced, the densest among them."""
        return range(0, len(self.points), math.ceil(len(self.points) / most))


def _text(density: float) -> str:
    text = f"{density:.4g}"
    return text if "." in text else f"{text}.0"


def crossings(
    x: Sequence[float], first: Sequence[float], second: Sequence[float], log: bool = False
) -> tuple[tuple[float, float], ...]:
    """Points (x, y) where two curves change order.

    Between their points the curves are straight, on a logarithmic y axis where `log` (all values above 0 then). Where
    they touch, or coincide for a while, and part in the other order, the point of parting counts; where they part in
    the same order, nothing does.
    """
    read = math.log if log else float
    a, b = [read(value) for value in first], [read(value) for value in second]
    found: list[tuple[float, float]] = []
    sign = 0
    for index, difference in enumerate(u - v for u, v in zip(a, b, strict=True)):
        if difference == 0:
            continue
        if sign * difference < 0:
            before = a[index - 1] - b[index - 1]
            share = before / (before - difference)
            y = a[index - 1] + share * (a[index] - a[index - 1])
            found.append((x[index - 1] + share * (x[index] - x[index - 1]), math.exp(y) if log else y))
        sign = 1 if difference > 0 else -1
    return tuple(found)
