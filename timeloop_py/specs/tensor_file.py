"""Tensors from files: .npy, .npz or .safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timeloop_py.specs.errors import SpecError, nearest

TENSOR_FILES = (".npy", ".npz", ".safetensors")


def load_tensor(path: Path | str, name: str | None = None) -> NDArray[Any]:
    """The values of a tensor file: .npy, or the tensor ``name`` of a .npz or .safetensors file.

    ``name`` may be left out where the file holds one tensor. Raises SpecError where the file cannot be read, has
    another ending, or does not have that tensor. Files are read as data: pickled objects are refused.
    """
    path = Path(path)
    if path.suffix not in TENSOR_FILES:
        raise SpecError(
            f"expected a tensor file ({', '.join(TENSOR_FILES)}), found {path.suffix or 'no ending'}", path=path
        )
    if not path.is_file():
        raise SpecError("file not found", path=path)
    try:
        if path.suffix == ".npy":
            return _numbers(np.load(path, allow_pickle=False), path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return _numbers(archive[_choose(name, list(archive.files), path)], path)
        return _load_safetensors(path, name)
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError(f"not a tensor file that can be read: {error}", path=path) from None


def _load_safetensors(path: Path, name: str | None) -> NDArray[Any]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise SpecError(
            "reading this file needs the package safetensors: pip install timeloop-py[tensors]", path=path
        ) from None
    try:
        with safe_open(path, framework="numpy") as archive:
            return _numbers(archive.get_tensor(_choose(name, list(archive.keys()), path)), path)
    except (SafetensorError, TypeError) as error:  # TypeError: a type that NumPy does not have (bfloat16)
        raise SpecError(f"not a tensor file that can be read: {error}", path=path) from None


def _choose(name: str | None, names: list[str], path: Path) -> str:
    if name is None:
        if len(names) == 1:
            return names[0]
        raise SpecError(f"holds {len(names)} tensors, expected the name of one{nearest('', names)}", path=path)
    if name not in names:
        raise SpecError(f"has no tensor {name!r}{nearest(name, names)}", path=path)
    return name


def _numbers(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise SpecError(f"expected a tensor of numbers, found {array.dtype} of shape {array.shape}", path=path)
    return array
