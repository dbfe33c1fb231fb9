"""The smallest tiles there are: all storage nodes innermost, all loops outside. Something fits if these do."""

from __future__ import annotations

import numpy as np

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.growth import Growth, Step
from timeloop_py.mapper.labels import Labels, joined
from timeloop_py.mapper.objective import Goal
from timeloop_py.mapper.paths import Ending
from timeloop_py.mapper.seeds import SEED


def outermost(frame: Frame) -> tuple[Labels, tuple[Step, ...]]:
    """All nodes placed, no loop yet: labels (none where they do not fit) and the steps so far."""
    labels = frame.start()
    steps: list[Step] = []
    mask = 0
    while mask != frame.everything and len(labels):
        step, labels = next(iter(Growth(frame, mask).with_nodes(labels)))
        steps.append(step)
        mask = int(labels.placed[0]) if len(labels) else mask
    return labels.with_columns(action=np.full(len(labels), SEED, dtype=np.int64)), tuple(steps)


def smallest_tiles(frame: Frame, goal: Goal) -> Ending | None:
    """The best mapping of the smallest tiles with one loop per dimension, in their order; None where there is none.

    It is there at once, and says that something fits.
    """
    labels, steps = outermost(frame)
    if not len(labels):
        return None
    growth = Growth(frame, frame.everything)
    for axis in range(len(frame.dims)):
        done = labels.rows(np.flatnonzero(labels.inside[:, axis] == frame.full[labels.spread, axis]))
        looped, _, _ = growth.with_loops(labels, axis)
        looped = looped.rows(np.flatnonzero(looped.inside[:, axis] == frame.full[looped.spread, axis]))
        labels = looped if not len(done) else done if not len(looped) else joined([done, looped])
    labels = labels.rows(np.flatnonzero(growth.finished(labels)))
    if not len(labels):
        return None
    labels = labels.with_columns(rest=np.zeros_like(labels.rest))
    energy, cycles = frame.lower_bounds(labels)
    measure = np.asarray(goal.bound(energy, cycles), dtype=np.float64)
    best = int(np.argmin(measure))
    choice = int(labels.spread[best])
    loops = [Step(axis, int(bound)) for axis, bound in enumerate(frame.spread.full[choice]) if bound > 1]
    return Ending(float(measure[best]), float(energy[best]), float(cycles[best]), choice, (*steps, *loops))
