"""Layers whose zeros have structure, in the planar-tiled model: beside unstructured twins, and pruned as by Scalpel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.model.evaluate import Evaluation, evaluate
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network
from timeloop_py.specs.zeros import Zeros
from timeloop_py.tensors.encoding import Encoding, RankFormat
from timeloop_py.tensors.structured import BlockStructured

CONV = Layer("conv", K=16, C=12, W=20, H=18, R=3, S=3, padding=(1, 1), weight_density=0.3, activation_density=0.4)


def scnn(**terms: object) -> Architecture:
    return load_architecture("scnn", [(f"dataflow.{name}", value) for name, value in terms.items()])  # type: ignore[misc]


def everything(evaluation: Evaluation) -> dict[str, float]:
    counts = {f"{row.level} {row.tensor} {row.action}": row.count for row in evaluation.accesses.itertuples()}
    numbers = evaluation.to_frame().select_dtypes("number").iloc[0].dropna().to_dict()
    return counts | numbers


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["per_group", "per_channel", "none"]),
    st.sampled_from(["queued", "unqueued", "none"]),
    st.booleans(),
    st.sampled_from([(1, 1), (2, 1), (2, 2)]),
    st.floats(0.02, 1.0),
    st.floats(0.02, 1.0),
)
def test_blocks_of_one_position_are_unstructured(
    barrier: str, banks: str, placeholders: bool, stride: tuple[int, int], weight: float, activation: float
) -> None:
    """A model of its own goes another way through the code, and must arrive at the same numbers."""
    architecture = scnn(barrier=barrier, bank_contention=banks, placeholders=placeholders, drain_words_per_cycle=4)
    layer = replace(CONV, stride=stride, weight_density=weight, activation_density=activation)
    single = {tensor: Zeros.of("block", density=d, block=1) for tensor, d in (("w", weight), ("a", activation))}
    twin = layer.with_zeros(weight=single["w"], activation=single["a"])
    # Placeholders of other models than Bernoulli's are a mean over drawn tiles.
    tolerance = 0.03 if placeholders else 1e-7
    assert everything(evaluate(architecture, twin)) == pytest.approx(
        everything(evaluate(architecture, layer)), rel=tolerance, abs=tolerance
    )


def test_a_given_density_is_unstructured() -> None:
    layer = CONV.with_zeros(weight=Zeros.of("n_m", n=2, m=4, axis=1), activation=Zeros.of("fixed", density=0.5))
    points = evaluate(scnn(), layer, [(None, None), (0.5, None), (None, 0.5), (0.5, 0.5)]).layer_cycles[0]
    plain = evaluate(scnn(), CONV.with_densities(0.5, 0.5)).cycles
    assert points[3] == pytest.approx(plain, rel=1e-12)
    assert len({round(cycles) for cycles in points}) > 1


def test_layers_of_a_network_keep_their_own_models() -> None:
    network = load_network("alexnet")
    first, *others = network.layers
    pruned = replace(network, layers=(first.with_zeros(weight=Zeros.of("simd", density=0.4, group=4)), *others))
    both = evaluate([scnn(), load_architecture("dcnn_opt")], [network, pruned]).layer_cycles.reshape(2, 2, -1)
    assert both[0, 1, 0] != both[0, 0, 0]
    np.testing.assert_allclose(both[0, 1, 1:], both[0, 0, 1:], rtol=1e-12)
    np.testing.assert_array_equal(both[1, 1], both[1, 0])  # a dense machine's cycles know no zeros


def test_even_zeros_make_nobody_wait() -> None:
    layer = replace(CONV, W=32, H=32).with_densities(0.5, 0.5)  # tiles of 4 x 4 in all PEs
    even = evaluate(scnn(), layer.with_zeros(activation=Zeros.of("fixed", density=0.5))).to_frame()
    plain = evaluate(scnn(), layer).to_frame()
    assert even["barrier_share"][0] == pytest.approx(0, abs=1e-9)
    assert plain["barrier_share"][0] > 0.1
    assert even["cycles"][0] < plain["cycles"][0]


# -- the structures of Scalpel (Yu et al., ISCA 2017) ----------------------------------------------------------


@pytest.mark.parametrize("group", [2, 4, 8])
def test_simd_groups_cut_the_indices_of_a_weight_by_the_group_size(group: int) -> None:
    """One index per group of weights that are kept or dropped together, instead of one per weight."""
    weights, zeros = 64, BlockStructured(0.25, (group,))
    index = RankFormat("CP", bits=4)
    alone = Encoding((index,)).expected_size(weights, zeros)
    grouped = Encoding((index, RankFormat("U"))).expected_size((weights // group, group), zeros)
    assert grouped.data_bits == pytest.approx(alone.data_bits)
    assert alone.metadata_bits / (weights * 0.25) == pytest.approx(4)
    assert grouped.metadata_bits / (weights * 0.25) == pytest.approx(4 / group)


def utilization(layer: Layer) -> float:
    """Of the multipliers of PEs that work: what fragmentation leaves."""
    frame = evaluate(scnn(barrier="none", bank_contention="none"), layer).to_frame().iloc[0]
    worked = frame["useful_share"] + frame["out_of_range_share"]
    return float(worked / (worked + frame["fragmentation_share"]))


def test_node_pruning_keeps_the_efficiency_of_a_dense_layer() -> None:
    layer = Layer("fc as conv", K=64, C=64, W=32, H=32, R=3, S=3, padding=(1, 1))
    dense = utilization(layer)
    nodes = layer.with_zeros(weight=Zeros.of("whole_channel", density=0.3, axis=1))
    scattered = layer.with_densities(weight=0.05)
    assert utilization(nodes) == pytest.approx(dense, rel=1e-9)
    assert utilization(scattered) < 0.95 * dense
    # and with a third of the channels it takes a third of the time
    architecture = scnn(bank_contention="none")
    assert evaluate(architecture, nodes).cycles == pytest.approx(0.3 * evaluate(architecture, layer).cycles, rel=0.01)


def test_groups_that_fill_whole_vectors_lose_no_lane() -> None:
    layer = Layer("pointwise", K=64, C=64, W=32, H=32, R=1, S=1)
    groups = layer.with_zeros(weight=Zeros.of("block", density=0.3, block=(4, 1, 1, 1)))
    assert utilization(groups) == pytest.approx(utilization(layer), rel=1e-9)
    assert utilization(layer.with_densities(weight=0.3)) < 0.9 * utilization(layer)
