"""Pareto fronts as figures."""

from __future__ import annotations

import pandas as pd
import pytest

from timeloop_py.report.columns import quantity
from timeloop_py.report.front_plots import pareto_fronts
from timeloop_py.report.style import figure_bytes


def points(*layers: str, proven: bool = True) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "architecture": "simple3",
                "network": "net",
                "layer": layer,
                "cycles": cycles,
                "energy_pj": energy,
                "proven_optimal": proven or cycles > 100,
            }
            for layer in layers
            for cycles, energy in ((100.0, 9e6), (200.0, 7e6), (400.0, 6e6))
        ]
    )


def test_a_panel_per_layer_with_its_front_as_a_staircase() -> None:
    frame = points("a", "b", "c", "d")
    figure = pareto_fronts(frame, x="cycles", y="energy_pj", best=frame.iloc[[0]], best_label="least EDP")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["a", "b", "c", "d"]
    front = shown[0].lines[0]
    assert front.get_drawstyle() == "steps-post"
    assert list(front.get_xdata()) == [100, 200, 400]  # type: ignore[arg-type]
    assert list(front.get_ydata()) == [9, 7, 6]  # type: ignore[arg-type]
    assert shown[0].get_ylabel() == "Energy [µJ]"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Pareto front", "least EDP"]
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")


def test_what_is_not_proven_is_hollow() -> None:
    frame = points("a", proven=False)
    figure = pareto_fronts(frame, x="cycles", y="energy_pj", best=frame.iloc[[0]], best_label="least EDP")
    proven, hollow = figure.axes[0].lines[1:3]
    assert (len(proven.get_xdata()), len(hollow.get_xdata())) == (2, 1)  # type: ignore[arg-type]
    assert hollow.get_markerfacecolor() == "white"
    assert "not proven" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_missing_column() -> None:
    with pytest.raises(ValueError, match="edp"):
        pareto_fronts(points("a"), x="cycles", y="edp_pj_cycles", best=points("a"), best_label="")


def test_the_label_of_the_square_of_the_delay() -> None:
    assert quantity("ed2p_pj_cycles2").label == "ED²P [pJ cycles²]"
