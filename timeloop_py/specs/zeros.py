"""What a file says about the zeros of a tensor beyond their share: a distribution and its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import Section, Value
from timeloop_py.specs.tensor_file import load_tensor

#: parameters of every distribution that a file may name
DENSITY_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "fixed": ("density",),
    "fixed_structured": ("density",),
    "bernoulli": ("density",),
    "hypergeometric": ("density", "workload_tensor_size"),
    "block": ("density", "block"),
    "simd": ("density", "group"),
    "n_m": ("n", "m", "axis"),
    "whole_channel": ("density", "axis"),
    "banded": ("density", "band_width"),
    "measured": ("file", "tensor"),
}
#: parameters that have no default
_REQUIRED = ("density", "block", "group", "n", "m", "file")


@dataclass(frozen=True)
class Zeros:
    """A distribution of zeros with its parameters, in the order of :data:`DENSITY_PARAMETERS`.

    What they mean for a tensor of some shape says ``tensors/density_file.py``. The path of a measured tensor is
    absolute.
    """

    distribution: str
    parameters: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, distribution: str, **parameters: Any) -> Zeros:
        """From Python, e.g. ``Zeros.of("simd", density=0.3, group=4)``. SpecError: an unknown name."""
        try:
            known = DENSITY_PARAMETERS[distribution]
        except KeyError:
            names = ", ".join(DENSITY_PARAMETERS)
            raise SpecError(f"no distribution {distribution!r}: expected one of {names}", field="zeros") from None
        unknown = set(parameters) - set(known)
        if unknown:
            raise SpecError(f"{distribution} has no parameter {', '.join(sorted(unknown))}", field="zeros")
        return cls(distribution, tuple((name, parameters[name]) for name in known if name in parameters))

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {"distribution": self.distribution, **dict(self.parameters)}

    @property
    def density(self) -> float:
        """The share of non-zeros that the parameters state. SpecError: a file that cannot be read, no density."""
        parameters = dict(self.parameters)
        if self.distribution == "n_m":
            return float(parameters["n"] / parameters["m"])
        if self.distribution == "measured":
            return _share_of_nonzeros(str(parameters["file"]), parameters.get("tensor"))
        if "density" not in parameters:
            raise SpecError(f"{self.distribution} states no density", field="density")
        return float(parameters["density"])


@lru_cache(maxsize=256)
def _share_of_nonzeros(path: str, name: str | None) -> float:
    return float(np.mean(load_tensor(path, name) != 0))


def read_zeros(section: Section) -> Zeros:
    """A section with the key ``distribution`` and its parameters. SpecError with the place of what is wrong."""
    distribution = section.choice("distribution", tuple(DENSITY_PARAMETERS))
    found: list[tuple[str, Any]] = []
    for name in DENSITY_PARAMETERS[distribution]:
        value = section.value(name)
        if value is None:
            if name in _REQUIRED and distribution != "banded":  # the band of a matrix fixes its density
                others = [key for key in section if key not in ("distribution", *DENSITY_PARAMETERS[distribution])]
                hint = f", found {others[0]!r}" if others else ""
                raise section.error(f"missing: a {distribution} distribution needs it{hint}", name)
        elif distribution == "banded" and name == "density":
            found.append((name, value.number(minimum=0, maximum=1)))
        else:
            found.append((name, _READERS[name](value)))
    section.finish()
    return Zeros(distribution, tuple(found))


def _file(value: Value) -> str:
    """Relative to the file it is named in."""
    return str((Path(value.path).parent / value.text()).absolute())


def _extents(value: Value) -> int | tuple[int, ...]:
    if isinstance(value.data, tuple):
        return tuple(item.integer(minimum=1) for item in value.items())
    return value.integer(minimum=1)


_READERS: Mapping[str, Callable[[Value], Any]] = {
    "density": lambda value: value.number(above=0, maximum=1),
    "workload_tensor_size": lambda value: value.integer(minimum=0),
    "block": _extents,
    "group": lambda value: value.integer(minimum=1),
    "n": lambda value: value.integer(minimum=1),
    "m": lambda value: value.integer(minimum=1),
    "axis": lambda value: value.integer(minimum=0),
    "band_width": lambda value: value.integer(minimum=0),
    "file": _file,
    "tensor": lambda value: value.text(),
}
