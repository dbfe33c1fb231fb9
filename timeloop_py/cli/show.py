"""``timeloop-py show``: specs, loop nests, formulas, and the energy behind a number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from timeloop_py.cli.formula_output import FormulaFormat
from timeloop_py.cli.options import (
    NearestGroup,
    OutputFormat,
    chosen_networks,
    density_options,
    format_option,
    one_point,
    refuse_options,
    require_kind,
    set_option,
)
from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    from timeloop_py.model.formulas import Action, Formula
    from timeloop_py.specs.architecture import Architecture
    from timeloop_py.specs.case import Case
    from timeloop_py.specs.layer import Layer

Variant = TypeVar("Variant")


@click.group("show", cls=NearestGroup)
def command() -> None:
    """Print a spec, a loop nest, a formula, or the energy behind a number."""


@command.command("arch")
@click.argument("name", metavar="NAME|PATH")
@set_option
@format_option
def show_architecture(name: str, settings: tuple[str, ...], form: OutputFormat) -> None:
    """Sizes, dataflow and components of an architecture, with area and energy per event; or its storage levels."""
    from timeloop_py.cli.spec_output import format_architecture

    click.echo(format_architecture(_architecture(name, settings), form), nl=False)


@command.command("network")
@click.argument("name", metavar="NAME|PATH")
@format_option
def show_network(name: str, form: OutputFormat) -> None:
    """The layers of a network: sizes, MACs, densities and where they are from."""
    from timeloop_py.cli.spec_output import format_network
    from timeloop_py.specs.network import load_network

    click.echo(format_network(load_network(name), form), nl=False)


@command.command("energy")
@click.argument("name", metavar="NAME|PATH")
@format_option
def show_energy(name: str, form: OutputFormat) -> None:
    """Every number of an energy table with its unit, plausible range and source."""
    from timeloop_py.cli.table_output import format_energy_table
    from timeloop_py.specs.tables import load_energy_table

    click.echo(format_energy_table(load_energy_table(name), form), nl=False)


@command.command("area")
@click.argument("name", metavar="NAME|PATH")
@format_option
def show_area(name: str, form: OutputFormat) -> None:
    """Every number of an area table with its unit and source."""
    from timeloop_py.cli.table_output import format_area_table
    from timeloop_py.specs.tables import load_area_table

    click.echo(format_area_table(load_area_table(name), form), nl=False)


@command.command("nest")
@click.argument("design", metavar="ARCH|CASE")
@click.argument("network", required=False, metavar="[NETWORK]")
@click.option("--layer", help="The layer of the network.")
@click.option("--shape", metavar="K=..,C=..,P=..", help="One layer without a file, in place of NETWORK.")
@density_options
@set_option
def show_nest(
    design: str,
    network: str | None,
    layer: str | None,
    shape: str | None,
    density: str | None,
    weight_density: str | None,
    activation_density: str | None,
    settings: tuple[str, ...],
) -> None:
    """The loop nest of a layer on an accelerator, or of a case, as pseudo-code.

    Tile sizes and output-channel groups are filled in; counts of compressed vectors are expectations. The nest of a
    case has the tile and the accesses of every level and tensor in its margin.
    """
    from timeloop_py.model.nest_text import array_nest_text, case_nest_text, planar_nest_text

    if _is_case(design):
        refuse_options(
            "belongs to a network: a case file says everything itself",
            {
                "NETWORK": network,
                "--layer": layer,
                "--shape": shape,
                "--density": density,
                "--weight-density": weight_density,
                "--activation-density": activation_density,
            },
        )
        click.echo(case_nest_text(_case(design, settings)), nl=False)
        return
    architecture = _architecture(design, settings)
    point = one_point(density, weight_density, activation_density)
    text = array_nest_text if architecture.array is not None else planar_nest_text
    click.echo(text(architecture, _layer(network, layer, shape).with_densities(*point)), nl=False)


@command.command("mapping")
@click.argument("case", metavar="CASE")
@set_option
def show_mapping(case: str, settings: tuple[str, ...]) -> None:
    """The mapping of a case as a list of loops and storage nodes, in the form that --mapping reads."""
    from timeloop_py.specs.mapping_file import dump_mapping

    click.echo(dump_mapping(_case(case, settings).mapping), nl=False)


@command.command("formula")
@click.argument("design", metavar="ARCH|CASE")
@click.option("--tensor", help="Count the accesses of this tensor ...")
@click.option("--level", help="... at this level or component.")
@click.option(
    "--action", type=click.Choice(["reads", "fills", "updates"]), default=None, help="Which accesses.  [default: reads]"
)
@click.option("--network", metavar="NAME|PATH", help="Of a multiplier array: the network of the layer that it runs.")
@click.option("--layer", help="That layer.")
@click.option("--shape", metavar="K=..,C=..,P=..", help="That layer without a file.")
@click.option("--term", help="In place of a count: a term of the cycle model (cycles, barrier, ...), or energy_pj.")
@set_option
@click.option(
    "--format", "form", type=click.Choice(["text", "latex"]), default="text", show_default=True, help="Output format."
)
def show_formula(
    design: str,
    tensor: str | None,
    level: str | None,
    action: Action | None,
    network: str | None,
    layer: str | None,
    shape: str | None,
    term: str | None,
    settings: tuple[str, ...],
    form: FormulaFormat,
) -> None:
    """The formula of an access count or of a cycle term.

    The functions of the model, fed symbols: what is printed here is what evaluate computes. Of a planar-tiled
    accelerator the letters are trip counts and sizes, of a case or of a layer on a multiplier array the bounds of
    loops.
    """
    from timeloop_py.cli.formula_output import format_formula
    from timeloop_py.model.formulas import array_formula, case_formula, nest_formula

    of_a_layer: dict[str, object] = {"--network": network, "--layer": layer, "--shape": shape}
    if term is not None:
        of_a_count = {"--tensor": tensor, "--level": level, "--action": action}
        refuse_options("belongs to a count: leave it out with --term", of_a_count | of_a_layer)
        formula = _term(design, settings, term)
    elif tensor is None or level is None:
        raise SpecError("missing: give both, or a --term", field="--tensor, --level")
    elif _is_case(design):
        refuse_options("belongs to a multiplier array: a case says everything itself", of_a_layer)
        formula = case_formula(_case(design, settings), level, tensor, action or "reads")
    else:
        architecture = _architecture(design, settings)
        if architecture.array is not None:
            chosen = _layer(network, layer, shape)
            formula = array_formula(architecture, chosen, level, tensor, action or "reads")
        else:
            refuse_options("belongs to a multiplier array: others need no layer", of_a_layer)
            formula = nest_formula(architecture, level, tensor, action or "reads")
    click.echo(format_formula(formula, form), nl=False)


def _term(design: str, settings: tuple[str, ...], term: str) -> Formula:
    from timeloop_py.model.cycle_formulas import term_formula
    from timeloop_py.model.formulas import case_term

    if _is_case(design):
        return case_term(_case(design, settings), term)
    return term_formula(_architecture(design, settings), term)


def _layer(network: str | None, layer: str | None, shape: str | None) -> Layer:
    """The one layer that the options name."""
    chosen = chosen_networks([network] if network else [], shape, layer)[0]
    if len(chosen.layers) > 1:
        names = ", ".join(one.name for one in chosen.layers[:8])
        raise SpecError(f"missing: {chosen.name} has {len(chosen.layers)} layers ({names}, ...)", field="--layer")
    only: Layer = chosen.layers[0]
    return only


def _is_case(design: str) -> bool:
    """Whether a name or path is that of a case; SpecError where it is a file of neither a case nor an architecture."""
    from timeloop_py.specs.library import is_path

    return is_path(design) and require_kind(Path(design), "case", "architecture") == "case"


def _architecture(name: str, settings: tuple[str, ...]) -> Architecture:
    from timeloop_py.explore.sweep import load_designs

    return _only(load_designs([name], settings))


def _case(path: str, settings: tuple[str, ...]) -> Case:
    from timeloop_py.specs.case import load_cases

    return _only(load_cases(path, settings))


def _only(variants: tuple[Variant, ...]) -> Variant:
    if len(variants) > 1:
        raise SpecError("expected one value: several are a sweep, which is not shown", field="--set")
    return variants[0]
