"""A layer as a problem: the loop nest that every mapping of it orders, splits and spreads (MODEL section 1)."""

from __future__ import annotations

from timeloop_py.specs.layer import Layer
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

#: Dimensions of a layer's problem; ``K`` and ``C`` are those of one channel group.
LAYER_DIMS = ("N", "G", "K", "C", "P", "Q", "R", "S")


def layer_problem(layer: Layer) -> Problem:
    """The output-centric problem of a layer: inputs at ``p * stride + r * dilation`` of the padded plane.

    Padding is part of the inputs: the share of them that exists is :func:`inside_share`.
    """
    dims = {
        "N": layer.N,
        "G": layer.groups,
        "K": layer.output_channels_per_group,
        "C": layer.channels_per_group,
        "P": layer.P,
        "Q": layer.Q,
        "R": layer.R,
        "S": layer.S,
    }
    x = Rank((Term("P", layer.stride[0]), Term("R", layer.dilation[0])))
    y = Rank((Term("Q", layer.stride[1]), Term("S", layer.dilation[1])))
    return Problem(
        dims,
        (
            Tensor("Weights", _ranks("GKCRS")),
            Tensor("Inputs", (*_ranks("NGC"), x, y)),
            Tensor("Outputs", _ranks("NGKPQ"), is_output=True),
        ),
    )


def inside_share(layer: Layer) -> float:
    """The share of the touched inputs of the padded plane that lie inside the plane: the rest is padding."""
    share = 1.0
    for axis, (plane, outputs, taps) in enumerate(((layer.W, layer.P, layer.R), (layer.H, layer.Q, layer.S))):
        touched = {
            output * layer.stride[axis] + tap * layer.dilation[axis] - layer.padding[axis]
            for output in range(outputs)
            for tap in range(taps)
        }
        share *= sum(0 <= position < plane for position in touched) / len(touched)
    return share


def _ranks(dims: str) -> tuple[Rank, ...]:
    return tuple(Rank((Term(dim),)) for dim in dims)
