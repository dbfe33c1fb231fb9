"""Cambricon-X (Zhang et al., MICRO 2016): zero weights skipped, against DianNao."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
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
from timeloop_py.model.area import component_areas_mm2
from timeloop_py.model.evaluate import Evaluation
from timeloop_py.specs.tables import load_area_table

if TYPE_CHECKING:
    import pandas as pd

NETWORKS = ("lenet5", "alexnet:all", "vgg16:all")


@cache
def _run(design: str, net: str) -> Evaluation:
    return run(architecture(design), network(net))


def _ratios(measure: Callable[[Evaluation], float]) -> Measured:
    values = [measure(_run("diannao", net)) / measure(_run("cambricon_x", net)) for net in NETWORKS]
    named = ", ".join(f"{net} {value:.2f}" for net, value in zip(NETWORKS, values, strict=True))
    return Measured(sum(values) / len(values), named)


def _power() -> Measured:
    design = architecture("cambricon_x")
    energy = sum(on_chip_energy_pj(_run("cambricon_x", net)) for net in NETWORKS)
    cycles = sum(_run("cambricon_x", net).cycles for net in NETWORKS)
    return Measured(power_w(at_process(energy, design, 65, 1.0), cycles, design.clock_ghz))


def _area() -> Measured:
    design = architecture("cambricon_x")
    areas = component_areas_mm2(design, load_area_table(design.area_table or ""))
    return Measured(scaled_area(sum(areas.values()) - areas["index_unit"], 65))


MEASURES: dict[str, Callable[[], Measured]] = {
    "peak": lambda: Measured(operations_per_second(architecture("cambricon_x")) / 1e9),
    "speedup": lambda: _ratios(lambda evaluation: evaluation.cycles),
    "energy": lambda: _ratios(lambda evaluation: evaluation.energy_pj),
    "power": _power,
    "area": _area,
}


def table() -> pd.DataFrame:
    """Every layer of both designs."""
    import pandas as pd

    frames = [_run(design, net).to_frame() for design in ("diannao", "cambricon_x") for net in NETWORKS]
    return pd.concat(frames, ignore_index=True)


def load() -> System:
    """Cambricon-X's ledger."""
    return related_system(
        "cambricon_x",
        "Zhang et al., Cambricon-X: An Accelerator for Sparse Neural Networks, MICRO 2016",
        MEASURES,
        table,
        ["architecture cambricon_x", "architecture diannao", "network lenet5", "network alexnet", "network vgg16"],
    )
