"""``timeloop-py validate``: check spec files without running anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from timeloop_py.cli.options import OutputFormat, format_option
from timeloop_py.cli.text_table import csv_text
from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    from timeloop_py.specs.files import Value

BAD_INPUT = 2


@click.command("validate")
@click.argument("specs", nargs=-1, required=True, metavar="NAME|PATH...")
@click.option("--case", metavar="PATH", help="The case whose problem and architecture a mapping is checked against.")
@format_option
def command(specs: tuple[str, ...], case: str | None, form: OutputFormat) -> None:
    """Check spec files of any kind: architectures, networks, tables, dataflows, cases, mappings.

    The kind is told by the keys of the file. Prints a line per file, and the first error of every file that has one;
    then the exit code is 2.
    """
    reports = [_report(spec, case) for spec in specs]
    if form == "json":
        click.echo(json.dumps(reports[0] if len(reports) == 1 else reports, indent=2))
    elif form == "csv":
        flat = [report | {"error": report["error"] and report["error"]["text"]} for report in reports]
        click.echo(csv_text(flat), nl=False)
    for report in reports:
        if report["error"] is not None:
            click.echo(f"timeloop-py: error: {report['error']['text']}", err=True)
        elif form == "table":
            click.echo(f"ok  {report['kind']}  {report['spec']}")
    if any(report["error"] is not None for report in reports):
        sys.exit(BAD_INPUT)


def _report(spec: str, case: str | None) -> dict[str, Any]:
    """What is known of one spec: its kind, and its first error."""
    from timeloop_py.specs.files import load_value
    from timeloop_py.specs.kinds import find_spec, kind_of

    kind = None
    error = None
    try:
        path = find_spec(spec)
        value = load_value(path)
        kind = kind_of(value)
        _CHECKS[kind](path, value, case)
    except SpecError as found:
        error = {"path": found.path, "line": found.line, "field": found.field, "message": found.message}
        error["text"] = str(found)
    return {"spec": spec, "kind": kind, "ok": error is None, "error": error}


def _check_architecture(path: Path, value: Value, case: str | None) -> None:
    """With the tables that it names, every component of it having an area there; of a hierarchy, its constraints."""
    from timeloop_py.mapper.search import mapspace
    from timeloop_py.model.area import area_mm2
    from timeloop_py.specs.architecture import load_architecture
    from timeloop_py.specs.layer_file import parse_shape
    from timeloop_py.specs.layer_problem import layer_problem
    from timeloop_py.specs.tables import load_area_table, load_energy_table

    architecture = load_architecture(path)
    if architecture.hierarchy is not None:
        mapspace(architecture, layer_problem(parse_shape("K=1")))
    if architecture.energy_table is not None:
        load_energy_table(architecture.energy_table)
    if architecture.area_table is not None:
        area_mm2(architecture, load_area_table(architecture.area_table))


def _check_network(path: Path, value: Value, case: str | None) -> None:
    from timeloop_py.specs.network import load_network

    load_network(path)


def _check_energy_table(path: Path, value: Value, case: str | None) -> None:
    from timeloop_py.specs.tables import load_energy_table

    load_energy_table(path)


def _check_area_table(path: Path, value: Value, case: str | None) -> None:
    from timeloop_py.specs.tables import load_area_table

    load_area_table(path)


def _check_dataflow(path: Path, value: Value, case: str | None) -> None:
    from timeloop_py.specs.dataflow import parse_template

    parse_template(value.section(), path.stem)


def _check_case(path: Path, value: Value, case: str | None) -> None:
    """With its mapping, its capacities and the energy of everything that happens."""
    from timeloop_py.model.evaluate_case import evaluate_case
    from timeloop_py.specs.case import parse_case

    evaluate_case(parse_case(value.section()))


def _check_mapping(path: Path, value: Value, case: str | None) -> None:
    from timeloop_py.model.evaluate_case import evaluate_case
    from timeloop_py.specs.case import load_case
    from timeloop_py.specs.mapping_file import load_mapping

    if case is None:
        raise SpecError("a mapping is checked against a problem and an architecture: give a case", field="--case")
    loaded = load_case(case)
    evaluate_case(replace(loaded, mapping=load_mapping(path, loaded.problem, loaded.hierarchy)))


_CHECKS: Mapping[str, Callable[[Path, Value, str | None], None]] = {
    "architecture": _check_architecture,
    "network": _check_network,
    "energy table": _check_energy_table,
    "area table": _check_area_table,
    "dataflow": _check_dataflow,
    "case": _check_case,
    "mapping": _check_mapping,
}
