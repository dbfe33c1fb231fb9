"""Calibration: few numbers, inside their ranges, on three claims; the shipped table is what it writes."""

import itertools

import pytest

from timeloop_py.claims.ledger import load_ledger
from timeloop_py.claims.scnn import calibration
from timeloop_py.claims.scnn.calibration import FITTED_CLAIMS, calibrate, published_numbers, table_path, table_text
from timeloop_py.claims.scnn.runs import LITERATURE
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.tables import load_energy_table


@pytest.fixture(scope="module")
def fitted() -> calibration.Calibration:
    return calibrate()


def test_the_shipped_table_is_the_calibrations(fitted) -> None:
    shipped = load_energy_table("scnn_16nm")
    assert {event for event, entry in shipped.entries.items() if entry.fitted_to} == set(fitted.values_pj)
    for event, value in fitted.values_pj.items():
        assert shipped.entries[event].law.value == pytest.approx(value, rel=2e-3)
        assert shipped.entries[event].fitted_to == FITTED_CLAIMS


def test_everything_else_is_the_literature() -> None:
    shipped, literature = load_energy_table("scnn_16nm"), load_energy_table(LITERATURE)
    assert shipped.attributes == literature.attributes
    for event, entry in literature.entries.items():
        if not shipped.entries[event].fitted_to:
            assert shipped.entries[event] == entry


def test_at_most_six_numbers_inside_their_ranges(fitted) -> None:
    assert 1 <= len(fitted.values_pj) <= 6
    for event, value in fitted.values_pj.items():
        low, high = fitted.base.entries[event].range_pj
        assert low <= value <= high


def test_only_the_three_allowed_claims() -> None:
    assert set(FITTED_CLAIMS) == {"F7b-crossover-dcnn", "F10-opt", "F10-scnn"}


def test_every_number_taken_up_was_worth_it_and_helped(fitted) -> None:
    objectives = [step.objective for step in fitted.steps]
    assert all(after <= 0.95 * before for before, after in itertools.pairwise(objectives))
    papers = {claim.id: claim.paper for claim in load_ledger("scnn")}
    first, last = fitted.steps[0].claims, fitted.steps[-1].claims
    for claim in FITTED_CLAIMS[:2]:
        assert abs(last[claim] - papers[claim]) < abs(first[claim] - papers[claim])


def test_read_and_write_of_one_published_number_move_together(fitted) -> None:
    groups = published_numbers(fitted.base, ["dram.read", "dram.write", "latch_array.read", "latch_array.write"])
    assert groups == (("dram.read", "dram.write"), ("latch_array.read",), ("latch_array.write",))
    assert fitted.values_pj["dram.read"] == fitted.values_pj["dram.write"]


def test_the_file_loads_as_the_table_it_says(fitted, tmp_path) -> None:
    path = calibration.write_table(fitted, tmp_path / "scnn_16nm.yaml")
    loaded = load_energy_table(str(path))
    for event, entry in fitted.table.entries.items():
        assert loaded.entries[event].law == entry.law
        assert loaded.entries[event].fitted_to == entry.fitted_to


def test_the_same_text_twice(fitted) -> None:
    assert table_text(calibrate()) == table_text(fitted)


def test_the_shipped_table_lies_with_the_others() -> None:
    assert table_path().is_file()
    assert table_path().name == "scnn_16nm.yaml"


def test_a_place_that_cannot_be_written_is_named(fitted, tmp_path) -> None:
    with pytest.raises(SpecError) as error:
        calibration.write_table(fitted, tmp_path / "missing" / "scnn_16nm.yaml")
    assert error.value.field == "--table"
