import pandas as pd
import pytest

from timeloop_py.report.totals import layer_totals, network_totals, summed


def rows(*entries: tuple[str, str, float, float, float]) -> pd.DataFrame:
    """Architecture, layer, density (of both), cycles, utilization."""
    return pd.DataFrame(
        [
            {
                "architecture": design,
                "network": "net",
                "layer": layer,
                "weight_density": density,
                "activation_density": density,
                "cycles": cycles,
                "utilization": utilization,
            }
            for design, layer, density, cycles, utilization in entries
        ]
    )


def test_a_network_is_the_sum_of_its_layers_in_order_of_appearance() -> None:
    frame = rows(("b", "1", 1.0, 10, 1), ("b", "2", 1.0, 5, 1), ("a", "1", 1.0, 7, 1), ("a", "2", 1.0, 1, 1))
    totals = network_totals(frame, ["cycles"])
    assert totals["architecture"].tolist() == ["b", "a"]
    assert totals["cycles"].tolist() == [15, 8]


def test_points_are_kept_apart() -> None:
    frame = rows(("a", "1", 1.0, 10, 1), ("a", "1", 0.5, 4, 1))
    assert network_totals(frame, ["cycles"])["cycles"].tolist() == [10, 4]


def test_sums_over_different_layers_are_refused() -> None:
    frame = rows(("a", "1", 1.0, 10, 1), ("a", "2", 1.0, 10, 1), ("a", "1", 0.5, 4, 1))
    with pytest.raises(ValueError, match="a on net: not every layer"):
        network_totals(frame, ["cycles"])


def test_averages_over_time_weigh_by_cycles() -> None:
    frame = rows(("a", "m/1", 1.0, 30, 0.9), ("a", "m/2", 0.5, 10, 0.1), ("a", "n/1", 0.2, 1, 0.4))
    totals = layer_totals(frame, ["cycles"], ["utilization"], group=lambda layer: layer.split("/")[0])
    assert totals["layer"].tolist() == ["m", "n"]
    assert totals["cycles"].tolist() == [40, 1]
    assert totals["utilization"].tolist() == pytest.approx([(0.9 * 30 + 0.1 * 10) / 40, 0.4])


def test_weights_do_not_show_unless_asked_for() -> None:
    totals = layer_totals(rows(("a", "1", 1.0, 30, 0.9)), [], ["utilization"])
    assert list(totals.columns) == ["architecture", "network", "layer", "utilization"]


def test_a_sweep_is_refused_where_one_point_is_meant() -> None:
    frame = rows(("a", "1", 1.0, 10, 1), ("a", "1", 0.5, 4, 1))
    with pytest.raises(ValueError, match="a has several rows for layer 1 of net"):
        layer_totals(frame, ["cycles"])


def test_a_sum_over_something_unknown_is_unknown() -> None:
    frame = pd.DataFrame({"design": ["a", "a", "b", "b"], "cycles": [1.0, float("nan"), 2.0, 3.0], "energy_pj": 1.0})
    found = summed(frame, ["design"], ["cycles", "energy_pj"]).set_index("design")
    assert found["cycles"].isna().tolist() == [True, False]
    assert found.loc["b", "cycles"] == 5
    assert found["energy_pj"].tolist() == [2, 2]
