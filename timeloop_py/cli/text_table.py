"""Tables of text: columns side by side, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence

#: From here on numbers are written with an exponent.
_LARGE = 1e12


def aligned(lines: Sequence[Sequence[str]], left: Collection[int] = ()) -> list[str]:
    """Lines of cells as lines of text: columns aligned to the right, those of ``left`` (of names) to the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def number_text(value: float, digits: int = 6) -> str:
    """A number for a reader: whole ones in full, others with some digits; ``-`` where it is not known."""
    if value != value:
        return "-"
    if abs(value) < _LARGE and (float(value).is_integer() or abs(value) >= 10 ** (digits - 1)):
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as CSV with one header line; a cell is empty where a row has no such column."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def joined(lines: Sequence[str]) -> str:
    """Lines as one text that ends with a line break."""
    return "".join(f"{line}\n" for line in lines)
