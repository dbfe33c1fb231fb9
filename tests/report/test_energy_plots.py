import itertools

import pandas as pd
import pytest
from matplotlib.axes import Axes

from tests.report.drawn import overhang_in, stacks
from timeloop_py.report.energy_plots import MAX_BARS, energy_breakdown
from timeloop_py.report.style import MAX_PARTS

LABELS = {"dcnn": "DCNN", "dcnn_opt": "DCNN-opt", "scnn": "SCNN"}


def energy(ax: Axes) -> dict[str, float]:
    """What is drawn of every part, all bars together."""
    return {name: sum(top - bottom for bottom, top in boxes.values()) for name, boxes in stacks(ax).items()}


def test_stacks_are_as_high_as_the_energy(accesses: pd.DataFrame, sweep: pd.DataFrame) -> None:
    figure = energy_breakdown(accesses, baseline="dcnn", labels=LABELS)
    (ax,) = figure.axes
    assert ax.get_ylabel() == "Energy [mJ]"
    heights = [max(boxes.get(x, (0, 0))[1] for boxes in stacks(ax).values()) for x in ax.get_xticks()]
    totals = sweep.groupby(["weight_density", "architecture"])["energy_pj"].sum() / 1e9
    expected = [totals[n / 10, design] for n in range(10, 0, -1) for design in ("dcnn", "dcnn_opt", "scnn")]
    assert heights == pytest.approx(expected)
    assert ax.get_ylim()[1] > max(heights)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["DCNN", "DCNN-opt", "SCNN"] * 10


def test_parts_stand_on_each_other(accesses: pd.DataFrame) -> None:
    (ax,) = energy_breakdown(accesses).axes
    for x in ax.get_xticks():
        boxes = [boxes[x] for boxes in stacks(ax).values() if x in boxes]
        assert boxes[0][0] == 0
        assert all(above[0] == pytest.approx(below[1]) for below, above in itertools.pairwise(boxes))


def test_every_part_has_its_energy(accesses: pd.DataFrame) -> None:
    (ax,) = energy_breakdown(accesses, part_labels={"dram": "DRAM"}).axes
    expected = accesses.groupby("level", sort=False)["energy_pj"].sum() / 1e9
    names = [name.replace("_", " ").replace("dram", "DRAM") for name in expected.index]
    assert energy(ax) == pytest.approx(dict(zip(names, expected, strict=True)))
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == names[::-1]  # the top of the stack on top


def test_small_parts_are_drawn_together(accesses: pd.DataFrame) -> None:
    extra = [accesses.head(1).assign(level=f"level {n}", energy_pj=float(n)) for n in range(1, MAX_PARTS + 3)]
    (ax,) = energy_breakdown(pd.concat([accesses, *extra])).axes
    drawn = energy(ax)
    assert len(drawn) == MAX_PARTS
    assert list(drawn)[-1] == "other"
    assert sum(drawn.values()) * 1e9 == pytest.approx(accesses["energy_pj"].sum() + sum(range(1, MAX_PARTS + 3)))


def test_other_columns_can_be_stacked(accesses: pd.DataFrame) -> None:
    (ax,) = energy_breakdown(accesses, part="tensor").axes
    assert list(stacks(ax)) == ["Inputs"]


def test_points_are_thinned_where_bars_could_not_be_named(accesses: pd.DataFrame) -> None:
    copies = [accesses.assign(architecture=f"{name} {n}") for n in range(4) for name in ("scnn", "dcnn")]
    figure = energy_breakdown(pd.concat(copies))
    assert len(figure.axes[0].get_xticks()) <= MAX_BARS
    assert overhang_in(figure) <= 0


def test_nothing_is_cut_off(accesses: pd.DataFrame) -> None:
    networks = pd.concat([accesses, accesses.assign(network="vgg16")])
    figure = energy_breakdown(networks, labels=LABELS)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["alexnet", "vgg16"]
    assert overhang_in(figure) <= 0


def test_missing_columns_are_named(accesses: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="energy_pj"):
        energy_breakdown(accesses.drop(columns="energy_pj"))
