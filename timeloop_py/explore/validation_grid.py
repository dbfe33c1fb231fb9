"""Which runs of the simulator the model is compared with: factors, their levels, and points drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.files import Scalar
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network, load_network
from timeloop_py.specs.zeros import Zeros

Pair = tuple[int, int]


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
#: Exact counts, and what pruning for SIMD units, for sparse tensor cores and of whole channels leaves.
STRUCTURES = (
    Structure(
        "exact count",
        lambda density: Zeros.of("hypergeometric", density=density),
        lambda density: Zeros.of("hypergeometric", density=density),
    ),
    Structure("weights by 4 channels", lambda density: Zeros.of("block", density=density, block=(4, 1, 1, 1))),
    Structure("weights by filter row", lambda density: Zeros.of("block", density=density, block=(1, 3))),
    Structure("2 of 4 weights", lambda _: Zeros.of("n_m", n=2, m=4, axis=1)),
    Structure("pruned output channels", lambda density: Zeros.of("whole_channel", density=density, axis=0)),
    Structure("activations by 2 x 2", None, lambda density: Zeros.of("block", density=density, block=(2, 2))),
    Structure("dead input channels", None, lambda density: Zeros.of("whole_channel", density=density, axis=1)),
)


@dataclass(frozen=True)
class Factors:
    """Levels of everything that is varied.

    ``settings`` are lists of overrides of the architecture's file (:func:`load_architecture`), one list a level.
    """

    architectures: tuple[str, ...]
    layers: tuple[tuple[str, Layer], ...]
    weight_densities: tuple[float, ...]
    activation_densities: tuple[float, ...]
    pe_grids: tuple[Pair, ...]
    vectors: tuple[Pair, ...]
    structures: tuple[Structure, ...] = (UNSTRUCTURED,)
    settings: tuple[tuple[tuple[str, Scalar], ...], ...] = ((),)

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

    def points(self, count: int, family: str, seed: int = 0) -> tuple[ValidationPoint, ...]:
        """Some combinations: all of them where there are no more than ``count``, else ``count`` drawn by ``seed``.

        Drawn points take every level of every factor equally often (a Latin hypercube over the levels).
        """
        if self.size <= count:
            drawn = list(product(*(range(len(levels)) for levels in self._levels)))
        else:
            rng = np.random.default_rng(seed)
            columns = [_spread(len(levels), count, rng) for levels in self._levels]
            drawn = [tuple(int(place) for place in row) for row in zip(*columns, strict=True)]
        return tuple(self._point(row, family) for row in drawn)

    def _point(self, row: Sequence[int], family: str) -> ValidationPoint:
        architecture, layer, weight, activation, grid, vectors, structure, settings = row
        network, chosen = self.layers[layer]
        form = self.structures[structure]
        return ValidationPoint(
            family=family,
            architecture=self.architectures[architecture],
            network=network,
            layer=form.applied_to(chosen, self.weight_densities[weight], self.activation_densities[activation]),
            zeros=form.name,
            pe_grid=self.pe_grids[grid],
            vectors=self.vectors[vectors],
            settings=self.settings[settings],
        )


def _spread(levels: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` levels in random order, none of them more than once more often than any other."""
    drawn: NDArray[np.int64] = rng.permutation(np.resize(rng.permutation(levels), count))
    return drawn


@dataclass(frozen=True)
class ValidationPoint:
    """One layer on one machine. ``vectors`` are (F, I), ``settings`` further overrides of the architecture's file."""

    family: str
    architecture: str
    network: str
    layer: Layer
    zeros: str
    pe_grid: Pair
    vectors: Pair
    settings: tuple[tuple[str, Scalar], ...] = field(default=())

    def with_setting(self, path: str, value: Scalar) -> ValidationPoint:
        """The same with one more override, unless the point has one of that field."""
        if any(known == path for known, _ in self.settings):
            return self
        return replace(self, settings=(*self.settings, (path, value)))

    def machine(self) -> Architecture:
        """The architecture; banks grow with the vectors as the paper has them, ``A = 2*F*I``."""
        return _machine(self.architecture, self.pe_grid, self.vectors, self.settings)


@lru_cache(maxsize=1024)
def _machine(name: str, grid: Pair, vectors: Pair, settings: tuple[tuple[str, Scalar], ...]) -> Architecture:
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


#: The densities, PE grids and vectors (F, I) of the default comparison.
DENSITIES: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
PE_GRIDS: tuple[Pair, ...] = ((2, 2), (4, 4), (8, 8), (16, 16), (4, 8), (16, 4), (2, 16))
VECTORS: tuple[Pair, ...] = ((4, 4), (2, 2), (8, 8), (16, 16), (2, 8), (8, 4), (16, 2))
NETWORKS = ("alexnet", "googlenet", "vgg16")


def layers_of(networks: Sequence[Network]) -> tuple[tuple[str, Layer], ...]:
    """Pairs of a network's name and a layer."""
    return tuple((network.name, layer) for network in networks for layer in network.layers)


def default_points(quick: bool = False) -> tuple[ValidationPoint, ...]:
    """The comparison that is published: three families of points.

    *unstructured*: SCNN on all convolutions of the three networks. *structured*: the same with other distributions of
    zeros. *dense*: dataflows that do not skip zeros. ``quick``: a tenth of the points, with the published vectors, of
    layers that are small and not nearly empty, which scatter too much for few runs.
    """
    layers = layers_of([load_network(name) for name in NETWORKS])
    densities, vectors = DENSITIES, VECTORS
    if quick:
        layers = tuple((network, layer) for network, layer in layers if layer.macs < QUICK_MACS)
        densities = tuple(density for density in DENSITIES if density >= QUICK_DENSITY)
        vectors = VECTORS[:1]
    base = Factors(("scnn",), layers, densities, densities, PE_GRIDS, vectors)
    # Few channels, each pruned whole or not at all: what such a layer costs is a matter of luck.
    wide = tuple(
        (network, layer)
        for network, layer in layers
        if min(layer.channels_per_group, layer.output_channels_per_group) >= WIDE_CHANNELS
    )
    structured = replace(
        base,
        layers=wide,
        structures=STRUCTURES,
        weight_densities=(0.25, 0.35, 0.5),
        activation_densities=(0.2, 0.4, 0.7),
        pe_grids=STRUCTURED_GRIDS,
    )
    dense = replace(base, settings=((("dataflow.name", "pt_is_cp_dense"),),))
    dots = replace(base, architectures=("dcnn",))
    counts = (24, 7, 6, 6) if quick else (245, 49, 21, 21)
    families = zip((base, structured, dense, dots), ("unstructured", "structured", "dense", "dense"), strict=True)
    return tuple(
        point
        for (factors, family), count in zip(families, counts, strict=True)
        for point in factors.points(count, family)
    )


#: Tiles that are smaller than a block share its fate with their neighbours, which the model leaves out.
STRUCTURED_GRIDS = ((2, 2), (4, 4), (8, 8), (4, 8))
#: Layers of the quick comparison have fewer dense multiplies and at least that density; those of the structured one so
#: many channels or more.
QUICK_MACS = 60_000_000
QUICK_DENSITY = 0.2
WIDE_CHANNELS = 96
