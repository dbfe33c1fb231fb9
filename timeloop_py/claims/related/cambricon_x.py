"""Cambricon-X (Zhang et al., MICRO 2016): zero weights skipped, against DianNao."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.related.related_system import (
    architecture,
    areas_at_process,
    at_its_process,
    network,
    on_chip_energy_pj,
    on_chip_power_w,
    operations_per_second,
    related_system,
    run,
)
from timeloop_py.claims.systems import System
from timeloop_py.model.evaluate import Evaluation
from timeloop_py.specs.architecture import Architecture, load_architecture

if TYPE_CHECKING:
    import pandas as pd

#: The networks whose densities Han et al. (NIPS 2015) published.
NETWORKS = ("lenet_300_100", "lenet5", "alexnet:all", "vgg16:all")
DESIGNS = ("diannao", "cambricon_x")
#: Its entries of the tables are parts of the totals that they would be judged by: taken off on both sides.
INDEXING = "index_unit"


@cache
def _run(design: str, net: str) -> Evaluation:
    return run(at_its_process(architecture(design)), network(net))


@cache
def _scaled_run(design: str, net: str) -> Evaluation:
    """With the energies of 16 nm, for comparison."""
    return run(architecture(design), network(net))


@cache
def _two_ported_run(net: str) -> Evaluation:
    """With its buffers of activations priced as DianNao's NBin, which is read and written in the same cycle."""
    buffers = [(f"components.{name}.class", "latch_array") for name in ("input_buffer", "output_buffer")]
    return run(at_its_process(load_architecture("cambricon_x", buffers)), network(net))


def _ratios(measure: Callable[[Evaluation], float]) -> Measured:
    values = [measure(_run("diannao", net)) / measure(_run("cambricon_x", net)) for net in NETWORKS]
    named = ", ".join(f"{net} {value:.2f}" for net, value in zip(NETWORKS, values, strict=True))
    return Measured(sum(values) / len(values), named)


def _dram_share(design: str) -> float:
    """Mean over the networks."""
    shares = [1 - on_chip_energy_pj(_run(design, net)) / _run(design, net).energy_pj for net in NETWORKS]
    return sum(shares) / len(shares)


def _dram_shares() -> Measured:
    shares = {design: _dram_share(design) for design in DESIGNS}
    return Measured(min(shares.values()) > 0.8, ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))


def _power() -> Measured:
    design = architecture("cambricon_x")

    def watts(runs: Callable[[str], Evaluation], priced: Architecture) -> float:
        return on_chip_power_w(priced, [runs(net) for net in NETWORKS], [INDEXING])

    found = watts(lambda net: _run("cambricon_x", net), at_its_process(design))
    ported = watts(_two_ported_run, at_its_process(design))
    scaled = watts(lambda net: _scaled_run("cambricon_x", net), design)
    return Measured(
        found,
        f"it rests on how RAM is priced: {ported:.2f} W if the buffers of activations cost what DianNao's NBin does, "
        f"{scaled:.2f} W with literature_16nm brought to 65 nm",
    )


def _area() -> Measured:
    areas = areas_at_process(architecture("cambricon_x"))
    return Measured(sum(areas.values()) - areas[INDEXING])


MEASURES: dict[str, Callable[[], Measured]] = {
    "peak": lambda: Measured(operations_per_second(architecture("cambricon_x")) / 1e9),
    "speedup": lambda: _ratios(lambda evaluation: evaluation.cycles),
    "energy": lambda: _ratios(lambda evaluation: evaluation.energy_pj),
    "dram-share": _dram_shares,
    "power": _power,
    "area": _area,
}


def table() -> pd.DataFrame:
    """Every layer of both designs."""
    import pandas as pd

    frames = [_run(design, net).to_frame() for design in DESIGNS for net in NETWORKS]
    return pd.concat(frames, ignore_index=True)


def load() -> System:
    """Cambricon-X's ledger."""
    return related_system(
        "cambricon_x",
        "Zhang et al., Cambricon-X: An Accelerator for Sparse Neural Networks, MICRO 2016",
        MEASURES,
        table,
        [
            *(f"architecture {name}" for name in DESIGNS),
            *(f"network {name.partition(':')[0]}" for name in NETWORKS),
            "table diannao_65nm",
            "table area_65nm",
            "table literature_16nm",
        ],
    )
