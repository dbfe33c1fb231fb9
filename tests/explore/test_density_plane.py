"""The plane of two densities: points are evaluations, the order changes at the frontier, energy jumps at a spill."""

import numpy as np
import pytest

from timeloop_py.explore.density_plane import density_plane, frontier, spill_onsets
from timeloop_py.model.evaluate import evaluate
from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.network import load_network

SCNN, DCNN = load_architecture("scnn"), load_architecture("dcnn")
ALEXNET = load_network("alexnet")


def test_points_are_evaluations() -> None:
    frame = density_plane(SCNN, DCNN, ALEXNET, [0.3, 1.0], [0.5, 0.9], ["cycles", "energy_pj", "edp_pj_cycles"])
    assert frame[["weight_density", "activation_density"]].to_numpy().tolist() == [
        [0.3, 0.5], [0.3, 0.9], [1.0, 0.5], [1.0, 0.9]
    ]  # fmt: skip
    alone = [evaluate(design, ALEXNET, [(1.0, 0.5)]) for design in (SCNN, DCNN)]
    row = frame.iloc[2]
    assert row["cycles_first"] == pytest.approx(alone[0].cycles)
    assert row["energy_pj_second"] == pytest.approx(alone[1].energy_pj)
    assert row["edp_pj_cycles_gain"] == pytest.approx(
        alone[1].cycles * alone[1].energy_pj / (alone[0].cycles * alone[0].energy_pj)
    )
    assert frame["cycles_winner"].tolist() == np.where(frame["cycles_gain"] > 1, "scnn", "dcnn").tolist()


def test_a_design_against_itself_has_no_winner() -> None:
    frame = density_plane(SCNN, SCNN, ALEXNET, [0.5], [0.5])
    assert frame["energy_pj_winner"].tolist() == [""]
    assert frame["energy_pj_gain"].tolist() == [1.0]


def test_the_order_changes_at_the_frontier() -> None:
    line = frontier(SCNN, DCNN, ALEXNET, [1.0, 0.8], "energy_pj")
    assert line["weight_density"].tolist() == [1.0, 0.8]
    for weight, activation in zip(line["weight_density"], line["activation_density"], strict=True):
        sides = density_plane(SCNN, DCNN, ALEXNET, [weight], [activation - 1e-6, activation + 1e-6], ["energy_pj"])
        assert sides["energy_pj_winner"].tolist() == ["scnn", "dcnn"]
    assert set(line["better_below"]) == {"scnn"}


def test_no_row_where_one_design_always_wins() -> None:
    assert frontier(SCNN, DCNN, ALEXNET, [0.2], "energy_pj").empty


@pytest.mark.parametrize("layer", ["conv3_1", "conv4_3"])
def test_a_layer_spills_above_its_onset_and_energy_jumps_there(layer: str) -> None:
    network = load_network("vgg16")
    onset = next(spill for spill in spill_onsets(SCNN, network) if spill.layer == layer).activation_density
    assert 0 < onset < 1
    around = [(None, onset * (1 - 1e-9)), (None, onset * (1 + 1e-9))]
    evaluation = evaluate(SCNN, network, around, layer=layer)
    assert evaluation.to_frame()["fits_on_chip"].tolist() == [True, False]
    below, above = evaluation.layer_energy_pj[0]
    assert above > 1.05 * below


def test_layers_that_always_or_never_fit() -> None:
    assert {spill.activation_density for spill in spill_onsets(SCNN, ALEXNET)} == {1.0}
    dense = {spill.layer: spill.activation_density for spill in spill_onsets(DCNN, load_network("vgg16"))}
    assert dense["conv1_2"] == 0.0  # stored dense: no density helps
    assert dense["conv5_1"] == 1.0


def test_a_density_outside_its_range_is_refused() -> None:
    with pytest.raises(SpecError):
        density_plane(SCNN, DCNN, ALEXNET, [1.5], [0.5])
