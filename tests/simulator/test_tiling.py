"""Tiles, halos, passes and output-channel groups."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.strategies import runs
from timeloop_py.simulator.machine import DCNN, SCNN, Machine
from timeloop_py.simulator.tiling import Axis, Span, axes, cut, cuts_outputs, plan
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer


def same(size: int) -> Layer:
    return Layer("same", K=64, C=1, W=size, H=size, R=3, S=3, padding=(1, 1))


def sides(layer: Layer, machine: Machine) -> list[int]:
    return [column.inputs[1] - column.inputs[0] for column in plan(layer, machine).passes[0].columns]


@pytest.mark.parametrize(
    ("tiling", "expected"),
    [
        ("balanced", [2, 2, 2, 2, 2, 1, 1, 1]),
        ("ceil", [2, 2, 2, 2, 2, 2, 1, 0]),
        ("padded_ceil", [1, 2, 2, 2, 2, 2, 2, 0]),
    ],
)
def test_13_columns_on_8_pes(tiling: str, expected: list[int]) -> None:
    assert sides(same(13), replace(SCNN, tiling=tiling)) == expected  # type: ignore[arg-type]


@given(st.integers(-3, 3), st.integers(0, 40), st.integers(1, 9), st.sampled_from(["balanced", "ceil"]))
def test_cuts_cover_an_interval_once(start: int, size: int, parts: int, tiling: str) -> None:
    tiles = cut(start, start + size, parts, tiling)  # type: ignore[arg-type]
    assert len(tiles) == parts
    assert [position for tile in tiles for position in range(*tile)] == list(range(start, start + size))
    lengths = [end - begin for begin, end in tiles]
    assert lengths == sorted(lengths, reverse=True)
    if tiling == "balanced":
        assert max(lengths) - min(lengths) <= 1


@given(runs("pt_is_cp_sparse", "pt_is_dp_dense"))
def test_every_input_has_its_pe_and_every_output_one_owner(run: tuple[Layer, Machine, int]) -> None:
    layer, machine, _ = run
    passes = plan(layer, machine).passes
    for axis, lines in zip(
        axes(layer), ({part.columns for part in passes}, {part.rows for part in passes}), strict=True
    ):
        spans = sorted((span for line in lines for span in line if span.inputs != (0, 0)), key=lambda span: span.inputs)
        owners = sorted(span.owned for line in lines for span in line)
        assert [output for owned in owners for output in range(*owned)] == list(range(axis.outputs))
        if cuts_outputs(machine):
            for span in spans:
                assert needed(axis, span) <= set(range(*span.inputs))
        else:
            assert [position for span in spans for position in range(*span.inputs)] == list(range(axis.size))


def needed(axis: Axis, span: Span) -> set[int]:
    """The inputs that a span's outputs need."""
    positions = {
        output * axis.stride - axis.padding + tap * axis.dilation
        for output in range(*span.owned)
        for tap in range(axis.taps)
    }
    return {position for position in positions if 0 <= position < axis.size}


@pytest.mark.parametrize(
    ("layer", "machine", "expected"),
    [
        (same(13), SCNN, 8),  # 4 x 4 sums of an output channel: 64 would fit, 8 are allowed
        (same(224), SCNN, 1),  # 30 x 30
        (same(56), SCNN, 8),  # 9 x 9
        (same(112), SCNN, 4),  # 16 x 16
        (same(112), replace(SCNN, halo="input"), 5),  # 14 x 14
        (same(112), DCNN, 5),
        (same(13), replace(SCNN, output_channel_group_max=100), 64),
        (replace(same(13), K=3), SCNN, 3),
        (Layer("conv1", K=96, C=3, W=227, H=227, R=11, S=11, stride=(4, 4)), SCNN, 8),  # 8 + 3 - 1 = 10 a side
    ],
)
def test_output_channel_group(layer: Layer, machine: Machine, expected: int) -> None:
    layout = plan(layer, machine)
    assert layout.output_channel_group == expected
    assert len(layout.passes) == 1


def test_where_no_output_channel_fits_the_plane_goes_in_passes() -> None:
    """224 on 4 x 4 PEs: 58 x 58 sums; two passes along one axis (30 x 58) still do not fit, 2 x 2 (30 x 30) do."""
    layout = plan(same(224), replace(SCNN, pe_columns=4, pe_rows=4))
    assert len(layout.passes) == 4
    assert layout.output_channel_group == 1
    assert [span.inputs for span in layout.passes[0].columns] == [(0, 28), (28, 56), (56, 84), (84, 112)]
    starts = [part.rows[0].inputs[0] for part in layout.passes]
    assert all(left <= right for left, right in pairwise(starts))


def test_output_halo_belongs_to_the_pe_under_the_middle_of_the_filter() -> None:
    first, second = plan(same(8), replace(SCNN, pe_columns=2, pe_rows=1)).passes[0].columns
    assert (first.inputs, first.accumulated, first.owned) == ((0, 4), (0, 5), (0, 4))
    assert (second.inputs, second.accumulated, second.owned) == ((4, 8), (3, 8), (4, 8))


def test_input_halo_is_held_twice() -> None:
    first, second = plan(same(8), replace(SCNN, pe_columns=2, pe_rows=1, halo="input")).passes[0].columns
    assert (first.inputs, first.accumulated) == ((0, 5), (0, 4))
    assert (second.inputs, second.accumulated) == ((3, 8), (4, 8))


def test_a_filter_that_never_fits_is_refused() -> None:
    machine = replace(SCNN, accumulator_banks=2, accumulator_entries=4)
    with pytest.raises(SpecError, match="8 accumulators do not hold the 9 sums") as error:
        plan(same(8), machine)
    assert error.value.field == "accumulator_entries"
