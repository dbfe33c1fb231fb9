"""What a comparison of model and simulator varies: factors, their levels, and points drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.files import Scalar
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.zeros import Zeros

Pair = tuple[int, int]
#: Overrides of an architecture's file, as :func:`load_architecture` takes them.
Settings = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class Structure:
    """How zeros are distributed at a density: functions to the distribution, None where they are unstructured."""

    name: str
    weight: Callable[[float], Zeros] | None = None
    activation: Callable[[float], Zeros] | None = None

    def applied_to(self, layer: Layer, weight_density: float, activation_density: float) -> Layer:
        """The layer with such zeros at these densities."""
        return layer.with_densities(weight_density, activation_density).with_zeros(
            self.weight and self.weight(weight_density), self.activation and self.activation(activation_density)
        )


UNSTRUCTURED = Structure("unstructured")


@dataclass(frozen=True)
class ValidationPoint:
    """One layer on one machine.

    ``vectors`` are (F, I); ``settings`` further overrides of the architecture's file, which come last.
    """

    family: str
    architecture: str
    network: str
    layer: Layer
    zeros: str
    pe_grid: Pair
    vectors: Pair
    settings: Settings = ()

    def machine(self) -> Architecture:
        """The architecture; banks grow with the vectors as the paper has them, ``A = 2*F*I``."""
        return _machine(self.architecture, self.pe_grid, self.vectors, self.settings)

    @property
    def conflicts(self) -> bool:
        """Whether products may meet in a bank: whether the simulator goes through every step."""
        _, flow = self.machine().require_accelerator()
        return flow.template.core == "cartesian_product" and flow.bank_contention != "none"

    def without_conflicts(self) -> ValidationPoint:
        """The same with banks that take any number of products."""
        return replace(self, settings=(*self.settings, ("dataflow.bank_contention", "none")))


@lru_cache(maxsize=4096)
def _machine(name: str, grid: Pair, vectors: Pair, settings: Settings) -> Architecture:
    base = load_architecture(name)
    parameters, flow = base.require_accelerator()
    (columns, rows), (weights, activations) = grid, vectors
    chosen: list[tuple[str, Scalar]] = [
        ("parameters.pe_x", columns),
        ("parameters.pe_y", rows),
        ("parameters.F", weights),
        ("parameters.I", activations),
    ]
    if flow.template.core == "cartesian_product":
        banks = 2 * weights * activations
        # At least as many partial sums as the published design has room for.
        entries = max(parameters.accumulator_entries, -(-parameters.accumulator_words // banks))
        chosen += [("parameters.accumulator_banks", banks), ("parameters.accumulator_entries", entries)]
    return load_architecture(name, (*chosen, *settings))


@dataclass(frozen=True)
class Factors:
    """Levels of everything that is varied.

    ``layers`` are pairs of a network's name and a layer; an activation density of None is that of the weights.
    """

    architectures: tuple[str, ...]
    layers: tuple[tuple[str, Layer], ...]
    weight_densities: tuple[float, ...]
    activation_densities: tuple[float | None, ...]
    pe_grids: tuple[Pair, ...]
    vectors: tuple[Pair, ...]
    structures: tuple[Structure, ...] = (UNSTRUCTURED,)
    settings: tuple[Settings, ...] = ((),)

    @property
    def size(self) -> int:
        """Combinations of all levels."""
        return prod(len(levels) for levels in self._levels)

    @property
    def _levels(self) -> tuple[Sequence[object], ...]:
        return (
            self.architectures,
            self.layers,
            self.weight_densities,
            self.activation_densities,
            self.pe_grids,
            self.vectors,
            self.structures,
            self.settings,
        )

    def points(self, count: int, family: str) -> tuple[ValidationPoint, ...]:
        """Some combinations: all of them where there are no more than ``count``, else ``count`` drawn at random.

        Drawn points take every level of every factor equally often (a Latin hypercube over the levels). The name of
        the family is the seed: the same points every time, others in every family.
        """
        if self.size <= count:
            drawn = list(product(*(range(len(levels)) for levels in self._levels)))
        else:
            rng = np.random.default_rng(list(family.encode()))
            columns = [_spread(len(levels), count, rng) for levels in self._levels]
            drawn = [tuple(int(place) for place in row) for row in zip(*columns, strict=True)]
        return tuple(self._point(row, family) for row in drawn)

    def _point(self, row: Sequence[int], family: str) -> ValidationPoint:
        architecture, layer, weight, activation, grid, vectors, structure, settings = row
        network, chosen = self.layers[layer]
        form = self.structures[structure]
        weights, activations = self.weight_densities[weight], self.activation_densities[activation]
        return ValidationPoint(
            family=family,
            architecture=self.architectures[architecture],
            network=network,
            layer=form.applied_to(chosen, weights, weights if activations is None else activations),
            zeros=form.name,
            pe_grid=self.pe_grids[grid],
            vectors=self.vectors[vectors],
            settings=self.settings[settings],
        )


def _spread(levels: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` levels in random order, none of them more than once more often than any other."""
    drawn: NDArray[np.int64] = rng.permutation(np.resize(rng.permutation(levels), count))
    return drawn
