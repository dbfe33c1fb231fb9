"""The tensors of a simulation: drawn from a seed, given as arrays, or read from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from timeloop_py.simulator.arrays import FloatArray
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.tensor_file import load_tensor
from timeloop_py.tensors.density import Bernoulli, DensityModel
from timeloop_py.tensors.density_file import activation_model, weight_model

#: A tensor as the user gives it: values, a file of values, or what is known about its zeros.
TensorLike = npt.ArrayLike | str | Path | DensityModel


def operands(
    layer: Layer, seed: int, activations: TensorLike | None, weights: TensorLike | None
) -> tuple[FloatArray, FloatArray]:
    """Activations [N, C, H, W] and weights [K, C/G, S, R] (the layouts of the deep-learning frameworks).

    A given one is an array or the path of a tensor file (axes of length 1 may be missing), or a density model to draw
    from; one not given is drawn as the layer says: with its density every position independently, or from its
    distribution of zeros. Drawn values are whole numbers of at most 15, so that sums are exact. A tensor of another
    shape, of another type than real numbers, or with a value that is not finite is a SpecError.
    """
    shapes = activation_shape(layer), weight_shape(layer)
    models = (
        activation_model(layer) or Bernoulli(layer.activation_density),
        weight_model(layer) or Bernoulli(layer.weight_density),
    )
    streams = np.random.SeedSequence(seed).spawn(2)
    named = zip(("activations", "weights"), (activations, weights), shapes, models, streams, strict=True)
    tensors = []
    for name, given, shape, own, stream in named:
        model = own if given is None else given
        if isinstance(model, DensityModel):
            tensors.append(_drawn(name, model, shape, np.random.default_rng(stream), signed=name == "weights"))
        else:
            tensors.append(_given(name, model, shape))
    return tensors[0], tensors[1]


def activation_shape(layer: Layer) -> tuple[int, int, int, int]:
    """``(N, C, H, W)``."""
    return layer.N, layer.C, layer.H, layer.W


def weight_shape(layer: Layer) -> tuple[int, int, int, int]:
    """``(K, C/G, S, R)``."""
    return layer.K, layer.channels_per_group, layer.S, layer.R


def _drawn(
    name: str, model: DensityModel, shape: tuple[int, ...], rng: np.random.Generator, signed: bool
) -> FloatArray:
    values = rng.integers(1, 16, size=shape).astype(np.float64)
    if signed:
        values *= rng.choice((-1.0, 1.0), size=shape)
    try:
        return np.where(model.sample(shape, rng), values, 0.0)
    except ValueError as error:
        raise SpecError(f"the density model does not fit the tensor: {error}", field=name) from None


def _given(name: str, given: npt.ArrayLike | str | Path, shape: tuple[int, ...]) -> FloatArray:
    path = given if isinstance(given, str | Path) else None
    array = np.asarray(given) if path is None else load_tensor(path)
    if array.dtype.kind not in "biuf":
        raise SpecError(f"expected real numbers, found {array.dtype}", path=path, field=name)
    if _without_ones(array.shape) != _without_ones(shape):
        raise SpecError(f"expected the shape {shape}, found {array.shape}", path=path, field=name)
    values = array.astype(np.float64).reshape(shape)
    if not np.isfinite(values).all():
        raise SpecError("expected finite numbers, found NaN or infinity", path=path, field=name)
    return values


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
