"""Density sections: every distribution read, every mistake placed."""

import numpy as np
import pytest

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.zeros import Zeros
from timeloop_py.tensors.density import Bernoulli, Fixed, Hypergeometric
from timeloop_py.tensors.density_file import activation_model, density_from_parameters, parse_density, weight_model
from timeloop_py.tensors.measured import Measured
from timeloop_py.tensors.structured import Banded, BlockStructured, NMStructured, WholeChannel

SHAPE = (8, 16)


def read(text, shape=SHAPE, path="case.yaml"):
    return parse_density(parse_value(text, path).section(), shape)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("{distribution: fixed_structured, density: 0.25}", Fixed(0.25)),
        ("{distribution: fixed, density: 1}", Fixed(1.0)),
        ("{distribution: bernoulli, density: 0.25}", Bernoulli(0.25)),
        ("{distribution: hypergeometric, density: 0.25}", Hypergeometric(0.25, 128)),
        ("{distribution: hypergeometric, density: 0.25, workload_tensor_size: 200}", Hypergeometric(0.25, 200)),
        ("{distribution: block, density: 0.5, block: 4}", BlockStructured(0.5, (4,))),
        ("{distribution: block, density: 0.5, block: [2, 4]}", BlockStructured(0.5, (2, 4))),
        ("{distribution: simd, density: 0.5, group: 8}", BlockStructured(0.5, (8,))),
        ("{distribution: n_m, n: 2, m: 4}", NMStructured(2, 4)),
        ("{distribution: n_m, n: 2, m: 4, axis: 0}", NMStructured(2, 4, -2)),
        ("{distribution: whole_channel, density: 0.5}", WholeChannel(0.5, 0)),
        ("{distribution: whole_channel, density: 0.5, axis: 1}", WholeChannel(0.5, 1)),
        ("{distribution: banded, band_width: 2}", Banded(8, 16, 2)),
        ("{distribution: banded, density: 0.3}", Banded(8, 16, 0)),
    ],
)
def test_every_distribution(text, model):
    assert read(text) == model


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{distribution: hypergeometrical, density: 0.25}", "did you mean 'hypergeometric'"),
        ("{density: 0.25}", "distribution"),
        ("{distribution: bernoulli}", "density"),
        ("{distribution: bernoulli, density: 0}", "above 0"),
        ("{distribution: bernoulli, density: 1.5}", "at most 1"),
        ("{distribution: bernoulli, density: 25%}", "without a unit"),
        ("{distribution: bernoulli, density: 0.5, block: 4}", "unknown key 'block'"),
        ("{distribution: block, density: 0.5}", "block"),
        ("{distribution: block, density: 0.5, block: 0}", "at least 1"),
        ("{distribution: block, density: 0.5, block: [2, 2, 2]}", "1 to 2 extents"),
        ("{distribution: n_m, n: 5, m: 4}", "at most 4"),
        ("{distribution: whole_channel, density: 0.5, axis: 2}", "at most 1"),
        ("{distribution: hypergeometric, density: 0.5, workload_tensor_size: 100}", "at least the tensor's 128"),
        ("{distribution: measured}", "file"),
        ("{distribution: measured, file: missing.npy}", "not found"),
    ],
)
def test_mistakes_are_named(text, words):
    with pytest.raises(SpecError) as caught:
        read(text)
    assert words in str(caught.value)
    assert "case.yaml" in str(caught.value) or "missing.npy" in str(caught.value)


def test_a_band_needs_a_matrix():
    with pytest.raises(SpecError, match="3 ranks"):
        read("{distribution: banded, band_width: 1}", (2, 3, 4))


def test_measured_stands_beside_the_file_that_names_it(tmp_path):
    values = np.random.default_rng(0).random(SHAPE) < 0.5
    np.save(tmp_path / "weights.npy", values)
    model = read("{distribution: measured, file: weights.npy}", path=str(tmp_path / "case.yaml"))
    assert isinstance(model, Measured)
    np.testing.assert_array_equal(model.mask, values)
    with pytest.raises(SpecError, match=r"expected a tensor of shape \(4, 4\)"):
        read("{distribution: measured, file: weights.npy}", (4, 4), str(tmp_path / "case.yaml"))


def test_plain_values_that_were_read_before():
    assert density_from_parameters({"distribution": "banded", "band_width": 1}, SHAPE, "A") == Banded(8, 16, 1)
    with pytest.raises(SpecError, match="A"):
        density_from_parameters({"distribution": "bernoulli"}, SHAPE, "A")
    with pytest.raises(TypeError):
        density_from_parameters({"distribution": "bernoulli", "density": [1]}, SHAPE, "A")
    block = density_from_parameters({"distribution": "block", "density": 0.5, "block": (2, 4)}, SHAPE, "A")
    assert block == BlockStructured(0.5, (2, 4))


def test_models_of_a_layer(tmp_path):
    layer = Layer("conv", K=8, C=6, W=5, H=4, R=3, S=2, groups=2)
    assert weight_model(layer) is None
    assert activation_model(layer) is None
    pruned = layer.with_zeros(
        weight=Zeros.of("hypergeometric", density=0.25), activation=Zeros.of("n_m", n=1, m=3, axis=1)
    )
    assert weight_model(pruned) == Hypergeometric(0.25, 8 * 3 * 2 * 3)
    assert activation_model(pruned) == NMStructured(1, 3, -3)
    values = np.random.default_rng(0).random((1, 6, 4, 5)) < 0.4
    np.save(tmp_path / "a.npy", values)
    measured = activation_model(layer.with_zeros(activation=Zeros.of("measured", file=str(tmp_path / "a.npy"))))
    np.testing.assert_array_equal(measured.mask, values[0])  # statistics per channel
    with pytest.raises(SpecError, match="weights of conv"):
        weight_model(layer.with_zeros(weight=Zeros.of("whole_channel", density=0.5, axis=4)))
