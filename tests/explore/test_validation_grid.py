"""Which points are compared: levels, draws, families."""

from __future__ import annotations

from collections import Counter

import pytest

from timeloop_py.explore.validation_families import (
    DENSITIES,
    FAMILIES,
    PE_GRIDS,
    STANDARD,
    STRUCTURES,
    VECTORS,
    Levels,
    family_points,
    layers_of,
)
from timeloop_py.explore.validation_grid import Factors, Settings, ValidationPoint
from timeloop_py.simulator.machine import Machine
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network

LAYER = Layer("conv", K=64, C=96, W=16, H=16, R=3, S=3, padding=(1, 1))
FAMILY = {family.name: family for family in FAMILIES}


def point(vectors: tuple[int, int] = (4, 4), settings: Settings = (), architecture: str = "scnn") -> ValidationPoint:
    layer = LAYER.with_densities(0.3, 0.4)
    return ValidationPoint("one", architecture, "net", layer, "unstructured", (4, 4), vectors, settings)


def test_the_standard_family_covers_what_it_promises() -> None:
    points = family_points([FAMILY[STANDARD]])
    assert len(points) >= 200
    assert {each.network for each in points} == {"alexnet", "googlenet", "vgg16"}
    assert {each.pe_grid for each in points} == set(PE_GRIDS) >= {(2, 2), (16, 16)}
    assert {each.vectors for each in points} == set(VECTORS) >= {(2, 2), (16, 16)}
    for tensor in ("weight_density", "activation_density"):
        assert {getattr(each.layer, tensor) for each in points} == set(DENSITIES)
    assert (min(DENSITIES), max(DENSITIES)) == (0.05, 1.0)
    every = layers_of([load_network(name) for name in ("alexnet", "googlenet", "vgg16")])
    assert {(each.network, each.layer.name) for each in points} == {(net, layer.name) for net, layer in every}
    assert all(each.conflicts for each in points)
    assert all(each.settings == () for each in points)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: structure.name)
def test_structures_are_compared_on_the_whole_range(structure: object) -> None:
    (name,) = [each.name for each in STRUCTURES if each is structure]
    points = family_points([FAMILY[name]])
    assert {each.zeros for each in points} == {name}
    assert {each.pe_grid for each in points} == set(PE_GRIDS)
    assert {each.vectors for each in points} == set(VECTORS)
    assert all(each.layer.weight_zeros or each.layer.activation_zeros for each in points)
    assert all(each.conflicts for each in points)


def test_families_of_machines_differ_in_what_they_say() -> None:
    def machines(name: str) -> list[Machine]:
        return [Machine.of(each.machine()) for each in family_points([FAMILY[name]])]

    assert {each.dataflow for each in machines("cp-dense")} == {"pt_is_cp_dense"}
    assert {each.dataflow for each in machines("dp-dense")} == {"pt_is_dp_dense"}
    assert {each.barrier for each in machines("barrier-per-channel")} == {"per_channel"}
    assert {each.barrier for each in machines("no-barrier")} == {"none"}
    assert {each.bank_contention for each in machines("banks-unqueued")} == {"unqueued"}
    assert {each.accumulator_banks for each in machines("banks-32")} == {32}
    assert {each.run_bits for each in machines("placeholders")} == {4}
    several = machines("tiling-halo-overhead")
    assert {each.tiling for each in several} == {"balanced", "ceil", "padded_ceil"}
    assert {(each.halo, each.block_overhead_cycles) for each in several} == {("output", 0), ("input", 0), ("output", 2)}
    whole = family_points([FAMILY["no-banks"]])
    assert not any(each.conflicts for each in whole)
    assert len({(each.network, each.layer.name) for each in whole}) == len(whole) == 75


def test_drawn_points_take_all_levels_equally_often() -> None:
    factors = Factors(("scnn",), (("net", LAYER),), (0.1, 0.2, 0.3), DENSITIES, PE_GRIDS, VECTORS)
    points = factors.points(20, "some")
    assert len(points) == 20
    assert points == factors.points(20, "some")
    assert [each.pe_grid for each in points] != [each.pe_grid for each in factors.points(20, "others")]
    for level in (
        lambda each: each.layer.weight_density,
        lambda each: each.pe_grid,
        lambda each: each.vectors,
    ):
        often = Counter(level(each) for each in points).values()
        assert max(often) - min(often) <= 1


def test_few_combinations_are_all_taken() -> None:
    levels = Levels(
        layers=(("net", LAYER),),
        weight_densities=(0.1, 0.2),
        activation_densities=(0.5,),
        pe_grids=((8, 8),),
        vectors=((4, 4), (2, 2)),
    )
    points = family_points([FAMILY[STANDARD]], levels)
    assert len(points) == 4
    assert len({(each.layer.weight_density, each.vectors) for each in points}) == 4
    assert len(family_points([FAMILY[STANDARD]], levels, 3)) == 3


@pytest.mark.parametrize(("vectors", "banks", "entries"), [((4, 4), 32, 32), ((2, 2), 8, 128), ((16, 16), 512, 32)])
def test_banks_grow_with_the_vectors(vectors: tuple[int, int], banks: int, entries: int) -> None:
    machine = Machine.of(point(vectors).machine())
    assert (machine.weight_vector, machine.activation_vector) == vectors
    assert (machine.accumulator_banks, machine.accumulator_entries) == (banks, entries)
    assert (machine.pe_columns, machine.pe_rows) == (4, 4)


def test_conflicts() -> None:
    assert point().conflicts
    assert point(settings=(("dataflow.bank_contention", "unqueued"),)).conflicts
    assert not point().without_conflicts().conflicts
    assert not point(architecture="dcnn").conflicts
