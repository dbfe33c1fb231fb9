import pandas as pd
import pytest

from tests.report.drawn import bars, overhang_in
from timeloop_py.report.work_plots import density_by_layer

FRAME = pd.DataFrame(
    {
        "network": ["alexnet", "alexnet", "vgg16"],
        "layer": ["conv1", "conv2", "conv1_1"],
        "weight_density": [0.8, 0.4, 0.6],
        "activation_density": [1.0, 0.9, 1.0],
        "work": [0.8, 0.36, 0.6],
    }
)


def test_bars_are_densities_and_triangles_the_work() -> None:
    figure = density_by_layer(FRAME)
    ax = figure.axes[0]
    assert [height for _, height in bars(ax)["weights"]] == [0.8, 0.4]
    assert [height for _, height in bars(ax)["input activations"]] == [1.0, 0.9]
    assert ax.lines[0].get_ydata().tolist() == [0.8, 0.36]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["alexnet", "vgg16"]
    assert overhang_in(figure) <= 0.01


def test_networks_may_be_chosen() -> None:
    assert [ax.get_title(loc="left") for ax in density_by_layer(FRAME, networks=["vgg16"]).axes] == ["vgg16"]


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="work"):
        density_by_layer(FRAME.drop(columns="work"))
