"""EIE (Han et al., ISCA 2016): nine fully connected layers, queues and placeholders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.related.related_system import (
    PROCESSES,
    SCALED_TABLES,
    architecture,
    areas_at_process,
    at_its_process,
    at_process,
    on_chip_energy_pj,
    on_chip_power_w,
    operations_per_second,
    part_energy_pj,
    power_w,
    related_system,
)
from timeloop_py.claims.systems import System
from timeloop_py.model.evaluate import Evaluation, evaluate
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer

if TYPE_CHECKING:
    import pandas as pd

#: Table III: inputs, outputs, weight and activation density.
LAYERS = {
    "alex6": Layer("Alex-6", K=4096, C=9216, weight_density=0.09, activation_density=0.351),
    "alex7": Layer("Alex-7", K=4096, C=4096, weight_density=0.09, activation_density=0.353),
    "alex8": Layer("Alex-8", K=1000, C=4096, weight_density=0.25, activation_density=0.375),
    "vgg6": Layer("VGG-6", K=4096, C=25088, weight_density=0.04, activation_density=0.183),
    "vgg7": Layer("VGG-7", K=4096, C=4096, weight_density=0.04, activation_density=0.375),
    "vgg8": Layer("VGG-8", K=1000, C=4096, weight_density=0.23, activation_density=0.411),
    "ntwe": Layer("NT-We", K=600, C=4096, weight_density=0.10),
    "ntwd": Layer("NT-Wd", K=8791, C=600, weight_density=0.11),
    "ntlstm": Layer("NT-LSTM", K=2400, C=1201, weight_density=0.10),
}
PES = 64
RAM = ("weight_memory", "pointer_memory", "activation_memory")
REGISTERS = ("activation_queue", "accumulator")
ARITHMETIC = ("multiplier", "adder")
#: Lines of Table II, by kind of part and by module, and the components that they are here.
PARTS = {
    "memory": RAM,
    "clock network": (),
    "register": REGISTERS,
    "combinational": ARITHMETIC,
    "Act_queue": ("activation_queue",),
    "PtrRead": ("pointer_memory",),
    "SpmatRead": ("weight_memory",),
    "ArithmUnit": ARITHMETIC,
    "ActRW": ("activation_memory", "accumulator"),
}
#: The fully connected layers of AlexNet.
ALEXNET = ("alex6", "alex7", "alex8")


@cache
def _queued(depth: int) -> Architecture:
    return at_its_process(load_architecture("eie", [("dataflow.queue_depth", depth)]))


@cache
def _run(layer: str, depth: int = 8) -> Evaluation:
    return evaluate(_queued(depth), LAYERS[layer])


def _time_us(layer: str) -> float:
    return _run(layer).cycles / (_queued(8).clock_ghz * 1e3)


def _work_us(layer: str) -> float:
    """Entries over PEs: what the layer would take without waiting."""
    multiplies = float(_run(layer).to_frame()["multiplies"].iloc[0])
    return multiplies / _queued(8).components["multiplier"].count / (_queued(8).clock_ghz * 1e3)


def _actual(layer: str) -> Measured:
    balance = _work_us(layer) / _time_us(layer)
    return Measured(_time_us(layer), f"{_work_us(layer):.1f} us of work, {balance:.0%} of the cycles")


def _peak() -> Measured:
    return Measured(operations_per_second(architecture("eie")) / 1e9)


def _theory() -> Measured:
    return Measured(tuple(_work_us(layer) for layer in LAYERS), "placeholders included, waiting left out")


@cache
def _balance(layer: str, depth: int) -> float:
    """Share of busy cycles."""
    evaluation = _run(layer, depth)
    return float(evaluation.to_frame()["multiplies"].iloc[0]) / PES / evaluation.cycles


def _mean_balance(depth: int) -> float:
    return sum(_balance(layer, depth) for layer in LAYERS) / len(LAYERS)


def _shallow_queue() -> Measured:
    shares = [_balance(layer, 1) for layer in LAYERS]
    return Measured(_mean_balance(1), f"from {min(shares):.2f} to {max(shares):.2f}")


def _deep_queue() -> Measured:
    """Whether doubling the chosen depth gains less than every doubling that led there."""
    depths = (1, 2, 4, 8, 16)
    means = [_mean_balance(depth) for depth in depths]
    gains = [after - before for before, after in pairwise(means)]
    named = ", ".join(f"{depth}: {mean:.0%}" for depth, mean in zip(depths, means, strict=True))
    return Measured(gains[-1] < min(gains[:-1]), f"busy cycles by depth {named}")


def _poorest() -> Measured:
    found = {layer: _balance(layer, 8) for layer in LAYERS}
    others = min(share for layer, share in found.items() if layer != "ntwe")
    return Measured(found["ntwe"] < others, f"{found['ntwe']:.0%} of the cycles busy, the others at least {others:.0%}")


def _frames() -> Measured:
    """Fully connected layers of AlexNet one after the other."""
    return Measured(1e6 / sum(_time_us(layer) for layer in ALEXNET))


def _uncompressed_rate() -> Measured:
    """Peak of a dense design with as much throughput: the peak times what zeros spare of AlexNet's products."""
    dense = sum(LAYERS[layer].macs for layer in ALEXNET)
    useful = sum(float(_run(layer).to_frame()["useful_multiplies"].iloc[0]) for layer in ALEXNET)
    achieved = 2 * dense / sum(map(_time_us, ALEXNET)) * 1e-6
    return Measured(
        operations_per_second(architecture("eie")) * 1e-12 * dense / useful,
        f"{achieved:.2f} with placeholders and waiting, over the time that the layers take",
    )


def _scaling() -> Measured:
    """Throughput of 256 PEs over that of 64 at the same clock, mean of the layers."""
    ratios = [_run(layer).cycles / evaluate(_large(), LAYERS[layer]).cycles for layer in LAYERS]
    return Measured(sum(ratios) / len(ratios), f"from {min(ratios):.2f} to {max(ratios):.2f}")


def _spared(fill: Callable[[Layer], Layer]) -> Measured:
    """Cycles of AlexNet's layers with an operand made dense over those without its zeros."""
    filled = sum(evaluate(_queued(8), fill(LAYERS[layer])).cycles for layer in ALEXNET)
    return Measured(filled / sum(_run(layer).cycles for layer in ALEXNET))


@cache
def _large() -> Architecture:
    """The 256 PEs at 28 nm and 1.2 GHz of Table V."""
    return replace(load_architecture("eie", [("parameters.pes", 256)]), clock_ghz=1.2)


@cache
def _against_dadiannao() -> tuple[Evaluation, Evaluation]:
    return evaluate(_large(), LAYERS["alex7"]), evaluate(architecture("dadiannao"), LAYERS["alex7"])


def _over_dadiannao() -> float:
    """Throughput on AlexNet fc7 over DaDianNao's, which has the weights in its eDRAM."""
    ours, theirs = _against_dadiannao()
    their_cycles = float(theirs.to_frame()["compute_cycles"].iloc[0])
    return their_cycles / architecture("dadiannao").clock_ghz / (ours.cycles / _large().clock_ghz)


def _energy_efficiency() -> Measured:
    ours, theirs = _against_dadiannao()
    return Measured(on_chip_energy_pj(theirs) / on_chip_energy_pj(ours))


def _area_efficiency() -> Measured:
    """Areas at 28 nm: ours as projected from the layout at 45 nm."""
    theirs = sum(areas_at_process(architecture("dadiannao")).values())
    ours = sum(areas_at_process(_large(), PROCESSES["dadiannao"].node_nm).values())
    return Measured(_over_dadiannao() * theirs / ours, f"{theirs:.1f} mm2 over {ours:.1f} mm2")


def _power() -> Measured:
    return Measured(on_chip_power_w(_queued(8), [_run(layer) for layer in LAYERS]))


def _area() -> Measured:
    return Measured(sum(areas_at_process(_queued(8)).values()) / PES)


def _ram_area() -> Measured:
    areas = areas_at_process(_queued(8))
    return Measured(sum(areas[name] for name in RAM) / sum(areas.values()))


def _part_power_w(parts: Sequence[str]) -> float:
    """Power of some components, all layers one after the other."""
    energy = at_process(sum(part_energy_pj(_run(layer), parts) for layer in LAYERS), _queued(8))
    return power_w(energy, sum(_run(layer).cycles for layer in LAYERS), _queued(8).clock_ghz)


def _ram_power() -> Measured:
    ram = _part_power_w(RAM)
    total = on_chip_power_w(_queued(8), [_run(layer) for layer in LAYERS])
    return Measured(ram / total, f"RAM alone {ram:.3f} W, the paper's 0.35 W")


def _power_parts() -> Measured:
    return Measured(tuple(_part_power_w(parts) / PES * 1e3 for parts in PARTS.values()))


def _area_parts() -> Measured:
    areas = areas_at_process(_queued(8))
    return Measured(tuple(sum(areas[name] for name in parts) / PES * 1e6 for parts in PARTS.values()))


def _between_reads() -> Measured:
    """Cycles of a PE between reads of the weights' RAM, and between columns whose pointers are read; AlexNet."""
    cycles = sum(_run(layer).cycles for layer in ALEXNET) * PES

    def reads(component: str) -> float:
        found = [_run(layer).accesses for layer in ALEXNET]
        return sum(float(part.loc[part["level"] == component, "count"].sum()) for part in found)

    return Measured((cycles / reads("weight_memory"), cycles / (reads("pointer_memory") / 2)))


MEASURES: dict[str, Callable[[], Measured]] = {
    "peak": _peak,
    "theory": _theory,
    **{layer: partial(_actual, layer) for layer in LAYERS},
    "queue1": _shallow_queue,
    "queue8": _deep_queue,
    "poorest": _poorest,
    "frames": _frames,
    "uncompressed": _uncompressed_rate,
    "weights": lambda: _spared(lambda layer: replace(layer, weight_density=1.0)),
    "activations": lambda: _spared(lambda layer: replace(layer, activation_density=1.0)),
    "scaling": _scaling,
    "dadiannao": lambda: Measured(_over_dadiannao()),
    "dadiannao-energy": _energy_efficiency,
    "dadiannao-area": _area_efficiency,
    "power": _power,
    "power-ram": _ram_power,
    "power-parts": _power_parts,
    "area": _area,
    "area-ram": _ram_area,
    "area-parts": _area_parts,
    "between-reads": _between_reads,
}


def table() -> pd.DataFrame:
    """Time, work and balance of the nine layers."""
    import pandas as pd

    rows = [
        {
            "layer": layer.name,
            "work_us": _work_us(key),
            "time_us": _time_us(key),
            "balance": _work_us(key) / _time_us(key),
            "energy_pj": _run(key).energy_pj,
        }
        for key, layer in LAYERS.items()
    ]
    return pd.DataFrame(rows)


def load() -> System:
    """EIE's ledger."""
    return related_system(
        "eie",
        "Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, ISCA 2016",
        MEASURES,
        table,
        ["architecture eie", "architecture dadiannao", "table horowitz_45nm", "table area_45nm", *SCALED_TABLES],
    )
