"""``timeloop-py search``: the best mapping, proven."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from timeloop_py.cli.options import (
    OutputFormat,
    chosen_networks,
    command_line,
    dataflow_option,
    density_options,
    format_option,
    network_options,
    note,
    one_point,
    refuse_options,
    require_kind,
    set_option,
)
from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    from timeloop_py.mapper.layer_search import SearchTask
    from timeloop_py.mapper.results import SearchResult
    from timeloop_py.specs.architecture import Architecture
    from timeloop_py.specs.network import Network

NOTHING_FOUND = 1
INTERRUPTED = 130
#: Written files that are named one by one.
MOST_NAMED = 12


@click.command("search")
@click.argument("case", required=False, metavar="[CASE]")
@click.option("--arch", "architecture", metavar="NAME|PATH", help="Storage hierarchy or planar-tiled accelerator.")
@network_options
@density_options
@dataflow_option
@set_option
@click.option(
    "--objective",
    default="edp",
    show_default=True,
    metavar="METRIC",
    help="energy, cycles, edp, ed2p; a sum energy+1000*cycles; several by commas, in the order in which they count.",
)
@click.option(
    "--space",
    type=click.Choice(["placement", "level", "planar", "hardware"]),
    help="Of a hierarchy: a place of its own for every tile [default], or one loop order per level. Of a planar-tiled "
    "accelerator: on its own hardware [default], or on any of as many multipliers (PE grid, F x I).",
)
@click.option("--imperfect", is_flag=True, help="Factors need not divide: the last pass of a loop may be shorter.")
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    metavar="PATH=VALUE",
    help="Restrict mappings, e.g. factors.GLB.K.max=4, keep.RF=Weights, spatial.GLB.x=K,P. Repeatable.",
)
@click.option("--pareto", metavar="M1,M2", help="Also the Pareto front in energy_pj, cycles, edp, ed2p (two or three).")
@click.option(
    "--time-limit", type=float, metavar="S", help="Seconds for everything: then the best so far, with a bound."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes, for layers side by side.  [default: one per core]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Result folder: mappings, tables, Pareto plot.")
@format_option
def command(
    case: str | None,
    architecture: str | None,
    networks: tuple[str, ...],
    layer: str | None,
    shape: str | None,
    density: str | None,
    weight_density: str | None,
    activation_density: str | None,
    dataflow: str | None,
    settings: tuple[str, ...],
    objective: str,
    space: str | None,
    imperfect: bool,
    constraints: tuple[str, ...],
    pareto: str | None,
    time_limit: float | None,
    jobs: int | None,
    output: Path | None,
    form: OutputFormat,
) -> None:
    """The best mapping of layers and networks onto an architecture, proven.

    On a storage hierarchy (simple3, eyeriss_like, systolic_ws, nvdla_like, ...) the loop nest; on a planar-tiled
    accelerator (scnn, dcnn, ...) the shape of its PE grid, Kc and halos. A CASE file gives problem and architecture
    instead. Layers of one shape are searched once.

    Exit code 1: the search ran and some layer has no mapping; standard error says what is in the way.
    """
    from timeloop_py.cli.search_output import diagnosis_lines, format_results
    from timeloop_py.explore.search_folder import write_search
    from timeloop_py.explore.sweep import load_designs
    from timeloop_py.report.bundle import check_writable

    wanted = {
        "objective": objective,
        "space": space,
        "constraints": constraints or None,
        "imperfect": imperfect,
        "pareto": pareto,
    }
    if case is not None:
        refuse_options(
            "belongs to an architecture and a network: a case file says everything itself",
            {
                "--arch": architecture,
                "--network": networks,
                "--layer": layer,
                "--shape": shape,
                "--density": density,
                "--weight-density": weight_density,
                "--activation-density": activation_density,
                "--dataflow": dataflow,
            },
        )
        tasks, specs = _case_tasks(case, settings, wanted)
    elif architecture is None:
        raise SpecError("missing: give an architecture, or a case file", field="--arch")
    else:
        wanted["point"] = one_point(density, weight_density, activation_density)
        designs = load_designs([architecture], settings, dataflow, left_out=note)
        tasks, specs = _network_tasks(designs, chosen_networks(networks, shape, layer), wanted)
    if output is not None:
        check_writable(output)
    results, stopped = _collected(tasks, time_limit, jobs)
    if results:
        click.echo(format_results(results, form), nl=False)
        if output is not None:
            written = write_search(output, results, command_line(), specs)
            shown = written if len(written) <= MOST_NAMED else [f"{output}: {len(written)} files"]
            for path in shown:
                click.echo(path, err=True)
    for line in (line for result in results for line in diagnosis_lines(result)):
        click.echo(line, err=True)
    if stopped:
        note(f"stopped: of {len(tasks)} layers, {len(results)} are shown, as far as they were searched")
        sys.exit(INTERRUPTED)
    if any(result.mapping is None for result in results):
        sys.exit(NOTHING_FOUND)


def _case_tasks(
    path: str, settings: Sequence[str], wanted: Mapping[str, Any]
) -> tuple[list[SearchTask], dict[str, str]]:
    """The search of a case file, and the hash of the file."""
    from timeloop_py.mapper.search import search_tasks
    from timeloop_py.specs.search_file import load_search_file

    require_kind(Path(path), "case")
    file = load_search_file(path, settings)
    tasks = search_tasks(file.architecture, file.problem, name=file.name, **wanted)
    return tasks, {f"case {file.name}": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def _network_tasks(
    designs: Sequence[Architecture], networks: Sequence[Network], wanted: Mapping[str, Any]
) -> tuple[list[SearchTask], dict[str, str]]:
    """The searches of every layer on every design, and the hashes of the files."""
    from timeloop_py.mapper.search import search_tasks

    tasks = [task for design in designs for network in networks for task in search_tasks(design, network, **wanted)]
    specs = {f"architecture {one.name}": one.digest for one in designs}
    return tasks, specs | {f"network {one.name}": one.digest for one in networks}


def _collected(
    tasks: Sequence[SearchTask], time_limit: float | None, jobs: int | None
) -> tuple[list[SearchResult], bool]:
    """The results, and whether the user stopped the search before all of them were there."""
    from timeloop_py.cli.search_progress import SearchBar
    from timeloop_py.mapper.layer_search import SearchInterrupt
    from timeloop_py.mapper.search import run_search

    results: list[SearchResult] = []
    with SearchBar(time_limit) as bar:
        try:
            for result in run_search(tasks, time_limit, jobs, bar.tell):
                results.append(result)
        except SearchInterrupt as stopped:
            return [*results, stopped.result], True
        except KeyboardInterrupt:
            return results, True
    return results, False
