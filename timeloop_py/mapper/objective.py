"""What a search minimizes: energy, cycles, their products, weighted sums of them, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from timeloop_py.specs.errors import SpecError, nearest

Number = Any

#: A mapping's metrics, as functions of its energy (pJ) and its cycles. All of them grow with both.
METRICS: Mapping[str, Callable[[Number, Number], Number]] = {
    "energy_pj": lambda energy, cycles: energy + 0 * cycles,
    "cycles": lambda energy, cycles: cycles + 0 * energy,
    "edp_pj_cycles": lambda energy, cycles: energy * cycles,
    "ed2p_pj_cycles2": lambda energy, cycles: energy * cycles * cycles,
}
_SHORT = {"energy": "energy_pj", "edp": "edp_pj_cycles", "ed2p": "ed2p_pj_cycles2"}

#: Relative difference below which two values are one: sums of floats in another order differ by less.
TIE = 1e-12


@dataclass(frozen=True)
class Measure:
    """A weighted sum of metrics, (metric, weight); weights are positive, so it grows with energy and with cycles."""

    terms: tuple[tuple[str, float], ...]

    def value(self, energy_pj: Number, cycles: Number) -> Number:
        """The measure of numbers or arrays; of lower bounds it is a lower bound."""
        return sum(weight * METRICS[name](energy_pj, cycles) for name, weight in self.terms)

    @property
    def ignores_energy(self) -> bool:
        return all(name == "cycles" for name, _ in self.terms)

    def __str__(self) -> str:
        return "+".join(name if weight == 1 else f"{weight:g}*{name}" for name, weight in self.terms)


@dataclass(frozen=True)
class Objective:
    """Measures in the order in which they count: a later one decides among the optima of those before it."""

    measures: tuple[Measure, ...]

    def __str__(self) -> str:
        return ",".join(str(measure) for measure in self.measures)


@dataclass(frozen=True)
class Goal:
    """One step of a search: minimize ``measure`` among the mappings that stay within ``limits``."""

    measure: Measure
    limits: tuple[tuple[Measure, float], ...] = ()

    def bound(self, energy_pj: Number, cycles: Number) -> Number:
        """The measure of lower bounds of energy and cycles; infinite where a limit is passed whatever follows."""
        import numpy as np

        value = self.measure.value(energy_pj, cycles)
        for measure, limit in self.limits:
            value = np.where(measure.value(energy_pj, cycles) <= limit * (1 + TIE), value, math.inf)
        return value


def parse_objective(text: str) -> Objective:
    """``energy``, ``cycles``, ``edp``, ``ed2p``; sums with weights ``energy+1000*cycles``; several by commas.

    Commas order lexicographically: ``cycles,energy`` is the least energy among the fastest mappings.
    """
    measures = tuple(_measure(part.strip(), text) for part in text.split(","))
    return Objective(measures)


def metric_name(text: str, field: str = "objective") -> str:
    """The full name of a metric; SpecError with the nearest."""
    name = _SHORT.get(text, text)
    if name not in METRICS:
        raise SpecError(f"unknown metric {text!r}{nearest(text, (*_SHORT, 'cycles'))}", field=field)
    return name


def _measure(text: str, whole: str) -> Measure:
    terms: dict[str, float] = {}
    for term in text.split("+"):
        weight_text, star, name = term.rpartition("*")
        weight = 1.0
        if star:
            try:
                weight = float(weight_text)
            except ValueError:
                raise SpecError(f"expected a number before '*', found {weight_text!r}", field="objective") from None
        if not (weight > 0 and math.isfinite(weight)):
            raise SpecError(f"expected a weight above 0, found {weight:g} in {whole!r}", field="objective")
        metric = metric_name(name.strip())
        terms[metric] = terms.get(metric, 0.0) + weight
    return Measure(tuple(terms.items()))
