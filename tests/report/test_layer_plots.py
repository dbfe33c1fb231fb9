import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.report.drawn import bars, overhang_in, text_boxes
from timeloop_py.report.layer_plots import (
    MAX_LAYERS_PER_ROW,
    energy_by_layer,
    speedup_by_layer,
    utilization_by_layer,
)

LABELS = {"dcnn": "DCNN", "scnn": "SCNN", "oracle": "SCNN (oracle)"}


def module(layer: str) -> str:
    return layer.split("/")[0]


def layer_names(figure: Figure) -> list[list[str]]:
    return [[tick.get_text() for tick in ax.get_xticklabels()] for ax in figure.axes]


def test_speedup_is_baseline_cycles_over_own(layers: pd.DataFrame) -> None:
    figure = speedup_by_layer(layers, baseline="dcnn", labels=LABELS, group=module)
    alexnet = figure.axes[0]
    cycles = layers[layers["network"] == "alexnet"].pivot(index="layer", columns="architecture", values="cycles")
    expected = [*(cycles["dcnn"] / cycles["scnn"]).tolist(), cycles["dcnn"].sum() / cycles["scnn"].sum()]
    assert [height for _, height in bars(alexnet)["SCNN"]] == pytest.approx(expected)
    assert layer_names(figure)[0] == ["conv1", "conv2", "conv3", "conv4", "conv5", "all"]
    assert alexnet.get_ylabel() == "Speed-up over DCNN"
    assert list(bars(alexnet)) == ["SCNN", "SCNN (oracle)"]


def test_designs_that_never_differ_from_the_baseline_are_its_line(layers: pd.DataFrame) -> None:
    twin = layers[layers["architecture"] == "dcnn"].assign(architecture="dcnn_opt")
    (ax, *_) = speedup_by_layer(pd.concat([layers, twin]), baseline="dcnn", labels=LABELS).axes
    assert list(bars(ax)) == ["SCNN", "SCNN (oracle)"]
    assert ax.get_ylabel() == "Speed-up over DCNN and dcnn_opt"
    (ax,) = speedup_by_layer(pd.concat([twin, twin.assign(architecture="x")]).query("network == 'alexnet'")).axes
    assert list(bars(ax)) == ["x"]  # nothing else to draw


def test_grouped_layers_are_sums_not_means_of_ratios(layers: pd.DataFrame) -> None:
    figure = speedup_by_layer(layers, baseline="dcnn", labels=LABELS, group=module)
    rows = layers[layers["layer"].str.startswith("3a/")].groupby("architecture")["cycles"].sum()
    assert layer_names(figure)[1][:2] == ["3a", "3b"]
    assert bars(figure.axes[1])["SCNN"][0][1] == pytest.approx(rows["dcnn"] / rows["scnn"])


def test_energy_is_own_over_the_baselines(layers: pd.DataFrame) -> None:
    figure = energy_by_layer(layers, baseline="dcnn", labels=LABELS, group=module)
    energy = layers[layers["network"] == "alexnet"].pivot(index="layer", columns="architecture", values="energy_pj")
    drawn = [height for _, height in bars(figure.axes[0])["SCNN"]]
    assert drawn == pytest.approx([*(energy["scnn"] / energy["dcnn"]), energy["scnn"].sum() / energy["dcnn"].sum()])
    assert figure.axes[0].get_ylabel() == "Energy relative to DCNN"


def test_utilization_and_waiting(layers: pd.DataFrame) -> None:
    figure = utilization_by_layer(layers, design="scnn", labels=LABELS, group=module)
    scnn = layers[layers["architecture"] == "scnn"]
    rows = scnn[scnn["layer"].str.startswith("5b/")]
    index = layer_names(figure)[1].index("5b")
    ax = figure.axes[1]
    (heights,) = bars(ax).values()
    (waiting,) = ax.lines
    weights = rows["cycles"] / rows["cycles"].sum()
    assert heights[index][1] == pytest.approx((rows["utilization"] * weights).sum())
    assert float(waiting.get_ydata()[index]) == pytest.approx((rows["barrier_share"] * weights).sum())
    assert ax.get_ylim() == (0, 1)


def test_long_networks_go_on_in_the_next_row(layers: pd.DataFrame) -> None:
    figure = speedup_by_layer(layers[layers["network"] == "googlenet"], baseline="dcnn", labels=LABELS)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["googlenet", "googlenet, continued"]
    names = layer_names(figure)
    assert all(len(row) <= MAX_LAYERS_PER_ROW for row in names)
    wanted = layers.loc[(layers["network"] == "googlenet") & (layers["architecture"] == "dcnn"), "layer"].tolist()
    assert names[0] + names[1] == [*wanted, "all"]


def test_panels_share_their_scale_and_layers_their_width(layers: pd.DataFrame) -> None:
    figure = speedup_by_layer(layers, baseline="dcnn", labels=LABELS)
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    widths = [ax.get_position().width / (ax.get_xlim()[1] - ax.get_xlim()[0]) for ax in figure.axes]
    assert widths == pytest.approx([widths[0]] * len(widths))


@pytest.mark.parametrize("group", [None, module])
def test_nothing_is_cut_off(layers: pd.DataFrame, group: object) -> None:
    for figure in (
        speedup_by_layer(layers, baseline="dcnn", labels=LABELS, group=group),
        energy_by_layer(layers[layers["network"] == "alexnet"], baseline="dcnn", group=group),
        utilization_by_layer(layers, design="scnn", labels=LABELS, group=group),
        utilization_by_layer(layers[layers["network"] == "alexnet"], design="scnn"),
    ):
        assert overhang_in(figure) <= 0


def test_a_long_legend_takes_more_lines_and_stays_above_the_panels(layers: pd.DataFrame) -> None:
    alexnet = layers[layers["network"] == "alexnet"]
    copies = [alexnet.assign(architecture=alexnet["architecture"] + f" variant {n}") for n in range(4)]
    figure = speedup_by_layer(pd.concat(copies))
    assert overhang_in(figure) <= 0
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 8  # SCNN and its oracle, four times each; the DCNNs are all the line at 1
    assert figure.axes[0].get_ylabel() == "Speed-up over dcnn variant 0 and 3 others"
    titles = text_boxes(figure, ["alexnet"])
    assert legend.get_window_extent().y0 >= max(box.y1 for box in titles)


@pytest.mark.parametrize("count", [12, 30])
def test_many_variants_with_long_names_are_told_apart(layers: pd.DataFrame, count: int) -> None:
    two = layers[(layers["network"] == "alexnet") & (layers["architecture"] == "scnn")].head(2)
    name = "scnn[output_channel_group_max={},barrier=per_group]"
    variants = [two.assign(architecture=name.format(n), cycles=two["cycles"] * (1 + n)) for n in range(count)]
    figure = speedup_by_layer(pd.concat(variants))
    assert overhang_in(figure) <= 0
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-1] == f"baseline: {name.format(0)}"
    drawn = [container for ax in figure.axes[:1] for container in ax.containers]
    looks = {(patch.get_facecolor(), patch.get_hatch()) for patch in (container[0] for container in drawn)}
    assert len(looks) == count - 1
    width_in = drawn[0][0].get_window_extent().width / figure.dpi
    assert width_in >= 0.03


def test_a_design_that_lacks_a_layer_has_no_bar_there(layers: pd.DataFrame) -> None:
    partial = layers[(layers["architecture"] != "oracle") | (layers["network"] != "vgg16")]
    figure = speedup_by_layer(partial, baseline="dcnn", labels=LABELS, group=module)
    heights = [height for _, height in bars(figure.axes[-1])["SCNN (oracle)"]]
    assert all(height != height for height in heights)  # not a number: nothing is drawn
    assert figure.axes[-1].get_ylim()[1] > 1


def test_the_baseline_alone_is_refused(layers: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="no design besides the baseline dcnn"):
        speedup_by_layer(layers[layers["architecture"] == "dcnn"])


def test_an_unknown_design_is_refused(layers: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'eie' is not among the designs dcnn, scnn, oracle"):
        utilization_by_layer(layers, design="eie")
