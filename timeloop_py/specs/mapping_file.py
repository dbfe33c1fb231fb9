"""Mappings as they stand in a file.

Two forms are read. The *uneven* form is the list of nodes itself, outer to inner::

    - {store: [DRAM, Inputs]}
    - {loop: [P, 4]}
    - {spatial_x: [K, 16]}

The *per-level* form has one entry per storage level, outermost first: ``level``, ``temporal`` loops, ``spatial`` loops
along ``x`` and ``y`` below the level, and ``keep``, the tensors held there (absent: all that the level may hold). Its
nodes are, level by level: the storage nodes, the temporal loops, the spatial loops along x, then along y.

A bound ``[4, 3]`` is 4 in every pass and 3 in the last; the 3 is checked against what the dimension's size implies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from pathlib import Path

import yaml

from timeloop_py.specs.errors import nearest
from timeloop_py.specs.files import Section, Value, load_value
from timeloop_py.specs.hierarchy import Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Place, Store, last_pass
from timeloop_py.specs.problem import Problem
from timeloop_py.specs.problem_file import check_tensor, tensor_names

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_RESERVED = {"true", "false", "null", "y", "n", "yes", "no", "on", "off"}


@dataclass(frozen=True)
class _Item:
    """A node, where it stands, and the last bound that the file states for a loop."""

    node: Node
    value: Value
    last: int | None = None


def load_mapping(path: Path | str, problem: Problem, hierarchy: Hierarchy) -> Mapping:
    """Read a mapping file: the list alone, or under the key ``mapping``. Raises SpecError."""
    value = load_value(path)
    if isinstance(value.data, Section):
        section = value.data
        section.items("mapping")
        section.finish()
        value = section.entries["mapping"]
    return parse_mapping(value, problem, hierarchy)


def parse_mapping(value: Value, problem: Problem, hierarchy: Hierarchy) -> Mapping:
    """The mapping of a list in either form. Names and stated remainders are checked; whether it fits is not."""
    entries = value.items()
    if not entries:
        raise value.error("expected a list of levels or of nodes, found an empty list")
    if "level" in entries[0].section().entries:
        items, links = _per_level(value, problem, hierarchy)
    else:
        items, links = _uneven(entries, problem, hierarchy)
    return Mapping(
        nodes=tuple(_check_last_passes(items, problem.dims)),
        no_link_transfer=tuple(links),
        places=tuple(Place(item.value.path, item.value.line, item.value.field) for item in items),
    )


def dump_mapping(mapping: Mapping) -> str:
    """The mapping as YAML in the uneven form; :func:`parse_mapping` reads back an equal one."""
    lines = []
    for entry in mapping_entries(mapping):
        ((key, (name, argument)),) = entry.items()
        lines.append(f"- {{{key}: [{_name(name)}, {argument if isinstance(argument, int) else _name(argument)}]}}")
    return "\n".join(lines) + "\n"


def mapping_entries(mapping: Mapping) -> list[dict[str, tuple[str, int | str]]]:
    """The mapping in the uneven form as plain data, ready for JSON."""
    entries: list[dict[str, tuple[str, int | str]]] = []
    for node in mapping.nodes:
        if isinstance(node, Store):
            entries.append({"store": (node.level, node.tensor)})
        else:
            entries.append({node.kind.value: (node.dim, node.bound)})
    entries.extend({"no_link_transfer": link} for link in mapping.no_link_transfer)
    return entries


def _name(name: str) -> str:
    if _PLAIN_NAME.match(name) and name.lower() not in _RESERVED:
        return name
    # Every character that YAML or a flow list could take for syntax is escaped inside double quotes.
    quoted: str = yaml.safe_dump(name, default_style='"', width=10**9)
    return quoted.strip()


def _per_level(value: Value, problem: Problem, hierarchy: Hierarchy) -> tuple[list[_Item], list[tuple[str, str]]]:
    items: list[_Item] = []
    links: list[tuple[str, str]] = []
    entries = value.items()
    for position, entry in enumerate(entries):
        section = entry.section()
        name = section.text("level")
        _check_level(name, section.entries["level"], hierarchy)
        if position >= len(hierarchy.levels) or name != hierarchy.names[position]:
            order = ", ".join(hierarchy.names)
            raise section.error(f"expected one entry per storage level in the order {order}", "level")
        items.extend(_stores(section, hierarchy.levels[position], problem))
        for loop in section.items("temporal", ()):
            items.append(_loop(loop, LoopKind.TEMPORAL, problem))
        spatial: Section | None = section.section("spatial", None)
        if spatial is not None:
            for key, kind in (("x", LoopKind.SPATIAL_X), ("y", LoopKind.SPATIAL_Y)):
                items.extend(_loop(loop, kind, problem) for loop in spatial.items(key, ()))
            for tensor in spatial.items("no_link_transfer", ()):
                check_tensor(tensor.text(), tensor, tensor_names(problem))
                links.append((name, tensor.text()))
            spatial.finish()
        section.finish()
    if len(entries) < len(hierarchy.levels):
        raise value.error(f"level {hierarchy.names[len(entries)]!r} has no entry: expected one per storage level")
    return items, links


def _stores(section: Section, level: StorageLevel, problem: Problem) -> Iterator[_Item]:
    keep = section.items("keep", None)
    if keep is None:
        for tensor in problem.tensors:
            if level.may_hold(tensor.name):
                yield _Item(Store(level.name, tensor.name), section.entries["level"])
        return
    kept: set[str] = set()
    for value in keep:
        name = value.text()
        check_tensor(name, value, tensor_names(problem))
        if name in kept:
            raise value.error(f"tensor {name!r} stands here twice")
        kept.add(name)
        yield _Item(Store(level.name, name), value)


def _uneven(
    entries: tuple[Value, ...], problem: Problem, hierarchy: Hierarchy
) -> tuple[list[_Item], list[tuple[str, str]]]:
    items: list[_Item] = []
    links: list[tuple[str, str]] = []
    kinds = {kind.value: kind for kind in LoopKind}
    known = (*kinds, "store", "no_link_transfer")
    for entry in entries:
        section = entry.section()
        if len(section.entries) != 1:
            raise entry.error(f"expected one of {', '.join(known)} per entry, found {len(section.entries)} keys")
        ((key, value),) = section.entries.items()
        if key in kinds:
            items.append(_loop(value, kinds[key], problem))
        elif key in known:
            level, tensor = _pair(value, "[level, tensor]")
            _check_level(level.text(), level, hierarchy)
            check_tensor(tensor.text(), tensor, tensor_names(problem))
            if key == "store":
                items.append(_Item(Store(level.text(), tensor.text()), value))
            else:
                links.append((level.text(), tensor.text()))
        else:
            raise value.error(f"unknown node {key!r}{nearest(key, known)}")
    return items, links


def _loop(value: Value, kind: LoopKind, problem: Problem) -> _Item:
    dim, bound = _pair(value, "a loop [dimension, bound]")
    name = dim.text()
    if name not in problem.dims:
        raise dim.error(f"unknown dimension {name!r}{nearest(name, problem.dims)}")
    if not isinstance(bound.data, tuple):
        return _Item(Loop(name, bound.integer(minimum=1), kind), value)
    every, last = _pair(bound, "a bound [in every pass, in the last pass]")
    full = every.integer(minimum=1)
    return _Item(Loop(name, full, kind), value, last.integer(minimum=1, maximum=full))


def _pair(value: Value, what: str) -> tuple[Value, Value]:
    parts = value.items()
    if len(parts) != 2:
        raise value.error(f"expected {what}, found a list of {len(parts)}")
    return parts[0], parts[1]


def _check_level(name: str, value: Value, hierarchy: Hierarchy) -> None:
    if name == hierarchy.compute.name:
        raise value.error(f"{name!r} is the compute level: only storage levels hold tensors and loops")
    if name not in hierarchy.names:
        raise value.error(f"unknown level {name!r}{nearest(name, hierarchy.names)}")


def _check_last_passes(items: list[_Item], dims: MappingOf[str, int]) -> Iterator[Node]:
    """The nodes, with every stated last bound compared to the one that follows from the dimension's size."""
    expected = last_pass([item.node for item in items], dims)
    # A loop that only ever runs its last pass never reaches its bound in the others.
    only_pass = dict.fromkeys(dims, True)
    for item, last in zip(items, expected, strict=True):
        node = item.node
        if isinstance(node, Store):
            yield node
            continue
        if item.last is not None and item.last != last:
            raise item.value.error(
                f"the last pass of a {node.dim} loop of {node.bound} is {last}, not {item.last}: the loops of "
                f"{node.dim} from outer to inner share {dims[node.dim]}"
            )
        if item.last is not None and only_pass[node.dim]:
            node = Loop(node.dim, item.last, node.kind)
        only_pass[node.dim] &= last == 1
        yield node
