"""DaDianNao (Chen et al., MICRO 2014): one node, dense."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.related.related_system import (
    architecture,
    at_process,
    network,
    on_chip_energy_pj,
    operations_per_second,
    power_w,
    related_system,
    run,
    scaled_area,
)
from timeloop_py.claims.systems import System
from timeloop_py.model.evaluate import evaluate

if TYPE_CHECKING:
    import pandas as pd


def _memory_mb() -> Measured:
    parts = [architecture("dadiannao").components[name] for name in ("weight_memory", "activation_memory")]
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


def _power() -> Measured:
    design = architecture("dadiannao")
    evaluation = run(design, network("alexnet"))
    energy = at_process(on_chip_energy_pj(evaluation), design, 28, 0.9)
    return Measured(power_w(energy, evaluation.cycles, design.clock_ghz), "without refresh, clock network and leakage")


MEASURES: dict[str, Callable[[], Measured]] = {
    "peak": lambda: Measured(operations_per_second(architecture("dadiannao")) / 1e12),
    "memory": _memory_mb,
    "bandwidth": _bandwidth,
    "fc7": _fc7,
    "power": _power,
    "area": lambda: Measured(scaled_area(run(architecture("dadiannao"), network("alexnet")).area_mm2, 28)),
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
        ["architecture dadiannao", "network alexnet", "network vgg16", "network googlenet"],
    )
