"""Eyeriss (Chen et al., JSSC 52(1), 2017): row stationary on the chip's own networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
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
    scaled_area,
)
from timeloop_py.claims.systems import System
from timeloop_py.model.evaluate import Evaluation, evaluate
from timeloop_py.nest.array_nest import array_nest
from timeloop_py.specs.layer import Layer

if TYPE_CHECKING:
    import pandas as pd

#: Table V: zeros in the inputs of AlexNet's layers; what the last one stores is taken to be as sparse as its input.
ZEROS = {"conv1": 0.0001, "conv2": 0.387, "conv3": 0.725, "conv4": 0.793, "conv5": 0.776}
ALEXNET_BATCH, VGG_BATCH = 4, 3


@cache
def _alexnet() -> tuple[Layer, ...]:
    zeros = [*ZEROS.values(), ZEROS["conv5"]]
    return tuple(
        replace(
            layer,
            N=ALEXNET_BATCH,
            weight_density=1.0,
            activation_density=1 - zeros[index],
            output_density=1 - zeros[index + 1],
            followed_by=(),  # the chip writes outputs as they are
        )
        for index, layer in enumerate(network("alexnet").layers)
    )


@cache
def _vgg() -> tuple[Layer, ...]:
    return tuple(replace(layer, N=VGG_BATCH, weight_density=1.0, followed_by=()) for layer in network("vgg16").layers)


@cache
def _run(layer: Layer) -> Evaluation:
    return evaluate(architecture("eyeriss"), layer)


def _latency_ms(layer: Layer) -> float:
    return _run(layer).cycles / (architecture("eyeriss").clock_ghz * 1e6)


#: The global buffer: inputs and sums, and the part that takes filters.
BUFFER = ("global_buffer", "filter_fifo")
DRAM = ("dram",)


def _moved_mb(layer: Layer, components: tuple[str, ...]) -> float:
    """Megabytes of all accesses of components."""
    accesses, moved = _run(layer).accesses, 0.0
    for component in components:
        width = architecture("eyeriss").components[component].attributes["width_bits"]
        moved += float(accesses.loc[accesses["level"] == component, "count"].sum()) * width / 8e6
    return moved


def _layer(name: str) -> Measured:
    layer = next(one for one in _alexnet() if one.name == name)
    binding = next(iter(_run(layer).binding.values()))
    return Measured(_latency_ms(layer), f"limited by {binding}; filling the array at the start of a pass is left out")


def _active() -> Measured:
    used = tuple(float(array_nest(architecture("eyeriss"), layer).used_lanes) for layer in _alexnet())
    return Measured(used, "conv2: 27 rows on 2 x 14 columns")


def _sum(layers: Callable[[], tuple[Layer, ...]], measure: Callable[[Layer], float]) -> float:
    return sum(measure(layer) for layer in layers())


def _moved(components: tuple[str, ...]) -> Measured:
    return Measured(_sum(_alexnet, lambda layer: _moved_mb(layer, components)))


def _moved_by_layer(components: tuple[str, ...]) -> Measured:
    return Measured(tuple(_moved_mb(layer, components) for layer in _alexnet()))


def _per_mac() -> Measured:
    words = _sum(_alexnet, lambda layer: _moved_mb(layer, DRAM)) * 1e6 / 2
    return Measured(words / _sum(_alexnet, lambda layer: float(layer.macs)))


def _frames() -> Measured:
    seconds = _sum(_vgg, _latency_ms) / 1e3
    return Measured(VGG_BATCH / seconds, "without filling the array at the start of each of many passes")


def _power() -> Measured:
    design = architecture("eyeriss")
    energy = _sum(_alexnet, lambda layer: on_chip_energy_pj(_run(layer)))
    cycles = _sum(_alexnet, lambda layer: _run(layer).cycles)
    return Measured(power_w(at_process(energy, design, 65, 1.0), cycles, design.clock_ghz))


MEASURES: dict[str, Callable[[], Measured]] = {
    "peak": lambda: Measured(operations_per_second(architecture("eyeriss")) / 2e9),
    "active": _active,
    **{layer: partial(_layer, layer) for layer in ZEROS},
    "latency": lambda: Measured(_sum(_alexnet, _latency_ms)),
    "dram": partial(_moved, DRAM),
    "dram-layers": partial(_moved_by_layer, DRAM),
    "dram-mac": _per_mac,
    "buffer": partial(_moved, BUFFER),
    "buffer-layers": partial(_moved_by_layer, BUFFER),
    "vgg-dram": lambda: Measured(_sum(_vgg, lambda layer: _moved_mb(layer, DRAM))),
    "vgg-frames": _frames,
    "power": _power,
    "area": lambda: Measured(scaled_area(_run(_alexnet()[0]).area_mm2, 65)),
}


def table() -> pd.DataFrame:
    """Latency and traffic of every convolution of AlexNet and VGG-16."""
    import pandas as pd

    rows = []
    for name, layers in (("alexnet", _alexnet()), ("vgg16", _vgg())):
        for layer in layers:
            rows.append(
                {
                    "network": name,
                    "layer": layer.name,
                    "batch": layer.N,
                    "processing_ms": _latency_ms(layer),
                    "used_pes": array_nest(architecture("eyeriss"), layer).used_lanes,
                    "dram_mb": _moved_mb(layer, DRAM),
                    "global_buffer_mb": _moved_mb(layer, BUFFER),
                    "binding": next(iter(_run(layer).binding.values())),
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
        ["architecture eyeriss", "network alexnet", "network vgg16"],
    )
