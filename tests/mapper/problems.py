"""Random small problems, hierarchies and constraints for the mapper."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from tests.mapper.plain import TooManyError, all_costs
from timeloop_py.mapper.constraints import Constraints, Limits, SpatialLimits
from timeloop_py.mapper.mapspace import Mapspace, Space
from timeloop_py.specs.hierarchy import ComputeLevel, CountingOptions, Hierarchy, StorageLevel
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term


def tensor(name: str, *ranks: str | Rank, is_output: bool = False) -> Tensor:
    return Tensor(name, tuple(one if isinstance(one, Rank) else Rank((Term(one),)) for one in ranks), is_output)


def random_problem(rng: random.Random) -> Problem:
    family = rng.choice(["matmul", "conv1d", "conv1d", "conv2d", "depthwise", "attention", "transposed"])
    size = lambda *values: rng.choice(values)  # noqa: E731
    if family == "matmul":
        dims = {"M": size(1, 2, 3, 4), "N": size(2, 3, 4), "K": size(2, 3, 4, 6)}
        return Problem(dims, (tensor("A", "M", "K"), tensor("B", "K", "N"), tensor("Z", "M", "N", is_output=True)))
    if family == "attention":
        dims = {"H": size(1, 2), "L": size(2, 3), "T": size(2, 4), "E": size(1, 2, 3)}
        return Problem(
            dims,
            (
                tensor("Queries", "H", "L", "E"),
                tensor("Keys", "H", "T", "E"),
                tensor("Scores", "H", "L", "T", is_output=True),
            ),
        )
    stride, dilation = rng.choice([1, 1, 1, 2, 3]), rng.choice([1, 1, 1, 2])
    if family == "depthwise":
        dims = {"G": size(2, 3), "P": size(2, 3, 4, 6), "R": size(2, 3)}
        window = Rank((Term("P", stride), Term("R", dilation)))
        return Problem(
            dims,
            (tensor("Weights", "G", "R"), tensor("Inputs", "G", window), tensor("Outputs", "G", "P", is_output=True)),
        )
    if family == "transposed":
        dims = {"K": size(1, 2), "C": size(1, 2), "W": size(2, 3, 4), "R": size(2, 3)}
        window = Rank((Term("W", stride), Term("R", rng.choice([1, -1]))))
        return Problem(
            dims,
            (
                tensor("Weights", "K", "C", "R"),
                tensor("Inputs", "C", "W"),
                tensor("Outputs", "K", window, is_output=True),
            ),
        )
    if family == "conv1d":
        dims = {"K": size(1, 2, 3), "C": size(1, 2, 4), "P": size(2, 3, 4, 6), "R": size(1, 2, 3)}
        window = Rank((Term("P", stride), Term("R", dilation)))
        return Problem(
            dims,
            (
                tensor("Weights", "K", "C", "R"),
                tensor("Inputs", "C", window),
                tensor("Outputs", "K", "P", is_output=True),
            ),
        )
    dims = {"K": size(1, 2), "P": size(2, 3), "Q": size(1, 2), "R": size(2, 3), "S": size(1, 2)}
    x, y = Rank((Term("P", stride), Term("R"))), Rank((Term("Q"), Term("S")))
    return Problem(
        dims,
        (tensor("Weights", "K", "R", "S"), tensor("Inputs", x, y), tensor("Outputs", "K", "P", "Q", is_output=True)),
    )


def random_hierarchy(rng: random.Random, problem: Problem) -> Hierarchy:
    names = [one.name for one in problem.tensors]
    energy = lambda *values: {"read": rng.choice(values), "write": rng.choice(values), "update": rng.choice(values)}  # noqa: E731
    bandwidth = lambda: rng.choice([None, None, None, 0.5, 1.0, 2.0, 4.0])  # noqa: E731
    levels = [
        StorageLevel(
            "DRAM",
            energy_pj=energy(20.0, 50.0, 100.0),
            read_bandwidth=bandwidth(),
            write_bandwidth=bandwidth(),
            words_per_line=rng.choice([1, 1, 1, 1, 4]),
            energy_per_hop_pj=rng.choice([0.0, 0.0, 0.0, 1.5]),
        )
    ]
    instances, columns = 1, 1
    for name in ["Buf", "Reg"][: rng.choice([1, 1, 2])]:
        x, y = rng.choice([(1, 1), (1, 1), (2, 1), (1, 2), (2, 2), (3, 1)])
        instances, columns = instances * x * y, columns * x
        separate = rng.random() < 0.2
        held = None if rng.random() < 0.8 else tuple(sorted(rng.sample(names, rng.choice([1, 2, 3]))))
        own = {one: rng.choice([1, 2, 4, 8, None]) for one in (held or names)} if separate else {}
        levels.append(
            StorageLevel(
                name,
                instances=instances,
                mesh_x=columns,
                capacity_words=None if separate else rng.choice([3, 4, 6, 8, 12, 20, None]),
                tensor_capacity_words=own,
                tensors=held,
                energy_pj=energy(1.0, 2.0, 3.0, 7.0),
                read_bandwidth=bandwidth(),
                shared_bandwidth=bandwidth(),
                multiple_buffering=rng.choice([1.0, 1.0, 1.0, 2.0]),
                words_per_line=rng.choice([1, 1, 1, 1, 2]),
                energy_per_hop_pj=rng.choice([0.0, 0.0, 0.0, 0.5]),
            )
        )
    x, y = rng.choice([(1, 1), (1, 1), (2, 1), (1, 2)])
    compute = ComputeLevel("MAC", instances * x * y, columns * x, {"compute": 1.0})
    return Hierarchy(tuple(levels), compute)


def random_options(rng: random.Random) -> CountingOptions:
    return CountingOptions(
        elide_first_read=rng.random() < 0.7,
        charge_drain_read=rng.random() < 0.4,
        parent_accumulates=rng.random() < 0.6,
        refill=rng.choice(["every_copy", "one_copy"]),
        halo_reuse=rng.choice(["one_tile", "one_tile", "one_tile", "none"]),
    )


def random_constraints(rng: random.Random, problem: Problem, hierarchy: Hierarchy, binding: bool) -> Constraints:
    """Few free choices, so that a plain enumeration stays small; ``binding``: limits on loops, too."""
    names = [one.name for one in problem.tensors]
    keep, bypass = {}, {}
    for level in hierarchy.levels[1:]:
        free = rng.choice(names) if rng.random() < 0.5 else None
        held = [name for name in names if level.may_hold(name) and name != free]
        keep[level.name] = tuple(name for name in held if rng.random() < 0.8)
        bypass[level.name] = tuple(name for name in held if name not in keep[level.name])
    spatial = {}
    for level in hierarchy.levels:
        if rng.random() < 0.6:
            dims = rng.sample(list(problem.dims), rng.choice([1, min(2, len(problem.dims))]))
            spatial[level.name] = SpatialLimits({dims[0]: Limits(1, rng.choice([None, 2]))}, {dims[-1]: Limits()})
    factors, order = {}, {}
    if binding:
        for level in hierarchy.levels:
            if rng.random() < 0.5:
                dim = rng.choice(list(problem.dims))
                least = rng.choice([1, 1, 2])
                factors[level.name] = {dim: Limits(least, rng.choice([None, least, 2 * least]))}
            if rng.random() < 0.5:
                order[level.name] = tuple(rng.sample(list(problem.dims), min(2, len(problem.dims))))
    return Constraints(
        keep=keep,
        bypass=bypass,
        factors=factors,
        order=order,
        spatial=spatial,
        utilization=rng.choice([0.0, 0.0, 0.0, 0.5]),
    )


def random_mapspace(seed: int, imperfect: bool | None = None) -> Mapspace:
    rng = random.Random(seed)
    problem = random_problem(rng)
    hierarchy = random_hierarchy(rng, problem)
    space: Space = rng.choice(["level", "placement"])
    return Mapspace(
        problem,
        hierarchy,
        random_options(rng),
        space,
        rng.random() < 0.15 if imperfect is None else imperfect,
        random_constraints(rng, problem, hierarchy, rng.random() < 0.2),
    )


def small_mapspaces(
    count: int, most: int, first: int = 0, imperfect: bool = False
) -> Iterator[tuple[int, Mapspace, dict[str, np.ndarray]]]:
    """Random mapspaces of at most so many mappings, some of which fit, with their seeds and all their costs."""
    seed = first
    while count:
        space = random_mapspace(seed, imperfect)
        with suppress(TooManyError):
            costs = all_costs(space, most)
            if len(costs["cycles"]) > 1:
                count -= 1
                yield seed, space, costs
        seed += 1
