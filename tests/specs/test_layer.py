"""Layers: sizes against brute force, reading, and every wrong field as an error with its place."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Add, DensityNote, InPlace, Layer, Pool


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


def test_sizes_stay_where_their_products_are_exact() -> None:
    largest = 2**31 - 1
    assert Layer("wide", K=largest, C=1).weights == largest
    with pytest.raises(SpecError, match="at most") as caught:
        Layer("wider", K=largest + 1, C=1)
    assert caught.value.field == "K"
