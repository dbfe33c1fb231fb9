"""Density points, designs and jobs of a sweep."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import timeloop_py as tl
from timeloop_py.explore.runner import run_sweep
from timeloop_py.explore.store import PartialStore
from timeloop_py.explore.sweep import POINTS_PER_JOB, Sweep, density_points, load_designs, parse_densities
from timeloop_py.specs.errors import SpecError


def test_a_range_includes_its_end() -> None:
    assert parse_densities("0.1:1.0:0.1", "--density") == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert parse_densities("0.5", "--density") == [0.5]
    assert parse_densities("0.9,0.25,0.3:0.5:0.1", "--density") == [0.9, 0.25, 0.3, 0.4, 0.5]


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 30))
def test_ranges_are_exact_decimals(first: int, last: int, step: int) -> None:
    first, last = min(first, last), max(first, last)
    text = f"{first / 100:.2f}:{last / 100:.2f}:{step / 100:.2f}"
    assert parse_densities(text, "--density") == [hundredths / 100 for hundredths in range(first, last + 1, step)]


@pytest.mark.parametrize(
    "text", ["", "0.5:", "a", "0.1:1", "1:0.5:0.1", "0.1:1:0", "0.1:1:-0.1", "0", "1.5", "0.1:1:1e-9", "nan", "inf"]
)
def test_bad_densities_name_the_option(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_densities(text, "--density")
    assert caught.value.field == "--density"


def test_points_pair_or_make_a_grid() -> None:
    assert density_points([0.1, 0.2], [0.3, 0.4]) == ((0.1, 0.3), (0.2, 0.4))
    assert density_points(0.5, [0.3, 0.4]) == ((0.5, 0.3), (0.5, 0.4))
    assert density_points([0.1, 0.2], None) == ((0.1, None), (0.2, None))
    assert density_points([0.1, 0.2], [0.3, 0.4], grid=True) == ((0.1, 0.3), (0.1, 0.4), (0.2, 0.3), (0.2, 0.4))
    with pytest.raises(SpecError, match="do not pair"):
        density_points([0.1, 0.2], [0.3, 0.4, 0.5])


def test_settings_make_one_design_per_combination() -> None:
    designs = load_designs(["scnn", "dcnn"], ["scnn.parameters.F=2,4", "scnn.dataflow.barrier=none,per_group"])
    assert [design.name for design in designs] == [
        "scnn[F=2,barrier=none]",
        "scnn[F=2,barrier=per_group]",
        "scnn[F=4,barrier=none]",
        "scnn[F=4,barrier=per_group]",
        "dcnn",
    ]
    assert [design.require_accelerator()[0].multipliers for design in designs] == [512, 512, 1024, 1024, 1024]


def test_a_setting_reaches_what_depends_on_a_parameter() -> None:
    (design,) = load_designs(["scnn"], ["scnn.parameters.accumulator_banks=64"])
    assert design.name == "scnn"
    assert design.components["accumulator"].attributes["capacity_bytes"] == 64 * 32 * 3 * 2
    assert design.components["crossbar"].attributes["outputs"] == 64


def test_own_densities_are_those_of_the_file() -> None:
    network = tl.load_network("alexnet")
    frame = tl.explore(tl.load_architecture("scnn"), network)
    assert list(frame["weight_density"]) == [layer.weight_density for layer in network.layers]
    assert list(frame["activation_density"]) == [layer.activation_density for layer in network.layers]


def test_jobs_cover_the_sweep_in_order(tmp_path) -> None:  # type: ignore[no-untyped-def]
    densities = [step / 120 for step in range(1, 121)]
    designs = load_designs(["scnn", "dcnn"])
    sweep = Sweep(designs, (tl.load_network("alexnet"),), density_points(densities, densities))
    jobs = list(sweep.jobs())
    assert [len(job.points) for job in jobs] == [POINTS_PER_JOB, POINTS_PER_JOB, 20] * 2
    assert len({job.key for job in jobs}) == len(jobs)
    steps: list[tuple[int, int]] = []
    store = PartialStore(tmp_path, resume=False)
    first = run_sweep(sweep, lambda done, total: steps.append((done, total)), store)
    assert steps == [(done, 6) for done in range(7)]
    assert len(first.results) == 2 * 5 * 120
    assert list(first.summary["architecture"].unique()) == ["scnn", "dcnn"]
    # A second run takes every job from the store, and gives the same.
    again: list[tuple[int, int]] = []
    second = run_sweep(sweep, lambda done, total: again.append((done, total)), PartialStore(tmp_path, resume=True))
    assert again == [(6, 6)]
    for name in ("results", "accesses", "summary"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_dtype=False)
