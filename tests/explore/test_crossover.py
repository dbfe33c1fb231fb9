"""Crossovers solved with the model."""

from __future__ import annotations

import numpy as np
import pytest

import timeloop_py as tl
from timeloop_py.explore.crossover import TOLERANCE, sign_changes
from timeloop_py.specs.errors import SpecError

GRID = [step / 10 for step in range(10, 0, -1)]


def sweep(*names: str, network: str = "alexnet"):  # type: ignore[no-untyped-def]
    designs = [tl.load_architecture(name) for name in names]
    return tl.explore(designs, tl.load_network(network), weight_density=GRID, activation_density=GRID)


@pytest.mark.parametrize("metric", ["cycles", "energy_pj"])
def test_the_order_changes_where_it_says(metric: str) -> None:
    frame = sweep("scnn", "dcnn")
    (found,) = tl.crossover(frame, "scnn", "dcnn", metric=metric)  # type: ignore[arg-type]
    assert found.better_below == "scnn"
    assert found.weight_density == found.activation_density

    def difference(density: float) -> float:
        first, second = (
            tl.evaluate(
                tl.load_architecture(name),
                tl.load_network("alexnet"),
                weight_density=density,
                activation_density=density,
            )
            for name in ("scnn", "dcnn")
        )
        return float(getattr(first, metric) - getattr(second, metric))

    assert difference(found.weight_density + TOLERANCE) > 0 > difference(found.weight_density - TOLERANCE)


def test_designs_that_never_change_order_have_no_crossover() -> None:
    assert tl.crossover(sweep("dcnn", "dcnn_opt"), "dcnn", "dcnn_opt", metric="cycles") == []


def test_a_jump_is_told_from_a_crossing() -> None:
    """As where a layer starts to spill: the curves change order and do not meet."""

    def order(t: np.ndarray) -> np.ndarray:
        return np.where(t < 0.37, 0.3 + 0 * t, 0.61 - t)

    (jump, crossing) = sign_changes(lambda t: np.where(t < 0.2, -0.1, order(t)))
    assert jump == (pytest.approx(0.2, abs=TOLERANCE), True, 1.0)
    assert crossing == (pytest.approx(0.61, abs=TOLERANCE), False, -1.0)


def test_a_frame_without_its_sweep_is_refused() -> None:
    frame = sweep("scnn", "dcnn")
    del frame.attrs["sweep"]
    with pytest.raises(SpecError, match="expected a frame that explore returned"):
        tl.crossover(frame, "scnn", "dcnn")


@pytest.mark.parametrize(
    ("first", "metric", "message"),
    [("snn", "cycles", "did you mean 'scnn'"), ("scnn", "energy", "did you mean 'energy_pj'")],
)
def test_wrong_names_are_named(first: str, metric: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        tl.crossover(sweep("scnn", "dcnn"), first, "dcnn", metric=metric)  # type: ignore[arg-type]


def test_a_plane_of_densities_is_no_path() -> None:
    designs = [tl.load_architecture(name) for name in ("scnn", "dcnn")]
    frame = tl.explore(
        designs, tl.load_network("alexnet"), weight_density=[0.2, 0.8], activation_density=[0.2, 0.8], grid=True
    )
    with pytest.raises(SpecError, match="one straight path"):
        tl.crossover(frame, "scnn", "dcnn")
