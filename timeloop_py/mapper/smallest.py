"""The smallest tiles there are: all storage nodes innermost, all loops outside. Something fits if these do."""

from __future__ import annotations

import numpy as np

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.growth import Growth, Step
from timeloop_py.mapper.labels import Labels
from timeloop_py.mapper.objective import Goal
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


def all_loops_outside(frame: Frame, goal: Goal) -> tuple[int, tuple[Step, ...]] | None:
    """A mapping at once: spatial factors and steps of the smallest tiles with one loop per dimension around them.

    The spatial factors are those with the least lower bound. None where no such tiles fit, or where constraints ask
    about the loops of a level.
    """
    labels, steps = outermost(frame)
    if not len(labels) or frame.space.constraints.bind_loops:
        return None
    choice = int(labels.spread[int(np.argmin(frame.bound(labels, goal)))])
    loops = [Step(axis, int(bound)) for axis, bound in enumerate(frame.spread.full[choice]) if bound > 1]
    return choice, (*steps, *loops)
