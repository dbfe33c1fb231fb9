"""``timeloop-py explore``: the main job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from timeloop_py.cli.options import (
    chosen_networks,
    chosen_points,
    command_line,
    dataflow_option,
    density_options,
    network_options,
    note,
    set_option,
)

DEFAULT_ARCHITECTURES = ("scnn", "dcnn", "dcnn_opt")
DEFAULT_NETWORK = "googlenet"
DEFAULT_DENSITY = "0.1:1.0:0.1"


@click.command("explore")
@click.option(
    "--arch",
    "architectures",
    multiple=True,
    metavar="NAME|PATH|all",
    help="Architecture; all compares every accelerator. Repeatable. [scnn dcnn dcnn_opt]",
)
@network_options
@density_options
@click.option("--grid", is_flag=True, help="Every weight density with every activation density.")
@click.option("--own-density", is_flag=True, help="Each layer at the densities of its network file.")
@dataflow_option
@set_option
@click.option(
    "-o", "--output", default="results", show_default=True, type=click.Path(path_type=Path), help="Result folder."
)
@click.option(
    "--mapping",
    type=click.Choice(["fixed", "best"]),
    default="fixed",
    show_default=True,
    help="The architecture's own mapping, or the mapper's choice per layer and point.",
)
@click.option(
    "--objective",
    type=click.Choice(["cycles", "energy", "edp", "ed2p"]),
    default="edp",
    show_default=True,
    help="What --mapping best minimises.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted sweep in the same folder.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on the Dask cluster of this scheduler.")
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw the figures.")
@click.option("--pdf", is_flag=True, help="Figures as PDF, too (PNG always).")
def command(
    architectures: tuple[str, ...],
    networks: tuple[str, ...],
    layer: str | None,
    shape: str | None,
    density: str | None,
    weight_density: str | None,
    activation_density: str | None,
    grid: bool,
    own_density: bool,
    dataflow: str | None,
    settings: tuple[str, ...],
    output: Path,
    mapping: str,
    objective: str,
    resume: bool,
    scheduler: str | None,
    plots: bool,
    pdf: bool,
) -> None:
    """Compare architectures over networks and densities.

    Writes results.csv (a row per architecture, network, layer and density), summary.csv (per network), accesses.csv
    (per level, tensor and action), winners.csv, figures, and provenance.json. With no argument: SCNN, DCNN and
    DCNN-opt on GoogLeNet from density 1.0 down to 0.1.
    """
    from timeloop_py.explore.results import layers_left_out, write_results
    from timeloop_py.explore.runner import run_sweep
    from timeloop_py.explore.store import PartialStore
    from timeloop_py.explore.sweep import Sweep, load_designs
    from timeloop_py.mapper.planar_space import OBJECTIVES
    from timeloop_py.model.evaluate import OWN_DENSITIES
    from timeloop_py.specs.errors import SpecError

    given = [option for option in (density, weight_density, activation_density) if option is not None]
    if own_density and given:
        raise SpecError("takes every layer's own densities: leave the other density options out", field="--own-density")
    if "all" in architectures:
        if given or grid or dataflow or mapping == "best" or resume or scheduler:
            raise SpecError(
                "compares every accelerator at the layers' own densities and without zeros: leave densities, "
                "--dataflow, --mapping, --resume and --scheduler out",
                field="--arch all",
            )
        _compare_all(networks, shape, layer, settings, output, plots, ("png", "pdf") if pdf else ("png",))
        return
    if own_density:
        points = (OWN_DENSITIES,)
    else:
        points = chosen_points(density if given else DEFAULT_DENSITY, weight_density, activation_density, grid)
    sweep = Sweep(
        architectures=load_designs(architectures or DEFAULT_ARCHITECTURES, settings, dataflow, left_out=note),
        networks=chosen_networks(networks, shape, layer, DEFAULT_NETWORK),
        points=tuple(sorted(points, key=lambda point: (point[0] or 0, point[1] or 0), reverse=True)),
        objective=OBJECTIVES[objective] if mapping == "best" else None,
    )
    store = PartialStore(output, resume)
    jobs = sum(1 for _ in sweep.jobs())
    try:
        with click.progressbar(length=jobs, label="Evaluating", file=sys.stderr) as bar:
            result = run_sweep(sweep, _advance(bar), store, scheduler)
    except SpecError:
        store.withdraw()
        raise
    for sentence in layers_left_out(result):
        note(sentence)
    # Resuming changes nothing in the result, so nothing in the record of it.
    ran = [argument for argument in command_line() if argument != "--resume"]
    written = write_results(output, sweep, result, ran, plots, ("png", "pdf") if pdf else ("png",))
    store.clear()
    for path in written:
        click.echo(path, err=True)


def _compare_all(
    networks: tuple[str, ...],
    shape: str | None,
    layer: str | None,
    settings: tuple[str, ...],
    output: Path,
    plots: bool,
    formats: tuple[Any, ...],
) -> None:
    """Every accelerator on every network (or those given), with zeros and without."""
    from timeloop_py.explore import comparison
    from timeloop_py.explore.sweep import Sweep, load_designs
    from timeloop_py.model.evaluate import OWN_DENSITIES
    from timeloop_py.report.bundle import check_writable

    chosen = networks or (() if shape is not None else comparison.NETWORKS)
    designs = load_designs(comparison.accelerator_names(), settings)
    sweep = Sweep(designs, chosen_networks(chosen, shape, layer), (OWN_DENSITIES,))
    check_writable(output)
    with click.progressbar(length=2 * sum(1 for _ in sweep.jobs()), label="Evaluating", file=sys.stderr) as bar:
        compared = comparison.compare(sweep, _advance(bar))
    # The table of the slides is about the networks of the paper: part of the whole comparison only.
    slides = None if networks or shape is not None or layer is not None else comparison.slides_table(designs)
    for path in comparison.write_comparison(output, sweep, compared, slides, command_line(), plots, formats):
        click.echo(path, err=True)


def _advance(bar: Any) -> Any:
    def advance(done: int, total: int) -> None:
        bar.update(done - bar.pos)

    return advance
