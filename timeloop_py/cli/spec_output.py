"""Architectures and networks as text."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from timeloop_py.cli.text_table import aligned, csv_text, joined, number_text

if TYPE_CHECKING:
    from timeloop_py.cli.options import OutputFormat
    from timeloop_py.specs.architecture import Architecture, Component
    from timeloop_py.specs.layer import DensityNote, Layer
    from timeloop_py.specs.network import Network


def format_architecture(architecture: Architecture, form: OutputFormat) -> str:
    """What an architecture consists of; ``csv`` has a row per component or storage level."""
    rows = _component_rows(architecture) if architecture.is_accelerator else _level_rows(architecture)
    if form == "csv":
        return csv_text([{name: _cell(value) for name, value in row.items()} for row in rows])
    about: dict[str, Any] = {
        "name": architecture.name,
        "description": architecture.description,
        "source": architecture.source,
        "clock_ghz": architecture.clock_ghz,
        "energy_table": architecture.energy_table,
        "area_table": architecture.area_table,
    }
    if architecture.is_accelerator:
        about["area_mm2"] = sum(row["area_mm2"] for row in rows)
        about["parameters"] = dict(architecture.sizes)
        if architecture.parameters is not None:
            about["parameters"] = dataclasses.asdict(architecture.parameters)
        about["dataflow"] = {"name": architecture.dataflow_name} | _choices(architecture)
    else:
        about["options"] = dataclasses.asdict(architecture.options)
        about["constraints"] = {} if architecture.constraints is None else architecture.constraints.plain()
    part = "components" if architecture.is_accelerator else "levels"
    if form == "json":
        return json.dumps(about | {part: rows}, indent=2) + "\n"
    title = f"{about['name']}: {about['description']}" if about["description"] else about["name"]
    lines = [title]
    for name, value in list(about.items())[2:]:
        if isinstance(value, dict):
            lines += ["", name, *(f"    {key} {_shown(item)}" for key, item in value.items())]
        elif value not in (None, ""):
            lines.append(f"{name} {_shown(value)}")
    heads = list(rows[0])
    cells = [[_shown(_cell(row[name])) for name in heads] for row in rows]
    text = {index for index, name in enumerate(heads) if any(isinstance(_cell(row[name]), str) for row in rows)}
    return joined([*lines, "", part, *aligned([heads, *cells], left=text)])


def _choices(architecture: Architecture) -> dict[str, Any]:
    """What the dataflow section of an architecture says beside the name."""
    flow = architecture.array or architecture.dataflow
    assert flow is not None
    named = [field.name for field in dataclasses.fields(flow) if field.name != "template"]
    return {name: _plain(getattr(flow, name)) for name in named}


def _plain(value: Any) -> Any:
    """Mappings and tuples as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _component_rows(architecture: Architecture) -> list[dict[str, Any]]:
    from timeloop_py.model.area import component_areas_mm2
    from timeloop_py.specs.tables import load_area_table, load_energy_table

    areas = component_areas_mm2(architecture, load_area_table(architecture.area_table or ""))
    table = load_energy_table(architecture.energy_table or "")
    return [
        {
            "name": component.name,
            "class": component.component_class,
            "count": component.count,
            "area_mm2": areas.get(component.name, 0.0),
            "energy_pj": _energies(component, table),
            "attributes": dict(component.attributes),
        }
        for component in architecture.components.values()
    ]


def _energies(component: Component, table: Any) -> dict[str, float]:
    """Energy of one event by action; actions without a number in the table are left out."""
    from timeloop_py.specs.tables import COMPONENT_CLASSES

    return {
        action: table.energy_pj(component.component_class, action, component.attributes)
        for action in COMPONENT_CLASSES[component.component_class].actions
        if f"{component.component_class}.{action}" in table.entries
    }


def _level_rows(architecture: Architecture) -> list[dict[str, Any]]:
    assert architecture.hierarchy is not None
    rows = []
    for stage in architecture.hierarchy.stages:
        known = {field.name: getattr(stage, field.name) for field in dataclasses.fields(stage)}
        rows.append(
            {
                "name": stage.name,
                "instances": stage.instances,
                "mesh": f"{stage.columns}x{stage.rows}",
                "capacity_words": known.get("tensor_capacity_words") or known.get("capacity_words"),
                "word_bits": stage.word_bits,
                "words_per_cycle": {
                    access: known[f"{access}_bandwidth"]
                    for access in ("read", "write", "shared")
                    if known.get(f"{access}_bandwidth") is not None
                },
                "energy_pj": dict(stage.energy_pj),
            }
        )
    return rows


_LAYER_COLUMNS = ("N", "K", "C", "W", "H", "R", "S", "P", "Q", "groups")


def format_network(network: Network, form: OutputFormat) -> str:
    """The layers of a network, and in all: MACs, weights."""
    rows = [_layer_row(layer) for layer in network.layers]
    if form == "csv":
        return csv_text(rows)
    totals = {name: sum(row[name] for row in rows) for name in ("macs", "weights")}
    if form == "json":
        about = {"name": network.name, "source": network.source, **totals}
        return json.dumps(about | {"layers": rows}, indent=2) + "\n"
    heads = ["layer", "kind", *_LAYER_COLUMNS, "stride", "MACs", "weights", "weight density", "activation density"]
    cells = [
        [
            row["layer"],
            row["kind"],
            *(str(row[name]) for name in _LAYER_COLUMNS),
            row["stride"],
            str(row["macs"]),
            str(row["weights"]),
            *(f"{row[name]:g}{'*' if row[f'{name}_estimate'] else ''}" for name in _DENSITIES),
        ]
        for row in rows
    ]
    lines = [f"{network.name}: {len(rows)} layers, {totals['macs']} MACs, {totals['weights']} weights"]
    lines += [network.source] if network.source else []
    lines += ["", *aligned([heads, *cells], left=(0, 1))]
    sources = {
        f"{'* ' if estimate else ''}{text}": None
        for row in rows
        for text, estimate in ((row[f"{name}_source"], row[f"{name}_estimate"]) for name in _DENSITIES)
        if text
    }
    if sources:
        lines += ["", "densities (* marks estimates)", *(f"    {text}" for text in sources)]
    return joined(lines)


_DENSITIES = ("weight_density", "activation_density")


def _layer_row(layer: Layer) -> dict[str, Any]:
    row: dict[str, Any] = {"layer": layer.name, "kind": layer.kind}
    row |= {name: getattr(layer, name) for name in _LAYER_COLUMNS}
    row |= {name: "x".join(map(str, getattr(layer, name))) for name in ("stride", "dilation", "padding")}
    row |= {"macs": layer.macs, "weights": layer.weights, "stored_outputs": layer.stored_outputs}
    for name in (*_DENSITIES, "output_density"):
        note: DensityNote | None = getattr(layer, f"{name}_note")
        row[name] = getattr(layer, name)
        row[f"{name}_source"] = note.text if note else ""
        row[f"{name}_estimate"] = note.estimate if note else False
    return row


def _cell(value: Any) -> Any:
    """One value; several as ``name=value`` or values, with semicolons between them."""
    if isinstance(value, Mapping):
        return ";".join(f"{name}={_shown(item)}" for name, item in value.items() if item is not None)
    return value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == {}:
        return "-"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_shown(item)}" for name, item in value.items())
    if isinstance(value, list):
        return " ".join(_shown(item) for item in value)
    return value if isinstance(value, str) else number_text(value, 4)
