"""Sweeps: which architectures, networks and density points are evaluated, cut into jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import product as cartesian
from pathlib import Path
from typing import TYPE_CHECKING

from timeloop_py import __version__
from timeloop_py.mapper.planar_space import Objective, best_planar_mappings
from timeloop_py.model.evaluate import OWN_DENSITIES, Evaluation, Point, Unit, evaluate, evaluate_units
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.dataflow import dataflow_names, dataflows_like
from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Scalar
from timeloop_py.specs.network import Network
from timeloop_py.specs.overrides import Setting, combinations, parse_setting
from timeloop_py.specs.tables import table_files

if TYPE_CHECKING:
    import pandas as pd

#: Density points of one job: enough for NumPy, few enough for a progress bar.
POINTS_PER_JOB = 50


@dataclass(frozen=True)
class Job:
    """One architecture on one network at some density points.

    With an ``objective`` every layer runs the mapping that is best by it, point by point; without, the fixed one.
    """

    architecture: Architecture
    network: Network
    points: tuple[Point, ...]
    objective: Objective | None = None

    @cached_property
    def key(self) -> str:
        """A name that two jobs share only if they give the same results."""
        network = (self.network.name, self.network.digest, self.network.layers)
        text = repr(
            (__version__, self.architecture, table_digests(self.architecture), network, self.points, self.objective)
        )
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def table_digests(architecture: Architecture) -> dict[str, str]:
    """SHA-256 of the files of the energy and area tables that an architecture names, by table."""
    names = [name for name in (architecture.energy_table, architecture.area_table) if name is not None]
    files = [file for name in names for file in table_files(name)]
    return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@dataclass(frozen=True)
class JobResult:
    """The frames of one job: a row per layer and point, per event, and per point."""

    results: pd.DataFrame
    accesses: pd.DataFrame
    summary: pd.DataFrame


def run_job(job: Job) -> JobResult:
    """Evaluate one job."""
    if job.objective is not None:
        return _run_best(job, job.objective)
    evaluation: Evaluation = evaluate(job.architecture, job.network, job.points)
    return JobResult(evaluation.to_frame(), evaluation.accesses_frame(), evaluation.totals())


def _run_best(job: Job, objective: Objective) -> JobResult:
    """Every point with its own best mappings; ``results`` has them in a column ``mapping``."""
    import pandas as pd

    best = best_planar_mappings(job.architecture, job.network, job.points, objective)
    parts: dict[str, list[pd.DataFrame]] = {"results": [], "accesses": [], "summary": []}
    for index, point in enumerate(job.points):
        mappings = [best.mapping(row, index) for row in range(len(job.network.layers))]
        units = [
            Unit(mapping.applied_to(job.architecture), job.network, layer)
            for mapping, layer in zip(mappings, job.network.layers, strict=True)
        ]
        evaluation = evaluate_units(units, (point,))
        results = evaluation.to_frame().assign(mapping=[str(mapping) for mapping in mappings])
        parts["results"].append(results.assign(_layer=range(len(units))))
        ranks = {layer.name: rank for rank, layer in enumerate(job.network.layers)}
        accesses = evaluation.accesses_frame()
        parts["accesses"].append(accesses.assign(_layer=accesses["layer"].map(ranks)))
        parts["summary"].append(evaluation.totals())
    joined = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    for name in ("results", "accesses"):  # as without a search: layer by layer, each over the points
        joined[name] = joined[name].sort_values("_layer", kind="stable", ignore_index=True).drop(columns="_layer")
    return JobResult(**joined)


@dataclass(frozen=True)
class Sweep:
    """Architectures x networks x density points; ``(None, None)`` is every layer's own density."""

    architectures: tuple[Architecture, ...]
    networks: tuple[Network, ...]
    points: tuple[Point, ...] = (OWN_DENSITIES,)
    objective: Objective | None = None

    def jobs(self) -> Iterator[Job]:
        """The jobs, in the order of the result rows."""
        for architecture, network in cartesian(self.architectures, self.networks):
            for start in range(0, len(self.points), POINTS_PER_JOB):
                yield Job(architecture, network, self.points[start : start + POINTS_PER_JOB], self.objective)


def density_points(
    weight: Sequence[float] | float | None = None,
    activation: Sequence[float] | float | None = None,
    grid: bool = False,
) -> tuple[Point, ...]:
    """Density points from weight and activation densities.

    Lists of one length are paired, a single value goes with every entry of the other list, and ``grid`` combines every
    weight density with every activation density; a point that stands there twice is one. What is left out keeps each
    layer's own. SpecError: lists that do not pair, or a density outside (0, 1].
    """
    weights = _as_list(weight, "weight_density")
    activations = _as_list(activation, "activation_density")
    if grid:
        return tuple(dict.fromkeys(cartesian(weights, activations)))
    if len(weights) == 1:
        weights = weights * len(activations)
    if len(activations) == 1:
        activations = activations * len(weights)
    if len(weights) != len(activations):
        raise SpecError(
            f"{len(weights)} weight densities and {len(activations)} activation densities do not pair: give as many of "
            "each, or ask for the grid of all combinations",
            field="activation_density",
        )
    return tuple(dict.fromkeys(zip(weights, activations, strict=True)))


def _as_list(values: Sequence[float] | float | None, field: str) -> list[float | None]:
    if values is None:
        return [None]
    numbers = [float(values)] if isinstance(values, (int, float)) else [float(value) for value in values]
    if not numbers:
        raise SpecError("expected at least one density", field=field)
    for number in numbers:
        if not 0 < number <= 1:
            raise SpecError(f"expected a density above 0 and at most 1, found {number:g}", field=field)
    return list(numbers)


def parse_densities(text: str, field: str) -> list[float]:
    """Densities of ``0.1:1.0:0.1`` (end included), ``0.1,0.5,1`` or ``0.5``, in the order written."""
    found: list[float] = []
    for part in text.split(","):
        bounds = part.split(":")
        try:
            numbers = [Decimal(bound.strip()) for bound in bounds]
        except InvalidOperation:
            numbers = []
        if len(numbers) not in (1, 3) or not all(number.is_finite() for number in numbers):
            raise SpecError(
                f"expected a density like 0.5, a list 0.1,0.5,1.0 or a range 0.1:1.0:0.1, found {part!r}", field=field
            )
        if len(numbers) == 1:
            found.append(float(numbers[0]))
            continue
        first, last, step = numbers
        if step <= 0 or last < first:
            raise SpecError(
                f"expected a rising range first:last:step with a positive step, found {part!r}", field=field
            )
        if (last - first) / step > 100_000:
            raise SpecError(f"expected at most 100,000 densities, found more in {part!r}", field=field)
        found.extend(float(first + index * step) for index in range(int((last - first) / step) + 1))
    _as_list(found, field)
    return found


def load_designs(
    names: Sequence[str | Path],
    settings: Sequence[str] = (),
    dataflow: str | None = None,
    left_out: Callable[[str], None] | None = None,
) -> tuple[Architecture, ...]:
    """Architectures with ``PATH=V1,V2,...`` settings applied, one design per combination of values.

    A path starts with the name of an architecture (``scnn.dataflow.barrier``), or applies to all of them. ``dataflow``
    replaces the dataflow of every one. ``all`` gives a design per shipped dataflow that the architecture has the
    components for; ``left_out`` is told which it has not, and why. Designs that differ by a setting are named after
    it: ``scnn[barrier=none]``.
    """
    parsed = [parse_setting(text) for text in settings]
    flows = _dataflows(dataflow)
    designs: list[Architecture] = []
    refused: list[SpecError] = []
    used: set[Setting] = set()
    for name in names:
        base = load_architecture(name)
        mine: list[Setting] = []
        for setting in parsed:
            first, _, rest = setting.path.partition(".")
            own = first.replace("-", "_") == base.name
            if own or not any(first.replace("-", "_") == _spec_name(other) for other in names):
                used.add(setting)
                mine.append(Setting(rest if own else setting.path, setting.values))
        if dataflow == "all":
            # Planar-tiled dataflows and those of arrays describe their hardware in different words.
            flows = tuple(dataflows_like(base.array is not None))
        mine += [Setting("dataflow.name", flows)] if flows else []
        for chosen, suffix in combinations(mine):
            try:
                design = load_architecture(name, chosen)
            except SpecError as error:
                # A mistake of the user's own also shows where the architecture runs its own dataflow.
                if dataflow != "all" or dict(chosen)["dataflow.name"] == _own_dataflow(base):
                    raise
                refused.append(error)
                if left_out:
                    left_out(f"{base.name}{suffix} is left out: {error.message}")
                continue
            designs.append(replace(design, name=base.name + suffix) if suffix else design)
    for setting in parsed:
        if setting not in used:
            raise SpecError("no architecture of this name is evaluated", path=f"--set {setting.path}")
    if not designs:
        raise refused[0]
    _check_names(designs)
    return tuple(designs)


def _own_dataflow(architecture: Architecture) -> str | None:
    return architecture.dataflow_name if architecture.is_accelerator else None


def _dataflows(dataflow: str | None) -> tuple[Scalar, ...]:
    if dataflow is None:
        return ()
    if dataflow == "all":
        return tuple(dataflow_names())
    name = dataflow.lower().replace("-", "_")
    if name not in dataflow_names():
        known = [*dataflow_names(), "all"]
        raise SpecError(f"unknown dataflow {dataflow!r}{nearest(name, known)}", field="--dataflow")
    return (name,)


def _spec_name(name: str | Path) -> str:
    return Path(str(name)).stem.replace("-", "_")


def _check_names(designs: Sequence[Architecture]) -> None:
    seen: dict[str, str | None] = {}
    for design in designs:
        if design.name in seen:
            raise SpecError(
                f"two architectures are called {design.name!r} ({seen[design.name]} and {design.path}): give each a "
                "name of its own",
                field="--arch",
            )
        seen[design.name] = design.path
