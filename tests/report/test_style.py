import itertools
import subprocess
import sys

import matplotlib as mpl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.drawn import lightness
from timeloop_py.report.style import MAX_PARTS, Designs, Margins, house_style, panels, part_styles, spread


def designs(names: list[str], labels: dict[str, str] | None = None, baseline: str | None = None) -> Designs:
    return Designs.of(pd.DataFrame({"architecture": names}), "architecture", baseline, labels)


def test_the_baseline_comes_first_and_the_others_in_order() -> None:
    assert designs(["b", "a", "b", "c"]).names == ("b", "a", "c")
    assert designs(["b", "a", "c"], baseline="c").names == ("c", "b", "a")


def test_labels_decide_order_and_style_whatever_else_is_there() -> None:
    labels = {"dcnn": "DCNN", "dcnn_opt": "DCNN-opt", "scnn": "SCNN"}
    few, many = (
        designs(["scnn", "dcnn"], labels, "dcnn"),
        designs(["scnn", "oracle", "dcnn_opt", "dcnn"], labels, "dcnn"),
    )
    assert many.names == ("dcnn", "dcnn_opt", "scnn", "oracle")
    assert few.names == ("dcnn", "scnn")
    assert few.styles["scnn"] == many.styles["scnn"]
    assert (many.label("scnn"), many.label("oracle")) == ("SCNN", "oracle")


def test_only_the_baseline_looks_like_the_baseline() -> None:
    found = designs([str(n) for n in range(25)], baseline="7")
    assert [name for name in found.names if found.styles[name] == found.styles["7"]] == ["7"]


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(ValueError, match="'x' is not among the designs a, b"):
        designs(["a", "b"], baseline="x")


def test_lines_and_bars_differ_without_colour() -> None:
    styles = list(designs([str(n) for n in range(10)]).styles.values())
    assert len({style.marker for style in styles}) == 10
    for first, second in itertools.combinations(styles, 2):
        assert first.hatch != second.hatch or abs(lightness(first.color) - lightness(second.color)) > 20


def test_parts_of_a_stack_get_lighter_upwards_and_neighbours_differ_in_hatch() -> None:
    styles = part_styles(MAX_PARTS)
    values = [lightness(style.color) for style in styles]
    assert values == sorted(values)
    assert all(above.hatch != below.hatch for below, above in itertools.pairwise(styles))


def test_the_style_is_put_back() -> None:
    before = dict(mpl.rcParams)
    with house_style():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert dict(mpl.rcParams) == before


def test_panels_stand_where_the_margins_say() -> None:
    margins = Margins(left=0.5, right=0.25, top=0.2, bottom=0.3, across=0.1, down=0.4)
    figure, axes = panels([[2.0, 1.0], [1.5]], 1.0, margins)
    assert figure.get_size_inches().tolist() == pytest.approx([0.5 + 2 + 0.1 + 1 + 0.25, 0.2 + 1 + 0.4 + 1 + 0.3])
    places = [[ax.get_position() for ax in row] for row in axes]
    width, height = figure.get_size_inches()
    assert [place.x0 * width for place in places[0]] == pytest.approx([0.5, 2.6])
    assert places[1][0].y0 * height == pytest.approx(0.3)
    assert places[0][0].y0 * height == pytest.approx(1.7)
    assert margins.panel_width_in(2, figure_in=1 + 0.85) == pytest.approx(0.5)


def test_pyplot_is_never_loaded() -> None:
    code = (
        "import sys, pandas as pd\n"
        "from timeloop_py.report.layer_plots import speedup_by_layer\n"
        "from timeloop_py.report.style import figure_bytes\n"
        "assert 'matplotlib' not in sys.modules\n"
        "frame = pd.DataFrame({'architecture': ['a', 'b'], 'network': 'n', 'layer': 'l', 'cycles': [2.0, 1.0]})\n"
        "figure_bytes(speedup_by_layer(frame), 'png')\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.1)), max_size=8))
def test_spread_boxes_stay_inside_and_do_not_overlap(boxes: list[tuple[float, float]]) -> None:
    boxes.sort()
    centres, heights = [centre for centre, _ in boxes], [height for _, height in boxes]
    places = spread(centres, heights, 0, 1)
    edges = [(place - height / 2, place + height / 2) for place, height in zip(places, heights, strict=True)]
    assert all(upper[0] - lower[1] > -1e-9 for lower, upper in itertools.pairwise(edges))
    assert all(-1e-9 < low < high < 1 + 1e-9 for low, high in edges)


def test_spread_moves_as_little_as_possible() -> None:
    assert spread([], [], 0, 1) == ()
    assert spread([0.2, 0.5], [0.2, 0.2], 0, 1) == pytest.approx((0.2, 0.5))
    assert spread([0.5, 0.5], [0.2, 0.2], 0, 1) == pytest.approx((0.4, 0.6))
    assert spread([0.1, 0.5, 0.5], [0.1, 0.2, 0.2], 0, 1) == pytest.approx((0.1, 0.4, 0.6))
    assert spread([0.5, 0.5, 0.65], [0.2, 0.2, 0.2], 0, 1) == pytest.approx((0.35, 0.55, 0.75))
    assert spread([0.95, 1.0], [0.2, 0.2], 0, 1) == pytest.approx((0.7, 0.9))
    assert spread([0.5, 0.5], [0.8, 0.8], 0, 1) == pytest.approx((0.4, 1.2))  # too high: they start at the bottom
