"""Scalpel (Yu et al., ISCA 2017): what pruning does to a microcontroller, a CPU and a GPU.

Three kinds of pruning: single weights (CSR), aligned groups as wide as the SIMD unit, and whole nodes, which leaves a
smaller dense network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.related.related_system import architecture, network, related_system
from timeloop_py.claims.systems import Exhibit, System
from timeloop_py.model.evaluate import Evaluation, evaluate
from timeloop_py.report.pruning_plots import speedup_by_pruning
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network

if TYPE_CHECKING:
    import pandas as pd

PLATFORMS = ("microcontroller", "cpu", "gpu")
#: Kinds of pruning with a kernel of their own.
KERNELS = {"unstructured": "_csr", "groups": "_groups"}
#: Nodes kept of each layer by node pruning (the authors' repository, jiecaoyu/scalpel, README).
KEPT_NODES: dict[str, dict[str, int]] = {
    "lenet_300_100": {"ip1": 161, "ip2": 64, "ip3": 10},
    "lenet5": {"conv1": 9, "conv2": 18, "ip1": 65, "ip2": 10},
    "cifar10_full": {"conv1": 28, "conv2": 22, "conv3": 40, "ip1": 10},
    "nin_cifar10": {
        "conv1": 117, "cccp1": 81, "cccp2": 62, "conv2": 183, "cccp3": 123, "cccp4": 148, "conv3": 91, "cccp5": 54,
        "cccp6": 10,
    },
    "alexnet:all": {
        "conv1": 83, "conv2": 225, "conv3": 233, "conv4": 238, "conv5": 253, "fc6": 3001, "fc7": 3029, "fc8": 1000,
    },
}  # fmt: skip
#: Those of them with published densities after pruning single weights.
PRUNED = ("lenet_300_100", "lenet5", "alexnet:all")
DENSITIES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
#: One layer of either kind stands for its like in the curves.
PARTS = {"convolution": "conv3", "fully connected": "fc7"}


def prune_nodes(net: Network, kept: Mapping[str, int]) -> Network:
    """A network without the nodes that are not kept: fewer output channels, and fewer inputs of the layers behind.

    Layers in channel groups keep a whole number of channels per group, rounded up.
    """

    def pruned(layer: Layer) -> Layer:
        share = [kept[name] / net.layer(name).K for name in net.inputs[layer.name]]
        inputs = layer.C * (sum(share) / len(share) if share else 1.0)
        groups = layer.groups
        return replace(
            layer,
            K=math.ceil(kept[layer.name] / groups) * groups,
            C=math.ceil(round(inputs, 6) / groups) * groups,
            weight_density=1.0,
        )

    return replace(net, layers=tuple(pruned(layer) for layer in net.layers))


def _nodes_of(layer: Layer, density: float) -> Layer:
    """A layer between pruned ones whose weights are left to ``density``: the same share of inputs and of outputs."""
    groups, share = layer.groups, math.sqrt(density)
    sizes = {name: math.ceil(round(getattr(layer, name) * share / groups, 6)) * groups for name in ("K", "C")}
    return replace(layer, **sizes, weight_density=1.0)


@cache
def _run(platform: str, kernel: str, net: str) -> Evaluation:
    return evaluate(architecture(f"scalpel_{platform}{kernel}"), network(net))


def _speedup(platform: str, kernel: str, net: str) -> float:
    return _run(platform, "", net).cycles / _run(platform, kernel, net).cycles


@cache
def _node_speedup(platform: str, net: str) -> float:
    pruned = prune_nodes(network(net), KEPT_NODES[net])
    return _run(platform, "", net).cycles / evaluate(architecture(f"scalpel_{platform}"), pruned).cycles


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _named(values: Mapping[str, float]) -> str:
    return ", ".join(f"{net} {value:.2f}" for net, value in values.items())


def _nodes() -> Measured:
    speedup = _node_speedup("gpu", "alexnet:all")
    return Measured(speedup > 1, f"{speedup:.2f}x")


def _scalpel() -> Measured:
    """Groups on the microcontroller and the CPU, at the densities of single weights; nodes on the GPU."""
    groups = [_mean(_speedup(platform, "_groups", net) for net in PRUNED) for platform in ("microcontroller", "cpu")]
    nodes = {net: _node_speedup("gpu", net) for net in KEPT_NODES}
    return Measured((*groups, _mean(nodes.values())), f"GPU: {_named(nodes)}")


def _size() -> Measured:
    """What node pruning takes off the weights."""
    taken = {
        net: 1 - sum(layer.weights for layer in prune_nodes(network(net), kept).layers) / _weights(net)
        for net, kept in KEPT_NODES.items()
    }
    return Measured(_mean(taken.values()), _named(taken))


def _group_sizes() -> Measured:
    """What groups with their indices take off the weights of the microcontroller and the CPU."""

    def taken(platform: str, net: str) -> float:
        sizes = architecture(f"scalpel_{platform}_groups").sizes
        kept = sum(layer.weights * layer.weight_density for layer in network(net).layers)
        return 1 - kept / _weights(net) * (sizes["word_bits"] + sizes["index_bits"]) / sizes["word_bits"]

    return Measured(tuple(_mean(taken(platform, net) for net in PRUNED) for platform in ("microcontroller", "cpu")))


def _grouped_time() -> Measured:
    """Least and most that groups save of the time of as many single weights on the microcontroller."""
    curves = table().set_index("platform").loc["microcontroller"].set_index(["part", "weight_density", "pruning"])
    speedups = curves["speedup"].unstack("pruning")
    saved = 1 - speedups["unstructured"] / speedups["groups"]
    return Measured((float(saved.min()), float(saved.max())))


def _weights(net: str) -> int:
    return sum(layer.weights for layer in network(net).layers)


def _faster(platform: str, net: str) -> Measured:
    speedup = _speedup(platform, "_csr", net)
    return Measured(speedup > 1, f"{speedup:.2f}x")


def _slower(platform: str, net: str) -> Measured:
    speedup = _speedup(platform, "_csr", net)
    return Measured(speedup < 1, f"{speedup:.2f}x")


def _grouping() -> Measured:
    gains = {
        platform: _speedup(platform, "_groups", "alexnet:all") / _speedup(platform, "_csr", "alexnet:all")
        for platform in ("microcontroller", "cpu")
    }
    return Measured(min(gains.values()) > 1, ", ".join(f"{name} {gain:.2f}x" for name, gain in gains.items()))


def _index() -> Measured:
    shares = []
    for platform in ("microcontroller", "cpu"):
        bits = [architecture(f"scalpel_{platform}{kernel}").sizes["index_bits"] for kernel in ("_groups", "_csr")]
        shares.append(bits[0] / bits[1])
    return Measured(tuple(shares))


def _unstructured() -> Measured:
    return Measured(
        tuple(_mean(_speedup(platform, "_csr", net) for net in PRUNED) for platform in PLATFORMS),
        "AlexNet alone: " + ", ".join(f"{_speedup(platform, '_csr', 'alexnet:all'):.2f}" for platform in PLATFORMS),
    )


MEASURES: dict[str, Callable[[], Measured]] = {
    "gpu-unstructured": partial(_slower, "gpu", "alexnet:all"),
    "cpu-convolutions": partial(_slower, "cpu", "alexnet"),
    "microcontroller": partial(_faster, "microcontroller", "alexnet:all"),
    "grouping": _grouping,
    "nodes": _nodes,
    "index": _index,
    "grouped-time": _grouped_time,
    "size": _size,
    "group-sizes": _group_sizes,
    "scalpel-speedup": _scalpel,
    "unstructured-speedup": _unstructured,
}


@cache
def table() -> pd.DataFrame:
    """Speed-up over dense of a convolution and a fully connected layer, per platform, pruning and density."""
    import pandas as pd

    rows = []
    points = tuple((density, None) for density in DENSITIES)
    for platform in PLATFORMS:
        dense_design = architecture(f"scalpel_{platform}")
        for part, name in PARTS.items():
            layer = network("alexnet:all").layer(name)
            dense = evaluate(dense_design, layer).cycles
            cycles = {
                pruning: list(evaluate(architecture(f"scalpel_{platform}{kernel}"), layer, points).layer_cycles[0])
                for pruning, kernel in KERNELS.items()
            }
            cycles["nodes"] = [evaluate(dense_design, _nodes_of(layer, density)).cycles for density in DENSITIES]
            for pruning, values in cycles.items():
                for density, value in zip(DENSITIES, values, strict=True):
                    row = {"platform": platform, "part": part, "pruning": pruning, "weight_density": density}
                    rows.append(row | {"cycles": float(value), "speedup": float(dense / value)})
    return pd.DataFrame(rows)


def breakeven() -> pd.DataFrame:
    """The largest density of :data:`DENSITIES` up to which each kind of pruning is at least as fast as dense."""
    import pandas as pd

    rows = []
    for keys, curve in table().groupby(["platform", "part", "pruning"], sort=False):
        wins = curve.loc[curve["speedup"] >= 1 - 1e-9, "weight_density"]
        rows.append(
            dict(zip(("platform", "part", "pruning"), keys, strict=True))
            | {"fastest_below_density": float(wins.max()) if len(wins) else 0.0}
        )
    return pd.DataFrame(rows)


def _curves() -> Exhibit:
    return Exhibit(
        tables={"scalpel_pruning": table(), "scalpel_breakeven": breakeven()},
        figures={"scalpel_pruning": speedup_by_pruning(table())},
    )


def load() -> System:
    """Scalpel's ledger."""
    names = [f"architecture scalpel_{platform}{kernel}" for platform in PLATFORMS for kernel in ("", "_csr", "_groups")]
    system = related_system(
        "scalpel",
        "Yu et al., Scalpel: Customizing DNN Pruning to the Underlying Hardware Parallelism, ISCA 2017",
        MEASURES,
        table,
        [*names, *(f"network {net.partition(':')[0]}" for net in KEPT_NODES)],
    )
    return replace(system, exhibits={"layers": _curves})
