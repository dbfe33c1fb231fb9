"""Events of planar-tiled accelerators: how often each component does what (MODEL section 6, event table).

All counts come from the closed form of the access counts (``nest/traffic.py``) applied to the lowered nest of the
dataflow, whose trip counts are arrays over blocks and density points. What this module adds is units: words of the
nest become lines of a RAM, bits of a bus, products of a multiplier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from timeloop_py.model.batch import Array, Densities, Rows
from timeloop_py.model.capacity import ActivationTraffic, stored_bits_per_word
from timeloop_py.model.planar_cycles import dot_product_steps
from timeloop_py.model.planar_zeros import BlockZeros
from timeloop_py.nest.lowering import build_nest
from timeloop_py.nest.traffic import TensorTraffic, Traffic, count_traffic
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.tensors.density import Bernoulli
from timeloop_py.tensors.run_length import expected_placeholders

#: A bank is cleared by its drain, so every update reads and writes; the drain reads every entry once.
ACCUMULATOR_OPTIONS = CountingOptions(elide_first_read=False, charge_drain_read=True)


#: In place of a count of vectors that is 0: a parity of which no PE holds an input.
_TINY = 1e-300


class Event(NamedTuple):
    """``counts`` (blocks, points) of one action of a component on behalf of a tensor."""

    component: str
    tensor: str
    action: str
    counts: Array


@dataclass(frozen=True)
class Products:
    """Multiplies per block and point. ``useful``: both operands non-zero and the output exists."""

    issued: Array
    gated: Array
    nonzero: Array
    useful: Array


class PlanarAccesses:
    """Access counts of a batch at some densities.

    ``activations``: what goes over DRAM because it is the network's input or does not fit on the chip.
    """

    def __init__(
        self, batch: Rows, densities: Densities, activations: ActivationTraffic, zeros: BlockZeros | None = None
    ) -> None:
        self.batch = batch
        self.densities = densities
        self.points = densities.weight.shape[1]
        self.activations = activations
        self.zeros = zeros or BlockZeros(batch, densities)

    # -- trip counts ------------------------------------------------------------------------------------

    def _of_block(self, per_unit: np.ndarray) -> np.ndarray:
        values = per_unit[self.batch.unit_of_block]
        return values[:, None] if values.ndim == 1 else values

    def _of_group(self, per_group: np.ndarray) -> np.ndarray:
        return per_group[self.batch.group_of_block][:, None]

    @cached_property
    def trip_counts(self) -> Mapping[str, np.ndarray]:
        """Values of the trip counts of the template, arrays (blocks, points or 1)."""
        batch = self.batch
        common = {
            "passes": self._of_group(batch.group_passes),
            "processing_elements": self._of_group(batch.group_busy_pes),
            "channel_groups": self._of_block(batch.layer_value("groups")),
            "output_channel_groups": self._of_group(batch.group_count),
        }
        specific = self._dot_product_trips() if batch.flow.template.core == "dot_product" else self._cartesian_trips()
        return {**common, **specific}

    def _cartesian_trips(self) -> dict[str, np.ndarray]:
        batch = self.batch
        zeros = self.zeros
        busy = self._of_group(batch.group_busy_pes)
        counts = batch.class_counts[batch.group_of_block]
        activation_vectors = (zeros.activations.mean * counts[:, :, None]).sum(axis=1) / busy
        return {
            "channels": self._of_block(batch.layer_value("channels_per_group")),
            "activation_vectors": activation_vectors,
            "activation_lanes": zeros.activation_entries / busy / np.maximum(activation_vectors, _TINY),
            "weight_vectors": zeros.weights.mean,
            "weight_lanes": zeros.weight_entries / np.maximum(zeros.weights.mean, _TINY),
        }

    def _dot_product_trips(self) -> dict[str, np.ndarray]:
        batch = self.batch
        taps = self._of_block(batch.layer_value("R") * batch.layer_value("S"))
        channels = self._of_block(batch.layer_value("channels_per_group"))
        steps_per_point = self._of_block(dot_product_steps(batch))
        busy = self._of_group(batch.group_busy_pes)
        lanes = channels * taps / steps_per_point
        weights = self._of_group(batch.group_channels) * taps
        inputs = self._of_block(batch.layer_value("W") * batch.layer_value("H"))
        images = self._of_block(batch.layer_value("N"))
        positions = inputs * images / (busy * self._passes_of_unit())
        steps = self._of_group(batch.group_channels) * steps_per_point * batch.positions[:, None] / busy
        return {
            "channel_vectors": channels / lanes,
            "tile_positions": positions,
            "taps_of_group": weights,
            "dot_product_rest": steps / (channels / lanes * positions * weights),
            "dot_product_lanes": lanes,
        }

    def _passes_of_unit(self) -> np.ndarray:
        return self._of_block(
            self.batch.sum_groups((self.batch.group_passes * self.batch.group_starts_pass).astype(float))
        )

    # -- the nest ---------------------------------------------------------------------------------------

    @cached_property
    def traffic(self) -> Traffic:
        """Word counts of the lowered nest, arrays (blocks, points or 1)."""
        batch = self.batch
        is_first = np.zeros(len(batch.group_of_block), dtype=bool)
        is_first[batch.first_block] = True
        per_pe = self._of_group(batch.group_channels * batch.group_written / batch.group_busy_pes)
        # All parities of a stride add to one output tile: it is counted with the first of them.
        entries = np.where(is_first[:, None], per_pe, 0.0)
        problem, mapping = build_nest(batch.flow.template, self.trip_counts, entries)
        return count_traffic(problem, mapping, ACCUMULATOR_OPTIONS, perfect=True)

    @cached_property
    def products(self) -> Products:
        """Multiplies, from the computes of the nest."""
        shape = (len(self.batch.group_of_block), self.points)
        issued = np.broadcast_to(self.traffic.computes, shape)
        both = self._of_block(self.densities.weight) * self._of_block(self.densities.activation)
        template = self.batch.flow.template
        # The operand pairs of a dot product that lie beyond the plane are zeros of the padding.
        within = self.in_range if template.core == "dot_product" else 1.0
        nonzero = issued * self.zeros.nonzero_share if template.compressed else issued * both * within
        # What is gated are stored zeros, those of the padding are none.
        gated = issued * (1 - both) if self.batch.flow.zero_gating else np.zeros(shape)
        return Products(issued, gated, nonzero, nonzero if template.core == "dot_product" else nonzero * self.in_range)

    @cached_property
    def in_range(self) -> np.ndarray:
        """Fraction of the products whose output exists."""
        batch = self.batch
        if batch.flow.template.core == "dot_product":
            fractions = [
                layer_pairs(layer.W, layer.R, layer.stride[0], layer.dilation[0], layer.padding[0], layer.P)
                * layer_pairs(layer.H, layer.S, layer.stride[1], layer.dilation[1], layer.padding[1], layer.Q)
                / (layer.P * layer.Q * layer.R * layer.S)
                for layer in batch.layers
            ]
            return self._of_block(np.array(fractions))
        inside: np.ndarray = (batch.block_pairs / np.maximum(batch.block_taps * batch.positions, 1))[:, None]
        return inside

    # -- events -----------------------------------------------------------------------------------------

    def events(self) -> Iterator[Event]:
        """Every event of components that the architecture has, counts over all instances."""
        shape = (len(self.batch.group_of_block), self.points)
        for component, tensor, action, counts in self._all_events():
            if component in self.batch.architectures[0].components:
                yield Event(component, tensor, action, np.broadcast_to(counts, shape))

    def _all_events(self) -> Iterator[tuple[str, str, str, np.ndarray]]:
        yield from self._weight_events()
        yield from self._input_events()
        yield from self._compute_events()
        yield from self._output_events()

    def _weight_events(self) -> Iterator[tuple[str, str, str, np.ndarray]]:
        bits = self._per_unit(stored_bits_per_word)
        home, buffer = self._row("dram", "Weights"), self._row("weight_buffer", "Weights")
        lines = bits / self._width("weight_buffer")
        yield "dram", "Weights", "read", home.reads * bits / self._width("dram")
        yield "weight_bus", "Weights", "broadcast", home.reads * bits / self._width("weight_bus")
        yield "weight_buffer", "Weights", "write", buffer.fills * lines
        yield "weight_buffer", "Weights", "read", self._vectors(buffer.reads, "weight") * lines
        yield "weight_register", "Weights", "write", buffer.reads * bits / self._width("weight_register")

    def _input_events(self) -> Iterator[tuple[str, str, str, np.ndarray]]:
        bits = self._per_unit(stored_bits_per_word)
        ram, register = self._row("input_activation_ram", "Inputs"), self._row("operand_register", "Inputs")
        lines = bits / self._width("input_activation_ram")
        # Once per pass: a group of another size finds the input on the chip.
        from_dram = self._of_block(self.activations.input_share) * self._of_group(self.batch.group_starts_pass)
        yield (
            "dram",
            "Inputs",
            "read",
            self._activation_bits(self._row("dram", "Inputs").reads, "activation") * from_dram,
        )
        yield "input_activation_ram", "Inputs", "write", ram.fills * from_dram * lines
        yield "input_activation_ram", "Inputs", "read", self._vectors(ram.reads, "activation") * lines
        yield "operand_register", "Inputs", "write", register.fills * bits / self._width("operand_register")

    def _compute_events(self) -> Iterator[tuple[str, str, str, np.ndarray]]:
        products = self.products
        yield "multiplier", "Outputs", "multiply", products.issued - products.gated
        if self.batch.flow.zero_gating:
            yield "multiplier", "Outputs", "gated", products.gated
        summed = self.batch.flow.template.core == "dot_product"
        reach = 1.0 if summed else self.in_range
        yield "adder", "Outputs", "add", (products.issued - products.gated) * reach
        if self.batch.flow.zero_gating:
            yield "adder", "Outputs", "gated", products.gated * reach
        if not summed:
            yield "crossbar", "Outputs", "transfer", products.issued * self.in_range

    def _output_events(self) -> Iterator[tuple[str, str, str, np.ndarray]]:
        accumulator = self._row("accumulator", "Outputs")
        scattered = 1.0 if self.batch.flow.template.core == "dot_product" else self.in_range
        updates = accumulator.updates * scattered
        drained = accumulator.drained
        halo_share = 1 - self._of_group(self.batch.group_owned / np.maximum(self.batch.group_written, 1))
        halos = drained * halo_share
        yield "accumulator", "Outputs", "read", updates + drained + halos
        yield "accumulator", "Outputs", "write", updates + halos
        yield "halo_link", "Outputs", "transfer", halos
        stored = (drained - halos) * self._of_block(
            self.batch.layer_value("stored_outputs") / self.batch.layer_value("outputs")
        )
        bits = self._per_unit(stored_bits_per_word)
        width = self._width("output_activation_ram")
        yield "output_activation_ram", "Outputs", "write", stored * self._of_block(self._output_entries) * bits / width
        spilled = self._of_block(self.activations.output_share)
        yield "dram", "Outputs", "write", self._activation_bits(stored * spilled, "output", counts_zeros=True)

    @cached_property
    def _output_entries(self) -> Array:
        """Stored entries per stored output, (units, points): non-zeros, and placeholders of the PEs' run lengths."""
        batch, density = self.batch, self.densities.output
        if not batch.flow.template.compressed:
            return np.ones_like(density)
        if not batch.flow.placeholders:
            return density
        codes = batch.layer_value("N") * batch.layer_value("K") * batch.parameter("processing_elements")
        lengths, bits = -(-batch.layer_value("stored_outputs") // codes), batch.parameter("index_bits")
        placeholders = [
            expected_placeholders(int(length), Bernoulli(row), int(index)) / length
            for length, row, index in zip(lengths, density, bits, strict=True)
        ]
        entries: Array = density + np.array([np.broadcast_to(row, density.shape[1]) for row in placeholders])
        return entries

    # -- units ------------------------------------------------------------------------------------------

    def _row(self, level: str, tensor: str) -> TensorTraffic:
        return self.traffic.of(level, tensor)

    def _per_unit(self, number: Callable[[Architecture], float]) -> np.ndarray:
        return self._of_block(self.batch.per_architecture(number).astype(float))

    def _width(self, component: str) -> np.ndarray:
        """Bits of one access of a component, 1 where the architecture has none (and no event)."""

        def width(architecture: Architecture) -> float:
            known = architecture.components.get(component)
            return 1.0 if known is None else known.attributes["width_bits"]

        return self._of_block(self.batch.per_architecture(width))

    def _vectors(self, words: np.ndarray, operand: str) -> np.ndarray:
        """Words fetched in vectors, as full vectors: a partly filled one costs a whole access."""
        if self.batch.flow.template.core == "dot_product":
            filled, full = self.trip_counts["dot_product_lanes"], self.batch.parameter("multipliers_per_pe")
        else:
            filled = self.trip_counts[f"{operand}_lanes"]
            full = self.batch.parameter("F" if operand == "weight" else "I")
        fetched: np.ndarray = words / np.maximum(filled, _TINY) * self._of_block(full)
        return fetched

    def _activation_bits(self, words: np.ndarray, which: str, counts_zeros: bool = False) -> np.ndarray:
        """Bits in DRAM of activations: ``words`` of the nest are non-zeros only where the dataflow is compressed.

        A dense machine that compresses on the way stores a tensor raw where indices would make it longer.
        """
        flow = self.batch.flow
        bits = self._per_unit(lambda architecture: stored_bits_per_word(architecture, off_chip=True))
        density = self._of_block(getattr(self.densities, which))
        if flow.template.compressed:
            stored = words * bits * (self._of_block(self._output_entries) if counts_zeros else 1.0)
        elif flow.dram_compression:
            stored = words * np.minimum(density * bits, self._of_block(self.batch.parameter("word_bits")))
        else:
            stored = words * bits
        compressed_bits: np.ndarray = stored / self._width("dram")
        return compressed_bits


def layer_pairs(plane: int, taps: int, stride: int, dilation: int, padding: int, outputs: int) -> int:
    """(output, tap) pairs of an axis that meet an input and not the padding."""
    return sum(
        0 <= output * stride - padding + tap * dilation < plane for output in range(outputs) for tap in range(taps)
    )
