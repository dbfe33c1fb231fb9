"""Tensors from seeds, arrays and files."""

from pathlib import Path

import numpy as np
import pytest

from timeloop_py.simulator.machine import SCNN
from timeloop_py.simulator.operands import operands
from timeloop_py.simulator.simulate import simulate
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer
from timeloop_py.tensors.measured import Measured
from timeloop_py.tensors.structured import NMStructured, WholeChannel

LAYER = Layer("l", K=4, C=2, W=6, H=5, R=3, S=2, weight_density=0.5, activation_density=0.25)


def test_drawn_tensors_have_shape_density_and_whole_values() -> None:
    layer = Layer("big", K=50, C=50, W=20, H=20, R=3, S=3, weight_density=0.5, activation_density=0.25)
    activations, weights = operands(layer, 5, None, None)
    assert activations.shape == (1, 50, 20, 20)
    assert weights.shape == (50, 50, 3, 3)
    assert np.mean(activations != 0) == pytest.approx(0.25, abs=0.02)
    assert np.mean(weights != 0) == pytest.approx(0.5, abs=0.02)
    assert activations.min() == 0
    assert weights.min() < 0 < weights.max()
    assert np.all(weights == np.round(weights))


def test_a_given_tensor_leaves_the_other_one_as_drawn() -> None:
    activations, weights = operands(LAYER, 3, None, None)
    ones = np.ones((4, 2, 2, 3))
    again, given = operands(LAYER, 3, None, ones)
    assert np.array_equal(again, activations)
    assert np.array_equal(given, ones)
    assert not np.array_equal(weights, ones)


def test_files_hold_what_arrays_hold(tmp_path: Path) -> None:
    activations, weights = operands(LAYER, 7, None, None)
    np.save(tmp_path / "a.npy", activations[0].astype(np.int16))
    np.save(tmp_path / "w.npy", weights.astype(np.float32))
    from_files = simulate(LAYER, SCNN, activations=tmp_path / "a.npy", weights=str(tmp_path / "w.npy"))
    assert from_files == simulate(LAYER, SCNN, seed=7)


def test_density_models_are_drawn_from() -> None:
    layer = Layer("pruned", K=8, C=4, W=4, H=4)
    _, weights = operands(layer, 1, None, WholeChannel(0.5))
    kept = (weights != 0).reshape(8, -1)
    assert kept.all(axis=1).sum() == kept.any(axis=1).sum() < 8
    activations, _ = operands(layer, 1, NMStructured(1, 4), None)
    assert ((activations != 0).sum(axis=-1) == 1).all()


def test_a_measured_tensor_of_another_shape_is_refused() -> None:
    with pytest.raises(SpecError, match="does not fit") as error:
        simulate(LAYER, SCNN, activations=Measured.of(np.ones((2, 2))))
    assert error.value.field == "activations"


def test_axes_of_length_1_may_be_missing() -> None:
    layer = Layer("fc", K=4, C=3)
    activations, weights = operands(layer, 0, np.arange(3), np.ones((4, 3)))
    assert activations.shape == (1, 3, 1, 1)
    assert weights.shape == (4, 3, 1, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((4, 2, 3, 2)), r"expected the shape \(4, 2, 2, 3\), found \(4, 2, 3, 2\)"),
        (np.full((4, 2, 2, 3), np.nan), "finite"),
        (np.full((4, 2, 2, 3), 1j), "real numbers"),
        (np.full((4, 2, 2, 3), "a"), "real numbers"),
        ("missing.npy", "file not found"),
    ],
)
def test_unusable_weights_are_refused(given: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        simulate(LAYER, SCNN, weights=given)  # type: ignore[arg-type]


def test_a_file_of_something_else_is_refused_by_path(tmp_path: Path) -> None:
    text = tmp_path / "text.npy"
    text.write_text("not an array")
    with pytest.raises(SpecError, match="not a tensor file") as error:
        simulate(LAYER, SCNN, weights=text)
    assert error.value.path == str(text)
    np.savez(tmp_path / "many.npz", a=np.ones(1), b=np.ones(1))
    with pytest.raises(SpecError, match="holds 2 tensors"):
        simulate(LAYER, SCNN, weights=tmp_path / "many.npz")
