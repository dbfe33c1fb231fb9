"""DaDianNao (Chen et al., MICRO 2014): one node, dense."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.related.related_system import (
    SCALED_TABLES,
    architecture,
    areas_at_process,
    at_process,
    network,
    on_chip_power_w,
    operations_per_second,
    part_energy_pj,
    power_w,
    related_system,
    run,
)
from timeloop_py.claims.systems import System
from timeloop_py.model.evaluate import Evaluation, evaluate

if TYPE_CHECKING:
    import pandas as pd

#: Convolutions whose mean the powers are.
NETWORKS = ("alexnet", "googlenet", "vgg16")
EDRAM = ("weight_memory", "activation_memory")
MEMORIES = (*EDRAM, "input_buffer", "accumulator")


def _memory_mb() -> Measured:
    parts = [architecture("dadiannao").components[name] for name in EDRAM]
    return Measured(sum(part.count * part.attributes["capacity_bytes"] for part in parts) / 2**20)


def _bandwidth() -> Measured:
    design = architecture("dadiannao")
    memory = design.components["weight_memory"]
    bits = memory.count * memory.attributes["width_bits"] * (memory.events_per_cycle or 0.0)
    return Measured(bits / 8 * design.clock_ghz)


def _fc7() -> Measured:
    design = architecture("dadiannao")
    cycles = evaluate(design, network("alexnet:all").layer("fc7")).to_frame()["compute_cycles"].iloc[0]
    return Measured(design.clock_ghz * 1e9 / float(cycles))


def _runs() -> list[Evaluation]:
    return [run(architecture("dadiannao"), network(name)) for name in NETWORKS]


def _busy() -> list[Evaluation]:
    """A layer that every multiplier works in all the time."""
    return [evaluate(architecture("dadiannao"), network("alexnet:all").layer("fc7"))]


def _power() -> Measured:
    design = architecture("dadiannao")
    busy = on_chip_power_w(design, _busy())
    return Measured(on_chip_power_w(design, _runs()), f"{busy:.1f} W with every multiplier busy in every cycle")


def _memory_power() -> Measured:
    def watts(runs: list[Evaluation]) -> float:
        design = architecture("dadiannao")
        energy = at_process(sum(part_energy_pj(one, MEMORIES) for one in runs), design)
        return power_w(energy, sum(one.cycles for one in runs), design.clock_ghz)

    return Measured(watts(_runs()), f"{watts(_busy()):.1f} W with every multiplier busy in every cycle")


def _area() -> Measured:
    areas = areas_at_process(architecture("dadiannao"))
    edram = sum(areas[name] for name in EDRAM)
    return Measured(sum(areas.values()), f"{edram:.1f} mm2 of it eDRAM")


MEASURES: dict[str, Callable[[], Measured]] = {
    "peak": lambda: Measured(operations_per_second(architecture("dadiannao")) / 1e12),
    "memory": _memory_mb,
    "bandwidth": _bandwidth,
    "fc7": _fc7,
    "power": _power,
    "memory-power": _memory_power,
    "area": _area,
}


def table() -> pd.DataFrame:
    """Every layer of the three networks at its own densities."""
    import pandas as pd

    nets = [network(name) for name in ("alexnet:all", "vgg16:all", "googlenet")]
    return pd.concat([run(architecture("dadiannao"), net).to_frame() for net in nets], ignore_index=True)


def load() -> System:
    """DaDianNao's ledger."""
    return related_system(
        "dadiannao",
        "Chen et al., DaDianNao: A Machine-Learning Supercomputer, MICRO 2014",
        MEASURES,
        table,
        ["architecture dadiannao", *(f"network {net}" for net in NETWORKS), *SCALED_TABLES],
    )
