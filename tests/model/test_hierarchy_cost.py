"""Cycles and energy from counts: measured cases, hand-made facts, batches and symbols."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import sympy

from timeloop_py.model.hierarchy_cost import Cost, hierarchy_cost
from timeloop_py.model.network_hops import network_routes
from timeloop_py.nest.traffic import TensorTraffic, Traffic, count_traffic
from timeloop_py.specs.case import load_case
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.hierarchy import ComputeLevel, CountingOptions, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

CASES = Path(__file__).resolve().parents[1] / "data" / "timeloop_cases"
DENSE = sorted(path.parent.name for path in CASES.glob("d*/case.json"))

X, Y, TIME = LoopKind.SPATIAL_X, LoopKind.SPATIAL_Y, LoopKind.TEMPORAL


def ranks(*dims: str) -> tuple[Rank, ...]:
    return tuple(Rank(tuple(Term(dim) for dim in rank)) for rank in dims)


MATMUL = (Tensor("A", ranks("M", "K")), Tensor("B", ranks("K", "N")), Tensor("Z", ranks("M", "N"), is_output=True))


def storage(name: str, **fields: object) -> StorageLevel:
    energy = {"read": 1.0, "write": 2.0, "update": 3.0}
    return StorageLevel(name, **{"energy_pj": energy, **fields})  # type: ignore[arg-type]


def hierarchy(*levels: StorageLevel, macs: int = 1) -> Hierarchy:
    return Hierarchy(levels, ComputeLevel("MAC", macs, energy_pj={"compute": 0.5}))


def traffic(reads: object, fills: object, updates: object = 0, instances: object = 1, cycles: object = 10) -> Traffic:
    row = TensorTraffic("Buf", "A", 1, instances, fills, reads, updates, 0, 0, reads, 0)
    return Traffic((row,), computes=10, compute_cycles=cycles, used_lanes=1)


def cost_of_case(name: str, **changes: object) -> Cost:
    case = load_case(CASES / name / "case.json")
    options = CountingOptions(**changes)  # type: ignore[arg-type]
    return hierarchy_cost(count_traffic(case.problem, case.mapping, options), case.hierarchy, options)


def measured(case: str, table: str) -> list[dict[str, str]]:
    return list(csv.DictReader((CASES / case / table).read_text().splitlines()))


class TestMeasuredCases:
    @pytest.mark.parametrize("name", DENSE)
    def test_cycles_and_energy_are_the_measured_ones(self, name: str) -> None:
        # d22: that tool pads cycles of imperfect factors.
        cost = cost_of_case(name, padded_cycles=True)
        summary = json.loads((CASES / name / "summary.json").read_text())
        assert cost.cycles == summary["cycles"]
        assert cost.energy_pj == pytest.approx(summary["energy_pJ_total"], rel=1e-12)
        assert cost.energy_compute_pj == pytest.approx(summary["compute"]["energy_pJ"], rel=1e-12)
        for row in measured(name, "levels.csv"):
            place = row["level"], row["tensor"]
            assert cost.energy_storage_pj.get(place, 0) == pytest.approx(float(row["energy_total_pJ"]), rel=1e-12)

    def test_imperfect_factor_takes_only_the_cycles_it_computes(self) -> None:
        assert cost_of_case("d22_imperfect_p7").cycles == 21

    def test_throttled_case_names_the_bandwidth(self) -> None:
        cost = cost_of_case("d21_bandwidth_throttled")
        assert cost.binding == "DRAM.write_bandwidth"
        assert cost.resource_cycles == {
            "MAC": 48,
            "DRAM.read_bandwidth": 42,
            "DRAM.write_bandwidth": 64,
            "Buf.read_bandwidth": 64,
            "Buf.write_bandwidth": 35,
        }

    @pytest.mark.parametrize("name", ["d11_mm_spatial_multicast", "d13_mm_spatial_2d", "d14_conv1d_spatial_halo"])
    def test_hops_are_the_measured_ones(self, name: str) -> None:
        case = load_case(CASES / name / "case.json")
        levels = tuple(
            StorageLevel(level.name, level.instances, level.mesh_x, energy_per_hop_pj=1.0)
            for level in case.hierarchy.levels
        )
        routes = network_routes(case.problem, Hierarchy(levels, case.hierarchy.compute), case.mapping)
        hops = {(route.network, route.tensor): route.hops for route in routes}
        expected = {
            (row["network"].split(" to ")[0], row["tensor"]): float(row["avg_hops"])
            for row in measured(name, "networks.csv")
        }
        assert any(expected.values())
        assert {place: hops.get(place, 0) for place in expected} == expected


class TestEnergy:
    def test_energy_counts_lines_per_action(self) -> None:
        cost = hierarchy_cost(traffic(reads=5, fills=3, updates=9), hierarchy(storage("Buf", words_per_line=4)))
        assert cost.energy_storage_pj["Buf", "A"] == 2 * 1 + 1 * 2 + 3 * 3

    def test_an_access_without_energy_is_refused_only_where_it_happens(self) -> None:
        levels = hierarchy(storage("Buf", energy_pj={"read": 1.0}))
        assert hierarchy_cost(traffic(reads=5, fills=0), levels).energy_storage_pj["Buf", "A"] == 5
        with pytest.raises(SpecError, match="no energy for 'write'"):
            hierarchy_cost(traffic(reads=5, fills=1), levels)


class TestCycles:
    def test_reads_fills_and_updates_load_their_bandwidths(self) -> None:
        levels = hierarchy(storage("Buf", read_bandwidth=2.0, write_bandwidth=1.0, shared_bandwidth=4.0))
        cost = hierarchy_cost(traffic(reads=21, fills=5, updates=8), levels)
        assert cost.resource_cycles == {
            "MAC": 10,
            "Buf.read_bandwidth": 11,
            "Buf.write_bandwidth": 13,
            "Buf.shared_bandwidth": 9,
        }
        assert (cost.cycles, cost.binding) == (13, "Buf.write_bandwidth")

    def test_bandwidth_is_per_instance(self) -> None:
        levels = hierarchy(storage("Buf", instances=4, read_bandwidth=1.0), macs=4)
        assert hierarchy_cost(traffic(reads=48, fills=0, instances=4), levels).cycles == 12

    def test_decimal_bandwidth_divides_exactly(self) -> None:
        # In floating point 21 / 0.7 is a little more than 30.
        levels = hierarchy(storage("Buf", read_bandwidth=0.7))
        assert hierarchy_cost(traffic(reads=21, fills=0), levels).cycles == 30

    def test_latencies_of_all_networks_add_once(self) -> None:
        levels = hierarchy(
            storage("Top", network_fill_latency=3, network_drain_latency=4), storage("Buf", network_fill_latency=10)
        )
        cost = hierarchy_cost(traffic(reads=5, fills=5), levels)
        assert (cost.cycles, cost.compute_cycles, cost.binding) == (27, 10, "MAC")

    def test_compute_binds_where_it_ties(self) -> None:
        assert (
            hierarchy_cost(traffic(reads=10, fills=0), hierarchy(storage("Buf", read_bandwidth=1.0))).binding == "MAC"
        )


class TestNetworkEnergy:
    def evaluate(self, nodes: list[Loop | Store], levels: Hierarchy, problem: Problem, **options: object) -> Cost:
        mapping = Mapping(tuple(nodes))
        counting = CountingOptions(**options)  # type: ignore[arg-type]
        counted = count_traffic(problem, mapping, counting)
        return hierarchy_cost(counted, levels, counting, network_routes(problem, levels, mapping))

    def matmul_on_an_array(self, **options: object) -> Cost:
        """M on 3 rows, N on 4 columns; every RF works on its own output."""
        outer, inner = [Store("GLB", name) for name in "ABZ"], [Store("RF", name) for name in "ABZ"]
        nodes: list[Loop | Store] = [*outer, Loop("K", 5), Loop("N", 4, X), Loop("M", 3, Y), *inner]
        levels = Hierarchy(
            (storage("GLB", energy_per_hop_pj=10.0), storage("RF", instances=12, mesh_x=4)),
            ComputeLevel("MAC", 12, 4, {"compute": 0.5}),
        )
        return self.evaluate(nodes, levels, Problem({"M": 3, "N": 4, "K": 5}, MATMUL), **options)

    def test_rows_and_columns_by_hand(self) -> None:
        # Rows stand 1, 0, 1 from the middle. A: 3*5 words, to all 4 columns of one row: 3 + 4 * 2/3 hops on average.
        # B: 5*4 words, to 3 rows of one column: 3/2 + 2. Z: 12 results on their last visit, 5 times: 3/2 + 2/3.
        hops = 15 * (3 + 4 * 2 / 3) + 20 * (1.5 + 2) + 12 * (1.5 + 2 / 3)
        assert self.matmul_on_an_array().energy_network_pj == pytest.approx(10 * hops)

    @pytest.mark.parametrize(("used", "rows"), [(1, 1), (1, 2), (3, 4), (2, 5), (4, 5), (5, 5), (1, 6), (6, 6)])
    def test_words_enter_at_the_middle_of_all_rows(self, used: int, rows: int) -> None:
        # A goes to every row used; there is one column.
        problem = Problem({"M": 1, "N": used, "K": 1}, MATMUL)
        outer, inner = [Store("GLB", name) for name in "ABZ"], [Store("RF", name) for name in "ABZ"]
        levels = Hierarchy(
            (storage("GLB", energy_per_hop_pj=1.0), storage("RF", instances=rows, mesh_x=1)),
            ComputeLevel("MAC", rows, 1, {"compute": 0.5}),
        )
        distances = [abs(row - (rows - 1) / 2) for row in range(used)]
        cost = self.evaluate([*outer, Loop("N", used, Y), *inner], levels, problem)
        # A once to all rows, B and Z to (from) one row each.
        assert cost.energy_network_pj == pytest.approx(3 * sum(distances) if used > 1 else 0)

    def test_without_energy_per_hop_there_are_no_routes(self) -> None:
        case = load_case(CASES / "d13_mm_spatial_2d" / "case.json")
        assert network_routes(case.problem, case.hierarchy, case.mapping) == ()

    def test_sums_go_down_where_the_parent_does_not_accumulate(self) -> None:
        problem = Problem({"M": 4, "K": 6}, (Tensor("A", ranks("M", "K")), Tensor("Z", ranks("M"), is_output=True)))
        nodes: list[Loop | Store] = [
            *(Store("GLB", name) for name in "AZ"),
            Loop("K", 6),
            Loop("M", 2),
            Loop("M", 2, X),
            *(Store("RF", name) for name in "AZ"),
        ]
        levels = hierarchy(storage("GLB", energy_per_hop_pj=1.0), storage("RF", instances=2), macs=2)
        up, half_hop = 24, 0.5
        assert self.evaluate(nodes, levels, problem).energy_network_pj == (24 + up) * half_hop
        cost = self.evaluate(nodes, levels, problem, parent_accumulates=False)
        assert cost.energy_network_pj == (24 + up + up - 4) * half_hop

    def test_a_multicast_arrives_at_the_next_array_in_copies(self) -> None:
        # W goes from Top past the clusters to the RFs: to 2 clusters (1 hop), in each to 3 RFs (2 hops).
        problem = Problem({"K": 1, "P": 6}, (Tensor("W", ranks("K")), Tensor("Z", ranks("K", "P"), is_output=True)))
        nodes: list[Loop | Store] = [
            Store("Top", "W"),
            Store("Top", "Z"),
            Loop("P", 2, X),
            Store("Cluster", "Z"),
            Loop("P", 3, X),
            Store("RF", "W"),
            Store("RF", "Z"),
        ]
        levels = hierarchy(
            storage("Top", energy_per_hop_pj=1.0),
            storage("Cluster", instances=2, energy_per_hop_pj=100.0),
            storage("RF", instances=6),
            macs=6,
        )
        z = 6 * 0.5 + 6 * 1 * 100
        assert self.evaluate(nodes, levels, problem).energy_network_pj == 1 * 1 + 2 * 2 * 100 + z

    def test_diagonals_share_a_multicast(self) -> None:
        # Inputs[P + R] over 3 columns (P) and 2 rows (R): offsets 0, 1, 1, 2, 2, 3 are 4 words. Furthest columns 0,
        # 1, 2, 2; rows stand 1/2 from the middle, 6 instances.
        problem = Problem({"P": 3, "R": 2}, (Tensor("I", ranks("PR")), Tensor("O", ranks("P"), is_output=True)))
        nodes: list[Loop | Store] = [
            Store("GLB", "I"), Store("GLB", "O"), Loop("P", 3, X), Loop("R", 2, Y), Store("RF", "I"), Store("RF", "O")
        ]  # fmt: skip
        levels = Hierarchy(
            (storage("GLB", energy_per_hop_pj=1.0), storage("RF", instances=6, mesh_x=3)),
            ComputeLevel("MAC", 6, 3, {"compute": 0.5}),
        )
        outputs = 3 * (1 + 2 * 0.5)
        assert self.evaluate(nodes, levels, problem).energy_network_pj == (0 + 1 + 2 + 2) + 6 * 0.5 + outputs

    def test_a_batch_of_diagonals_counts_like_its_members(self) -> None:
        problem = Problem({"P": 12, "R": 2}, (Tensor("I", ranks("PR")), Tensor("O", ranks("P"), is_output=True)))
        levels = Hierarchy(
            (storage("GLB", energy_per_hop_pj=1.0), storage("RF", instances=12, mesh_x=6)),
            ComputeLevel("MAC", 12, 6, {"compute": 0.5}),
        )

        def nodes(columns: object, steps: object) -> list[Loop | Store]:
            return [
                Store("GLB", "I"), Store("GLB", "O"), Loop("P", columns, X), Loop("R", 2, Y),  # type: ignore[arg-type]
                Store("RF", "I"), Store("RF", "O"), Loop("P", steps),  # type: ignore[arg-type]
            ]  # fmt: skip

        columns = np.array([2, 3, 6, 3])
        batch = self.evaluate(nodes(columns, 12 // columns), levels, problem)
        single = [
            self.evaluate(nodes(int(count), 12 // int(count)), levels, problem).energy_network_pj for count in columns
        ]
        assert batch.energy_network_pj.tolist() == single


class TestBatchesAndSymbols:
    def nodes(self, outer: object, inner: object) -> Mapping:
        return Mapping(
            (
                *(Store("DRAM", name) for name in "ABZ"),
                Loop("M", outer),  # type: ignore[arg-type]
                Loop("K", 8),
                *(Store("Buf", name) for name in "ABZ"),
                Loop("M", inner),  # type: ignore[arg-type]
                Loop("N", 4),
            )
        )

    def levels(self) -> Hierarchy:
        return hierarchy(
            storage("DRAM", read_bandwidth=0.5, write_bandwidth=0.7, words_per_line=2), storage("Buf", words_per_line=4)
        )

    def cost(self, outer: object, inner: object) -> Cost:
        problem = Problem({"M": 24, "K": 8, "N": 4}, MATMUL)
        return hierarchy_cost(count_traffic(problem, self.nodes(outer, inner)), self.levels())

    def test_a_batch_is_its_members(self) -> None:
        outer = np.array([1, 2, 3, 4, 6, 8, 12, 24])
        batch = self.cost(outer, 24 // outer)
        single = [self.cost(int(count), 24 // int(count)) for count in outer]
        assert batch.cycles.tolist() == [cost.cycles for cost in single]
        assert batch.energy_pj.tolist() == [cost.energy_pj for cost in single]
        assert batch.binding.tolist() == [cost.binding for cost in single]
        assert len(set(batch.binding.tolist())) > 1

    def test_symbols_give_the_formula(self) -> None:
        outer = sympy.Symbol("M1", integer=True, positive=True)
        inner = sympy.Symbol("M0", integer=True, positive=True)
        cost = self.cost(outer, inner)
        assert cost.cycles.has(sympy.Max)
        for count in (1, 4, 24):
            numbers = {outer: count, inner: 24 // count}
            assert cost.cycles.subs(numbers) == self.cost(count, 24 // count).cycles
            assert float(cost.energy_pj.subs(numbers)) == pytest.approx(self.cost(count, 24 // count).energy_pj)
        with pytest.raises(TypeError, match="symbols"):
            _ = cost.binding
