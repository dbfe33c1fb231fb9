import pandas as pd
import pytest

from timeloop_py.report.columns import energy_scale, quantity, require


@pytest.mark.parametrize(
    ("column", "name", "unit"),
    [
        ("energy_pj", "Energy", "pJ"),
        ("area_mm2", "Area", "mm²"),
        ("edp_pj_cycles", "EDP", "pJ cycles"),
        ("capacity_words", "Capacity", "words"),
        ("cycles", "Cycles", ""),
        ("macs", "MACs", ""),
        ("useful_multiplies", "Useful multiplies", ""),
        ("weight_density", "Weight density", ""),
        ("clock_ghz", "Clock", "GHz"),
    ],
)
def test_quantity_and_unit_are_read_off_the_name(column: str, name: str, unit: str) -> None:
    found = quantity(column)
    assert (found.name, found.unit) == (name, unit)
    assert found.label == (f"{name} [{unit}]" if unit else name)


@pytest.mark.parametrize(
    ("largest", "expected"),
    [
        (0.5, (1.0, "pJ")),
        (999.0, (1.0, "pJ")),
        (1e3, (1e3, "nJ")),
        (2.5e8, (1e6, "µJ")),
        (3e9, (1e9, "mJ")),
        (4e13, (1e12, "J")),
    ],
)
def test_energy_scale_gives_small_numbers(largest: float, expected: tuple[float, str]) -> None:
    assert energy_scale(largest) == expected


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match=r"lacks the column\(s\) b, c; it has a$"):
        require(pd.DataFrame({"a": [1]}), ["a", "b", "c"])


def test_a_frame_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        require(pd.DataFrame({"a": []}), ["a"])
