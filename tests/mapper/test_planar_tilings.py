"""Mapspaces made in arrays against lowering every layer onto every accelerator, one by one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.mapper.planar_candidates import Candidates
from timeloop_py.mapper.planar_hardware import hardware_space
from timeloop_py.mapper.planar_mappings import MappingSpace, PlanarMapping, mapping_space
from timeloop_py.mapper.planar_tilings import tilings
from timeloop_py.mapper.search import search_tasks
from timeloop_py.model.batch import Batch, RowArrays
from timeloop_py.model.evaluate import Unit, cycles_of_units, network_of
from timeloop_py.nest.lowering import Block, LoweredLayer, lower_layer
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

FEW = (
    ("parameters.pe_x", 2),
    ("parameters.pe_y", 2),
    ("parameters.F", 2),
    ("parameters.I", 2),
    ("parameters.accumulator_banks", 8),
    ("parameters.accumulator_entries", 4),
)
MACHINES = {name: load_architecture(name, FEW) for name in ("scnn", "dcnn")}


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    size, small = st.integers(3, 9), st.integers(1, 3)
    groups, pad = draw(st.integers(1, 2)), draw(st.integers(0, 1))
    return Layer(
        "random", K=draw(st.integers(1, 7)) * groups, C=draw(small) * groups, W=draw(size), H=draw(size), R=draw(small),
        S=draw(small), N=draw(st.integers(1, 2)), stride=(draw(small), draw(small)), padding=(pad, 0), groups=groups,
    )  # fmt: skip


def blocks_of(lowered: LoweredLayer) -> list[tuple[int, Block]]:
    """Blocks of every group, in order, with the output channels of the group."""
    return [(held, block) for one in lowered.passes for held, _ in lowered.groups for block in one.blocks]


def space_of(architecture: Architecture, layer: Layer, hardware: bool) -> MappingSpace:
    return (hardware_space if hardware else mapping_space)(architecture, layer)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(MACHINES)), layers(), st.booleans(), st.randoms(use_true_random=False))
def test_rows_are_those_of_lowered_layers(name: str, layer: Layer, hardware: bool, random: Random) -> None:
    space = space_of(MACHINES[name], layer, hardware)
    places = np.array([random.randrange(len(space)) for _ in range(6)])
    one_by_one = Batch([space.design(place) for place in places.tolist()], [layer] * len(places))
    found = space.rows(places, [design for _, design in space.designs.hardware])
    for field in RowArrays.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, field), getattr(one_by_one, field), err_msg=field)
    assert found.pass_of_group == one_by_one.pass_of_group
    assert found.blocks == tuple(block for one in one_by_one.lowered for _, block in blocks_of(one))
    for size in ("F", "I", "accumulator_banks"):
        np.testing.assert_array_equal(found.parameter(size), one_by_one.parameter(size))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(MACHINES)), layers())
def test_the_group_before_is_the_last_one_of_the_pass_or_a_full_one(name: str, layer: Layer) -> None:
    space = mapping_space(MACHINES[name], layer)
    rows = space.rows(np.arange(len(space)), [MACHINES[name]])
    (likely, often), (first, seldom) = rows.groups_before
    expected = [
        (full, 1 - (size == 0) / count, lowered.groups[-1][0], (size == 0) / count)
        for lowered in (lower_layer(space.design(place), layer) for place in range(len(space)))
        for _ in lowered.passes
        for full in lowered.groups[0][:1]
        for size, (_, count) in enumerate(lowered.groups)
    ]
    np.testing.assert_array_equal(np.column_stack([likely, often, first, seldom]), expected)


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_cycles_of_rows_are_those_of_designs(name: str) -> None:
    layer = Layer("odd", K=7, C=3, W=9, H=6, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.5)
    space = hardware_space(MACHINES[name], layer)
    points = ((None, None), (0.2, 0.7))
    candidates = Candidates(space, network_of(layer), points)
    places = np.arange(0, len(space), 7)
    candidates.evaluate(places)
    units = [Unit(space.design(place), network_of(layer), layer) for place in places.tolist()]
    np.testing.assert_array_equal(candidates.cycles[places], cycles_of_units(units, points))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(MACHINES)), layers())
def test_the_space_is_every_grid_halo_and_number_of_groups(name: str, layer: Layer) -> None:
    architecture = MACHINES[name]
    space = mapping_space(architecture, layer)
    held = [lower_layer(space.design(place), layer).tiling.group for place in range(len(space))]
    assert held == space.held.tolist()
    expected = set()
    for columns, rows in ((1, 4), (2, 2), (4, 1)):
        for halo in ("output", "input") if name == "scnn" else ("input",):
            for group in range(1, layer.output_channels_per_group + 1):
                mapping = PlanarMapping(columns, rows, group, halo)  # type: ignore[arg-type]
                try:
                    lowered = lower_layer(mapping.applied_to(architecture), layer)
                except SpecError:
                    continue
                expected.add((columns, rows, halo, sum(count for _, count in lowered.groups)))
    numbers = [-(-layer.output_channels_per_group // group) for group in held]
    listed = [(one.columns, one.rows, one.halo, number) for one, number in zip(space, numbers, strict=True)]
    assert set(listed) == expected
    # Of equally many groups at most two sizes are in it: the smallest, and all that the accumulators hold.
    most = Counter(listed)
    assert max(most.values()) <= 2
    assert len({(one.columns, one.rows, one.halo, group) for one, group in zip(space, held, strict=True)}) == len(held)


def test_layers_of_one_plane_share_their_tilings() -> None:
    layer = Layer("first", K=13, C=5, W=9, H=6, R=3, S=3, padding=(1, 1), weight_density=0.4)
    other = replace(layer, name="other", K=4, C=2, weight_density=0.9)
    architecture = MACHINES["scnn"]
    assert hardware_space(architecture, layer).tilings is hardware_space(architecture, other).tilings
    assert hardware_space(architecture, layer).tilings is not hardware_space(architecture, replace(layer, W=8)).tilings
    changed = load_architecture("scnn", (*FEW[:-1], ("parameters.accumulator_entries", 8)))
    assert hardware_space(architecture, layer).tilings is not hardware_space(changed, layer).tilings


@pytest.mark.parametrize("space", ["planar", "hardware"])
def test_what_is_prepared_is_not_worked_out_again(space: str) -> None:
    layer = Layer("prepared", K=4, C=2, W=11, H=7, R=3, S=3, padding=(1, 1))
    (task,) = search_tasks(MACHINES["scnn"], layer, "energy", space)
    task.prepare()
    before = tilings.cache_info().misses
    task.run(math.inf)
    assert tilings.cache_info().misses == before


def test_halos_that_no_accumulator_holds_are_left_out() -> None:
    layer = Layer("wide", K=4, C=2, W=9, H=9, R=9, S=9, padding=(4, 4))  # an input adds to 81 outputs
    tiny = load_architecture("scnn", (*FEW[:-2], ("parameters.accumulator_banks", 1), FEW[-1]))
    assert {one.halo for one in mapping_space(tiny, layer)} == {"input"}


@pytest.mark.parametrize("hardware", [False, True])
def test_nothing_to_compute_is_named(hardware: bool) -> None:
    layer = Layer("padding", K=4, C=2, W=1, H=1, R=1, S=1, padding=(1, 1), stride=(2, 2))
    with pytest.raises(SpecError, match="sees padding only"):
        space_of(MACHINES["scnn"], layer, hardware)
