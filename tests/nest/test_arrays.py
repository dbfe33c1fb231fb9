"""Spatial loops find their arrays: by hand, and in mappings whose levels are known because they were written so."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.nest.arrays import ArrayUse, array_uses
from timeloop_py.specs.hierarchy import ComputeLevel, FanOut, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Store

X, Y = LoopKind.SPATIAL_X, LoopKind.SPATIAL_Y
CHIP = Hierarchy(
    (
        StorageLevel("DRAM"),
        StorageLevel("GLB", instances=2),
        StorageLevel("RF", instances=24, mesh_x=8),
    ),
    ComputeLevel("MAC", instances=48, mesh_x=16),
)


def uses(*nodes: Node) -> tuple[ArrayUse, ...]:
    return array_uses(CHIP, Mapping(nodes))


def test_a_loop_runs_between_the_levels_stored_above_and_below_it() -> None:
    assert uses(
        Store("DRAM", "A"), Loop("K", 2, X), Store("GLB", "A"), Loop("K", 4, X), Loop("C", 3, Y), Store("RF", "A")
    ) == (
        ArrayUse(0, 1, (1,), FanOut(2, 1), FanOut(2, 1)),
        ArrayUse(1, 2, (3, 4), FanOut(4, 3), FanOut(4, 3)),
    )


def test_levels_that_hold_nothing_are_passed_through() -> None:
    (use,) = uses(Store("DRAM", "A"), Loop("K", 8, X), Loop("C", 3, Y), Loop("P", 5), Store("RF", "A"))
    assert use == ArrayUse(0, 2, (1, 2), FanOut(8, 3), FanOut(8, 3))


def test_below_the_innermost_storage_compute_fans_out() -> None:
    (use,) = uses(Store("RF", "A"), Loop("P", 5), Loop("K", 2, X))
    assert (use.outer, use.inner, use.available) == (2, CHIP.compute_index, FanOut(2, 1))


def test_a_store_of_any_tensor_counts() -> None:
    (use,) = uses(Store("DRAM", "A"), Store("GLB", "B"), Loop("K", 4, X), Store("RF", "A"))
    assert (use.outer, use.inner) == (1, 2)


def test_loops_without_an_array_and_loops_of_one_iteration_are_left_out() -> None:
    assert uses(Loop("K", 2, X), Store("DRAM", "A"), Loop("C", 1, Y), Store("RF", "A")) == ()


@given(st.data())
def test_per_level_mappings_use_the_array_below_each_level(data: st.DataObject) -> None:
    """Where every level holds something, spatial loops written at a level run over the array below it."""
    nodes: list[Node] = []
    expected: dict[int, list[int]] = {}
    for index, name in enumerate(CHIP.names):
        held = data.draw(st.lists(st.sampled_from("ABZ"), min_size=1, unique=True))
        nodes.extend(Store(name, tensor) for tensor in held)
        nodes.extend(Loop("P", 2) for _ in range(data.draw(st.integers(0, 2))))
        for kind in data.draw(st.lists(st.sampled_from([X, Y]), max_size=3)):
            expected.setdefault(index, []).append(len(nodes))
            nodes.append(Loop("K", 2, kind))
    found = uses(*nodes)
    assert {use.outer: list(use.loops) for use in found} == expected
    assert all(use.inner == use.outer + 1 for use in found)


@given(st.lists(st.sampled_from(CHIP.names) | st.sampled_from([X, Y]), max_size=12))
def test_arrays_of_one_mapping_are_the_same_or_lie_below_each_other(order: list[str | LoopKind]) -> None:
    nodes = [Store(item, "A") if isinstance(item, str) else Loop("K", 2, item) for item in order]
    found = uses(*nodes)
    assert all(first.inner <= second.outer for first, second in itertools.pairwise(found))
    assert sorted(index for use in found for index in use.loops) == [index for use in found for index in use.loops]
