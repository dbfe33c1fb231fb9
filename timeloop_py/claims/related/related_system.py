"""What the ledgers of other systems share: runs, energies at other processes, and how a system is put together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import DATA, Measured, load_ledger
from timeloop_py.claims.systems import Exhibit, System
from timeloop_py.model.evaluate import Evaluation, Point, evaluate
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.library import Kind, find
from timeloop_py.specs.network import Network, load_network
from timeloop_py.specs.tables import load_energy_table, scaling_factor

if TYPE_CHECKING:
    import pandas as pd

Measures = Mapping[str, Callable[[], Measured]]

_FOLDERS: Mapping[str, Kind] = {"architecture": "arch_specs", "network": "workloads", "table": "energy_tables"}

architecture: Callable[[str], Architecture] = cache(load_architecture)
network: Callable[[str], Network] = cache(load_network)


def related_system(
    name: str,
    title: str,
    measures: Measures,
    table: Callable[[], pd.DataFrame],
    specs: Sequence[str],
    fitted: frozenset[str] = frozenset(),
) -> System:
    """A system from its ledger, what measures each claim, and one table behind them (``layers``).

    ``specs``: architectures (``architecture NAME``), networks and energy or area tables behind the numbers.
    ``fitted``: claims that a setting of the runs was read off.
    """
    files = {"ledger": DATA / f"{name}.csv"}
    for entry in specs:
        kind, _, key = entry.partition(" ")
        files[entry] = find(_FOLDERS[kind], key)
    claims = load_ledger(name)
    return System(
        name=name,
        title=title,
        claims=claims,
        measure=partial(_measure, measures),
        fitted=fitted,
        exhibits={"layers": partial(_exhibit, f"{name}_layers", table)},
        prefixes={"layers": ""},
        specs={entry: hashlib.sha256(path.read_bytes()).hexdigest() for entry, path in files.items()},
    )


def _measure(measures: Measures, claim: str) -> Measured:
    return measures[claim]()


def _exhibit(file: str, table: Callable[[], pd.DataFrame]) -> Exhibit:
    return Exhibit(tables={file: table()})


def run(design: Architecture, net: Network, points: Sequence[Point] = ((None, None),)) -> Evaluation:
    """A network at density points."""
    return evaluate(design, net, points)


def with_activation_zeros(net: Network, zeros: float) -> Network:
    """The network with the same share of zeros in all activations but its input, and dense weights."""
    return replace(
        net,
        layers=tuple(
            replace(
                layer,
                weight_density=1.0,
                activation_density=1.0 - zeros if net.inputs[layer.name] else 1.0,
                output_density=1.0 - zeros,
            )
            for layer in net.layers
        ),
    )


def on_chip_energy_pj(evaluation: Evaluation) -> float:
    """Energy without DRAM."""
    accesses = evaluation.accesses
    return float(accesses.loc[accesses["level"] != "dram", "energy_pj"].sum())


def at_process(energy_pj: float, design: Architecture, node_nm: float, voltage_v: float) -> float:
    """An energy of logic and memory at another process, by the rule of the energy tables (E = C V^2)."""
    table = load_energy_table(design.energy_table or "")
    return energy_pj * scaling_factor("gates", table.node_nm, table.voltage_v, node_nm, voltage_v)


def power_w(energy_pj: float, cycles: float, clock_ghz: float) -> float:
    """Energy over time, W."""
    return energy_pj / cycles * clock_ghz * 1e-3


def scaled_area(area_mm2: float, node_nm: float) -> float:
    """An area of the 16 nm table at another node, in proportion to the square of the node."""
    return area_mm2 * (node_nm / 16) ** 2


def operations_per_second(design: Architecture) -> float:
    """Multiplications and additions at every cycle."""
    return 2 * design.components["multiplier"].count * design.clock_ghz * 1e9
