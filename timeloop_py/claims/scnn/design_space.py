"""SCNN's design space at 1,024 multipliers: PE grid, vectors, banks, RAM sizes and output-channel group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from timeloop_py.claims.scnn.runs import Runs, Setting
from timeloop_py.explore.pareto import non_dominated
from timeloop_py.model.evaluate import evaluate
from timeloop_py.specs.architecture import Architecture

if TYPE_CHECKING:
    import pandas as pd

MULTIPLIERS = 1024
#: Of at least 16 PEs: what PEs of 128 products and more lose is in section VI-C.
PE_GRIDS = ((4, 4), (8, 4), (8, 8), (16, 8), (16, 16))
#: Weights per activation of a step: how far a multiplier array may be from square.
ASPECTS = (0.25, 0.5, 1.0, 2.0, 4.0)
#: Banks over the products of a step; the paper's factor is 2.
BANK_FACTORS = (1, 2, 4)
#: Activation RAM of the chip over the paper's 1.2 MB (data and indices).
RAM_FACTORS = (0.5, 1.0, 2.0)
OUTPUT_CHANNEL_GROUPS = (8, 16, 32)
#: Designs evaluated in one go: enough for NumPy, few enough for memory.
_AT_ONCE = 40
ALL = "all three"


@dataclass(frozen=True)
class Point:
    """One design. Accumulator banks keep the entries of the paper's.

    The weight FIFO grows with the output-channel group: it holds the ``Kc*R*S`` weights of a block while the
    activation vectors go by, and the paper's 50 entries of four are just the 200 weights of a 5 x 5 filter at Kc 8.
    """

    pe_grid: tuple[int, int]
    weights: int
    activations: int
    bank_factor: int
    ram_factor: float
    output_channel_group: int

    @property
    def name(self) -> str:
        (x, y), banks = self.pe_grid, self.bank_factor * self.weights * self.activations
        vectors = f"{self.weights}x{self.activations}"
        return f"{x}x{y} PEs, {vectors}, {banks} banks, RAM x{self.ram_factor:g}, Kc {self.output_channel_group}"

    def settings(self, base: Architecture) -> list[Setting]:
        """What it changes of SCNN."""
        parameters, flow = base.require_accelerator()
        products = self.weights * self.activations
        longer = self.output_channel_group / flow.output_channel_group_max
        larger = parameters.processing_elements / (self.pe_grid[0] * self.pe_grid[1])
        return [
            ("name", self.name),
            ("parameters.pe_x", self.pe_grid[0]),
            ("parameters.pe_y", self.pe_grid[1]),
            ("parameters.F", self.weights),
            ("parameters.I", self.activations),
            ("parameters.accumulator_banks", self.bank_factor * products),
            ("parameters.input_ram_bytes", round(parameters.input_ram_bytes * larger * self.ram_factor)),
            ("parameters.output_ram_bytes", round(parameters.output_ram_bytes * larger * self.ram_factor)),
            ("parameters.weight_buffer_bytes", round(parameters.weight_buffer_bytes * longer)),
            ("dataflow.output_channel_group_max", self.output_channel_group),
        ]


#: The design of Table II.
PAPER = Point((8, 8), 4, 4, 2, 1.0, 8)


def design_points() -> Iterator[Point]:
    """The whole space, in a fixed order."""
    for x, y in PE_GRIDS:
        per_pe = MULTIPLIERS // (x * y)
        for weights in (2**power for power in range(per_pe.bit_length())):
            activations = per_pe // weights
            if weights / activations not in ASPECTS:
                continue
            for banks in BANK_FACTORS:
                for ram in RAM_FACTORS:
                    for group in OUTPUT_CHANNEL_GROUPS:
                        yield Point((x, y), weights, activations, banks, ram, group)


def search(runs: Runs) -> pd.DataFrame:
    """Every design on every network: one row per network and design, and one for all three together.

    ``cycles`` and ``energy_pj`` are totals; ``cycles_ratio`` and ``energy_ratio`` are over the paper's design (of
    ``all three``: geometric means). ``front``: no other design is better in cycles, energy or area without being worse
    in another of them; ``paper``: the design of Table II. ``bank_conflicts`` are left out of the cycles of designs that
    are on no front without them.
    """
    import pandas as pd

    points = tuple(design_points())
    paper = points.index(PAPER)
    costs = _costs(runs, points, paper)
    rows = _described(points, costs)
    cycles = [*costs.cycles.T, costs.cycles.sum(axis=1)]
    energy = [*costs.energy_pj.T, costs.energy_pj.sum(axis=1)]
    frames = [
        rows.assign(
            network=network,
            cycles=cycles[place],
            energy_pj=energy[place],
            cycles_ratio=cycles_ratio,
            energy_ratio=energy_ratio,
            front=front,
            paper=[point == PAPER for point in points],
        )
        for place, (network, (cycles_ratio, energy_ratio), front) in enumerate(
            zip([*runs.networks, ALL], costs.ratios(paper), costs.fronts(paper), strict=True)
        )
    ]
    frame = pd.concat(frames, ignore_index=True)
    return frame[["network", *(name for name in frame if name != "network")]]


def _described(points: tuple[Point, ...], costs: _Costs) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "design": [point.name for point in points],
            "pes": [point.pe_grid[0] * point.pe_grid[1] for point in points],
            "pe_grid": [f"{point.pe_grid[0]} x {point.pe_grid[1]}" for point in points],
            "weight_vector": [point.weights for point in points],
            "activation_vector": [point.activations for point in points],
            "accumulator_banks": [point.bank_factor * point.weights * point.activations for point in points],
            "ram_factor": [point.ram_factor for point in points],
            "output_channel_group_max": [point.output_channel_group for point in points],
            "area_mm2": costs.area_mm2,
            "bank_conflicts": np.where(costs.with_banks, "counted", "left out"),
        }
    )


@dataclass(frozen=True)
class _Costs:
    """Cycles and energy, arrays (designs, networks); area and whether bank conflicts are counted, per design."""

    cycles: np.ndarray
    energy_pj: np.ndarray
    area_mm2: np.ndarray
    with_banks: np.ndarray

    def ratios(self, paper: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Cycles and energy over those of design ``paper``: of every network, and of all (geometric means)."""
        cycles, energy = self.cycles / self.cycles[paper], self.energy_pj / self.energy_pj[paper]
        yield from zip(cycles.T, energy.T, strict=True)
        yield np.exp(np.log(cycles).mean(axis=1)), np.exp(np.log(energy).mean(axis=1))

    def fronts(self, paper: int) -> list[np.ndarray]:
        """Which designs no other one beats in cycles, energy and area: by every network, and by all."""
        return [non_dominated(np.stack([*ratios, self.area_mm2], axis=1)) for ratios in self.ratios(paper)]


def _costs(runs: Runs, points: tuple[Point, ...], paper: int) -> _Costs:
    """All designs without bank conflicts, and with them those that may be on a front.

    Conflicts only add cycles. So a design that another one dominates, whose conflicts are counted, is on no front
    whatever its own add; where every design of a front is counted, the front is that of all designs with conflicts.
    """
    everything = np.arange(len(points))
    costs = _Costs(*_evaluated(runs, points, "none"), np.zeros(len(points), dtype=bool))
    wanted = everything == paper
    while wanted.any():
        places = everything[wanted]
        cycles, energy, _ = _evaluated(runs, tuple(points[place] for place in places), "queued")
        costs.cycles[places], costs.energy_pj[places], costs.with_banks[places] = cycles, energy, True
        wanted = np.any(costs.fronts(paper), axis=0) & ~costs.with_banks
    return costs


def _evaluated(
    runs: Runs, points: tuple[Point, ...], bank_contention: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cycles and energy, arrays (designs, networks), and area per design."""
    networks = list(runs.networks.values())
    layers = [len(network.layers) for network in networks]
    starts = np.cumsum([0, *layers[:-1]])
    cycles, energy, area = [], [], []
    base = runs.designs["scnn"]
    banks: Setting = ("dataflow.bank_contention", bank_contention)
    for first in range(0, len(points), _AT_ONCE):
        chosen = points[first : first + _AT_ONCE]
        evaluation = evaluate([runs.design("scnn", [*point.settings(base), banks]) for point in chosen], networks)
        shape = (len(chosen), sum(layers))
        cycles.append(np.add.reduceat(evaluation.layer_cycles.reshape(shape), starts, axis=1))
        energy.append(np.add.reduceat(evaluation.layer_energy_pj.reshape(shape), starts, axis=1))
        area.append(evaluation.unit_area_mm2.reshape(shape)[:, 0])
    return np.concatenate(cycles), np.concatenate(energy), np.concatenate(area)
