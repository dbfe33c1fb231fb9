"""Events of multiplier arrays: the words of the nest, what zeros leave of them, in accesses of the components.

The words are the general closed form's (``nest/traffic.py``). Zeros act on them by the rule of MODEL section 5: a word
is fetched unless everything it is needed for is zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from timeloop_py.model.array_time import ArrayTime
from timeloop_py.model.batch import Array
from timeloop_py.model.planar_accesses import layer_pairs
from timeloop_py.nest.array_nest import ArrayNest, stored_bits
from timeloop_py.nest.traffic import TensorTraffic
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.layer_problem import inside_share
from timeloop_py.specs.mapping import Loop, LoopKind, Store

#: bits of a pointer into a compressed tensor (Han et al., EIE, ISCA 2016, section IV)
POINTER_BITS = 16


@dataclass(frozen=True)
class ArrayEvent:
    """How often a component does something for a tensor, at each density point."""

    component: str
    tensor: str
    action: str
    count: Array


@dataclass(frozen=True)
class OffChip:
    """Parts of a layer's words that go over DRAM, arrays over points. ``fits``: activations stay on the chip."""

    fits: np.ndarray
    inputs: Array
    outputs: Array
    weights: Array


def products_inside(layer: Layer) -> float:
    """Share of a layer's products whose input is no padding."""
    share = 1.0
    for axis, (plane, outputs, taps) in enumerate(((layer.W, layer.P, layer.R), (layer.H, layer.Q, layer.S))):
        pairs = layer_pairs(plane, taps, layer.stride[axis], layer.dilation[axis], layer.padding[axis], outputs)
        share *= pairs / (outputs * taps)
    return share


class ArrayAccesses:
    """Events of one layer on one array. ``densities`` by tensor, the outputs' those of what is stored."""

    def __init__(
        self,
        architecture: Architecture,
        layer: Layer,
        nest: ArrayNest,
        time: ArrayTime,
        densities: dict[str, Array],
        off_chip: OffChip,
    ) -> None:
        self.architecture = architecture
        self.flow = architecture.require_array()
        self.layer = layer
        self.nest = nest
        self.time = time
        self.densities = densities
        self.off_chip = off_chip
        self.inside = inside_share(layer)

    def events(self) -> Iterator[ArrayEvent]:
        """Every event, counts over all instances; components of the chip that nothing happens to have none."""
        for row in self.nest.traffic.rows:
            yield from self._of_row(row)
        for network, carried in self.flow.networks.items():
            for holder, tensor in carried:
                yield self._carried(network, self.nest.traffic.of(holder, tensor))
        for memory, operand in self.flow.pointers.items():
            words = 2 * self.time.fiber_runs[operand] * POINTER_BITS / self._width(memory)
            yield ArrayEvent(memory, operand, "read", words)
        for unit, operand in self.flow.matched.items():
            yield ArrayEvent(unit, operand, "match", self.time.vector_runs[operand])
        for component, per_vector, per_entry in self.flow.template.instructions:
            yield ArrayEvent(component, "Outputs", "issue", self._vectors * per_vector + self.issued * per_entry)
        yield from self._computes()

    # -- products ---------------------------------------------------------------------------------------

    @cached_property
    def issued(self) -> Array:
        """Multiplications: all but those that skipped zeros spare."""
        share = np.ones_like(self.densities["Weights"])
        for operand, entries in self.time.entries.items():
            share = share * entries * (self.products_inside if operand == "Inputs" else 1.0)
        issued: Array = self.layer.macs * share
        return issued

    @cached_property
    def _vectors(self) -> Array:
        """Vectors that are multiplied, all rows of the array together."""
        if self.nest.skips:
            return self.time.vector_runs[self.nest.skips[-1].operand]
        nodes = self.nest.mapping.nodes
        rows = math.prod(node.bound for node in nodes if isinstance(node, Loop) and node.kind is LoopKind.SPATIAL_Y)
        return self.time.cycles * rows

    @cached_property
    def products_inside(self) -> float:
        """Share of the products whose input is no padding."""
        return products_inside(self.layer)

    def rests(self, component: str) -> Array:
        """Share of a component's accesses that zeros gate."""
        active = np.ones_like(self.densities["Weights"])
        for operand, components in self.flow.gated.items():
            if component in components:
                active = active * self._nonzero(operand)
        return 1 - active

    def _nonzero(self, operand: str) -> Array:
        """Share of the products in which an operand is not zero; padding is."""
        inside = self.products_inside if operand == "Inputs" else 1.0
        return self.densities[operand] * inside

    def _computes(self) -> Iterator[ArrayEvent]:
        for component, action in (("multiplier", "multiply"), ("adder", "add")):
            gated = self.issued * self.rests(component)
            yield ArrayEvent(component, "Outputs", action, self.issued - gated)
            if any(component in components for components in self.flow.gated.values()):
                yield ArrayEvent(component, "Outputs", "gated", gated)

    # -- words ------------------------------------------------------------------------------------------

    def _of_row(self, row: TensorTraffic) -> Iterator[ArrayEvent]:
        lines = self._stored(row) * self._bits(row) / self._width(row.level) * self._exists(row)
        arrives = self._arrives(row)
        reads, writes = row.reads * self._read_share(row), row.fills * arrives
        if row.tensor == "Outputs":
            writes = writes + row.updates * self._updated(row)
            reads = reads * self._updated(row)
        if row.level == "dram":
            reads = reads * self._over_dram(row.tensor)
        if np.any(reads > 0):
            yield ArrayEvent(row.level, row.tensor, "read", reads * lines * (1 - self.rests(row.level)))
        if np.any(writes > 0):
            yield ArrayEvent(row.level, row.tensor, "write", writes * lines)

    def _carried(self, network: str, row: TensorTraffic) -> ArrayEvent:
        words = (row.sent_down + row.updates) * self._read_share(row) * self._exists(row)
        if row.level == "dram":
            words = words * self._over_dram(row.tensor)
        bits = self._stored(row) * self._bits(row)
        component = self.architecture.components[network]
        action = "transfer" if component.component_class == "link" else "broadcast"
        return ArrayEvent(network, row.tensor, action, words * bits / self._width(network))

    def _exists(self, row: TensorTraffic) -> float:
        """Words without padding and without what was rounded up to be counted."""
        return self.nest.word_share[row.tensor] * (self.inside if row.tensor == "Inputs" else 1.0)

    def _bits(self, row: TensorTraffic) -> float:
        bits = stored_bits(self.architecture, row.level, row.tensor)
        compressed = self.flow.is_compressed(row.level, row.tensor)
        return bits + (self.architecture.sizes.get("index_bits", 0) if compressed else 0)

    def _stored(self, row: TensorTraffic) -> Array:
        """Stored words over dense ones; activations stay as they are in DRAM where indices would make them longer."""
        if not self.flow.is_compressed(row.level, row.tensor):
            return np.ones_like(self.densities["Weights"])
        share = self.time.entries.get(row.tensor, self.densities[row.tensor])
        if row.level == "dram" and row.tensor != "Weights":
            raw = stored_bits(self.architecture, row.level, row.tensor) / self._bits(row)
            return np.minimum(share, raw)
        return share

    def _read_share(self, row: TensorTraffic) -> Array:
        """Words that are read although other operands' zeros are skipped, and although this one's are."""
        share = np.ones_like(self.densities["Weights"])
        if row.tensor == "Outputs":
            return share
        if self._below_skip(row.level, row.tensor) and not self.flow.is_compressed(row.level, row.tensor):
            share = share * self.densities[row.tensor]
        for operand in self.time.entries:
            if operand != row.tensor:
                needed = self._needed_for(row.level, row.tensor, operand)
                share = share * (1 - (1 - self.densities[operand]) ** needed)
        return share

    def _arrives(self, row: TensorTraffic) -> Array:
        """Words that are written on their way down: non-zeros where the tensor is skipped further out."""
        share = np.ones_like(self.densities["Weights"])
        if row.tensor == "Outputs":
            return share
        if self._below_skip(row.level, row.tensor) and not self.flow.is_compressed(row.level, row.tensor):
            share = share * self.densities[row.tensor]
        if row.level in (self.flow.activations_in, self.flow.weights_in):
            share = share * self._over_dram(row.tensor)
        return share

    def _updated(self, row: TensorTraffic) -> Array:
        """Updates of sums that happen, and outputs that are left after pooling."""
        ones = np.ones_like(self.densities["Weights"])
        if row.level in ("dram", self.flow.activations_in):
            pooled = self.layer.stored_outputs / self.layer.outputs
            return ones * pooled * (self.off_chip.outputs if row.level == "dram" else 1.0)
        innermost = [
            node.level for node in self.nest.mapping.nodes if isinstance(node, Store) and node.tensor == row.tensor
        ]
        return self.time.reduced if row.level == innermost[-1] else ones

    def _over_dram(self, tensor: str) -> Array:
        return {"Inputs": self.off_chip.inputs, "Weights": self.off_chip.weights}.get(tensor, self.off_chip.outputs)

    # -- places in the nest -------------------------------------------------------------------------------

    def _place(self, level: str, tensor: str) -> int:
        return self.nest.mapping.nodes.index(Store(level, tensor))

    def _below_skip(self, level: str, tensor: str) -> bool:
        place = self._place(level, tensor)
        return any(skip.operand == tensor and not skip.packed and place >= skip.position for skip in self.nest.skips)

    def _needed_for(self, level: str, tensor: str, operand: str) -> int:
        """Elements of ``operand`` that one word of ``tensor``, on its way down from ``level``, is used with.

        Where it goes to another component: all that meet it there; else those of the lanes that take it together.
        """
        nodes = self.nest.mapping.nodes
        place = self._place(level, tensor)
        inner = [index for index in range(place + 1, len(nodes)) if isinstance(nodes[index], Store)]
        child = next((index for index in inner if nodes[index].tensor == tensor), None)  # type: ignore[union-attr]
        own = self.nest.problem.tensor(tensor).dims
        dims = self.nest.problem.tensor(operand).dims - own
        return math.prod(
            node.bound
            for index, node in enumerate(nodes)
            if isinstance(node, Loop)
            and index > place
            and node.dim in dims
            and (node.is_spatial or (child is not None and index > child))
        )

    def _width(self, component: str) -> float:
        return self.architecture.components[component].attributes["width_bits"]
