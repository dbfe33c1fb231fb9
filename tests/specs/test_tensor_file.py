"""Tensor files of every kind, whole and broken."""

import numpy as np
import pytest

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.tensor_file import load_tensor

TENSOR = np.random.default_rng(3).integers(-1, 3, (3, 2, 4)).astype(float)


def test_npy(tmp_path):
    np.save(tmp_path / "a.npy", TENSOR)
    np.testing.assert_array_equal(load_tensor(tmp_path / "a.npy"), TENSOR)


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", weights=TENSOR, bias=TENSOR[0])
    np.testing.assert_array_equal(load_tensor(tmp_path / "a.npz", "bias"), TENSOR[0])
    with pytest.raises(SpecError, match=r"did you mean 'weights'"):
        load_tensor(tmp_path / "a.npz", "wieghts")
    with pytest.raises(SpecError, match="holds 2 tensors"):
        load_tensor(tmp_path / "a.npz")


def test_safetensors(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    numpy_files.save_file({"conv1.weight": TENSOR.astype(np.float32)}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(load_tensor(tmp_path / "a.safetensors"), TENSOR)
    np.testing.assert_array_equal(load_tensor(tmp_path / "a.safetensors", "conv1.weight"), TENSOR)
    with pytest.raises(SpecError, match="no tensor 'conv2'"):
        load_tensor(tmp_path / "a.safetensors", "conv2")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a tensor at all, whatever its name says"])
def test_broken_files(tmp_path, name, content):
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_tensor(tmp_path / name)
    assert caught.value.path == str(tmp_path / name)


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SpecError, match="read"):
        load_tensor(tmp_path / "a.npy")


def test_what_is_no_tensor_file(tmp_path):
    with pytest.raises(SpecError, match=r"\.npy, \.npz, \.safetensors"):
        load_tensor(tmp_path / "a.txt")
    with pytest.raises(SpecError, match="not found"):
        load_tensor(tmp_path / "a.npy")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    with pytest.raises(SpecError, match="expected a tensor of numbers"):
        load_tensor(tmp_path / "words.npy")
