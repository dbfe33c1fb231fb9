"""Pareto fronts: the designs that no other one beats in every metric at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from timeloop_py.specs.errors import SpecError, nearest

if TYPE_CHECKING:
    import pandas as pd


def non_dominated(values: ArrayLike) -> NDArray[np.bool_]:
    """Which rows of ``values`` (designs, metrics; less is better) no other row dominates.

    A row dominates another one where it is nowhere worse and somewhere better; equal rows do not. NaN is worse than
    everything.
    """
    table = np.asarray(values, dtype=float)
    table = np.where(np.isnan(table), np.inf, table)
    # In lexicographic order nothing that comes later dominates a row, and what dominates it is dominated by the front.
    order = np.lexsort(table.T[::-1])
    front = np.zeros(len(table), dtype=bool)
    kept = np.empty((0, table.shape[1]))
    for row in order:
        point = table[row]
        below = (kept <= point).all(axis=1)
        if not (below & (kept < point).any(axis=1)).any():
            front[row] = True
            kept = np.vstack([kept, point])
    return front


def pareto_front(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """The rows of a frame that no other row dominates in these columns (less is better), best first metric first.

    SpecError: a column that the frame does not have.
    """
    for metric in metrics:
        if metric not in frame.columns:
            raise SpecError(f"no column {metric!r}{nearest(metric, map(str, frame.columns))}", field="metrics")
    front = frame[non_dominated(frame[list(metrics)].to_numpy())]
    return front.sort_values(list(metrics), kind="stable").reset_index(drop=True)
