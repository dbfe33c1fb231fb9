"""Everything against everything: the table, who wins, and the table of the slides."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from timeloop_py.explore.comparison import (
    Comparison,
    accelerator_names,
    compare,
    comparison_table,
    label,
    slides_table,
    winners,
    write_comparison,
    zero_handling,
)
from timeloop_py.explore.sweep import Sweep
from timeloop_py.model.evaluate import OWN_DENSITIES, network_of
from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network

NAMES = ("scnn", "dcnn", "dcnn_opt", "cnvlutin_1024", "cambricon_x_1024", "eie_1024", "diannao")
CONV = Layer("conv", K=64, C=64, W=16, H=16, R=3, S=3, weight_density=0.3, activation_density=0.4, output_density=0.4)
FC = Layer("fc", K=512, C=1024, weight_density=0.1, activation_density=0.4, output_density=0.4)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    designs = tuple(load_architecture(name) for name in NAMES)
    return compare(Sweep(designs, (network_of(CONV), network_of(FC)), (OWN_DENSITIES,)))


def cell(comparison: Comparison, network: str, zeros: str, architecture: str) -> pd.Series:
    table = comparison.table.set_index(["network", "zeros", "architecture"])
    return table.loc[(network, zeros, architecture)]


def test_every_accelerator_ships_with_its_published_and_its_equal_design() -> None:
    names = accelerator_names()
    for system in ("dadiannao", "cnvlutin", "cambricon_x", "eie", "eyeriss"):
        assert system in names
        assert load_architecture(f"{system}_1024").components["multiplier"].count == 1024
    assert names[:3] == ["scnn", "dcnn", "dcnn_opt"]


@pytest.mark.parametrize("name", [name for name in accelerator_names() if name.endswith("_1024")])
def test_normalised_designs_have_the_same_budget(name: str) -> None:
    design = load_architecture(name)
    assert design.clock_ghz == 1.0
    memories = [
        part.count * part.attributes["capacity_bytes"]
        for part in design.components.values()
        if "capacity_bytes" in part.attributes and part.name not in ("accumulator", "activation_queue")
    ]
    assert sum(memories) / 2**20 == pytest.approx(2, rel=0.01)


def test_rows_hold_time_energy_and_why(comparison: Comparison) -> None:
    assert len(comparison.table) == 2 * 2 * len(NAMES)
    scnn = cell(comparison, "conv", "own", "scnn")
    dcnn = cell(comparison, "conv", "own", "dcnn")
    assert scnn["speedup"] == pytest.approx(dcnn["time_us"] / scnn["time_us"])
    assert scnn["energy_gain"] == pytest.approx(dcnn["energy_pj"] / scnn["energy_pj"])
    assert dcnn["speedup"] == 1
    assert dcnn["lost_to"] == "zero_operands"
    assert 0 < scnn["lost_share"] < 1
    assert scnn["binding"]


def test_zeros_only_help_those_that_use_them(comparison: Comparison) -> None:
    for name in ("dcnn", "diannao"):
        assert cell(comparison, "conv", "own", name)["cycles"] == cell(comparison, "conv", "none", name)["cycles"]
    for name in ("scnn", "cnvlutin_1024", "cambricon_x_1024"):
        assert cell(comparison, "conv", "own", name)["cycles"] < cell(comparison, "conv", "none", name)["cycles"]


def test_a_design_that_runs_nothing_says_why(comparison: Comparison) -> None:
    eie = cell(comparison, "conv", "own", "eie_1024")
    assert math.isnan(eie["time_us"])
    assert "fully connected" in eie["note"]
    assert eie["layers_left_out"] == 1


def test_times_of_different_clocks_are_compared_as_times() -> None:
    designs = (load_architecture("dcnn"), load_architecture("eie"))
    result = compare(Sweep(designs, (network_of(FC),), (OWN_DENSITIES,)))
    eie = result.table.set_index(["zeros", "architecture"]).loc[("own", "eie")]
    assert eie["time_us"] == pytest.approx(eie["cycles"] / 800)


def test_winners_are_the_best_of_the_equal_designs_that_run_all(comparison: Comparison) -> None:
    best = comparison.winners.set_index(["network", "zeros", "measure"])
    table = comparison.table
    equal = table[(table["multipliers"] == 1024) & (table["layers_left_out"] == 0)]
    for (network, zeros, measure), row in best.iterrows():
        column = {"performance": "time_us", "energy": "energy_pj", "energy-delay": "edp_pj_us"}[str(measure)]
        mine = equal[(equal["network"] == network) & (equal["zeros"] == zeros)].sort_values(column)
        assert row["winner"] == mine["architecture"].iloc[0]
        assert row["ahead"] == pytest.approx(mine[column].iloc[1] / mine[column].iloc[0])
    assert best.loc[("fc", "own", "energy"), "winner"] == "eie_1024"  # weights of 4 bits
    assert winners(table[table["architecture"] == "diannao"]).empty


def test_the_table_of_the_slides() -> None:
    """Sparse optimizations as the slides of the SCNN talk have them."""
    expected = {
        "dadiannao": ("-", "-"),
        "eyeriss": ("-", "gating"),
        "cnvlutin": ("-", "skipping"),
        "cambricon_x": ("skipping", "-"),
        "scnn": ("skipping", "skipping"),
    }
    for name, (weights, activations) in expected.items():
        assert zero_handling(load_architecture(name)) == {"weights": weights, "activations": activations}


def test_the_slides_come_with_numbers_on_the_papers_networks() -> None:
    table = slides_table([load_architecture(name) for name in ("dcnn", "scnn", "cnvlutin_1024")]).set_index(
        "architecture"
    )
    assert table.loc["dcnn", "speedup_vgg16"] == 1
    assert table.loc["scnn", "speedup_vgg16"] > 3
    assert table.loc["cnvlutin_1024", "energy_gain_alexnet"] > 0
    assert table.loc["scnn", "dataflow"] == "pt_is_cp_sparse"


def test_without_dcnn_the_first_design_is_the_measure() -> None:
    designs = (load_architecture("diannao"), load_architecture("cambricon_x"))
    sweep = Sweep(designs, (load_network("lenet5"),), (OWN_DENSITIES,))
    result = compare(sweep)
    table = comparison_table(designs, result.sparse, result.dense)
    assert set(table.loc[table["architecture"] == "diannao", "speedup"]) == {1.0}


def test_the_folder_holds_table_winners_and_figure(comparison: Comparison, tmp_path) -> None:  # type: ignore[no-untyped-def]
    designs = tuple(load_architecture(name) for name in NAMES)
    sweep = Sweep(designs, (network_of(CONV), network_of(FC)), (OWN_DENSITIES,))
    written = {path.name for path in write_comparison(tmp_path / "all", sweep, comparison, None, ["test"])}
    assert {"comparison.csv", "winners.csv", "results.csv", "results_dense.csv", "comparison.png"} <= written
    assert label("cambricon_x_1024") == "Cambricon-X"
