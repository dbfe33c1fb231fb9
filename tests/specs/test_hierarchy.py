"""Hierarchies as values: fan-out, capacities, energies of accesses, and levels that make no hierarchy."""

import pytest

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.hierarchy import ComputeLevel, FanOut, Hierarchy, StorageLevel

DRAM = StorageLevel("DRAM")
ARRAY = Hierarchy(
    (DRAM, StorageLevel("GLB", instances=2), StorageLevel("RF", instances=24, mesh_x=8)),
    ComputeLevel("MAC", instances=96, mesh_x=16),
)


def test_rows_and_columns() -> None:
    assert [(level.columns, level.rows) for level in ARRAY.stages] == [(1, 1), (2, 1), (8, 3), (16, 6)]


def test_fan_out_between_levels() -> None:
    assert ARRAY.fan_out(0) == FanOut(2, 1)
    assert ARRAY.fan_out(1) == FanOut(4, 3)
    assert ARRAY.fan_out(2) == FanOut(2, 2)
    assert ARRAY.fan_out(0, ARRAY.compute_index) == FanOut(16, 6)
    assert ARRAY.fan_out(1).total == 12


def test_levels_are_found_by_name() -> None:
    assert ARRAY.names == ("DRAM", "GLB", "RF")
    assert ARRAY.index("RF") == 2
    assert ARRAY.level("DRAM") is DRAM
    with pytest.raises(SpecError, match="did you mean 'GLB'"):
        ARRAY.level("GLBB")


def test_usable_words() -> None:
    assert StorageLevel("Buf").usable_words is None
    assert StorageLevel("Buf", capacity_words=65).usable_words == 65
    assert StorageLevel("Buf", capacity_words=65, multiple_buffering=2).usable_words == 32
    separate = StorageLevel("Buf", tensor_capacity_words={"A": 9, "B": None}, multiple_buffering=2)
    assert (separate.usable_words_of("A"), separate.usable_words_of("B"), separate.usable_words_of("C")) == (
        4,
        None,
        None,
    )


def test_a_level_may_hold_all_or_some_tensors() -> None:
    assert StorageLevel("Buf").may_hold("A")
    assert StorageLevel("Buf", tensors=("B",)).may_hold("B")
    assert not StorageLevel("Buf", tensors=("B",)).may_hold("A")


@pytest.mark.parametrize(
    ("energy_pj", "action", "expected"),
    [
        ({"read": 6.0}, "read", 6.0),
        ({"write": 5.0}, "update", 5.0),
        ({"write": 5.0, "update": 4.0}, "update", 4.0),
        ({"gated_write": 0.2}, "gated_update", 0.2),
        ({}, "gated_read", 0.0),
        ({"gated_read": 0.2}, "skipped_read", 0.2),
        ({"gated_read": 0.2, "skipped_read": 0.1}, "skipped_read", 0.1),
        ({"gated_write": 0.3}, "skipped_update", 0.3),
        ({"metadata_write": 0.5}, "metadata_update", 0.5),
        ({"read": 6.0}, "skipped_metadata_read", 0.0),
    ],
)
def test_energy_of_an_access(energy_pj: dict[str, float], action: str, expected: float) -> None:
    assert StorageLevel("Buf", energy_pj=energy_pj).line_energy_pj(action) == expected


@pytest.mark.parametrize("action", ["read", "update", "metadata_read"])
def test_an_access_that_happens_needs_an_energy(action: str) -> None:
    with pytest.raises(SpecError, match=f"level 'Buf' has no energy for '{action}'"):
        StorageLevel("Buf", energy_pj={"gated_read": 0.1}).line_energy_pj(action)


def test_energy_of_computes() -> None:
    assert ComputeLevel("MAC", energy_pj={"compute": 1.0}).compute_energy_pj == 1.0
    sparse = ComputeLevel("MAC", energy_pj={"mac_random": 1.5, "mac_gated": 0.1})
    assert (sparse.compute_energy_pj, sparse.gated_energy_pj, sparse.skipped_energy_pj) == (1.5, 0.1, 0.0)
    with pytest.raises(SpecError, match="compute 'MAC' has no energy"):
        _ = ComputeLevel("MAC").compute_energy_pj


@pytest.mark.parametrize(
    ("levels", "compute", "field"),
    [
        ((DRAM, DRAM), ComputeLevel("MAC"), "DRAM.name"),
        ((DRAM,), ComputeLevel("DRAM"), "DRAM.name"),
        ((DRAM, StorageLevel("RF", instances=6, mesh_x=4)), ComputeLevel("MAC", instances=6), "RF.mesh_x"),
        ((StorageLevel("RF", instances=6),), ComputeLevel("MAC", instances=8), "MAC.instances"),
        ((StorageLevel("RF", instances=6, mesh_x=2),), ComputeLevel("MAC", instances=6), "MAC.mesh_x"),
        ((StorageLevel("RF", instances=6),), ComputeLevel("MAC", instances=12, mesh_x=4), "MAC.mesh_x"),
    ],
)
def test_levels_that_do_not_fit_each_other(levels: tuple[StorageLevel, ...], compute: ComputeLevel, field: str) -> None:
    with pytest.raises(SpecError) as caught:
        Hierarchy(levels, compute)
    assert caught.value.field == field
