"""A reproduction written whole: the ledger, and the tables and figures of a publication."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Finding, to_frame, to_objects
from timeloop_py.claims.systems import System
from timeloop_py.report.bundle import csv_bytes, provenance, write_bundle
from timeloop_py.report.latex import Column, to_latex

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Columns of the ledger in print.
_PRINTED = ["id", "where", "paper", "ours", "difference", "tolerance", "verdict", "kind"]


def write_reproduction(
    folder: Path,
    system: System,
    findings: Sequence[Finding],
    exhibits: Iterable[str],
    command: Sequence[str],
    plots: bool = True,
) -> tuple[Path, ...]:
    """Write the ledger (CSV, JSON, LaTeX), and every exhibit's tables (CSV, LaTeX) and figures (PDF, PNG).

    All of it or nothing; ``provenance.json`` with the hash of every file comes last. SpecError: the folder cannot be
    written to.
    """
    tables: dict[str, pd.DataFrame] = {}
    figures: dict[str, Figure] = {}
    texts: dict[str, str] = {}
    if findings:
        tables["ledger"] = to_frame(findings)
        texts["ledger.json"] = json_text(findings)
        caption = f"What the paper says and what the model says: {system.title}."
        texts["ledger.tex"] = to_latex(tables["ledger"], [Column(name) for name in _PRINTED], caption=caption)
    for name in exhibits:
        exhibit = system.exhibits[name]()
        tables |= exhibit.tables
        texts |= {f"{file}.tex": text for file, text in exhibit.latex.items()}
        figures |= exhibit.figures if plots else {}
    return write_bundle(
        folder, tables=tables, figures=figures, texts=texts, origin=provenance(command, dict(system.specs))
    )


def csv_text(findings: Sequence[Finding]) -> str:
    """The ledger as CSV."""
    return csv_bytes(to_frame(findings)).decode()


def json_text(findings: Sequence[Finding]) -> str:
    """The ledger as JSON, a list of objects."""
    return json.dumps(to_objects(findings), indent=2, ensure_ascii=False) + "\n"
