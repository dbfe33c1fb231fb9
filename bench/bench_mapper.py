"""The mapper on `simple3`: proven optima of single layers and of ResNet-18, pairs priced and mappings covered.

A filling of the innermost stage is two choices, one per side of the dimensions; its energy is one entry of a matrix
product. `priced` counts the entries computed, in CPU seconds of the whole search; `covered` are all mappings of the
space, which the proof is about.
"""

from collections.abc import Iterator
from functools import partial

from measure import Measurement, cpu_seconds

from timeloop_py.mapper.coverage import mappings_in
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Goal, Objective, parse_objective
from timeloop_py.mapper.planar_search import search_planar
from timeloop_py.mapper.planar_space import best_planar_mappings
from timeloop_py.mapper.search import mapspace
from timeloop_py.mapper.solve import Solution, solve
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer_file import parse_shape
from timeloop_py.specs.layer_problem import layer_problem
from timeloop_py.specs.network import Network, load_network
from timeloop_py.specs.problem import Problem

POINTWISE = "K=256,C=256,P=14,Q=14"
THREE_BY_THREE = "K=256,C=256,P=14,Q=14,R=3,S=3"
OBJECTIVES = ("energy", "edp")
#: Mappings evaluated per CPU second, as promised.
RATE = 5e6


def space_of(problem: Problem) -> Mapspace:
    """Perfect factors, every tensor at its own place."""
    return mapspace(load_architecture("simple3"), problem)


def proven(space: Mapspace, objective: str) -> Solution:
    solution = solve(space, Goal(parse_objective(objective).measures[0]))
    assert solution.proven
    return solution


def all_proven(problems: list[Problem], objective: str) -> None:
    for problem in problems:
        proven(space_of(problem), objective)


def bench_layers() -> Iterator[Measurement]:
    for name, shape, target in (("1x1", POINTWISE, 1.0), ("3x3", THREE_BY_THREE, 10.0)):
        space = space_of(layer_problem(parse_shape(shape)))
        for objective in OBJECTIVES:
            seconds = cpu_seconds(partial(proven, space, objective))
            yield Measurement(f"proven: {name} 256->256, 14x14, {objective}", seconds, target)


def bench_rates() -> Iterator[Measurement]:
    space = space_of(layer_problem(parse_shape(THREE_BY_THREE)))
    priced = proven(space, "energy").priced
    seconds = cpu_seconds(lambda: proven(space, "energy"))
    yield Measurement("priced: 3x3 256->256, 14x14, energy", seconds, priced / RATE, priced, "mappings")
    yield Measurement("covered: 3x3 256->256, 14x14, energy", seconds, None, mappings_in(space), "mappings")


def bench_resnet18() -> Iterator[Measurement]:
    problems: list[Problem] = []
    for layer in load_network("resnet18:all").layers:
        problem = layer_problem(layer)
        if problem not in problems:
            problems.append(problem)
    for objective in OBJECTIVES:
        seconds = cpu_seconds(partial(all_proven, problems, objective), runs=1)
        yield Measurement(f"proven: {len(problems)} layers of ResNet-18, {objective}", seconds, 120.0)


def bench_planar_space() -> Iterator[Measurement]:
    scnn, network = load_architecture("scnn"), load_network("googlenet")
    seconds = cpu_seconds(lambda: best_planar_mappings(scnn, network, ((0.5, 0.5),)))
    yield Measurement("planar space of SCNN, all of GoogLeNet", seconds, 5.0)


def all_hardware(architecture: Architecture, network: Network, objective: Objective) -> None:
    for layer in network.layers:
        search_planar(architecture, network, layer, (None, None), objective, hardware=True)


def bench_planar_hardware() -> Iterator[Measurement]:
    """Every grid, vector size, halo and `Kc`; the first objective also pays for what searches of one process share."""
    scnn, network = load_architecture("scnn"), load_network("googlenet")
    for objective in ("edp", "energy", "cycles"):
        seconds = cpu_seconds(partial(all_hardware, scnn, network, parse_objective(objective)), runs=1)
        yield Measurement(f"all hardware as large as SCNN, all of GoogLeNet, {objective}", seconds, 5.0)
