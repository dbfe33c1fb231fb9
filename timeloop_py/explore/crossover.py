"""Densities at which one design overtakes another, solved with the model and not read off a plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from timeloop_py.explore.sweep import Sweep
from timeloop_py.model.batch import Array
from timeloop_py.model.evaluate import Point, Unit, cycles_of_units, energies_of_units
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.network import Network

if TYPE_CHECKING:
    import pandas as pd

Metric = Literal["cycles", "energy_pj", "edp_pj_cycles"]
METRICS: tuple[Metric, ...] = ("cycles", "energy_pj", "edp_pj_cycles")

#: How finely a path is looked through for changes of order, and how narrowly one is bracketed.
SAMPLES = 201
TOLERANCE = 1e-9
#: Samples evaluated in one go: enough for NumPy, few enough for whoever wants the first change only.
_AT_ONCE = 41


@dataclass(frozen=True)
class Crossover:
    """Where the order of two designs changes along a density path.

    Below the point (towards lower density) ``better_below`` has the smaller metric. ``kind`` is ``jump`` where the
    metric itself jumps there (a layer starts to spill) and the curves do not meet.
    """

    weight_density: float
    activation_density: float
    better_below: str
    kind: Literal["crossing", "jump"]


def crossover(sweep: pd.DataFrame, first: str, second: str, metric: Metric = "cycles") -> list[Crossover]:
    """Every change of order of two architectures along the density path of a sweep.

    ``sweep`` is a frame of :func:`timeloop_py.explore`; between its points the model is evaluated again, and each
    change bracketed to 1e-9. Gives the changes from the densest to the sparsest; none if one design always wins.
    SpecError: an unknown architecture or metric, several networks, or density points that are not one path.
    """
    plan = sweep.attrs.get("sweep")
    if not isinstance(plan, Sweep):
        raise SpecError("expected a frame that explore returned: it carries the sweep to evaluate again", field="sweep")
    if metric not in METRICS:
        raise SpecError(f"unknown metric {metric!r}{nearest(metric, METRICS)}", field="metric")
    if len(plan.networks) != 1:
        raise SpecError("expected a sweep of one network", field="sweep")
    designs = [_named(plan, name) for name in (first, second)]
    return list(crossovers_on_path(designs[0], designs[1], plan.networks[0], plan.points, metric))


def crossovers_on_path(
    first: Architecture,
    second: Architecture,
    network: Network,
    points: tuple[Point, ...],
    metric: Metric = "cycles",
) -> Iterator[Crossover]:
    """Changes of order along the straight line from the densest to the sparsest of the points.

    Solved one after the other, so the first is there before the rest of the path is looked through.
    """
    start, end = _ends(points)
    units = [Unit(design, network, layer) for design in (first, second) for layer in network.layers]

    def place(t: float) -> Point:
        weight, activation = (
            None if a is None or b is None else a + (b - a) * t for a, b in zip(start, end, strict=True)
        )
        return weight, activation

    def difference(ts: Array) -> Array:
        values = _totals(units, [place(float(t)) for t in ts], metric)
        scaled: Array = (values[0] - values[1]) / np.maximum(values[0], values[1])
        return scaled

    for t, jump, sign_below in sign_changes(difference):
        weight, activation = place(t)
        yield Crossover(
            weight_density=float("nan") if weight is None else weight,
            activation_density=float("nan") if activation is None else activation,
            better_below=second.name if sign_below > 0 else first.name,
            kind="jump" if jump else "crossing",
        )


def _totals(units: list[Unit], points: list[Point], metric: Metric) -> tuple[Array, Array]:
    """The metric of the designs that have either half of the units, at each point; only what it needs is evaluated."""
    rows = len(units) // 2

    def halves(values: Array) -> tuple[Array, Array]:
        return values[:rows].sum(axis=0), values[rows:].sum(axis=0)

    if metric == "cycles":
        return halves(cycles_of_units(units, points))
    energy = halves(energies_of_units(units, points))
    if metric == "energy_pj":
        return energy
    cycles = halves(cycles_of_units(units, points))
    return cycles[0] * energy[0], cycles[1] * energy[1]


def sign_changes(function: Callable[[Array], Array]) -> Iterator[tuple[float, bool, float]]:
    """(place, whether it is a jump, sign after it) of every sign change on [0, 1], bracketed to the tolerance."""
    before: tuple[float, float] | None = None
    samples = np.linspace(0.0, 1.0, SAMPLES)
    for start in range(0, SAMPLES, _AT_ONCE):
        part = samples[start : start + _AT_ONCE]
        for here in zip(part.tolist(), function(part).tolist(), strict=True):
            if here[1] == 0:
                continue
            if before is not None and np.sign(before[1]) != np.sign(here[1]):
                yield _bracketed(function, before, here)
            before = here


def _bracketed(
    function: Callable[[Array], Array], before: tuple[float, float], after: tuple[float, float]
) -> tuple[float, bool, float]:
    """The same of the first change between two places, given with their values."""
    (low, left), (high, right) = before, after
    while high - low > TOLERANCE:
        inner = np.linspace(low, high, 18)[1:-1]
        inside = np.concatenate([[left], function(inner), [right]])
        edges = np.concatenate([[low], inner, [high]])
        change = int(
            np.flatnonzero((np.sign(inside[:-1]) == np.sign(left)) & (np.sign(inside[1:]) != np.sign(left)))[0]
        )
        low, high, left, right = edges[change], edges[change + 1], inside[change], inside[change + 1]
    return float(low + high) / 2, bool(abs(right - left) > 1e-6), float(np.sign(right))


def _ends(points: tuple[Point, ...]) -> tuple[Point, Point]:
    """The densest and the sparsest point of a straight path."""
    distinct = sorted(set(points), key=lambda point: (point[0] or 0.0, point[1] or 0.0), reverse=True)
    start, end = distinct[0], distinct[-1]
    if len(distinct) < 2:
        raise SpecError("expected a sweep over several densities", field="sweep")
    for weight, activation in distinct:
        direction = [(end[0] or 0.0) - (start[0] or 0.0), (end[1] or 0.0) - (start[1] or 0.0)]
        step = [(weight or 0.0) - (start[0] or 0.0), (activation or 0.0) - (start[1] or 0.0)]
        if abs(direction[0] * step[1] - direction[1] * step[0]) > 1e-9:
            raise SpecError("the density points do not lie on one straight path", field="sweep")
    return start, end


def _named(plan: Sweep, name: str) -> Architecture:
    key = name.replace("-", "_")
    for architecture in plan.architectures:
        if architecture.name == key:
            return architecture
    known = [architecture.name for architecture in plan.architectures]
    raise SpecError(f"no architecture {name!r} in the sweep{nearest(key, known)}", field="architecture")
