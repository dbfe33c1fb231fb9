import itertools

import pandas as pd
import pytest

from tests.report.drawn import bars, overhang_in
from timeloop_py.report.energy_plots import MAX_BARS, energy_breakdown
from timeloop_py.report.style import MAX_PARTS

LABELS = {"dcnn": "DCNN", "dcnn_opt": "DCNN-opt", "scnn": "SCNN"}


def test_stacks_are_as_high_as_the_energy(accesses: pd.DataFrame, sweep: pd.DataFrame) -> None:
    figure = energy_breakdown(accesses, baseline="dcnn", labels=LABELS)
    (ax,) = figure.axes
    assert ax.get_ylabel() == "Energy [mJ]"
    heights = [sum(height for _, height in stack) for stack in zip(*bars(ax).values(), strict=True)]
    totals = sweep.groupby(["weight_density", "architecture"])["energy_pj"].sum() / 1e9
    expected = [totals[n / 10, design] for n in range(10, 0, -1) for design in ("dcnn", "dcnn_opt", "scnn")]
    assert heights == pytest.approx(expected)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["DCNN", "DCNN-opt", "SCNN"] * 10


def test_parts_stand_on_each_other(accesses: pd.DataFrame) -> None:
    (ax,) = energy_breakdown(accesses).axes
    parts = list(bars(ax).values())
    assert [bottom for bottom, _ in parts[0]] == [0] * len(parts[0])
    for below, above in itertools.pairwise(parts):
        assert [bottom for bottom, _ in above] == pytest.approx([bottom + height for bottom, height in below])


def test_every_part_has_its_energy(accesses: pd.DataFrame) -> None:
    (ax,) = energy_breakdown(accesses, part_labels={"dram": "DRAM"}).axes
    drawn = {name: sum(height for _, height in heights) for name, heights in bars(ax).items()}
    expected = accesses.groupby("level", sort=False)["energy_pj"].sum() / 1e9
    names = [name.replace("_", " ").replace("dram", "DRAM") for name in expected.index]
    assert drawn == pytest.approx(dict(zip(names, expected, strict=True)))


def test_small_parts_are_drawn_together(accesses: pd.DataFrame) -> None:
    extra = [accesses.head(1).assign(level=f"level {n}", energy_pj=float(n)) for n in range(1, MAX_PARTS + 3)]
    (ax,) = energy_breakdown(pd.concat([accesses, *extra])).axes
    drawn = bars(ax)
    assert len(drawn) == MAX_PARTS
    assert list(drawn)[-1] == "other"
    everything = sum(height for heights in drawn.values() for _, height in heights) * 1e9
    assert everything == pytest.approx(accesses["energy_pj"].sum() + sum(range(1, MAX_PARTS + 3)))


def test_other_columns_can_be_stacked(accesses: pd.DataFrame) -> None:
    (ax,) = energy_breakdown(accesses, part="tensor").axes
    assert list(bars(ax)) == ["Inputs"]


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
