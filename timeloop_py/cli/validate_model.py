"""``timeloop-py validate-model``: the model against the simulator."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
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
from timeloop_py.cli.text_table import aligned, joined, number_text
from timeloop_py.specs.errors import SpecError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from timeloop_py.explore.validation_families import Family
    from timeloop_py.explore.validation_grid import Pair
    from timeloop_py.specs.layer import Layer

LIMITS_EXCEEDED = 1
#: Of --quick: so many times fewer points per family, and seeds per point at most.
QUICK_PART = 10
QUICK_SEEDS = (5, 12)
#: Rows of the second table: the points that are furthest off.
SHOWN = 12
_SUMMARY = {
    "family": "family",
    "points": "points",
    "sliced": "sliced",
    "mean_absolute_error_percent": "mean error %",
    "chance_percent": "by chance %",
    "p95_absolute_error_percent": "95th perc. %",
    "max_absolute_error_percent": "largest %",
    "worst_slot_points": "slots, points",
    "worst_slot": "worst cause",
    "inside_ci95": "inside CI",
    "verdict": "verdict",
}
_POINTS = {
    "family": "family",
    "layer": "layer",
    "weight_density": "weights",
    "activation_density": "activations",
    "pe_grid": "PEs",
    "vectors": "vectors",
    "simulated_cycles": "simulated",
    "ci95_cycles": "+-95%",
    "model_cycles": "model",
    "error_percent": "error %",
    "worst_slot": "worst cause",
    "worst_slot_points": "points",
}


@click.command("validate-model")
@click.option(
    "--family",
    "names",
    multiple=True,
    metavar="NAME|all",
    help="Families of runs. Repeatable.  [default: unstructured]",
)
@click.option("--arch", "architecture", metavar="NAME|PATH", help="Architecture in place of the family's.")
@network_options
@density_options
@click.option("--pe-grid", metavar="XxY,..", help="PE grids, e.g. 2x2,8x8,16x16.")
@click.option("--vectors", metavar="FxI,..", help="Weights x activations of a vector, e.g. 4x4,2x16.")
@click.option("--points", type=click.IntRange(min=1), help="At most so many of a family's combinations.")
@click.option("--seeds", type=click.IntRange(min=1), help="Runs per point.  [default: 5 to 24, by their scatter]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="The first seed.")
@click.option("--whole-layers", is_flag=True, help="No slices of layers that take long to simulate.")
@click.option("--quick", is_flag=True, help="A tenth of the points, at most 12 seeds.")
@format_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write tables and plots to this folder.")
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw the figures for -o.")
def command(
    names: tuple[str, ...],
    architecture: str | None,
    networks: tuple[str, ...],
    layer: str | None,
    shape: str | None,
    density: str | None,
    weight_density: str | None,
    activation_density: str | None,
    pe_grid: str | None,
    vectors: str | None,
    points: int | None,
    seeds: int | None,
    seed: int,
    whole_layers: bool,
    quick: bool,
    form: OutputFormat,
    output: Path | None,
    plots: bool,
) -> None:
    """Compare the model with the simulator on drawn tensors: cycles, and where every multiplier slot goes.

    Runs come in families, each judged for itself, on the convolutions of AlexNet, GoogLeNet and VGG-16. Without
    options it is that of unstructured zeros; --family all runs every other structure and setting, too. Options that
    describe runs (layers, densities, PE grids, vectors) replace what a family varies. Of layers that would take long,
    some channels are run (the column sliced); see docs/cross_validation.md.

    Exit code 1 where in any family the mean absolute error of cycles exceeds 1%, its 95th percentile 4%, or a share of
    the slots differs by more than 5 points.
    """
    from timeloop_py.explore.cross_validation import cross_validate, summarize, write_validation
    from timeloop_py.explore.validation_families import Levels, family_points
    from timeloop_py.explore.validation_runs import Effort
    from timeloop_py.report.bundle import check_writable

    weights, activations = _densities(density, weight_density, activation_density)
    levels = Levels(
        architectures=None if architecture is None else (architecture,),
        layers=_layers(networks, shape, layer),
        weight_densities=weights,
        activation_densities=activations,
        pe_grids=_pairs(pe_grid, "--pe-grid"),
        vectors=_pairs(vectors, "--vectors"),
    )
    if quick:
        refuse_options("says how many points: leave --quick out", {"--points": points})
    families = _families(names, part=QUICK_PART if quick else 1)
    chosen = family_points(families, levels, points)
    effort = Effort(seeds=(seeds, seeds) if seeds else QUICK_SEEDS if quick else Effort.seeds, slices=not whole_layers)
    if output is not None:
        check_writable(output)
    with click.progressbar(length=len(chosen), label="Validating", file=sys.stderr) as bar:
        frame = cross_validate(chosen, effort, seed, progress=lambda done, _: bar.update(done - bar.pos))
    summary = summarize(frame)
    click.echo(_formatted(frame, summary, form), nl=False)
    if output is not None:
        settings = {**vars(effort), "first_seed": seed}
        for path in write_validation(output, frame, command_line(), settings, plots=plots):
            click.echo(path, err=True)
    missed = summary.loc[~summary["met"], "family"]
    if len(missed):
        note(f"the model is further from the simulator than the limits allow: {', '.join(missed)}")
        sys.exit(LIMITS_EXCEEDED)


def _families(names: tuple[str, ...], part: int) -> list[Family]:
    """The families that are named, by default that of unstructured zeros."""
    from timeloop_py.explore.validation_families import FAMILIES, STANDARD

    known = {family.name: family for family in FAMILIES}
    wanted = names or (STANDARD,)
    for name in wanted:
        if name != "all" and name not in known:
            raise SpecError(
                f"expected all or the name of a family, found {name!r}{nearest(name, tuple(known))}", field="--family"
            )
    chosen = known.values() if "all" in wanted else [known[name] for name in dict.fromkeys(wanted)]
    return [replace(family, points=-(-family.points // part)) for family in chosen]


def _layers(networks: tuple[str, ...], shape: str | None, layer: str | None) -> tuple[tuple[str, Layer], ...] | None:
    from timeloop_py.explore.validation_families import layers_of

    if not networks and shape is None:
        if layer is not None:
            raise SpecError("is a layer of one network: give --network", field="--layer")
        return None
    return layers_of(chosen_networks(networks, shape, layer))


def _densities(
    both: str | None, weight: str | None, activation: str | None
) -> tuple[tuple[float, ...] | None, tuple[float | None, ...] | None]:
    """Levels of weights and of activations (None: as the weights)."""
    from timeloop_py.explore.sweep import parse_densities

    if both is not None:
        if weight is not None or activation is not None:
            raise SpecError(
                "gives both densities: leave --weight-density and --activation-density out", field="--density"
            )
        return tuple(parse_densities(both, "--density")), (None,)
    return (
        None if weight is None else tuple(parse_densities(weight, "--weight-density")),
        None if activation is None else tuple(parse_densities(activation, "--activation-density")),
    )


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
    return joined(
        [
            *_table(_SUMMARY, summary.assign(verdict=summary["met"].map({True: "met", False: "MISSED"}))),
            "",
            "the points that are furthest off",
            *_table(_POINTS, furthest),
        ]
    )


def _table(columns: Mapping[str, str], frame: pd.DataFrame) -> list[str]:
    """Lines of text: the columns under their headings; names stand on the left."""
    cells = [
        [value if isinstance(value, str) else number_text(value, 4) for value in row]
        for row in frame[list(columns)].itertuples(index=False)
    ]
    named = [place for place, name in enumerate(columns) if frame[name].dtype.kind not in "if"]
    return aligned([list(columns.values()), *cells], named)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON objects; what is not a number is null."""
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return found
