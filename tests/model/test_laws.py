"""Laws that hold for any layer and density."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.model.evaluate import Evaluation, Unit, cycles_of_units, energies_of_units, evaluate, evaluate_units
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network

DENSITIES = (0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0)


@cache
def architecture(name: str, *settings: tuple[str, object]) -> Architecture:
    return load_architecture(name, settings)  # type: ignore[arg-type]


@cache
def googlenet(name: str) -> Evaluation:
    return evaluate(architecture(name), load_network("googlenet"), tuple((d, d) for d in DENSITIES))


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    groups = draw(st.sampled_from([1, 1, 2]))
    stride, taps = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    padding = draw(st.integers(0, min(2, taps - 1)))  # more would let outputs see padding only
    return Layer(
        "random",
        K=groups * draw(st.integers(1, 20)),
        C=groups * draw(st.integers(1, 12)),
        W=draw(st.integers(taps, 30)),
        H=draw(st.integers(taps, 30)),
        R=taps,
        S=taps,
        stride=(stride, stride),
        padding=(padding, padding),
        groups=groups,
        weight_density=draw(st.floats(0.05, 1)),
        activation_density=draw(st.floats(0.05, 1)),
    )


@settings(max_examples=40, deadline=None)
@given(layers(), st.sampled_from(["per_group", "per_channel", "none"]), st.sampled_from(["queued", "unqueued", "none"]))
def test_without_zeros_the_sparse_dataflow_is_the_dense_one(layer: Layer, barrier: str, banks: str) -> None:
    terms = (("dataflow.barrier", barrier), ("dataflow.bank_contention", banks))
    sparse = evaluate(architecture("scnn", *terms), layer, [(1.0, 1.0)]).to_frame()
    dense = evaluate(architecture("scnn", *terms, ("dataflow.name", "pt_is_cp_dense")), layer, [(1.0, 1.0)]).to_frame()
    assert sparse["cycles"][0] == pytest.approx(dense["cycles"][0], rel=1e-12)
    assert sparse["multiplies"][0] == pytest.approx(dense["multiplies"][0], rel=1e-12)
    assert sparse["useful_multiplies"][0] == pytest.approx(dense["useful_multiplies"][0], rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(layers(), st.sampled_from(["scnn", "dcnn", "dcnn_opt"]))
def test_energy_and_slots_are_the_sums_of_their_parts(layer: Layer, name: str) -> None:
    evaluation = evaluate(architecture(name), layer)
    assert evaluation.accesses["energy_pj"].sum() == pytest.approx(evaluation.energy_pj, rel=1e-12)
    slots = sum(values[0, 0] for values in evaluation.slots.values())
    assert slots == pytest.approx(evaluation.cycles * 1024, rel=1e-9)
    assert all(values[0, 0] >= -1e-6 * slots for values in evaluation.slots.values())


@settings(max_examples=40, deadline=None)
@given(layers(), st.sampled_from(["per_channel", "none"]))
def test_more_density_never_costs_fewer_cycles(layer: Layer, barrier: str) -> None:
    scnn = architecture("scnn", ("dataflow.barrier", barrier))
    grid = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
    cycles = evaluate(scnn, layer, [(d, d) for d in grid]).layer_cycles[0]
    assert all(below <= above * (1 + 1e-9) for below, above in pairwise(cycles))


@settings(max_examples=30, deadline=None)
@given(layers())
def test_gating_changes_energy_and_no_cycle(layer: Layer) -> None:
    plain, gated = evaluate(architecture("dcnn"), layer), evaluate(architecture("dcnn_opt"), layer)
    assert plain.cycles == gated.cycles
    assert gated.energy_pj <= plain.energy_pj * (1 + 1e-12)


@settings(max_examples=30, deadline=None)
@given(layers())
def test_all_designs_do_the_same_useful_work(layer: Layer) -> None:
    useful = [evaluate(architecture(name), layer).to_frame()["useful_multiplies"][0] for name in ("scnn", "dcnn")]
    assert useful[0] == pytest.approx(useful[1], rel=1e-9)


@pytest.mark.parametrize("network", ["alexnet", "googlenet", "vgg16"])
def test_more_density_never_costs_fewer_cycles_in_the_networks(network: str) -> None:
    grid = [(d / 50, d / 50) for d in range(1, 51)]
    cycles = evaluate(architecture("scnn"), load_network(network), grid).layer_cycles
    assert (np.diff(cycles, axis=1) >= -1e-9 * cycles[:, 1:]).all()


def test_the_oracle_is_never_slower() -> None:
    frame = googlenet("scnn").to_frame()
    assert (frame["oracle_cycles"] <= frame["cycles"] * (1 + 1e-12)).all()


def test_dcnn_opt_uses_less_energy_at_every_density_below_one() -> None:
    plain, gated = (googlenet(name).layer_energy_pj.sum(axis=0) for name in ("dcnn", "dcnn_opt"))
    assert (gated[:-1] < plain[:-1]).all()
    assert gated[-1] == pytest.approx(plain[-1], rel=1e-12)


def test_energy_is_plausible_before_any_calibration() -> None:
    scnn, dcnn = (googlenet(name).layer_energy_pj.sum(axis=0) for name in ("scnn", "dcnn"))
    ratio = dict(zip(DENSITIES, scnn / dcnn, strict=True))
    assert 1.1 <= ratio[1.0] <= 1.6
    assert ratio[0.9] > 1 > ratio[0.7]


def test_a_batch_gives_what_its_units_give_alone() -> None:
    network = load_network("alexnet")
    designs = [architecture(name) for name in ("scnn", "dcnn", "dcnn_opt")]
    together = evaluate(designs, network, [(0.3, 0.6), (1.0, 1.0)]).to_frame()
    alone = [
        evaluate(design, layer, [(0.3, 0.6), (1.0, 1.0)]).to_frame() for design in designs for layer in network.layers
    ]
    for column in ("cycles", "multiplies", "utilization"):
        values = np.concatenate([frame[column] for frame in alone])
        assert together[column].to_numpy() == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize("names", [("scnn", "dcnn", "dcnn_opt"), ("scnn", "dadiannao")])
def test_cycles_and_energy_alone_are_those_of_the_evaluation(names: tuple[str, ...]) -> None:
    network = load_network("vgg16")  # whose layers spill at some densities and not at others
    designs = [load_architecture(name) for name in names]
    units = [Unit(design, network, layer) for design in designs for layer in network.layers]
    points = [(None, None), (0.3, 0.2), (1.0, 1.0)]
    whole = evaluate_units(units, points)
    np.testing.assert_array_equal(energies_of_units(units, points), whole.layer_energy_pj)
    np.testing.assert_array_equal(cycles_of_units(units, points), whole.layer_cycles)
