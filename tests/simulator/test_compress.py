"""Run-length placeholders: what a code with limited runs stores, decoded again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.simulator.compress import with_placeholders


def stored(nonzero: list[int], longest_run: int) -> list[int]:
    return np.flatnonzero(with_placeholders(np.array(nonzero, np.bool_), longest_run)).tolist()


def test_a_run_of_15_needs_none_and_one_of_16_does() -> None:
    assert stored([0] * 15 + [1], 15) == [15]
    assert stored([0] * 16 + [1], 15) == [15, 16]
    assert stored([0] * 32 + [1], 15) == [15, 31, 32]


def test_zeros_after_the_last_value_are_not_stored() -> None:
    assert stored([1] + [0] * 40, 15) == [0]
    assert stored([0] * 40, 15) == []


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.sampled_from([1, 3, 7]))
def test_the_code_can_be_decoded(nonzero: list[int], longest_run: int) -> None:
    places = stored(nonzero, longest_run)
    runs = np.diff(places, prepend=-1) - 1
    assert all(run <= longest_run for run in runs)
    assert {place for place, value in enumerate(nonzero) if value} <= set(places)
    placeholders = [place for place in places if not nonzero[place]]
    assert all(runs[places.index(place)] == longest_run for place in placeholders)


@pytest.mark.parametrize("shape", [(2, 3, 40), (1, 40)])
def test_blocks_do_not_see_each_other(shape: tuple[int, ...]) -> None:
    nonzero = np.random.default_rng(0).random(shape) < 0.05
    together = with_placeholders(nonzero, 3)
    for block in np.ndindex(shape[:-1]):
        assert np.array_equal(together[block], with_placeholders(nonzero[block], 3))
