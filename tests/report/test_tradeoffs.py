import pandas as pd
import pytest

from tests.report.drawn import lightness, overhang_in
from timeloop_py.report.tradeoffs import Axis, trade_offs

DESIGNS = pd.DataFrame(
    {
        "network": ["A"] * 4 + ["B"] * 4,
        "cycles": [1.0, 0.7, 1.5, 2.0] * 2,
        "energy": [1.0, 2.0, 0.8, 3.0] * 2,
        "area": [7.9, 20.0, 5.0, 9.0] * 2,
        "front": [False, True, True, False] * 2,
        "paper": [True, False, False, False] * 2,
    }
)


def drawn(frame: pd.DataFrame):
    return trade_offs(
        frame,
        panels_by="network",
        x=Axis("cycles", "Cycles"),
        y=Axis("energy", "Energy"),
        shade=Axis("area", "area"),
        front="front",
        marked="paper",
        marked_label="SCNN",
        shade_edges=(6.0, 8.0, 12.0),
    )


def test_dominated_designs_front_and_marked_one() -> None:
    ax = drawn(DESIGNS).axes[0]
    dominated, marked = ax.lines
    assert dominated.get_xydata().tolist() == [[1.0, 1.0], [2.0, 3.0]]
    assert marked.get_xydata().tolist() == [[1.0, 1.0]]
    assert ax.collections[0].get_offsets().tolist() == [[0.7, 2.0], [1.5, 0.8]]


def test_the_smaller_the_darker() -> None:
    large, small = drawn(DESIGNS).axes[0].collections[0].get_facecolors()
    assert lightness(small[:3]) < lightness(large[:3])


def test_a_panel_per_network_and_one_legend_on_the_page() -> None:
    figure = drawn(DESIGNS)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["A", "B"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "SCNN", "up to 6", "6 to 8", "8 to 12", "above 12", "dominated"
    ]  # fmt: skip
    assert overhang_in(figure) <= 0.02


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="front"):
        drawn(DESIGNS.drop(columns="front"))
