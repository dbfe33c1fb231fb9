"""Elementary named operations with an array face (Python numbers, NumPy arrays) and a symbolic one (SymPy).

A formula of the model is written once over these operations. Fed NumPy arrays it evaluates a whole batch;
fed SymPy symbols it returns the formula itself. SymPy is imported only when a symbol comes along.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import mul
from typing import Any

import numpy as np

#: A Python number, a NumPy array or a SymPy expression.
Number = Any
_PLAIN = (int, float, np.integer, np.floating)


def is_symbolic(*values: Number) -> bool:
    """True where any value is a SymPy expression (found without importing SymPy)."""
    for value in values:  # noqa: SIM110 -- a generator would take most of the time
        if hasattr(value, "free_symbols"):
            return True
    return False


def is_plain(*values: Number) -> bool:
    """True where every value is a Python (or NumPy scalar) number: no batch, no symbol."""
    for value in values:  # noqa: SIM110 -- the same
        if not isinstance(value, _PLAIN):
            return False
    return True


def maximum(first: Number, second: Number) -> Number:
    """The larger of two numbers, elementwise."""
    if is_symbolic(first, second):
        import sympy

        return sympy.Max(first, second)
    if is_plain(first, second):
        return max(first, second)
    return np.maximum(first, second)


def minimum(first: Number, second: Number) -> Number:
    """The smaller of two numbers, elementwise."""
    if is_symbolic(first, second):
        import sympy

        return sympy.Min(first, second)
    if is_plain(first, second):
        return min(first, second)
    return np.minimum(first, second)


def absolute(value: Number) -> Number:
    """The absolute value, elementwise."""
    return abs(value)


def ceiling_divide(dividend: Number, divisor: Number) -> Number:
    """``ceil(dividend / divisor)``: exact for integers, elementwise."""
    if is_symbolic(dividend, divisor):
        import sympy

        return sympy.ceiling(sympy.sympify(dividend, strict=True) / divisor)
    return -(-dividend // divisor)


def floor_divide(dividend: Number, divisor: Number) -> Number:
    """``floor(dividend / divisor)``, elementwise."""
    if is_symbolic(dividend, divisor):
        import sympy

        return sympy.floor(sympy.sympify(dividend, strict=True) / divisor)
    return dividend // divisor


def product(values: Iterable[Number]) -> Number:
    """The product of the values; 1 for none."""
    factors = iter(values)
    return reduce(mul, factors, next(factors, 1))


def largest(values: Iterable[Number]) -> Number:
    """The largest of several numbers, elementwise."""
    return reduce(maximum, values)


def is_positive(value: Number) -> Number:
    """1 where ``value > 0``, else 0."""
    if is_symbolic(value):
        import sympy

        return sympy.Piecewise((1, value > 0), (0, True))
    if is_plain(value):
        return int(value > 0)
    return np.asarray(value > 0).astype(np.int64)


def is_equal(first: Number, second: Number) -> Number:
    """1 where the numbers are the same, else 0."""
    if is_symbolic(first, second):
        import sympy

        return sympy.Piecewise((1, sympy.Eq(first, second)), (0, True))
    if is_plain(first, second):
        return int(first == second)
    return np.asarray(first == second).astype(np.int64)
