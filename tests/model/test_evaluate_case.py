"""Cases evaluated whole: the measured ones, and what is refused."""

import ast
import csv
import dataclasses
import json
from pathlib import Path

import pytest

from timeloop_py.model.evaluate_case import CaseEvaluation, CaseRow, evaluate_case
from timeloop_py.specs.case import Case, load_case
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.hierarchy import CountingOptions

CASES = Path(__file__).resolve().parents[1] / "data" / "timeloop_cases"
DENSE = sorted(path.parent.name for path in CASES.glob("d*/case.json"))
SPARSE = sorted(path.parent.name for path in CASES.glob("s*/case.json"))


def case(name: str, **options: object) -> Case:
    loaded = load_case(CASES / name / "case.json")
    changed: CountingOptions = dataclasses.replace(loaded.options, **options)  # type: ignore[arg-type]
    return dataclasses.replace(loaded, options=changed)


def evaluated(name: str, **options: object) -> CaseEvaluation:
    return evaluate_case(case(name, **options))


def of(evaluation: CaseEvaluation, level: str, tensor: str) -> CaseRow:
    return next(row for row in evaluation.rows if (row.level, row.tensor) == (level, tensor))


def measured_levels(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((CASES / name / "levels.csv").read_text().splitlines()))


def measured_summary(name: str) -> dict[str, object]:
    summary: dict[str, object] = json.loads((CASES / name / "summary.json").read_text())
    return summary


class TestDenseCases:
    @pytest.mark.parametrize("name", DENSE)
    def test_everything_measured_is_met_exactly(self, name: str) -> None:
        evaluation = evaluated(name, padded_cycles=True)
        summary = measured_summary(name)
        assert evaluation.cycles == summary["cycles"]
        assert evaluation.energy_pj == pytest.approx(summary["energy_pJ_total"], rel=1e-12)
        assert evaluation.computes == summary["compute"]["algorithmic_computes"]  # type: ignore[index]
        rows = {(row.level, row.tensor): row for row in evaluation.rows}
        for line in measured_levels(name):
            instances = int(line["utilized_instances"])
            row = rows.pop((line["level"], line["tensor"]), None)
            counts = [
                int(line[f"{count}_per_instance"]) * instances
                for count in ("reads", "fills", "updates", "temporal_reductions")
            ]
            if row is None:
                assert not any(counts)
                continue
            assert [row.reads, row.fills, row.updates, row.temporal_reductions] == counts
            assert row.capacity_words == int(line["utilized_capacity_words"])
            assert row.energy_pj == pytest.approx(float(line["energy_total_pJ"]), rel=1e-12)
        assert not rows

    def test_imperfect_factor_is_exact_and_padded_on_request(self) -> None:
        name = "d22_imperfect_p7"
        assert (evaluated(name).computes, evaluated(name).cycles) == (21, 21)
        assert evaluated(name, padded_cycles=True).cycles == 24

    def test_energy_adds_up(self) -> None:
        evaluation = evaluated("d13_mm_spatial_2d")
        parts = sum(row.energy_pj for row in evaluation.rows)
        assert evaluation.energy_pj == parts + evaluation.energy_compute_pj + evaluation.energy_network_pj
        assert evaluation.edp_pj_cycles == evaluation.energy_pj * evaluation.cycles


class TestSparseCases:
    @pytest.mark.parametrize("name", SPARSE)
    def test_everything_measured_is_met_in_the_convention_of_sparseloop(self, name: str) -> None:
        evaluation = evaluated(name)
        summary = measured_summary(name)
        compute = summary["compute"]
        assert isinstance(compute, dict)
        assert evaluation.cycles == summary["cycles"]
        assert evaluation.energy_pj == pytest.approx(summary["energy_pJ_total"], rel=1e-8)
        assert evaluation.sparse == {
            f"{mode}_computes": compute[f"{mode}_computes"] for mode in ("actual", "gated", "skipped")
        }
        rows = {(row.level, row.tensor): row for row in evaluation.rows}
        for line in measured_levels(name):
            row = rows.pop((line["level"], line["tensor"]), None)
            if row is None:
                assert not float(line["reads_per_instance"]) + float(line["updates_per_instance"])
                continue
            instances = float(line["utilized_instances"])
            for access in ("reads", "fills", "updates"):
                for mode in ("actual", "gated", "skipped"):
                    column = f"{mode}_{access}"
                    expected = float(line[f"{column}_per_instance"]) * instances
                    assert row.sparse[column] == pytest.approx(expected, rel=1e-9), (line["level"], column)
                words = sum(sum(rank) for rank in ast.literal_eval(line[f"metadata_{access}_by_rank"]))
                assert row.sparse[f"metadata_{access}"] == pytest.approx(words * instances, rel=1e-9)
                assert getattr(row, access) == int(line[f"{access}_per_instance"])
            assert row.temporal_reductions == pytest.approx(float(line["temporal_reductions_per_instance"]) * instances)
            assert row.capacity_words == int(line["utilized_capacity_words"])
            assert row.energy_pj == pytest.approx(float(line["energy_total_pJ"]), rel=1e-7)
        assert not rows

    def test_files_with_a_sparse_section_are_evaluated_like_sparseloop(self) -> None:
        assert case("s02_dot_gate_B_on_A").options.convention == "sparseloop"
        assert evaluated("s02_dot_gate_B_on_A").cycles == 4


class TestPhysicalConvention:
    def test_gating_saves_energy_but_no_time(self) -> None:
        name = "s02_dot_gate_B_on_A"
        gated = evaluated(name, convention="physical")
        assert gated.cycles == 16
        assert gated.sparse == {"actual_computes": 4, "gated_computes": 12, "skipped_computes": 0}
        # B: 4 reads of 6 pJ and 12 gated of 0.2; Z: a quarter of 15 reads and 16 updates, the rest gated.
        assert of(gated, "Buf", "B").energy_pj == pytest.approx(4 * 6 + 12 * 0.2)
        assert of(gated, "Buf", "Z").energy_pj == pytest.approx(31 * (0.25 * 6 + 0.75 * 0.2))
        assert gated.energy_compute_pj == pytest.approx(4 * 1.0 + 12 * 0.1)

    def test_skipping_saves_both(self) -> None:
        skipped = evaluated("s03_dot_skip_B_on_A_CP", convention="physical")
        assert skipped.cycles == pytest.approx(4)
        assert skipped.sparse == pytest.approx({"actual_computes": 4, "gated_computes": 0, "skipped_computes": 12})

    def test_an_intersection_reads_the_metadata_of_both_sides(self) -> None:
        name = "s05_dot_two_sided_skip"
        both, average = evaluated(name, convention="physical"), evaluated(name)
        metadata = [of(both, "Buf", tensor).sparse["metadata_reads"] for tensor in "AB"]
        assert metadata == pytest.approx([4, 8])
        assert [of(average, "Buf", tensor).sparse["metadata_reads"] for tensor in "AB"] == [2, 2]

    def test_expectations_are_not_rounded(self) -> None:
        # P(two of 16 positions with 4 non-zeros are empty) = C(12,2) / C(16,2) = 0.55.
        lines = evaluated("s15_block_size_2", convention="physical")
        assert lines.cycles == pytest.approx(16 * 0.45)
        assert of(lines, "Buf", "B").sparse["actual_reads"] == pytest.approx(16 * 0.45)
        assert evaluated("s15_block_size_2").cycles == 8

    @pytest.mark.parametrize("name", SPARSE)
    def test_where_no_tensor_has_zeros_both_conventions_are_the_dense_case(self, name: str) -> None:
        sparse = case(name)
        ones = {tensor.name: {"distribution": "fixed", "density": 1.0} for tensor in sparse.problem.tensors}
        full = dataclasses.replace(sparse, problem=dataclasses.replace(sparse.problem, densities=ones))
        dense = evaluate_case(dataclasses.replace(full, sparsity=None))
        for convention in ("physical", "sparseloop"):
            options = dataclasses.replace(full.options, convention=convention)
            both = evaluate_case(dataclasses.replace(full, options=options))
            assert both.cycles == pytest.approx(dense.cycles)
            assert both.energy_compute_pj == pytest.approx(dense.energy_compute_pj)
            for row, other in zip(both.rows, dense.rows, strict=True):
                assert row.sparse["actual_reads"] == pytest.approx(other.reads)
                assert row.sparse["actual_fills"] == pytest.approx(other.fills)
                assert row.sparse["actual_updates"] == pytest.approx(other.updates)
                # All that is added is metadata.
                if not row.sparse["metadata_reads"]:
                    assert row.energy_pj == pytest.approx(other.energy_pj)

    @pytest.mark.parametrize("name", SPARSE)
    def test_nothing_that_happens_exceeds_the_dense_count(self, name: str) -> None:
        evaluation = evaluated(name, convention="physical")
        assert sum(evaluation.sparse.values()) == pytest.approx(evaluation.computes)
        for row in evaluation.rows:
            for access in ("reads", "fills", "updates"):
                modes = [row.sparse[f"{mode}_{access}"] for mode in ("actual", "gated", "skipped")]
                assert sum(modes) <= getattr(row, access) + 1e-9


class TestRefusals:
    def changed(self, tmp_path: Path, name: str, old: str, new: str) -> Path:
        text = (CASES / name / "case.json").read_text()
        assert text.count(old) == 1
        path = tmp_path / "case.json"
        path.write_text(text.replace(old, new))
        return path

    def test_tiles_that_do_not_fit_are_named_with_their_place(self, tmp_path: Path) -> None:
        path = self.changed(tmp_path, "d02_conv1d_2level_ws", '"capacity_words": 64', '"capacity_words": 32')
        # 1 weight, 16 inputs and 16 outputs.
        with pytest.raises(
            SpecError, match=r"case\.json.*'Buf' exceed it by 1 words: Inputs 16, Outputs 16, Weights 1"
        ):
            evaluate_case(load_case(path))

    def test_multiple_buffering_halves_the_capacity(self, tmp_path: Path) -> None:
        path = self.changed(
            tmp_path, "d02_conv1d_2level_ws", '"capacity_words": 64', '"capacity_words": 64, "multiple_buffering": 2'
        )
        with pytest.raises(SpecError, match="32 usable, its capacity over multiple_buffering 2"):
            evaluate_case(load_case(path))

    def test_compression_makes_a_tile_fit(self, tmp_path: Path) -> None:
        # A of 4 non-zeros, B of 16 words and Z of 1.
        fits = self.changed(tmp_path, "s03_dot_skip_B_on_A_CP", '"capacity_words": 64', '"capacity_words": 21')
        assert evaluate_case(load_case(fits)).cycles == 4
        too_small = self.changed(tmp_path, "s03_dot_skip_B_on_A_CP", '"capacity_words": 64', '"capacity_words": 20')
        with pytest.raises(SpecError, match="exceed it by 1 words"):
            evaluate_case(load_case(too_small))

    def test_loops_that_miss_a_part_of_the_problem_are_refused_before_counting(self, tmp_path: Path) -> None:
        path = self.changed(tmp_path, "d02_conv1d_2level_ws", '[["P", 16]]', '[["P", 8]]')
        with pytest.raises(SpecError, match="P run 8, P is 16"):
            evaluate_case(load_case(path))


class TestForms:
    def test_rows_have_the_columns_of_the_design(self) -> None:
        (first, *_) = evaluated("d11_mm_spatial_multicast").to_rows()
        assert list(first) == [
            "level",
            "tensor",
            "reads",
            "fills",
            "updates",
            "temporal_reductions",
            "capacity_words",
            "energy_pj",
        ]

    def test_levels_come_outermost_first_and_tensors_in_the_order_of_the_problem(self) -> None:
        rows = evaluated("d11_mm_spatial_multicast").to_rows()
        assert [(row["level"], row["tensor"]) for row in rows] == [
            (level, tensor) for level in ("DRAM", "GLB", "RF") for tensor in "ABZ"
        ]

    def test_dictionary_is_ready_for_json(self) -> None:
        plain = json.loads(json.dumps(evaluated("s18_tile_stream_skip_hypergeo").to_dict()))
        assert plain["case"] == "s18_tile_stream_skip_hypergeo"
        assert (plain["cycles"], plain["computes"], plain["actual_computes"]) == (32, 512, 32)
        assert plain["binding"] == "MAC"
        assert len(plain["accesses"]) == 6
        assert plain["energy_pj"] == pytest.approx(
            sum(row["energy_pj"] for row in plain["accesses"]) + plain["energy_compute_pj"] + plain["energy_network_pj"]
        )
