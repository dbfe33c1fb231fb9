"""Every claim of the SCNN paper, one test each; and that what is measured moves with what it is measured on."""

from dataclasses import replace

import numpy as np
import pytest

from timeloop_py.claims.ledger import Finding, load_ledger
from timeloop_py.claims.scnn import areas, capacity, energy, performance, shapes
from timeloop_py.claims.scnn.runs import DESIGNS, NETWORKS, Runs, sweep_points
from timeloop_py.claims.scnn.system import MEASURES
from timeloop_py.model.evaluate import evaluate
from timeloop_py.specs.tables import load_energy_table

CLAIMS = load_ledger("scnn")
FITTED = {"F7b-crossover-dcnn", "F10-opt", "F10-scnn"}
#: Rows that the ledger reports without judging them.
REPORTED = {"T1-max-activations", "S2-work-typical", "S6C-utilisation-64", "S6C-utilisation-4", "S6D-penalty"}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_claim(scnn, claim) -> None:
    finding = Finding(claim, scnn.measure(claim.id), claim.id in scnn.fitted)
    assert finding.verdict == ("report" if claim.id in REPORTED else "pass"), finding
    assert finding.kind == ("fitted" if claim.id in FITTED else "predicted")


def test_every_claim_is_measured_and_nothing_else() -> None:
    assert set(MEASURES) == {claim.id for claim in CLAIMS}


def test_every_claim_stands_in_one_exhibit(scnn) -> None:
    homes = [[name for name, begin in scnn.prefixes.items() if claim.id.startswith(begin)] for claim in CLAIMS]
    assert all(len(home) == 1 for home in homes)


# -- nothing is hard-coded: another model gives another number -----------------------------------------------------


class Changed(Runs):
    """The paper's runs on other machines: longer vectors of weights, an accumulator of a quarter without conflicts,
    half the RAM, wider words, a faster clock."""

    SCNN = (("parameters.accumulator_entries", 8), ("dataflow.bank_contention", "none"))
    ALL = (
        ("parameters.F", 8),
        ("parameters.input_ram_bytes", 5120),
        ("parameters.word_bits", 32),
        ("clock_ghz", 2.0),
    )

    def design(self, name, settings=()):
        return super().design(name, [*(self.SCNN if name == "scnn" else ()), *self.ALL, *settings])

    @property
    def networks(self):
        wider = {}
        for name, network in Runs.networks.func(self).items():
            layers = tuple(
                replace(layer, K=2 * layer.K, weight_density=0.9 * layer.weight_density) for layer in network.layers
            )
            wider[name] = replace(network, layers=layers[1:])
        return wider


#: Statements, and numbers that cannot change with the machine (54 layers, GoogLeNet's stem).
_FIXED = {"F7b-opt-always", "F8-oracle", "F8-oracle-gap", "S4-fit", "T1-max-activations"}


@pytest.mark.parametrize("claim", [claim.id for claim in CLAIMS if claim.id not in _FIXED])
def test_measures_follow_the_model(runs, changed, claim) -> None:
    value = MEASURES[claim](changed).value
    assert value == value  # not NaN, which differs from everything
    assert value != MEASURES[claim](runs).value


@pytest.fixture(scope="module")
def changed() -> Runs:
    return Changed()


@pytest.mark.parametrize("claim", sorted(energy.MEASURES))
def test_energy_claims_follow_the_energy_table(runs, literature, claim) -> None:
    ours, before = (energy.MEASURES[claim](one).value for one in (runs, literature))
    assert (ours == before) == isinstance(ours, bool)


# -- tables and figures against a second reading -----------------------------------------------------------------


def test_table3_rows_are_the_papers_to_three_digits(runs) -> None:
    table = areas.pe_areas(runs).set_index("component")["area_mm2"].round(3).to_dict()
    assert table == {
        "IARAM + OARAM": 0.031,
        "Weight FIFO": 0.004,
        "Multiplier array": 0.008,
        "Scatter network": 0.026,
        "Accumulator buffers": 0.036,
        "Other": 0.019,
        "Total": 0.124,
        "Accelerator total": 7.936,
    }


def test_table2_says_what_the_paper_says(runs) -> None:
    table = shapes.design_parameters(runs).set_index("parameter")["value"].to_dict()
    assert table["Weight FIFO"] == "50 entries (500 B)"
    assert table["IARAM + OARAM data"] == "1 MB"
    assert table["IARAM + OARAM indices"] == "0.25 MB"  # the paper prints 0.2
    assert table["# Multipliers"] == "1024"


def test_figure7_points_are_evaluations_at_those_densities(runs) -> None:
    row = runs.sweep[(runs.sweep["architecture"] == "scnn") & (runs.sweep["weight_density"] == 0.5)].iloc[0]
    alone = evaluate(runs.sweep_designs["scnn"], runs.sweep_network, [(0.5, 0.5)])
    assert row["cycles"] == pytest.approx(alone.cycles)
    assert row["energy_pj"] == pytest.approx(alone.energy_pj)
    assert len(runs.sweep) == 3 * 10


def test_sweep_points_are_round_and_end_at_both_ends() -> None:
    assert [point[0] for point in sweep_points(0.3)] == [1.0, 0.7, 0.4, 0.1]
    assert all(weight == activation for weight, activation in sweep_points(0.02))


def test_speedup_of_a_network_is_the_ratio_of_its_layers_sums(runs) -> None:
    layers = runs.layers
    mine = layers[layers["network"] == "VGGNet"].groupby("architecture")["cycles"].sum()
    assert performance.speedup(runs, "VGGNet") == pytest.approx(mine["dcnn"] / mine["scnn"])


def test_granularities_share_out_the_same_chip(runs) -> None:
    table = performance.granularity_table(runs)
    assert table["pes"].tolist() == [64, 32, 16, 8, 4]
    slots = [name for name in table if name.endswith("_share")]
    assert np.allclose(table[slots].sum(axis=1), 1)
    assert table["speedup"].iloc[-1] == 1


def test_barriers_matter_less_and_fragmentation_more_with_fewer_pes(runs) -> None:
    table = performance.granularity_table(runs)
    assert table["fragmentation_share"].is_monotonic_increasing or table["fragmentation_share"].iloc[-1] > 0.6
    assert table["barrier_share"].iloc[-1] < 0.1 * table["barrier_share"].iloc[0]


# -- priced energies: the linear reading of the model ---------------------------------------------------------------


@pytest.fixture(scope="module")
def priced(literature) -> energy.PricedEnergies:
    return energy.PricedEnergies(literature)


def test_priced_energies_are_the_models(priced, runs, literature) -> None:
    before, after = load_energy_table(literature.energy_table), load_energy_table(runs.energy_table)
    factors = {event: after.entries[event].law.value / before.entries[event].law.value for event in priced.events}
    energies = priced.of(factors)
    for network in NETWORKS:
        for design in DESIGNS:
            expected = runs.table("energy_pj", network)[design].to_numpy()
            np.testing.assert_allclose(energies.layers[network, design], expected, rtol=1e-9)
    for claim in ("F7b-crossover-dcnn", "F7b-crossover-opt"):
        solved = energy.MEASURES[claim](runs).value
        assert energy.CLAIMS[claim](energies) == pytest.approx(solved, abs=2e-4)


def test_crossover_between_known_lines() -> None:
    densities = np.array([1.0, 0.8, 0.6, 0.4])
    dcnn = np.ones(4)
    line = energy.Energies({}, densities, {"scnn": 1 + (densities - 0.65), "dcnn": dcnn})
    assert line.crossover("dcnn") == pytest.approx(0.65)
    cheaper = energy.Energies({}, densities, {"scnn": 0.5 + densities / 4, "dcnn": dcnn})
    assert cheaper.crossover("dcnn") > 1
    dearer = energy.Energies({}, densities, {"scnn": 2 * dcnn, "dcnn": dcnn})
    assert dearer.crossover("dcnn") == 0.4


# -- sections IV and VI-D ----------------------------------------------------------------------------------


def test_penalty_is_dram_energy_of_activations_over_the_rest(runs) -> None:
    table = capacity.spill_penalties(runs).set_index("layer")
    frame = runs.accesses
    mine = frame[(frame["architecture"] == "scnn") & (frame["network"] == "VGGNet") & (frame["layer"] == "conv3_2")]
    spilled = mine[(mine["level"] == "dram") & (mine["tensor"] != "Weights")]["energy_pj"].sum()
    assert table.loc["conv3_2", "penalty"] == pytest.approx(spilled / (mine["energy_pj"].sum() - spilled))
    assert (table["penalty_low"] < table["penalty"]).all()
    assert (table["penalty"] < table["penalty_high"]).all()


def test_the_networks_own_input_is_no_penalty(runs) -> None:
    table = capacity.spill_penalties(runs).set_index("layer")
    layer = runs.networks["VGGNet"].layer("conv1_1")
    stored_bits = 20 * layer.stored_outputs * layer.stored_density
    assert table.loc["conv1_1", "spilled_kb"] == pytest.approx(stored_bits / 8192)


def test_penalty_at_another_dram_energy_is_what_the_model_says_there(runs, tmp_path) -> None:
    entry = load_energy_table(runs.energy_table).entries["dram.read"]
    high = entry.range_pj[1]
    text = "\n".join(
        ["extends: literature_16nm", "entries:"]
        + [
            f"  {event}: {{value_pj: {high if event.startswith('dram') else fitted.law.value}, fitted: [test]}}"
            for event, fitted in load_energy_table(runs.energy_table).entries.items()
            if fitted.fitted_to
        ]
    )
    path = tmp_path / "dear_dram.yaml"
    path.write_text(text, encoding="utf-8")
    dear = capacity.spill_penalties(Runs(str(path)))
    assert np.allclose(dear["penalty"], capacity.spill_penalties(runs)["penalty_high"])


def test_fewer_banks_stall_more(runs) -> None:
    table = capacity.bank_stalls(runs)
    queued = table[table["bank_contention"] == "queued"].pivot(index="banks", columns="network", values="stall_share")
    assert (queued.loc[16] > queued.loc[32]).all()
    assert (queued.loc[32] > queued.loc[64]).all()
    unqueued = table[table["bank_contention"] == "unqueued"].pivot(
        index="banks", columns="network", values="stall_share"
    )
    assert (unqueued > queued).all().all()


def test_placeholders_of_blocks_are_fewer_than_of_endless_runs(runs) -> None:
    table = capacity.placeholder_overheads(runs)
    assert (table["weight_overhead"] <= table["weight_overhead_unbroken"]).all()
    assert (table["activation_overhead"] <= table["activation_overhead_unbroken"]).all()
    # 9 weights a block: no run of 16 zeros fits
    assert table.set_index(["network", "layer"]).loc[("VGGNet", "conv1_2"), "weight_overhead"] == 0
