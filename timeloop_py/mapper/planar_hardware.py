"""Planar-tiled hardware of the same size: other vectors ``F x I`` and PE grids with as many multipliers and RAM."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from timeloop_py.mapper.planar_mappings import MappingSpace
from timeloop_py.mapper.planar_tilings import Designs
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer


def hardware_space(architecture: Architecture, layer: Layer) -> MappingSpace:
    """Every mapping of a layer onto every hardware of as many multipliers, the architecture's own hardware first.

    The chip's accumulator banks and activation RAM are shared out among its PEs, whatever their number; the entries of
    a bank and the weight buffer of a PE stay. A dot product has no two sides: of its splits ``F x I`` the squarest
    stands for all.
    """
    return MappingSpace(all_hardware(architecture), layer)


def all_hardware(architecture: Architecture) -> Designs:
    """The architecture with all hardware of as many multipliers; SpecError where it has no dataflow."""
    return _all_hardware(Designs(architecture, True, ()))


@lru_cache(maxsize=4)
def _all_hardware(given: Designs) -> Designs:
    """The architecture with all hardware, which equal architectures share."""
    own = given.architecture
    hardware = tuple((sizes, own.resized(dict(sizes)) if sizes else own) for sizes in _sizes(own))
    return Designs(own, True, hardware)


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
