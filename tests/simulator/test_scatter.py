"""Bank queues against a simulation cycle by cycle, and where sums lie."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.simulator.machine import SCNN
from timeloop_py.simulator.scatter import StepOrder, bank_table, queue_stalls
from timeloop_py.simulator.tiling import plan
from timeloop_py.specs.layer import Layer

BANKS = 3
ROWS = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 5), min_size=BANKS, max_size=BANKS)), max_size=8),
    min_size=1,
    max_size=4,
)


def cycle_by_cycle(row: list[tuple[int, list[int]]], waiting: list[int], tolerated: int) -> int:
    """Stalls of one row; every bank takes one product a cycle."""
    stalls = 0
    for pause, arrivals in row:
        for _ in range(pause):
            waiting[:] = [max(0, bank - 1) for bank in waiting]
        waiting[:] = [bank + new for bank, new in zip(waiting, arrivals, strict=True)]
        waiting[:] = [max(0, bank - 1) for bank in waiting]
        while max(waiting) > tolerated:
            stalls += 1
            waiting[:] = [max(0, bank - 1) for bank in waiting]
    return stalls


@given(ROWS, st.integers(0, 3), st.lists(st.integers(0, 2), min_size=4 * BANKS, max_size=4 * BANKS))
def test_stalls_are_those_of_counting_cycles(
    rows: list[list[tuple[int, list[int]]]], tolerated: int, start: list[int]
) -> None:
    backlog = np.array(start[: len(rows) * BANKS], np.int32).reshape(-1, BANKS)
    expected_backlog = backlog.tolist()
    expected = [cycle_by_cycle(row, waiting, tolerated) for row, waiting in zip(rows, expected_backlog, strict=True)]

    order = StepOrder.of(np.array([len(row) for row in rows]))
    owner = np.array([index for index, row in enumerate(rows) for _ in row], np.int64)
    step = np.array([index for row in rows for index in range(len(row))], np.int64)
    places = order.places(owner, step)
    arrivals, pauses = np.zeros((owner.size, BANKS), np.int32), np.zeros(owner.size, np.int64)
    arrivals[places] = np.array([new for row in rows for _, new in row]).reshape(-1, BANKS)
    pauses[places] = [pause for row in rows for pause, _ in row]

    assert queue_stalls(arrivals, order, backlog, tolerated, pauses).tolist() == expected
    assert backlog.tolist() == expected_backlog


def test_without_queues_a_step_lasts_as_long_as_the_fullest_bank() -> None:
    arrivals = np.array([[4, 0, 1], [1, 1, 1], [0, 0, 0], [2, 2, 0]], np.int32)
    order = StepOrder.of(np.array([4]))
    assert queue_stalls(arrivals, order, np.zeros((1, BANKS), np.int32), 0).tolist() == [3 + 0 + 0 + 1]


def test_sums_lie_in_the_banks_one_after_the_other() -> None:
    """8x8 inputs on 2x2 PEs, 3x3 filter: 5x5 sums a PE and channel of the 6x6 that products reach."""
    layer = Layer("l", K=2, C=1, W=8, H=8, R=3, S=3, padding=(1, 1))
    machine = replace(SCNN, pe_columns=2, pe_rows=2, accumulator_banks=7)
    table = bank_table(machine, plan(layer, machine).passes[0], 2).reshape(4, 3, 2, 6, 6)
    assert np.array_equal(table[0, 0, :, 1:, 1:].ravel(), np.arange(50) % 7)
    assert np.array_equal(table[3, 0, :, :5, :5].ravel(), np.arange(50) % 7)
    assert np.all(table[0, 0, :, 0] == 7), "above the plane"
    assert np.all(table[:, 1:] == 7), "empty lanes"
