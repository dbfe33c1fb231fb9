"""Calibration: the few energies of ``literature_16nm`` that three claims of the paper decide (MODEL section 6).

Which numbers: forward selection. Starting from the literature, the published number whose refit brings the objective
down most is taken up, until six entries are fitted or another one gains less than a twentieth. What one published
number prices (a DRAM access, read or written) moves together. The fit is a maximum a posteriori estimate: a claim is
off by its tolerance at three standard deviations, a number by half its range (in logarithms) at one, and none leaves
its range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timeloop_py.claims.ledger import load_ledger, scalar
from timeloop_py.claims.scnn.energy import CLAIMS, PricedEnergies
from timeloop_py.claims.scnn.runs import CALIBRATED, LITERATURE, Runs
from timeloop_py.model.batch import Array
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.library import folder
from timeloop_py.specs.tables import EnergyEntry, EnergyTable, load_energy_table

FITTED_CLAIMS = ("F7b-crossover-dcnn", "F10-opt", "F10-scnn")
MOST_NUMBERS = 6
#: a further number has to lower the objective by this share
WORTH_IT = 0.05
#: standard deviations at which a claim is off by its whole tolerance
SIGMAS = 3.0
#: a range that reaches zero is cut at this share of the value: its logarithm has to exist
_FLOOR = 0.01
_DIGITS = 4

Group = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One round of the selection: the events taken up, the objective after it, and the claims by then."""

    events: Group
    objective: float
    claims: Mapping[str, float]


@dataclass(frozen=True)
class Calibration:
    """Fitted values in pJ by event (at the reference attributes of its entry), and how they were chosen."""

    base: EnergyTable
    values_pj: Mapping[str, float]
    steps: tuple[Step, ...]

    @property
    def table(self) -> EnergyTable:
        return self.base.with_fitted(CALIBRATED, self.values_pj, FITTED_CLAIMS)


def calibrate() -> Calibration:
    """Fit the three claims. The same input gives the same table."""
    base = load_energy_table(LITERATURE)
    energies = PricedEnergies(Runs(LITERATURE))
    candidates = published_numbers(base, energies.events)
    problem = _Problem(base, energies)
    objective, _ = problem.fit(())
    steps = [Step((), objective, problem.claims({}))]
    chosen: tuple[Group, ...] = ()
    while True:
        room = MOST_NUMBERS - sum(map(len, chosen))
        left = [group for group in candidates if group not in chosen and len(group) <= room]
        fits = [(problem.fit((*chosen, group)), group) for group in left]
        if not fits:
            break
        (objective, factors), group = min(fits, key=lambda fit: fit[0][0])
        if objective > (1 - WORTH_IT) * steps[-1].objective:
            break
        chosen = (*chosen, group)
        steps.append(Step(group, objective, problem.claims(factors)))
    _, factors = problem.fit(chosen)
    values = {event: _rounded(base.entries[event], factor) for event, factor in factors.items()}
    return Calibration(base, values, tuple(steps))


def published_numbers(table: EnergyTable, events: Sequence[str]) -> tuple[Group, ...]:
    """Events by the published number that prices them: a component's read and write may share one."""
    groups: dict[tuple[str, float], list[str]] = {}
    for event in events:
        published = table.entries[event].published
        if published is not None:
            groups.setdefault((event.split(".")[0], published.value_pj), []).append(event)
    return tuple(tuple(group) for group in groups.values())


class _Problem:
    """Residuals of the three claims and of the literature, over the logarithms of factors."""

    def __init__(self, base: EnergyTable, energies: PricedEnergies) -> None:
        self._base = base
        self._energies = energies
        ledger = {claim.id: claim for claim in load_ledger("scnn")}
        self._goals = [ledger[name] for name in FITTED_CLAIMS]

    def claims(self, factors: Mapping[str, float]) -> dict[str, float]:
        energies = self._energies.of(factors)
        return {name: scalar(CLAIMS[name](energies)) for name in FITTED_CLAIMS}

    def fit(self, groups: Sequence[Group]) -> tuple[float, dict[str, float]]:
        """The objective at its minimum over these groups, and the factor of every event in them."""
        from scipy.optimize import least_squares

        if not groups:
            return float(np.sum(self._off_claims({}) ** 2)), {}
        bounds = np.array([self._bounds(group) for group in groups])
        spread = (bounds[:, 1] - bounds[:, 0]) / 2

        def residuals(logs: Array) -> Array:
            return np.concatenate([self._off_claims(_factors(groups, logs)), logs / spread])

        start = np.clip(np.zeros(len(groups)), bounds[:, 0], bounds[:, 1])
        result = least_squares(
            residuals,
            start,
            bounds=(bounds[:, 0], bounds[:, 1]),
            diff_step=np.full(len(groups), 1e-3),
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
        )
        return float(2 * result.cost), _factors(groups, result.x)

    def _off_claims(self, factors: Mapping[str, float]) -> Array:
        """How far each claim is off, in standard deviations."""
        ours = self.claims(factors)
        return np.array(
            [(ours[claim.id] / scalar(claim.paper) - 1) * SIGMAS / (claim.tolerance or 1) for claim in self._goals]
        )

    def _bounds(self, group: Group) -> tuple[float, float]:
        """Logarithms of the factors that keep every event of a group inside its range."""
        lows, highs = [], []
        for event in group:
            entry = self._base.entries[event]
            low, high = entry.range_pj
            lows.append(np.log(max(low / entry.law.value, _FLOOR)))
            highs.append(np.log(high / entry.law.value))
        return float(max(lows)), float(min(highs))


def _factors(groups: Sequence[Group], logs: Array) -> dict[str, float]:
    return {event: float(np.exp(log)) for group, log in zip(groups, logs, strict=True) for event in group}


def _rounded(entry: EnergyEntry, factor: float) -> float:
    """The value with few digits, still inside the range."""
    low, high = entry.range_pj
    return min(max(float(f"{entry.law.value * factor:.{_DIGITS}g}"), low), high)


# -- the table as a file ---------------------------------------------------------------------------------------

_HEAD = """\
# literature_16nm with the numbers that three claims of the SCNN paper (ISCA 2017) decide:
# {claims}. Written by `timeloop-py reproduce --calibrate`.
# All other energy claims of the paper are predictions of this table.
#
# Chosen by forward selection: the published number whose refit lowers the objective most is taken up next, until six
# entries are fitted or the next one would gain less than {worth:.0%}. Objective: squares of the claims' differences
# (tolerance = {sigmas:g} standard deviations) plus squares of the logarithms of value over literature (half the range =
# one). Nothing leaves the range of its entry in literature_16nm.
#
{trace}
"""


def table_text(calibration: Calibration) -> str:
    """``scnn_16nm.yaml``: what was fitted, from what, and why these numbers."""
    trace = [f"#   {'taken up':32s} {'objective':>9s}  " + "  ".join(f"{name:>18s}" for name in FITTED_CLAIMS)]
    for step in calibration.steps:
        claims = "  ".join(f"{step.claims[name]:18.3f}" for name in FITTED_CLAIMS)
        trace.append(f"#   {', '.join(step.events) or 'nothing':32s} {step.objective:9.2f}  {claims}")
    lines = [
        _HEAD.format(claims=", ".join(FITTED_CLAIMS), worth=WORTH_IT, sigmas=SIGMAS, trace="\n".join(trace)),
        f"extends: {LITERATURE}",
        "entries:",
    ]
    for event, value in calibration.values_pj.items():
        entry = calibration.base.entries[event]
        low, high = entry.range_pj
        lines += [
            f"  {event}:",
            f"    value_pj: {value:g}",
            f"    fitted: [{', '.join(FITTED_CLAIMS)}]",
            f"    note: literature {entry.law.value:g}, range {low:g} to {high:g}; times {value / entry.law.value:.3f}",
        ]
    return "\n".join(lines) + "\n"


def table_path() -> Path:
    """Where the shipped table lies."""
    return folder("energy_tables") / f"{CALIBRATED}.yaml"


def write_table(calibration: Calibration, path: Path) -> Path:
    """Write the table. SpecError where that is not possible."""
    try:
        path.write_text(table_text(calibration), encoding="utf-8")
    except OSError as error:
        raise SpecError(f"cannot write the table here: {error.strerror or error}", path=path, field="--table") from None
    return path
