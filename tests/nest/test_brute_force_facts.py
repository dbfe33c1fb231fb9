"""The brute force itself against measured facts: the dense cases that Timeloop answered, and counts made by hand."""

import csv
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.nest.brute_force import Counts, StoreCounts, count
from tests.nest.strategies import tensor
from timeloop_py.nest.traffic import count_traffic
from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

CASES = Path(__file__).parents[1] / "data" / "timeloop_cases"
DENSE = sorted(path.name for path in CASES.glob("d*"))


def read_problem(data: dict[str, Any]) -> Problem:
    def term(text: str | list[str]) -> Term:
        if isinstance(text, str):
            return Term(text)
        dim, coefficient = text
        return Term(dim, data["coefficients"][coefficient])

    tensors = tuple(
        Tensor(
            space["name"],
            tuple(Rank(tuple(term(text) for text in rank)) for rank in space["projection"]),
            is_output=space.get("read_write", False),
        )
        for space in data["dataspaces"]
    )
    return Problem(data["dims"], tensors)


def read_mapping(levels: list[dict[str, Any]], problem: Problem) -> Mapping:
    nodes: list[Node] = []
    for level in levels:
        nodes += [Store(level["level"], tensor.name) for tensor in problem.tensors]
        spatial = level.get("spatial", {})
        for kind, loops in (
            (LoopKind.TEMPORAL, level.get("temporal", [])),
            (LoopKind.SPATIAL_X, spatial.get("x", [])),
            (LoopKind.SPATIAL_Y, spatial.get("y", [])),
        ):
            nodes += [Loop(dim, bound[0] if isinstance(bound, list) else bound, kind) for dim, bound in loops]
    return Mapping(tuple(nodes))


def test_there_are_dense_cases() -> None:
    assert len(DENSE) == 14


@pytest.mark.parametrize("name", DENSE)
def test_dense_case(name: str) -> None:
    case = json.loads((CASES / name / "case.json").read_text())
    summary = json.loads((CASES / name / "summary.json").read_text())
    problem = read_problem(case["problem"])
    counts = count(problem, read_mapping(case["mapping"], problem), CountingOptions(padded_cycles=True))

    assert counts.computes == summary["compute"]["algorithmic_computes"]
    assert counts.compute_cycles == summary["compute"]["cycles"]
    with (CASES / name / "levels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["level"], row["tensor"]) for row in rows} == set(counts.stores)
    for row in rows:
        instances = int(row["utilized_instances"])
        measured = StoreCounts(
            tile_words=int(row["utilized_capacity_words"]),
            fills=int(row["fills_per_instance"]) * instances,
            reads=int(row["reads_per_instance"]) * instances,
            updates=int(row["updates_per_instance"]) * instances,
            temporal_reductions=int(row["temporal_reductions_per_instance"]) * instances,
            link_transfers=0,
        )
        assert counts.stores[row["level"], row["tensor"]] == measured, (row["level"], row["tensor"])


# ---- the worked examples of docs/counting.md, counted by hand: the brute force and the engine both find them ----

DEFAULT = CountingOptions()
X = LoopKind.SPATIAL_X


def both(problem: Problem, nodes: list[Node], options: CountingOptions = DEFAULT) -> Counts:
    """What the brute force counts, once the engine has counted the same."""
    counts = count(problem, Mapping(tuple(nodes)), options)
    traffic = count_traffic(problem, Mapping(tuple(nodes)), options)
    assert (traffic.computes, traffic.compute_cycles) == (counts.computes, counts.compute_cycles)
    for place, expected in counts.stores.items():
        row = traffic.of(*place)
        assert {name: getattr(row, name) for name in asdict(expected)} == asdict(expected), place
    return counts


def held(level: str, problem: Problem) -> list[Node]:
    return [Store(level, item.name) for item in problem.tensors]


def convolution(P: int, R: int, K: int = 1, stride: int = 1) -> Problem:
    inputs = Rank((Term("P", stride), Term("R")))
    return Problem(
        {"K": K, "P": P, "R": R},
        (tensor("Weights", "K", "R"), tensor("Inputs", inputs), tensor("Outputs", "K", "P", is_output=True)),
    )


def matmul(M: int, N: int, K: int) -> Problem:
    return Problem(
        {"M": M, "N": N, "K": K}, (tensor("A", "M", "K"), tensor("B", "K", "N"), tensor("Z", "M", "N", is_output=True))
    )


def weight_stationary(options: CountingOptions) -> Counts:
    """d02: R over a buffer that holds all of P."""
    layer = convolution(P=16, R=3)
    return both(layer, [*held("DRAM", layer), Loop("R", 3), *held("Buf", layer), Loop("P", 16)], options)


def spilled_sums(options: CountingOptions) -> Counts:
    """d07: the reduction loop K outermost."""
    product = matmul(M=4, N=4, K=8)
    outside = [Loop("K", 4), Loop("M", 4)]
    return both(product, [*held("DRAM", product), *outside, *held("Buf", product), Loop("N", 4), Loop("K", 2)], options)


def halos_in_space(options: CountingOptions) -> Counts:
    """d14 without its DRAM: P over four PEs, four outputs each."""
    layer = convolution(P=16, R=3)
    return both(layer, [*held("GLB", layer), Loop("P", 4, X), *held("RF", layer), Loop("P", 4), Loop("R", 3)], options)


def shifting_inputs(options: CountingOptions) -> Counts:
    """One output per PE, taps one after the other: each input moves on to the next PE."""
    layer = convolution(P=4, R=3)
    return both(layer, [*held("GLB", layer), Loop("R", 3), Loop("P", 4, X), *held("RF", layer)], options)


def reduced_in_space(options: CountingOptions, K: int = 4) -> Counts:
    """K over two PEs and two passes, two partial sums in turn in every PE."""
    product = matmul(M=2, N=1, K=K)
    loops: list[Node] = [Loop("K", 2), Loop("M", 2), Loop("K", 2, X)]
    return both(product, [*held("GLB", product), *loops, *held("RF", product)], options)


def output_halos(options: CountingOptions) -> Counts:
    """Input-centric: two PEs with two inputs each, and one output in both of their tiles."""
    layer = Problem(
        {"W": 4, "R": 2},
        (
            tensor("Weights", "R"),
            tensor("Inputs", "W"),
            tensor("Outputs", Rank((Term("W"), Term("R", -1))), is_output=True),
        ),
    )
    return both(layer, [*held("GLB", layer), Loop("W", 2, X), *held("RF", layer), Loop("W", 2), Loop("R", 2)], options)


def imperfect(options: CountingOptions) -> Counts:
    """13 outputs as 2 tiles of 8 and 5, once per output channel."""
    layer = convolution(P=13, R=3, K=2)
    outside = [Loop("K", 2), Loop("P", 2)]
    return both(layer, [*held("DRAM", layer), *outside, *held("Buf", layer), Loop("P", 8), Loop("R", 3)], options)


def window_2d(P: int, Q: int, stride: int = 1) -> Counts:
    layer = Problem(
        {"P": P, "Q": Q, "R": 3, "S": 3},
        (
            tensor("Weights", "R", "S"),
            tensor("Inputs", Rank((Term("P", stride), Term("R"))), Rank((Term("Q", stride), Term("S")))),
            tensor("Outputs", "P", "Q", is_output=True),
        ),
    )
    outside = [Loop("P", P), Loop("Q", Q)]
    return both(layer, [*held("DRAM", layer), *outside, *held("Buf", layer), Loop("R", 3), Loop("S", 3)])


def only(**changed: Any) -> CountingOptions:
    return CountingOptions(**changed)


@pytest.mark.parametrize(
    ("example", "options", "level", "tensor_name", "expected"),
    [
        (weight_stationary, DEFAULT, "Buf", "Inputs", {"tile_words": 16, "fills": 16 + 1 + 1}),
        (weight_stationary, only(halo_reuse="none"), "Buf", "Inputs", {"fills": 16 + 16 + 16}),
        (spilled_sums, DEFAULT, "Buf", "Z", {"updates": 128, "reads": 128 - 16, "fills": 64 - 16}),
        (spilled_sums, DEFAULT, "DRAM", "Z", {"updates": 64, "reads": 64 - 16, "temporal_reductions": 48}),
        (spilled_sums, only(elide_first_read=False), "DRAM", "Z", {"reads": 64, "temporal_reductions": 48}),
        (spilled_sums, only(elide_first_read=False), "Buf", "Z", {"reads": 128, "fills": 48}),
        (spilled_sums, only(elide_first_read="per_stay"), "Buf", "Z", {"reads": 128 - 64, "fills": 48}),
        (spilled_sums, only(charge_drain_read=True), "Buf", "Z", {"reads": 112 + 64}),
        (spilled_sums, only(parent_accumulates=False), "DRAM", "Z", {"updates": 64, "reads": 48}),
        (spilled_sums, only(parent_accumulates=False, elide_first_read=False), "Buf", "Z", {"fills": 64}),
        (halos_in_space, DEFAULT, "RF", "Inputs", {"tile_words": 6, "fills": 4 * 6}),
        (halos_in_space, DEFAULT, "GLB", "Inputs", {"reads": 4 * 6}),
        (halos_in_space, DEFAULT, "RF", "Weights", {"fills": 4 * 3}),
        (halos_in_space, DEFAULT, "GLB", "Weights", {"reads": 3}),
        (halos_in_space, only(share_halos=True), "GLB", "Inputs", {"reads": 18}),
        (shifting_inputs, DEFAULT, "GLB", "Inputs", {"reads": 12}),
        (shifting_inputs, only(link_transfer=True), "GLB", "Inputs", {"reads": 4 + 1 + 1}),
        (shifting_inputs, only(link_transfer=True), "RF", "Inputs", {"fills": 12, "link_transfers": 3 + 3}),
        (reduced_in_space, DEFAULT, "RF", "Z", {"updates": 8, "fills": 2 + 2, "reads": 8 - 4}),
        (reduced_in_space, DEFAULT, "GLB", "Z", {"updates": 4, "reads": 2}),
        (reduced_in_space, only(refill="one_copy"), "RF", "Z", {"fills": 2}),
        (output_halos, DEFAULT, "GLB", "Outputs", {"updates": 3 + 3, "reads": 1}),
        (output_halos, only(parent_accumulates=False), "GLB", "Outputs", {"updates": 3 + 3, "reads": 0}),
        (imperfect, DEFAULT, "Buf", "Inputs", {"tile_words": 10, "fills": 10 + 5 + 8 + 5}),
    ],
)
def test_worked_example(
    example: Callable[[CountingOptions], Counts],
    options: CountingOptions,
    level: str,
    tensor_name: str,
    expected: dict[str, int],
) -> None:
    counts = asdict(example(options).stores[level, tensor_name])
    assert {name: counts[name] for name in expected} == expected


def test_two_dimensional_windows() -> None:
    """d17 and d18 per channel, and an overlap in a corner."""
    assert window_2d(P=4, Q=4).stores["Buf", "Inputs"].fills == 9 + 12 * 3 + 3 * 9
    assert window_2d(P=4, Q=4, stride=2).stores["Buf", "Inputs"].fills == 9 + 12 * 6 + 3 * 9
    assert window_2d(P=2, Q=2).stores["Buf", "Inputs"].fills == 9 + 2 * 3 + 5


@pytest.mark.parametrize(("P", "R", "stride", "words"), [(4, 1, 2, 4), (4, 3, 2, 9), (4, 2, 3, 8)])
def test_holes_are_not_words(P: int, R: int, stride: int, words: int) -> None:
    layer = convolution(P=P, R=R, stride=stride)
    counts = both(layer, [*held("DRAM", layer), Loop("P", P), Loop("R", R)])
    assert counts.stores["DRAM", "Inputs"].tile_words == words


def test_imperfect_cycles() -> None:
    """d22: P = 7 over 4, R = 3."""
    layer = convolution(P=7, R=3)
    nodes = [*held("DRAM", layer), Loop("P", 2), *held("Buf", layer), Loop("P", 4), Loop("R", 3)]
    counts = both(layer, nodes)
    assert (counts.computes, counts.compute_cycles) == (21, 21)
    assert counts.stores["Buf", "Inputs"].fills == 6 + 3
    assert both(layer, nodes, only(padded_cycles=True)).compute_cycles == 24


def test_idle_copy_of_a_spatial_reduction_drains_with_the_busy_one() -> None:
    """K = 3 over two PEs: the second PE has nothing to do in the second pass."""
    counts = reduced_in_space(DEFAULT, K=3)
    assert counts.stores["RF", "Z"].updates == 4 + 2
    assert counts.stores["RF", "Z"].fills == 2 + 0
    assert counts.stores["GLB", "Z"].updates == 4


def test_uneven_mapping() -> None:
    """Inputs held above the tap loop, weights and outputs below it: the same inputs, one weight at a time."""
    layer = convolution(P=8, R=3)
    inputs, others = Store("Buf", "Inputs"), [Store("Buf", "Weights"), Store("Buf", "Outputs")]
    even = both(layer, [*held("DRAM", layer), Loop("P", 2), inputs, *others, Loop("R", 3), Loop("P", 4)])
    uneven = both(layer, [*held("DRAM", layer), Loop("P", 2), inputs, Loop("R", 3), *others, Loop("P", 4)])
    assert even.stores["Buf", "Inputs"] == uneven.stores["Buf", "Inputs"]
    assert even.stores["Buf", "Inputs"].fills == 6 + 4
    assert (even.stores["Buf", "Weights"].tile_words, even.stores["Buf", "Weights"].fills) == (3, 3)
    assert (uneven.stores["Buf", "Weights"].tile_words, uneven.stores["Buf", "Weights"].fills) == (1, 6)


def test_clipped_sums_are_not_moved() -> None:
    """Four inputs, three taps, two outputs: half of the products fall outside the output plane."""
    layer = Problem(
        {"W": 4, "R": 3},
        (
            tensor("Weights", "R"),
            tensor("Inputs", "W"),
            tensor("Outputs", Rank((Term("W"), Term("R", -1)), clip=(0, 2)), is_output=True),
        ),
    )
    counts = both(layer, [*held("DRAM", layer), Loop("W", 4), *held("Buf", layer), Loop("R", 3)])
    assert counts.computes == 12
    assert counts.stores["Buf", "Outputs"].updates == 6
    assert counts.stores["Buf", "Outputs"].fills == 0
    assert counts.stores["DRAM", "Outputs"].updates == 2
    assert counts.stores["Buf", "Outputs"].tile_words == 2
