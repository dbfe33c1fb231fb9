"""Formulas of the model as text or LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from timeloop_py.cli.text_table import joined, number_text

if TYPE_CHECKING:
    from timeloop_py.model.formulas import Formula

FormulaFormat = Literal["text", "latex"]


def format_formula(formula: Formula, form: FormulaFormat) -> str:
    """``text``: the formula, what its letters mean, and its number where all of them have one. ``latex``: a line for
    the formula and one for each letter that abbreviates something."""
    return _latex(formula) if form == "latex" else _text(formula)


def _latex(formula: Formula) -> str:
    import sympy

    letters = {letter: sympy.Symbol(letter) for letter in formula.definitions}
    lines = [sympy.latex(formula.expression)]
    lines += [
        rf"{sympy.latex(letters[letter])} = {sympy.latex(meant)}" for letter, meant in formula.definitions.items()
    ]
    return joined(lines)


def _text(formula: Formula) -> str:
    lines = [formula.title, "", f"    {formula.expression}"]
    if formula.simple is not None:
        lines += ["", "where every loop runs at least twice", "", f"    {formula.simple}"]
    if formula.definitions:
        lines += ["", "with", ""]
        width = max(map(len, formula.definitions))
        lines += [f"    {letter.ljust(width)} = {meant}" for letter, meant in formula.definitions.items()]
    used = {symbol.name for part in _parts(formula) for symbol in part.free_symbols}
    letters = {letter: text for letter, text in formula.letters.items() if letter in used}
    if letters:
        width = max(map(len, letters))
        lines += [""]
        lines += [f"{letter.ljust(width)}  {text}{_value(formula, letter)}" for letter, text in letters.items()]
    if used and used <= set(formula.values):
        lines += ["", f"here: {number_text(formula.at(formula.values), 10)}"]
    if formula.remarks:
        lines += ["", *formula.remarks]
    return joined(lines)


def _parts(formula: Formula) -> list[Any]:
    """Every expression that is printed, in SymPy's types."""
    import sympy

    printed = [formula.expression, formula.simple, *formula.definitions.values()]
    return [sympy.S(0) + part for part in printed if part is not None]


def _value(formula: Formula, letter: str) -> str:
    return f" = {number_text(formula.values[letter])}" if letter in formula.values else ""
