"""The figures of comparisons: what is drawn, and what is refused."""

from __future__ import annotations

import pandas as pd
import pytest

from timeloop_py.report.comparison_plots import performance_and_energy
from timeloop_py.report.pruning_plots import speedup_by_pruning
from timeloop_py.report.style import figure_bytes


def comparison() -> pd.DataFrame:
    rows = []
    for network in ("one", "two"):
        for zeros, factor in (("own", 2.0), ("none", 0.5)):
            for design, speedup in (
                ("base", 1.0),
                ("fast", factor),
                ("odd", float("nan") if network == "two" else 3.0),
            ):
                rows.append(
                    {"network": network, "zeros": zeros, "architecture": design, "speedup": speedup,
                     "energy_gain": speedup, "area_mm2": 5.0}
                )  # fmt: skip
    return pd.DataFrame(rows)


def test_a_marker_for_every_design_with_numbers() -> None:
    figure = performance_and_energy(comparison(), baseline="base", labels={"fast": "Fast"})
    top, below = figure.axes
    lines = {line.get_label(): line for line in top.get_lines() if not str(line.get_label()).startswith("_")}
    assert set(lines) == {"fast", "odd"}
    assert list(lines["fast"].get_ydata()) == [2.0, 2.0]
    assert list(lines["odd"].get_ydata()) == [3.0]  # nothing on the second network
    assert [text.get_text() for text in below.get_xticklabels()] == ["one", "two"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Fast, 5.0 mm²", "odd, 5.0 mm²"]


def test_designs_that_leave_layers_out_are_starred_and_explained() -> None:
    table = comparison()
    table["layers_left_out"] = [2 if design == "odd" else 0 for design in table["architecture"]]
    figure = performance_and_energy(table, baseline="base")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fast, 5.0 mm²", "odd*, 5.0 mm²"]
    assert "* Only the layers that it runs, in base too" in figure.get_supxlabel()
    table.loc[table["architecture"] == "odd", "speedup"] = float("nan")  # runs none of them: no marker, no star
    assert "*" not in performance_and_energy(table, baseline="base").get_supxlabel()


def test_lines_lead_to_the_network_without_zeros() -> None:
    figure = performance_and_energy(comparison(), baseline="base")
    spans = [sorted(line.get_ydata()) for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 2]
    assert [0.5, 2.0] in spans


def test_same_frame_same_bytes() -> None:
    first, second = (figure_bytes(performance_and_energy(comparison(), baseline="base"), "png") for _ in range(2))
    assert first == second


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="energy_gain"):
        performance_and_energy(comparison().drop(columns="energy_gain"), baseline="base")
    with pytest.raises(ValueError, match="baseline"):
        performance_and_energy(comparison(), baseline="other")
    alone = comparison()[lambda frame: frame["architecture"] == "base"]
    with pytest.raises(ValueError, match="no design"):
        performance_and_energy(alone, baseline="base")


def test_a_panel_per_platform_and_part() -> None:
    rows = [
        {"platform": platform, "part": part, "pruning": pruning, "weight_density": density, "speedup": 1 / density}
        for platform in ("small", "large")
        for part in ("convolution", "fully connected")
        for pruning in ("single", "groups")
        for density in (0.1, 1.0)
    ]
    figure = speedup_by_pruning(pd.DataFrame(rows))
    assert len(figure.axes) == 4
    assert figure.axes[0].get_title(loc="left") == "small, convolution"
    single = next(line for line in figure.axes[0].get_lines() if line.get_label() == "single")
    assert list(single.get_ydata()) == [10.0, 1.0]
    with pytest.raises(ValueError, match="speedup"):
        speedup_by_pruning(pd.DataFrame(rows).drop(columns="speedup"))
