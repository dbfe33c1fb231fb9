"""Lines of a memory: several words that are accessed together."""

from __future__ import annotations

from timeloop_py.numbers.operations import Number, ceiling_divide, floor_divide, is_plain


def line_count(words: Number, instances: Number, words_per_line: int) -> Number:
    """Lines that hold ``words`` spread over ``instances``: each rounds its own share up.

    Shares that do not come out even (imperfect spatial factors) differ by one word at most.
    """
    if words_per_line == 1:
        return words
    share = floor_divide(words, instances)
    larger = words - share * instances
    if is_plain(larger) and larger == 0:
        return instances * ceiling_divide(share, words_per_line)
    return (instances - larger) * ceiling_divide(share, words_per_line) + larger * ceiling_divide(
        share + 1, words_per_line
    )
