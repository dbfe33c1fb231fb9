"""SCNN as a system with a ledger: every claim of the paper with what measures it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from timeloop_py.claims.ledger import DATA, Measured, load_ledger
from timeloop_py.claims.scnn import areas, capacity, energy, performance, shapes
from timeloop_py.claims.scnn.exhibits import EXHIBITS
from timeloop_py.claims.scnn.runs import CALIBRATED, LITERATURE, Measure, Runs
from timeloop_py.claims.systems import System
from timeloop_py.specs.library import find
from timeloop_py.specs.tables import load_energy_table

MEASURES: Mapping[str, Measure] = {
    **shapes.MEASURES,
    **areas.MEASURES,
    **performance.MEASURES,
    **energy.MEASURES,
    **capacity.MEASURES,
}
#: Claims in joules: measured with the energies of the literature, too.
_IN_ENERGY = "energy"


def load() -> System:
    """The paper's ledger under the calibrated energies, with the literature's beside them."""
    return system_of(Runs(CALIBRATED), Runs(LITERATURE))


def system_of(runs: Runs, before: Runs) -> System:
    """The same from runs under the calibrated energies and under the literature's, which may have been evaluated."""
    claims = load_ledger("scnn")
    topics = {claim.id: claim.topic for claim in claims}

    def measure(claim: str) -> Measured:
        measured = MEASURES[claim](runs)
        if topics[claim] != _IN_ENERGY:
            return measured
        return replace(measured, uncalibrated=MEASURES[claim](before).value)

    entries = load_energy_table(CALIBRATED).entries.values()
    return System(
        name="scnn",
        title="Parashar et al., SCNN: An Accelerator for Compressed-sparse Convolutional Neural Networks, ISCA 2017",
        claims=claims,
        measure=measure,
        fitted=frozenset(claim for entry in entries for claim in entry.fitted_to),
        exhibits={name: partial(exhibit.make, runs) for name, exhibit in EXHIBITS.items()},
        prefixes={name: exhibit.claims for name, exhibit in EXHIBITS.items() if exhibit.claims},
        specs=_digests(runs),
    )


def _digests(runs: Runs) -> dict[str, str]:
    files = {f"table {name}": find("energy_tables", name) for name in (CALIBRATED, LITERATURE)}
    files["ledger"] = DATA / "scnn.csv"
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    digests |= {f"architecture {name}": design.digest for name, design in runs.designs.items()}
    return digests | {f"network {name}": network.digest for name, network in runs.networks.items()}
