"""One million tilings of one nest shape: all counts, cycles and energy."""

from collections.abc import Iterator

import numpy as np
from measure import Measurement, cpu_seconds

from timeloop_py.model.hierarchy_cost import hierarchy_cost
from timeloop_py.nest.traffic import count_traffic
from timeloop_py.specs.hierarchy import ComputeLevel, CountingOptions, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, Mapping, Node, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

TILINGS = 1_000_000
#: Tilings of one NumPy call: what keeps the arrays in cache.
BLOCK = 32_768
BOUNDS = {"K": 256, "C": 256, "P": 16, "Q": 16, "R": 3, "S": 3}


def convolution() -> Problem:
    """A 3 x 3 convolution of 256 to 256 channels on 16 x 16."""

    def rank(*dims: str) -> Rank:
        return Rank(tuple(Term(dim) for dim in dims))

    return Problem(
        BOUNDS,
        (
            Tensor("Weights", (rank("K"), rank("C"), rank("R"), rank("S"))),
            Tensor("Inputs", (rank("C"), rank("P", "R"), rank("Q", "S"))),
            Tensor("Outputs", (rank("K"), rank("P"), rank("Q")), is_output=True),
        ),
    )


def hierarchy() -> Hierarchy:
    """DRAM, a shared buffer, a register file and one multiplier."""
    return Hierarchy(
        (
            StorageLevel("DRAM", energy_pj={"read": 200, "write": 200}, shared_bandwidth=4),
            StorageLevel("GLB", capacity_words=65_536, energy_pj={"read": 6, "write": 6}, shared_bandwidth=32),
            StorageLevel("RF", capacity_words=256, energy_pj={"read": 1, "write": 1}),
        ),
        ComputeLevel("MAC", energy_pj={"compute": 1}),
    )


def random_factors(rng: np.random.Generator, bound: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three powers of two that multiply to ``bound``, one triple per tiling."""
    bits = bound.bit_length() - 1
    outer = rng.integers(0, bits + 1, BLOCK)
    middle = rng.integers(0, bits - outer + 1)
    return 2**outer, 2**middle, 2 ** (bits - outer - middle)


def nest(rng: np.random.Generator) -> Mapping:
    """A three-level nest whose factors of K, C, P and Q are arrays."""
    factors = {dim: random_factors(rng, BOUNDS[dim]) for dim in ("K", "C", "P", "Q")}

    def stores(level: str) -> list[Node]:
        return [Store(level, tensor) for tensor in ("Weights", "Inputs", "Outputs")]

    def loops(index: int, order: str) -> list[Node]:
        return [Loop(dim, factors[dim][index]) for dim in order]

    inner = [Loop("R", 3), Loop("S", 3), *loops(2, "KCPQ")]
    return Mapping((*stores("DRAM"), *loops(0, "KCPQ"), *stores("GLB"), *loops(1, "CKPQ"), *stores("RF"), *inner))


def bench_million_tilings() -> Iterator[Measurement]:
    problem, levels, options = convolution(), hierarchy(), CountingOptions()
    mapping = nest(np.random.default_rng(0))

    def evaluate() -> None:
        for _ in range(TILINGS // BLOCK + 1):
            cost = hierarchy_cost(count_traffic(problem, mapping, options, perfect=True), levels, options)
            assert cost.cycles.shape == cost.energy_pj.shape == (BLOCK,)

    yield Measurement("a million tilings, counts, cycles, energy", cpu_seconds(evaluate), 2.0, TILINGS, "tilings")
