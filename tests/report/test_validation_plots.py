import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from tests.report.drawn import lightness, overhang_in
from timeloop_py.report.validation_plots import errors_and_causes, errors_by_family

FRAME = pd.DataFrame(
    {
        "family": ["unstructured"] * 3 + ["blocks"],
        "cycles": [100.0, 2000.0, 30000.0, 400.0],
        "error": [0.5, -1.0, 25.0, -3.0],
        "interval": [1.0, 0.5, np.nan, 0.1],
    }
)
CAUSES = pd.DataFrame({"barrier": [0.1, -7.0, 0.0, 1.0], "bank_stalls": [0.0, 0.0, 0.2, 0.0]})


def dots(ax: Axes, filled: bool) -> list[float]:
    """Values of the dots in a panel, dark ones or light ones."""
    return [
        float(value)
        for line in ax.lines
        if line.get_marker() == "o" and (lightness(line.get_markerfacecolor()) < 60) is filled
        for value in np.asarray(line.get_ydata())
    ]


def test_points_beyond_a_limit_are_filled() -> None:
    figure = errors_and_causes(
        FRAME,
        CAUSES,
        size="cycles",
        error="error",
        interval="interval",
        labels={"barrier": "barrier", "bank_stalls": "bank stalls"},
        size_label="Cycles",
        error_label="Error [%]",
        difference_label="Difference",
        error_limit=4.0,
        difference_limit=5.0,
    )
    errors, causes = figure.axes
    assert dots(errors, filled=False) == [0.5, -1.0, -3.0]
    assert dots(errors, filled=True) == [25.0]
    assert dots(causes, filled=True) == [-7.0]
    assert [text.get_text() for text in causes.get_xticklabels()] == ["barrier", "bank stalls"]
    assert {-4.0, 4.0} <= {
        float(np.asarray(line.get_ydata())[0]) for line in errors.lines if len(line.get_xdata()) == 2
    }
    assert overhang_in(figure) <= 0.01


def test_families_stand_side_by_side_with_their_mean() -> None:
    figure = errors_by_family(FRAME, family="family", error="error", error_label="Error [%]", mean_limit=5.0, limit=4.0)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["unstructured", "blocks"]
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx([26.5 / 3, 3.0])
    above, below = (bar.get_facecolor() for bar in ax.patches)
    assert above != below
    assert dots(ax, filled=True) == [25.0]
    assert overhang_in(figure) <= 0.01


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="error"):
        errors_by_family(
            FRAME.drop(columns="error"), family="family", error="error", error_label="", mean_limit=1.0, limit=4.0
        )
