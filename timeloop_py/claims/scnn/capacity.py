"""Sections IV and VI-D: what fits on the chip, what tiling over DRAM costs, run-length placeholders, banks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.scnn.runs import Measure, Runs
from timeloop_py.explore.density_plane import spill_onsets
from timeloop_py.model.capacity import activation_fit, dram_tiles
from timeloop_py.model.evaluate import evaluate
from timeloop_py.nest.lowering import lower_layer
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.tables import load_energy_table
from timeloop_py.tensors.density import Bernoulli
from timeloop_py.tensors.run_length import expected_placeholders

if TYPE_CHECKING:
    import pandas as pd

#: Accumulator banks over the products of a step: the paper's is 2.
BANK_FACTORS = (1, 2, 4)


def layer_placement(runs: Runs) -> pd.DataFrame:
    """Section VI-D: where the activations of every layer live, one row per design, network and layer.

    ``input_kb_per_pe`` and ``output_kb_per_pe``: the busiest PE's tile. ``tiles``: parts of the plane that fit one
    after the other (1: no tiling). ``dram_input_kb`` and ``dram_output_kb``: activations over DRAM, the network's input
    included.
    """
    import pandas as pd

    bits = runs.accesses[runs.accesses["level"] == "dram"].set_index(["architecture", "network", "layer", "tensor"])
    moved = bits["count"] / (8 * 1024)
    rows = []
    for name, design in runs.designs.items():
        for network_name, network in runs.networks.items():
            for layer in network.layers:
                tiles = dram_tiles(design, layer)
                key = (name, network_name, layer.name)
                fit = activation_fit(
                    design, layer, np.array([layer.activation_density]), np.array([layer.stored_density])
                )
                rows.append(
                    {
                        "architecture": name,
                        "network": network_name,
                        "layer": layer.name,
                        "fits_on_chip": bool(fit.fits[0]),
                        "input_kb_per_pe": float(fit.input_bits[0]) / 8192,
                        "output_kb_per_pe": float(fit.output_bits[0]) / 8192,
                        "tiles": 0 if tiles is None else tiles[0] * tiles[1],
                        "dram_input_kb": float(moved[(*key, "Inputs")]),
                        "dram_output_kb": float(moved[(*key, "Outputs")]),
                    }
                )
    return pd.DataFrame(rows)


def spill_penalties(runs: Runs, design: str = "scnn") -> pd.DataFrame:
    """Section VI-D: energy of moving the activations of tiled layers over DRAM, at DRAM energies low, ours and high.

    One row per tiled layer. ``penalty``: DRAM energy of its activations over all other energy of the layer; the
    network's own input is read whether a layer is tiled or not and counts with the rest. ``resending_penalty``: what
    sending the weights again for every tile would add (not in the model's energy: the paper counts activations alone).
    """
    import pandas as pd

    entry = load_energy_table(runs.energy_table).entries["dram.read"]
    low, high = entry.range_pj
    placement = layer_placement(runs)
    tiled = placement[(placement["architecture"] == design) & ~placement["fits_on_chip"]]
    frame = runs.accesses[runs.accesses["architecture"] == design]
    rows = []
    for network_name, name, tiles in zip(tiled["network"], tiled["layer"], tiled["tiles"], strict=True):
        mine = frame[(frame["network"] == network_name) & (frame["layer"] == name)]
        in_dram = mine["level"] == "dram"
        spilled = in_dram & (mine["tensor"] != "Weights")
        if runs.networks[network_name].reads_network_input(name):
            spilled &= mine["tensor"] != "Inputs"
        weights = mine["level"].isin(["dram", "weight_bus"]) & (mine["tensor"] == "Weights")
        energy = mine["energy_pj"]
        spill_pj, rest_pj = float(energy[spilled].sum()), float(energy[~spilled].sum())
        other_dram_pj = float(energy[in_dram & ~spilled].sum())
        penalties = [
            spill_pj * factor / (rest_pj + other_dram_pj * (factor - 1))
            for factor in (low / entry.law.value, 1.0, high / entry.law.value)
        ]
        rows.append(
            {
                "network": network_name,
                "layer": name,
                "tiles": int(tiles),
                "spilled_kb": float(mine.loc[spilled, "count"].sum()) / 8192,
                "spill_energy_pj": spill_pj,
                "other_energy_pj": rest_pj,
                "penalty_low": penalties[0],
                "penalty": penalties[1],
                "penalty_high": penalties[2],
                "resending_penalty": (int(tiles) - 1) * float(energy[weights].sum()) / rest_pj,
            }
        )
    return pd.DataFrame(rows)


def spill_densities(runs: Runs) -> pd.DataFrame:
    """Section VI-D: the activation density above which a layer of SCNN starts to spill (1: it never does).

    Input and output alike dense; along a sweep of densities SCNN's energy jumps there.
    """
    import pandas as pd

    rows = [
        {"network": name, "layer": spill.layer, "activation_density": spill.activation_density}
        for name, network in runs.networks.items()
        for spill in spill_onsets(runs.designs["scnn"], network)
    ]
    return pd.DataFrame(rows)


def _summary(penalties: Sequence[float]) -> tuple[float, float, float]:
    return min(penalties), sum(penalties) / len(penalties), max(penalties)


def _penalty(runs: Runs) -> Measured:
    table = spill_penalties(runs)
    entry = load_energy_table(runs.energy_table).entries["dram.read"]
    low, high = entry.range_pj
    largest = table.nlargest(1, "penalty")["layer"].item()
    others = table.loc[table["layer"] != largest, "penalty"].tolist()

    def shown(values: Sequence[float]) -> str:
        return "/".join(f"{value:.2f}" for value in _summary(values))

    total = float(table["spill_energy_pj"].sum() / table["other_energy_pj"].sum())
    note = (
        f"at {entry.law.value:.3g} pJ/bit of DRAM; at {low:g}: {shown(table['penalty_low'].tolist())}, at {high:g}: "
        f"{shown(table['penalty_high'].tolist())}. All of them together {total:.2f}; without {largest}, which stores "
        f"64 channels for 3 it reads: {shown(others)}"
    )
    return Measured(_summary(table["penalty"].tolist()), note)


def _tiled_layers(runs: Runs) -> Measured:
    tiled = [
        f"{network} {layer}"
        for network in runs.networks
        for layer, fits in runs.of_design(network)["fits_on_chip"].items()
        if not fits
    ]
    layers = sum(len(network.layers) for network in runs.networks.values())
    return Measured(float(len(tiled)), f"of {layers}: {tiled[0]} to {tiled[-1]}" if tiled else f"of {layers}")


def _fit(runs: Runs) -> Measured:
    fits = {network: bool(runs.of_design(network)["fits_on_chip"].all()) for network in runs.networks}
    return Measured(
        fits == {"AlexNet": True, "GoogLeNet": True, "VGGNet": False},
        "; ".join(f"{network} {'fits' if fit else 'does not'}" for network, fit in fits.items()),
    )


# -- section IV ------------------------------------------------------------------------------------------------


def placeholder_overheads(runs: Runs) -> pd.DataFrame:
    """Section IV: placeholder zeros per stored value of the weights and activations of every layer.

    Blocks are those of the dataflow: the weights of an (output-channel group, channel), the activations of a
    (channel, tile). ``*_unbroken``: in an endless block of that density.
    """
    import pandas as pd

    scnn = runs.designs["scnn"]
    rows = []
    for network_name, network in runs.networks.items():
        for layer in network.layers:
            weights, activations = _blocks(scnn, layer)
            bits = scnn.require_accelerator()[0].index_bits
            rows.append(
                {
                    "network": network_name,
                    "layer": layer.name,
                    "weight_overhead": _overhead(layer.weight_density, weights, bits),
                    "activation_overhead": _overhead(layer.activation_density, activations, bits),
                    "weight_overhead_unbroken": _unbroken(layer.weight_density, bits),
                    "activation_overhead_unbroken": _unbroken(layer.activation_density, bits),
                }
            )
    return pd.DataFrame(rows)


def _blocks(architecture: Architecture, layer: Layer) -> tuple[dict[int, int], dict[int, int]]:
    """Sizes of weight blocks and of activation blocks, with how many there are of each per channel and pass."""
    lowered = lower_layer(architecture, layer)
    weights: dict[int, int] = {}
    activations: dict[int, int] = {}
    for one in lowered.passes:
        for block in one.blocks:
            for channels, count in lowered.groups:
                weights[channels * block.taps] = weights.get(channels * block.taps, 0) + one.count * count
            for size, pes in zip(block.sizes, one.pe_counts, strict=True):
                activations[size] = activations.get(size, 0) + one.count * pes
    return weights, activations


@cache
def _placeholders(density: float, positions: int, run_bits: int) -> float:
    return float(expected_placeholders(positions, Bernoulli(density), run_bits))


def _overhead(density: float, blocks: Mapping[int, int], run_bits: int) -> float:
    """Placeholders per non-zero over blocks of these sizes."""
    stored = sum(count * _placeholders(density, size, run_bits) for size, count in blocks.items())
    return stored / (density * sum(size * count for size, count in blocks.items()))


def _unbroken(density: float, run_bits: int) -> float:
    """Placeholders per non-zero without ends: ``q^K / (1 - q^K)`` with ``q = 1 - density`` and ``K = 2^bits``."""
    skipped = (1 - density) ** (2**run_bits)
    return float(skipped / (1 - skipped))


def _run_lengths(runs: Runs) -> Measured:
    table = placeholder_overheads(runs)
    columns = ["weight_overhead", "activation_overhead"]
    unbroken = table[[f"{column}_unbroken" for column in columns]].to_numpy().max()
    worst = table.loc[table[columns].max(axis=1).nlargest(1).index].iloc[0]
    note = f"largest of any layer ({worst['network']} {worst['layer']}); {unbroken:.4f} were its blocks endless"
    return Measured(float(table[columns].to_numpy().max()), note)


def bank_stalls(runs: Runs) -> pd.DataFrame:
    """Section IV: share of cycles lost to bank conflicts, by network, banks and bank rule."""
    import pandas as pd

    base = runs.designs["scnn"].require_accelerator()[0]
    designs = {
        (factor, rule): runs.design(
            "scnn",
            [
                ("name", f"scnn_{factor}_{rule}"),
                ("parameters.accumulator_banks", factor * base.multipliers_per_pe),
                ("parameters.accumulator_entries", base.accumulator_words // (factor * base.multipliers_per_pe)),
                ("dataflow.bank_contention", rule),
            ],
        )
        for factor in BANK_FACTORS
        for rule in ("queued", "unqueued")
    }
    evaluation = evaluate(list(designs.values()), list(runs.networks.values()))
    frame = evaluation.to_frame()
    rows = []
    for (factor, rule), design in designs.items():
        for name, network in runs.networks.items():
            mine = frame[(frame["architecture"] == design.name) & (frame["network"] == network.name)]
            stalled = float((mine["bank_stalls_share"] * mine["cycles"]).sum() / mine["cycles"].sum())
            rows.append(
                {
                    "network": name,
                    "banks": factor * base.multipliers_per_pe,
                    "banks_per_product": factor,
                    "bank_contention": rule,
                    "stall_share": stalled,
                }
            )
    return pd.DataFrame(rows)


def _banks(runs: Runs) -> Measured:
    table = bank_stalls(runs)
    shares = table[table["banks_per_product"] == 2].groupby("bank_contention")["stall_share"].max()
    fewer = table[(table["banks_per_product"] == 1) & (table["bank_contention"] == "queued")]["stall_share"].max()
    note = (
        f"the worst network, queued banks; with half the banks {fewer:.2%}; {shares['unqueued']:.0%} if a step waited "
        "for its fullest bank"
    )
    return Measured(float(shares["queued"]), note)


MEASURES: Mapping[str, Measure] = {
    "S6D-tiled-layers": _tiled_layers,
    "S6D-penalty": _penalty,
    "S4-fit": _fit,
    "S4-banks": _banks,
    "S4-rle": _run_lengths,
}
