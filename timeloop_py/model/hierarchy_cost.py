"""From access counts to cycles and energy, for any storage hierarchy.

Plain formulas over whatever the counts are: Python numbers, NumPy arrays (a batch of mappings of one shape) or SymPy
symbols, whose cycles come out as a ``Max``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from timeloop_py.model.network_hops import Route
from timeloop_py.nest.traffic import Traffic
from timeloop_py.numbers.lines import line_count
from timeloop_py.numbers.operations import Number, ceiling_divide, is_plain, is_symbolic, largest
from timeloop_py.specs.hierarchy import CountingOptions, Hierarchy, StorageLevel


@dataclass(frozen=True)
class Accesses:
    """What one tensor does to one level, over all its instances.

    ``lines`` by action (``STORAGE_ACTIONS``) cost energy; ``read_words`` and ``written_words`` load the bandwidth.
    """

    level: str
    tensor: str
    instances: Number
    lines: MappingOf[str, Number]
    read_words: Number
    written_words: Number


@dataclass(frozen=True)
class Cost:
    """Cycles and energy of a mapping, energies in pJ over all instances."""

    compute_cycles: Number
    #: fill and drain latencies of all networks, once
    latency_cycles: float
    #: cycles that each resource alone would take: compute by its name, bandwidths as ``Level.read_bandwidth``
    resource_cycles: MappingOf[str, Number]
    #: by (level, tensor)
    energy_storage_pj: MappingOf[tuple[str, str], Number]
    energy_compute_pj: Number
    energy_network_pj: Number

    @cached_property
    def cycles(self) -> Number:
        """The slowest resource's cycles, plus the latencies."""
        slowest = largest(self.resource_cycles.values())
        return slowest + self.latency_cycles if self.latency_cycles else slowest

    @cached_property
    def energy_pj(self) -> Number:
        """Storage, compute and network together."""
        return sum(self.energy_storage_pj.values()) + self.energy_compute_pj + self.energy_network_pj

    @property
    def edp_pj_cycles(self) -> Number:
        return self.energy_pj * self.cycles

    @property
    def binding(self) -> Number:
        """Name of the slowest resource; compute where it ties, then the outermost. A batch gives an array of names."""
        names = list(self.resource_cycles)
        values = list(self.resource_cycles.values())
        if is_symbolic(*values):
            raise TypeError("which resource binds is not known of symbols: substitute numbers first")
        if is_plain(*values):
            return names[values.index(max(values))]
        return np.array(names)[np.argmax(np.stack(np.broadcast_arrays(*values)), axis=0)]


def hierarchy_cost(
    traffic: Traffic,
    hierarchy: Hierarchy,
    options: CountingOptions | None = None,
    routes: Sequence[Route] = (),
) -> Cost:
    """The cost of dense access counts.

    Reads load a level's read bandwidth, fills and updates its write bandwidth, all of them its shared bandwidth; each
    instance takes its equal share. ``routes`` (:func:`network_routes`) are needed where hops cost energy. Raises
    SpecError where an access happens for which a level has no energy.
    """
    options = options or CountingOptions()
    return assemble_cost(
        hierarchy,
        dense_accesses(traffic, hierarchy),
        compute_cycles=traffic.compute_cycles,
        energy_compute_pj=traffic.computes * hierarchy.compute.compute_energy_pj,
        energy_network_pj=network_energy_pj(traffic, hierarchy, options, routes),
    )


def assemble_cost(
    hierarchy: Hierarchy,
    accesses: Sequence[Accesses],
    compute_cycles: Number,
    energy_compute_pj: Number,
    energy_network_pj: Number,
    whole_cycles: bool = True,
) -> Cost:
    """The cost of accesses, dense or sparse, with compute and networks counted already.

    ``whole_cycles: False`` leaves the cycles that a bandwidth needs for expected words as they are.
    """
    resources: dict[str, Number] = {hierarchy.compute.name: compute_cycles}
    for level in hierarchy.levels:
        rows = [row for row in accesses if row.level == level.name]
        resources.update(_bandwidth_cycles(level, rows, whole_cycles))
    return Cost(
        compute_cycles=compute_cycles,
        latency_cycles=sum(level.network_fill_latency + level.network_drain_latency for level in hierarchy.levels),
        resource_cycles=resources,
        energy_storage_pj={
            (row.level, row.tensor): line_energy_pj(hierarchy.level(row.level), row) for row in accesses
        },
        energy_compute_pj=energy_compute_pj,
        energy_network_pj=energy_network_pj,
    )


def dense_accesses(traffic: Traffic, hierarchy: Hierarchy) -> tuple[Accesses, ...]:
    """Every count as accesses that happen: reads, fills as writes, updates."""
    rows: list[Accesses] = []
    for row in traffic.rows:
        words_per_line = hierarchy.level(row.level).words_per_line
        words = {"read": row.reads, "write": row.fills, "update": row.updates}
        rows.append(
            Accesses(
                row.level,
                row.tensor,
                row.instances,
                {action: line_count(count, row.instances, words_per_line) for action, count in words.items()},
                read_words=row.reads,
                written_words=row.fills + row.updates,
            )
        )
    return tuple(rows)


def line_energy_pj(level: StorageLevel, row: Accesses) -> Number:
    """Energy of the line accesses of one tensor at one level."""
    return sum(lines * level.line_energy_pj(action) for action, lines in row.lines.items() if _happens(lines))


def network_energy_pj(
    traffic: Traffic, hierarchy: Hierarchy, options: CountingOptions, routes: Iterable[Route]
) -> Number:
    """Energy of hops: words sent down and results coming up along their routes, forwarded words one hop each.

    Partial sums travel down only where drained sums overwrite the parent's (``parent_accumulates: false``).
    """
    energy: Number = 0
    for route in routes:
        row = traffic.of(route.parent, route.tensor)
        goes_down = not route.is_output or not options.parent_accumulates
        words = row.updates + row.sent_down if goes_down else row.updates
        energy = energy + words * route.copies * route.hops * hierarchy.level(route.network).energy_per_hop_pj
    for row in traffic.rows:
        if _happens(row.link_transfers):
            above = hierarchy.levels[hierarchy.index(row.level) - 1]
            energy = energy + row.link_transfers * above.energy_per_hop_pj
    return energy


def _bandwidth_cycles(level: StorageLevel, rows: Sequence[Accesses], whole: bool) -> dict[str, Number]:
    """Cycles that each bandwidth of one instance needs for its words."""
    cycles: dict[str, Number] = {}
    if not rows:
        return cycles
    reads = sum(row.read_words for row in rows)
    writes = sum(row.written_words for row in rows)
    ports = (
        ("read_bandwidth", level.read_bandwidth, reads),
        ("write_bandwidth", level.write_bandwidth, writes),
        ("shared_bandwidth", level.shared_bandwidth, reads + writes),
    )
    for name, bandwidth, words in ports:
        if bandwidth is not None:
            # As a fraction, so that 21 words at 0.7 a cycle are 30 cycles, not 31.
            ratio = Fraction(bandwidth).limit_denominator(1_000_000)
            demand, supply = words * ratio.denominator, rows[0].instances * ratio.numerator
            cycles[f"{level.name}.{name}"] = ceiling_divide(demand, supply) if whole else demand / supply
    return cycles


def _happens(count: Number) -> bool:
    return not (is_plain(count) and count == 0)
