"""Many layers on many accelerators of one dataflow, flattened into arrays.

Three kinds of rows: *units* (an architecture with a layer, at P density points), *groups* (the output-channel groups of
one size in one kind of temporal pass of a unit) and *blocks* (one stride parity of a group).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from timeloop_py.nest.lowering import Block, LoweredLayer, Pass, lower_layer
from timeloop_py.specs.architecture import Architecture, Parameters
from timeloop_py.specs.dataflow import Dataflow
from timeloop_py.specs.layer import Layer
from timeloop_py.tensors.density import DensityModel

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
T = TypeVar("T")


#: Density models by (unit, point).
Models = Mapping[tuple[int, int], DensityModel]


@dataclass(frozen=True)
class Densities:
    """Fractions of non-zeros, each an array (units, points).

    ``weight_models`` and ``activation_models``: where zeros are not unstructured.
    """

    weight: Array
    activation: Array
    output: Array
    weight_models: Models = field(default_factory=dict)
    activation_models: Models = field(default_factory=dict)

    def rows(self, chosen: Sequence[int]) -> Densities:
        """The densities of some units."""
        index = list(chosen)

        def models(given: Models) -> Models:
            return {
                (place, point): model
                for (unit, point), model in given.items()
                for place, one in enumerate(index)
                if one == unit
            }

        return Densities(
            self.weight[index],
            self.activation[index],
            self.output[index],
            models(self.weight_models),
            models(self.activation_models),
        )


@dataclass(frozen=True)
class RowArrays:
    """Groups and blocks of units, in their order; arrays over groups, blocks, or (blocks or groups, PE classes).

    ``class_sizes`` and ``class_counts`` are padded with classes of no PE. ``group_starts_pass`` marks one row per kind
    of pass: what happens once per pass, whatever the output-channel groups, is counted there.
    """

    unit_of_group: Integers
    group_channels: Integers
    group_starts_pass: NDArray[np.bool_]
    group_count: Integers
    group_passes: Integers
    group_busy_pes: Integers
    group_written: Integers
    group_owned: Integers
    group_output_tile: Integers
    class_counts: Integers
    group_of_block: Integers
    block_taps: Integers
    block_pairs: Integers
    class_sizes: Integers


class Rows:
    """Rows of units whose architectures share a dataflow template and its choices of terms.

    Attributes are arrays over groups (``group_*``) or blocks (``block_*``), see :class:`RowArrays`; ``unit_of_group``
    and ``group_of_block`` say where a row belongs. ``pass_of_group``: the passes that groups belong to, which banks,
    structured zeros and PEs without barriers ask for; none where nobody does.
    """

    def __init__(
        self,
        architectures: Sequence[Architecture],
        layers: Sequence[Layer],
        arrays: RowArrays,
        pass_of_group: tuple[Pass, ...] = (),
    ) -> None:
        self.pass_of_group = pass_of_group
        self.architectures = tuple(architectures)
        self.layers = tuple(layers)
        self.unit_of_group = arrays.unit_of_group
        self.group_channels = arrays.group_channels
        self.group_starts_pass = arrays.group_starts_pass
        self.group_count = arrays.group_count
        self.group_passes = arrays.group_passes
        self.group_busy_pes = arrays.group_busy_pes
        self.group_written = arrays.group_written
        self.group_owned = arrays.group_owned
        self.group_output_tile = arrays.group_output_tile
        self.class_counts = arrays.class_counts
        self.group_of_block = arrays.group_of_block
        self.block_taps = arrays.block_taps
        self.block_pairs = arrays.block_pairs
        self.class_sizes = arrays.class_sizes
        self.first_block: Integers = np.searchsorted(self.group_of_block, np.arange(len(self.unit_of_group)))
        # Many units have the same architecture or layer: what these alone decide is worked out once for each.
        self._designs, self._design_of_unit = _distinct(self.architectures)
        self._shapes, self._shape_of_unit = _distinct(self.layers)

    @property
    def flow(self) -> Dataflow:
        """The dataflow that all units share."""
        return self.architectures[0].require_accelerator()[1]

    def per_architecture(self, number: Callable[[Architecture], float]) -> NDArray[Any]:
        """A number per unit that its architecture alone decides."""
        numbers: NDArray[Any] = np.array([number(one) for one in self._designs])[self._design_of_unit]
        return numbers

    def parameter(self, name: str) -> Integers:
        """One field of :class:`Parameters` (or a property of it) per unit."""
        return self.per_architecture(lambda one: getattr(_parameters(one), name))

    def layer_value(self, name: str) -> Integers:
        """One number per unit, a field or property of its layer."""
        return np.array([getattr(layer, name) for layer in self._shapes])[self._shape_of_unit]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """What structured zeros have to know of every block."""
        return tuple(block for one_pass in self.pass_of_group for block in one_pass.blocks)

    @cached_property
    def unit_of_block(self) -> Integers:
        return self.unit_of_group[self.group_of_block]

    @cached_property
    def blocks_of_unit(self) -> tuple[Integers, ...]:
        """Block rows of every unit."""
        return tuple(np.flatnonzero(self.unit_of_block == unit) for unit in range(len(self.layers)))

    @cached_property
    def parities(self) -> Integers:
        """Kinds of blocks of every group: the stride parities that have taps."""
        return np.diff(np.append(self.first_block, len(self.group_of_block)))

    @cached_property
    def group_repeats(self) -> Integers:
        """How often each group row runs in its layer: passes, channel groups and groups of that size."""
        groups = self.layer_value("groups")[self.unit_of_group]
        return self.group_count * self.group_passes * groups

    @cached_property
    def drain_rates(self) -> Array:
        """Words a PE drains from its accumulators in a cycle, per group."""
        rates: Array = self.per_architecture(lambda one: one.require_accelerator()[1].drain_words_per_cycle)
        return rates[self.unit_of_group]

    @cached_property
    def groups_before(self) -> tuple[tuple[Integers, Array], ...]:
        """Output channels of the group before each one, two possibilities as (channels, share of the groups).

        The groups of a pass run one after the other, the short one last; before the first comes the last of the pass
        before it, taken to be of the same size.
        """
        starts = np.flatnonzero(self.group_starts_pass)
        one_pass = np.cumsum(self.group_starts_pass) - 1
        last = np.append(starts[1:], len(self.group_channels)) - 1
        share = np.where(self.group_starts_pass, 1 / self.group_count, 0.0)
        full, others = self.group_channels[starts], self.group_channels[last]
        return (full[one_pass], 1 - share), (others[one_pass], share)

    @cached_property
    def positions(self) -> Integers:
        """Positions of all PEs per block row."""
        counts: Integers = (self.class_sizes * self.class_counts[self.group_of_block]).sum(axis=1)
        return counts

    def sum_blocks(self, values: Array) -> Array:
        """Sum over the blocks of every group; the first axis of ``values`` runs over blocks."""
        total: Array = np.add.reduceat(values, self.first_block, axis=0)
        return total

    def sum_groups(self, values: Array) -> Array:
        """Sum over the groups of every unit; the first axis of ``values`` runs over groups."""
        first = np.searchsorted(self.unit_of_group, np.arange(len(self.layers)))
        total: Array = np.add.reduceat(values, first, axis=0)
        return total

    def sum_blocks_of_units(self, values: Array) -> Array:
        """Sum over all blocks of every unit."""
        first = np.searchsorted(self.unit_of_block, np.arange(len(self.layers)))
        total: Array = np.add.reduceat(values, first, axis=0)
        return total


class Batch(Rows):
    """Rows of layers lowered onto architectures one by one, with what they were lowered to: ``lowered`` per unit."""

    def __init__(self, architectures: Sequence[Architecture], layers: Sequence[Layer]) -> None:
        self.lowered: tuple[LoweredLayer, ...] = tuple(
            lower_layer(architecture, layer) for architecture, layer in zip(architectures, layers, strict=True)
        )
        groups = [
            (unit, one_pass, channels, count)
            for unit, lowered in enumerate(self.lowered)
            for one_pass in lowered.passes
            for channels, count in lowered.groups
        ]
        first_of_pass = [
            size == 0 for lowered in self.lowered for _ in lowered.passes for size in range(len(lowered.groups))
        ]
        blocks = [(row, block) for row, group in enumerate(groups) for block in group[1].blocks]
        widest = max(len(one_pass.pe_counts) for _, one_pass, _, _ in groups)
        passes = tuple(one_pass for _, one_pass, _, _ in groups)
        arrays = RowArrays(
            unit_of_group=np.array([unit for unit, *_ in groups]),
            group_channels=np.array([channels for *_, channels, _ in groups]),
            group_starts_pass=np.array(first_of_pass),
            group_count=np.array([count for *_, count in groups]),
            group_passes=np.array([one_pass.count for one_pass in passes]),
            group_busy_pes=np.array([one_pass.busy_pes for one_pass in passes]),
            group_written=np.array([one_pass.written for one_pass in passes]),
            group_owned=np.array([one_pass.owned for one_pass in passes]),
            group_output_tile=np.array([one_pass.output_tile for one_pass in passes]),
            class_counts=np.array([_padded(one_pass.pe_counts, widest) for one_pass in passes]),
            group_of_block=np.array([row for row, _ in blocks]),
            block_taps=np.array([block.taps for _, block in blocks]),
            block_pairs=np.array([block.pairs for _, block in blocks]),
            class_sizes=np.array([_padded(block.sizes, widest) for _, block in blocks]),
        )
        super().__init__(architectures, layers, arrays, passes)


def _distinct(objects: Sequence[T]) -> tuple[list[T], Integers]:
    """Each of the objects once, and which of them every one is."""
    known = {id(one): one for one in objects}
    place = {key: index for index, key in enumerate(known)}
    return list(known.values()), np.array([place[id(one)] for one in objects])


def _padded(values: Sequence[int], width: int) -> list[int]:
    return [*values, *([0] * (width - len(values)))]


def _parameters(architecture: Architecture) -> Parameters:
    return architecture.require_accelerator()[0]
