"""What the ledgers of other systems share: runs, energies at other processes, and how a system is put together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from timeloop_py.claims.ledger import DATA, Measured, load_ledger
from timeloop_py.claims.systems import Exhibit, System
from timeloop_py.model.area import component_areas_mm2
from timeloop_py.model.evaluate import Evaluation, Point, evaluate
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.library import Kind, find
from timeloop_py.specs.network import Network, load_network
from timeloop_py.specs.tables import area_factor, load_area_table, load_energy_table, scaling_factor

if TYPE_CHECKING:
    import pandas as pd

Measures = Mapping[str, Callable[[], Measured]]

_FOLDERS: Mapping[str, Kind] = {"architecture": "arch_specs", "network": "workloads", "table": "energy_tables"}

architecture: Callable[[str], Architecture] = cache(load_architecture)
network: Callable[[str], Network] = cache(load_network)


class Process(NamedTuple):
    """A process that a machine was published in."""

    node_nm: float
    voltage_v: float


#: Where the machines were published, at the nominal supply of their process.
PROCESSES = {
    "dadiannao": Process(28, 0.9),
    "cnvlutin": Process(28, 0.9),
    "diannao": Process(65, 1.0),
    "cambricon_x": Process(65, 1.0),
    "eyeriss": Process(65, 1.0),
    "eie": Process(45, 0.9),
}
#: Energy tables of a process, by node; the other machines' energies are brought to theirs by E = C V^2.
TABLES = {45: "horowitz_45nm", 65: "diannao_65nm"}
#: Area tables of a process, by node; the other machines' areas are brought to theirs by the square of the nodes' ratio.
AREA_TABLES = {45: "area_45nm", 65: "area_65nm"}
#: What is brought to another process.
SCALED_TABLES = ("table literature_16nm", "table area_tsmc16")


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


def at_its_process(design: Architecture) -> Architecture:
    """A machine with the energy table of its own process and wires as long as there, as it is where none ships.

    The pricing rule of all ledgers (energy_tables/README.md, "Machines in other processes").
    """
    process = PROCESSES[design.name]
    table = TABLES.get(int(process.node_nm))
    if table is None:
        return design
    longer = process.node_nm / load_energy_table(design.energy_table or "").node_nm
    components = {
        name: replace(part, attributes=dict(part.attributes) | {"pitch_mm": part.attributes["pitch_mm"] * longer})
        if "pitch_mm" in part.attributes
        else part
        for name, part in design.components.items()
    }
    return replace(design, energy_table=table, components=components)


def on_chip_energy_pj(evaluation: Evaluation, without: Sequence[str] = ()) -> float:
    """Energy without DRAM, and ``without`` further components."""
    accesses = evaluation.accesses
    return float(accesses.loc[~accesses["level"].isin(["dram", *without]), "energy_pj"].sum())


def part_energy_pj(evaluation: Evaluation, components: Sequence[str]) -> float:
    """Energy of some components."""
    accesses = evaluation.accesses
    return float(accesses.loc[accesses["level"].isin(components), "energy_pj"].sum())


def at_process(energy_pj: float, design: Architecture) -> float:
    """An energy of logic and memory of a design at the machine's process, by the rule of the tables (E = C V^2)."""
    table, process = load_energy_table(design.energy_table or ""), PROCESSES[design.name]
    return energy_pj * scaling_factor("gates", table.node_nm, table.voltage_v, process.node_nm, process.voltage_v)


def on_chip_power_w(design: Architecture, runs: Sequence[Evaluation], without: Sequence[str] = ()) -> float:
    """On-chip energy at the machine's process over time, all runs one after the other, W."""
    energy = sum(on_chip_energy_pj(one, without) for one in runs)
    return power_w(at_process(energy, design), sum(one.cycles for one in runs), design.clock_ghz)


def power_w(energy_pj: float, cycles: float, clock_ghz: float) -> float:
    """Energy over time, W."""
    return energy_pj / cycles * clock_ghz * 1e-3


def areas_at_process(design: Architecture, projected_nm: float | None = None) -> dict[str, float]:
    """Areas by component at the machine's process, mm2, or as its publication projects them to another node.

    From the table of its node where one ships, else from the design's, times the square of the nodes' ratio.
    """
    node_nm = PROCESSES[design.name].node_nm
    table = load_area_table(AREA_TABLES.get(int(node_nm), design.area_table or ""))
    factor = area_factor(table.node_nm, projected_nm or node_nm)
    return {name: area * factor for name, area in component_areas_mm2(design, table).items()}


def operations_per_second(design: Architecture) -> float:
    """Multiplications and additions at every cycle."""
    return 2 * design.components["multiplier"].count * design.clock_ghz * 1e9
