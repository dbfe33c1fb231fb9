"""The moves of nodes that the enumeration of the innermost stage makes, where tight register files leave little room.

The order of the loops around an overlapping tile counts, so a node outside it may not be thought past every loop.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.mapper.plain import all_costs, optimum
from tests.mapper.problems import tensor
from timeloop_py.mapper.constraints import Constraints, Limits, SpatialLimits
from timeloop_py.mapper.fillings import Fillings
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.solve import solve
from timeloop_py.specs.hierarchy import ComputeLevel, CountingOptions, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, Mapping
from timeloop_py.specs.problem import Problem, Rank, Term

TENSORS = ("Weights", "Inputs", "Outputs")
OBJECTIVES = ("energy", "edp")


def registers(
    dims: dict[str, int],
    words: tuple[int, int, int],
    options: CountingOptions,
    stride: int = 1,
    dilation: int = 1,
    kept: tuple[str, ...] = TENSORS,
) -> Mapspace:
    """A convolution on two PEs, one output channel each, with register files of so many words per tensor."""
    window = Rank((Term("P", stride), Term("R", dilation)))
    problem = Problem(
        {"K": 2, "N": 1, "C": 1, "Q": 1, **dims},
        (
            tensor("Weights", "K", "C", "R"),
            tensor("Inputs", "N", "C", window, "Q"),
            tensor("Outputs", "K", "N", "P", "Q", is_output=True),
        ),
    )
    energy = {level: {"read": pj, "write": pj, "update": pj} for level, pj in (("DRAM", 100.0), ("RF", 1.0))}
    capacity = dict(zip(TENSORS, words, strict=True))
    levels = (
        StorageLevel("DRAM", energy_pj=energy["DRAM"], shared_bandwidth=4),
        StorageLevel("RF", instances=2, mesh_x=2, tensor_capacity_words=capacity, energy_pj=energy["RF"]),
    )
    constraints = Constraints(
        keep={"RF": kept},
        bypass={"RF": tuple(name for name in TENSORS if name not in kept)},
        spatial={"DRAM": SpatialLimits({"K": Limits(2, 2)}, {})},
    )
    hierarchy = Hierarchy(levels, ComputeLevel("MAC", 2, 2, {"compute": 1.0}))
    return Mapspace(problem, hierarchy, options, constraints=constraints)


def compare(space: Mapspace) -> dict[str, np.ndarray]:
    costs = all_costs(space, 100_000)
    for objective in OBJECTIVES:
        solution = solve(space, Goal(parse_objective(objective).measures[0]))
        assert solution.best is not None
        assert solution.best.measure == pytest.approx(optimum(costs, objective), rel=1e-11)
    return costs


@pytest.mark.parametrize("points", [4, 6])
def test_weights_stay_outside_the_loop_that_slides_the_inputs(points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two inputs, the weights of one channel, all sums: best is a loop over P outside one over R, both below the
    # weights. With the loop over R above them, every point of R would bring all inputs in again.
    space = registers({"C": 2, "P": points, "R": 3}, (3, 2, points), CountingOptions())
    costs = compare(space)
    stays = Fillings._stays

    def stays_elsewhere(fillings: Fillings, axis: int, chains: np.ndarray) -> np.ndarray:
        return stays(fillings, axis, chains) & ~_between(fillings, axis, chains)

    monkeypatch.setattr(Fillings, "_stays", stays_elsewhere)
    poorer = solve(space, Goal(parse_objective("energy").measures[0]))
    assert poorer.best is not None
    assert poorer.best.measure > optimum(costs, "energy") * 1.1


def _between(fillings: Fillings, axis: int, chains: np.ndarray) -> np.ndarray:
    """Rows with a loop over R between weights in the middle and the inputs inside them."""
    names = [fillings.frame.nodes[index].tensor.name for index in fillings.nodes]
    is_here = names[-2:] == ["Weights", "Inputs"] and fillings.frame.dims[axis] == "R"
    return is_here & (chains[:, -2] > chains[:, -1])


@pytest.mark.parametrize("at_once", [True, False])
def test_weights_stay_through_a_loop_that_they_cannot_move_past(at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # One input a PE. Best is P over P, R and P inside the weights: a point of R begins where the last one ended. The
    # weights stay through the outer P; outside it, they would leave two loops over P in one segment.
    if not at_once:
        monkeypatch.setattr("timeloop_py.mapper.solve.applies", lambda _: False)
    space = registers({"C": 2, "P": 4, "R": 3}, (3, 1, 4), CountingOptions(elide_first_read=False))
    compare(space)
    solution = solve(space, Goal(parse_objective("energy").measures[0]))
    assert solution.best is not None
    assert nest_of(solution.best.mapping)[-5:] == ["P2", "Weights", "R3", "P2", "Inputs"]


@pytest.mark.parametrize(
    ("dims", "words", "kept", "outer"),
    [
        # The weights are the outermost node of the register files, and stay through a loop above the array, ...
        ({"P": 4, "R": 3}, (3, 1, 9), ("Weights", "Inputs"), ["P2", "K2", "Weights", "R3", "P2", "Inputs"]),
        # ... the sums do, ...
        ({"P": 3, "R": 4}, (9, 1, 3), ("Inputs", "Outputs"), ["R2", "K2", "Outputs", "P3", "R2", "Inputs"]),
        # ... the weights stay through others, too, when the inputs do not slide any more, ...
        ({"N": 2, "Q": 2, "P": 4, "R": 3}, (3, 1, 9), ("Weights", "Inputs"), ["N2", "Q2", "P2", "K2", "Weights"]),
        # ... or through a loop that lies between them and the sums, and one beyond.
        ({"N": 2, "P": 4, "R": 3}, (3, 1, 4), TENSORS, ["N2", "K2", "Outputs", "P2", "Weights", "R3", "P2", "Inputs"]),
    ],
)
def test_nodes_stay_through_loops(
    dims: dict[str, int], words: tuple[int, int, int], kept: tuple[str, ...], outer: list[str]
) -> None:
    space = registers(dims, words, CountingOptions(elide_first_read=False), kept=kept)
    compare(space)
    solution = solve(space, Goal(parse_objective("energy").measures[0]))
    assert solution.best is not None
    assert nest_of(solution.best.mapping)[: len(outer)] == outer


def nest_of(mapping: Mapping) -> list[str]:
    """Loops and nodes below those of DRAM."""
    below = mapping.nodes[len(TENSORS) :]
    return [f"{node.dim}{node.bound}" if isinstance(node, Loop) else node.tensor for node in below]


@pytest.mark.parametrize("seed", range(16))
def test_tight_register_files_against_plain_enumeration(seed: int) -> None:
    rng = random.Random(seed)
    dims = {"C": rng.choice([1, 2, 2]), "P": rng.choice([2, 4, 4, 6]), "R": rng.choice([2, 3, 3])}
    words = (
        rng.choice([1, dims["R"], dims["C"] * dims["R"]]),
        rng.choice([1, 2, 3, 4]),
        rng.choice([1, 2, dims["P"] // 2, dims["P"]]),
    )
    options = CountingOptions(elide_first_read=rng.random() < 0.7, parent_accumulates=rng.random() < 0.6)
    compare(registers(dims, words, options, rng.choice([1, 1, 2]), rng.choice([1, 1, 2])))
