"""Planar tiling against a walk over every (input, tap) pair."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.nest.lowering import lower_layer
from timeloop_py.nest.tiling import PlanarTiling, axis_of, input_tiles, tile_plane
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

SCNN = load_architecture("scnn")
DCNN = load_architecture("dcnn")


def with_terms(architecture: Architecture, **terms: object) -> Architecture:
    assert architecture.dataflow is not None
    return replace(architecture, dataflow=replace(architecture.dataflow, **terms))


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    taps = draw(st.integers(1, 4))
    padding = draw(st.integers(0, 2))
    reach = dilation * (taps - 1) + 1
    plane = draw(st.integers(max(1, reach - 2 * padding), 18))
    return Layer(
        "random", K=4, C=2, W=plane, H=plane, R=taps, S=taps, stride=(stride, stride), dilation=(dilation, dilation),
        padding=(padding, padding),
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(layers(), st.integers(1, 5), st.sampled_from(["balanced", "ceil", "padded_ceil"]), st.integers(1, 3))
def test_input_tiles_cover_every_pair_once(layer: Layer, columns: int, tiling: str, passes: int) -> None:
    flow = with_terms(SCNN, tiling=tiling).dataflow
    assert flow is not None
    axis = axis_of(layer, flow, 0, columns)
    parts = input_tiles(axis, passes)
    stride, dilation, padding = layer.stride[0], layer.dilation[0], layer.padding[0]
    pairs = [(w, r) for w in range(layer.W) for r in range(layer.R) if (w + padding - r * dilation) % stride == 0]
    inside = [(w, r) for w, r in pairs if 0 <= (w + padding - r * dilation) // stride < layer.P]
    assert sum(sum(parity.sizes) * parity.taps for part in parts for parity in part.parities) == len(pairs)
    assert sum(sum(parity.pairs) for part in parts for parity in part.parities) == len(inside)
    # Outputs whose window, holes of a dilation included, has an input: each ends up in one column of one pass.
    windows = [range(p * stride - padding, p * stride - padding + axis.span) for p in range(layer.P)]
    reached = sum(window.start < layer.W and window.stop > 0 for window in windows)
    assert sum(sum(part.owned) for part in parts) == reached
    assert all(own <= write for part in parts for own, write in zip(part.owned, part.written, strict=True))


@settings(max_examples=200, deadline=None)
@given(layers(), st.integers(1, 5), st.sampled_from(["balanced", "ceil", "padded_ceil"]))
def test_a_column_writes_a_box_around_the_outputs_of_its_products(layer: Layer, columns: int, tiling: str) -> None:
    flow = with_terms(SCNN, tiling=tiling).dataflow
    assert flow is not None
    axis = axis_of(layer, flow, 0, columns)
    (part,) = input_tiles(axis, 1)
    stride, dilation, padding = layer.stride[0], layer.dilation[0], layer.padding[0]
    if tiling == "padded_ceil":
        side = -(-(layer.W + 2 * padding) // columns)
        tiles = [[w for w in range(layer.W) if (w + padding) // side == column] for column in range(columns)]
    else:
        starts = [sum(part.held[:column]) for column in range(columns)]
        tiles = [list(range(start, start + held)) for start, held in zip(starts, part.held, strict=True)]
    for tile, held, written in zip(tiles, part.held, part.written, strict=True):
        places = [w + padding - r * dilation for w in tile for r in range(layer.R)]
        assert held == len(tile)
        if not tile:
            assert written == 0
            continue
        # Every output between the first and the last that an input of the tile can reach with any tap.
        box = [p for p in range(layer.P) if min(places) <= p * stride <= max(places)]
        assert written == len(box)
        assert written <= part.output_extent + 1


@settings(max_examples=100, deadline=None)
@given(layers(), st.integers(1, 5))
def test_balanced_sides_differ_by_one_at_most(layer: Layer, columns: int) -> None:
    flow = SCNN.dataflow
    assert flow is not None
    every_parity = replace(layer, R=layer.stride[0], S=layer.stride[1], dilation=(1, 1), padding=(1, 1))
    for part in input_tiles(axis_of(every_parity, flow, 0, columns), 1):
        sides = [sum(sizes) for sizes in zip(*(parity.sizes for parity in part.parities), strict=True)]
        assert max(sides) - min(sides) <= 1


@settings(max_examples=100, deadline=None)
@given(layers(), st.integers(1, 5))
def test_input_halos_compute_every_output_where_it_lives(layer: Layer, columns: int) -> None:
    flow = with_terms(SCNN, halo="input").dataflow
    assert flow is not None
    (part,) = input_tiles(axis_of(layer, flow, 0, columns), 1)
    assert part.written == part.owned  # nothing is sent to a neighbour
    pairs = sum(
        0 <= p * layer.stride[0] - layer.padding[0] + r * layer.dilation[0] < layer.W
        for p in range(layer.P)
        for r in range(layer.R)
    )
    assert sum(sum(parity.pairs) for parity in part.parities) == pairs


def tiling_of(layer: Layer, architecture: Architecture = SCNN) -> PlanarTiling:
    parameters, flow = architecture.require_accelerator()
    return tile_plane(layer, flow, parameters.pe_x, parameters.pe_y, parameters.accumulator_words)


@pytest.mark.parametrize(
    ("layer", "group"),
    [
        # 1,024 sums: 30 x 30 of VGG's conv1 leave one channel, 9 x 9 of a 56 x 56 plane leave 12, capped at 8
        (Layer("conv1_1", K=64, C=3, W=224, H=224, R=3, S=3, padding=(1, 1)), 1),
        (Layer("conv2_1", K=128, C=64, W=112, H=112, R=3, S=3, padding=(1, 1)), 4),
        (Layer("conv3_1", K=256, C=128, W=56, H=56, R=3, S=3, padding=(1, 1)), 8),
        # parities: 112 x 112 of 4 x 4 taps: tiles of 14 with a reach of 3
        (Layer("conv1/7x7_s2", K=64, C=3, W=224, H=224, R=7, S=7, stride=(2, 2), padding=(3, 3)), 3),
        # the most positions of a parity, ceil(28 / 4), and the most taps, ceil(11 / 4): 9 x 9 sums leave 12 channels
        (Layer("conv1 of 224", K=96, C=3, W=224, H=224, R=11, S=11, stride=(4, 4), padding=(2, 2)), 8),
        (Layer("few", K=6, C=4, W=8, H=8, R=1, S=1, groups=2), 3),
    ],
)
def test_output_channel_group(layer: Layer, group: int) -> None:
    assert tiling_of(layer).group == group


def test_seven_by_seven_leaves_fifteen_pes_idle() -> None:
    lowered = lower_layer(SCNN, Layer("inception_5b/1x1", K=384, C=832, W=7, H=7, R=1, S=1))
    assert [one.busy_pes for one in lowered.passes] == [49]


def test_alexnet_conv1_has_sixteen_parities_of_two_or_three_taps_a_side() -> None:
    layer = Layer("conv1", K=96, C=3, W=227, H=227, R=11, S=11, stride=(4, 4))
    (one,) = lower_layer(SCNN, layer).passes
    assert len(one.blocks) == 16
    assert {block.taps for block in one.blocks} == {4, 6, 9}
    assert sum(block.taps for block in one.blocks) == 121


def test_a_large_plane_is_cut_into_temporal_passes() -> None:
    layer = Layer("large", K=2, C=1, W=600, H=300, R=3, S=3, padding=(1, 1))
    tiling = tiling_of(layer)
    assert tiling.passes > 1
    assert tiling.group == 1
    assert max(x.output_extent for x in tiling.x) * max(y.output_extent for y in tiling.y) <= 1024
    assert sum(sum(parity.sizes) for part in tiling.x for parity in part.parities) == 600
    # 77 x 40 sums of one pass are three times too many; no cut into three passes leaves at most 1,024
    assert tiling.passes == 4
    _, flow = SCNN.require_accelerator()
    for passes in ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3)):
        x, y = (input_tiles(axis_of(layer, flow, axis, 8), passes[axis]) for axis in (0, 1))
        assert max(part.output_extent for part in x) * max(part.output_extent for part in y) > 1024


def test_an_accumulator_that_cannot_hold_one_input_is_refused() -> None:
    layer = Layer("huge taps", K=2, C=1, W=80, H=80, R=40, S=40)
    with pytest.raises(SpecError, match=r"accumulator of 1024 words cannot hold .* 1600 at the least"):
        lower_layer(SCNN, layer)


@settings(max_examples=50, deadline=None)
@given(
    layers(),
    st.integers(1, 30),
    st.sampled_from(["balanced", "ceil", "padded_ceil"]),
    st.sampled_from(["output", "input"]),
)
def test_what_the_finest_cut_needs_is_what_decides(layer: Layer, columns: int, tiling: str, halo: str) -> None:
    flow = with_terms(SCNN, tiling=tiling, halo=halo).require_accelerator()[1]
    axis = axis_of(layer, flow, 0, columns)
    positions = axis.outputs if halo == "input" else axis.plane + 2 * axis.padding * (tiling == "padded_ceil")
    words = max(part.output_extent for part in input_tiles(axis, positions)) ** 2
    assert tile_plane(layer, flow, columns, columns, words).entries <= words
    with pytest.raises(SpecError, match=f"{words} at the least"):
        tile_plane(layer, flow, columns, columns, words - 1)


def test_dot_products_tile_the_output_plane() -> None:
    layer = Layer("strided", K=16, C=8, W=28, H=28, R=3, S=3, stride=(2, 2), padding=(1, 1))
    (one,) = lower_layer(DCNN, layer).passes
    assert sum(count * size for count, size in zip(one.pe_counts, one.blocks[0].sizes, strict=True)) == 14 * 14
    assert one.owned == one.written == 14 * 14
