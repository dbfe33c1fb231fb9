"""Multiplier arrays: laws, and their time against machines in plain loops on real zeros."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from timeloop_py.model.evaluate import Evaluation, evaluate
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network

NAMES = ("dadiannao", "cnvlutin", "diannao", "cambricon_x", "eie", "eyeriss")
ARCHITECTURES = {name: load_architecture(name) for name in NAMES}
CONV = Layer("conv", K=40, C=36, W=9, H=9, R=3, S=3)
FC = Layer("fc", K=600, C=300)
DENSE = ((1.0, 1.0),)


def row(evaluation: Evaluation) -> dict[str, float]:
    return evaluation.to_frame().iloc[0].to_dict()


def layer_of(name: str) -> Layer:
    return FC if name == "eie" else CONV


# -- laws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_energy_and_slots_add_up(name: str) -> None:
    evaluation = evaluate(ARCHITECTURES[name], layer_of(name), ((0.3, 0.5), (1.0, 1.0)))
    frame, parts = evaluation.to_frame(), evaluation.accesses_frame()
    for (weight, activation), group in parts.groupby(["weight_density", "activation_density"]):
        mine = frame[(frame["weight_density"] == weight) & (frame["activation_density"] == activation)]
        assert group["energy_pj"].sum() == pytest.approx(mine["energy_pj"].iloc[0])
    shares = [column for column in frame if column.endswith("_share")]
    assert frame[shares].sum(axis=1).tolist() == pytest.approx([1.0, 1.0])
    assert (frame[shares] > -1e-9).all(axis=None)
    slots = frame["cycles"] * ARCHITECTURES[name].components["multiplier"].count
    assert frame["useful_multiplies"].tolist() == pytest.approx((slots * frame["useful_share"]).tolist())


@pytest.mark.parametrize(("sparse", "dense"), [("cnvlutin", "dadiannao"), ("cambricon_x", "diannao")])
@pytest.mark.parametrize(
    "layer",
    [Layer("conv", K=48, C=48, W=9, H=9, R=3, S=3), Layer("fc", K=512, C=304)],
    ids=lambda layer: layer.name,
)
def test_without_zeros_skipping_takes_the_dense_time(sparse: str, dense: str, layer: Layer) -> None:
    ours, theirs = (row(evaluate(ARCHITECTURES[name], layer, DENSE)) for name in (sparse, dense))
    assert ours["compute_cycles"] == pytest.approx(theirs["compute_cycles"])
    assert ours["multiplies"] == theirs["multiplies"] == layer.macs


def test_non_zero_weights_are_packed_across_taps() -> None:
    """36 channels fill three vectors of 16 a tap, 27 in all; 324 compressed weights fill 21 in two windows."""
    layer = replace(CONV, K=48)
    ours, theirs = (row(evaluate(ARCHITECTURES[name], layer, DENSE)) for name in ("cambricon_x", "diannao"))
    assert ours["compute_cycles"] / theirs["compute_cycles"] == pytest.approx(21 / 27)


@pytest.mark.parametrize("name", NAMES)
def test_more_density_never_takes_less(name: str) -> None:
    points = tuple((density, density) for density in np.linspace(0.05, 1, 12))
    evaluation = evaluate(ARCHITECTURES[name], layer_of(name), points)
    assert np.all(np.diff(evaluation.layer_cycles[0]) >= -1e-6)
    assert np.all(np.diff(evaluation.layer_energy_pj[0]) >= -1e-6)


@pytest.mark.parametrize(("name", "weight", "activation"), [("dadiannao", 0, 0), ("diannao", 0, 0), ("eyeriss", 0, 0)])
def test_dense_and_gated_machines_take_the_same_time_whatever_the_zeros(
    name: str, weight: int, activation: int
) -> None:
    cycles = evaluate(ARCHITECTURES[name], CONV, ((0.1, 0.1), (1.0, 1.0))).layer_cycles[0]
    assert cycles[0] == cycles[1]


def test_one_sided_machines_see_one_side() -> None:
    points = ((0.2, 0.2), (0.2, 0.9), (0.9, 0.2))
    cnvlutin = evaluate(ARCHITECTURES["cnvlutin"], CONV, points).layer_cycles[0]
    cambricon = evaluate(ARCHITECTURES["cambricon_x"], CONV, points).layer_cycles[0]
    assert cnvlutin[0] == cnvlutin[2] < cnvlutin[1]
    assert cambricon[0] == cambricon[1] < cambricon[2]


def test_eyeriss_gates_the_multiplier_and_the_filter_by_zero_inputs() -> None:
    dense, sparse = (evaluate(ARCHITECTURES["eyeriss"], CONV, ((1.0, one),)) for one in (1.0, 0.4))
    assert row(sparse)["gated_multiplies"] == pytest.approx(0.6 * CONV.macs)
    reads = [
        one.accesses.set_index(["level", "tensor", "action"]).loc[("weight_spad", "Weights", "read"), "count"]
        for one in (dense, sparse)
    ]
    assert reads[1] == pytest.approx(0.4 * reads[0])


def test_a_layer_that_does_not_apply_is_a_row_with_its_reason() -> None:
    evaluation = evaluate(ARCHITECTURES["eie"], load_network("alexnet:all"))
    frame = evaluation.to_frame().set_index("layer")
    assert math.isnan(frame.loc["conv1", "cycles"])
    assert "fully connected" in frame.loc["conv1", "note"]
    assert frame.loc["fc6", "cycles"] > 0
    assert frame.loc["fc6", "note"] == ""
    totals = evaluation.totals().iloc[0]
    assert (totals["layers"], totals["layers_left_out"]) == (3, 5)
    assert totals["cycles"] == pytest.approx(frame["cycles"].sum())


def test_weights_that_find_no_room_come_from_dram() -> None:
    dadiannao = ARCHITECTURES["dadiannao"]
    convolutions = evaluate(dadiannao, load_network("alexnet")).accesses
    everything = evaluate(dadiannao, load_network("alexnet:all")).accesses
    of_weights = [frame[(frame["level"] == "dram") & (frame["tensor"] == "Weights")]["count"].sum()
                  for frame in (convolutions, everything)]  # fmt: skip
    assert of_weights[0] == 0  # 4.6 MB stay in 32 MB of eDRAM
    assert of_weights[1] == 16 * sum(layer.weights for layer in load_network("alexnet:all").layers)


# -- exact counts ----------------------------------------------------------------------------------------


def count(evaluation: Evaluation, level: str, tensor: str, action: str) -> float:
    return float(evaluation.accesses.set_index(["level", "tensor", "action"]).loc[(level, tensor, action), "count"])


def test_weights_take_the_room_of_their_own_run_lengths() -> None:
    """A PE of EIE codes its 64 rows of a column by themselves: what follows its last non-zero needs no placeholder.

    VGG-16's first fully connected layer (Table III) fills 6.4 of 8 MB so; coded over all 4,096 rows it would not fit.
    """
    eie, layer = ARCHITECTURES["eie"], Layer("fc6", K=4096, C=25088, weight_density=0.04, activation_density=0.183)
    rng = np.random.default_rng(3)
    columns = rng.random((2000, 64)) < layer.weight_density
    stored = 0
    for column in columns:
        run = 0
        waiting = 0
        for kept in column:
            if kept:
                stored += waiting + 1
                run = waiting = 0
            else:
                run += 1
                if run == 16:
                    run, waiting = 0, waiting + 1
    mib = stored / columns.size * layer.weights / 2**20
    assert mib == pytest.approx(6.1, rel=0.02)
    moved = evaluate(eie, layer).accesses
    assert not ((moved["level"] == "dram") & (moved["tensor"] == "Weights")).any()
    smaller = load_architecture("eie", [("components.weight_memory.capacity_bytes", int(0.98 * mib / 64 * 2**20))])
    moved = evaluate(smaller, layer).accesses
    assert ((moved["level"] == "dram") & (moved["tensor"] == "Weights")).any()
    larger = load_architecture("eie", [("components.weight_memory.capacity_bytes", int(1.02 * mib / 64 * 2**20))])
    moved = evaluate(larger, layer).accesses
    assert not ((moved["level"] == "dram") & (moved["tensor"] == "Weights")).any()


def test_words_of_dadiannao() -> None:
    layer = Layer("conv", K=512, C=32, W=8, H=8, R=3, S=3)
    evaluation = evaluate(ARCHITECTURES["dadiannao"], layer, DENSE)
    steps = 6 * 6 * 9 * 2 * 2  # windows, taps, vectors of channels, groups of 256 filters
    assert evaluation.cycles == steps
    assert count(evaluation, "weight_memory", "Weights", "read") == steps * 16  # a line of 256 words in each tile
    assert count(evaluation, "activation_memory", "Inputs", "read") == steps
    assert count(evaluation, "multiplier", "Outputs", "multiply") == layer.macs


def test_words_of_cambricon_x() -> None:
    layer = Layer("fc", K=64, C=256)
    evaluation = evaluate(ARCHITECTURES["cambricon_x"], layer, ((0.25, 1.0),))
    nonzeros = 64 * 256 * 0.25
    assert count(evaluation, "dram", "Weights", "read") == pytest.approx(nonzeros * 24)
    assert count(evaluation, "weight_buffer", "Weights", "read") == pytest.approx(nonzeros * 24 / 384)


# -- machines in plain loops -----------------------------------------------------------------------------


def cnvlutin_cycles(layer: Layer, nonzero: np.ndarray, filters: int, lanes: int) -> int:
    """Windows one after the other; lanes own channels and wait at the end of each."""
    channels = [np.array_split(np.arange(layer.C), lanes)[lane] for lane in range(lanes)]
    cycles = 0
    for q in range(layer.Q):
        for p in range(layer.P):
            window = nonzero[:, p : p + layer.R, q : q + layer.S]
            cycles += max(int(window[own].sum()) for own in channels)
    return cycles * -(-layer.K // filters)


def test_cnvlutin_against_a_machine_in_plain_loops() -> None:
    layer = Layer("conv", K=300, C=80, W=12, H=12, R=3, S=3)
    rng = np.random.default_rng(5)
    drawn = [cnvlutin_cycles(layer, rng.random((80, 12, 12)) < 0.45, 256, 16) for _ in range(20)]
    modelled = evaluate(ARCHITECTURES["cnvlutin"], layer, ((1.0, 0.45),)).cycles
    assert modelled == pytest.approx(np.mean(drawn), rel=0.01)


def cambricon_cycles(layer: Layer, nonzero: np.ndarray, pes: int, lanes: int, window: int) -> int:
    """PEs own filters, run on their own, and take ``lanes`` of the non-zeros in ``window`` weights a cycle."""
    cycles = np.zeros(pes)
    flat = nonzero.reshape(layer.K, -1)
    for filter_index in range(layer.K):
        starts = range(0, flat.shape[1], window)
        steps = sum(max(1, -(-int(flat[filter_index, start : start + window].sum()) // lanes)) for start in starts)
        cycles[filter_index % pes] += steps * layer.P * layer.Q
    return int(cycles.max())


def test_cambricon_x_against_a_machine_in_plain_loops() -> None:
    layer = Layer("conv", K=96, C=64, W=6, H=6, R=3, S=3)
    rng = np.random.default_rng(6)
    drawn = [cambricon_cycles(layer, rng.random((96, 3, 3, 64)) < 0.3, 16, 16, 256) for _ in range(30)]
    modelled = evaluate(ARCHITECTURES["cambricon_x"], layer, ((0.3, 1.0),)).to_frame()["compute_cycles"].iloc[0]
    assert modelled == pytest.approx(np.mean(drawn), rel=0.01)


def eie_cycles(layer: Layer, weights: np.ndarray, inputs: np.ndarray, pes: int, depth: int) -> float:
    """Non-zero inputs broadcast into queues; PE k has the rows k, k + pes, ...; runs of 16 zeros hold a placeholder."""
    columns = np.flatnonzero(inputs)
    work = np.zeros((len(columns), pes), dtype=int)
    for pe in range(pes):
        for index, column in enumerate(columns):
            zeros = 0
            for nonzero in weights[pe::pes, column]:
                if nonzero:
                    work[index, pe] += 1 + zeros // 16
                    zeros = 0
                else:
                    zeros += 1
    work = np.maximum(work, 1)
    done, handed = np.zeros(pes), -1.0
    finished = np.zeros(work.shape)
    for index in range(len(columns)):
        handed = max(handed + 1, finished[index - depth].max() if index >= depth else 0.0)
        done = np.maximum(done, handed) + work[index]
        finished[index] = done
    return float(done.max())


def test_eie_against_a_machine_in_plain_loops() -> None:
    layer = Layer("fc", K=512, C=1500)
    eie = load_architecture("eie", [("parameters.pes", 16)])
    rng = np.random.default_rng(7)
    drawn = [eie_cycles(layer, rng.random((512, 1500)) < 0.1, rng.random(1500) < 0.4, 16, 8) for _ in range(3)]
    modelled = evaluate(eie, layer, ((0.1, 0.4),)).cycles
    assert modelled == pytest.approx(np.mean(drawn), rel=0.04)


def test_a_deeper_queue_and_fewer_pes_balance_better() -> None:
    def utilization(architecture: Architecture) -> float:
        return float(row(evaluate(architecture, replace(FC, K=600, C=4096), ((0.1, 1.0),)))["utilization"])

    depths = [utilization(load_architecture("eie", [("dataflow.queue_depth", depth)])) for depth in (1, 2, 8, 64)]
    assert depths == sorted(depths)
    assert depths[0] < 0.5 * depths[-1]
    pes = [utilization(load_architecture("eie", [("parameters.pes", number)])) for number in (64, 32, 8)]
    assert pes == sorted(pes)


# -- processors ------------------------------------------------------------------------------------------


def instructions(evaluation: Evaluation) -> float:
    return count(evaluation, "issue", "Outputs", "issue")


@pytest.mark.parametrize("platform", ["microcontroller", "cpu", "gpu"])
def test_instructions_of_a_dense_product(platform: str) -> None:
    design = load_architecture(f"scalpel_{platform}")
    layer = Layer("conv", K=96, C=3, W=12, H=12, R=5, S=5)
    vectors = layer.K * layer.P * layer.Q * -(-layer.C * 25 // design.sizes["lanes"])  # rows of 75, packed across taps
    for weight in (1.0, 0.3):
        assert instructions(evaluate(design, layer, ((weight, 1.0),))) == 3 * vectors


def test_instructions_of_compressed_rows() -> None:
    design = load_architecture("scalpel_cpu_csr")
    layer = Layer("fc", K=64, C=512)
    rng = np.random.default_rng(8)
    drawn = []
    for _ in range(200):
        rows = (rng.random((64, 512)) < 0.3).sum(axis=1)
        drawn.append(3 * (-(-rows // 8)).sum() + rows.sum())
    assert instructions(evaluate(design, layer, ((0.3, 1.0),))) == pytest.approx(np.mean(drawn), rel=0.005)


def test_instructions_of_groups() -> None:
    layer = Layer("fc", K=64, C=512)
    groups = 64 * 512 / 8 * 0.3
    assert instructions(evaluate(load_architecture("scalpel_cpu_groups"), layer, ((0.3, 1.0),))) == pytest.approx(
        4 * groups
    )
    scattered = load_architecture("scalpel_cpu_groups", [("dataflow.weight_group", 1)])
    filled = 64 * 512 / 8 * (1 - 0.7**8)  # single weights leave hardly a group empty
    assert instructions(evaluate(scattered, layer, ((0.3, 1.0),))) == pytest.approx(4 * filled)


def test_an_index_for_a_group_instead_of_a_weight() -> None:
    layer = Layer("fc", K=64, C=512)
    moved = {
        kernel: count(
            evaluate(load_architecture(f"scalpel_cpu{kernel}"), layer, ((0.25, 1.0),)), "dram", "Weights", "read"
        )
        for kernel in ("", "_csr", "_groups")
    }
    weights = 64 * 512
    assert moved[""] == weights * 32
    assert moved["_csr"] == pytest.approx(weights * 0.25 * 64)
    assert moved["_groups"] == pytest.approx(weights * 0.25 * 36)


def test_an_array_waits_for_what_fills_it() -> None:
    """Filters go into the scratchpads at four words a cycle before a pass multiplies; nothing else changes."""
    waiting = ARCHITECTURES["eyeriss"]
    flow = waiting.require_array()
    overlapped = replace(waiting, array=replace(flow, array_waits_for=()))
    conv3 = replace(load_network("alexnet").layer("conv3"), N=4)
    slow, fast = (evaluate(one, conv3, DENSE) for one in (waiting, overlapped))
    accesses = slow.accesses
    words = float(accesses.loc[accesses["level"] == "weight_network", "count"].sum())
    assert words >= conv3.weights
    assert row(fast)["binding"] == "multipliers"
    assert row(slow)["cycles"] == pytest.approx(row(fast)["cycles"] + words / 4)
    assert row(slow)["compute_cycles"] == row(fast)["compute_cycles"]
    assert row(slow)["energy_pj"] == row(fast)["energy_pj"]


def test_a_layer_is_bound_by_what_the_array_waits_for_most() -> None:
    """One image: a fully connected layer loads every filter for one product."""
    design = ARCHITECTURES["eyeriss"]
    assert row(evaluate(design, load_network("alexnet:all").layer("fc7"), DENSE))["binding"] == "weight_network"
