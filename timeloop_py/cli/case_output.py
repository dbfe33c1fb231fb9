"""Evaluated cases as text: a table to read, CSV, or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from timeloop_py.cli.text_table import aligned, csv_text
from timeloop_py.model.evaluate_case import CaseEvaluation

OutputFormat = Literal["table", "csv", "json"]
Cell = str | int | float

#: columns that always stand in the table, with their units
_COUNTS = ("reads", "fills", "updates")
_ALWAYS = ("level", "tensor", *_COUNTS, "temporal_reductions", "capacity_words", "energy_pj")
_UNITS = {"energy_pj": "pJ", "level": "", "tensor": ""}


def format_cases(evaluations: Sequence[CaseEvaluation], form: OutputFormat = "table") -> str:
    """The text of one or several evaluated cases.

    ``table``: per case its totals and a line per level and tensor, with units; columns that zeros add are left out
    where they are 0 throughout. ``csv``: a row per case, level and tensor, in which the totals of the case are
    repeated (its energy as ``case_energy_pj``). ``json``: one object per case, several cases as a list.
    """
    if form == "json":
        objects = [evaluation.to_dict() for evaluation in evaluations]
        return json.dumps(objects[0] if len(objects) == 1 else objects, indent=2) + "\n"
    if form == "csv":
        return _csv(evaluations)
    return "\n".join(_table(evaluation) for evaluation in evaluations)


def _csv(evaluations: Sequence[CaseEvaluation]) -> str:
    rows: list[dict[str, Cell]] = []
    for evaluation in evaluations:
        totals = evaluation.scalars()
        totals["case_energy_pj"] = totals.pop("energy_pj")
        rows.extend({"case": evaluation.name, **row, **totals} for row in evaluation.to_rows())
    # Dense and sparse cases may stand side by side: what a case has no value for stays empty.
    return csv_text(rows)


def _table(evaluation: CaseEvaluation) -> str:
    rows = evaluation.to_rows()
    columns = [name for name in _columns(rows) if name in _ALWAYS or any(row[name] for row in rows)]
    heads = [_head(name) for name in columns]
    lines = [_title(evaluation), *_totals(evaluation), ""]
    lines += aligned([heads, *([_text(row[name]) for name in columns] for row in rows)], left=(0, 1))
    return "\n".join(lines) + "\n"


def _columns(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Columns in reading order: what zeros leave of a count stands right behind it."""
    names = list(rows[0]) if rows else list(_ALWAYS)
    ordered: list[str] = []
    for name in _ALWAYS:
        ordered.append(name)
        if name in _COUNTS:
            ordered += [f"{mode}_{name}" for mode in ("actual", "gated", "skipped", "metadata")]
    return [name for name in ordered if name in names]


def _title(evaluation: CaseEvaluation) -> str:
    return f"{evaluation.name}: {evaluation.description}" if evaluation.description else evaluation.name


def _totals(evaluation: CaseEvaluation) -> list[str]:
    computes = [f"computes {_text(evaluation.computes)}"]
    computes += [f"{name.removesuffix('_computes')} {_text(count)}" for name, count in evaluation.sparse.items()]
    cycles = f"cycles {_text(evaluation.cycles)} (compute alone {_text(evaluation.compute_cycles)})"
    energies = [f"energy {_text(evaluation.energy_pj)} pJ"]
    energies.append(f"of it compute {_text(evaluation.energy_compute_pj)} pJ")
    energies.append(f"network {_text(evaluation.energy_network_pj)} pJ")
    return [f"{cycles}, bound by {evaluation.binding}; {', '.join(computes)}", ", ".join(energies)]


def _head(name: str) -> str:
    unit = _UNITS.get(name, "words")
    words = name.removesuffix("_pj").removesuffix("_words").replace("_", " ")
    return f"{words} [{unit}]" if unit else words


def _text(value: Cell) -> str:
    """Whole numbers in full, others with ten digits at most."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else f"{value:.10g}"
