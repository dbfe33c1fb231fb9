"""Where a search starts: fillings of the innermost stage, and the loops and nodes they stand for."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.growth import Step
from timeloop_py.mapper.labels import Integers
from timeloop_py.mapper.node_order import NodeOrder
from timeloop_py.mapper.windows import sweep
from timeloop_py.mapper.words import Place

#: Actions of labels that start from a seed are this number and below.
SEED = -2


class Seeds:
    """Seeds of a frame, by number: an order of the nodes, a chain of tile sizes at them, spatial factors."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.forget()

    def forget(self) -> None:
        """Let go of all seeds: no label of theirs is searched from any longer."""
        self._orders: list[NodeOrder] = []
        self._chains: list[Integers] = []
        self._spreads: list[NDArray[np.int32]] = []
        self._starts = [0]

    def add(self, order: NodeOrder, chains: Integers, spread: NDArray[np.int32]) -> Integers:
        """Keep seeds, ``chains`` (rows, positions, dimensions); the actions of their labels."""
        first = self._starts[-1]
        self._orders.append(order)
        self._chains.append(chains)
        self._spreads.append(spread)
        self._starts.append(first + len(chains))
        return SEED - np.arange(first, first + len(chains))

    def steps(self, action: int) -> tuple[Step, ...]:
        """The nest of a seed, from inner to outer."""
        number = SEED - action
        part = bisect_right(self._starts, number) - 1
        row = number - self._starts[part]
        return seed_steps(self.frame, self._orders[part], self._chains[part][row], int(self._spreads[part][row]))


def seed_steps(frame: Frame, order: NodeOrder, chain: Integers, spread: int) -> tuple[Step, ...]:
    """Loops and nodes of one seed; loops that slide overlapping tiles stand in their best order."""
    steps = _loop_steps(chain[-1], np.ones_like(chain[-1]))
    nodes = order.positions
    windowed = [position for position, index in enumerate(nodes) if frame.tracked[index]]
    for position in range(len(nodes) - 1, -1, -1):
        if position + 1 != order.stands:
            steps.append(Step(nodes=(nodes[position],)))
        if position == 0:
            break
        segment = chain[position - 1] // chain[position]
        axes = list(range(len(segment)))
        if windowed and windowed[0] >= position:
            index = nodes[windowed[0]]
            place = Place(chain[position][None], np.array([spread]), len(frame.levels) - 1)
            closing = frame.relevance[index].simple
            tile = chain[windowed[0]][None]
            slides = not (chain[position][closing] > chain[windowed[0]][closing]).any()
            loops = np.where(closing, 1, segment)[None]
            if slides:
                (found,) = sweep(frame.counter, frame.nodes[index], tile, place, [loops]).orders
                axes = [int(axis) for axis in found[0] if axis >= 0]
                axes += [axis for axis in range(len(segment)) if axis not in axes]
        steps.extend(Step(axis, int(segment[axis])) for axis in axes if segment[axis] > 1)
    return tuple(steps)


def _loop_steps(outer: Integers, inner: Integers) -> list[Step]:
    return [Step(axis, int(bound)) for axis, bound in enumerate(outer // inner) if bound > 1]
