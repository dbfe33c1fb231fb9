"""Cnvlutin (Albericio et al., ISCA 2016): zero activations skipped, against DaDianNao."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.related.related_system import (
    SCALED_TABLES,
    architecture,
    at_its_process,
    network,
    on_chip_energy_pj,
    related_system,
    run,
    with_activation_zeros,
)
from timeloop_py.claims.systems import System
from timeloop_py.model.evaluate import Evaluation

if TYPE_CHECKING:
    import pandas as pd

#: Section II: share of multiplications of convolutions whose activation is zero, mean of the paper's networks.
ZEROS = 0.44
#: The same on the networks of Bit-Pragmatic (Albericio et al., MICRO 2017, section 2.2): 39% of the terms are left.
PRAGMATIC_ZEROS = 0.61
NETWORKS = ("alexnet", "googlenet", "vgg16")


@cache
def _run(design: str, net: str, zeros: float = ZEROS) -> Evaluation:
    return run(at_its_process(architecture(design)), with_activation_zeros(network(net), zeros))


def _speedups() -> list[float]:
    return [_run("dadiannao", net).cycles / _run("cnvlutin", net).cycles for net in NETWORKS]


def _savings() -> list[float]:
    runs = [(_run("dadiannao", net), _run("cnvlutin", net)) for net in NETWORKS]
    return [on_chip_energy_pj(dense) / on_chip_energy_pj(sparse) for dense, sparse in runs]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _named(values: list[float]) -> str:
    return ", ".join(f"{net} {value:.2f}" for net, value in zip(NETWORKS, values, strict=True))


def _speedup() -> Measured:
    return Measured(_mean(_speedups()), _named(_speedups()))


def _slots() -> Measured:
    """Multiplier slots over DaDianNao's, idle ones included."""
    runs = [[_run(design, net, PRAGMATIC_ZEROS).cycles for design in ("cnvlutin", "dadiannao")] for net in NETWORKS]
    shares = [ours / theirs for ours, theirs in runs]
    return Measured(_mean(shares), _named(shares))


def _energy_delay(delays: int) -> Measured:
    """Energy times so many delays, DaDianNao's over Cnvlutin's."""
    values = [saving * speedup**delays for saving, speedup in zip(_savings(), _speedups(), strict=True)]
    return Measured(_mean(values), _named(values))


def _index() -> Measured:
    sizes = architecture("cnvlutin").sizes
    return Measured(sizes["index_bits"] / sizes["word_bits"])


def _area() -> float:
    return _run("cnvlutin", NETWORKS[0]).area_mm2 / _run("dadiannao", NETWORKS[0]).area_mm2


MEASURES: dict[str, Callable[[], Measured]] = {
    "speedup": _speedup,
    "slowest": lambda: Measured(min(_speedups()), _named(_speedups())),
    "fastest": lambda: Measured(max(_speedups()), _named(_speedups())),
    "slots": _slots,
    "power-delay": lambda: _energy_delay(0),
    "power-delay2": lambda: _energy_delay(1),
    "energy-delay": lambda: _energy_delay(1),
    "energy-delay2": lambda: _energy_delay(2),
    "index": _index,
    "area-overhead": lambda: Measured(_area() - 1),
}


def table() -> pd.DataFrame:
    """Every layer of both designs."""
    import pandas as pd

    frames = [_run(design, net).to_frame() for design in ("dadiannao", "cnvlutin") for net in NETWORKS]
    return pd.concat(frames, ignore_index=True)


def load() -> System:
    """Cnvlutin's ledger."""
    return related_system(
        "cnvlutin",
        "Albericio et al., Cnvlutin: Ineffectual-Neuron-Free Deep Neural Network Computing, ISCA 2016",
        MEASURES,
        table,
        ["architecture cnvlutin", "architecture dadiannao", *(f"network {net}" for net in NETWORKS), *SCALED_TABLES],
    )
