"""``timeloop-py simulate``: execute layers on real tensors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from timeloop_py.cli.options import (
    FORMATS,
    chosen_networks,
    chosen_points,
    density_options,
    network_options,
    set_option,
)

if TYPE_CHECKING:
    from timeloop_py.simulator.result import SimulationResult
    from timeloop_py.specs.architecture import Architecture
    from timeloop_py.specs.layer import Layer

DISAGREES = 1
#: Steps of the progress bar per run.
PROGRESS = 1000
TABLE_COLUMNS = ["architecture", "layer", "weight_density", "activation_density", "seed", "cycles", "utilization"]


@click.command("simulate")
@click.option(
    "--arch", "architectures", multiple=True, metavar="NAME|PATH", help="Architecture. Repeatable.  [default: scnn]"
)
@network_options
@density_options
@click.option("--dataflow", metavar="NAME|all", help="Run this dataflow on every architecture, or all of them.")
@set_option
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Draws the tensors.")
@click.option(
    "--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="Number of seeds, from --seed up."
)
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Weights [K, C/G, S, R] from a .npy, .npz or .safetensors file."
)
@click.option("--activations", type=click.Path(path_type=Path), help="Activations [N, C, H, W], likewise.")
@click.option(
    "--generator",
    type=click.Choice(["numpy", "mt19937-64"]),
    default="numpy",
    show_default=True,
    help="What draws the tensors; mt19937-64: as the recorded runs of a public simulator did.",
)
@click.option(
    "--placeholders",
    is_flag=True,
    help="Runs of zeros too long for the index take a multiplier lane (also dataflow.placeholders).",
)
@click.option("--verify/--no-verify", default=True, show_default=True, help="Compute the convolution and check it.")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True, help="Output format.")
def command(
    architectures: tuple[str, ...],
    networks: tuple[str, ...],
    layer: str | None,
    shape: str | None,
    density: str | None,
    weight_density: str | None,
    activation_density: str | None,
    dataflow: str | None,
    settings: tuple[str, ...],
    seed: int,
    seeds: int,
    weights: Path | None,
    activations: Path | None,
    generator: str,
    placeholders: bool,
    verify: bool,
    form: str,
) -> None:
    """Execute layers step by step on real tensors and check the convolution.

    Reports cycles, multiplies, utilization, where every multiplier slot went, and the largest difference from a
    reference convolution. Exit code 1 where that is more than rounding.
    """
    from timeloop_py.explore.sweep import load_designs
    from timeloop_py.simulator.api import simulate
    from timeloop_py.specs.errors import SpecError

    designs = load_designs(architectures or ("scnn",), settings, dataflow)
    points = chosen_points(density, weight_density, activation_density)
    chosen = [
        (design, network.name, each.with_densities(*point), number)
        for design in designs
        for network in chosen_networks(networks, shape, layer)
        for each in network.layers
        for point in points
        for number in range(seed, seed + seeds)
    ]
    if (weights or activations) and len({each for _, _, each, _ in chosen}) > 1:
        raise SpecError("is the tensor of one layer: pick it with --layer or --shape", field="--weights, --activations")
    records, agreed = [], True
    with click.progressbar(length=PROGRESS * len(chosen), label="Simulating", file=sys.stderr) as bar:
        for run, (design, network, each, number) in enumerate(chosen):
            drawn = _drawn(generator, each, number)
            result = simulate(
                design,
                each,
                seed=number,
                weights=weights or drawn[1],
                activations=activations or drawn[0],
                placeholders=placeholders or None,
                verify=verify,
                progress=_advance(bar, run),
            )
            records.append(_record(design, network, each, number, result))
            agreed = agreed and result.agrees is not False
    click.echo(_formatted(records, form))
    if not agreed:
        click.echo("timeloop-py: the simulated convolution differs from the reference", err=True)
        sys.exit(DISAGREES)


def _drawn(generator: str, layer: Layer, seed: int) -> tuple[Any, Any]:
    from timeloop_py.simulator.mersenne import mersenne_tensors

    return mersenne_tensors(layer, seed) if generator == "mt19937-64" else (None, None)


def _advance(bar: Any, run: int) -> Callable[[int, int], None]:
    return lambda done, total: bar.update(PROGRESS * run + PROGRESS * done // total - bar.pos)


def _record(design: Architecture, network: str, layer: Layer, seed: int, result: SimulationResult) -> dict[str, Any]:
    return {
        "architecture": design.name,
        "network": network,
        "layer": layer.name,
        "dataflow": design.require_accelerator()[1].name,
        "weight_density": layer.weight_density,
        "activation_density": layer.activation_density,
        "seed": seed,
        **result.to_dict(),
    }


def _formatted(records: list[dict[str, Any]], form: str) -> str:
    if form == "json":
        return json.dumps(records[0] if len(records) == 1 else records, indent=2)
    import pandas as pd

    rows = []
    for record in records:
        lost = record.pop("lost_slots")
        rows.append(record | {f"{cause}_share": share for cause, share in lost.items()})
    frame = pd.DataFrame(rows)
    if form == "csv":
        return frame.to_csv(index=False).rstrip("\n")
    shares = [column for column in rows[0] if column.endswith("_share") and frame[column].any()]
    table = frame[[*TABLE_COLUMNS, *shares, "max_abs_error"]]
    return table.rename(columns=lambda name: name.removesuffix("_share")).to_string(
        index=False, float_format=lambda number: f"{number:.4g}"
    )
