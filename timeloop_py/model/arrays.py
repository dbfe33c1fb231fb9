"""Multiplier arrays evaluated: cycles, accesses and energy of layers at many densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from timeloop_py.model.array_accesses import ArrayAccesses, ArrayEvent, OffChip, products_inside
from timeloop_py.model.array_capacity import ArrayUnit, off_chip
from timeloop_py.model.array_time import ArrayTime, array_time, zeros_of
from timeloop_py.model.batch import Array, Densities
from timeloop_py.model.planar import SLOTS, ComponentEnergy, PlanarResult
from timeloop_py.nest.array_nest import ArrayNest, DoesNotApplyError, array_nest
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.tables import EnergyTable


@dataclass(frozen=True)
class LayerResult:
    """One unit at all density points; arrays over points."""

    cycles: Array
    time: ArrayTime
    accesses: ArrayAccesses
    binding: np.ndarray
    energies: tuple[ComponentEnergy, ...]
    multipliers: int
    used_lanes: int


def evaluate_arrays(
    units: Sequence[ArrayUnit], densities: Densities, tables: Mapping[str, EnergyTable]
) -> tuple[list[tuple[list[int], PlanarResult]], dict[int, str]]:
    """Results of units as (rows, result) with equal events, and by row why a unit has none."""
    moved = off_chip(units, densities)
    groups: dict[int, tuple[list[int], list[LayerResult]]] = {}
    refused: dict[int, str] = {}
    for row, unit in enumerate(units):
        try:
            nest = array_nest(unit.architecture, unit.layer)
        except DoesNotApplyError as error:
            refused[row] = error.message
            continue
        own = {
            "Weights": densities.weight[row],
            "Inputs": densities.activation[row],
            "Outputs": densities.output[row],
        }
        rows, results = groups.setdefault(id(unit.architecture), ([], []))
        rows.append(row)
        results.append(_layer_result(unit, nest, own, moved[row], tables))
    parts = [(rows, _stacked(results)) for rows, results in groups.values()]
    if refused:
        rows = list(refused)
        parts.append((rows, _nothing([units[row] for row in rows], densities.weight.shape[1])))
    return parts, refused


def _layer_result(
    unit: ArrayUnit,
    nest: ArrayNest,
    densities: dict[str, Array],
    moved: OffChip,
    tables: Mapping[str, EnergyTable],
) -> LayerResult:
    architecture, layer = unit.architecture, unit.layer
    flow = architecture.require_array()
    inside = products_inside(layer)
    time = array_time(architecture, nest, densities, zeros_of(flow), inside)
    accesses = ArrayAccesses(architecture, layer, nest, time, densities, moved)
    events = list(accesses.events())
    resources = _resource_cycles(architecture, events)
    array = {"multipliers": time.cycles, **{network: resources.pop(network) for network in flow.array_waits_for}}
    resources = {"array": sum(array.values(), np.zeros(1)), **resources}
    cycles, binding = _longest(resources)
    table = tables[architecture.energy_table or ""]
    return LayerResult(
        cycles=cycles,
        time=time,
        accesses=accesses,
        binding=np.where(binding == "array", _longest(array)[1], binding),
        energies=tuple(_energy(architecture, event, table) for event in _merged(events)),
        multipliers=architecture.components["multiplier"].count,
        used_lanes=nest.used_lanes,
    )


def _merged(events: Sequence[ArrayEvent]) -> list[ArrayEvent]:
    """Events of one component, tensor and action added up."""
    found: dict[tuple[str, str, str], ArrayEvent] = {}
    for event in events:
        key = event.component, event.tensor, event.action
        before = found[key].count if key in found else np.zeros(1)
        found[key] = ArrayEvent(*key, before + event.count)
    return list(found.values())


def _energy(architecture: Architecture, event: ArrayEvent, table: EnergyTable) -> ComponentEnergy:
    component = architecture.components[event.component]
    price = table.energy_pj(component.component_class, event.action, component.attributes)
    return ComponentEnergy(event.component, event.tensor, event.action, event.count, event.count * price)


def _resource_cycles(architecture: Architecture, events: Sequence[ArrayEvent]) -> dict[str, Array]:
    """Cycles that every component with a stated rate would take alone."""
    resources: dict[str, Array] = {}
    for event in events:
        component = architecture.components[event.component]
        if component.events_per_cycle is not None:
            busy = event.count / (component.count * component.events_per_cycle)
            resources[event.component] = resources.get(event.component, np.zeros(1)) + busy
    return resources


def _longest(resources: Mapping[str, Array]) -> tuple[Array, np.ndarray]:
    """The most cycles of any resource at each density point, and the first resource that takes them."""
    stacked = np.stack(np.broadcast_arrays(*resources.values()))
    return stacked.max(axis=0), np.array(list(resources))[np.argmax(stacked, axis=0)]


def _stacked(results: Sequence[LayerResult]) -> PlanarResult:
    """Units of one architecture together; an event that a layer has not is zero there."""
    keys = dict.fromkeys((part.component, part.tensor, part.action) for result in results for part in result.energies)
    parts = []
    for component, tensor, action in keys:
        counts, energies = [], []
        for result in results:
            own = {(part.component, part.tensor, part.action): part for part in result.energies}
            part = own.get((component, tensor, action))
            zero = np.zeros_like(result.cycles)
            counts.append(zero if part is None else np.broadcast_to(part.count, zero.shape))
            energies.append(zero if part is None else np.broadcast_to(part.energy_pj, zero.shape))
        parts.append(ComponentEnergy(component, tensor, action, np.array(counts), np.array(energies)))
    slots = [_slots(result) for result in results]

    def stack(name: str) -> Array:
        return np.array([getattr(result, name) for result in results])

    nonzero = np.array([_nonzero(result) for result in results])
    issued = np.array([result.accesses.issued for result in results])
    return PlanarResult(
        cycles=stack("cycles"),
        compute_cycles=np.array([result.time.cycles for result in results]),
        macs=np.array([np.full_like(result.cycles, result.accesses.layer.macs) for result in results]),
        multiplies=issued,
        gated_multiplies=np.array([result.accesses.issued * result.accesses.rests("multiplier") for result in results]),
        useful_multiplies=np.array([_useful(result) for result in results]),
        nonzero_products=nonzero,
        oracle_cycles=np.full_like(issued, np.nan),
        binding=np.array([result.binding for result in results]),
        fits_on_chip=np.array([result.accesses.off_chip.fits for result in results]),
        slots={name: np.array([one[name] for one in slots]) for name in SLOTS},
        energies=tuple(parts),
        multipliers=stack("multipliers"),
    )


def _useful(result: LayerResult) -> Array:
    """Products of two non-zeros inside the plane."""
    accesses = result.accesses
    both = accesses.densities["Weights"] * accesses.densities["Inputs"]
    useful: Array = accesses.layer.macs * accesses.products_inside * both
    return useful


def _nonzero(result: LayerResult) -> Array:
    """As the planar dense dataflows count them: padding counts as an input of the tensor's density, unless skipped."""
    skips_padding = "Inputs" in result.time.entries
    return _useful(result) / (1.0 if skips_padding else result.accesses.products_inside)


def _slots(result: LayerResult) -> dict[str, Array]:
    """Multiplier slots by what became of them; they add up to cycles times multipliers."""
    used, issued = result.used_lanes, result.accesses.issued
    slots = {name: np.zeros_like(result.cycles) for name in SLOTS}
    return slots | {
        "useful": _useful(result),
        "out_of_range": _nonzero(result) - _useful(result),
        "zero_operands": issued - _nonzero(result),
        "fragmentation": result.time.busy * used - issued,
        "barrier": (result.time.cycles - result.time.busy) * used,
        "memory": (result.cycles - result.time.cycles) * used,
        "idle_pes": result.cycles * (result.multipliers - used),
    }


def _nothing(units: Sequence[ArrayUnit], points: int) -> PlanarResult:
    """Rows of units that do not run: no numbers."""
    shape = len(units), points
    nan = np.full(shape, np.nan)
    return PlanarResult(
        cycles=nan,
        compute_cycles=nan,
        macs=nan,
        multiplies=nan,
        gated_multiplies=nan,
        useful_multiplies=nan,
        nonzero_products=nan,
        oracle_cycles=nan,
        binding=np.full(shape, "none"),
        fits_on_chip=np.zeros(shape, dtype=bool),
        slots=dict.fromkeys(SLOTS, nan),
        energies=(),
        multipliers=np.array([unit.architecture.components["multiplier"].count for unit in units]),
    )
