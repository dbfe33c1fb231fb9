"""What a dimension is to a tensor: none of its own, one that moves its tile by whole tiles, or part of a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from timeloop_py.specs.problem import Tensor


@dataclass(frozen=True)
class Relevance:
    """Booleans over the dimensions of a search.

    ``simple``: alone in its rank, so that the next tile along it shares nothing with this one. ``window``: shares a
    rank with another dimension, so that tiles overlap. ``idle``: the tensor does not have it.
    """

    simple: NDArray[np.bool_]
    window: NDArray[np.bool_]
    #: dimensions of one window have coefficients of both signs
    slides_both_ways: bool

    @cached_property
    def idle(self) -> NDArray[np.bool_]:
        return ~(self.simple | self.window)

    @cached_property
    def has_window(self) -> bool:
        return bool(self.window.any())


def relevance(tensor: Tensor, dims: Sequence[str]) -> Relevance:
    """The relevance of ``dims`` to a tensor; dimensions of one iteration are left out of ``dims``."""
    window = {dim for rank in tensor.ranks if sum(one in dims for one in rank.dims) > 1 for dim in rank.dims}
    windows = [[term.coefficient for term in rank.terms if term.dim in dims] for rank in tensor.ranks]
    return Relevance(
        simple=np.array([dim in tensor.dims and dim not in window for dim in dims], dtype=bool),
        window=np.array([dim in window for dim in dims], dtype=bool),
        slides_both_ways=any(min(one, default=0) < 0 < max(one, default=0) for one in windows),
    )
