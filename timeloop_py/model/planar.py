"""Planar-tiled accelerators evaluated in batches: cycles, accesses and energy of many layers at many densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from timeloop_py.model.batch import Array, Batch, Densities, Rows
from timeloop_py.model.capacity import ActivationTraffic
from timeloop_py.model.planar_accesses import Event, PlanarAccesses, Products
from timeloop_py.model.planar_cycles import ComputeTime, CycleLimit, compute_time, drain_cycles
from timeloop_py.model.planar_zeros import BlockZeros
from timeloop_py.specs.architecture import Architecture, Component
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.tables import EnergyTable

#: What becomes of a multiplier slot (one multiplier in one cycle). ``zero_operands``: multiplied by a dense machine,
#: ``placeholders``: by one that stores run lengths. ``drain``: waiting for the other half of the
#: accumulators, ``memory``: for any other component with a stated rate. ``barrier``: waiting for slower PEs; without a
#: barrier that is at the end of the layer, and every PE waits for drains by itself.
SLOTS = (
    "useful",
    "out_of_range",
    "zero_operands",
    "placeholders",
    "fragmentation",
    "bank_stalls",
    "overhead",
    "drain",
    "barrier",
    "memory",
    "idle_pes",
)


@dataclass(frozen=True)
class ComponentEnergy:
    """Events of one action of a component for one tensor: counts and energy in pJ, arrays (units, points)."""

    component: str
    tensor: str
    action: str
    count: Array
    energy_pj: Array


@dataclass(frozen=True)
class PlanarResult:
    """Arrays (units, points) unless noted. ``slots``: multiplier slots by what became of them.

    ``resource_cycles``: cycles each resource alone would take; the binding one decides per output-channel group.
    """

    cycles: Array
    compute_cycles: Array
    macs: Array
    multiplies: Array
    gated_multiplies: Array
    useful_multiplies: Array
    nonzero_products: Array
    oracle_cycles: Array
    binding: np.ndarray
    fits_on_chip: np.ndarray
    slots: Mapping[str, Array]
    energies: tuple[ComponentEnergy, ...]
    multipliers: np.ndarray

    @property
    def utilization(self) -> Array:
        """Products of non-zeros over multiplier slots."""
        share: Array = self.nonzero_products / (self.cycles * self.multipliers[:, None])
        return share

    @property
    def energy_pj(self) -> Array:
        """The sum over all events; unknown where there are no cycles either (a layer that does not apply)."""
        return sum((part.energy_pj for part in self.energies), 0 * self.cycles)


class Prices:
    """Energies of the events of architectures, each worked out once; ``tables`` by the name that architectures give."""

    def __init__(self, tables: Mapping[str, EnergyTable]) -> None:
        self._tables = tables
        # With the component, so that no other one gets its place in memory.
        self._known: dict[tuple[int, str, str], tuple[Component, float]] = {}

    def of(self, architecture: Architecture, component: str, action: str) -> float:
        """Energy of one event, pJ. SpecError: the table has none."""
        part, table = architecture.components[component], architecture.energy_table or ""
        key = id(part), table, action  # architectures of one file share their components
        if key not in self._known:
            energy = self._tables[table].energy_pj(part.component_class, action, part.attributes)
            self._known[key] = part, energy
        return self._known[key][1]


def evaluate_planar(
    architectures: Sequence[Architecture],
    layers: Sequence[Layer],
    densities: Densities,
    activations: ActivationTraffic,
    tables: Mapping[str, EnergyTable],
) -> PlanarResult:
    """Evaluate units ``(architectures[i], layers[i])`` that share a dataflow, each at the points of row ``i``.

    ``activations``: what goes over DRAM. ``tables``: energy tables by the name that the architectures
    give. Raises SpecError for a missing energy, or for a layer that cannot be tiled.
    """
    batch = Batch(architectures, layers)
    shape = densities.weight.shape
    zeros = BlockZeros(batch, densities)
    time = compute_time(batch, densities, zeros)
    accesses = PlanarAccesses(batch, densities, activations, zeros)
    events = list(accesses.events())

    repeats = batch.group_repeats[:, None]
    resources = _resource_cycles(batch, events, time)
    stacked, group_cycles = _group_cycles(batch, resources, time, shape[1])
    cycles = batch.sum_groups(group_cycles)
    longest = stacked.argmax(axis=0)
    per_resource = np.stack(
        [batch.sum_groups(np.where(longest == index, group_cycles, 0.0)) for index in range(len(stacked))]
    )
    binding = np.array(list(resources))[np.argmax(per_resource, axis=0)]

    products = accesses.products
    nonzero = batch.sum_blocks_of_units(products.nonzero)
    multipliers = batch.parameter("multipliers")
    compressed = batch.flow.template.compressed
    return PlanarResult(
        cycles=cycles,
        compute_cycles=np.broadcast_to(batch.sum_groups(time.cycles * repeats), shape),
        macs=np.broadcast_to(batch.layer_value("macs")[:, None].astype(float), shape),
        multiplies=batch.sum_blocks_of_units(products.issued),
        gated_multiplies=batch.sum_blocks_of_units(products.gated),
        useful_multiplies=batch.sum_blocks_of_units(products.useful),
        nonzero_products=nonzero,
        oracle_cycles=nonzero / multipliers[:, None] if compressed else np.full(shape, np.nan),
        binding=binding,
        fits_on_chip=activations.fits,
        slots=_slots(batch, time, group_cycles, products),
        energies=_energies(batch, events, Prices(tables)),
        multipliers=multipliers,
    )


def planar_cycles(batch: Rows, densities: Densities, limit: CycleLimit | None = None) -> Array:
    """The cycles of :func:`evaluate_planar` alone, (units, points), of architectures without rates of components.

    Those above the ``limit`` may be too few, but not below it.
    """
    time = compute_time(batch, densities, limit=limit)
    _, group_cycles = _group_cycles(batch, _resource_cycles(batch, (), time), time, densities.weight.shape[1])
    return batch.sum_groups(group_cycles)


def has_rates(architecture: Architecture) -> bool:
    """Whether a component of a planar-tiled accelerator has a stated rate, for which cycles may have to wait."""
    return any(component.events_per_cycle is not None for component in architecture.components.values())


def planar_energies(
    zeros: BlockZeros, densities: Densities, activations: ActivationTraffic, prices: Prices
) -> tuple[ComponentEnergy, ...]:
    """The energies of :func:`evaluate_planar` alone, of the rows of units whose ``zeros`` are given."""
    events = PlanarAccesses(zeros.batch, densities, activations, zeros).events()
    return _energies(zeros.batch, list(events), prices)


def _group_cycles(batch: Rows, resources: Mapping[str, Array], time: ComputeTime, points: int) -> tuple[Array, Array]:
    """Cycles that every resource takes alone and those of the groups: (resources, groups, points), (groups, points)."""
    repeats = batch.group_repeats[:, None]
    stacked = np.stack([np.broadcast_to(value * repeats, (len(repeats), points)) for value in resources.values()])
    # A drain and the compute time that hides it are both random: their maximum lasts longer than either mean.
    return stacked, np.maximum((time.cycles + time.draining) * repeats, stacked.max(axis=0))


def _resource_cycles(batch: Rows, events: Sequence[Event], time: ComputeTime) -> dict[str, Array]:
    """Cycles that multipliers, drains and every component with a stated rate would take alone, per group."""
    drain = sum(
        share * np.asarray(drain_cycles(channels, batch.group_output_tile, batch.drain_rates))
        for channels, share in batch.groups_before
    )
    resources = {"multipliers": time.cycles, "accumulator_drain": np.asarray(drain)[:, None]}
    for event in events:
        parts = [architecture.components[event.component] for architecture in batch.architectures]
        if all(part.events_per_cycle is None for part in parts):
            continue
        rates = np.array([part.count * (part.events_per_cycle or np.inf) for part in parts])
        busy = batch.sum_blocks(event.counts / rates[batch.unit_of_block][:, None])
        resources[event.component] = resources.get(event.component, np.zeros(1)) + busy / batch.group_repeats[:, None]
    return resources


def _slots(batch: Batch, time: ComputeTime, group_cycles: Array, products: Products) -> dict[str, Array]:
    """Multiplier slots by what became of them, arrays (units, points); they add up to cycles times multipliers."""
    unit = batch.unit_of_group
    lanes = batch.parameter("multipliers_per_pe")[unit][:, None]
    busy = batch.group_busy_pes[:, None]
    repeats = batch.group_repeats[:, None]
    issued, nonzero, useful = (
        batch.sum_blocks_of_units(counts) for counts in (products.issued, products.nonzero, products.useful)
    )

    compressed = batch.flow.template.compressed
    # What all PEs wait for together, before a barrier or at the end of the layer.
    together = time.slowest + time.stalls + time.draining

    def per_unit(slots_of_a_group: Array) -> Array:
        return batch.sum_groups(np.broadcast_to(slots_of_a_group * lanes, group_cycles.shape))

    return {
        "useful": useful,
        "out_of_range": nonzero - useful,
        "zero_operands": np.zeros_like(issued) if compressed else issued - nonzero,
        "placeholders": issued - nonzero if compressed else np.zeros_like(issued),
        "fragmentation": per_unit(time.steps * repeats) - issued,
        "bank_stalls": per_unit(time.stalled * repeats),
        "overhead": per_unit(time.overhead * busy * repeats),
        "drain": per_unit(time.drained * repeats),
        "barrier": per_unit((together * busy - time.steps - time.stalled - time.drained) * repeats),
        "memory": per_unit((group_cycles - (time.cycles + time.draining) * repeats) * busy),
        "idle_pes": per_unit(group_cycles * (batch.parameter("processing_elements")[unit][:, None] - busy)),
    }


def _energies(rows: Rows, events: Sequence[Event], prices: Prices) -> tuple[ComponentEnergy, ...]:
    found = []
    for event in events:
        count = rows.sum_blocks_of_units(event.counts)
        price = rows.per_architecture(partial(prices.of, component=event.component, action=event.action))
        found.append(ComponentEnergy(event.component, event.tensor, event.action, count, count * price[:, None]))
    return tuple(found)
