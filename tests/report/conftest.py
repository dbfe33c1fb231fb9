"""Frames as an exploration gives them: made up, but shaped like SCNN, DCNN and DCNN-opt on real networks."""

import itertools
import math
from collections.abc import Iterable

import pandas as pd
import pytest

# Layer, millions of MACs, input activation density.
ALEXNET = [
    ("conv1", 105.4, 1.0),
    ("conv2", 223.9, 0.44),
    ("conv3", 149.5, 0.42),
    ("conv4", 112.1, 0.39),
    ("conv5", 74.8, 0.36),
]
VGG = [
    (f"conv{block}_{layer}", 1850.0 / block**0.3, 1 / (0.6 * block + 0.4 * layer))
    for block, count in enumerate((2, 2, 3, 3, 3), 1)
    for layer in range(1, count + 1)
]
INCEPTION = {"1x1": 0.2, "3x3_reduce": 0.3, "3x3": 1.0, "5x5_reduce": 0.1, "5x5": 0.3, "pool_proj": 0.15}
GOOGLENET = [
    (f"{module}/{part}", 60.0 / (index + 2) * share, 0.55 - 0.04 * index)
    for index, module in enumerate(("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"))
    for part, share in INCEPTION.items()
]
LAYERS = {"alexnet": ALEXNET, "vgg16": VGG, "googlenet": GOOGLENET}
COMPONENTS = {
    "dram": 0.18,
    "weight_buffer": 0.2,
    "activation_ram": 0.14,
    "multiplier": 0.28,
    "accumulator": 0.2,
    "crossbar": 0.0,
}
PICOJOULES_PER_MAC = 2.5


def relative_cycles(design: str, weight: float, activation: float) -> float:
    """Cycles over DCNN's."""
    if design.startswith("dcnn"):
        return 1.0
    ideal = weight * activation
    return ideal if design == "oracle" else 1.27 * ideal + 0.0017 / math.sqrt(ideal)


def relative_energy(design: str, component: str, weight: float, activation: float) -> float:
    """Energy of a component over all of DCNN's."""
    share = COMPONENTS[component]
    product = weight * activation
    if design == "dcnn":
        return share
    if design == "dcnn_opt":
        return share * {"multiplier": 0.1 + 0.9 * product, "dram": 0.3 + 0.7 * activation}.get(component, 0.9)
    if component == "crossbar":
        return 0.35 * product + 0.02
    return share * {"dram": 0.25 + 0.9 * weight, "weight_buffer": weight * 1.2}.get(component, 1.15 * product + 0.03)


def result_frame(
    designs: Iterable[str], networks: Iterable[str], points: Iterable[tuple[float, float]] | None
) -> pd.DataFrame:
    """Rows like those of results.csv; without points, every layer has its own density."""
    rows = []
    for design, network in itertools.product(designs, networks):
        for layer, megamacs, density in LAYERS[network]:
            for weight, activation in [(0.35, density)] if points is None else points:
                macs = int(megamacs * 1e6)
                cycles = macs / 1024 * relative_cycles(design, weight, activation)
                energy = sum(relative_energy(design, component, weight, activation) for component in COMPONENTS)
                rows.append(
                    {
                        "architecture": design,
                        "network": network,
                        "layer": layer,
                        "weight_density": weight,
                        "activation_density": activation,
                        "cycles": cycles,
                        "macs": macs,
                        "utilization": macs * weight * activation / (cycles * 1024),
                        "barrier_share": 0.05 + 0.2 * density if design == "scnn" else 0.0,
                        "energy_pj": PICOJOULES_PER_MAC * macs * energy,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def sweep() -> pd.DataFrame:
    """SCNN, DCNN and DCNN-opt on AlexNet, both densities from 1.0 to 0.1."""
    return result_frame(["scnn", "dcnn", "dcnn_opt"], ["alexnet"], [(n / 10, n / 10) for n in range(10, 0, -1)])


@pytest.fixture(scope="session")
def layers() -> pd.DataFrame:
    """DCNN, SCNN and an oracle on three networks, every layer at its own density."""
    return result_frame(["dcnn", "scnn", "oracle"], ["alexnet", "googlenet", "vgg16"], None)


@pytest.fixture(scope="session")
def accesses(sweep: pd.DataFrame) -> pd.DataFrame:
    """Rows per component for the sweep; they add up to its energy."""
    keys = ["architecture", "network", "layer", "weight_density", "activation_density"]
    rows = []
    for row in sweep.to_dict("records"):
        for level in COMPONENTS:
            share = relative_energy(row["architecture"], level, row["weight_density"], row["activation_density"])
            energy = PICOJOULES_PER_MAC * row["macs"] * share
            entry = {"level": level, "tensor": "Inputs", "action": "read", "count": energy / 3, "energy_pj": energy}
            if energy > 0:
                rows.append({**{key: row[key] for key in keys}, **entry})
    return pd.DataFrame(rows)
