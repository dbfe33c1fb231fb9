"""Eyeriss (Chen et al., JSSC 52(1), 2017): row stationary on the chip's own networks.

AlexNet runs on the mapping that the paper prints (:data:`ALEXNET_MAPPING`), VGG-16 on the mapping that the chip's own
counters tell (:data:`VGG_MAPPING`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.related.related_system import (
    architecture,
    areas_at_process,
    at_its_process,
    network,
    on_chip_power_w,
    operations_per_second,
    related_system,
)
from timeloop_py.claims.systems import System
from timeloop_py.model.evaluate import Evaluation, evaluate
from timeloop_py.nest.array_nest import array_nest
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer

if TYPE_CHECKING:
    import pandas as pd

#: Tables V and VI: zeros in the inputs of the layers; what the last one stores is taken to be as sparse as its input.
ALEXNET_ZEROS = {"conv1": 0.0001, "conv2": 0.387, "conv3": 0.725, "conv4": 0.793, "conv5": 0.776}
VGG_ZEROS = {
    "conv1_1": 0.016, "conv1_2": 0.477, "conv2_1": 0.248, "conv2_2": 0.387, "conv3_1": 0.397, "conv3_2": 0.581,
    "conv3_3": 0.587, "conv4_1": 0.643, "conv4_2": 0.747, "conv4_3": 0.854, "conv5_1": 0.794, "conv5_2": 0.874,
    "conv5_3": 0.885,
}  # fmt: skip
ALEXNET_BATCH, VGG_BATCH = 4, 3

#: Parameters of ``row_stationary_given``, which are 1 unless stated.
MAPPING_PARAMETERS = ("e", "segments", "r", "t", "sets_x", "p", "q", "n", "columns", "filter_passes")
#: Table III: the mapping of AlexNet. ``filter_passes`` is m over p t; where the paper's sets of t lie side by side they
#: are ``sets_x``, and 27 output rows lie in two segments.
ALEXNET_MAPPING: dict[str, dict[str, int]] = {
    "conv1": {"e": 7, "sets_x": 2, "p": 16, "filter_passes": 3},
    "conv2": {"e": 14, "segments": 2, "p": 16, "q": 2, "filter_passes": 4},
    "conv3": {"n": 4, "e": 13, "t": 4, "p": 16, "q": 4},
    "conv4": {"n": 4, "e": 13, "r": 2, "t": 2, "p": 16, "q": 3, "filter_passes": 2},
    "conv5": {"n": 4, "e": 13, "r": 2, "t": 2, "p": 16, "q": 3, "filter_passes": 2},
}
#: The chip's mapping of VGG-16 by group of layers. The paper does not print it; it is read off Table VI: the
#: active PEs give e, the global buffer's accesses the channels of a pass (q r), their DRAM accesses the filters whose
#: sums are held (m = p t), and 100 KB hold no more. A row of 224 is taken in two halves. Latencies did not enter.
VGG_MAPPING: dict[str, dict[str, int]] = {
    "conv1": {"e": 13, "t": 4, "p": 8, "columns": 2},
    "conv2": {"e": 13, "t": 4, "p": 8},
    "conv3": {"e": 13, "t": 4, "p": 16, "q": 2},
    "conv4": {"e": 14, "segments": 2, "t": 2, "p": 16, "q": 4},
    "conv5": {"e": 14, "r": 2, "t": 2, "p": 16, "q": 4, "n": 3},
}
#: What that mapping was read off.
FITTED = frozenset(f"vgg-{name}" for name in ("active", "buffer", "buffer-layers", "dram", "dram-layers", "dram-mac"))
#: Bits that cross the 64-bit link to DRAM in a second, at 60 MHz (section III-A and Table V).
LINK_BITS_PER_S = 64 * 60e6

DRAM = ("dram",)
BUFFER = ("global_buffer", "filter_fifo")
SPADS = ("weight_spad", "input_spad", "psum_spad")


class Case(NamedTuple):
    """A layer and its network, of whose mappings it takes the one of its group."""

    network: str
    layer: Layer

    @property
    def mapping(self) -> str:
        """Its network and group of layers, which have a mapping in common."""
        return f"{self.network} {self.layer.name.partition('_')[0]}"


Cases = Callable[[], tuple[Case, ...]]


def _with_zeros(name: str, batch: int, zeros: dict[str, float]) -> tuple[Layer, ...]:
    """Dense weights, the zeros of the paper's images, and outputs written as they are (not pooled)."""
    shares = [*zeros.values(), list(zeros.values())[-1]]
    return tuple(
        replace(
            layer,
            N=batch,
            weight_density=1.0,
            activation_density=1 - shares[index],
            output_density=1 - shares[index + 1],
            followed_by=(),
        )
        for index, layer in enumerate(network(name).layers)
    )


@cache
def _alexnet() -> tuple[Case, ...]:
    return tuple(Case("alexnet", layer) for layer in _with_zeros("alexnet", ALEXNET_BATCH, ALEXNET_ZEROS))


@cache
def _vgg() -> tuple[Case, ...]:
    layers = _with_zeros("vgg16", VGG_BATCH, VGG_ZEROS)
    return tuple(Case("vgg16", layer) for layer in layers)


@cache
def _design(mapping: str) -> Architecture:
    name, _, group = mapping.partition(" ")
    bounds = dict.fromkeys(MAPPING_PARAMETERS, 1) | {"alexnet": ALEXNET_MAPPING, "vgg16": VGG_MAPPING}[name][group]
    settings = [(f"parameters.{name}", bound) for name, bound in bounds.items()]
    return at_its_process(load_architecture("eyeriss", [("dataflow.name", "row_stationary_given"), *settings]))


@cache
def _run(case: Case) -> Evaluation:
    return evaluate(_design(case.mapping), case.layer)


def _processing_ms(case: Case) -> float:
    return _run(case).cycles / (_design(case.mapping).clock_ghz * 1e6)


def _transfer_ms(case: Case) -> float:
    """What activations take on the link to DRAM; "the chip does not perform processing" meanwhile (section VI-A)."""
    accesses = _run(case).accesses
    moved = (accesses["level"] == "dram") & (accesses["tensor"] != "Weights")
    return float(accesses.loc[moved, "count"].sum()) / LINK_BITS_PER_S * 1e3


def _total_ms(case: Case) -> float:
    return _processing_ms(case) + _transfer_ms(case)


def _moved_mb(case: Case, components: tuple[str, ...]) -> float:
    accesses, moved = _run(case).accesses, 0.0
    for component in components:
        width = architecture("eyeriss").components[component].attributes["width_bits"]
        moved += float(accesses.loc[accesses["level"] == component, "count"].sum()) * width / 8e6
    return moved


def _active_pes(case: Case) -> float:
    return float(array_nest(_design(case.mapping), case.layer).used_lanes)


def _binding(case: Case) -> str:
    return str(next(iter(_run(case).binding.values())))


def _power_w(case: Case) -> float:
    """On-chip energy at the chip's process over time."""
    return on_chip_power_w(_design(case.mapping), [_run(case)])


# -- measures of one layer, of all, and of their sum ------------------------------------------------------------------


def _one(cases: Cases, name: str) -> Measured:
    case = next(one for one in cases() if one.layer.name == name)
    return Measured(_processing_ms(case), f"limited by {_binding(case)}")


def _each(cases: Cases, measure: Callable[[Case], float]) -> Measured:
    return Measured(tuple(measure(case) for case in cases()))


def _sum(cases: Cases, measure: Callable[[Case], float]) -> float:
    return sum(measure(case) for case in cases())


def _total(cases: Cases, measure: Callable[[Case], float]) -> Measured:
    return Measured(_sum(cases, measure))


def _frames(cases: Cases, batch: int) -> Measured:
    processing, transfer = _sum(cases, _processing_ms), _sum(cases, _transfer_ms)
    note = f"{processing:.1f} ms of processing and {transfer:.1f} ms of activations on the link"
    return Measured(batch / (processing + transfer) * 1e3, note)


def _per_mac(cases: Cases) -> Measured:
    words = _sum(cases, lambda case: _moved_mb(case, DRAM)) * 1e6 / 2
    return Measured(words / _sum(cases, lambda case: float(case.layer.macs)))


def _mean_power(cases: Cases) -> Measured:
    energy = _sum(cases, lambda case: _power_w(case) * _run(case).cycles)
    return Measured(energy / _sum(cases, lambda case: _run(case).cycles))


def _early_over_late() -> Measured:
    early, late = (next(case for case in _vgg() if case.layer.name == name) for name in ("conv1_2", "conv4_2"))
    return Measured(_run(early).cycles / _run(late).cycles)


def _saved(name: str) -> float:
    """Share of the activations' DRAM words that run-length coding saves in a layer."""
    case = next(one for one in _alexnet() if one.layer.name == name)
    dense = case._replace(layer=replace(case.layer, activation_density=1.0, output_density=1.0))
    return 1 - _transfer_ms(case) / _transfer_ms(dense)


@cache
def _areas_mm2() -> dict[str, float]:
    """Areas at the chip's process by component."""
    return areas_at_process(architecture("eyeriss"))


def _area(names: tuple[str, ...]) -> float:
    return sum(_areas_mm2()[name] for name in names)


def _area_share(names: tuple[str, ...]) -> Measured:
    return Measured(_area(names) / sum(_areas_mm2().values()))


def _measures_of(prefix: str, cases: Cases) -> dict[str, Callable[[], Measured]]:
    """What Tables V and VI have of a network."""
    dram, buffer = (partial(_moved_mb, components=parts) for parts in (DRAM, BUFFER))
    return {
        f"{prefix}active": partial(_each, cases, _active_pes),
        f"{prefix}latency": partial(_total, cases, _processing_ms),
        f"{prefix}total-layers": partial(_each, cases, _total_ms),
        f"{prefix}dram": partial(_total, cases, dram),
        f"{prefix}dram-layers": partial(_each, cases, dram),
        f"{prefix}dram-mac": partial(_per_mac, cases),
        f"{prefix}buffer": partial(_total, cases, buffer),
        f"{prefix}buffer-layers": partial(_each, cases, buffer),
        f"{prefix}power": partial(_mean_power, cases),
        f"{prefix}power-layers": partial(_each, cases, _power_w),
    }


MEASURES: dict[str, Callable[[], Measured]] = {
    "peak": lambda: Measured(operations_per_second(architecture("eyeriss")) / 2e9),
    **_measures_of("", _alexnet),
    **{layer: partial(_one, _alexnet, layer) for layer in ALEXNET_ZEROS},
    "frames": partial(_frames, _alexnet, ALEXNET_BATCH),
    "saved": lambda: Measured((_saved("conv1"), _saved("conv5"))),
    **_measures_of("vgg-", _vgg),
    **{f"vgg-{layer}": partial(_one, _vgg, layer) for layer in VGG_ZEROS},
    "vgg-frames": partial(_frames, _vgg, VGG_BATCH),
    "vgg-early": _early_over_late,
    "area": lambda: Measured(sum(_areas_mm2().values())),
    "area-spads": lambda: Measured(_area(SPADS) / _area(BUFFER)),
    "area-storage": partial(_area_share, (*BUFFER, *SPADS)),
    "area-alus": partial(_area_share, ("multiplier", "adder")),
}


def table() -> pd.DataFrame:
    """Latency and traffic of every convolution of AlexNet and VGG-16."""
    import pandas as pd

    rows = []
    for name, cases in (("alexnet", _alexnet()), ("vgg16", _vgg())):
        for case in cases:
            rows.append(
                {
                    "network": name,
                    "layer": case.layer.name,
                    "batch": case.layer.N,
                    "processing_ms": _processing_ms(case),
                    "total_ms": _total_ms(case),
                    "used_pes": _active_pes(case),
                    "dram_mb": _moved_mb(case, DRAM),
                    "global_buffer_mb": _moved_mb(case, BUFFER),
                    "binding": _binding(case),
                }
            )
    return pd.DataFrame(rows)


def load() -> System:
    """Eyeriss's ledger."""
    return related_system(
        "eyeriss",
        "Chen et al., Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep CNNs, JSSC 52(1), 2017",
        MEASURES,
        table,
        ["architecture eyeriss", "network alexnet", "network vgg16", "table diannao_65nm", "table area_65nm"],
        FITTED,
    )
