import itertools
import math

import pandas as pd
import pytest
from matplotlib.axes import Axes

from tests.report.conftest import result_frame
from tests.report.drawn import overhang_in, text_boxes
from timeloop_py.report.density_plots import density_sensitivity

LABELS = {"dcnn": "DCNN", "dcnn_opt": "DCNN-opt", "scnn": "SCNN"}


def curves(ax: Axes) -> list[list[float]]:
    """The drawn lines, in drawing order, without the rings at crossings."""
    return [[float(y) for y in line.get_ydata()] for line in ax.lines if len(line.get_xdata()) > 1]


def rings(ax: Axes) -> list[tuple[float, float]]:
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in ax.lines if len(line.get_xdata()) == 1]


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_values_are_network_sums_relative_to_the_densest_baseline(sweep: pd.DataFrame) -> None:
    ax = density_sensitivity(sweep, baseline="dcnn", labels=LABELS).axes[1]
    totals = sweep.groupby(["architecture", "weight_density"])["energy_pj"].sum()
    order = sorted(sweep["weight_density"].unique(), reverse=True)
    expected = [
        [totals[design, density] / totals["dcnn", 1.0] for density in order] for design in ("dcnn", "dcnn_opt", "scnn")
    ]
    for drawn, wanted in zip(curves(ax), expected, strict=True):
        assert drawn == pytest.approx(wanted)


def test_the_densest_point_stands_on_the_left(sweep: pd.DataFrame) -> None:
    ax = density_sensitivity(sweep, baseline="dcnn").axes[0]
    left, right = ax.get_xlim()
    assert left > 1.0 > 0.1 > right
    assert [tick.get_text() for tick in ax.get_xticklabels()][:2] == ["1.0/1.0", "0.9/0.9"]
    assert ax.get_xlabel() == "Weight / activation density"
    assert ax.get_ylabel() == "Latency relative to\ndcnn at 1.0/1.0"


def test_designs_with_the_same_values_share_a_line_and_a_label(sweep: pd.DataFrame) -> None:
    latency, energy = density_sensitivity(sweep, baseline="dcnn", labels=LABELS).axes
    assert len(curves(latency)) == 2
    assert "DCNN,\nDCNN-opt" in texts(latency)
    assert len(curves(energy)) == 3
    assert {"DCNN", "DCNN-opt", "SCNN"} <= set(texts(energy))


def test_crossings_are_ringed_where_the_curves_meet(sweep: pd.DataFrame) -> None:
    latency, energy = density_sensitivity(sweep, baseline="dcnn", labels=LABELS).axes
    ((density, height),) = rings(latency)
    scnn = dict(zip([n / 10 for n in range(10, 0, -1)], curves(latency)[1], strict=True))
    assert 0.8 < density < 0.9
    assert height == pytest.approx(1.0)
    share = (0.9 - density) / 0.1
    assert math.log(scnn[0.9]) * (1 - share) + math.log(scnn[0.8]) * share == pytest.approx(0, abs=1e-9)
    assert f"{density:.2f}" in texts(latency)
    assert len(rings(energy)) == 2


def test_among_many_curves_only_crossings_with_the_baseline_are_marked() -> None:
    points = [(1.0, 1.0), (0.5, 0.5), (0.2, 0.2)]
    frame = pd.concat(
        result_frame([kind], ["alexnet"], points).assign(
            architecture=name, cycles=lambda rows, factor=factor: rows["cycles"] * factor
        )
        for kind, name, factor in (("dcnn", "a", 1), ("scnn", "b", 1), ("dcnn", "c", 0.9), ("dcnn", "d", 0.8))
    )
    assert len(rings(density_sensitivity(frame[frame["architecture"] != "d"]).axes[0])) == 2
    assert len(rings(density_sensitivity(frame).axes[0])) == 1


def test_curves_far_apart_are_drawn_on_a_logarithmic_axis(sweep: pd.DataFrame) -> None:
    dense = sweep[sweep["weight_density"] >= 0.6]
    assert density_sensitivity(sweep, baseline="dcnn").axes[0].get_yscale() == "log"
    ax = density_sensitivity(dense, baseline="dcnn").axes[0]
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] == 0


def test_one_row_of_panels_per_network() -> None:
    frame = result_frame(["dcnn", "scnn"], ["alexnet", "vgg16"], [(1.0, 1.0), (0.5, 0.5), (0.2, 0.2)])
    figure = density_sensitivity(frame)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "(a) Latency, alexnet",
        "(b) Energy, alexnet",
        "(c) Latency, vgg16",
        "(d) Energy, vgg16",
    ]
    assert overhang_in(figure) <= 0


def test_a_single_metric_fits_one_column() -> None:
    frame = result_frame(["dcnn", "scnn"], ["alexnet"], [(1.0, 0.4), (0.5, 0.4)])
    figure = density_sensitivity(frame, metrics=["energy_pj"])
    (ax,) = figure.axes
    assert ax.get_title(loc="left") == "Energy, alexnet"
    assert ax.get_xlabel() == "Weight density (activation density 0.4)"
    assert figure.get_figwidth() < 4
    assert overhang_in(figure) <= 0


def test_nothing_is_cut_off_and_names_do_not_overlap() -> None:
    names = [f"accelerator {n}" for n in range(8)]
    frame = pd.concat(
        result_frame(["dcnn"], ["alexnet"], [(n / 10, n / 10) for n in range(10, 0, -1)]).assign(
            architecture=name, cycles=lambda rows, n=index: rows["cycles"] * (1 + 0.001 * n)
        )
        for index, name in enumerate(names)
    )
    figure = density_sensitivity(frame, metrics=["cycles"])
    assert overhang_in(figure) <= 0
    boxes = sorted(text_boxes(figure, names), key=lambda box: box.y0)
    assert len(boxes) == 8
    assert all(upper.y0 >= lower.y1 - 1 for lower, upper in itertools.pairwise(boxes))


def test_a_plane_of_points_is_refused() -> None:
    frame = result_frame(["dcnn"], ["alexnet"], [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5)])
    with pytest.raises(ValueError, match="independently"):
        density_sensitivity(frame)


def test_a_baseline_without_the_densest_point_is_refused() -> None:
    frame = pd.concat(
        [
            result_frame(["scnn"], ["alexnet"], [(1.0, 1.0), (0.5, 0.5)]),
            result_frame(["dcnn"], ["alexnet"], [(0.5, 0.5)]),
        ]
    )
    with pytest.raises(ValueError, match="baseline dcnn has no value"):
        density_sensitivity(frame, baseline="dcnn")
