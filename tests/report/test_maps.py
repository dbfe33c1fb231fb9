import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from tests.report.drawn import lightness, overhang_in
from timeloop_py.report.maps import Plane, density_planes, shaded_table
from timeloop_py.report.style import figure_bytes

TABLE = pd.DataFrame(
    {"first": [10.0, -40.0, np.nan], "second": [0.2, 0.0, 5.0]},
    index=["multiplier.multiply", "dram.read", "bus.broadcast"],
)


def plane(gain) -> pd.DataFrame:
    densities = np.linspace(0.1, 1.0, 10)
    return pd.DataFrame(
        [{"weight_density": w, "activation_density": a, "gain": gain(w, a)} for w in densities for a in densities]
    )


def test_cells_are_darker_the_larger_the_number_and_empty_where_unknown() -> None:
    ax = shaded_table(TABLE).axes[0]
    cells = {
        (patch.get_x(), patch.get_y()): lightness(patch.get_facecolor()[:3])
        for patch in ax.patches
        if isinstance(patch, Rectangle)
    }
    assert (0, 2) not in cells
    assert cells[0, 1] < cells[0, 0] < cells[1, 2] < cells[1, 1]


def test_cells_say_their_number_with_its_sign() -> None:
    texts = {(text.get_position()): text.get_text() for text in shaded_table(TABLE).axes[0].texts}
    assert texts == {(0.5, 0.5): "+10", (1.5, 0.5): "0", (0.5, 1.5): "-40", (1.5, 1.5): "0", (1.5, 2.5): "+5"}


def test_rows_and_columns_take_their_labels() -> None:
    ax = shaded_table(TABLE, labels={"dram.read": "DRAM, read", "second": "two"}).axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["multiplier.multiply", "DRAM, read", "bus.broadcast"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["first", "two"]


def test_a_table_stays_on_the_page() -> None:
    assert overhang_in(shaded_table(TABLE, title="Change in percent")) <= 0.01


def test_the_line_stands_where_the_gain_is_one() -> None:
    figure = density_planes([Plane(plane(lambda w, a: 1.4 - 0.8 * w), "gain", "one")], label="Gain")
    lines = [path for part in figure.axes[0].collections for path in part.get_paths()]
    crossing = [path.vertices for path in lines if len(path.vertices) and np.allclose(path.vertices[:, 0], 0.5)]
    assert crossing
    assert np.ptp(crossing[0][:, 1]) == pytest.approx(0.9)


def test_no_line_where_one_design_always_wins() -> None:
    figure = density_planes([Plane(plane(lambda w, a: 1.5 + 0.2 * w), "gain", "one")], label="Gain")
    assert len(figure.axes[0].collections) == 1  # the bands alone: no edge of them lies in the plane either


def test_bands_get_lighter_towards_a_larger_gain() -> None:
    figure = density_planes([Plane(plane(lambda w, a: 1.0), "gain", "one")], label="Gain")
    handles = figure.legends[0].get_patches()
    found = [lightness(patch.get_facecolor()[:3]) for patch in handles]
    assert found == sorted(found, reverse=True)  # the legend starts with the largest gain


def test_planes_share_one_legend_and_stay_on_the_page() -> None:
    one = plane(lambda w, a: w + a)
    frontier = pd.DataFrame({"weight_density": [0.4], "activation_density": [0.6]})
    planes = [Plane(one, "gain", f"panel {index}", frontier) for index in range(3)]
    figure = density_planes(planes, label="Gain of SCNN")
    assert len(figure.legends) == 1
    assert overhang_in(figure) <= 0.02
    assert figure_bytes(figure, "png") == figure_bytes(density_planes(planes, label="Gain of SCNN"), "png")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="speed"):
        density_planes([Plane(plane(lambda w, a: 1.0), "speed", "one")], label="Gain")
