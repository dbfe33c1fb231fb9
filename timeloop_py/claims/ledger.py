"""A ledger: what a publication says, what the model says, and whether they agree."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

#: One number, a statement, or several numbers in the order that the quantity names them.
Value = float | bool | tuple[float, ...]
Verdict = Literal["pass", "miss", "report"]

DATA = Path(__file__).parent / "data"
_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"


@dataclass(frozen=True)
class Claim:
    """One row of a ledger.

    ``tolerance``: the largest relative difference, 0 for an exact claim, None where it is reported and not judged.
    ``upper_bound``: the paper says "at most". ``separator`` stands between several numbers: ``/``, or ``-`` of a range.
    """

    id: str
    where: str
    quantity: str
    paper: Value
    unit: str
    tolerance: float | None
    upper_bound: bool
    topic: str
    settings: str
    note: str
    separator: str = "/"

    @property
    def tolerance_text(self) -> str:
        """``5%``, ``exact`` or ``none``, as the ledger has it."""
        if self.tolerance is None:
            return "none"
        return "exact" if self.tolerance == 0 else f"{self.tolerance:.0%}"

    def text(self, value: Value, digits: int = 4) -> str:
        """A value of this claim's kind, several numbers with its separator."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, tuple):
            return self.separator.join(self.text(one, digits) for one in value)
        return f"{value:.{digits}g}"


@dataclass(frozen=True)
class Measured:
    """What the model says about a claim: the value, how it came about, and what it is before any calibration."""

    value: Value
    note: str = ""
    uncalibrated: Value | None = None


@dataclass(frozen=True)
class Finding:
    """A claim with its measurement. ``fitted``: the claim is one that a table in use was fitted to."""

    claim: Claim
    measured: Measured
    fitted: bool = False

    @property
    def difference(self) -> tuple[float, ...]:
        """Ours over the paper's less one, per number; of a statement 0 where it holds and 1 where not."""
        ours, paper = self.measured.value, self.claim.paper
        if isinstance(paper, bool):
            return (0.0 if ours is paper else 1.0,)
        return tuple(a / b - 1 for a, b in zip(_numbers(ours), _numbers(paper), strict=True))

    @property
    def verdict(self) -> Verdict:
        """``report`` where the ledger sets no tolerance."""
        tolerance = self.claim.tolerance
        if tolerance is None:
            return "report"
        if self.claim.upper_bound:
            return "pass" if max(self.difference) <= 0 else "miss"
        return "pass" if max(map(abs, self.difference)) <= tolerance else "miss"

    @property
    def note(self) -> str:
        """How the number came about; of a miss, what the ledger says of its cause as well."""
        notes = (self.measured.note, self.claim.note if self.verdict == "miss" else "")
        return "; ".join(note for note in notes if note)

    @property
    def kind(self) -> Literal["predicted", "fitted"]:
        return "fitted" if self.fitted else "predicted"


def scalar(value: Value) -> float:
    """The number of a claim that has one. TypeError where it is several, or a statement."""
    if isinstance(value, bool | tuple):
        raise TypeError(f"expected one number, found {value}")
    return value


def _numbers(value: Value) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (float(value),)


def load_ledger(system: str) -> tuple[Claim, ...]:
    """The claims of a shipped ledger, in its order. SpecError: file, line and field of what cannot be read."""
    path = DATA / f"{system}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return tuple(_claim(row, path, reader.line_num) for row in reader)


def _claim(row: dict[str, str], path: Path, line: int) -> Claim:
    paper, separator = _paper_value(row["paper_value"], path, line)
    return Claim(
        id=row["id"],
        where=row["where"],
        quantity=row["quantity"],
        paper=paper,
        unit=row["unit"].removesuffix("(at most)").strip(),
        tolerance=_tolerance(row["tolerance"], path, line),
        upper_bound=row["unit"].endswith("(at most)"),
        topic=row["kind"],
        settings=row["settings"],
        note=row["note"],
        separator=separator,
    )


def _paper_value(text: str, path: Path, line: int) -> tuple[Value, str]:
    if text in ("true", "false"):
        return text == "true", "/"
    for separator in ("/", "-"):
        if re.fullmatch(rf"{_NUMBER}(?:{separator}{_NUMBER})+", text):
            return tuple(float(part) for part in text.split(separator)), separator
    if re.fullmatch(_NUMBER, text):
        return float(text), "/"
    raise SpecError(f"expected a number, true, a/b/c or a-b, found {text!r}", path=path, line=line, field="paper_value")


def _tolerance(text: str, path: Path, line: int) -> float | None:
    if text == "none":
        return None
    if text == "exact":
        return 0.0
    if re.fullmatch(r"\d+(?:\.\d+)?%", text):
        return float(text.removesuffix("%")) / 100
    raise SpecError(f"expected a percentage, exact or none, found {text!r}", path=path, line=line, field="tolerance")


def to_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """The ledger as a table of texts, one row per claim.

    Columns ``id, paper, ours, difference, tolerance, verdict, kind`` as the command line prints them; then
    ``uncalibrated`` (ours with every energy from the literature, where any is fitted), ``quantity, unit, where, note``.
    Differences are relative (0.05 is 5% above the paper).
    """
    import pandas as pd

    def texts(finding: Finding) -> dict[str, str]:
        claim, before = finding.claim, finding.measured.uncalibrated
        return {
            "paper": claim.text(claim.paper),
            "ours": claim.text(finding.measured.value),
            "difference": "/".join(f"{one:.4f}" for one in finding.difference),
            "uncalibrated": "" if before is None else claim.text(before),
        }

    rows = [{**values, **texts(finding)} for values, finding in zip(to_objects(findings), findings, strict=True)]
    return pd.DataFrame(rows)


def to_objects(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """The ledger as JSON values under the same names; several numbers as lists, in full precision."""
    return [
        {
            "id": finding.claim.id,
            "paper": _plain(finding.claim.paper),
            "ours": _plain(finding.measured.value),
            "difference": _plain(finding.difference if len(finding.difference) > 1 else finding.difference[0]),
            "tolerance": finding.claim.tolerance_text,
            "verdict": finding.verdict,
            "kind": finding.kind,
            "uncalibrated": None if finding.measured.uncalibrated is None else _plain(finding.measured.uncalibrated),
            "quantity": finding.claim.quantity,
            "unit": finding.claim.unit + (" (at most)" if finding.claim.upper_bound else ""),
            "where": finding.claim.where,
            "note": finding.note,
        }
        for finding in findings
    ]


def _plain(value: Value) -> object:
    """The value in JSON: a list for several numbers, null for what is not a number."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return None if math.isnan(value) else value


def count_verdicts(findings: Sequence[Finding]) -> str:
    """One line: how many claims hold, predicted and fitted ones apart, and how many are only reported."""
    judged = [finding for finding in findings if finding.verdict != "report"]
    parts = []
    for kind in ("predicted", "fitted"):
        mine = [finding for finding in judged if finding.kind == kind]
        if mine:
            parts.append(f"{sum(finding.verdict == 'pass' for finding in mine)} of {len(mine)} {kind}")
    reported = len(findings) - len(judged)
    return f"{' and '.join(parts) or 'no'} claims within tolerance, {reported} reported without one"
