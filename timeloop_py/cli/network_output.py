"""Evaluated layers and networks as text: a table to read, CSV, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from timeloop_py.cli.text_table import aligned, joined, number_text
from timeloop_py.report.bundle import csv_bytes

if TYPE_CHECKING:
    import pandas as pd

    from timeloop_py.cli.options import OutputFormat
    from timeloop_py.model.evaluate import Evaluation

POINT = ["weight_density", "activation_density"]
#: columns of the table, with their heads
_HEADS = {
    "layer": "layer",
    "weight_density": "weight density",
    "activation_density": "activation density",
    "cycles": "cycles",
    "macs": "MACs",
    "utilization": "utilization",
    "binding": "bound by",
    "energy_pj": "energy [pJ]",
    "edp_pj_cycles": "EDP [pJ cycles]",
}
_ACCESS_HEADS = {
    "level": "level",
    "tensor": "tensor",
    "action": "action",
    "count": "events",
    "energy_pj": "energy [pJ]",
}
_ACCESS_KEYS = ["level", "tensor", "action"]


def format_evaluation(evaluation: Evaluation, form: OutputFormat, accesses: bool = False) -> str:
    """The text of an evaluation.

    ``table``: per architecture and network a line per layer and density point, the totals last; with ``accesses`` also
    the events by level, tensor and action, over all layers. ``csv``: a row per architecture, network, layer and point;
    with ``accesses`` a row per event of each. ``json``: an object for each, its events in a list ``accesses``; several
    as a list.
    """
    if form == "csv":
        return csv_bytes(evaluation.accesses_frame() if accesses else evaluation.to_frame()).decode()
    if form == "json":
        return _json(evaluation)
    return _tables(evaluation, accesses)


def _json(evaluation: Evaluation) -> str:
    rows, events = evaluation.to_frame(), evaluation.accesses_frame()
    keys = ["architecture", "network", "layer", *POINT]
    columns = ["level", "tensor", "action", "count", "energy_pj"]
    by_row = {key: _records(group[columns]) for key, group in events.groupby(keys, sort=False)}
    objects = []
    for key, record in zip(rows[keys].itertuples(index=False, name=None), _records(rows), strict=True):
        objects.append({**record, "accesses": by_row.get(key, [])})
    return json.dumps(objects[0] if len(objects) == 1 else objects, indent=2, allow_nan=False) + "\n"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in record.items()} for record in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """A value that JSON knows: what is not known is null, numbers have the digits of the CSV."""
    if not isinstance(value, float):
        return value.item() if hasattr(value, "item") else value
    return None if math.isnan(value) else float(f"{value:.15g}")


def _tables(evaluation: Evaluation, accesses: bool) -> str:
    frame, totals = evaluation.to_frame(), evaluation.totals()
    events = evaluation.accesses_frame() if accesses else None
    keys = ["architecture", "network"]
    blocks = []
    for key, rows in frame.groupby(keys, sort=False):
        own = totals[(totals[keys] == list(key)).all(axis=1)]
        lines = [f"{key[0]} ({rows['dataflow'].iloc[0]}, {rows['area_mm2'].iloc[0]:.4g} mm2) on {key[1]}", ""]
        lines += [*_layer_lines(rows, own), *_notes(rows)]
        if events is not None:
            lines += ["", *_event_lines(events[(events[keys] == list(key)).all(axis=1)], own)]
        blocks.append(joined(lines))
    return "\n".join(blocks)


def _layer_lines(rows: pd.DataFrame, totals: pd.DataFrame) -> list[str]:
    """A line per layer and point, then the totals of every point; the mean densities of a network weigh its layers."""
    cells = [[_cell(row[name]) for name in _HEADS] for _, row in rows.iterrows()]
    sums = totals.assign(layer="total", binding="")
    cells += [[_cell(row[name]) for name in _HEADS] for _, row in sums.iterrows()]
    lines = aligned([list(_HEADS.values()), *cells], left=_texts(rows, _HEADS))
    return [lines[0], *lines[1 : len(rows) + 1], "-" * max(map(len, lines)), *lines[len(rows) + 1 :]]


def _notes(rows: pd.DataFrame) -> list[str]:
    """Why layers have no result, each reason with its layers."""
    if "note" not in rows:
        return []
    noted = rows[rows["note"] != ""].groupby("note", sort=False)["layer"].unique()
    return [f"{', '.join(layers)}: {note}" for note, layers in noted.items()]


def _event_lines(events: pd.DataFrame, totals: pd.DataFrame) -> list[str]:
    """Events over all layers; the points of a sweep one below the other, each under its densities."""
    if events.empty:
        return ["nothing happens: no layer applies"]
    # Every layer has the same points in the same order, whatever densities of its own it has there.
    number = events.groupby(["layer", *POINT], sort=False).ngroup() % len(totals)
    lines: list[str] = []
    for (_, group), (_, point) in zip(events.groupby(number), totals.iterrows(), strict=True):
        summed = group.groupby(_ACCESS_KEYS, sort=False)[["count", "energy_pj"]].sum().reset_index()
        cells = [[_cell(row[name]) for name in _ACCESS_HEADS] for _, row in summed.iterrows()]
        lines += [""] if lines else []
        if len(totals) > 1:
            lines.append(f"at densities {_cell(point['weight_density'])} / {_cell(point['activation_density'])}")
        lines += aligned([list(_ACCESS_HEADS.values()), *cells], left=_texts(summed, _ACCESS_HEADS))
    return lines


def _texts(frame: pd.DataFrame, columns: Iterable[str]) -> set[int]:
    """Positions of the columns that hold text."""
    return {index for index, name in enumerate(columns) if isinstance(frame[name].iloc[0], str)}


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else number_text(float(value))
