"""Pareto fronts of mapspaces: the mappings that no other one beats in every chosen metric at once.

All metrics are ``energy * cycles**k``: energy (k = 0), EDP (1), ED2P (2), and cycles (the limit of large k, its k-th
root). Of three metrics the middle one is a weighted geometric mean of the outer two, up to a power: a mapping that is
no worse in both outer ones is no worse in the middle one either. So the front in all of them is the front in the two
with the least and the greatest ``k``, and no other has to be searched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from timeloop_py.mapper.objective import METRICS, Measure, metric_name
from timeloop_py.specs.errors import SpecError

M = TypeVar("M")

#: Metrics from the one that minds cycles least to the one that minds nothing else.
_BY_DELAY = ("energy_pj", "edp_pj_cycles", "ed2p_pj_cycles2", "cycles")
#: Relative difference below which two values of a metric are the same point.
SAME = 1e-9


@dataclass(frozen=True)
class FrontPoint(Generic[M]):
    """A mapping on the front. ``proven``: no mapping is better in one metric and as good in the others."""

    mapping: M
    energy_pj: float
    cycles: float
    proven: bool


@dataclass(frozen=True)
class Front(Generic[M]):
    """The front in ``metrics``, from the least value of the first of them on.

    ``complete``: no point of the front is missing.
    """

    metrics: tuple[str, ...]
    points: tuple[FrontPoint[M], ...]
    complete: bool


def front_metrics(names: str | Sequence[str]) -> tuple[str, ...]:
    """Two or more metrics by their short or full names, ``energy_pj,cycles``; SpecError with the nearest name."""
    given = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    metrics = tuple(dict.fromkeys(metric_name(name, field="pareto") for name in given))
    if len(metrics) < 2:
        raise SpecError(f"expected two or three of {', '.join(METRICS)}, found {', '.join(given)}", field="pareto")
    return metrics


def outer_metrics(metrics: Sequence[str]) -> tuple[Measure, Measure]:
    """The two metrics whose front is the front in all: that which minds cycles least, and most."""
    ordered = sorted(metrics, key=_BY_DELAY.index)
    return Measure(((ordered[0], 1.0),)), Measure(((ordered[-1], 1.0),))


def walked_front(
    metrics: tuple[str, ...],
    least: Callable[[Measure, tuple[tuple[Measure, float], ...]], FrontPoint[M] | None],
    found: Callable[[int], None] | None = None,
) -> Front[M]:
    """The front of a space of which only the best mapping under limits can be asked for.

    ``least`` minimizes a measure under upper limits of others; None where nothing was found in time. The walk starts
    at the least value of one outer metric and asks each time for the least of it among the mappings that are better in
    the other one, until that is the least there is. Every point but those that tie in the first metric is on the front,
    and nothing lies between two points that follow each other. ``found`` is told how many points there are.
    """
    first, second = outer_metrics(metrics)
    points: list[FrontPoint[M]] = []
    end = least(second, ())
    complete = end is not None and end.proven
    lowest = -np.inf if end is None else float(second.value(end.energy_pj, end.cycles))
    limit = np.inf
    while limit > lowest * (1 + SAME):
        point = least(first, () if limit == np.inf else ((second, limit * (1 - SAME)),))
        if point is None:
            complete = False
            break
        points.append(point)
        limit = float(second.value(point.energy_pj, point.cycles))
        if found is not None:
            found(len(points))
        if not point.proven:
            complete = False
            break
    if not complete and end is not None:
        points.append(end)
    return Front(metrics, _front(points, metrics), complete)


def enumerated_front(metrics: tuple[str, ...], points: Sequence[FrontPoint[M]]) -> Front[M]:
    """The front of a space that was evaluated whole."""
    return Front(metrics, _front(points, metrics), complete=True)


def _front(points: Sequence[FrontPoint[M]], metrics: tuple[str, ...]) -> tuple[FrontPoint[M], ...]:
    """The points that none dominates, one of those that are equal, in the order of the first metric."""
    if not points:
        return ()
    first, second = outer_metrics(metrics)
    energy = np.array([point.energy_pj for point in points])
    cycles = np.array([point.cycles for point in points])
    kept = non_dominated_pairs(first.value(energy, cycles), second.value(energy, cycles))
    order = METRICS[metrics[0]](energy, cycles)
    return tuple(points[index] for index in sorted(kept, key=lambda index: (float(order[index]), int(index))))


def non_dominated_pairs(first: ArrayLike, second: ArrayLike) -> NDArray[np.intp]:
    """Indices of the pairs that no other is below, by rising ``first``; of equal pairs the one that comes first."""
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    order = np.lexsort((other, one))
    below = np.minimum.accumulate(np.concatenate([[np.inf], other[order][:-1]]))
    chosen: NDArray[np.intp] = order[other[order] < below * (1 - SAME)]
    return chosen
