"""Evaluation of a case: a mapping checked, counted and priced."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from timeloop_py.model.hierarchy_cost import Accesses, Cost, assemble_cost, hierarchy_cost, network_energy_pj
from timeloop_py.model.network_hops import Route, network_routes
from timeloop_py.nest.checks import check_mapping
from timeloop_py.nest.traffic import TensorTraffic, Traffic, count_traffic
from timeloop_py.sparsity.accesses import SparseCounts, SparseRow, Split
from timeloop_py.sparsity.actions import Densities
from timeloop_py.sparsity.physical import physical_counts
from timeloop_py.sparsity.sparseloop import sparseloop_counts
from timeloop_py.sparsity.tiles import Tiles
from timeloop_py.specs.case import Case, Sparsity
from timeloop_py.specs.problem import Problem
from timeloop_py.tensors.density import Fixed
from timeloop_py.tensors.density_file import density_from_parameters

Number = int | float


@dataclass(frozen=True)
class CaseRow:
    """Accesses of one tensor at one level, over all instances: words, and pJ of the storage.

    ``reads``, ``fills`` and ``updates`` disregard zeros; ``sparse`` says what zeros leave of them (empty: the case
    has no sparse section). ``capacity_words`` is what the fullest tile takes, per instance.
    """

    level: str
    tensor: str
    reads: Number
    fills: Number
    updates: Number
    temporal_reductions: Number
    capacity_words: Number
    energy_pj: float
    #: ``actual_reads``, ``gated_reads``, ..., ``metadata_reads``, ...
    sparse: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, str | Number]:
        """By column name."""
        row = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "sparse"}
        return row | dict(self.sparse)


@dataclass(frozen=True)
class CaseEvaluation:
    """Result of a case. Energies are pJ over all instances; counts are exact, or expectations where zeros count."""

    name: str
    description: str
    rows: tuple[CaseRow, ...]
    cycles: Number
    compute_cycles: Number
    #: multiply-accumulates of the problem
    computes: int
    #: storage, compute and network together
    energy_pj: float
    energy_compute_pj: float
    energy_network_pj: float
    #: the resource that takes the most cycles: compute by its name, a bandwidth as ``Level.read_bandwidth``
    binding: str
    #: ``actual_computes``, ``gated_computes``, ``skipped_computes``; empty without a sparse section
    sparse: Mapping[str, float] = field(default_factory=dict)

    @property
    def edp_pj_cycles(self) -> float:
        """Energy times delay."""
        return self.energy_pj * self.cycles

    def scalars(self) -> dict[str, str | Number]:
        """By name, without the name of the case."""
        names = ("cycles", "compute_cycles", "computes", "energy_pj", "energy_compute_pj", "energy_network_pj")
        return {name: getattr(self, name) for name in names} | dict(self.sparse) | {"binding": self.binding}

    def to_rows(self) -> list[dict[str, str | Number]]:
        """One dictionary per level and tensor, levels outermost first."""
        return [row.to_dict() for row in self.rows]

    def to_dict(self) -> dict[str, object]:
        """Everything, ready for JSON: the scalars, and the rows in a list ``accesses``."""
        return {"case": self.name, **self.scalars(), "accesses": self.to_rows()}


def evaluate_case(case: Case) -> CaseEvaluation:
    """Check the mapping of a case, count its accesses, and price them.

    With a sparse section, what zeros save is counted in the convention that the case's options name. Raises SpecError
    where the mapping is not one of this problem onto this hierarchy, or does not fit.
    """
    check_mapping(case.problem, case.hierarchy, case.mapping)
    traffic = count_traffic(case.problem, case.mapping, case.options)
    routes = network_routes(case.problem, case.hierarchy, case.mapping)
    counts = None if case.sparsity is None else _sparse_counts(case, case.sparsity, traffic)
    tile_words = {(row.level, row.tensor): row.tile_words for row in traffic.rows}
    if counts is not None:
        tile_words = {(row.level, row.tensor): row.capacity_words for row in counts.rows}
    check_mapping(case.problem, case.hierarchy, case.mapping, tile_words)

    if counts is None:
        return _result(case, traffic, hierarchy_cost(traffic, case.hierarchy, case.options, routes))
    return _result(case, traffic, _sparse_cost(case, traffic, counts, routes), counts)


def density_models(problem: Problem, tiles: Tiles) -> Densities:
    """The density model of every tensor; one without a density is dense."""
    return {
        tensor.name: density_from_parameters(
            problem.densities[tensor.name], tiles.tensor_shape(tensor.name), tensor.name
        )
        if tensor.name in problem.densities
        else Fixed(1.0)
        for tensor in problem.tensors
    }


def _sparse_counts(case: Case, sparsity: Sparsity, traffic: Traffic) -> SparseCounts:
    tiles = Tiles(case.problem, case.hierarchy, case.mapping)
    count = sparseloop_counts if case.options.convention == "sparseloop" else physical_counts
    densities = density_models(case.problem, tiles)
    return count(tiles, sparsity, densities, traffic.rows, traffic.computes, traffic.compute_cycles)


def _sparse_cost(case: Case, traffic: Traffic, counts: SparseCounts, routes: tuple[Route, ...]) -> Cost:
    compute, computes = case.hierarchy.compute, counts.computes
    return assemble_cost(
        case.hierarchy,
        [
            Accesses(row.level, row.tensor, row.instances, row.lines, row.read_words, row.written_words)
            for row in counts.rows
        ],
        compute_cycles=computes.cycles,
        energy_compute_pj=computes.actual * compute.compute_energy_pj
        + computes.gated * compute.gated_energy_pj
        + computes.skipped * compute.skipped_energy_pj,
        energy_network_pj=network_energy_pj(_travelling(case, traffic, counts), case.hierarchy, case.options, routes),
        whole_cycles=case.options.convention == "sparseloop",
    )


def _travelling(case: Case, traffic: Traffic, counts: SparseCounts) -> Traffic:
    """What zeros leave of the words on the networks; all of them in Sparseloop's convention."""
    if case.options.convention == "sparseloop":
        return traffic
    rows = [
        dataclasses.replace(
            row,
            sent_down=row.sent_down * _share(left.reads, row.reads),
            updates=row.updates * _share(left.updates, row.updates),
        )
        for left, row in zip(counts.rows, traffic.rows, strict=True)
    ]
    return dataclasses.replace(traffic, rows=tuple(rows))


def _share(split: Split, words: Number) -> float:
    return split.actual / words if words else 1.0


def _result(case: Case, traffic: Traffic, cost: Cost, counts: SparseCounts | None = None) -> CaseEvaluation:
    sparse_rows = {} if counts is None else {(row.level, row.tensor): row for row in counts.rows}
    places = [
        (level, tensor.name)
        for level in case.hierarchy.names
        for tensor in case.problem.tensors
        if (level, tensor.name) in traffic
    ]
    return CaseEvaluation(
        name=case.name,
        description=case.description,
        rows=tuple(
            _row(traffic.of(*place), float(cost.energy_storage_pj[place]), sparse_rows.get(place)) for place in places
        ),
        cycles=cost.cycles,
        compute_cycles=cost.compute_cycles,
        computes=traffic.computes,
        energy_pj=float(cost.energy_pj),
        energy_compute_pj=float(cost.energy_compute_pj),
        energy_network_pj=float(cost.energy_network_pj),
        binding=cost.binding,
        sparse={}
        if counts is None
        else {f"{mode}_computes": getattr(counts.computes, mode) for mode in ("actual", "gated", "skipped")},
    )


def _row(dense: TensorTraffic, energy_pj: float, sparse: SparseRow | None) -> CaseRow:
    row = CaseRow(
        level=dense.level,
        tensor=dense.tensor,
        reads=dense.reads,
        fills=dense.fills,
        updates=dense.updates,
        temporal_reductions=dense.temporal_reductions,
        capacity_words=dense.tile_words,
        energy_pj=energy_pj,
    )
    if sparse is None:
        return row
    columns: dict[str, float] = {}
    for access in ("reads", "fills", "updates"):
        for mode in ("actual", "gated", "skipped"):
            columns[f"{mode}_{access}"] = getattr(getattr(sparse, access), mode)
    for access in ("metadata_reads", "metadata_fills", "metadata_updates"):
        columns[access] = getattr(sparse, access).actual
    return dataclasses.replace(
        row,
        temporal_reductions=sparse.temporal_reductions,
        capacity_words=sparse.capacity_words,
        sparse=columns,
    )
