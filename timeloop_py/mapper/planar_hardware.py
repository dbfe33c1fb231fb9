"""Planar-tiled hardware of the same size: other vectors ``F x I`` and PE grids with as many multipliers and RAM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from timeloop_py.mapper.planar_bounds import Family
from timeloop_py.mapper.planar_space import PlanarMapping, mapping_families
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.dataflow import Halo
from timeloop_py.specs.layer import Layer


@dataclass(frozen=True, order=True)
class HardwareMapping(PlanarMapping):
    """A mapping, and the hardware that it runs on: the parameters of an architecture that change."""

    parameters: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        sizes = dict(self.parameters)
        vectors = f", {sizes['F']} x {sizes['I']} multipliers each" if sizes else ""
        return f"{super().__str__()}{vectors}"

    def applied_to(self, architecture: Architecture) -> Architecture:
        """The architecture resized, with the mapping fixed."""
        return super().applied_to(resized(architecture, self.parameters))


def resized(architecture: Architecture, parameters: tuple[tuple[str, int], ...]) -> Architecture:
    """The architecture with other parameters; itself where there are none."""
    return architecture.resized(dict(parameters)) if parameters else architecture


def hardware_families(architecture: Architecture, layer: Layer) -> Iterator[tuple[tuple[HardwareMapping, ...], Family]]:
    """Every mapping of a layer onto every hardware of as many multipliers, the architecture's own hardware first.

    The chip's accumulator banks and activation RAM are shared out among its PEs, whatever their number; the entries of
    a bank and the weight buffer of a PE stay. A dot product has no two sides: of its splits ``F x I`` the squarest
    stands for all.
    """
    for parameters, design in _hardware(_Hardware(architecture)):
        for mappings, family in mapping_families(design, layer):
            yield tuple(HardwareMapping(*_choices(mapping), parameters) for mapping in mappings), family


def hardware_space(architecture: Architecture, layer: Layer) -> Iterator[HardwareMapping]:
    """Every mapping of a layer, in the order of :func:`hardware_families`."""
    for mappings, _ in hardware_families(architecture, layer):
        yield from mappings


def _choices(mapping: PlanarMapping) -> tuple[int, int, int, Halo]:
    return mapping.columns, mapping.rows, mapping.group, mapping.halo


@dataclass(frozen=True)
class _Hardware:
    """An architecture as the key of what is built from it: equal ones, of whatever search, are built once."""

    architecture: Architecture

    def __hash__(self) -> int:
        return hash((self.architecture.name, self.architecture.digest, self.architecture.parameters))


@lru_cache(maxsize=4)
def _hardware(given: _Hardware) -> tuple[tuple[tuple[tuple[str, int], ...], Architecture], ...]:
    """The changed parameters and the architecture of every hardware."""
    return tuple((parameters, resized(given.architecture, parameters)) for parameters in _sizes(given.architecture))


def _sizes(architecture: Architecture) -> Iterator[tuple[tuple[str, int], ...]]:
    """The changed parameters of every hardware; none of the architecture's own, which comes first."""
    own, flow = architecture.require_accelerator()
    yield ()
    for pes in _divisors(own.multipliers):
        banks, rest = divmod(own.accumulator_banks * own.processing_elements, pes)
        if rest or not banks:
            continue
        products = own.multipliers // pes
        splits = [(weights, products // weights) for weights in _divisors(products)]
        if flow.template.core == "dot_product":
            splits = [min(splits, key=lambda split: (abs(split[0] - split[1]), split))]
        for weights, activations in splits:
            if pes == own.processing_elements and ((weights, activations) == (own.F, own.I) or len(splits) == 1):
                continue
            yield (
                ("pe_x", pes),
                ("pe_y", 1),
                ("F", weights),
                ("I", activations),
                ("accumulator_banks", banks),
                ("input_ram_bytes", own.input_ram_bytes * own.processing_elements // pes),
                ("output_ram_bytes", own.output_ram_bytes * own.processing_elements // pes),
            )


def _divisors(number: int) -> list[int]:
    return [factor for factor in range(1, number + 1) if number % factor == 0]
