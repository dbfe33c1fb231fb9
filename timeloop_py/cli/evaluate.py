"""``timeloop-py evaluate``: cycles, energy and accesses of layers, networks and case files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from timeloop_py.cli.options import (
    OutputFormat,
    chosen_networks,
    chosen_points,
    dataflow_option,
    density_options,
    format_option,
    network_options,
    note,
    refuse_options,
    require_kind,
    set_option,
)
from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    from timeloop_py.specs.architecture import Architecture
    from timeloop_py.specs.case import Case
    from timeloop_py.specs.network import Network

DEFAULT_ARCHITECTURE = "scnn"


@click.command("evaluate")
@click.argument("cases", nargs=-1, metavar="[CASE]...")
@click.option("--arch", "architectures", multiple=True, metavar="NAME|PATH", help="Architecture. Repeatable. [scnn]")
@network_options
@density_options
@dataflow_option
@set_option
@click.option(
    "--mapping",
    metavar="PATH",
    help="The mapping of a case or of a layer on a hierarchy: a file, or the folder of a search (LAYER.mapping.yaml).",
)
@format_option
@click.option("--accesses", is_flag=True, help="Show every level, tensor and action (JSON always does).")
def command(
    cases: tuple[str, ...],
    architectures: tuple[str, ...],
    networks: tuple[str, ...],
    layer: str | None,
    shape: str | None,
    density: str | None,
    weight_density: str | None,
    activation_density: str | None,
    dataflow: str | None,
    settings: tuple[str, ...],
    mapping: str | None,
    form: OutputFormat,
    accesses: bool,
) -> None:
    """Cycles, energy and accesses of layers and networks on accelerators, or of case files.

    Layers: --arch with --network or --shape, at the layers' own densities or at given ones. On a storage hierarchy
    (simple3, ...) a layer needs a --mapping: timeloop-py search finds the best.

    CASE files (JSON or YAML) hold a problem, an architecture, a mapping and perhaps zeros. --set reaches all their
    fields, and their options by name alone: --set convention=physical.
    """
    if cases:
        refuse_options(
            "belongs to a network: a case file says everything itself",
            {
                "--arch": architectures,
                "--network": networks,
                "--layer": layer,
                "--shape": shape,
                "--density": density,
                "--weight-density": weight_density,
                "--activation-density": activation_density,
                "--dataflow": dataflow,
            },
        )
        _evaluate_cases(cases, settings, mapping, form)
        return
    from timeloop_py.cli.network_output import format_evaluation
    from timeloop_py.explore.sweep import load_designs
    from timeloop_py.model.evaluate import evaluate

    designs = load_designs(architectures or (DEFAULT_ARCHITECTURE,), settings, dataflow, left_out=note)
    chosen = chosen_networks(networks, shape, layer)
    if any(design.hierarchy is not None for design in designs):
        densities = {
            "--density": density,
            "--weight-density": weight_density,
            "--activation-density": activation_density,
        }
        refuse_options("belongs to an accelerator: a layer on a hierarchy counts dense operands", densities)
        _evaluate_layers(designs, chosen, mapping, form)
        return
    refuse_options("belongs to a case file or a storage hierarchy: give one", {"--mapping": mapping})
    evaluation = evaluate(designs, chosen, chosen_points(density, weight_density, activation_density))
    click.echo(format_evaluation(evaluation, form, accesses), nl=False)


def _evaluate_cases(paths: Sequence[str], settings: Sequence[str], mapping: str | None, form: OutputFormat) -> None:
    from timeloop_py.cli.case_output import format_cases
    from timeloop_py.model.evaluate_case import evaluate_case
    from timeloop_py.specs.case import load_cases

    for path in paths:
        require_kind(Path(path), "case")
    cases = [_with_mapping(case, mapping) for path in paths for case in load_cases(path, settings)]
    click.echo(format_cases([evaluate_case(case) for case in cases], form), nl=False)


def _evaluate_layers(
    designs: Sequence[Architecture], networks: Sequence[Network], mapping: str | None, form: OutputFormat
) -> None:
    """Layers on storage hierarchies, each with its mapping."""
    from timeloop_py.cli.case_output import format_cases
    from timeloop_py.model.evaluate_case import evaluate_case
    from timeloop_py.specs.layer_case import layer_case

    cases = []
    for design in designs:
        if design.hierarchy is None:
            raise SpecError(f"{design.name} is no storage hierarchy: evaluate it apart from those", field="--arch")
        if mapping is None:
            raise SpecError(
                f"missing: {design.name} is a storage hierarchy, on which a layer needs a mapping; give one, or let "
                "timeloop-py search find the best",
                field="--mapping",
            )
        layers = [layer for network in networks for layer in network.layers]
        for layer in layers:
            cases.append(layer_case(design, layer, _mapping_file(Path(mapping), layer.name, len(layers))))
    click.echo(format_cases([evaluate_case(case) for case in cases], form), nl=False)


def _mapping_file(path: Path, layer: str, layers: int) -> Path:
    """The file of a layer's mapping, in a folder that a search wrote or given by itself."""
    from timeloop_py.specs.layer_case import mapping_file_name

    if path.is_dir():
        return path / mapping_file_name(layer)
    if layers > 1:
        raise SpecError(
            f"is the mapping of one layer, of {layers}: pick it with --layer, or give the folder of a search",
            field="--mapping",
        )
    return path


def _with_mapping(case: Case, path: str | None) -> Case:
    from timeloop_py.specs.mapping_file import load_mapping

    return case if path is None else replace(case, mapping=load_mapping(path, case.problem, case.hierarchy))
