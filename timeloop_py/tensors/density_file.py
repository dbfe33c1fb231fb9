"""Density models as they stand in a file: ``{distribution: hypergeometric, density: 0.25}``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from timeloop_py.specs.files import Scalar, Section, Value
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.tensor_file import load_tensor
from timeloop_py.specs.zeros import Zeros
from timeloop_py.tensors.density import Bernoulli, DensityModel, Fixed, Hypergeometric
from timeloop_py.tensors.measured import Measured
from timeloop_py.tensors.structured import Banded, BlockStructured, NMStructured, WholeChannel

Shape = tuple[int, ...]


def parse_density(section: Section, shape: Shape) -> DensityModel:
    """The density model of a tensor of ``shape`` from a section with the key ``distribution``:

    ============================= ==========================================================================
    ``fixed_structured``, ``fixed`` ``density``: exactly that share of every tile
    ``bernoulli``                 ``density``: every position independently
    ``hypergeometric``            ``density``, ``workload_tensor_size`` (positions, by default the tensor's)
    ``block``                     ``density``, ``block``: positions, or a list of extents of the last ranks
    ``simd``                      ``density``, ``group``: weights that are pruned together
    ``n_m``                       ``n`` non-zeros of every ``m`` positions along rank ``axis`` (the last)
    ``whole_channel``             ``density``, ``axis``: the rank of channels (0)
    ``banded``                    ``band_width``: diagonals on either side (0); it fixes the density
    ``measured``                  ``file`` (relative to the file of the section), ``tensor``: its name
    ============================= ==========================================================================

    Raises SpecError with the place of what is wrong.
    """
    name = section.choice("distribution", tuple(_READERS))
    model = _READERS[name](section, shape)
    section.finish()
    return model


def density_from_parameters(parameters: Mapping[str, object], shape: Shape, tensor: str) -> DensityModel:
    """The same from plain values that were read before (the ``densities`` of a problem); ``tensor`` names errors."""
    values = {key: Value(_data(value, tensor, key), tensor, 1, f"density.{key}") for key, value in parameters.items()}
    return parse_density(Section(values, tensor, 1, "density"), shape)


def _data(value: object, tensor: str, key: str) -> Scalar | tuple[Value, ...]:
    if isinstance(value, tuple):
        return tuple(Value(_data(item, tensor, key), tensor, 1, f"density.{key}") for item in value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"a density parameter is a number, text or a tuple of numbers, not {type(value).__name__}")


def weight_model(layer: Layer) -> DensityModel | None:
    """The density model of a layer's weights [K, C/G, S, R]; None where zeros are unstructured.

    Like :func:`activation_model` a SpecError where the distribution does not fit the tensor.
    """
    shape = (layer.K, layer.channels_per_group, layer.S, layer.R)
    return None if layer.weight_zeros is None else _model(layer.weight_zeros, shape, f"weights of {layer.name}")


def activation_model(layer: Layer) -> DensityModel | None:
    """The density model of a layer's activations [N, C, H, W]; None where zeros are unstructured."""
    shape = (layer.N, layer.C, layer.H, layer.W)
    if layer.activation_zeros is None:
        return None
    model = _model(layer.activation_zeros, shape, f"activations of {layer.name}")
    # Its statistics are those of the tiles of a channel, and rank 0 is the channel.
    return Measured(model.mask.reshape(-1, layer.H, layer.W)) if isinstance(model, Measured) else model


@lru_cache(maxsize=1024)
def _model(zeros: Zeros, shape: Shape, tensor: str) -> DensityModel:
    return density_from_parameters(zeros.to_dict(), shape, tensor)


def _fraction(section: Section) -> float:
    return float(section.number("density", above=0, maximum=1))


def _hypergeometric(section: Section, shape: Shape) -> DensityModel:
    size = section.integer("workload_tensor_size", math.prod(shape), minimum=1)
    if size < math.prod(shape):
        raise section.error(f"expected at least the tensor's {math.prod(shape)} positions", "workload_tensor_size")
    return Hypergeometric(_fraction(section), size)


def _block(section: Section, shape: Shape) -> DensityModel:
    value = section.value("block")
    if value is None:
        raise section.error("missing: expected positions, or a list of extents", "block")
    entries = value.items() if isinstance(value.data, tuple) else (value,)
    block = tuple(entry.integer(minimum=1) for entry in entries)
    if not 1 <= len(block) <= len(shape):
        raise value.error(f"expected 1 to {len(shape)} extents, found {len(block)}")
    return BlockStructured(_fraction(section), block)


def _n_m(section: Section, shape: Shape) -> DensityModel:
    m = section.integer("m", minimum=1)
    axis = section.integer("axis", len(shape) - 1, minimum=0, maximum=len(shape) - 1)
    return NMStructured(section.integer("n", minimum=1, maximum=m), m, axis - len(shape))


def _whole_channel(section: Section, shape: Shape) -> DensityModel:
    return WholeChannel(_fraction(section), section.integer("axis", 0, minimum=0, maximum=len(shape) - 1))


def _banded(section: Section, shape: Shape) -> DensityModel:
    if len(shape) != 2:
        raise section.error(f"a band needs a matrix, this tensor has {len(shape)} ranks", "distribution")
    section.number("density", None, minimum=0, maximum=1)
    return Banded(*shape, section.integer("band_width", 0, minimum=0))


def _measured(section: Section, shape: Shape) -> DensityModel:
    name, tensor = section.text("file"), section.text("tensor", None)
    model = Measured.of(load_tensor(Path(section.path).parent / name, tensor))
    if model.mask.shape != shape:
        raise section.error(f"expected a tensor of shape {shape}, found {model.mask.shape}", "file")
    return model


_READERS: Mapping[str, Callable[[Section, Shape], DensityModel]] = {
    "fixed_structured": lambda section, _: Fixed(_fraction(section)),
    "fixed": lambda section, _: Fixed(_fraction(section)),
    "bernoulli": lambda section, _: Bernoulli(_fraction(section)),
    "hypergeometric": _hypergeometric,
    "block": _block,
    "simd": lambda section, _: BlockStructured(_fraction(section), (section.integer("group", minimum=1),)),
    "n_m": _n_m,
    "whole_channel": _whole_channel,
    "banded": _banded,
    "measured": _measured,
}
