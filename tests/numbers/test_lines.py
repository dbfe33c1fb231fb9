"""Lines of several words, counted instance by instance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.numbers.lines import line_count


@given(
    shares=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    words_per_line=st.integers(1, 8),
)
def test_every_instance_rounds_its_own_share_up(shares: list[int], words_per_line: int) -> None:
    words, instances = sum(shares), len(shares)
    even = [words // instances + (index < words % instances) for index in range(instances)]
    assert line_count(words, instances, words_per_line) == sum(-(-share // words_per_line) for share in even)


def test_five_words_in_each_of_three_instances_are_six_lines_of_four() -> None:
    assert line_count(15, 3, 4) == 6


def test_a_batch_counts_like_its_members() -> None:
    words, instances = np.array([15, 16, 17, 7]), np.array([3, 3, 3, 4])
    expected = [line_count(int(word), int(count), 4) for word, count in zip(words, instances, strict=True)]
    assert line_count(words, instances, 4).tolist() == expected
