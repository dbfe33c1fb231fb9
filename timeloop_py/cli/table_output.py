"""Energy and area tables as text: every number with its unit, its range and where it is from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from timeloop_py.cli.text_table import csv_text, joined
from timeloop_py.specs.tables import AreaTerm

if TYPE_CHECKING:
    from timeloop_py.cli.options import OutputFormat
    from timeloop_py.specs.tables import AreaEntry, AreaTable, EnergyEntry, EnergyTable, PowerLaw


def format_energy_table(table: EnergyTable, form: OutputFormat) -> str:
    """``table``: an entry per paragraph; ``csv``: a row per event; ``json``: the table with its entries in a list."""
    rows = [_energy_row(event, entry) for event, entry in table.entries.items()]
    unit = "pJ" if table.energy_unit == "pJ" else "relative to one MAC"
    about = {"name": table.name, "node_nm": table.node_nm, "voltage_v": table.voltage_v, "energy_unit": unit}
    if form == "json":
        return _json(about | {"stated_zeros": dict(table.stated_zeros), "entries": rows})
    if form == "csv":
        return csv_text([{name: _cell(value) for name, value in row.items()} for row in rows])
    lines = [f"{table.name}: energies at {table.node_nm:g} nm and {table.voltage_v:g} V [{unit}]"]
    for event, entry in table.entries.items():
        lines += ["", *_energy_lines(event, entry, "pJ" if table.energy_unit == "pJ" else "MAC")]
    if table.stated_zeros:
        lines += ["", "stated zeros", *(f"    {name}: {reason}" for name, reason in table.stated_zeros.items())]
    return joined(lines)


def format_area_table(table: AreaTable, form: OutputFormat) -> str:
    """Likewise; a row per power law, areas being sums of them."""
    rows = [row for name, entry in table.entries.items() for row in _area_rows(name, entry)]
    if form == "json":
        entries = [
            {
                "component_class": name,
                "terms": [_area_law(term) for term in entry.terms],
                "source": entry.source,
                "note": entry.note,
            }
            for name, entry in table.entries.items()
        ]
        return _json({"name": table.name, "node_nm": table.node_nm, "entries": entries})
    if form == "csv":
        return csv_text([{name: _cell(value) for name, value in row.items()} for row in rows])
    lines = [f"{table.name}: areas at {table.node_nm:g} nm [mm2]"]
    for name, entry in table.entries.items():
        laws = [f"{term.value:.4g} mm2{_law_text(term)}" for term in entry.terms] or ["0 mm2, a stated zero"]
        lines += ["", f"{name}  {'  +  '.join(laws)}", *_origins(entry), *_sources(entry.source, entry.note)]
    return joined(lines)


def _energy_row(event: str, entry: EnergyEntry) -> dict[str, Any]:
    published = entry.published
    return {
        "event": event,
        **_law(entry.law, "pj"),
        "lowest_pj": entry.range_pj[0],
        "highest_pj": entry.range_pj[1],
        "kind": _kind(entry),
        "published_pj": published and published.value_pj,
        "published_node_nm": published and published.node_nm,
        "published_voltage_v": published and published.voltage_v,
        "scaling": published and published.scaling,
        "fitted_to": list(entry.fitted_to),
        "source": entry.source or entry.stated or "",
        "note": entry.note,
    }


def _area_rows(name: str, entry: AreaEntry) -> Iterator[dict[str, Any]]:
    for term in entry.terms:
        yield {"component_class": name, **_area_law(term), "source": entry.source, "note": entry.note}
    if not entry.terms:
        yield {
            "component_class": name,
            **_area_law(AreaTerm(0.0)),
            "source": entry.source,
            "note": entry.note,
        }


def _law(law: PowerLaw, unit: str) -> dict[str, Any]:
    return {f"value_{unit}": law.value, "reference": dict(law.reference), "exponents": dict(law.exponents)}


def _area_law(term: AreaTerm) -> dict[str, Any]:
    low, high = term.range_mm2 or (None, None)
    published, node_nm = term.published or (None, None)
    return {
        **_law(term, "mm2"),
        "lowest_mm2": low,
        "highest_mm2": high,
        "published_mm2": published,
        "published_node_nm": node_nm,
    }


def _origins(entry: AreaEntry) -> Iterator[str]:
    """Where the numbers of an area's terms are from, of those that say so."""
    for term in entry.terms:
        words = [f"{term.value:.4g} mm2"]
        if term.range_mm2 is not None:
            words.append(f"plausible {term.range_mm2[0]:.4g} to {term.range_mm2[1]:.4g} mm2")
        if term.published is not None:
            words.append(f"published as {term.published[0]:.4g} mm2 at {term.published[1]:g} nm")
        if len(words) > 1:
            yield f"    {', '.join(words)}"


def _kind(entry: EnergyEntry) -> str:
    return "published" if entry.published else "fitted" if entry.fitted_to else "stated"


def _energy_lines(event: str, entry: EnergyEntry, unit: str) -> Iterator[str]:
    low, high = entry.range_pj
    yield f"{event}  {entry.law.value:.4g} {unit}{_law_text(entry.law)}, plausible {low:g} to {high:g} {unit}"
    published = entry.published
    if published is not None:
        voltage = "" if published.voltage_v is None else f" and {published.voltage_v:g} V"
        scaling = "unscaled" if published.scaling == "none" else f"scaled as {published.scaling}"
        yield f"    published as {published.value_pj:g} {unit} at {published.node_nm:g} nm{voltage}, {scaling}"
    elif entry.fitted_to:
        yield f"    fitted to {', '.join(entry.fitted_to)}"
    else:
        yield f"    a stated zero: {entry.stated}"
    yield from _sources(entry.source, entry.note)


def _law_text(law: PowerLaw) -> str:
    """How a number goes with attributes, and where it is the number."""
    powers = " ".join(f"* ({name} / {law.reference[name]:g})^{power:g}" for name, power in law.exponents.items())
    return f" {powers}" if powers else ""


def _sources(source: str, note: str) -> list[str]:
    return [f"    {text}" for text in (f"source: {source}" if source else "", f"note: {note}" if note else "") if text]


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2) + "\n"


def _cell(value: Any) -> Any:
    """One value; several as ``name=value`` or values, with semicolons between them."""
    if isinstance(value, dict):
        return ";".join(f"{name}={number:g}" for name, number in value.items())
    return ";".join(value) if isinstance(value, list) else value
