"""The Python face of the mapper: the best mapping of a layer, or of every layer of a network."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from timeloop_py.mapper.constraints import Constraints, parse_constraints, with_settings
from timeloop_py.mapper.layer_search import HierarchyTask, PlanarTask, SearchTask
from timeloop_py.mapper.mapspace import SPACES, Mapspace, Space
from timeloop_py.mapper.objective import parse_objective
from timeloop_py.mapper.pareto import front_metrics
from timeloop_py.mapper.processes import cores
from timeloop_py.mapper.results import NetworkResult, SearchResult
from timeloop_py.mapper.workers import Told, run_tasks
from timeloop_py.model.evaluate import Point, network_of
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Value, parse_value
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.layer_problem import layer_problem
from timeloop_py.specs.network import Network
from timeloop_py.specs.overrides import merged
from timeloop_py.specs.problem import Problem

#: What constraints may be given as: parsed, as the section of a file says them, or as settings of a command line.
Restrictions = Constraints | Mapping[str, Any] | Sequence[str]
#: Spaces of planar-tiled accelerators; the first one is the default.
PLANAR_SPACES = ("planar", "hardware")


@overload
def search(
    architecture: Architecture,
    layer_or_network: Layer | Problem,
    objective: str = ...,
    space: str | None = ...,
    *,
    constraints: Restrictions | None = ...,
    imperfect: bool = ...,
    weight_density: float | None = ...,
    activation_density: float | None = ...,
    pareto: str | Sequence[str] | None = ...,
    time_limit_s: float | None = ...,
    jobs: int | None = ...,
    progress: Told | None = ...,
) -> SearchResult: ...


@overload
def search(
    architecture: Architecture,
    layer_or_network: Network,
    objective: str = ...,
    space: str | None = ...,
    *,
    constraints: Restrictions | None = ...,
    imperfect: bool = ...,
    weight_density: float | None = ...,
    activation_density: float | None = ...,
    pareto: str | Sequence[str] | None = ...,
    time_limit_s: float | None = ...,
    jobs: int | None = ...,
    progress: Told | None = ...,
) -> NetworkResult: ...


def search(
    architecture: Architecture,
    layer_or_network: Layer | Network | Problem,
    objective: str = "edp",
    space: str | None = None,
    *,
    constraints: Restrictions | None = None,
    imperfect: bool = False,
    weight_density: float | None = None,
    activation_density: float | None = None,
    pareto: str | Sequence[str] | None = None,
    time_limit_s: float | None = None,
    jobs: int | None = None,
    progress: Told | None = None,
) -> SearchResult | NetworkResult:
    """The best mapping of a layer (or problem), or of every layer of a network, with its proof.

    Parameters
    ----------
    architecture
        A storage hierarchy, whose mapspaces are ``docs/mapspaces.md``; or a planar-tiled accelerator (``scnn``,
        ``dcnn``, ...), whose mapspace is the shape of the PE grid, ``Kc``, and halos.
    layer_or_network
        A layer of its own, a network, or any affine problem (of a hierarchy).
    objective
        ``energy``, ``cycles``, ``edp`` or ``ed2p``; a sum with weights, ``energy+1000*cycles`` (pJ and cycles); several
        by commas: each decides among the optima of those before.
    space
        Of a hierarchy ``placement`` (the default) or ``level``; of a planar-tiled accelerator ``planar`` (the default:
        on its own hardware) or ``hardware`` (also other PE grids and vectors ``F x I`` of as many multipliers).
    constraints
        Beside those of the architecture file, over which they are laid: a dictionary like its section, or a list of
        settings like ``factors.GLB.K.max=4``. A :class:`Constraints` replaces them.
    imperfect
        Factors need not divide.
    weight_density, activation_density
        Of planar-tiled accelerators; left out: the layers' own. Hierarchies count dense operands.
    pareto
        Also the front in two or three of ``energy_pj``, ``cycles``, ``edp_pj_cycles``, ``ed2p_pj_cycles2``.
    time_limit_s
        Seconds for everything together; a search that it ends gives the best so far and a lower bound.
    jobs
        Processes, for layers side by side, or for one alone; left out: one per core. The result does not depend on it.
    progress
        Called with a :class:`SearchProgress`.

    Gives a :class:`SearchResult` (``.mapping``, ``.evaluation``, ``.proven_optimal``, ``.lower_bound``,
    ``.mappings_covered``, ``.front``), or a :class:`NetworkResult` of one per layer. Where nothing fits, ``.mapping``
    is None and ``.diagnosis`` says why. SpecError: bad input, or an architecture that has nothing to search.
    """
    tasks = search_tasks(
        architecture,
        layer_or_network,
        objective,
        space,
        constraints=constraints,
        imperfect=imperfect,
        point=(weight_density, activation_density),
        pareto=pareto,
    )
    results = tuple(run_search(tasks, time_limit_s, jobs, progress))
    return NetworkResult(layer_or_network.name, results) if isinstance(layer_or_network, Network) else results[0]


def run_search(
    tasks: Sequence[SearchTask],
    time_limit_s: float | None = None,
    jobs: int | None = None,
    progress: Told | None = None,
) -> Iterator[SearchResult]:
    """The results of :func:`search_tasks`, each as soon as it is there."""
    if time_limit_s is not None and not time_limit_s > 0:
        raise SpecError(f"expected seconds above 0, found {time_limit_s:g}", field="time_limit_s")
    if jobs is not None and jobs < 1:
        raise SpecError(f"expected at least one process, found {jobs}", field="jobs")
    end = math.inf if time_limit_s is None else time.monotonic() + time_limit_s
    return run_tasks(tasks, end, jobs or cores(), progress)


def search_tasks(
    architecture: Architecture,
    target: Layer | Network | Problem,
    objective: str,
    space: str | None,
    *,
    constraints: Restrictions | None = None,
    imperfect: bool = False,
    point: Point = (None, None),
    pareto: str | Sequence[str] | None = None,
    name: str = "problem",
) -> list[SearchTask]:
    """What is to be searched, checked: one task per layer. ``name`` is what a problem is called."""
    chosen_objective = parse_objective(objective)
    metrics = None if pareto is None else front_metrics(pareto)
    if architecture.hierarchy is None:
        if isinstance(target, Problem):
            raise SpecError("a problem of its own is searched on a storage hierarchy", field="architecture")
        _check_planar(architecture, constraints, imperfect)
        chosen_space = _space_of(space, PLANAR_SPACES, architecture)
        network = network_of(target) if isinstance(target, Layer) else target
        return [
            PlanarTask(
                architecture=architecture.name,
                network=network.name,
                layer=layer.name,
                objective=chosen_objective,
                metrics=metrics,
                design=architecture,
                of_network=network,
                of_layer=layer,
                point=point,
                hardware=chosen_space == "hardware",
            )
            for layer in network.layers
        ]
    if point != (None, None):
        raise SpecError(
            f"{architecture.name} is a storage hierarchy: its search counts dense operands, leave densities out",
            field="weight_density, activation_density",
        )
    kind: Space = "level" if _space_of(space, SPACES[::-1], architecture) == "level" else "placement"
    if isinstance(target, Problem):
        problems = [(name, name, target)]
    else:
        layers = [target] if isinstance(target, Layer) else target.layers
        problems = [(target.name, layer.name, layer_problem(layer)) for layer in layers]
    return [
        HierarchyTask(
            architecture.name,
            network_name,
            layer_name,
            chosen_objective,
            metrics,
            mapspace(architecture, problem, kind, imperfect, constraints),
        )
        for network_name, layer_name, problem in problems
    ]


def mapspace(
    architecture: Architecture,
    problem: Problem,
    space: Space = "placement",
    imperfect: bool = False,
    constraints: Restrictions | None = None,
) -> Mapspace:
    """The mapspace of a problem on a hierarchy within the architecture's constraints and others laid over them.

    SpecError: no hierarchy, or a constraint on what does not exist.
    """
    hierarchy = architecture.hierarchy
    if hierarchy is None:
        raise SpecError("expected a storage hierarchy", path=architecture.path, field="levels")
    chosen = constraints
    if not isinstance(chosen, Constraints):
        tensors = [tensor.name for tensor in problem.tensors]
        chosen = parse_constraints(
            _laid_over(architecture.constraints, chosen), hierarchy, tuple(problem.dims), tensors
        )
    return Mapspace(problem, hierarchy, architecture.options, space, imperfect, chosen)


def _laid_over(value: Value | None, constraints: Mapping[str, Any] | Sequence[str] | None) -> Value | None:
    if constraints is None:
        return value
    if isinstance(constraints, Mapping):
        given = parse_value(json.dumps(constraints), "constraints", is_json=True)
        return given if value is None else merged(value, given)
    return with_settings(value, constraints)


def _space_of(space: str | None, known: Sequence[str], architecture: Architecture) -> str:
    """The space asked for; the first of those known where none is."""
    if space is not None and space not in known:
        raise SpecError(f"unknown space {space!r} of {architecture.name}{nearest(space, known)}", field="space")
    return space or known[0]


def _check_planar(architecture: Architecture, constraints: Restrictions | None, imperfect: bool) -> None:
    if architecture.array is not None:
        raise SpecError(
            f"the dataflow {architecture.array.name} is one mapping, whose bounds follow from the layer and the array: "
            "nothing is left to search, evaluate gives its cost",
            path=architecture.path,
            field="dataflow",
        )
    architecture.require_accelerator()
    for given, field in ((constraints, "constraints"), (imperfect, "imperfect")):
        if given:
            raise SpecError(
                f"{architecture.name} is a planar-tiled accelerator, whose dataflow fixes its loops: leave it out",
                field=field,
            )
