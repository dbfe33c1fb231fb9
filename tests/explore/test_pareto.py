"""Pareto fronts against the definition."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.explore.pareto import non_dominated, pareto_front
from timeloop_py.specs.errors import SpecError

POINTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=25)


def by_definition(points: list[tuple[int, ...]]) -> list[bool]:
    """A point is on the front where no other is nowhere worse and somewhere better."""
    return [
        not any(all(a <= b for a, b in zip(other, one, strict=True)) and other != one for other in points)
        for one in points
    ]


@given(POINTS)
def test_front_is_the_definitions(points: list[tuple[int, ...]]) -> None:
    assert non_dominated(points).tolist() == by_definition(points)


@given(POINTS, st.integers(0, 2))
def test_adding_a_worse_point_changes_nothing(points: list[tuple[int, ...]], axis: int) -> None:
    worse = list(points[0])
    worse[axis] += 1
    assert non_dominated([*points, worse]).tolist() == [*non_dominated(points).tolist(), False]


def test_what_is_unknown_is_worse_than_everything() -> None:
    assert non_dominated([[1.0, np.nan], [1.0, 5.0], [np.nan, 1.0]]).tolist() == [False, True, True]


def test_rows_of_a_frame_best_first_metric_first() -> None:
    frame = pd.DataFrame({"design": ["a", "b", "c", "d"], "cycles": [3, 1, 2, 3], "energy_pj": [1.0, 4.0, 2.0, 2.0]})
    assert pareto_front(frame, ["cycles", "energy_pj"])["design"].tolist() == ["b", "c", "a"]
    assert pareto_front(frame, ["energy_pj"])["design"].tolist() == ["a"]


def test_an_unknown_metric_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="energy_pj"):
        pareto_front(pd.DataFrame({"energy_pj": [1.0]}), ["energy"])
