"""Options that several commands take, and how their text becomes specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from timeloop_py.specs.errors import SpecError, nearest

if TYPE_CHECKING:
    from timeloop_py.specs.kinds import SpecKind

Function = TypeVar("Function", bound=Callable[..., Any])

OutputFormat = Literal["table", "csv", "json"]
FORMATS = click.Choice(["table", "csv", "json"])
#: Where the group of commands leaves the arguments it was called with.
ARGUMENTS = "timeloop_py.arguments"


class NearestGroup(click.Group):
    """A group of commands that answers a misspelt one with the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{nearest(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


def command_line() -> list[str]:
    """The command as given, program name first."""
    return ["timeloop-py", *click.get_current_context().meta[ARGUMENTS]]


def note(message: str) -> None:
    """A message for the user, beside the output."""
    click.echo(f"timeloop-py: {message}", err=True)


def refuse_options(reason: str, given: Mapping[str, object]) -> None:
    """SpecError for the first of some options that was given after all."""
    for option, value in given.items():
        if value:
            raise SpecError(reason, field=option)


def format_option(function: Function) -> Function:
    """``--format``: how the result is written on standard output."""
    return click.option("--format", "form", type=FORMATS, default="table", show_default=True, help="Output format.")(
        function
    )


def network_options(function: Function) -> Function:
    """``--network``, ``--layer`` and ``--shape``: which layers."""
    function = click.option(
        "--shape",
        metavar="K=..,C=..,P=..",
        help="One layer without a file: K,C,P,Q,R,S,stride,pad,groups (left out: 1, pad 0).",
    )(function)
    function = click.option("--layer", help="Only this layer of the network.")(function)
    return click.option(
        "--network",
        "networks",
        multiple=True,
        metavar="NAME|PATH",
        help="Network; NAME:SUBSET picks layers. Repeatable.",
    )(function)


def density_options(function: Function) -> Function:
    """``--density``, ``--weight-density``, ``--activation-density``: at which zeros."""
    function = click.option("--activation-density", metavar="D", help="Activation densities, as for --density.")(
        function
    )
    function = click.option("--weight-density", metavar="D", help="Weight densities, as for --density.")(function)
    return click.option(
        "--density",
        metavar="D",
        help="Weight and activation density together: 0.5, 0.1,0.5 or 0.1:1.0:0.1 (end included).",
    )(function)


def dataflow_option(function: Function) -> Function:
    """``--dataflow NAME|all``: another dataflow than an architecture's own."""
    return click.option(
        "--dataflow",
        metavar="NAME|all",
        help="Run this dataflow on every architecture, or all that it has the components for.",
    )(function)


def set_option(function: Function) -> Function:
    """``--set PATH=V1,V2,...``: any field of a spec."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="PATH=V1,V2,..",
        help="Change a field of a spec, e.g. scnn.dataflow.barrier=none; several values sweep it. Repeatable.",
    )(function)


def chosen_networks(names: Sequence[str], shape: str | None, layer: str | None, default: str | None = None) -> Any:
    """The networks that the options name, cut down to one layer where asked. SpecError without any."""
    from timeloop_py.specs.network import load_network, shape_network

    if shape is not None and names:
        raise SpecError("give either a network or a shape", field="--shape")
    if shape is not None:
        networks = [shape_network(shape)]
    else:
        if not names and default is None:
            raise SpecError("missing: give a network or a shape", field="--network")
        networks = [load_network(name) for name in (names or (default or "",))]
    _check_names([network.name for network in networks])
    if layer is None:
        return tuple(networks)
    return tuple(replace(network, layers=(network.layer(layer),)) for network in networks)


def _check_names(networks: Sequence[str]) -> None:
    for index, name in enumerate(networks):
        if name in networks[:index]:
            raise SpecError(f"two networks are called {name!r}: give each a name of its own", field="--network")


def chosen_points(density: str | None, weight: str | None, activation: str | None, grid: bool = False) -> Any:
    """The density points that the options name."""
    from timeloop_py.explore.sweep import density_points, parse_densities

    if density is not None:
        if weight is not None or activation is not None:
            raise SpecError(
                "gives both densities: leave --weight-density and --activation-density out", field="--density"
            )
        together = parse_densities(density, "--density")
        return density_points(together, together)
    weights = None if weight is None else parse_densities(weight, "--weight-density")
    activations = None if activation is None else parse_densities(activation, "--activation-density")
    return density_points(weights, activations, grid)


def one_point(density: str | None, weight: str | None, activation: str | None) -> Any:
    """The one density point that the options name; SpecError for several."""
    points = chosen_points(density, weight, activation)
    if len(points) > 1:
        raise SpecError("expected one density: several are a sweep, which is not shown", field="--density")
    return points[0]


def require_kind(path: Path, *kinds: SpecKind) -> SpecKind:
    """The kind of a spec file, one of some; SpecError where it is another."""
    from timeloop_py.specs.files import load_value
    from timeloop_py.specs.kinds import kind_of

    kind = kind_of(load_value(path))
    if kind not in kinds:
        expected = " or ".join(_one(each) for each in kinds)
        raise SpecError(f"expected {expected}, found {_one(kind)}", path=path)
    return kind


def _one(kind: str) -> str:
    return f"{'an' if kind[0] in 'ae' else 'a'} {kind}"
