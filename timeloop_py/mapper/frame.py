"""Everything about a retention that its search looks up again and again, as arrays."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.labels import OPEN, STUCK, UNPLACED, Integers, Labels, Numbers
from timeloop_py.mapper.mapspace import Retention
from timeloop_py.mapper.objective import Goal
from timeloop_py.mapper.outer import OuterBound, Rows
from timeloop_py.mapper.prices import find_prices
from timeloop_py.mapper.rank_words import WordTables
from timeloop_py.mapper.relevance import relevance
from timeloop_py.mapper.spread import Spread, sizes_of
from timeloop_py.mapper.words import WordCounter, Words

if TYPE_CHECKING:
    from timeloop_py.mapper.node_order import NodeOrder
    from timeloop_py.mapper.tables import Tables


class Frame:
    """A retention under given choices of spatial factors.

    With imperfect factors all of them spread the same dimensions over the same arrays (windows are counted by what is
    spread).

    Nodes are numbered as in ``Retention.nodes``; those of the outermost stage stand on top and are not placed. An
    *interface* is a node with one above it; interfaces are numbered in the order of their nodes.
    """

    def __init__(self, retention: Retention, spread: Spread) -> None:
        self.retention = retention
        self.space = retention.space
        self.spread = spread
        self.counter = WordCounter(self.space, spread) if self.space.imperfect else WordTables(self.space, spread)
        self.prices = find_prices(retention, spread, self.counter)
        self.dims = self.space.dims
        #: the enumerations of the innermost stage by the order of its nodes, kept from one goal to the next
        self.tables: dict[NodeOrder, Tables] = {}
        self.sizes = [sizes_of(self.space.problem.dims[dim], self.space.imperfect) for dim in self.dims]
        self.nodes = retention.nodes
        self.levels = [self.space.hierarchy.levels[index] for index in retention.stages]
        self.relevance = [relevance(node.tensor, self.dims) for node in self.nodes]
        self.interface = {
            index: number
            for number, index in enumerate(index for index, node in enumerate(self.nodes) if node.parent is not None)
        }
        movable = [index for index, node in enumerate(self.nodes) if node.stage > 0]
        self.bit = {index: 1 << position for position, index in enumerate(movable)}
        self.everything = sum(self.bit.values())
        #: interfaces for which it matters what exactly is kept: windows slide, and last passes are clipped
        self.tracked = {index: self.space.imperfect or self.relevance[index].has_window for index in self.interface}

    @cached_property
    def full(self) -> Integers:
        """Index of the size that holds all temporal iterations: (choices, dimensions)."""
        columns = [np.searchsorted(sizes, self.spread.full[:, axis]) for axis, sizes in enumerate(self.sizes)]
        return np.array(columns, dtype=np.int64).reshape(len(self.dims), len(self.spread)).T

    @cached_property
    def pinned(self) -> NDArray[np.bool_]:
        """(choices, interfaces): a dimension idle to the node is pinned, so that it counts where its loops stand."""
        pinned = np.asarray(self.spread.pins.any(axis=1))
        idle = [np.asarray(pinned[:, self.relevance[index].idle].any(axis=1)) for index in self.interface]
        return np.stack(idle, axis=1) if idle else np.zeros((len(self.spread), 0), dtype=bool)

    @cached_property
    def successors(self) -> list[list[NDArray[np.int64]]]:
        """Per dimension and size, the indices of its multiples (imperfect factors: of all larger ones)."""
        return [
            [
                np.array(
                    [there for there in range(here + 1, len(sizes)) if self._follows(sizes, here, there)],
                    dtype=np.int64,
                )
                for here in range(len(sizes))
            ]
            for sizes in self.sizes
        ]

    def _follows(self, sizes: Integers, here: int, there: int) -> bool:
        return self.space.imperfect or int(sizes[there]) % int(sizes[here]) == 0

    @cached_property
    def least_pj(self) -> Numbers:
        """Energy of the least words of every interface: (choices, interfaces)."""
        prices = self.prices
        return _columns(
            [
                prices.every_pj[:, index] * words.every + prices.distinct_pj[:, index] * words.distinct
                for index, words in enumerate(prices.least)
            ],
            (len(self.spread),),
        )

    @cached_property
    def least_load(self) -> Numbers:
        """Port words of the least words of every interface: (choices, interfaces, ports)."""
        prices = self.prices
        return _columns(
            [
                prices.every_load[:, index] * words.every[:, None]
                + prices.distinct_load[:, index] * words.distinct[:, None]
                for index, words in enumerate(prices.least)
            ],
            (len(self.spread), len(prices.ports)),
        )

    def tile_sizes(self, inside: NDArray[np.int16]) -> Integers:
        """Temporal iterations (rows, dimensions) of indices of tile sizes."""
        columns = [sizes[inside[:, axis]] for axis, sizes in enumerate(self.sizes)]
        return np.stack(columns, axis=1) if columns else np.zeros((len(inside), 0), dtype=np.int64)

    @cached_property
    def _place_values(self) -> Integers:
        lengths = [len(sizes) for sizes in self.sizes]
        return np.array([math.prod(lengths[axis + 1 :]) for axis in range(len(lengths))], dtype=np.int64)

    def tile_number(self, inside: NDArray[np.int16]) -> Integers:
        """One number for all sizes of a tile, given by their indices: a sum of one number per dimension."""
        return np.asarray(inside @ self._place_values)

    def inside_of(self, tile: Integers) -> NDArray[np.int16]:
        """Indices of tile sizes (rows, dimensions) of a tile's number."""
        inside = np.zeros((len(tile), len(self.dims)), dtype=np.int16)
        for axis, value in enumerate(self._place_values.tolist()):
            inside[:, axis], tile = np.divmod(tile, value)
        return inside

    def tile_code(self, node: int, inside: NDArray[np.int16]) -> Integers:
        """One number for the tile of a node: the sizes along its tensor's own dimensions."""
        code = np.zeros(len(inside), dtype=np.int64)
        for axis, sizes in enumerate(self.sizes):
            if not self.relevance[node].idle[axis]:
                code = code * len(sizes) + inside[:, axis]
        return code

    def tile_of_code(self, node: int, code: Integers) -> Integers:
        """Temporal iterations (rows, dimensions) of a tile's code; 1 along other dimensions."""
        tile = np.ones((len(code), len(self.dims)), dtype=np.int64)
        for axis in range(len(self.dims) - 1, -1, -1):
            if not self.relevance[node].idle[axis]:
                code, index = np.divmod(code, len(self.sizes[axis]))
                tile[:, axis] = self.sizes[axis][index]
        return tile

    def lower_bounds(self, labels: Labels) -> tuple[Numbers, Numbers]:
        """Energy and cycles that no continuation of a label can stay below.

        What is certain has happened; every interface still brings in at least those words of its instances that have
        not arrived yet; computing takes its time whatever else does.
        """
        chosen = labels.spread
        energy = self.prices.fixed_pj[chosen] + labels.energy_pj + (labels.rest * self.least_pj[chosen]).sum(axis=1)
        cycles = self.prices.compute_cycles[chosen]
        if self.prices.ports:
            load = self.prices.fixed_load[chosen] + labels.load
            load = load + (labels.rest[:, :, None] * self.least_load[chosen]).sum(axis=1)
            rates = np.stack([port.words_per_cycle for port in self.prices.ports], axis=1)
            cycles = np.maximum(cycles, (load / rates[chosen]).max(axis=1))
        return energy, cycles + self.prices.latency_cycles

    def slides(self, labels: Labels, axis: int | None = None) -> NDArray[np.bool_]:
        """True where a tile is still kept for which it matters how loops (or those over one dimension) stand around it.

        With imperfect factors any dimension matters: last passes are cut short.
        """
        kept = np.zeros(len(labels), dtype=bool)
        for index, number in self.interface.items():
            relevance = self.relevance[index]
            if not self.tracked[index] or not (
                axis is None or self.space.imperfect or relevance.window[axis] or relevance.slides_both_ways
            ):
                continue
            kept |= labels.status[:, number] >= OPEN
        return kept

    def bound(self, labels: Labels, goal: Goal) -> Numbers:
        """A lower bound of the goal's measure for every label."""
        energy, cycles = self.lower_bounds(labels)
        extra = np.zeros(len(labels))
        for mask in self._outer:
            rows = np.flatnonzero(labels.placed == mask)
            if len(rows):
                some = labels.rows(rows)
                stays_put = (some.below & STUCK != 0) | ((some.below != 0) & self.slides(some)[:, None])
                movable = (some.status == OPEN) & ~stays_put & ~self.pinned[some.spread]
                extra[rows] = self.outer_pj(self.tile_number(some.inside), some.spread, mask, movable)
        return _with_extra(goal, energy, cycles, extra)

    def least(self, goal: Goal) -> float:
        """A lower bound of the goal's measure for all mappings."""
        return float(_with_extra(goal, *self.lower_bounds(self.start()), self.outside_pj).min())

    @cached_property
    def outside_pj(self) -> Numbers:
        """Energy beyond the least words that the stages between outermost and innermost add at least, (choices,)."""
        smallest, choices = np.zeros(len(self.spread), dtype=np.int64), np.arange(len(self.spread))
        added = (bound.extra_pj(smallest, choices) for bound in self._outer.values())
        return sum(added, start=np.zeros(len(self.spread)))

    def outer_pj(
        self, tile: Integers, spread: Rows, mask: int, movable: NDArray[np.bool_] | None, most: Numbers | None = None
    ) -> Numbers:
        """Energy beyond the least words that the stage outside the nodes of ``mask`` adds at least.

        See :meth:`timeloop_py.mapper.outer.OuterBound.extra_pj`.
        """
        if mask not in self._outer:
            return np.zeros(len(tile))
        return self._outer[mask].extra_pj(tile, spread, movable, most)

    @cached_property
    def _outer(self) -> dict[int, OuterBound]:
        """Bounds of the stages outside the innermost one, by the nodes that are placed when they hold."""
        if self.space.space == "level" or self.space.imperfect:
            return {}
        bounds: dict[int, OuterBound] = {}
        for stage in range(1, len(self.levels) - 1):
            mask = sum(bit for index, bit in self.bit.items() if self.nodes[index].stage > stage)
            bounds[mask] = OuterBound(self, stage)
        return bounds

    def charged(self, labels: Labels, node: int, words: Words) -> Labels:
        """Labels after ``words`` (one per row) crossed the interface above ``node``."""
        prices, chosen, number = self.prices, labels.spread, self.interface[node]
        least = prices.least[number]
        share = np.minimum(_share(words.every, least.every[chosen]), _share(words.distinct, least.distinct[chosen]))
        rest = labels.rest.copy()
        rest[:, number] = np.maximum(0.0, rest[:, number] - share)
        return labels.with_columns(
            energy_pj=labels.energy_pj
            + prices.every_pj[chosen, number] * words.every
            + prices.distinct_pj[chosen, number] * words.distinct,
            load=labels.load
            + prices.every_load[chosen, number] * words.every[:, None]
            + prices.distinct_load[chosen, number] * words.distinct[:, None],
            rest=rest,
        )

    def start(self) -> Labels:
        """The empty nest under every choice of spatial factors."""
        rows, dims, crossings = len(self.spread), len(self.dims), len(self.interface)
        return Labels(
            inside=np.zeros((rows, dims), dtype=np.int16),
            spread=np.arange(rows, dtype=np.int32),
            placed=np.zeros(rows, dtype=np.int64),
            status=np.full((rows, crossings), UNPLACED, dtype=np.int64),
            looped=np.zeros(rows, dtype=np.int64),
            covered=np.zeros(rows, dtype=np.int64),
            below=np.zeros((rows, crossings), dtype=np.int64),
            started=np.zeros((rows, dims if self.space.constraints.factors else 0), dtype=np.int16),
            rank=np.full(rows, -1, dtype=np.int16),
            used=np.zeros((rows, len(self.levels))),
            energy_pj=np.zeros(rows),
            load=np.zeros((rows, len(self.prices.ports))),
            rest=np.ones((rows, crossings)),
            parent=np.full(rows, -1, dtype=np.int64),
            action=np.full(rows, -1, dtype=np.int64),
        )


def _with_extra(goal: Goal, energy: Numbers, cycles: Numbers, extra: Numbers) -> Numbers:
    """The goal's measure of lower bounds, with energy that comes on top (infinite: there is no such mapping)."""
    lost = np.isinf(extra)
    value = goal.bound(energy + np.where(lost, 0.0, extra), cycles)
    return np.where(lost, np.inf, np.asarray(value, dtype=np.float64))


def _columns(values: list[Numbers], shape: tuple[int, ...]) -> Numbers:
    return np.stack(values, axis=1) if values else np.zeros((shape[0], 0, *shape[1:]))


def _share(words: Numbers, least: Numbers) -> Numbers:
    return np.asarray(words / np.maximum(least, 1.0))
