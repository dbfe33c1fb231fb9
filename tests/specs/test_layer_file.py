"""Reading layers: every field, one line of text, and every mistake as an error with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.layer import Add, Concat, DensityNote, InPlace, Layer, Pool
from timeloop_py.specs.layer_file import DensitySources, load_layer, parse_shape


def read(text: str, sources: DensitySources | None = None) -> Layer:
    return load_layer(parse_value(text, "layer.yaml").section(), sources)


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


@given(
    out=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    taps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    pad=st.integers(0, 3),
)
def test_parse_shape_finds_a_plane_with_the_output_asked_for(
    out: tuple[int, int], taps: tuple[int, int], stride: int, dilation: int, pad: int
) -> None:
    text = f"P={out[0]},Q={out[1]},R={taps[0]},S={taps[1]},stride={stride},dilation={dilation},pad={pad}"
    try:
        layer = parse_shape(text)
    except SpecError as error:  # only where all of the plane would be padding
        axis = "PQ".index(str(error.field))
        assert (out[axis] - 1) * stride + dilation * (taps[axis] - 1) + 1 <= 2 * pad
        return
    assert out == (layer.P, layer.Q)


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
