"""Which energies move which claim, and by how much: every energy per event at the ends of its plausible range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from timeloop_py.claims.ledger import Value
from timeloop_py.claims.scnn.energy import CLAIMS, Energies, PricedEnergies
from timeloop_py.claims.scnn.runs import Runs
from timeloop_py.specs.tables import load_energy_table

if TYPE_CHECKING:
    import pandas as pd

#: Relative step of the derivative.
_STEP = 0.01


def sensitivities(runs: Runs) -> pd.DataFrame:
    """One row per event and number of an energy claim.

    ``value_pj``, ``low_pj``, ``high_pj``: the event's energy in this table and the ends of its range. ``ours``,
    ``at_low``, ``at_high``: the claim there, everything else unchanged. ``elasticity``: relative change of the claim
    over relative change of the energy.
    """
    import pandas as pd

    energies, table = PricedEnergies(runs), load_energy_table(runs.energy_table)
    ours = _numbers(energies.of({}))
    rows = []
    for event in energies.events:
        entry = table.entries[event]
        value, (low, high) = entry.law.value, entry.range_pj
        at = {
            name: _numbers(energies.of({event: factor}))
            for name, factor in (
                ("low", low / value),
                ("high", high / value),
                ("below", 1 - _STEP),
                ("above", 1 + _STEP),
            )
        }
        rows += [
            {
                "event": event,
                "value_pj": value,
                "low_pj": low,
                "high_pj": high,
                "fitted": bool(entry.fitted_to),
                "claim": claim,
                "ours": number,
                "at_low": at["low"][claim],
                "at_high": at["high"][claim],
                "elasticity": (at["above"][claim] - at["below"][claim]) / (2 * _STEP * number),
            }
            for claim, number in ours.items()
        ]
    return pd.DataFrame(rows)


def swings(table: pd.DataFrame) -> pd.DataFrame:
    """Events x claims: by how many percent a claim changes over the range of an event, the most moving event first."""
    percent = table.assign(swing=100 * (table["at_high"] - table["at_low"]) / table["ours"])
    grid = percent.pivot(index="event", columns="claim", values="swing")[list(table["claim"].unique())]
    order = np.argsort(-grid.abs().max(axis=1).to_numpy(), kind="stable")
    return grid.iloc[order]


def _numbers(energies: Energies) -> dict[str, float]:
    """Every number of the energy claims; a range gives two."""
    found: dict[str, float] = {}
    for claim, measure in CLAIMS.items():
        value: Value = measure(energies)
        if isinstance(value, tuple):
            found |= {f"{claim} {end}": number for end, number in zip(("min", "max"), value, strict=True)}
        elif not isinstance(value, bool):
            found[claim] = value
    return found
