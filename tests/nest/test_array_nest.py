"""Lowering onto multiplier arrays: bounds filled in, fibers dealt to lanes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.nest.array_nest import ArrayNest, DoesNotApplyError, array_nest, distinct_bounds
from timeloop_py.nest.fibers import Fibers, fibers
from timeloop_py.nest.traffic import tile_words
from timeloop_py.nest.walk import Nest
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.mapping import Loop, Store

NAMES = ("dadiannao", "cnvlutin", "diannao", "cambricon_x", "eyeriss")
ARCHITECTURES = {name: load_architecture(name) for name in (*NAMES, "eie")}
CONV3 = Layer("conv3", K=384, C=256, W=13, H=13, R=3, S=3, padding=(1, 1))

layers = st.builds(
    lambda k, c, w, h, r, s, stride, groups: Layer(
        "layer", K=k * groups, C=c * groups, W=w + r, H=h + s, R=r, S=s, stride=(stride, stride), groups=groups
    ),
    st.integers(1, 24), st.integers(1, 24), st.integers(0, 7), st.integers(0, 7), st.integers(1, 4), st.integers(1, 4),
    st.integers(1, 2), st.integers(1, 2),
)  # fmt: skip


def loops(nest: ArrayNest, dim: str) -> list[Loop]:
    return [node for node in nest.mapping.nodes if isinstance(node, Loop) and node.dim == dim]


@settings(max_examples=30, deadline=None)
@given(layers, st.sampled_from(NAMES))
def test_loops_cover_every_dimension_without_a_pass_too_many(layer: Layer, name: str) -> None:
    nest = array_nest(ARCHITECTURES[name], layer)
    for dim, size in nest.problem.dims.items():
        found = loops(nest, dim)
        covered = math.prod(loop.bound for loop in found)
        assert covered >= size
        assert all(loop.bound <= size for loop in found)
        temporal = [loop for loop in found if not loop.is_spatial]
        if temporal:
            assert covered // temporal[0].bound * (temporal[0].bound - 1) < size
    assert nest.used_lanes <= ARCHITECTURES[name].components["multiplier"].count


@settings(max_examples=15, deadline=None)
@given(layers, st.sampled_from(("diannao", "cambricon_x", "eyeriss")))
def test_tiles_fit_what_limits_them(layer: Layer, name: str) -> None:
    architecture = ARCHITECTURES[name]
    nest = array_nest(architecture, layer)
    limits = {name for loop in architecture.require_array().template.loops for name in loop.bound.names}
    counted = Nest(nest.problem, nest.mapping)
    for component in limits & set(architecture.components):
        words = sum(
            tile_words(counted, nest.problem.tensor(store.tensor), store.depth)
            for store in counted.stores
            if store.level == component
        )
        assert words * 16 <= architecture.components[component].attributes["capacity_bytes"] * 8


@given(st.integers(1, 400), st.integers(1, 400))
def test_distinct_bounds_are_the_smallest_of_their_number_of_passes(size: int, most: int) -> None:
    expected = {}
    for bound in range(1, min(size, most) + 1):
        expected.setdefault(-(-size // bound), bound)
    if most < size:
        # where the limit cuts a range of equal passes short, its smallest bound is the same
        assert distinct_bounds(size, most)[0] <= most
    assert sorted(distinct_bounds(size, most)) == sorted(bound for bound in expected.values())


def test_row_stationary_as_the_paper_maps_alexnet() -> None:
    """Active PEs of Table V: 154, 135, 156, 156, 156."""
    eyeriss = ARCHITECTURES["eyeriss"]
    shapes = [
        (Layer("conv1", K=96, C=3, W=227, H=227, R=11, S=11, stride=(4, 4)), 154),
        (Layer("conv2", K=256, C=96, W=27, H=27, R=5, S=5, padding=(2, 2), groups=2), 135),
        (CONV3, 156),
        (Layer("conv4", K=384, C=384, W=13, H=13, R=3, S=3, padding=(1, 1), groups=2), 156),
    ]
    for layer, active in shapes:
        nest = array_nest(eyeriss, replace(layer, N=4))
        assert nest.used_lanes == pytest.approx(active, abs=5)


def test_a_filter_taller_than_the_array_does_not_apply() -> None:
    layer = Layer("tall", K=8, C=8, W=20, H=20, R=3, S=13)
    with pytest.raises(DoesNotApplyError, match="pe_y"):
        array_nest(ARCHITECTURES["eyeriss"], layer)


def test_eie_runs_fully_connected_layers_only() -> None:
    with pytest.raises(DoesNotApplyError, match="fully connected"):
        array_nest(ARCHITECTURES["eie"], CONV3)
    assert array_nest(ARCHITECTURES["eie"], Layer("fc", K=1000, C=512)).traffic.computes == 512_000


# -- fibers --------------------------------------------------------------------------------------------


def of(architecture: Architecture, layer: Layer) -> Fibers:
    nest = array_nest(architecture, layer)
    return fibers(nest, nest.skips[-1])


def test_a_window_of_cnvlutin() -> None:
    found = of(ARCHITECTURES["cnvlutin"], CONV3)
    assert found.count == 13 * 13 * 2  # two groups of 256 filters
    assert found.kinds[0].lanes == ((9 * 16, 16),)
    assert (found.vector, found.lanes, found.inner) == (1, 16, 1)


def test_channels_are_dealt_evenly() -> None:
    layer = Layer("layer", K=16, C=100, W=1, H=1)
    assert of(ARCHITECTURES["cnvlutin"], layer).kinds[0].lanes == ((7, 4), (6, 12))


def test_filters_of_cambricon_x() -> None:
    found = of(ARCHITECTURES["cambricon_x"], Layer("layer", K=40, C=64, W=4, H=4, R=3, S=3))
    assert {kind.lanes for kind in found.kinds} == {((9 * 64, 16),), ((9 * 64, 8),)}
    assert found.vector == 16


def test_columns_of_eie() -> None:
    found = of(ARCHITECTURES["eie"], Layer("layer", K=600, C=100))
    assert found.count == 100
    assert found.kinds[0].lanes == ((10, 24), (9, 40))


@settings(max_examples=30, deadline=None)
@given(layers, st.sampled_from(("cnvlutin", "cambricon_x")))
def test_fibers_hold_every_position_of_the_dense_nest(layer: Layer, name: str) -> None:
    nest = array_nest(ARCHITECTURES[name], layer)
    operand = nest.skips[-1].operand
    found = fibers(nest, nest.skips[-1])
    held: Counter[str] = Counter()
    for kind in found.kinds:
        held["positions"] += kind.count * sum(length * lanes for length, lanes in kind.lanes)
    # Each weight meets every output position, each input of a window every group of filters.
    if operand == "Weights":
        assert held["positions"] == layer.weights * layer.P * layer.Q
    else:
        groups = -(-layer.output_channels_per_group // 256)
        assert (
            held["positions"]
            == groups * layer.groups * layer.P * layer.Q * layer.channels_per_group * layer.R * layer.S
        )


def test_storage_nodes_are_those_of_the_template() -> None:
    nest = array_nest(ARCHITECTURES["eyeriss"], CONV3)
    stores = [node for node in nest.mapping.nodes if isinstance(node, Store)]
    assert [store.level for store in stores if store.tensor == "Inputs"] == ["dram", "global_buffer", "input_spad"]
