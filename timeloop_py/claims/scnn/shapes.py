"""Tables I and II and Figure 1: the networks and the machine before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.scnn.runs import SWEEP_NETWORK, Measure, Runs
from timeloop_py.specs.network import Network, load_network

if TYPE_CHECKING:
    import pandas as pd

BYTES_PER_VALUE = 2  # Table I: "a data-type size of two bytes"
MEGA, MEBI = 10**6, 2**20


def network_characteristics(runs: Runs) -> pd.DataFrame:
    """Table I: one row per network; sizes in 10^6 and in 2^20 bytes, since the paper mixes them.

    The largest activations are those of all convolutions, GoogLeNet's stem included, before pooling.
    """
    import pandas as pd

    rows = []
    for name, network in runs.networks.items():
        weights = max(layer.weights for layer in network.layers) * BYTES_PER_VALUE
        whole = _whole(network)
        inputs = max(layer.inputs for layer in whole.layers) * BYTES_PER_VALUE
        outputs = max(layer.outputs for layer in whole.layers) * BYTES_PER_VALUE
        rows.append(
            {
                "network": name,
                "layers": len(network.layers),
                "largest_weights_mb": weights / MEGA,
                "largest_weights_mib": weights / MEBI,
                "largest_inputs_mb": inputs / MEGA,
                "largest_inputs_mib": inputs / MEBI,
                "largest_outputs_mb": outputs / MEGA,
                "largest_outputs_mib": outputs / MEBI,
                "multiplies": sum(layer.macs for layer in network.layers),
            }
        )
    return pd.DataFrame(rows)


def _whole(network: Network) -> Network:
    """All convolutions of the file that a subset was taken from."""
    return load_network(network.name.partition(":")[0])


def design_parameters(runs: Runs) -> pd.DataFrame:
    """Table II: one row per parameter of SCNN."""
    import pandas as pd

    parameters, flow = runs.designs["scnn"].require_accelerator()
    pes = parameters.processing_elements
    value_share = parameters.word_bits / (parameters.word_bits + parameters.index_bits)
    activation_bytes = pes * (parameters.input_ram_bytes + parameters.output_ram_bytes)
    vector_bytes = parameters.F * (parameters.word_bits + parameters.index_bits) / 8
    rows = [
        ("Multiplier width", f"{parameters.word_bits} bits"),
        ("Accumulator width", f"{parameters.accumulator_bits} bits"),
        ("IARAM/OARAM (each)", f"{parameters.input_ram_bytes // 1024} KB"),
        (
            "Weight FIFO",
            f"{parameters.weight_buffer_bytes / vector_bytes:.0f} entries ({parameters.weight_buffer_bytes} B)",
        ),
        ("Multiply array (F x I)", f"{parameters.F} x {parameters.I}"),
        ("Accumulator banks", str(parameters.accumulator_banks)),
        ("Accumulator bank entries", str(parameters.accumulator_entries)),
        ("Output-channel group Kc (at most)", str(flow.output_channel_group_max)),
        ("# PEs", str(pes)),
        ("# Multipliers", str(parameters.multipliers)),
        ("IARAM + OARAM data", f"{activation_bytes * value_share / MEBI:.2g} MB"),
        ("IARAM + OARAM indices", f"{activation_bytes * (1 - value_share) / MEBI:.2g} MB"),
        ("Peak throughput", f"{peak_operations(runs) / 1e12:.3g} Tera-ops"),
    ]
    return pd.DataFrame(rows, columns=["parameter", "value"])


def peak_operations(runs: Runs) -> float:
    """Multiplies and additions per second with every multiplier busy."""
    scnn = runs.designs["scnn"]
    return 2 * scnn.require_accelerator()[0].multipliers * scnn.clock_ghz * 1e9


def layer_densities(runs: Runs) -> pd.DataFrame:
    """Figure 1: densities of every layer, and the share of multiplies with two non-zero operands."""
    import pandas as pd

    rows = [
        {
            "network": name,
            "layer": layer.name,
            "weight_density": layer.weight_density,
            "activation_density": layer.activation_density,
            "work": layer.weight_density * layer.activation_density,
        }
        for name, network in runs.networks.items()
        for layer in network.layers
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(work_reduction=1 / frame["work"])


def _multiplies(network: str) -> Measure:
    def measure(runs: Runs) -> Measured:
        table = network_characteristics(runs).set_index("network")
        return Measured(float(table["multiplies"].loc[network]), _SHAPES[network])

    return measure


_SHAPES = {
    "AlexNet": "BVLC shapes: 227 x 227 image, conv2, conv4 and conv5 in two groups",
    "GoogLeNet": "the 54 convolutions of the inception modules",
    "VGGNet": "VGG-16, 13 convolutions",
}


def _column(runs: Runs, name: str) -> tuple[float, ...]:
    return tuple(float(value) for value in network_characteristics(runs)[name])


def _texts(runs: Runs, name: str) -> str:
    return "/".join(f"{value:.3g}" for value in _column(runs, name))


def _layers(runs: Runs) -> Measured:
    return Measured(_column(runs, "layers"))


def _max_weights(runs: Runs) -> Measured:
    note = f"in 2^20 bytes; in 10^6 bytes {_texts(runs, 'largest_weights_mb')}"
    return Measured(_column(runs, "largest_weights_mib"), note)


def _max_activations(runs: Runs) -> Measured:
    note = (
        f"largest output before pooling in 2^20 bytes ({SWEEP_NETWORK} with its stem); largest input "
        f"{_texts(runs, 'largest_inputs_mib')} MiB or {_texts(runs, 'largest_inputs_mb')} MB: the paper's row is "
        "AlexNet's input in MB beside the outputs of the other two in MiB"
    )
    return Measured(_column(runs, "largest_outputs_mib"), note)


def _peak(runs: Runs) -> Measured:
    return Measured(peak_operations(runs) / 1e12, f"at {runs.designs['scnn'].clock_ghz:g} GHz")


def _typical_reduction(runs: Runs) -> Measured:
    frame = layer_densities(runs)
    medians = frame.groupby("network", sort=False)["work_reduction"].median()
    shown = ", ".join(f"{network} {value:.2f}" for network, value in medians.items())
    return Measured(float(frame["work_reduction"].median()), f"median over all {len(frame)} layers; {shown}")


def _largest_reduction(runs: Runs) -> Measured:
    frame = layer_densities(runs)
    best = frame.nlargest(1, "work_reduction").iloc[0]
    return Measured(float(best["work_reduction"]), f"{best['network']} {best['layer']}")


MEASURES: Mapping[str, Measure] = {
    "T1-alexnet-macs": _multiplies("AlexNet"),
    "T1-googlenet-macs": _multiplies("GoogLeNet"),
    "T1-vgg-macs": _multiplies("VGGNet"),
    "T1-layers": _layers,
    "T1-max-weights": _max_weights,
    "T1-max-activations": _max_activations,
    "S2-work-typical": _typical_reduction,
    "S2-work-max": _largest_reduction,
    "T2-peak": _peak,
}
