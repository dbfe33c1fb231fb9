"""What mappings cost at least, known at once: before anything is enumerated, or by spatial factors alone.

- Every iteration is computed once; that takes at least the iterations over time that spatial factors leave to every
  dimension, on no more units than there are.
- Every word of an input leaves the outermost level that holds it at least once, every word of the output comes to its
  own at least once.
- Every operand of a computation is read, and every product taken up, in the innermost level that holds it. One such
  access serves no more computations than there are lanes below an instance of that level.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.mapspace import Mapspace, Retention
from timeloop_py.mapper.objective import Goal
from timeloop_py.mapper.spread import Spread
from timeloop_py.specs.hierarchy import StorageLevel
from timeloop_py.specs.problem import Problem, Tensor

Numbers = NDArray[np.float64]


def unavoidable(space: Mapspace, goal: Goal) -> float:
    """A lower bound of the goal's measure for all mappings of a mapspace."""
    hierarchy, problem = space.hierarchy, space.problem
    energy_pj = _compute_pj(space)
    for tensor in problem.tensors:
        home = next(level for level in hierarchy.levels if level.may_hold(tensor.name))
        energy_pj += _least_words(problem, tensor) * _access_pj(home, tensor)
    return float(goal.bound(energy_pj, _computes(problem) / hierarchy.compute.instances))


def unavoidable_with(retention: Retention, spread: Spread, goal: Goal) -> Numbers:
    """A lower bound of the goal's measure for the mappings with given spatial factors, (choices,)."""
    space = retention.space
    energy_pj = np.full(len(spread), _compute_pj(space))
    for tensor in space.problem.tensors:
        stages = [stage for stage, index in enumerate(retention.stages) if tensor.name in retention.kept[index]]
        home, innermost = (space.hierarchy.levels[retention.stages[stage]] for stage in (stages[0], stages[-1]))
        words = _least_words(space.problem, tensor)
        accesses = _computes(space.problem) / spread.factors[:, stages[-1] :].prod(axis=(1, 2))
        if home is innermost:
            accesses = np.maximum(accesses, words)
        else:
            energy_pj = energy_pj + words * _access_pj(home, tensor)
        energy_pj = energy_pj + accesses * _access_pj(innermost, tensor)
    cycles = spread.full.prod(axis=1).astype(np.float64)
    return np.asarray(goal.bound(energy_pj, cycles), dtype=np.float64)


def _computes(problem: Problem) -> int:
    return math.prod(problem.dims.values())


def _compute_pj(space: Mapspace) -> float:
    return _computes(space.problem) * space.hierarchy.compute.energy_pj.get("compute", 0.0)


def _least_words(problem: Problem, tensor: Tensor) -> int:
    """Fewest words of a tensor: along a rank of several dimensions at least as many as along one of them."""
    return math.prod(max((problem.dims[dim] for dim in rank.dims), default=1) for rank in tensor.ranks)


def _access_pj(level: StorageLevel, tensor: Tensor) -> float:
    actions = ("write", "update") if tensor.is_output else ("read",)
    return min(level.energy_pj.get(action, 0.0) for action in actions) / level.words_per_line
