"""The symbolic face of :mod:`timeloop_py.numbers.expectation`: named SymPy functions.

They stay unevaluated on symbols, print as LaTeX, evaluate numerically (``evalf``, ``lambdify``) through the array
face, and ``rewrite(Sum)`` / ``rewrite(Integral)`` spells them out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy
from sympy.core.function import ArgumentIndexError

from timeloop_py.numbers import expectation, sums


class _NamedExpectation(sympy.Function):  # type: ignore[misc]
    """Evaluates through ``_imp_``, the array face, as soon as every argument is a number."""

    _imp_: Callable[..., Any]

    def _eval_evalf(self, prec: int) -> sympy.Expr | None:
        if not all(argument.is_number for argument in self.args):
            return None
        values = [float(argument) for argument in self.args]
        return sympy.Float(float(type(self)._imp_(*values)), precision=prec)


def _characteristic(n: Any, density: Any, lanes: Any, k: Any) -> Any:
    return (1 - density + density * _root(lanes, k)) ** n


def _root(lanes: Any, k: Any) -> Any:
    return sympy.exp(2 * sympy.pi * sympy.I * k / lanes)


class ExpectedCeiling(_NamedExpectation):
    """``E[ceil(B / lanes)]`` with ``B ~ Binomial(n, density)``; arguments ``(n, density, lanes)``."""

    nargs = (3,)
    _imp_ = staticmethod(lambda n, density, lanes: expectation.expected_ceiling(n, density, lanes))

    @classmethod
    def eval(cls, n: Any, density: Any, lanes: Any) -> Any:
        return _certain_ceiling(n, density, lanes, power=1)

    def fdiff(self, argindex: int = 1) -> Any:
        """By density: n * P(Binomial(n-1, density) is a multiple of lanes), where one more non-zero opens a vector."""
        if argindex != 2:
            raise ArgumentIndexError(self, argindex)
        n, density, lanes = self.args
        k = sympy.Dummy("k", integer=True)
        return n / lanes * sympy.Sum(_characteristic(n - 1, density, lanes, k), (k, 0, lanes - 1))

    def _eval_rewrite_as_Sum(self, n: Any, density: Any, lanes: Any, **_: Any) -> Any:
        k = sympy.Dummy("k", integer=True)
        remainder = sympy.Sum(_characteristic(n, density, lanes, k) / (_root(lanes, k) - 1), (k, 1, lanes - 1))
        return (n * density + (lanes - 1) / sympy.Integer(2) + remainder) / lanes

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        return _ceiling_latex(self.args, printer, power="", outer=exp)

    def _sympystr(self, printer: Any) -> str:
        return f"E[{_ceiling_text(self.args, printer)}]"


class ExpectedCeilingSquared(_NamedExpectation):
    """``E[ceil(B / lanes)^2]`` with ``B ~ Binomial(n, density)``; arguments ``(n, density, lanes)``."""

    nargs = (3,)
    _imp_ = staticmethod(lambda n, density, lanes: expectation.expected_ceiling_squared(n, density, lanes))

    @classmethod
    def eval(cls, n: Any, density: Any, lanes: Any) -> Any:
        return _certain_ceiling(n, density, lanes, power=2)

    def _eval_rewrite_as_Sum(self, n: Any, density: Any, lanes: Any, **_: Any) -> Any:
        k = sympy.Dummy("k", integer=True)
        root = _root(lanes, k)
        power = _characteristic(n, density, lanes, k)
        previous = _characteristic(n - 1, density, lanes, k)
        square = lanes / (root - 1) - 2 * root / (root - 1) ** 2
        cross = 2 * n * density * root * previous / (root - 1)
        certain = n * density * (1 - density) + (n * density) ** 2 + n * density * (lanes - 1)
        certain += (lanes - 1) * (2 * lanes - 1) / sympy.Integer(6)
        return (certain + sympy.Sum(cross + power * square, (k, 1, lanes - 1))) / lanes**2

    def fdiff(self, argindex: int = 1) -> Any:
        if argindex != 2:
            raise ArgumentIndexError(self, argindex)
        n, density, lanes = self.args
        p = sympy.Dummy("p", positive=True)
        return type(self)(n, p, lanes).rewrite(sympy.Sum).diff(p).subs(p, density)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        return _ceiling_latex(self.args, printer, power="^2", outer=exp)

    def _sympystr(self, printer: Any) -> str:
        return f"E[{_ceiling_text(self.args, printer)}**2]"


class ExpectedMaximumNormal(_NamedExpectation):
    """``E[max]`` over classes of normals; arguments ``(means..., deviations..., counts...)``."""

    @staticmethod
    def _imp_(*values: Any) -> Any:
        means, deviations, counts = _parts(values, 3)
        return expectation.expected_maximum_normal(means, deviations, counts)

    @classmethod
    def eval(cls, *values: Any) -> Any:
        means, deviations, counts = _parts(values, 3)
        if all(deviation.is_zero for deviation in deviations) and all(count.is_positive for count in counts):
            return sympy.Max(*means)
        return None

    def _eval_rewrite_as_Integral(self, *values: Any, **_: Any) -> Any:
        x = sympy.Dummy("x", real=True)
        below = sympy.Integer(1)
        for mean, deviation, count in zip(*_parts(values, 3), strict=True):
            below *= ((1 + sympy.erf((x - mean) / (deviation * sympy.sqrt(2)))) / 2) ** count
        return sympy.Integral(1 - below, (x, 0, sympy.oo)) - sympy.Integral(below, (x, -sympy.oo, 0))

    def fdiff(self, argindex: int = 1) -> Any:
        p = sympy.Dummy("p", real=True)
        replaced = [p if i == argindex - 1 else argument for i, argument in enumerate(self.args)]
        return self._eval_rewrite_as_Integral(*replaced).diff(p).subs(p, self.args[argindex - 1])

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        entries = []
        for mean, deviation, count in zip(*_parts(self.args, 3), strict=True):
            copies = "" if count == 1 else rf"{printer._print(count)}\times "
            entries.append(rf"{copies}\mathcal{{N}}\left({printer._print(mean)}, {printer._print(deviation**2)}\right)")
        return _with_exponent(rf"\mathbb{{E}}\max\left\{{{', '.join(entries)}\right\}}", exp)

    def _sympystr(self, printer: Any) -> str:
        entries = [
            f"{_copies_text(count, printer)}N({printer._print(mean)}, {printer._print(deviation**2)})"
            for mean, deviation, count in zip(*_parts(self.args, 3), strict=True)
        ]
        return f"E[max({', '.join(entries)})]"


class ExpectedMaximumOfCeilings(_NamedExpectation):
    """``E[max ceil(B/lanes)]`` over classes; arguments ``(sizes..., counts..., density, lanes)``."""

    @staticmethod
    def _imp_(*values: Any) -> Any:
        sizes, counts = _parts(values[:-2], 2)
        return expectation.expected_maximum_of_ceilings(sizes, counts, values[-2], values[-1])

    @classmethod
    def eval(cls, *values: Any) -> Any:
        sizes, counts = _parts(values[:-2], 2)
        density, lanes = values[-2:]
        if density == 1 and all(count.is_positive for count in counts):
            return sympy.Max(*(sympy.ceiling(size / lanes) for size in sizes))
        return None

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        sizes, counts = _parts(self.args[:-2], 2)
        density, lanes = (printer._print(argument) for argument in self.args[-2:])
        entries = []
        for size, count in zip(sizes, counts, strict=True):
            copies = "" if count == 1 else rf"{printer._print(count)}\times "
            vectors = rf"\frac{{B({printer._print(size)}, {density})}}{{{lanes}}}"
            entries.append(rf"{copies}\left\lceil {vectors} \right\rceil")
        return _with_exponent(rf"\mathbb{{E}}\max\left\{{{', '.join(entries)}\right\}}", exp)

    def _sympystr(self, printer: Any) -> str:
        sizes, counts = _parts(self.args[:-2], 2)
        entries = [
            f"{_copies_text(count, printer)}{_ceiling_text((size, *self.args[-2:]), printer)}"
            for size, count in zip(sizes, counts, strict=True)
        ]
        return f"E[max({', '.join(entries)})]"


class ExpectedMaximumOfSums(_NamedExpectation):
    """``E[max(D, sums over channels of W*ceil(B/lanes))]`` over classes.

    Arguments ``(sizes..., counts..., channels, mean of W, variance of W, density, lanes, D)``.
    """

    @staticmethod
    def _imp_(*values: Any) -> Any:
        sizes, counts = _parts(values[:-6], 2)
        channels, mean, variance, density, lanes, at_least = values[-6:]
        return sums.expected_maximum_of_sums(channels, mean, variance, sizes, counts, density, lanes, at_least)

    @classmethod
    def eval(cls, *values: Any) -> Any:
        sizes, counts = _parts(values[:-6], 2)
        channels, mean, variance, density, lanes, at_least = values[-6:]
        if density == 1 and variance == 0 and all(count.is_positive for count in counts):
            return sympy.Max(at_least, channels * mean * sympy.Max(*(sympy.ceiling(size / lanes) for size in sizes)))
        return None

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        sizes, counts = _parts(self.args[:-6], 2)
        channels, mean, variance, density, lanes, at_least = (printer._print(argument) for argument in self.args[-6:])
        entries = [] if self.args[-1] == 0 else [at_least]
        for size, count in zip(sizes, counts, strict=True):
            copies = "" if count == 1 else rf"{printer._print(count)}\times "
            vectors = rf"\left\lceil \frac{{B({printer._print(size)}, {density})}}{{{lanes}}} \right\rceil"
            entries.append(rf"{copies}\sum_{{c=1}}^{{{channels}}} X_c\left({mean}, {variance}\right) {vectors}")
        return _with_exponent(rf"\mathbb{{E}}\max\left\{{{', '.join(entries)}\right\}}", exp)

    def _sympystr(self, printer: Any) -> str:
        sizes, counts = _parts(self.args[:-6], 2)
        channels, mean, variance = (printer._print(argument) for argument in self.args[-6:-3])
        entries = [] if self.args[-1] == 0 else [printer._print(self.args[-1])]
        entries += [
            f"{_copies_text(count, printer)}sum({channels}; "
            f"X({mean}, {variance})*{_ceiling_text((size, *self.args[-3:-1]), printer)})"
            for size, count in zip(sizes, counts, strict=True)
        ]
        return f"E[max({', '.join(entries)})]"


def expected_maximum_normal(means: Sequence[Any], deviations: Sequence[Any], counts: Sequence[Any]) -> Any:
    """The named function over classes; the three sequences have one entry per class."""
    if not len(means) == len(deviations) == len(counts):
        raise ValueError("means, deviations and counts must have one entry per class")
    return ExpectedMaximumNormal(*means, *deviations, *counts)


def expected_maximum_of_ceilings(sizes: Sequence[Any], counts: Sequence[Any], density: Any, lanes: Any) -> Any:
    """The named function over classes; ``sizes`` and ``counts`` have one entry per class."""
    if len(sizes) != len(counts):
        raise ValueError("sizes and counts must have one entry per class")
    return ExpectedMaximumOfCeilings(*sizes, *counts, density, lanes)


def expected_maximum_of_sums(
    channels: Any,
    weight_mean: Any,
    weight_variance: Any,
    sizes: Sequence[Any],
    counts: Sequence[Any],
    density: Any,
    lanes: Any,
    at_least: Any,
    each_channel: bool = False,
) -> Any:
    """The named function over classes; ``sizes`` and ``counts`` have one entry per class.

    With a barrier after each channel there is one only without the constant.
    """
    if each_channel:
        if at_least != 0:
            raise TypeError("no formula for a barrier after each channel and a least number of steps")
        return channels * weight_mean * expected_maximum_of_ceilings(sizes, counts, density, lanes)
    if len(sizes) != len(counts):
        raise ValueError("sizes and counts must have one entry per class")
    return ExpectedMaximumOfSums(
        *sizes,
        *counts,
        channels,
        weight_mean,
        weight_variance,
        density,
        lanes,
        sympy.S.Zero if at_least == 0 else sympy.sympify(at_least, strict=True),
    )


def _parts(values: Sequence[Any], parts: int) -> tuple[Sequence[Any], ...]:
    length = len(values) // parts
    return tuple(values[i * length : (i + 1) * length] for i in range(parts))


def _certain_ceiling(n: Any, density: Any, lanes: Any, power: int) -> Any:
    """The value where nothing is random, else None (SymPy then leaves the function unevaluated)."""
    if n == 0 or density == 0:
        return sympy.Integer(0)
    if density == 1:
        return sympy.ceiling(n / lanes) ** power
    if lanes == 1:
        mean = n * density
        return mean if power == 1 else mean * (1 - density) + mean**2
    return None


def _ceiling_latex(arguments: Sequence[Any], printer: Any, power: str, outer: str | None) -> str:
    n, density, lanes = (printer._print(argument) for argument in arguments)
    text = rf"\mathbb{{E}}\left[\left\lceil \frac{{B({n}, {density})}}{{{lanes}}} \right\rceil{power}\right]"
    return _with_exponent(text, outer)


def _ceiling_text(arguments: Sequence[Any], printer: Any) -> str:
    n, density, lanes = (printer._print(argument) for argument in arguments)
    return f"ceil(B({n}, {density})/{lanes})"


def _copies_text(count: Any, printer: Any) -> str:
    """``n x`` in front of what there are n of."""
    return "" if count == 1 else f"{printer._print(count)} x "


def _with_exponent(text: str, exponent: str | None) -> str:
    return text if exponent is None else rf"\left({text}\right)^{{{exponent}}}"
