"""Densities at which one design overtakes another, solved with the model and not read off a plot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from timeloop_py.explore.sweep import Sweep
from timeloop_py.model.batch import Array
from timeloop_py.model.evaluate import Point, evaluate
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
    return crossovers_on_path(designs[0], designs[1], plan.networks[0], plan.points, metric)


def crossovers_on_path(
    first: Architecture,
    second: Architecture,
    network: Network,
    points: tuple[Point, ...],
    metric: Metric = "cycles",
) -> list[Crossover]:
    """Changes of order along the straight line from the densest to the sparsest of the points."""
    start, end = _ends(points)

    def place(t: float) -> Point:
        weight, activation = (
            None if a is None or b is None else a + (b - a) * t for a, b in zip(start, end, strict=True)
        )
        return weight, activation

    def difference(ts: Array) -> Array:
        evaluation = evaluate([first, second], network, [place(float(t)) for t in ts])
        cycles, energy = evaluation.layer_cycles, evaluation.layer_energy_pj
        rows = len(network.layers)
        totals = [(cycles[part].sum(axis=0), energy[part].sum(axis=0)) for part in (slice(rows), slice(rows, None))]
        values = [{"cycles": c, "energy_pj": e, "edp_pj_cycles": c * e}[metric] for c, e in totals]
        scaled: Array = (values[0] - values[1]) / np.maximum(values[0], values[1])
        return scaled

    found = []
    for t, jump, sign_below in sign_changes(difference):
        weight, activation = place(t)
        found.append(
            Crossover(
                weight_density=float("nan") if weight is None else weight,
                activation_density=float("nan") if activation is None else activation,
                better_below=second.name if sign_below > 0 else first.name,
                kind="jump" if jump else "crossing",
            )
        )
    return found


def sign_changes(function: Callable[[Array], Array]) -> list[tuple[float, bool, float]]:
    """(place, whether it is a jump, sign after it) of every sign change on [0, 1], bracketed to the tolerance."""
    samples = np.linspace(0.0, 1.0, SAMPLES)
    values = function(samples)
    keep = values != 0
    samples, values = samples[keep], values[keep]
    found = []
    for index in np.flatnonzero(np.sign(values[:-1]) != np.sign(values[1:])):
        low, high = samples[index], samples[index + 1]
        left, right = values[index], values[index + 1]
        while high - low > TOLERANCE:
            inner = np.linspace(low, high, 18)[1:-1]
            inside = np.concatenate([[left], function(inner), [right]])
            edges = np.concatenate([[low], inner, [high]])
            change = int(
                np.flatnonzero((np.sign(inside[:-1]) == np.sign(left)) & (np.sign(inside[1:]) != np.sign(left)))[0]
            )
            low, high, left, right = edges[change], edges[change + 1], inside[change], inside[change + 1]
        found.append((float(low + high) / 2, bool(abs(right - left) > 1e-6), float(np.sign(right))))
    return found


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
