import itertools
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.report.density_path import DensityPath, crossings


def frame(points: list[tuple[float, float]]) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["weight_density", "activation_density"])


def test_both_densities_together() -> None:
    path = DensityPath.of(frame([(0.25, 0.25), (1.0, 1.0), (0.5, 0.5), (0.5, 0.5)]))
    assert path.positions == (1.0, 0.5, 0.25)
    assert path.tick_labels == ("1.0/1.0", "0.5/0.5", "0.25/0.25")
    assert path.axis_label == "Weight / activation density"


def test_one_density_while_the_other_stands_still() -> None:
    path = DensityPath.of(frame([(0.2, 0.4), (0.8, 0.4)]))
    assert (path.positions, path.tick_labels) == ((0.8, 0.2), ("0.8", "0.2"))
    assert path.axis_label == "Weight density (activation density 0.4)"
    path = DensityPath.of(frame([(0.3, 0.4), (0.3, 1.0)]))
    assert path.positions == (1.0, 0.4)
    assert path.axis_label == "Activation density (weight density 0.3)"


def test_a_plane_is_no_path() -> None:
    with pytest.raises(ValueError, match="independently"):
        DensityPath.of(frame([(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5)]))


def test_a_single_point_is_a_path() -> None:
    assert DensityPath.of(frame([(0.5, 0.2)])).tick_labels == ("0.5/0.2",)


@given(st.integers(1, 200), st.integers(1, 30))
def test_thinning_keeps_the_densest_point(count: int, most: int) -> None:
    path = DensityPath.of(frame([(n / count, n / count) for n in range(1, count + 1)]))
    chosen = path.thinned(most)
    assert chosen[0] == 0
    assert len(chosen) <= most


def test_straight_lines_cross_where_they_should() -> None:
    assert crossings([0, 1], [0, 1], [1, 0]) == ((0.5, 0.5),)
    assert crossings([0, 1, 2], [0, 1, 2], [0.5, 0.5, 0.5]) == ((0.5, 0.5),)


def test_on_a_logarithmic_axis_curves_are_straight_in_the_logarithm() -> None:
    ((x, y),) = crossings([0, 1], [1, 100], [10, 10], log=True)
    assert (x, y) == pytest.approx((0.5, 10))


@pytest.mark.parametrize("second", [[1, 2, 3], [0, 1, 2], [0, 2, 2], [1, 1, 3], [1, 2, 4]])
def test_curves_that_touch_without_changing_order_do_not_cross(second: list[float]) -> None:
    assert crossings([0, 1, 2], [1, 2, 3], second) == ()


def test_curves_that_meet_in_a_point_cross_there() -> None:
    assert crossings([0, 1, 2], [1, 2, 3], [0, 2, 4]) == ((1, 2),)


def test_curves_that_run_together_cross_where_they_part() -> None:
    assert crossings([0, 1, 2, 3], [1, 2, 2, 2], [0, 2, 2, 5]) == ((2, 2),)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=2, max_size=8), st.booleans())
def test_crossings_count_the_changes_of_order(values: list[tuple[int, int]], log: bool) -> None:
    first, second = [a for a, _ in values], [b for _, b in values]
    signs = [math.copysign(1, a - b) for a, b in values if a != b]
    changes = sum(before != after for before, after in itertools.pairwise(signs))
    found = crossings(range(len(values)), first, second, log)
    assert len(found) == changes
    for x, y in found:
        left, share = int(x), x - int(x)
        for curve in (first, second):
            low, high = curve[left], curve[min(left + 1, len(curve) - 1)]
            height = (
                math.exp((1 - share) * math.log(low) + share * math.log(high)) if log else low + share * (high - low)
            )
            assert y == pytest.approx(height)
