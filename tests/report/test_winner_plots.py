"""The map of winners."""

from __future__ import annotations

import pandas as pd
import pytest

from timeloop_py.report.winner_plots import winner_map

POINTS = (1.0, 0.5, 0.1)


def table() -> pd.DataFrame:
    rows = [
        ("net", layer, density, density, metric, "dense" if density > 0.7 else "sparse")
        for layer in ("all", "conv1", "conv2")
        for density in POINTS
        for metric in ("cycles", "energy_pj")
    ]
    return pd.DataFrame(rows, columns=["network", "layer", "weight_density", "activation_density", "metric", "winner"])


def test_every_layer_and_point_has_its_winner() -> None:
    figure = winner_map(table(), metric="cycles", labels={"sparse": "Sparse", "dense": "Dense"}, baseline="dense")
    (ax,) = figure.axes
    assert len(ax.patches) == 3 * 2  # neighbours with one winner are one patch
    assert sum(patch.get_width() for patch in ax.patches) == 3 * 3
    assert [label.get_text() for label in ax.get_yticklabels()] == ["network", "conv1", "conv2"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1.0/1.0", "0.5/0.5", "0.1/0.1"]
    colors = {patch.get_x(): patch.get_facecolor() for patch in ax.patches}
    assert set(colors) == {-0.5, 0.5}
    assert colors[-0.5] != colors[0.5]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Sparse", "Dense"]
    assert ax.get_title("left") == "net: lowest cycles"


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="winner"):
        winner_map(table().drop(columns="winner"), metric="cycles", labels={"dense": "Dense"})
