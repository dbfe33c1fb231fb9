"""The machine's numbers and what it refuses."""

from dataclasses import replace
from typing import Any

import pytest

from timeloop_py.simulator.machine import DCNN, SCNN, Machine
from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.errors import SpecError


def test_scnn_is_table_ii() -> None:
    assert (SCNN.pes, SCNN.multipliers, SCNN.accumulators) == (64, 1024, 1024)
    assert SCNN.accumulator_banks == 2 * SCNN.weight_vector * SCNN.activation_vector
    assert SCNN.drain_rate == 32
    assert (DCNN.multipliers, DCNN.accumulators) == (1024, 1024)


def test_shipped_architectures_are_these_machines() -> None:
    assert replace(Machine.of(load_architecture("scnn")), drain_words_per_cycle=None) == SCNN
    dcnn = Machine.of(load_architecture("dcnn"))
    assert (dcnn.dataflow, dcnn.multipliers, dcnn.accumulators) == (DCNN.dataflow, 1024, 1024)


def test_fields_of_the_file_reach_the_machine() -> None:
    settings: list[tuple[str, int | str]] = [
        ("parameters.pe_x", 4),
        ("dataflow.barrier", "per_channel"),
        ("dataflow.block_overhead_cycles", 2),
        ("dataflow.tiling", "ceil"),
    ]
    machine = Machine.of(load_architecture("scnn", settings))
    assert (machine.pe_columns, machine.barrier, machine.tiling) == (4, "per_channel", "ceil")
    assert machine.block_overhead_cycles == 2


def test_a_fraction_of_a_cycle_is_refused() -> None:
    architecture = load_architecture("scnn", [("dataflow.block_overhead_cycles", 0.5)])
    with pytest.raises(SpecError, match="whole number") as error:
        Machine.of(architecture)
    assert error.value.field == "dataflow.block_overhead_cycles"
    assert error.value.path == architecture.path


def test_contention() -> None:
    assert SCNN.tolerated_backlog == 8
    assert replace(SCNN, bank_contention="unqueued").tolerated_backlog == 0
    assert replace(SCNN, bank_contention="none").tolerated_backlog is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataflow", "pt_is_cp_sprase"),
        ("tiling", "even"),
        ("halo", "both"),
        ("barrier", None),
        ("bank_contention", "queue"),
        ("vector_over", "taps"),
        ("pe_columns", 0),
        ("weight_vector", 2.5),
        ("activation_vector", True),
        ("accumulator_banks", -1),
        ("queue_depth", -1),
        ("run_bits", 0),
        ("drain_words_per_cycle", 0.0),
    ],
)
def test_wrong_values_are_refused_by_name(field: str, value: object) -> None:
    wrong: dict[str, Any] = {field: value}
    with pytest.raises(SpecError) as error:
        Machine(**wrong)
    assert error.value.field == field


def test_a_misspelt_choice_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match="pt_is_cp_sparse'"):
        Machine(dataflow="pt_is_cp_sprase")  # type: ignore[arg-type]
