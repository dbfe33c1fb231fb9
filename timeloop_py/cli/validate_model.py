"""``timeloop-py validate-model``: the model against the simulator."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from timeloop_py.cli.options import (
    OutputFormat,
    chosen_networks,
    command_line,
    density_options,
    format_option,
    network_options,
    note,
    refuse_options,
)
from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

    from timeloop_py.explore.validation_grid import Pair, ValidationPoint
    from timeloop_py.specs.layer import Layer

LIMITS_EXCEEDED = 1
#: Points of a comparison that the options describe, unless they say how many.
DEFAULT_POINTS = 240
#: Rows of the table: the points that are furthest off.
SHOWN = 12
_BANKS = "dataflow.bank_contention"


@click.command("validate-model")
@click.option("--arch", "architecture", metavar="NAME|PATH", help="Architecture.  [default: scnn]")
@network_options
@density_options
@click.option("--pe-grid", metavar="XxY,..", help="PE grids, e.g. 2x2,8x8,16x16.")
@click.option("--vectors", metavar="FxI,..", help="Weights x activations of a vector, e.g. 4x4,2x16.")
@click.option(
    "--banks",
    type=click.Choice(["auto", "none", "queued", "unqueued"]),
    default="auto",
    show_default=True,
    help="Accumulator banks; auto: the architecture's for short runs, none for long ones.",
)
@click.option("--points", type=click.IntRange(min=1), help=f"At most so many of all combinations.  [{DEFAULT_POINTS}]")
@click.option("--seeds", type=click.IntRange(min=1), help="Runs per point.  [default: 8]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="The first seed.")
@click.option("--quick", is_flag=True, help="A tenth of the default comparison, on small layers.")
@format_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the table and the plot to this folder.")
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw the figure for -o.")
def command(
    architecture: str | None,
    networks: tuple[str, ...],
    layer: str | None,
    shape: str | None,
    density: str | None,
    weight_density: str | None,
    activation_density: str | None,
    pe_grid: str | None,
    vectors: str | None,
    banks: str,
    points: int | None,
    seeds: int | None,
    seed: int,
    quick: bool,
    form: OutputFormat,
    output: Path | None,
    plots: bool,
) -> None:
    """Compare the model with the simulator on drawn tensors: cycles, and where every multiplier slot goes.

    Without options this is the published comparison: over 200 runs of SCNN on the convolutions of AlexNet, GoogLeNet
    and VGG-16, runs with structured zeros, and dense dataflows. Options describe one of your own. Exit code 1 where
    the mean absolute error of cycles exceeds 1%, its 95th percentile 4%, or a share of the slots differs by more than
    5 points.
    """
    from timeloop_py.explore.cross_validation import DEFAULT_SEEDS, cross_validate, summarize, write_validation
    from timeloop_py.explore.validation_grid import default_points
    from timeloop_py.report.bundle import check_writable

    described = {
        "--arch": architecture,
        "--network": networks,
        "--layer": layer,
        "--shape": shape,
        "--density": density,
        "--weight-density": weight_density,
        "--activation-density": activation_density,
        "--pe-grid": pe_grid,
        "--vectors": vectors,
        "--points": points,
    }
    if quick:
        refuse_options("describes a comparison of your own: leave --quick out", described)
    if any(described.values()):
        layers = _layers(networks, shape, layer)
        densities = _densities(density, weight_density, activation_density)
        machines = _pairs(pe_grid, "--pe-grid"), _pairs(vectors, "--vectors")
        chosen = _described(architecture or "scnn", layers, densities, machines, points or DEFAULT_POINTS)
    else:
        chosen = default_points(quick)
    if banks != "auto":
        chosen = tuple(point.with_setting(_BANKS, banks) for point in chosen)
    if output is not None:
        check_writable(output)
    with click.progressbar(length=len(chosen), label="Validating", file=sys.stderr) as bar:
        frame = cross_validate(
            chosen, seeds or DEFAULT_SEEDS, seed, progress=lambda done, _: bar.update(done - bar.pos)
        )
    summary = summarize(frame)
    click.echo(_formatted(frame, summary, form), nl=False)
    if output is not None:
        for path in write_validation(output, frame, command_line(), plots=plots):
            click.echo(path, err=True)
    if not summary["met"].all():
        note("the model is further from the simulator than the limits allow")
        sys.exit(LIMITS_EXCEEDED)


def _described(
    architecture: str,
    layers: tuple[tuple[str, Layer], ...],
    densities: tuple[tuple[float, ...] | None, tuple[float, ...] | None],
    machines: tuple[tuple[Pair, ...] | None, tuple[Pair, ...] | None],
    count: int,
) -> tuple[ValidationPoint, ...]:
    """The points that options describe; what they leave out is as in the default comparison."""
    from timeloop_py.explore.validation_grid import DENSITIES, PE_GRIDS, VECTORS, Factors

    factors = Factors(
        architectures=(architecture,),
        layers=layers,
        weight_densities=densities[0] or DENSITIES,
        activation_densities=densities[1] or DENSITIES,
        pe_grids=machines[0] or PE_GRIDS,
        vectors=machines[1] or VECTORS,
    )
    return factors.points(count, "chosen")


def _layers(networks: tuple[str, ...], shape: str | None, layer: str | None) -> tuple[tuple[str, Layer], ...]:
    from timeloop_py.explore.validation_grid import NETWORKS, layers_of

    names = networks if networks or shape is not None else NETWORKS
    if layer is not None and len(names) > 1:
        raise SpecError("is a layer of one network: give --network", field="--layer")
    return layers_of(chosen_networks(names, shape, layer))


def _densities(
    both: str | None, weight: str | None, activation: str | None
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    from timeloop_py.explore.sweep import parse_densities

    if both is not None and (weight is not None or activation is not None):
        raise SpecError("gives both densities: leave --weight-density and --activation-density out", field="--density")
    given = ((both or weight, "--weight-density"), (both or activation, "--activation-density"))
    weights, activations = (
        None if text is None else tuple(parse_densities(text, "--density" if both else option))
        for text, option in given
    )
    return weights, activations


def _pairs(text: str | None, option: str) -> tuple[Pair, ...] | None:
    """``2x2,4x8`` as pairs of whole numbers."""
    if text is None:
        return None
    found = []
    for part in text.split(","):
        numbers = part.strip().split("x")
        if len(numbers) != 2 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
            raise SpecError(f"expected pairs like 4x4,8x2, found {part.strip()!r}", field=option)
        found.append((int(numbers[0]), int(numbers[1])))
    return tuple(found)


def _formatted(frame: pd.DataFrame, summary: pd.DataFrame, form: OutputFormat) -> str:
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n")
    if form == "json":
        return json.dumps({"summary": _records(summary), "points": _records(frame)}, indent=2) + "\n"
    furthest = frame.loc[frame["error_percent"].abs().sort_values(ascending=False, kind="stable").index[:SHOWN]]
    columns = ["family", "layer", "zeros", "weight_density", "activation_density", "pe_grid", "vectors"]
    columns += ["simulated_cycles", "ci95_cycles", "model_cycles", "error_percent", "worst_slot", "worst_slot_points"]
    tables = [
        table.to_string(index=False, float_format=lambda number: f"{number:.4g}")
        for table in (summary, furthest[columns])
    ]
    return f"{tables[0]}\n\nthe points that are furthest off\n{tables[1]}\n"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON objects; what is not a number is null."""
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return found
