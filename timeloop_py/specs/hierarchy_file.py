"""Hierarchies and counting options as they stand in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from timeloop_py.specs.files import Section, Value
from timeloop_py.specs.hierarchy import (
    COMPUTE_ACTIONS,
    STORAGE_ACTIONS,
    ComputeLevel,
    CountingOptions,
    Hierarchy,
    StorageLevel,
    hierarchy_faults,
)
from timeloop_py.specs.problem_file import check_tensor


def parse_hierarchy(value: Value, tensors: Sequence[str] | None = None) -> Hierarchy:
    """The hierarchy of a list of levels, outermost storage first, compute last.

    ``tensors``: the names that levels may mention (None: any). Raises SpecError with the place of what is wrong.
    """
    items = value.items()
    storage: list[StorageLevel] = []
    compute: ComputeLevel | None = None
    for item in items:
        section = item.section()
        if compute is not None:
            raise item.error(f"a level below the compute level {compute.name!r}: compute comes last")
        if section.choice("kind", ("storage", "compute")) == "storage":
            storage.append(_storage(section, tensors, storage[-1] if storage else None))
        else:
            compute = _compute(section, storage[-1] if storage else None)
    if compute is None:
        raise value.error("expected a compute level (kind: compute) at the end of the list, found none")
    if not storage:
        raise value.error("expected a storage level (kind: storage) above the compute level, found none")
    for index, key, message in hierarchy_faults((*storage, compute)):
        raise items[index].section().error(message, key)
    return Hierarchy(tuple(storage), compute)


def parse_counting_options(
    section: Section | None, convention: Literal["physical", "sparseloop"] = "physical"
) -> CountingOptions:
    """Counting options of a section (None: all defaults); ``convention`` is the default of that option."""
    if section is None:
        return CountingOptions(convention=convention)
    default = CountingOptions(convention=convention)
    options = CountingOptions(
        elide_first_read=section.boolean_or("elide_first_read", ("per_stay",), default.elide_first_read),
        charge_drain_read=section.boolean("charge_drain_read", default.charge_drain_read),
        parent_accumulates=section.boolean("parent_accumulates", default.parent_accumulates),
        refill=section.choice("refill", ("every_copy", "one_copy"), default.refill),
        halo_reuse=section.choice("halo_reuse", ("one_tile", "none"), default.halo_reuse),
        link_transfer=section.boolean("link_transfer", default.link_transfer),
        share_halos=section.boolean("share_halos", default.share_halos),
        padded_cycles=section.boolean("padded_cycles", default.padded_cycles),
        convention=section.choice("convention", ("physical", "sparseloop"), default.convention),
    )
    section.finish()
    return options


def _storage(section: Section, tensors: Sequence[str] | None, above: StorageLevel | None) -> StorageLevel:
    instances, mesh_x = _mesh(section, above)
    capacity_words, tensor_capacity_words = _capacity(section.value("capacity_words"), tensors)
    held = _held(section, tensors, tensor_capacity_words)
    level = StorageLevel(
        name=_name(section),
        instances=instances,
        mesh_x=mesh_x,
        capacity_words=capacity_words,
        tensor_capacity_words=tensor_capacity_words,
        tensors=held,
        word_bits=section.integer("word_bits", 16, minimum=1),
        words_per_line=section.integer("words_per_line", 1, minimum=1),
        energy_pj=_energies(section, STORAGE_ACTIONS),
        read_bandwidth=section.number("read_bandwidth", None, above=0),
        write_bandwidth=section.number("write_bandwidth", None, above=0),
        shared_bandwidth=section.number("shared_bandwidth", None, above=0),
        multiple_buffering=section.number("multiple_buffering", 1.0, minimum=1),
        network_fill_latency=section.number("network_fill_latency", 0.0, minimum=0),
        network_drain_latency=section.number("network_drain_latency", 0.0, minimum=0),
        energy_per_hop_pj=section.number("energy_per_hop", 0.0, minimum=0),
        metadata_datawidth=section.integer("metadata_datawidth", None, minimum=0),
        metadata_storage_width=section.integer("metadata_storage_width", None, minimum=1),
        metadata_storage_depth=section.integer("metadata_storage_depth", None, minimum=0),
    )
    section.finish()
    return level


def _compute(section: Section, above: StorageLevel | None) -> ComputeLevel:
    instances, mesh_x = _mesh(section, above)
    level = ComputeLevel(
        name=_name(section),
        instances=instances,
        mesh_x=mesh_x,
        energy_pj=_energies(section, COMPUTE_ACTIONS),
        word_bits=section.integer("word_bits", 16, minimum=1),
    )
    section.finish()
    if level.energy_pj.keys() >= {"compute", "mac_random"}:
        raise section.section("energy").error(
            "two names of one energy: give either 'compute' or 'mac_random'", "compute"
        )
    return level


def _name(section: Section) -> str:
    name = cast("str", section.text("name"))
    if not name.strip():
        raise section.error("expected a name, found empty text", "name")
    return name


def _mesh(section: Section, above: StorageLevel | None) -> tuple[int, int]:
    """Instances and columns. Without ``mesh_x`` the fan-out from the level above runs along x alone."""
    instances = section.integer("instances", 1, minimum=1)
    mesh_x = section.integer("mesh_x", None, minimum=1)
    if mesh_x is None:
        rows = max(1, above.rows) if above is not None else 1
        mesh_x = instances // rows if instances % rows == 0 else instances
    return instances, mesh_x


def _capacity(value: Value | None, tensors: Sequence[str] | None) -> tuple[int | None, dict[str, int | None]]:
    if value is None:
        return None, {}
    if not isinstance(value.data, Section):
        return value.integer(minimum=1), {}
    section = value.section()
    if not section.entries:
        raise value.error("expected a capacity per tensor, found an empty section")
    capacities: dict[str, int | None] = {}
    for name, entry in section.entries.items():
        check_tensor(name, entry, tensors)
        capacities[name] = section.integer(name, None, minimum=1)
    return None, capacities


def _held(
    section: Section, tensors: Sequence[str] | None, capacities: Mapping[str, int | None]
) -> tuple[str, ...] | None:
    items = section.items("tensors", None)
    if items is None:
        return tuple(capacities) or None
    held: list[str] = []
    for item in items:
        name = item.text()
        check_tensor(name, item, tensors)
        if name in held:
            raise item.error(f"tensor {name!r} stands here twice")
        if capacities and name not in capacities:
            raise item.error(f"tensor {name!r} has no capacity in 'capacity_words'")
        held.append(name)
    for name in capacities:
        if name not in held:
            raise section.error(f"tensor {name!r} has a capacity but is not in 'tensors'", "capacity_words")
    return tuple(held)


def _energies(section: Section, actions: Sequence[str]) -> dict[str, float]:
    table: Section | None = section.section("energy", None)
    if table is None:
        return {}
    energies: dict[str, float] = {}
    for action in actions:
        energy = table.number(action, None, minimum=0)
        if energy is not None:
            energies[action] = energy
    table.finish()
    return energies
