"""What a column's name says: the quantity and the unit, for axes and table heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Unit suffixes of column names, longest first, as they are written for a reader.
_UNITS = (
    ("_pj_cycles2", "pJ cycles²"),
    ("_pj_cycles", "pJ cycles"),
    ("_words", "words"),
    ("_bytes", "B"),
    ("_bits", "bit"),
    ("_mm2", "mm²"),
    ("_um2", "µm²"),
    ("_ghz", "GHz"),
    ("_pj", "pJ"),
    ("_ns", "ns"),
)
_ABBREVIATIONS = {"edp": "EDP", "ed2p": "ED²P", "macs": "MACs", "dram": "DRAM", "ram": "RAM", "pe": "PE", "pes": "PEs"}
_ENERGY_PREFIXES = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))


@dataclass(frozen=True)
class Quantity:
    """A column as a reader sees it. ``unit`` is empty for counts and ratios."""

    name: str
    unit: str = ""

    @property
    def label(self) -> str:
        """``Energy [pJ]``, or the name alone where there is no unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


def quantity(column: str) -> Quantity:
    """The quantity a column holds, read off its name: ``energy_pj`` is ``Energy`` in ``pJ``."""
    stem, unit = column, ""
    for suffix, text in _UNITS:
        if column.endswith(suffix):
            stem, unit = column.removesuffix(suffix), text
            break
    words = [_ABBREVIATIONS.get(word, word) for word in stem.split("_")]
    if words[0] == stem.split("_")[0]:
        words[0] = words[0].capitalize()
    return Quantity(" ".join(words), unit)


def energy_scale(largest_pj: float) -> tuple[float, str]:
    """The divisor and the unit that print energies up to ``largest_pj`` picojoules as small numbers."""
    for divisor, unit in _ENERGY_PREFIXES:
        if abs(largest_pj) >= divisor:
            return divisor, unit
    return _ENERGY_PREFIXES[-1]


def require(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise :class:`ValueError` naming the columns a frame lacks, or where it has no rows."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        known = ", ".join(map(str, frame.columns))
        raise ValueError(f"the frame lacks the column(s) {', '.join(missing)}; it has {known}")
    if frame.empty:
        raise ValueError("the frame has no rows")
