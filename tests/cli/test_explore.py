"""``timeloop-py explore`` as a user runs it: the folder it writes, sweeps, and going on after an interruption."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.command import files_below, rows_of, run, run_process
from timeloop_py import load_network
from timeloop_py.explore import runner
from timeloop_py.explore.store import FOLDER
from timeloop_py.explore.sweep import Job, JobResult, run_job

SHAPE = "K=16,C=16,P=14,Q=14,R=3,S=3,pad=1"
QUICK = ("--shape", SHAPE, "--no-plots")
TABLES = {"results.csv", "summary.csv", "accesses.csv", "provenance.json"}


def table(folder: Path, name: str = "results") -> list[dict[str, str]]:
    return rows_of((folder / f"{name}.csv").read_text())


# ---- what is written ----


def test_the_main_job() -> None:
    """No argument but fewer densities: three designs on GoogLeNet, tables and figures in the folder ``results``."""
    result = run("explore", "--density", "0.5:1.0:0.5")
    assert result.stdout == ""
    written = files_below(Path("results"))
    assert set(written) >= TABLES | {"own_densities.csv"}
    figures = {"density_sensitivity", "energy_breakdown", "winners"}
    figures |= {"speedup_by_layer", "energy_by_layer", "utilization_scnn"}
    for name in figures:
        assert written[f"{name}.png"].startswith(b"\x89PNG")
    assert not any(name.endswith(".pdf") for name in written)
    rows = table(Path("results"))
    assert len(rows) == 3 * 57 * 2
    assert {row["architecture"] for row in rows} == {"scnn", "dcnn", "dcnn_opt"}
    assert {row["network"] for row in rows} == {"googlenet"}


def test_tables_add_up() -> None:
    run("explore", "--arch", "scnn", "--arch", "dcnn", "--network", "alexnet", "--density", "0.3,1.0", "--no-plots")
    folder = Path("results")
    results, summary, accesses = (pd.read_csv(folder / f"{name}.csv") for name in ("results", "summary", "accesses"))
    keys = ["architecture", "network", "weight_density", "activation_density"]
    sums = results.groupby(keys)[["cycles", "energy_pj", "macs"]].sum()
    totals = summary.set_index(keys)[["cycles", "energy_pj", "macs"]]
    pd.testing.assert_frame_equal(sums.sort_index(), totals.sort_index(), rtol=1e-12)
    parts = accesses.groupby(keys)["energy_pj"].sum()
    pd.testing.assert_series_equal(parts.sort_index(), totals["energy_pj"].sort_index(), rtol=1e-12)
    layers = [layer.name for layer in load_network("alexnet").layers]
    assert list(results["layer"][: len(layers) * 2]) == [layer for layer in layers for _ in range(2)]


def test_provenance_says_how_to_repeat_it() -> None:
    command = (
        "explore",
        *QUICK,
        "--arch",
        "dcnn_opt",
        "--density",
        "0.5",
        "--set",
        "dataflow.output_channel_group_max=4",
    )
    run(*command)
    origin = json.loads(Path("results/provenance.json").read_text())
    assert origin["command"] == ["timeloop-py", *command]
    assert {"architecture dcnn_opt", "network shape", "table literature_16nm", "table area_tsmc16"} <= set(
        origin["specs"]
    )
    assert set(origin["files"]) == set(files_below(Path("results"))) - {"provenance.json"}


def test_ranges_pairs_grids_and_own_densities() -> None:
    def points(*arguments: str) -> list[tuple[str, str]]:
        run("explore", *QUICK, "--arch", "scnn", *arguments)
        return [(row["weight_density"], row["activation_density"]) for row in table(Path("results"))]

    assert points("--density", "0.2:0.6:0.2") == [("0.6", "0.6"), ("0.4", "0.4"), ("0.2", "0.2")]
    assert points("--weight-density", "0.2,0.4", "--activation-density", "0.5,0.3") == [("0.4", "0.3"), ("0.2", "0.5")]
    assert points("--weight-density", "0.2", "--activation-density", "0.5,0.3") == [("0.2", "0.5"), ("0.2", "0.3")]
    assert set(points("--weight-density", "0.2,0.4", "--activation-density", "0.5,0.3", "--grid")) == {
        (weight, activation) for weight in ("0.2", "0.4") for activation in ("0.5", "0.3")
    }
    assert points("--own-density") == [("1", "1")]


def test_a_design_sweep() -> None:
    sweep = ("--set", "scnn.dataflow.barrier=none,per_group", "--set", "scnn.parameters.accumulator_banks=16,32")
    run("explore", *QUICK, "--arch", "scnn", "--arch", "dcnn", "--density", "0.3", *sweep)
    cycles = {row["architecture"]: float(row["cycles"]) for row in table(Path("results"))}
    assert len(cycles) == 5
    for banks in (16, 32):
        without = cycles[f"scnn[barrier=none,accumulator_banks={banks}]"]
        assert without < cycles[f"scnn[barrier=per_group,accumulator_banks={banks}]"]


def test_all_dataflows_that_the_architectures_have_the_components_for() -> None:
    result = run("explore", *QUICK, "--arch", "scnn", "--arch", "dcnn", "--density", "0.5", "--dataflow", "all")
    designs = {row["architecture"] for row in table(Path("results"))}
    assert designs >= {f"scnn[dataflow=pt_is_{name}]" for name in ("cp_dense", "cp_sparse", "dp_dense")}
    assert "dcnn[dataflow=pt_is_dp_dense]" in designs
    assert "dcnn[dataflow=pt_is_cp_sparse]" not in designs
    assert "dcnn[dataflow=pt_is_cp_sparse] is left out" in result.stderr


def test_figures_leave_out_what_is_the_baseline_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """DCNN-opt takes DCNN's cycles in every layer; its energy is another."""
    from timeloop_py.explore import results as module

    drawn: dict[str, set[str]] = {}

    def keep(name: str, draw: object) -> object:
        def kept(frame: pd.DataFrame, **options: object) -> object:
            drawn[name] = {str(options["labels"][design]) for design in frame["architecture"].unique()}  # type: ignore[index]
            return draw(frame, **options)  # type: ignore[operator]

        return kept

    for name in ("speedup_by_layer", "energy_by_layer"):
        monkeypatch.setattr(module, name, keep(name, getattr(module, name)))
    # At full density SCNN takes DCNN's cycles in that layer, and not where its vectors are not filled.
    shape = SHAPE.replace("K=16", "K=10").replace("P=14,Q=14", "P=13,Q=13")
    run("explore", "--shape", shape, "--density", "0.5", "--set", "scnn.dataflow.barrier=none,per_group")
    variants = {"SCNN, barrier=none", "SCNN, barrier=per_group"}
    assert drawn["speedup_by_layer"] == {"DCNN", "SCNN (oracle)"} | variants
    assert drawn["energy_by_layer"] == {"DCNN", "DCNN-opt"} | variants


def test_files_of_other_names_are_left_alone() -> None:
    folder = Path("results")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    run("explore", *QUICK, "--arch", "scnn", "--density", "0.5")
    assert (folder / "notes.txt").read_text() == "mine"
    assert set(files_below(folder)) >= TABLES
    assert not (folder / FOLDER).exists()


# ---- the same command, the same bytes ----

SWEEP = ("--arch", "scnn", "--arch", "dcnn", "--network", "alexnet", "--network", "vgg16", "--density", "0.2:1.0:0.4")


def test_the_same_command_gives_the_same_bytes() -> None:
    command = ("explore", "--shape", SHAPE, "--density", "0.2:1.0:0.4", "--pdf")
    run(*command)
    first = files_below(Path("results"))
    assert first["density_sensitivity.pdf"].startswith(b"%PDF")
    shutil.rmtree("results")
    run(*command)
    assert files_below(Path("results")) == first


def test_in_another_process_too() -> None:
    run("explore", *SWEEP, "--no-plots")
    first = files_below(Path("results"))
    assert run_process("explore", *SWEEP, "--no-plots").returncode == 0
    assert files_below(Path("results")) == first


@pytest.mark.parametrize("jobs", [0, 1, 3, 4])
def test_an_interrupted_sweep_goes_on(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after so many of its four jobs, --resume does the others and gives the bytes of one run."""
    run("explore", *SWEEP, "--no-plots", "-o", "results")
    whole = files_below(Path("results"))
    shutil.rmtree("results")

    ran: list[Job] = []

    def interrupted(job: Job) -> JobResult:
        if len(ran) == jobs:
            raise KeyboardInterrupt
        ran.append(job)
        return run_job(job)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_job", interrupted)
        if jobs < 4:
            run("explore", *SWEEP, "--no-plots", "-o", "results", code=1)
            assert set(files_below(Path("results"))) <= {FOLDER} | {
                f"{FOLDER}/{job.key}.{part}"
                for job in ran
                for part in ("results.csv", "accesses.csv", "summary.csv", "done")
            }

    again: list[Job] = []

    def counted(job: Job) -> JobResult:
        again.append(job)
        return run_job(job)

    monkeypatch.setattr(runner, "run_job", counted)
    run("explore", *SWEEP, "--no-plots", "-o", "results", "--resume")
    done = {job.key for job in ran}
    assert not done & {job.key for job in again if len(job.points) == 3}
    assert files_below(Path("results")) == whole


def test_without_resume_an_interrupted_sweep_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Job] = []

    def interrupted(job: Job) -> JobResult:
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(job)
        return run_job(job)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_job", interrupted)
        run("explore", *SWEEP, "--no-plots", code=1)
    monkeypatch.setattr(runner, "run_job", lambda job: ran.append(job) or run_job(job))
    run("explore", *SWEEP, "--no-plots")
    assert sum(len(job.points) == 3 for job in ran) == 2 + 4


def test_names_that_look_like_numbers_or_nothing_survive_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.yaml"
    layers = "".join(
        f'  - {{name: "{name}", K: 8, C: 4, W: 8, H: 8, R: 3, S: 3, inputs: []}}\n' for name in ("NA", "007")
    )
    path.write_text(f'name: "1e3"\nlayers:\n{layers}')
    arguments = ("explore", "--arch", "scnn", "--arch", "dcnn", "--network", path, "--density", "0.5", "--no-plots")
    run(*arguments)
    whole = files_below(Path("results"))
    assert [row["layer"] for row in table(Path("results"))] == ["NA", "007", "NA", "007"]
    shutil.rmtree("results")
    ran: list[Job] = []

    def interrupted(job: Job) -> JobResult:
        if ran:
            raise KeyboardInterrupt
        ran.append(job)
        return run_job(job)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_job", interrupted)
        run(*arguments, code=1)
    run(*arguments, "--resume")
    assert files_below(Path("results")) == whole


def test_an_edited_table_is_not_resumed_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored under another energy table is done again."""
    from timeloop_py.specs.library import folder

    energies = tmp_path / "mine.yaml"
    text = (folder("energy_tables") / "literature_16nm.yaml").read_text()
    energies.write_text(text)
    arguments = ("explore", *QUICK, "--arch", "scnn", "--density", "0.5", "--set", f"energy_table={energies}")
    ran: list[Job] = []

    def failing(job: Job) -> JobResult:
        ran.append(job)
        if len(job.points) == 1 and job.points[0] == (None, None):
            raise KeyboardInterrupt
        return run_job(job)

    monkeypatch.setattr(runner, "run_job", failing)
    run(*arguments, code=1)
    energies.write_text(text + "\n# edited\n")
    run(*arguments, "--resume", code=1)
    assert len({job.key for job in ran if job.points != ((None, None),)}) == 2


# ---- designs that do not run every layer ----


def test_a_design_that_leaves_layers_out_is_compared_where_it_has_results() -> None:
    """EIE runs the fully connected layers of AlexNet; it wins none of its convolutions and not the whole of it."""
    arguments = ("explore", "--arch", "eie", "--arch", "dcnn", "--network", "alexnet:all", "--density", "0.2,0.6")
    result = run(*arguments)
    assert "eie leaves 5 layers of alexnet:all out" in result.stderr
    best = table(Path("results"), "winners")
    assert {row["layer"] for row in best} == {"fc6", "fc7", "fc8"}
    rows = table(Path("results"))
    unknown = [row for row in rows if row["cycles"] == ""]
    assert {(row["architecture"], row["energy_pj"]) for row in unknown} == {("eie", "")}
    assert all("fully connected" in row["note"] for row in unknown)


def test_a_design_that_runs_nothing_gives_tables_without_figures() -> None:
    run("explore", "--arch", "eie", "--network", "alexnet", "--density", "0.2,0.6")
    assert not list(Path("results").glob("*.pdf"))
    assert {row["cycles"] for row in table(Path("results"))} == {""}


def test_notes_survive_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (
        "explore",
        "--arch",
        "eie",
        "--arch",
        "dcnn",
        "--network",
        "alexnet:all",
        "--density",
        "0.5",
        "--no-plots",
    )
    run(*arguments)
    whole = files_below(Path("results"))
    shutil.rmtree("results")
    ran: list[Job] = []

    def interrupted(job: Job) -> JobResult:
        if ran:
            raise KeyboardInterrupt
        ran.append(job)
        return run_job(job)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_job", interrupted)
        run(*arguments, code=1)
    run(*arguments, "--resume")
    assert files_below(Path("results")) == whole
