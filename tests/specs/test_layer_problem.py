from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.specs.layer import Layer
from timeloop_py.specs.layer_problem import LAYER_DIMS, inside_share, layer_problem


def test_the_dimensions_multiply_to_the_macs() -> None:
    layer = Layer("conv2", K=256, C=96, W=27, H=27, R=5, S=5, padding=(2, 2), groups=2)
    problem = layer_problem(layer)
    assert tuple(problem.dims) == LAYER_DIMS
    product = 1
    for bound in problem.dims.values():
        product *= bound
    assert product == layer.macs


def test_inputs_follow_stride_and_dilation() -> None:
    layer = Layer("a", K=1, C=1, W=20, H=20, R=3, S=2, stride=(2, 1), dilation=(1, 3))
    ranks = layer_problem(layer).tensor("Inputs").ranks
    assert [(term.dim, term.coefficient) for term in ranks[3].terms] == [("P", 2), ("R", 1)]
    assert [(term.dim, term.coefficient) for term in ranks[4].terms] == [("Q", 1), ("S", 3)]


def test_share_of_the_padded_plane_that_exists() -> None:
    layer = Layer("conv3", K=1, C=1, W=13, H=13, R=3, S=3, padding=(1, 1))
    assert inside_share(layer) == pytest.approx(13**2 / 15**2)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
def test_share_against_counting_positions(plane: int, taps: int, stride: int, padding: int, dilation: int) -> None:
    if dilation * (taps - 1) + 1 > plane + 2 * padding:
        return
    layer = Layer("a", K=1, C=1, W=plane, H=1, R=taps, S=1, stride=(stride, 1), padding=(padding, 0),
                  dilation=(dilation, 1))  # fmt: skip
    touched = {p * stride + r * dilation for p in range(layer.P) for r in range(taps)}
    inside = [position for position in touched if padding <= position < padding + plane]
    assert inside_share(layer) == pytest.approx(len(inside) / len(touched))
