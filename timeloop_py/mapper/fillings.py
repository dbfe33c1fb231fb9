"""Which fillings of the innermost stage are enumerated for one order of its nodes.

A filling is a chain of tile sizes for every dimension at the nodes. Dimensions are split in two sides, those of
overlapping tiles and the others; a filling is a pair of one row of each.

Two reductions keep the tables small; both are moves of a node to where it costs no more:

- *Inwards past its own dimension.* A loop directly below a node, over a dimension that moves the node's tile by whole
  tiles, can as well stand above it: the tile is smaller, and as many words cross.
- *Outwards past a dimension that it does not have*, where no other loop stands in between: the tile stays as it is, and
  stays longer.

Where a tensor with overlapping tiles is held further in, the order of the loops counts for it, and a node cannot be
thought past a loop that has to stay where it is: the first move is then only made past dimensions that leave nothing of
the overlapping tile in place either (outermost in their segment, they let all other loops of it profit from overlaps),
the second not at all. The outermost node is not moved: it may be waiting for loops beyond the stage.

A node that is not moved outwards past a loop may still stay through it. Where no other loop over that dimension stands
directly inside the node, the nest with the node moved is priced in its place: it costs as much. Otherwise moving the
node would leave two loops over one dimension in a segment; those nests are enumerated by themselves, with tile sizes
chosen both where the node stands and where its stay ends (:class:`timeloop_py.mapper.node_order.NodeOrder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.labels import Integers, Numbers
from timeloop_py.mapper.node_order import NodeOrder
from timeloop_py.mapper.pairs import Pairs
from timeloop_py.mapper.sides import Rows, Side, divisor_chains, make_side, spatial_choices
from timeloop_py.mapper.stays import gains


class Fillings:
    """Both sides of one order."""

    def __init__(self, frame: Frame, order: NodeOrder) -> None:
        self.frame = frame
        self.order = order
        self.nodes = nodes = order.positions
        self.stage = len(frame.levels) - 1
        self.windowed = next((place for place, index in enumerate(nodes) if frame.tracked[index]), None)
        #: positions of nodes of which only the first tiles are counted here: the loops beyond the stage tell the rest
        self.waiting = [place for place in range(1 + order.waiting_too) if place != self.windowed]
        others, windows = self._axes()
        self.others = make_side(frame, nodes, others, self._chains, self._fits)
        self.windows = make_side(frame, nodes, windows, self._chains, self._fits)
        if order.stands is not None:
            self._leave_only_stays(order.stands)
        numbers = [spatial_choices(frame, axes)[1] for axes in (others, windows)]
        #: choices of spatial factors by those of both sides
        self.groups: dict[tuple[int, int], list[int]] = {}
        for row, pair in enumerate(zip(*(one.tolist() for one in numbers), strict=True)):
            self.groups.setdefault(pair, []).append(row)
        self._row_cache: dict[tuple[int, int, int], tuple[Rows, Rows]] = {}

    def _axes(self) -> tuple[list[int], list[int]]:
        """Axes of the two sides: others, windows. Without windows, two sides with about as many choices."""
        axes = range(len(self.frame.dims))
        if self.windowed is not None:
            window = self.frame.relevance[self.nodes[self.windowed]].window
            return [axis for axis in axes if not window[axis]], [axis for axis in axes if window[axis]]
        ordered = sorted(axes, key=lambda axis: -len(self.frame.sizes[axis]))
        return sorted(ordered[::2]), sorted(ordered[1::2])

    def _chains(self, axis: int, size: int) -> Integers:
        """Tile sizes of a dimension at the nodes, (choices, nodes), after the reductions."""
        if (axis, size) not in self._known_chains:
            chains = divisor_chains(size, len(self.nodes))
            self._known_chains[axis, size] = chains[self._stays(axis, chains) & self._keeps(axis, chains)]
        return self._known_chains[axis, size]

    @cached_property
    def _known_chains(self) -> dict[tuple[int, int], Integers]:
        return {}

    def _keeps(self, axis: int, chains: Integers) -> NDArray[np.bool_]:
        """Whether a node with two positions keeps its tile through the loop between them."""
        stands = self.order.stands
        if stands is None:
            return np.ones(len(chains), dtype=bool)
        keeps = chains[:, stands - 1] == chains[:, stands]
        if self.frame.relevance[self.nodes[stands]].idle[axis]:
            keeps |= chains[:, stands - 2] == chains[:, stands - 1]
        if self.order.waiting_too:
            keeps &= chains[:, 0] == chains[:, 1]
        return np.asarray(keeps)

    def _leave_only_stays(self, stands: int) -> None:
        """Leave out rows in which the node with two positions needs only one.

        It does not move outwards where, over some dimension, a loop stands both directly outside and directly inside,
        and where the overlapping tile is still sliding there, and receives fewer words than with one longer loop.
        """
        outer, here, inner = (self.windows.chains[:, stands + one] for one in (-1, 0, 1))
        windows = self.windows.rows(np.flatnonzero(((outer > here) & (here > inner)).any(axis=1)))
        outer, here, inner = (windows.chains[:, stands + one] for one in (-1, 0, 1))
        node, begin = self.frame.nodes[self.nodes[stands + 1]], windows.at(stands + 1)
        gain = gains(windows, node, inner, begin, here // inner, outer // here)
        self.windows = windows.rows(np.flatnonzero(gain))
        here, inner = (self.others.chains[:, stands + one][:, self.closing] for one in (0, 1))
        self.others = self.others.rows(np.flatnonzero((here == inner).all(axis=1)))

    def _stays(self, axis: int, chains: Integers) -> NDArray[np.bool_]:
        """False where one of the module's two moves applies to a node."""
        stays = np.ones(len(chains), dtype=bool)
        for position, index in enumerate(self.nodes):
            if position in (0, self.windowed):
                continue
            relevance = self.frame.relevance[index]
            ordered = self.windowed is not None and self.windowed > position
            harmless = not ordered or self.frame.relevance[self.nodes[self.windowed or 0]].simple[axis]
            if relevance.simple[axis] and harmless:
                inner = chains[:, position + 1] if position + 1 < len(self.nodes) else 1
                stays &= chains[:, position] <= inner
            if relevance.idle[axis] and not ordered:
                stays &= chains[:, position - 1] <= chains[:, position]
        return stays

    def _fits(self, tile_words: Sequence[Numbers]) -> NDArray[np.bool_]:
        """Whether tiles of these words, node by node, find room together."""
        words = np.stack(tile_words, axis=1)
        return self.fit_beside(words, np.ones((len(self.nodes), 1)))[:, 0]

    def fit_beside(self, first: Numbers, second: Numbers) -> NDArray[np.bool_]:
        """Whether the tiles of pairs fit: words are products of (rows, positions) and (positions, columns)."""
        level = self.frame.levels[self.stage]
        held = self.order.held
        fits = np.ones((len(first), second.shape[1]), dtype=bool)
        if level.usable_words is not None:
            fits &= first[:, held] @ second[held] <= level.usable_words
        for position in held:
            own = level.usable_words_of(self.frame.nodes[self.nodes[position]].tensor.name)
            if own is not None:
                fits &= first[:, position, None] * second[position] <= own
        return fits

    def rows(self, case: int, first: int, second: int) -> tuple[Rows, Rows]:
        """Rows of both sides with these spatial factors, the other side's in the case."""
        key = (case, first, second)
        if key not in self._row_cache:
            others = self.others.choice == first
            if self.windowed is not None:
                others &= self.case_of == case
            self._row_cache[key] = np.flatnonzero(others), np.flatnonzero(self.windows.choice == second)
        return self._row_cache[key]

    def chains_of(self, pairs: Pairs) -> Integers:
        """Tile sizes of pairs (rows, positions, dimensions): along every dimension those of one of its sides."""
        return self.others.chains[pairs.others] * self.windows.chains[pairs.windows]

    def place_of(self, pairs: Pairs) -> Integers:
        """A number per pair, by which they can be put into one order however they were found."""
        place = pairs.spread.astype(np.int64) * len(self.others) + pairs.others
        return np.asarray(place * len(self.windows) + pairs.windows)

    @cached_property
    def tile_numbers(self) -> tuple[Integers, Integers]:
        """By rows of the sides, what their dimensions add to the number of the outermost tile."""
        numbers = []
        for side in (self.others, self.windows):
            inside = [np.searchsorted(sizes, side.chains[:, 0, axis]) for axis, sizes in enumerate(self.frame.sizes)]
            numbers.append(self.frame.tile_number(np.stack(inside, axis=1).astype(np.int16)))
        return numbers[0], numbers[1]

    def allowed(self, side: Side, spread: int) -> NDArray[np.bool_]:
        """Rows of a side whose outermost tile the spatial factors allow."""
        key = (side is self.windows, spread)
        if key not in self._known_allowed:
            outermost = side.chains[:, 0]
            pins = self.frame.spread.pins[spread, self.stage - 1]
            fine = (self.frame.spread.full[spread] % outermost == 0) & ((pins == 0) | (pins == outermost))
            self._known_allowed[key] = fine[:, list(side.axes)].all(axis=1)
        return self._known_allowed[key]

    @cached_property
    def _known_allowed(self) -> dict[tuple[bool, int], NDArray[np.bool_]]:
        return {}

    @property
    def mask(self) -> int:
        """Bits of the nodes of the stage."""
        return sum(self.frame.bit[index] for index in set(self.nodes))

    @cached_property
    def closing(self) -> list[int]:
        """Axes of the other side over which a loop leaves nothing of the overlapping tile in place."""
        if self.windowed is None:
            return []
        simple = self.frame.relevance[self.nodes[self.windowed]].simple
        return [axis for axis in self.others.axes if simple[axis]]

    @cached_property
    def idle(self) -> list[int]:
        return [axis for axis in self.others.axes if axis not in self.closing]

    @cached_property
    def case_of(self) -> Rows:
        """Per row of the other side, the innermost segment above the overlapping tile with a closing loop (0: none).

        Segment ``s`` lies between nodes ``s - 1`` and ``s``.
        """
        case = np.zeros(len(self.others), dtype=np.intp)
        chains = self.others.chains[:, :, self.closing]
        for segment in range(1, (self.windowed or 0) + 1):
            case[(chains[:, segment - 1] > chains[:, segment]).any(axis=1)] = segment
        return case
