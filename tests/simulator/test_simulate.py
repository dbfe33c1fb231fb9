"""The simulator as a whole: recorded runs, an independent machine in plain loops, and laws."""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.simulator.brute_force import brute_force
from tests.simulator.strategies import runs
from timeloop_py.simulator.machine import DCNN, SCNN, Machine
from timeloop_py.simulator.mersenne import mersenne_tensors
from timeloop_py.simulator.operands import operands
from timeloop_py.simulator.simulate import simulate
from timeloop_py.specs.layer import Layer

CASES = list(csv.DictReader((Path(__file__).parents[1] / "data" / "scnn_cases.csv").read_text().splitlines()))
CONV3 = Layer("conv3", K=384, C=256, W=13, H=13, R=3, S=3, padding=(1, 1), weight_density=0.35, activation_density=0.4)
INCEPTION = Layer("3x3", K=32, C=16, W=28, H=28, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.5)


def case_layer(case: dict[str, str]) -> Layer:
    sizes: dict[str, Any] = {dim: int(case[dim]) for dim in ("C", "H", "W", "K", "R", "S", "groups")}
    stride, padding = int(case["stride"]), int(case["pad"])
    return Layer(
        case["layer"],
        **sizes,
        stride=(stride, stride),
        padding=(padding, padding),
        weight_density=float(case["weight_density"]),
        activation_density=float(case["act_density"]),
    )


@pytest.mark.parametrize("case", CASES, ids=[f"{c['layer']}-{c['act_density']}-{c['seed']}" for c in CASES])
def test_recorded_runs_of_a_public_simulator_are_met_exactly(case: dict[str, str]) -> None:
    """tests/data/scnn_cases.md says whose runs these are."""
    layer = case_layer(case)
    activations, weights = mersenne_tensors(layer, int(case["seed"]))
    machine = Machine(tiling="padded_ceil", bank_contention="none")
    result = simulate(layer, machine, activations=activations, weights=weights, verify=False)
    per_channel = simulate(
        layer, replace(machine, barrier="per_channel"), activations=activations, weights=weights, verify=False
    )
    assert result.nonzero_activations == int(case["nnz_act"])
    assert result.nonzero_weights == int(case["nnz_wgt"])
    assert result.output_channel_group == int(case["Kc"])
    assert result.groups == int(case["kc_groups"])
    assert result.nonzero_products == result.multiplies == int(case["cartesian_products"])
    assert result.useful_multiplies == int(case["useful_products"])
    assert result.steps == int(case["multiplier_steps_sum"])
    assert result.cycles == int(case["cycles_barrier_per_kc_group_noconflict"])
    assert per_channel.cycles == int(case["cycles_barrier_per_channel_noconflict"])
    assert result.oracle_cycles == pytest.approx(float(case["oracle_cycles"]), abs=0.051)


@settings(max_examples=150)
@given(runs("pt_is_cp_sparse", "pt_is_cp_dense"))
def test_agrees_with_a_machine_in_plain_loops(run: tuple[Layer, Machine, int]) -> None:
    layer, machine, seed = run
    activations, weights = operands(layer, seed, None, None)
    result = simulate(layer, machine, seed=seed)
    expected = brute_force(layer, machine, activations, weights)
    lanes = machine.multipliers_per_pe
    assert result.max_abs_error == 0
    assert result.outputs is not None
    for (n, k, q, p), value in expected.outputs.items():
        assert result.outputs[n, k, q, p] == value
    assert result.steps == expected.steps
    assert result.multiplies == expected.multiplies
    assert result.nonzero_products == expected.nonzero
    assert result.useful_multiplies == expected.useful
    assert result.slots.bank_stalls == expected.bank_stall * lanes
    assert result.slots.overhead == expected.overhead * lanes
    assert result.cycles == expected.cycles
    assert result.slots.total == result.cycles * machine.multipliers
    assert min(result.slots.shares().values()) >= 0


@settings(max_examples=150)
@given(runs("pt_is_dp_dense"))
def test_dot_products_compute_the_convolution_and_account_for_every_slot(run: tuple[Layer, Machine, int]) -> None:
    layer, machine, seed = run
    result = simulate(layer, machine, seed=seed)
    assert result.max_abs_error == 0
    assert result.multiplies == layer.macs
    assert result.slots.total == result.cycles * machine.multipliers
    assert result.slots.zero_operands == result.multiplies - result.useful_multiplies
    assert min(result.slots.shares().values()) >= 0


@settings(max_examples=50)
@given(runs("pt_is_cp_sparse", "pt_is_cp_dense"))
def test_counting_alone_gives_the_same_numbers(run: tuple[Layer, Machine, int]) -> None:
    layer, machine, seed = run
    counted = simulate(layer, machine, seed=seed, verify=False)
    assert counted.max_abs_error is None
    assert counted.outputs is None
    executed = simulate(layer, machine, seed=seed)
    assert replace(executed, max_abs_error=None, agrees=None, outputs=None) == counted


@settings(max_examples=50)
@given(runs("pt_is_cp_sparse"))
def test_at_density_1_the_sparse_dataflow_is_the_dense_one(run: tuple[Layer, Machine, int]) -> None:
    layer, machine, seed = run
    full = layer.with_densities(1.0, 1.0)
    sparse = simulate(full, machine, seed=seed)
    dense = simulate(full, replace(machine, dataflow="pt_is_cp_dense"), seed=seed)
    assert sparse == dense


@pytest.mark.parametrize("layer", [INCEPTION, INCEPTION.with_densities(1.0, 1.0)])
def test_banks_twice_the_products_of_a_step_hardly_stall(layer: Layer) -> None:
    """Parashar et al., section IV: A = 2 F I sufficiently reduces accumulator bank contention."""
    result = simulate(layer, SCNN)
    assert result.slots.shares()["bank_stalls"] < 0.02
    unqueued = simulate(layer, replace(SCNN, bank_contention="unqueued"))
    assert 1.1 < unqueued.cycles / result.cycles < 3
    fewer = simulate(layer, replace(SCNN, accumulator_banks=4, accumulator_entries=256))
    assert fewer.slots.shares()["bank_stalls"] > 0.1


def test_alexnet_conv3_with_bank_queues_is_exact_and_quick() -> None:
    start = time.process_time()
    result = simulate(CONV3, SCNN)
    assert time.process_time() - start < 20
    assert result.max_abs_error == 0
    assert result.slots.shares()["bank_stalls"] < 0.02


def test_dcnn_takes_one_step_for_16_operand_pairs() -> None:
    """13x13 on 8x8 PEs: the largest tile is 2x2, and 2304 = 144 * 16 products go into each of its outputs."""
    result = simulate(CONV3, DCNN)
    assert result.max_abs_error == 0
    assert result.cycles == 384 * 4 * 144
    assert result.multiplies == 384 * 256 * 9 * 169
    assert result.slots.fragmentation == 0


def test_a_plane_smaller_than_the_grid_leaves_pes_idle() -> None:
    layer = Layer("small", K=8, C=4, W=7, H=7)
    result = simulate(layer, SCNN)
    assert result.slots.idle_pes == result.cycles * 15 * 16
    assert result.slots.barrier == 0


def test_a_short_drain_is_hidden_and_a_long_one_sets_the_pace() -> None:
    layer = Layer("drain", K=16, C=1, W=8, H=8)
    machine = replace(SCNN, drain_words_per_cycle=8.0)
    assert simulate(layer, machine).cycles == 2 * 2
    slow = simulate(layer, replace(machine, drain_words_per_cycle=0.5))
    assert slow.cycles == 2 * 16
    assert slow.slots.drain == 2 * 14 * 64 * 16


def test_halo_sums_are_those_outside_the_own_part_of_the_plane() -> None:
    layer = Layer("halo", K=2, C=1, W=16, H=8, R=3, S=3, padding=(1, 1))
    machine = replace(SCNN, pe_columns=2, pe_rows=1)
    result = simulate(layer, machine)
    assert result.halo_words == 2 * 2 * 8, "each PE sends one column of 8 for each of the 2 output channels"
    assert simulate(layer, replace(machine, halo="input")).halo_words == 0


def test_placeholders_cost_lanes_and_no_error() -> None:
    layer = INCEPTION.with_densities(0.03, 0.5)
    free, limited = simulate(layer, SCNN), simulate(layer, replace(SCNN, run_bits=4))
    assert limited.max_abs_error == 0
    assert limited.useful_multiplies == free.useful_multiplies
    assert limited.slots.placeholders == limited.multiplies - free.multiplies > 0
    assert limited.cycles > free.cycles


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    assert simulate(INCEPTION, SCNN, seed=3) == simulate(INCEPTION, SCNN, seed=3)
    assert simulate(INCEPTION, SCNN, seed=3) != simulate(INCEPTION, SCNN, seed=4)


def test_zero_tensors_take_no_step() -> None:
    layer = Layer("zero", K=8, C=2, W=8, H=8)
    result = simulate(layer, replace(SCNN, drain_words_per_cycle=1e9), weights=np.zeros((8, 2, 1, 1)))
    assert result.steps == result.useful_multiplies == 0
    assert result.utilization == 0


def test_progress_counts_groups_over_passes_and_images() -> None:
    seen: list[tuple[int, int]] = []
    layer = replace(INCEPTION, N=2)
    simulate(layer, SCNN, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_to_dict_has_the_names_of_the_command_line() -> None:
    result = simulate(INCEPTION, SCNN)
    record = result.to_dict()
    lost = record["lost_slots"]
    assert isinstance(lost, dict)
    assert {"cycles", "multiplies", "useful_multiplies", "utilization", "lost_slots", "max_abs_error"} <= set(record)
    useful = record["useful_share"]
    assert isinstance(useful, float)
    assert sum(lost.values()) + useful == pytest.approx(1, abs=1e-12)
    assert record["utilization"] == pytest.approx(useful + lost["out_of_range"])
