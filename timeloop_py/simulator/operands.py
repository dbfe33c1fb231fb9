"""The tensors of a simulation: drawn from a seed, given as arrays, or read from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from timeloop_py.simulator.arrays import FloatArray
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

#: A tensor as the user gives it.
TensorLike = npt.ArrayLike | str | Path


def operands(
    layer: Layer, seed: int, activations: TensorLike | None, weights: TensorLike | None
) -> tuple[FloatArray, FloatArray]:
    """Activations [N, C, H, W] and weights [K, C/G, S, R] (the layouts of the deep-learning frameworks).

    Given ones are arrays or paths of ``.npy`` files; leading axes of length 1 and trailing axes of length 1 may be
    missing. Those not given are drawn: non-zero with the layer's density, independently, and whole numbers of at most
    15, so that sums are exact. A tensor of another shape, of another type than numbers, or with a value that is not
    finite is a SpecError.
    """
    shapes = activation_shape(layer), weight_shape(layer)
    densities = layer.activation_density, layer.weight_density
    streams = np.random.SeedSequence(seed).spawn(2)
    named = zip(("activations", "weights"), (activations, weights), shapes, densities, streams, strict=True)
    first, second = (
        _drawn(shape, density, np.random.default_rng(stream), signed=name == "weights")
        if given is None
        else _given(name, given, shape)
        for name, given, shape, density, stream in named
    )
    return first, second


def activation_shape(layer: Layer) -> tuple[int, int, int, int]:
    """``(N, C, H, W)``."""
    return layer.N, layer.C, layer.H, layer.W


def weight_shape(layer: Layer) -> tuple[int, int, int, int]:
    """``(K, C/G, S, R)``."""
    return layer.K, layer.channels_per_group, layer.S, layer.R


def _drawn(shape: tuple[int, ...], density: float, rng: np.random.Generator, signed: bool) -> FloatArray:
    values = rng.integers(1, 16, size=shape).astype(np.float64)
    if signed:
        values *= rng.choice((-1.0, 1.0), size=shape)
    return np.where(rng.random(shape) < density, values, 0.0)


def _given(name: str, given: TensorLike, shape: tuple[int, ...]) -> FloatArray:
    path = given if isinstance(given, str | Path) else None
    array = np.asarray(given) if path is None else _read(Path(path))
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_) or np.iscomplexobj(array):
        raise SpecError(f"expected real numbers, found {array.dtype}", path=path, field=name)
    if _without_ones(array.shape) != _without_ones(shape):
        raise SpecError(f"expected the shape {shape}, found {array.shape}", path=path, field=name)
    values = array.astype(np.float64).reshape(shape)
    if not np.isfinite(values).all():
        raise SpecError("expected finite numbers, found NaN or infinity", path=path, field=name)
    return values


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _read(path: Path) -> npt.NDArray[np.generic]:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SpecError(f"not a readable .npy file: {error}", path=path) from None
    if not isinstance(loaded, np.ndarray):
        raise SpecError("expected one array (.npy), found an archive", path=path)
    return loaded
