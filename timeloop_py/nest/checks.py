"""Whether a mapping is one: of this problem, onto this hierarchy, within its arrays and capacities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass

from timeloop_py.nest.arrays import ArrayUse, array_uses
from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.hierarchy import Hierarchy
from timeloop_py.specs.mapping import Loop, Mapping, Store
from timeloop_py.specs.problem import Problem
from timeloop_py.specs.problem_file import tensor_names


@dataclass(frozen=True)
class Violation:
    """What is wrong with a mapping, at which of its nodes (None: the mapping as a whole)."""

    message: str
    node: int | None = None


@dataclass(frozen=True)
class CapacityExcess:
    """Tiles that do not fit: words of one instance by tensor, against those that may be used."""

    level: str
    words: MappingOf[str, float]
    usable_words: int

    @property
    def excess_words(self) -> float:
        return sum(self.words.values()) - self.usable_words


def check_mapping(
    problem: Problem,
    hierarchy: Hierarchy,
    mapping: Mapping,
    tile_words: MappingOf[tuple[str, str], float] | None = None,
) -> None:
    """Raise a SpecError that names everything wrong with ``mapping``, at its place in the file it was read from.

    ``tile_words`` by (level, tensor), per instance, adds the check of capacities; it can only be computed for a mapping
    that passes the other checks.
    """
    found = mapping_violations(problem, hierarchy, mapping)
    if not found and tile_words is not None:
        found = [
            Violation(_excess_message(hierarchy, excess), _first_store(mapping, excess.level))
            for excess in capacity_excesses(hierarchy, tile_words)
        ]
    if found:
        raise _error(mapping, found)


def mapping_violations(problem: Problem, hierarchy: Hierarchy, mapping: Mapping) -> list[Violation]:
    """Everything wrong with ``mapping`` except capacities: unknown names first, for nothing else makes sense then."""
    unknown = list(_unknown_names(problem, hierarchy, mapping))
    if unknown:
        return unknown
    return [
        *_dimension_violations(problem, mapping),
        *_storage_violations(problem, hierarchy, mapping),
        *_array_violations(hierarchy, mapping),
    ]


def capacity_excesses(
    hierarchy: Hierarchy, tile_words: MappingOf[tuple[str, str], float]
) -> tuple[CapacityExcess, ...]:
    """The buffers that the tiles of one instance, words by (level, tensor), do not fit into.

    A level may hold ``1 / multiple_buffering`` of its capacity at a time. Where tensors have buffers of their own,
    each is compared with its own.
    """
    excesses: list[CapacityExcess] = []
    for level in hierarchy.levels:
        words = {tensor: count for (name, tensor), count in tile_words.items() if name == level.name}
        buffers = [({tensor: count}, level.usable_words_of(tensor)) for tensor, count in words.items()]
        buffers.append((words, level.usable_words))
        excesses.extend(
            CapacityExcess(level.name, held, usable)
            for held, usable in buffers
            if usable is not None and sum(held.values()) > usable
        )
    return tuple(excesses)


def _unknown_names(problem: Problem, hierarchy: Hierarchy, mapping: Mapping) -> Iterator[Violation]:
    tensors = tensor_names(problem)
    for index, node in enumerate(mapping.nodes):
        if isinstance(node, Loop):
            if node.dim not in problem.dims:
                yield Violation(f"unknown dimension {node.dim!r}{nearest(node.dim, problem.dims)}", index)
            elif node.bound < 1:
                yield Violation(f"expected a bound of at least 1 for {node.dim}, found {node.bound}", index)
            continue
        yield from _unknown_place(node.level, node.tensor, hierarchy, tensors, index)
    for level, tensor in mapping.no_link_transfer:
        yield from _unknown_place(level, tensor, hierarchy, tensors, None)


def _unknown_place(
    level: str, tensor: str, hierarchy: Hierarchy, tensors: Sequence[str], index: int | None
) -> Iterator[Violation]:
    if level not in hierarchy.names:
        yield Violation(f"unknown level {level!r}{nearest(level, hierarchy.names)}", index)
    if tensor not in tensors:
        yield Violation(f"unknown tensor {tensor!r}{nearest(tensor, tensors)}", index)


def _dimension_violations(problem: Problem, mapping: Mapping) -> Iterator[Violation]:
    """Loops that leave a part of a dimension out, or passes that lie beyond its end altogether."""
    for dim, size in problem.dims.items():
        loops = [
            (index, node) for index, node in enumerate(mapping.nodes) if isinstance(node, Loop) and node.dim == dim
        ]
        total = math.prod(loop.bound for _, loop in loops)
        factors = " x ".join(str(loop.bound) for _, loop in loops)
        if total < size:
            found = f"multiply to {total} ({factors})" if len(loops) > 1 else f"run {total}" if loops else "are missing"
            yield Violation(
                f"the loops of {dim} {found}, {dim} is {size}: {size - total} left out", loops[0][0] if loops else None
            )
            continue
        # Below an outermost loop that runs all its iterations, every inner loop runs all of its own at least once.
        for index, loop in loops:
            if loop.bound == 1:
                continue
            step = total // loop.bound
            needed = -(-size // step)
            if needed < loop.bound:
                yield Violation(
                    f"the loops of {dim} multiply to {total} ({factors}), {dim} is {size}: the outermost needs "
                    f"{needed} of its {loop.bound} iterations, the others lie beyond the end",
                    index,
                )
            break


def _storage_violations(problem: Problem, hierarchy: Hierarchy, mapping: Mapping) -> Iterator[Violation]:
    previous: dict[str, str] = {}
    for index, node in enumerate(mapping.nodes):
        if not isinstance(node, Store):
            continue
        level = hierarchy.level(node.level)
        if not level.may_hold(node.tensor):
            held = ", ".join(level.tensors or ())
            yield Violation(f"level {node.level!r} may not hold {node.tensor!r} (it may hold {held})", index)
        if node.tensor in previous:
            outer = previous[node.tensor]
            if outer == node.level:
                yield Violation(f"{node.tensor!r} is stored twice in level {node.level!r}", index)
            elif hierarchy.index(outer) > hierarchy.index(node.level):
                yield Violation(
                    f"{node.tensor!r} is stored in {node.level!r} below {outer!r}, but {node.level!r} is the outer "
                    "level: the storage nodes of a tensor stand in the order of the levels",
                    index,
                )
        previous[node.tensor] = node.level
    for tensor in problem.tensors:
        if tensor.name not in previous:
            yield Violation(f"tensor {tensor.name!r} is stored nowhere: keep it in one level at least")


def _array_violations(hierarchy: Hierarchy, mapping: Mapping) -> Iterator[Violation]:
    """Spatial loops that exceed their array, or that split the tile of an instance they do not make."""
    uses = array_uses(hierarchy, mapping)
    over_an_array = {index for use in uses for index in use.loops}
    for index, node in enumerate(mapping.nodes):
        if isinstance(node, Loop) and node.is_spatial and node.bound > 1 and index not in over_an_array:
            yield Violation(f"the {_loop_text(node)} loop stands above all storage nodes: no array lies there", index)
    for use in uses:
        yield from _fan_out_violations(hierarchy, mapping, use)
        first = use.loops[0]
        for index, node in enumerate(mapping.nodes[first:], first):
            if isinstance(node, Store) and hierarchy.index(node.level) <= use.outer:
                yield Violation(
                    f"{node.tensor!r} is stored in {node.level!r} below a spatial loop over the array between "
                    f"{_span_text(hierarchy, use)}: spatial loops split the tiles of inner levels, so the storage "
                    f"nodes of {node.level!r} stand above them",
                    index,
                )


def _fan_out_violations(hierarchy: Hierarchy, mapping: Mapping, use: ArrayUse) -> Iterator[Violation]:
    loops = [(index, node) for index in use.loops if isinstance(node := mapping.nodes[index], Loop)]
    between = _span_text(hierarchy, use)
    if use.available.total == 1:
        index, loop = loops[0]
        inner = hierarchy.stages[use.inner].name
        yield Violation(
            f"the {_loop_text(loop)} loop stands between {between}, where nothing fans out: there is one {inner!r} "
            f"per {hierarchy.names[use.outer]!r} (spatial loops stand above all storage nodes of the inner level)",
            index,
        )
        return
    sides = (
        ("spatial_x", "columns", use.used.x, use.available.x),
        ("spatial_y", "rows", use.used.y, use.available.y),
    )
    for kind, unit, used, available in sides:
        if used > available:
            own = [(index, loop) for index, loop in loops if loop.kind.value == kind]
            texts = ", ".join(f"{loop.dim} {loop.bound}" for _, loop in own)
            yield Violation(
                f"the {kind} loops ({texts}) take {used} {unit} of the array between {between}, which has {available} "
                f"({use.available.x} x {use.available.y} in all, {use.used.total} used): {used - available} too many",
                own[0][0],
            )


def _loop_text(loop: Loop) -> str:
    return f"{loop.kind.value} {loop.dim} {loop.bound}"


def _span_text(hierarchy: Hierarchy, use: ArrayUse) -> str:
    return f"{hierarchy.names[use.outer]!r} and {hierarchy.stages[use.inner].name!r}"


def _excess_message(hierarchy: Hierarchy, excess: CapacityExcess) -> str:
    level = hierarchy.level(excess.level)
    ordered = sorted(excess.words.items(), key=lambda item: -item[1])
    tensors = ", ".join(f"{tensor} {_words_text(words)}" for tensor, words in ordered)
    halves = f", its capacity over multiple_buffering {level.multiple_buffering:g}" * (level.multiple_buffering > 1)
    return (
        f"the tiles in level {excess.level!r} exceed it by {_words_text(excess.excess_words)} words: {tensors}, "
        f"for {excess.usable_words} usable{halves}"
    )


def _words_text(words: float) -> str:
    """Counts are whole, expectations are not."""
    return str(int(words)) if words == int(words) else f"{words:.2f}"


def _first_store(mapping: Mapping, level: str) -> int | None:
    stores = (index for index, node in enumerate(mapping.nodes) if isinstance(node, Store) and node.level == level)
    return next(stores, None)


def _error(mapping: Mapping, found: Sequence[Violation]) -> SpecError:
    """One error for all violations, at the place of the first."""
    if not mapping.places:
        return SpecError("; ".join(violation.message for violation in found), field="mapping")
    first = mapping.places[found[0].node or 0]
    field = "mapping" if found[0].node is None else first.field
    texts = [found[0].message]
    for violation in found[1:]:
        line = None if violation.node is None else mapping.places[violation.node].line
        texts.append(violation.message if line is None else f"line {line}: {violation.message}")
    return SpecError("\n  ".join(texts), path=first.path, line=first.line, field=field)
