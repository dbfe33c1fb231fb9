import itertools

import pandas as pd
import pytest

from tests.report.drawn import bars, overhang_in
from timeloop_py.report.bar_plots import ranged_bars, stacked_shares

SHARES = pd.DataFrame({"pes": [64, 4], "useful": [0.4, 0.3], "lost": [0.5, 0.7], "idle": [0.1, 0.0]})
PARTS = {"useful": "useful products", "lost": "fragmentation", "idle": "no tile"}
RANGES = pd.DataFrame(
    {"layer": ["conv1", "conv2"], "low": [0.05, 0.2], "ours": [0.1, 0.3], "high": [0.4, 2.0], "unused": [1, 2]}
)


def ranged(frame: pd.DataFrame):
    return ranged_bars(
        frame, bars="layer", low="low", value="ours", high="high", label="Penalty",
        lines={"paper": 0.18}, names=("fitted", "range"),
    )  # fmt: skip


def test_parts_stand_on_each_other() -> None:
    figure = stacked_shares(SHARES, bars="pes", parts=PARTS, bars_label="PEs", label="Share")
    drawn = bars(figure.axes[0])
    tops = {name: [bottom + height for bottom, height in series] for name, series in drawn.items()}
    assert tops["useful products"] == pytest.approx([0.4, 0.3])
    assert tops["fragmentation"] == pytest.approx([0.9, 1.0])
    assert tops["no tile"] == pytest.approx([1.0, 1.0])
    assert [bottom for bottom, _ in drawn["fragmentation"]] == pytest.approx([0.4, 0.3])
    assert overhang_in(figure) <= 0.01


def test_neighbouring_parts_differ_in_hatch() -> None:
    figure = stacked_shares(SHARES, bars="pes", parts=PARTS, bars_label="PEs", label="Share")
    hatches = [container.patches[0].get_hatch() for container in figure.axes[0].containers]
    assert all(first != second for first, second in itertools.pairwise(hatches))


def test_whiskers_reach_over_the_range_and_levels_are_named() -> None:
    figure = ranged(RANGES)
    ax = figure.axes[0]
    whiskers = [tuple(segment[:, 1]) for segment in ax.collections[0].get_segments()]
    assert whiskers == [(0.05, 0.4), (0.2, 2.0)]
    assert [height for _, height in bars(ax)["fitted"]] == [0.1, 0.3]
    assert "paper" in {text.get_text() for text in ax.texts}
    assert overhang_in(figure) <= 0.01


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="high"):
        ranged(RANGES.drop(columns="high"))
    with pytest.raises(ValueError, match="idle"):
        stacked_shares(SHARES.drop(columns="idle"), bars="pes", parts=PARTS, bars_label="PEs", label="Share")
