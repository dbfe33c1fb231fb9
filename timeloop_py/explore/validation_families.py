"""The families of points in which model and simulator are compared; each is judged for itself.

Levels come from what is claimed (layers of three networks, densities 0.05 to 1, PE grids 2x2 to 16x16, vectors 2 to 16)
and are the same in every family; which of their combinations are run is drawn (:meth:`.Factors.points`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from timeloop_py.explore.validation_grid import Factors, Pair, Settings, Structure, ValidationPoint
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network, load_network
from timeloop_py.specs.zeros import Zeros

NETWORKS = ("alexnet", "googlenet", "vgg16")
DENSITIES: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
PE_GRIDS: tuple[Pair, ...] = ((2, 2), (4, 4), (8, 8), (16, 16), (4, 8), (16, 4), (2, 16))
#: (F, I).
VECTORS: tuple[Pair, ...] = ((4, 4), (2, 2), (8, 8), (16, 16), (2, 8), (8, 4), (16, 2))
#: The family that the published limits are about.
STANDARD = "unstructured"
_FAMILY_POINTS = 14


@dataclass(frozen=True)
class Family:
    """Points that have something in common: ``structure`` and ``settings`` (one list per level) in place of SCNN's."""

    name: str
    points: int = _FAMILY_POINTS
    architecture: str = "scnn"
    structure: Structure | None = None
    settings: tuple[Settings, ...] = ((),)


def _by(distribution: str, **parameters: object) -> Callable[[float], Zeros]:
    return lambda density: Zeros.of(distribution, density=density, **parameters)


def _of_four(axis: int) -> Callable[[float], Zeros]:
    """N of every 4 along a rank, N the nearest to the density and at least 1."""
    return lambda density: Zeros.of("n_m", n=max(1, round(4 * density)), m=4, axis=axis)


#: Weights are [K, C/G, S, R], activations [N, C, H, W].
STRUCTURES = (
    Structure("exact-counts", _by("hypergeometric"), _by("hypergeometric")),
    Structure("weights-4-outputs", _by("block", block=(4, 1, 1, 1))),
    Structure("weights-4x4-channels", _by("block", block=(4, 4, 1, 1))),
    Structure("weights-filter-rows", _by("simd", group=4)),
    Structure("weights-n-of-4-inputs", _of_four(1)),
    Structure("weights-whole-outputs", _by("whole_channel", axis=0)),
    Structure("weights-whole-inputs", _by("whole_channel", axis=1)),
    Structure("activations-2x2", None, _by("block", block=(2, 2))),
    Structure("activations-n-of-4-channels", None, _of_four(1)),
    Structure("activations-n-of-4-row", None, _of_four(3)),
    Structure("activations-whole-channels", None, _by("whole_channel", axis=1)),
)


def _set(**fields: str | int | bool) -> tuple[Settings, ...]:
    """One list of overrides of the dataflow section."""
    return (tuple((f"dataflow.{name}", value) for name, value in fields.items()),)


FAMILIES = (
    Family(STANDARD, points=210),
    *(Family(structure.name, structure=structure) for structure in STRUCTURES),
    Family("cp-dense", settings=_set(name="pt_is_cp_dense")),
    Family("dp-dense", architecture="dcnn"),
    Family("barrier-per-channel", settings=_set(barrier="per_channel")),
    Family("no-barrier", settings=_set(barrier="none")),
    Family("no-banks", points=75, settings=_set(bank_contention="none")),
    Family("banks-unqueued", settings=_set(bank_contention="unqueued")),
    Family("banks-32", settings=((("parameters.accumulator_banks", 32), ("parameters.accumulator_entries", 64)),)),
    Family("placeholders", settings=_set(placeholders=True)),
    Family(
        "tiling-halo-overhead",
        settings=(
            *_set(tiling="ceil"),
            *_set(tiling="padded_ceil"),
            *_set(halo="input"),
            *_set(block_overhead_cycles=2),
        ),
    ),
)


@dataclass(frozen=True)
class Levels:
    """Levels in place of the standard ones; None keeps those. An activation density of None is that of the weights."""

    architectures: tuple[str, ...] | None = None
    layers: tuple[tuple[str, Layer], ...] | None = None
    weight_densities: tuple[float, ...] | None = None
    activation_densities: tuple[float | None, ...] | None = None
    pe_grids: tuple[Pair, ...] | None = None
    vectors: tuple[Pair, ...] | None = None


def layers_of(networks: Sequence[Network]) -> tuple[tuple[str, Layer], ...]:
    """Pairs of a network's name and a layer."""
    return tuple((network.name, layer) for network in networks for layer in network.layers)


def family_points(
    families: Sequence[Family] = FAMILIES, levels: Levels | None = None, count: int | None = None
) -> tuple[ValidationPoint, ...]:
    """The points of some families; ``count``: at most so many of each, in place of the family's own number."""
    chosen = {name: value for name, value in vars(levels or Levels()).items() if value is not None}
    if "layers" not in chosen:
        chosen["layers"] = layers_of([load_network(name) for name in NETWORKS])
    standard = Factors(
        architectures=("scnn",),
        layers=chosen["layers"],
        weight_densities=DENSITIES,
        activation_densities=DENSITIES,
        pe_grids=PE_GRIDS,
        vectors=VECTORS,
    )
    found: list[ValidationPoint] = []
    for family in families:
        factors = replace(standard, architectures=(family.architecture,), settings=family.settings)
        if family.structure is not None:
            factors = replace(factors, structures=(family.structure,))
        factors = replace(factors, **chosen)
        found += factors.points(family.points if count is None else count, family.name)
    return tuple(found)
