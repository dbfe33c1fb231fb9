"""Structure along channels: what the vectors of one channel say of those of the others, against drawn tensors."""

from __future__ import annotations

import numpy as np
import pytest

from timeloop_py.model.evaluate import evaluate
from timeloop_py.simulator.api import simulate
from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.zeros import Zeros
from timeloop_py.tensors.density import Bernoulli, DensityModel
from timeloop_py.tensors.structured import BlockStructured, NMStructured


@pytest.mark.parametrize(
    "model",
    [NMStructured(2, 4, -3), NMStructured(1, 8, -3), BlockStructured(0.3, (4, 1, 1)), BlockStructured(0.3, (2, 2, 2))],
    ids=str,
)
@pytest.mark.parametrize(("rows", "columns", "lanes"), [(1, 1, 4), (2, 2, 4), (4, 2, 1), (3, 4, 4)])
def test_covariance_with_all_other_channels_is_that_of_drawn_tensors(
    model: DensityModel, rows: int, columns: int, lanes: int
) -> None:
    channels = 8
    rng = np.random.default_rng(1)
    drawn = np.stack([model.sample((1, channels, rows, columns), rng) for _ in range(10_000)])
    vectors = -(-drawn.sum(axis=(1, 3, 4)) // lanes)
    covariance = np.cov(vectors.T)
    others = (covariance.sum(axis=1) - np.diag(covariance)).mean()
    found = model.channel_covariance((1, 1, rows, columns), lanes)
    assert found == pytest.approx(others, abs=0.05 + 0.06 * abs(others))


def test_all_channels_of_a_group_have_as_many_non_zeros_at_one_position() -> None:
    model = NMStructured(2, 4, -3)
    tile = (1, 1, 1, 1)
    assert model.channel_covariance(tile, 4) == pytest.approx(-model.vector_moments(tile, 4)[1])
    # Large tiles: in the limit, to which the last exact one is close.
    large = (1, 1, 16, 16), (1, 1, 17, 16)
    shares = [model.channel_covariance(one, 4) / model.vector_moments(one, 4)[1] for one in large]
    assert shares[0] == pytest.approx(shares[1], abs=0.02)


def test_channels_without_structure_along_them_are_independent() -> None:
    for model in (Bernoulli(0.3), NMStructured(2, 4, -1), BlockStructured(0.3, (2, 2))):
        assert model.channel_covariance((1, 1, 4, 4), 4) == 0


@pytest.mark.parametrize("zeros", [Zeros.of("n_m", n=2, m=4, axis=1), Zeros.of("n_m", n=1, m=4, axis=1)], ids=str)
@pytest.mark.parametrize("grid", [4, 8])
def test_pes_hardly_wait_for_each_other_where_every_position_has_as_many_non_zeros(zeros: Zeros, grid: int) -> None:
    """GoogLeNet's inception_5b/5x5: independent channels would make it 40% longer."""
    layer = Layer("5x5", K=128, C=48, W=7, H=7, R=5, S=5, padding=(2, 2), weight_density=0.35).with_zeros(None, zeros)
    settings = [("parameters.pe_x", grid), ("parameters.pe_y", grid), ("dataflow.bank_contention", "none")]
    architecture = load_architecture("scnn", settings)
    runs = [simulate(architecture, layer, seed=seed, verify=False).cycles for seed in range(3)]
    assert evaluate(architecture, layer).cycles == pytest.approx(np.mean(runs), rel=0.03)


@pytest.mark.parametrize("rows", [1, 2, 5, 13])
@pytest.mark.parametrize("lanes", [1, 3, 4, 16])
def test_channels_without_zeros_do_not_vary(rows: int, lanes: int) -> None:
    model, tile = NMStructured(4, 4, -3), (1, 1, rows, 7)
    assert model.vector_moments(tile, lanes)[1] + model.channel_covariance(tile, lanes) == pytest.approx(0, abs=1e-9)
    assert model.vector_moments(tile, lanes)[1] + model.channel_covariance(tile, lanes) >= 0


@pytest.mark.parametrize(
    "zeros",
    [
        Zeros.of("n_m", n=4, m=4, axis=1),
        Zeros.of("n_m", n=4, m=4, axis=3),
        Zeros.of("block", density=1.0, block=(4, 2, 2)),
        Zeros.of("whole_channel", density=1.0, axis=1),
    ],
    ids=str,
)
def test_a_structure_that_leaves_no_zeros_is_dense(zeros: Zeros) -> None:
    layer = Layer("3x3", K=16, C=16, W=14, H=14, R=3, S=3, padding=(1, 1), weight_density=1.0, activation_density=1.0)
    scnn = load_architecture("scnn")
    assert evaluate(scnn, layer.with_zeros(None, zeros)).cycles == pytest.approx(evaluate(scnn, layer).cycles)


def test_a_row_without_positions_holds_nothing() -> None:
    model = NMStructured(2, 4, -1)
    assert model.worst_occupancy((1, 1, 3, 0)) == 0
    assert model.occupancy_pmf((1, 1, 3, 0)).tolist() == [1.0]
