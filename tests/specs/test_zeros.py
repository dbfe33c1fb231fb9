"""Distributions of zeros in network files: what they state, and every mistake placed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.layer_file import load_layer
from timeloop_py.specs.network import load_network
from timeloop_py.specs.zeros import Zeros, read_zeros


def read(text: str, path: str = "net.yaml") -> Zeros:
    return read_zeros(parse_value(text, path).section())


@pytest.mark.parametrize(
    ("text", "zeros", "density"),
    [
        ("{distribution: bernoulli, density: 0.25}", Zeros.of("bernoulli", density=0.25), 0.25),
        ("{distribution: simd, density: 0.3, group: 4}", Zeros.of("simd", density=0.3, group=4), 0.3),
        ("{distribution: block, density: 0.3, block: [4, 1]}", Zeros.of("block", density=0.3, block=(4, 1)), 0.3),
        ("{distribution: block, density: 0.3, block: 4}", Zeros.of("block", density=0.3, block=4), 0.3),
        ("{distribution: n_m, n: 2, m: 4, axis: 1}", Zeros.of("n_m", n=2, m=4, axis=1), 0.5),
        ("{distribution: whole_channel, density: 0.7, axis: 1}", Zeros.of("whole_channel", density=0.7, axis=1), 0.7),
    ],
)  # fmt: skip
def test_what_a_section_states(text: str, zeros: Zeros, density: float) -> None:
    assert read(text) == zeros
    assert zeros.density == density
    assert hash(read(text)) == hash(zeros)
    assert zeros.to_dict()["distribution"] == zeros.distribution


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("{distribution: simd, density: 0.3}", "group", "missing"),
        ("{distribution: simd, density: 0.3, group: 0}", "group", "at least 1"),
        ("{distribution: simd, density: 0.3, groups: 4}", "group", "found 'groups'"),
        ("{distribution: smid, density: 0.3, group: 4}", "distribution", "did you mean 'simd'"),
        ("{distribution: block, density: 0.3, block: [4, x]}", "block[1]", "whole number"),
        ("{distribution: simd, density: 0.3, group: 4, groups: 4}", "groups", "did you mean 'group'"),
        ("{distribution: bernoulli, density: 30%}", "density", "without a unit"),
        ("{distribution: measured}", "file", "missing"),
    ],
)
def test_mistakes_are_placed(text: str, field: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(text)
    assert caught.value.path == "net.yaml"
    assert caught.value.line == 1
    assert caught.value.field == field
    assert words in caught.value.message


def test_names_are_checked_in_python_too() -> None:
    with pytest.raises(SpecError, match="no distribution 'blocks'"):
        Zeros.of("blocks", density=0.5)
    with pytest.raises(SpecError, match="no parameter size"):
        Zeros.of("block", density=0.5, size=4)
    with pytest.raises(SpecError, match="states no density"):
        _ = Zeros.of("banded", band_width=1).density


def test_a_measured_tensor_lies_beside_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([[1.0, 0.0, 2.0, 0.0]]))
    zeros = read("{distribution: measured, file: w.npy}", str(tmp_path / "net.yaml"))
    assert zeros == Zeros.of("measured", file=str(tmp_path / "w.npy"))
    assert zeros.density == 0.5
    missing = parse_value("{distribution: measured, file: none.npy}", str(tmp_path / "net.yaml")).section()
    with pytest.raises(SpecError, match="not found"):
        _ = read_zeros(missing).density


def test_densities_of_a_layer_may_be_sections() -> None:
    text = "{name: conv, K: 8, C: 4, weight_density: {distribution: n_m, n: 1, m: 4}, activation_density: 0.5}"
    layer = load_layer(parse_value(text, "net.yaml").section())
    assert (layer.weight_density, layer.weight_zeros) == (0.25, Zeros.of("n_m", n=1, m=4))
    assert (layer.activation_density, layer.activation_zeros) == (0.5, None)
    assert layer == Layer(
        "conv", K=8, C=4, activation_density=0.5, weight_density=0.25, weight_zeros=layer.weight_zeros
    )
    assert layer.shape_key() != layer.with_densities(weight=0.25).shape_key()
    bad = "{name: conv, K: 8, C: 4, weight_density: {distribution: n_m, n: 5, m: 4}}"
    with pytest.raises(SpecError, match="density above 0 and at most 1"):
        load_layer(parse_value(bad, "net.yaml").section())


def test_a_network_carries_them_and_a_given_density_replaces_them(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(
        "name: net\nlayers:\n"
        "  - {name: a, K: 8, C: 4, activation_density: {distribution: whole_channel, density: 0.5, axis: 1}}\n"
    )
    (layer,) = load_network(tmp_path / "net.yaml").layers
    assert layer.activation_zeros == Zeros.of("whole_channel", density=0.5, axis=1)
    assert layer.with_densities(weight=0.5).activation_zeros is not None
    assert layer.with_densities(activation=0.5).activation_zeros is None
    simd = layer.with_zeros(weight=Zeros.of("simd", density=0.3, group=4))
    assert (simd.weight_density, simd.activation_zeros) == (0.3, layer.activation_zeros)
