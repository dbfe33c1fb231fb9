"""Frames as LaTeX tables in the manner of the booktabs package."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timeloop_py.report.columns import quantity, require

if TYPE_CHECKING:
    import pandas as pd

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "µ": r"\textmu{}",
    "²": r"\textsuperscript{2}",
    "×": r"\texttimes{}",
}


@dataclass(frozen=True)
class Column:
    """How one column of a table is printed.

    `header` and `unit` come from the column's name where they are None. Values are divided by `divisor` (give the unit
    that follows from it: ``Column("energy_pj", unit="mJ", divisor=1e9)``) and printed with `digits` significant digits.
    """

    name: str
    header: str | None = None
    unit: str | None = None
    divisor: float = 1.0
    digits: int = 4

    @property
    def head(self) -> str:
        """The text above the column, escaped."""
        known = quantity(self.name)
        header = known.name if self.header is None else self.header
        unit = known.unit if self.unit is None else self.unit
        return escape(f"{header} [{unit}]" if unit else header)


def escape(text: str) -> str:
    """Text in which nothing is a LaTeX command; line breaks become spaces."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))


def number(value: float, digits: int = 4) -> str:
    """A number as LaTeX.

    Whole numbers (``int``) are printed in full in groups of three; others with `digits` significant digits, as a power
    of ten below 0.001 and from a million on; what is not known is a dash.
    """
    if isinstance(value, int):
        return _grouped(str(value))
    if math.isnan(value):
        return "--"
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if value != 0 and not -3 <= power < 6:
        return rf"${mantissa}\times 10^{{{power}}}$"
    return _grouped(f"{value:.{max(0, digits - 1 - power)}f}")


def _grouped(text: str) -> str:
    """Thin spaces between groups of three digits before the point, and a true minus sign."""
    whole, point, fraction = text.lstrip("-").partition(".")
    groups = f"{int(whole):,}".replace(",", r"\,") if len(whole) > 4 else whole
    return ("$-$" if text.startswith("-") else "") + groups + point + fraction


def to_latex(
    frame: pd.DataFrame,
    columns: Sequence[str | Column] | None = None,
    *,
    caption: str | None = None,
    label: str | None = None,
    renames: Mapping[str, str] | None = None,
) -> str:
    """A frame as a ``tabular`` (to be used with ``\\usepackage{booktabs}``), in a ``table`` where it has a caption.

    Parameters
    ----------
    frame : DataFrame
        One table row per row.
    columns : sequence of str or Column, optional
        What to print, in this order; default: all columns. Heads and units come from the names (``energy_pj``).
    caption, label : str, optional
        Caption (escaped) and label of the table.
    renames : mapping, optional
        What texts in cells are called in print (``dcnn_opt``: ``DCNN-opt``).

    Returns
    -------
    str
        LaTeX source ending in a line break. Numbers are set flush right, text flush left.

    Raises
    ------
    ValueError
        Where the frame lacks a column or has no rows.
    """
    names = list(frame.columns) if columns is None else list(columns)
    chosen = [column if isinstance(column, Column) else Column(str(column)) for column in names]
    require(frame, [column.name for column in chosen])
    cells = [[_cell(value, column, renames or {}) for value in frame[column.name].tolist()] for column in chosen]
    flush = "".join("r" if _is_numeric(frame[column.name].tolist()) else "l" for column in chosen)
    lines = [
        rf"\begin{{tabular}}{{{flush}}}",
        r"\toprule",
        " & ".join(column.head for column in chosen) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in zip(*cells, strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if caption is not None or label is not None:
        lines = [
            r"\begin{table}",
            r"\centering",
            *([] if caption is None else [rf"\caption{{{escape(caption)}}}"]),
            *([] if label is None else [rf"\label{{{label}}}"]),
            *lines,
            r"\end{table}",
        ]
    return "\n".join(lines) + "\n"


def _is_numeric(values: Sequence[object]) -> bool:
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _cell(value: object, column: Column, renames: Mapping[str, str]) -> str:
    if value is None:
        return number(math.nan)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value if column.divisor == 1 else value / column.divisor, column.digits)
    return escape(renames.get(str(value), str(value)))
