"""``timeloop-py search`` and what ``evaluate`` makes of its files, run as a user runs them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from tests.cli.command import case_path, from_csv, from_json, rows_of, run
from timeloop_py.cli.search_progress import SearchBar
from timeloop_py.mapper import workers
from timeloop_py.mapper.workers import SearchProgress
from timeloop_py.specs.library import folder

SMALL = ("--arch", "simple3", "--shape", "K=16,C=16,P=8,Q=8")
TINY = ("--arch", "simple3", "--shape", "K=4,C=4,P=4")
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "pt_is_cp_dense.yaml"
KEYS = ["cycles", "energy_pj", "edp_pj_cycles", "proven_optimal", "lower_bound", "mappings_covered", "mapping"]


def network(tmp_path: Path) -> Path:
    """Three layers, two of one shape."""
    layers = [
        {"name": "a", "K": 4, "C": 4, "W": 4, "H": 1, "R": 1, "S": 1},
        {"name": "b/1x1", "K": 4, "C": 4, "W": 4, "H": 1, "R": 1, "S": 1},
        {"name": "c", "K": 2, "C": 4, "W": 4, "H": 1, "R": 3, "S": 1, "padding": [1, 0]},
    ]
    path = tmp_path / "net.yaml"
    path.write_text(yaml.safe_dump({"name": "net", "layers": layers}))
    return path


def test_json_of_one_layer() -> None:
    found = from_json("search", *SMALL, "--objective", "energy")
    assert list(found) == KEYS
    assert found["energy_pj"] == found["lower_bound"] == 571_648
    assert found["proven_optimal"] is True
    assert found["mappings_covered"] > 1000
    assert found["edp_pj_cycles"] == found["energy_pj"] * found["cycles"]
    assert found["mapping"][0] == {"store": ["DRAM", "Weights"]}
    assert all(len(node) == 1 for node in found["mapping"])


def test_table_of_one_layer() -> None:
    text = run("search", *SMALL, "--objective", "energy").stdout
    assert "store Weights in DRAM" in text
    assert "parallel-for" in text
    assert "energy 571648 pJ" in text
    assert "least energy of the placement space, proven" in text


def test_csv_of_one_layer() -> None:
    (row,) = from_csv("search", *SMALL, "--objective", "energy", "--space", "level")
    assert row["layer"] == "K16_C16_P8_Q8"
    assert row["space"] == "level"
    assert float(row["energy_pj"]) >= 571_648
    assert json.loads(row["mapping"])[0] == {"store": ["DRAM", "Weights"]}


def test_the_folder_is_taken_back_by_evaluate(tmp_path: Path) -> None:
    found = from_json("search", *SMALL, "-o", tmp_path / "out")
    out = tmp_path / "out"
    case = from_json("evaluate", out / "K16_C16_P8_Q8.case.yaml")
    by_file = from_json("evaluate", *SMALL, "--mapping", out / "K16_C16_P8_Q8.mapping.yaml")
    by_folder = from_json("evaluate", *SMALL, "--mapping", out)
    for evaluated in (case, by_file, by_folder):
        assert (evaluated["cycles"], evaluated["energy_pj"]) == (found["cycles"], found["energy_pj"])
    assert run("validate", out / "K16_C16_P8_Q8.case.yaml").stdout.startswith("ok  case")
    (row,) = rows_of((out / "results.csv").read_text())
    assert float(row["energy_pj"]) == found["energy_pj"]
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["command"][:2] == ["timeloop-py", "search"]
    assert "architecture simple3" in provenance["specs"]
    assert set(provenance["files"]) == {path.name for path in out.iterdir()} - {"provenance.json"}


def test_a_network_in_one_call(tmp_path: Path) -> None:
    path = network(tmp_path)
    found = from_json("search", "--arch", "simple3", "--network", path, "-o", tmp_path / "out")
    assert [one["layer"] for one in found] == ["a", "b/1x1", "c"]
    assert list(found[0]) == ["architecture", "network", "layer", *KEYS]
    assert found[0]["mapping"] == found[1]["mapping"]
    text = run("search", "--arch", "simple3", "--network", path, "--jobs", 1).stdout
    assert "as a" in text
    total = next(line for line in text.splitlines() if line.startswith("total"))
    assert f"{sum(one['cycles'] for one in found):.0f}" in total.split()
    evaluated = from_json("evaluate", "--arch", "simple3", "--network", path, "--mapping", tmp_path / "out")
    assert [one["energy_pj"] for one in evaluated] == [one["energy_pj"] for one in found]
    one_layer = from_json("search", "--arch", "simple3", "--network", path, "--layer", "1x1")
    assert one_layer["energy_pj"] == found[1]["energy_pj"]


def test_pareto_front(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = from_json("search", *SMALL, "--pareto", "energy_pj,cycles", "-o", out)
    points = [(one["energy_pj"], one["cycles"]) for one in found["pareto"]]
    assert len(points) > 1
    assert points == sorted(points)
    assert [cycles for _, cycles in points] == sorted((cycles for _, cycles in points), reverse=True)
    assert found["pareto_complete"] is True
    assert min(energy * cycles for energy, cycles in points) == found["edp_pj_cycles"]
    with (out / "pareto.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(float(row["energy_pj"]), float(row["cycles"])) for row in rows] == points
    assert (out / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "pareto.pdf").exists()
    text = run("search", *SMALL, "--pareto", "energy,edp").stdout
    assert "Pareto front in energy_pj and edp_pj_cycles" in text


def test_constraints_and_settings() -> None:
    free = from_json("search", *SMALL, "--objective", "cycles")
    bound = from_json("search", *SMALL, "--objective", "cycles", "--constraint", "spatial.GLB.x.K=1")
    slow = from_json("search", *SMALL, "--objective", "cycles", "--set", "simple3.levels.DRAM.shared_bandwidth=1")
    # 2,304 words over DRAM, four a cycle; 16,384 MACs on 1 x 16 PEs; 2,304 words, one a cycle.
    assert (free["cycles"], bound["cycles"], slow["cycles"]) == (576, 1024, 2304)


def test_a_planar_tiled_accelerator(tmp_path: Path) -> None:
    layer = ("--shape", "K=13,C=5,P=9,Q=6,R=3,S=3,pad=1")
    density = ("--weight-density", 0.4, "--activation-density", 0.5)
    out = tmp_path / "out"
    found = from_json("search", "--arch", "scnn", *layer, *density, "--pareto", "energy_pj,cycles", "-o", out)
    assert list(found)[: len(KEYS)] == KEYS
    assert found["proven_optimal"] is True
    assert found["lower_bound"] == found["edp_pj_cycles"]
    assert set(found["mapping"]) == {"parameters", "dataflow"}
    (arch,) = out.glob("*.arch.yaml")
    again = from_json("evaluate", "--arch", arch, *layer, *density)
    assert again["cycles"] == pytest.approx(found["cycles"], rel=1e-12)
    assert again["energy_pj"] == pytest.approx(found["energy_pj"], rel=1e-12)
    text = run("search", "--arch", "scnn", *layer, *density).stdout
    assert "least EDP of the planar space, proven" in text


def test_a_case_file_is_searched() -> None:
    path = case_path("d07_")
    found = from_json("search", path, "--objective", "energy", "--space", "level")
    recorded = from_json("evaluate", path)
    assert found["energy_pj"] <= recorded["energy_pj"]
    assert found["proven_optimal"] is True


def test_a_dataflow_of_the_paper_as_constraints() -> None:
    found = from_json("search", EXAMPLE, "--space", "level")
    assert found["proven_optimal"] is True
    level, loops = "", []
    for node in found["mapping"]:
        ((kind, (name, argument)),) = node.items()
        if kind == "store":
            level = name
        else:
            loops.append((level, kind, name))
            assert argument > 1
    # Planar tiling, groups of output channels outside input channels, inputs stationary, a Cartesian product inside.
    allowed = {
        ("DRAM", "spatial_x"): "W",
        ("DRAM", "spatial_y"): "H",
        ("ActivationRAM", "loop"): "K",
        ("Accumulator", "loop"): "C",
        ("WeightBuffer", "loop"): "WH",
        ("OperandRegister", "loop"): "KRS",
        ("OperandRegister", "spatial_x"): "WH",
        ("OperandRegister", "spatial_y"): "KRS",
    }
    assert all(name in allowed[at, kind] for at, kind, name in loops)


def test_nothing_fits() -> None:
    result = run("search", *TINY, "--set", "simple3.levels.RF.capacity_words=2", "--format", "json", code=1)
    found = json.loads(result.stdout)
    assert found["mapping"] is None
    assert found["cycles"] is None
    assert found["proven_optimal"] is False
    assert found["diagnosis"]
    assert "no mapping fits" in result.stderr
    assert "RF" in result.stderr
    table = run("search", *TINY, "--set", "simple3.levels.RF.capacity_words=2", code=1)
    assert "no mapping" in table.stdout


def test_the_time_ends() -> None:
    layer = ("--arch", "simple3", "--shape", "K=256,C=256,P=14,Q=14,R=3,S=3,pad=1")
    found = from_json("search", *layer, "--time-limit", 1e-6)
    assert found["proven_optimal"] is False
    assert 0 < found["lower_bound"] < found["edp_pj_cycles"]
    assert found["mapping"]
    text = run("search", *layer, "--time-limit", 1e-6).stdout
    assert "best found in time" in text
    assert "no mapping of the placement space is below" in text


def test_an_interrupted_search_prints_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[object] = []
    run_turn = workers._Turn.run

    def interrupted(turn: workers._Turn, *arguments: object) -> object:
        if searched:
            raise KeyboardInterrupt
        searched.append(turn)
        return run_turn(turn, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(workers._Turn, "run", interrupted)
    path = network(tmp_path)
    result = run("search", "--arch", "simple3", "--network", path, "--jobs", 1, "--format", "csv", code=130)
    assert [row["layer"] for row in rows_of(result.stdout)] == ["a", "b/1x1"]
    assert "of 3 layers, 2 are shown" in result.stderr


def test_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timeloop_py.cli.search_progress.time.monotonic", lambda: 100.0)
    bar = SearchBar(60.0)
    line = bar.line(SearchProgress(1, 4, "conv2: edp_pj_cycles", 200.0, 100.0))
    assert line == "[########------------] 1/4  conv2: edp_pj_cycles, best 200, none below 100 (50.0%), 60 s left"
    assert bar.line(SearchProgress(4, 4)) == "[####################] 4/4, 60 s left"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--arch"),
        (["--arch", "simple3"], "--network"),
        (["--arch", "simpel3", "--shape", "K=4"], "did you mean 'simple3'"),
        ([*TINY, "--objective", "epd"], "did you mean 'edp'"),
        ([*TINY, "--pareto", "cycles"], "two or three"),
        ([*TINY, "--constraint", "factors.GLB.Z=1"], "unknown dimension 'Z'"),
        ([*TINY, "--constraint", "factors.GBL.K=1"], "did you mean 'GLB'"),
        ([*TINY, "--constraint", "nonsense"], "--constraint"),
        ([*TINY, "--time-limit", "-1"], "above 0"),
        ([*TINY, "--density", "0.5"], "dense"),
        (["--arch", "eyeriss", "--shape", "K=4"], "nothing is left to search"),
        (["--arch", "scnn", "--shape", "K=4", "--constraint", "keep.RF=all"], "planar-tiled"),
        (["--arch", "simple3", case_path("d07_")], "belongs to an architecture"),
        ([case_path("s01_")], "dense operands"),
    ],
)
def test_bad_input(arguments: list[str], named: str) -> None:
    result = run("search", *arguments, code=2)
    assert named in result.stderr
    assert not result.stdout


def test_evaluate_on_a_hierarchy_needs_a_mapping(tmp_path: Path) -> None:
    assert "timeloop-py search" in run("evaluate", "--arch", "simple3", "--network", "alexnet", code=2).stderr
    mapping = tmp_path / "m.yaml"
    mapping.write_text("- {store: [DRAM, Weights]}\n")
    many = run("evaluate", "--arch", "simple3", "--network", "alexnet", "--mapping", mapping, code=2)
    assert "--layer" in many.stderr
    assert "hierarchy" in run("evaluate", "--arch", "scnn", "--network", "alexnet", "--mapping", mapping, code=2).stderr
    dense = run("evaluate", *TINY, "--mapping", mapping, "--density", "0.5", code=2)
    assert "dense" in dense.stderr
    mixed = run("evaluate", *TINY, "--arch", "scnn", "--mapping", mapping, code=2)
    assert "scnn is no storage hierarchy" in mixed.stderr


def test_validate_checks_the_constraints_of_a_hierarchy(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((folder("arch_specs") / "simple3.yaml").read_text().replace("x: [K]", "x: [KK]"))
    assert "unknown dimension 'KK' (did you mean 'K'?)" in run("validate", path, code=2).stderr
