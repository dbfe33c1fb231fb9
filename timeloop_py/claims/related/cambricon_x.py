"""Cambricon-X (Zhang et al., MICRO 2016): zero weights skipped, against DianNao."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.related.related_system import (
    architecture,
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
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.tables import load_area_table

if TYPE_CHECKING:
    import pandas as pd

#: The networks whose densities Han et al. (NIPS 2015) published.
NETWORKS = ("lenet_300_100", "lenet5", "alexnet:all", "vgg16:all")
#: DianNao's parts in 65 nm price both designs there; wires are as long as their dies are wide.
AT_65_NM = (("energy_table", "diannao_65nm"),)
PITCH_MM = {"diannao": math.sqrt(3.02 / 16), "cambricon_x": math.sqrt(6.38 / 16)}


@cache
def _at_65_nm(design: str) -> Architecture:
    return load_architecture(design, [*AT_65_NM, ("components.input_bus.pitch_mm", PITCH_MM[design])])


@cache
def _run(design: str, net: str) -> Evaluation:
    return run(_at_65_nm(design), network(net))


def _ratios(measure: Callable[[Evaluation], float]) -> Measured:
    values = [measure(_run("diannao", net)) / measure(_run("cambricon_x", net)) for net in NETWORKS]
    named = ", ".join(f"{net} {value:.2f}" for net, value in zip(NETWORKS, values, strict=True))
    return Measured(sum(values) / len(values), named)


def _power() -> Measured:
    runs = [_run("cambricon_x", net) for net in NETWORKS]
    cycles, clock_ghz = sum(one.cycles for one in runs), _at_65_nm("cambricon_x").clock_ghz
    accesses = [one.accesses for one in runs]
    module = sum(float(part.loc[part["level"] == "index_unit", "energy_pj"].sum()) for part in accesses)
    total = power_w(sum(map(on_chip_energy_pj, runs)), cycles, clock_ghz)
    return Measured(
        total, f"{power_w(module, cycles, clock_ghz):.2f} W of it in the indexing module, a published number"
    )


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
        [
            *(f"architecture {name}" for name in PITCH_MM),
            *(f"network {name.partition(':')[0]}" for name in NETWORKS),
            "table diannao_65nm",
        ],
    )
