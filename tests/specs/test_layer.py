"""Layers: sizes against brute force, reading, and every wrong field as an error with its place."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.layer import (
    Add,
    Concat,
    DensityNote,
    DensitySources,
    InPlace,
    Layer,
    Pool,
    load_layer,
    parse_shape,
)


def read(text: str, sources: DensitySources | None = None) -> Layer:
    return load_layer(parse_value(text, "layer.yaml").section(), sources)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    groups = draw(st.integers(1, 3))
    stride, dilation, padding = (
        (draw(st.integers(low, high)), draw(st.integers(low, high))) for low, high in ((1, 3), (1, 3), (0, 2))
    )
    taps = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    plane = tuple(
        draw(st.integers(max(1, dilation[axis] * (taps[axis] - 1) + 1 - 2 * padding[axis]), 12)) for axis in (0, 1)
    )
    return Layer(
        "random",
        K=groups * draw(st.integers(1, 3)),
        C=groups * draw(st.integers(1, 3)),
        W=plane[0],
        H=plane[1],
        R=taps[0],
        S=taps[1],
        N=draw(st.integers(1, 2)),
        stride=stride,
        dilation=dilation,
        padding=padding,
        groups=groups,
    )


def output_positions(size: int, taps: int, stride: int, dilation: int, padding: int) -> int:
    """Walk the filter over the padded axis and count where all its taps lie on it."""
    padded = set(range(-padding, size + padding))
    starts = range(-padding, size + padding, stride)
    return sum({start + tap * dilation for tap in range(taps)} <= padded for start in starts)


@given(layers())
def test_sizes_are_those_of_walking_the_loops(layer: Layer) -> None:
    p = output_positions(layer.W, layer.R, layer.stride[0], layer.dilation[0], layer.padding[0])
    q = output_positions(layer.H, layer.S, layer.stride[1], layer.dilation[1], layer.padding[1])
    assert (p, q) == (layer.P, layer.Q)
    pairs = [  # output and input channels of one group
        (k, c)
        for k, c in itertools.product(range(layer.K), range(layer.C))
        if k // (layer.K // layer.groups) == c // (layer.C // layer.groups)
    ]
    assert layer.weights == len(pairs) * layer.R * layer.S
    assert layer.macs == layer.N * len(pairs) * layer.R * layer.S * p * q
    assert layer.inputs == layer.N * layer.C * layer.W * layer.H
    assert layer.outputs == layer.stored_outputs == layer.N * layer.K * p * q
    assert layer.channels_per_group * layer.groups == layer.C
    assert layer.output_channels_per_group * layer.groups == layer.K


def pooled(size: int, window: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """Place window after window on the padded axis."""
    starts = [0]
    end = size + 2 * padding
    if ceil_mode:  # until one reaches the end; none starts in the trailing padding
        while starts[-1] + window < end:
            starts.append(starts[-1] + stride)
        return sum(start < size + padding for start in starts)
    while starts[-1] + stride + window <= end:
        starts.append(starts[-1] + stride)
    return len(starts)


@given(
    plane=st.tuples(st.integers(4, 20), st.integers(4, 20)),
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.integers(0, 3),
    ceil_mode=st.booleans(),
)
def test_stored_plane_is_that_of_placing_the_pooling_windows(
    plane: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], padding: int, ceil_mode: bool
) -> None:
    padding = min(padding, *(size - 1 for size in window))
    pool = Pool(window, stride, (padding, padding), ceil_mode)
    layer = Layer("pooled", K=3, C=2, W=plane[0], H=plane[1], N=2, followed_by=(InPlace("relu"), pool))
    expected = tuple(pooled(plane[axis], window[axis], stride[axis], padding, ceil_mode) for axis in (0, 1))
    assert layer.stored_plane == expected
    assert layer.stored_outputs == 2 * 3 * expected[0] * expected[1]
    assert layer.outputs == 2 * 3 * plane[0] * plane[1]


def test_a_grouped_convolution_with_pooling_exactly() -> None:
    pool = Pool((3, 3), (2, 2), ceil_mode=True)
    conv2 = Layer("conv2", K=256, C=96, W=27, H=27, R=5, S=5, padding=(2, 2), groups=2, followed_by=(pool,))
    assert (conv2.P, conv2.Q, conv2.stored_plane) == (27, 27, (13, 13))
    assert conv2.weights == 256 * 48 * 25
    assert conv2.macs == 223_948_800
    assert conv2.stored_outputs == 256 * 13 * 13
    assert conv2.kind == "conv"


def test_kinds() -> None:
    assert Layer("fc", K=10, C=20).kind == "fc"
    assert Layer("pointwise", K=10, C=20, W=7, H=7).kind == "conv"
    assert Layer("depthwise", K=32, C=32, W=7, H=7, R=3, S=3, groups=32).kind == "depthwise"
    assert Layer("one channel", K=4, C=1, W=7, H=7).kind == "conv"


def test_reading_every_field() -> None:
    notes = {"paper": DensityNote("a paper"), "guess": DensityNote("a guess", estimate=True)}
    layer = read(
        "{name: conv, K: 8, C: 4, W: 9, H: 8, R: 3, S: 2, N: 2, stride: [2, 1], dilation: [1, 2], padding: 1,\n"
        " groups: 2, weight_density: 0.5, activation_density: 1, output_density: 0.25,\n"
        " density_source: {activation: guess, output: guess},\n"
        " preceded_by: [{pool: average, window: 3, padding: 1}],\n"
        " followed_by: [relu, {add: other}, concat, {pool: max, window: [3, 2], stride: 2, ceil_mode: true}]}",
        DensitySources(notes, ("paper", "paper", "paper")),
    )
    assert layer == Layer(
        "conv",
        K=8,
        C=4,
        W=9,
        H=8,
        R=3,
        S=2,
        N=2,
        stride=(2, 1),
        dilation=(1, 2),
        padding=(1, 1),
        groups=2,
        weight_density=0.5,
        activation_density=1.0,
        output_density=0.25,
        preceded_by=(Pool((3, 3), (1, 1), (1, 1), kind="average"),),
        followed_by=(InPlace("relu"), Add("other"), Concat(), Pool((3, 2), (2, 2), ceil_mode=True)),
        weight_density_note=DensityNote("a paper"),
        activation_density_note=DensityNote("a guess", estimate=True),
        output_density_note=DensityNote("a guess", estimate=True),
    )


def test_a_fully_connected_layer_leaves_out_plane_and_filter() -> None:
    layer = read("{name: fc, K: 10, C: 20}")
    assert (layer.W, layer.H, layer.R, layer.S, layer.macs, layer.kind) == (1, 1, 1, 1, 200, "fc")
    assert layer.weight_density_note is None
    assert layer.output_density is None


def test_densities_of_a_sweep() -> None:
    layer = Layer("a", K=4, C=4, weight_density=0.3, activation_density=0.4, output_density=0.9)
    swept = layer.with_densities(weight=0.5, activation=0.6)
    assert (swept.weight_density, swept.activation_density, swept.output_density) == (0.5, 0.6, 0.6)
    weights_only = layer.with_densities(weight=0.5)
    assert (weights_only.weight_density, weights_only.activation_density, weights_only.output_density) == (
        0.5,
        0.4,
        0.9,
    )
    assert layer.with_densities() == layer
    with pytest.raises(SpecError, match="activation_density"):
        layer.with_densities(activation=0.0)


def test_stored_density_falls_back_to_the_input_density() -> None:
    assert Layer("a", K=1, C=1, activation_density=0.4).stored_density == 0.4
    assert Layer("a", K=1, C=1, activation_density=0.4, output_density=0.7).stored_density == 0.7


def test_shape_key_forgets_the_name_and_nothing_that_costs() -> None:
    base = Layer("a", K=4, C=4, W=8, H=8, R=3, S=3)
    same = replace(base, name="b", weight_density_note=DensityNote("x"))
    assert same != base
    assert same.shape_key() == base.shape_key()
    assert hash(same.shape_key()) == hash(base.shape_key())
    relu, pool = InPlace("relu"), Pool((2, 2), (2, 2))
    changes: tuple[dict[str, Any], ...] = (
        {"K": 8},
        {"C": 8},
        {"W": 9},
        {"H": 9},
        {"R": 1},
        {"S": 1},
        {"N": 2},
        {"stride": (2, 1)},
        {"dilation": (1, 2)},
        {"padding": (1, 0)},
        {"groups": 2},
        {"weight_density": 0.5},
        {"activation_density": 0.5},
        {"output_density": 0.5},
        {"followed_by": (relu, pool)},
        {"followed_by": (relu, Add("x"))},
    )
    keys = {replace(base, **change).shape_key() for change in changes}
    assert len(keys | {base.shape_key()}) == len(changes) + 1


GOOD = "name: conv\nK: 8\nC: 4\nW: 9\nH: 9\nR: 3\nS: 3\n"

#: the file, the line and field of the error, a part of its message
BAD_LAYERS = [
    (GOOD.replace("K: 8", "K: 0"), 2, "K", "at least 1, found 0"),
    (GOOD.replace("C: 4", "C: -4"), 3, "C", "at least 1, found -4"),
    (GOOD.replace("K: 8", "K: 8.5"), 2, "K", "whole number"),
    (GOOD.replace("W: 9", "W: 9 px"), 4, "W", "without a unit"),
    (GOOD.replace("H: 9", "H: nine"), 5, "H", "whole number"),
    (GOOD.replace("R: 3", "R: 10"), 6, "R", "spans 10 positions, more than the padded plane's 9"),
    (GOOD.replace("S: 3", "S: true"), 7, "S", "found true"),
    (GOOD.replace("S: 3\n", ""), 1, "S", "missing"),
    (GOOD.replace("name: conv\n", ""), 1, "name", "missing"),
    (GOOD.replace("name: conv", "name: 12"), 1, "name", "expected text"),
    (GOOD.replace("K: 8", "k: 8"), 1, "K", "did you mean 'k'"),
    (GOOD + "groups: 3", 2, "K", "multiple of groups = 3"),
    (GOOD + "groups: 8", 3, "C", "multiple of groups = 8"),
    (GOOD + "groups: 0", 8, "groups", "at least 1"),
    (GOOD + "stride: 0", 8, "stride", "at least 1"),
    (GOOD + "stride: [1, 2, 3]", 8, "stride", "found 3"),
    (GOOD + "stride: fast", 8, "stride", "whole number"),
    (GOOD + "dilation: 5", 6, "R", "spans 11 positions"),
    (GOOD + "padding: [0, -1]", 8, "padding[1]", "at least 0"),
    (GOOD + "weight_density: 0", 8, "weight_density", "above 0"),
    (GOOD + "weight_density: 40%", 8, "weight_density", "without a unit"),
    (GOOD + "activation_density: 1.2", 8, "activation_density", "at most 1, found 1.2"),
    (GOOD + "output_density: -0.5", 8, "output_density", "above 0"),
    (GOOD + "weigth_density: 0.4", 8, "weigth_density", "did you mean 'weight_density'"),
    (GOOD + "density_source: nobody", 8, "density_source", "no source 'nobody'"),
    (GOOD + "density_source: {wieght: x}", 8, "density_source.wieght", "did you mean 'weight'"),
    (GOOD + "followed_by: relu", 8, "followed_by", "expected a list"),
    (GOOD + "followed_by: [rely]", 8, "followed_by[0]", "did you mean 'relu'"),
    (GOOD + "followed_by:\n- relu\n- {pool: max}", 10, "followed_by[1].window", "missing"),
    (GOOD + "followed_by: [{pool: mean, window: 2}]", 8, "followed_by[0].pool", "expected one of max, average"),
    (GOOD + "followed_by: [{pool: max, window: 2, strides: 2}]", 8, "followed_by[0].strides", "did you mean 'stride'"),
    (GOOD + "followed_by: [{pool: max, window: 2, padding: 2}]", 8, "followed_by[0].padding", "less than the window"),
    (
        GOOD + "followed_by: [{pool: max, window: 8}]",
        8,
        "followed_by",
        "window 8x8 is larger than the padded plane 7x7",
    ),
    (GOOD + "followed_by: [{add: 3}]", 8, "followed_by[0].add", "expected text"),
]


@pytest.mark.parametrize(("text", "line", "field", "message"), BAD_LAYERS)
def test_a_wrong_layer_is_an_error_with_its_place(text: str, line: int, field: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(text)
    error = caught.value
    assert (error.path, error.line, error.field) == ("layer.yaml", line, field)
    assert message in str(error)


def test_wrong_fields_from_python_name_the_field() -> None:
    good = Layer("a", K=4, C=4, W=4, H=4)
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"K": 0}, "K"),
        ({"K": True}, "K"),
        ({"W": 2.0}, "W"),
        ({"stride": 2}, "stride"),
        ({"padding": (0, -1)}, "padding"),
        ({"weight_density": 2.0}, "weight_density"),
    )
    for change, field in cases:
        with pytest.raises(SpecError) as caught:
            replace(good, **change)
        assert caught.value.field == field


def test_parse_shape_by_output_plane() -> None:
    layer = parse_shape("K=256,C=128,P=56,Q=28,R=3,S=3,stride=1,pad=1,groups=1")
    assert (layer.K, layer.C, layer.W, layer.H, layer.P, layer.Q) == (256, 128, 56, 28, 56, 28)
    assert (layer.padding, layer.stride, layer.groups, layer.N) == ((1, 1), (1, 1), 1, 1)
    assert layer.name == "K256_C128_P56_Q28_R3_S3_stride1_pad1_groups1"


def test_parse_shape_by_input_plane_with_everything() -> None:
    layer = parse_shape("N=2, K=8, C=4, W=12, H=9, R=3, S=2, stride=2x1, dilation=1x2, pad=1x0, groups=4, "
                        "weight_density=0.25, activation_density=1")  # fmt: skip
    assert layer == Layer(
        layer.name,
        K=8,
        C=4,
        W=12,
        H=9,
        R=3,
        S=2,
        N=2,
        stride=(2, 1),
        dilation=(1, 2),
        padding=(1, 0),
        groups=4,
        weight_density=0.25,
    )
    assert parse_shape("K=1,W=7,P=5,R=3").P == 5


def test_parse_shape_defaults_to_one() -> None:
    layer = parse_shape("K=10,C=20")
    assert layer.kind == "fc"
    assert layer.macs == 200


@given(layers())
def test_parse_shape_finds_a_plane_with_the_output_asked_for(layer: Layer) -> None:
    pairs = {"stride": layer.stride, "dilation": layer.dilation, "pad": layer.padding}
    keys = [f"{dim}={getattr(layer, dim)}" for dim in ("N", "K", "C", "P", "Q", "R", "S", "groups")]
    keys += [f"{key}={x}x{y}" for key, (x, y) in pairs.items()]
    try:
        found = parse_shape(",".join(keys))
    except SpecError as error:  # only where all of the smallest plane would be padding
        axis = "PQ".index(str(error.field))
        reach = layer.dilation[axis] * ((layer.R, layer.S)[axis] - 1) + 1
        outputs = getattr(layer, str(error.field))
        assert (outputs - 1) * layer.stride[axis] + reach <= 2 * layer.padding[axis]
        return
    assert (found.P, found.Q, found.macs) == (layer.P, layer.Q, layer.macs)


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("", None, "KEY=NUMBER"),
        ("K", "K", "KEY=NUMBER"),
        ("K=", "K", "KEY=NUMBER"),
        ("K=8,K=9", "K", "twice"),
        ("K=8,strid=2", "strid", "did you mean 'stride'"),
        ("K=0", "K", "at least 1"),
        ("K=-2", "K", "at least 1"),
        ("K=8ch", "K", "without a unit"),
        ("K=2.5", "K", "whole number"),
        ("K=__import__('os')", "K", "whole number"),
        ("W=8,P=5,R=3", "P", "W = 8 gives P = 6"),
        ("H=8,Q=5,S=3,stride=2", "Q", "H = 8 gives Q = 3"),
        ("P=1,R=3,pad=2", "P", "no input plane"),
        ("P=0", "P", "at least 1"),
        ("W=2,R=3", "R", "spans 3 positions"),
        ("K=6,C=4,groups=4", "K", "multiple of groups"),
        ("K=4,C=6,groups=4", "C", "multiple of groups"),
        ("pad=-1", "pad", "at least 0"),
        ("stride=0x1", "stride", "at least 1"),
        ("weight_density=0", "weight_density", "above 0"),
        ("activation_density=1.5", "activation_density", "at most 1"),
        ("activation_density=nan", "activation_density", "expected a number"),
    ],
)
def test_a_wrong_shape_names_its_key(text: str, field: str | None, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_shape(text)
    assert (caught.value.path, caught.value.line, caught.value.field) == ("--shape", None, field)
    assert message in str(caught.value)
