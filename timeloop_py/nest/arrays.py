"""Which array of instances a spatial loop runs over.

A mapping is one list of nodes and says nowhere between which levels a spatial loop stands; the hierarchy does. Let the
*outer* level of a spatial loop be the innermost level that has a storage node above the loop, of whatever tensor, and
its *inner* level the outermost one further in that has a storage node below the loop (compute, where none has). The
loop spreads its iterations over the instances of the inner level below one instance of the outer one. Levels in
between hold nothing around this loop: they are passed through, and their fan-outs multiply.

Two spatial loops run over the same array, or the array of the second lies wholly below that of the first: a storage
node between them is below the first loop, so no further out than its inner level, and above the second, so no further
in than its outer level.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from timeloop_py.numbers.operations import is_plain
from timeloop_py.specs.hierarchy import FanOut, Hierarchy
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store


@dataclass(frozen=True)
class ArrayUse:
    """The spatial loops (indices of nodes) that run over the array between two levels (indices; compute is last)."""

    outer: int
    inner: int
    loops: tuple[int, ...]
    #: columns and rows that the loops spread over, and those that there are below one outer instance
    used: FanOut
    available: FanOut


def array_uses(hierarchy: Hierarchy, mapping: Mapping) -> tuple[ArrayUse, ...]:
    """The arrays that a mapping spreads loops over, outermost first.

    Levels of storage nodes must be known; bounds may be arrays or symbols. A spatial loop above all storage nodes runs
    over no array; that one and loops of one iteration are left out.
    """
    above: set[int] = set()
    below = [hierarchy.index(node.level) for node in mapping.nodes if isinstance(node, Store)]
    loops: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, node in enumerate(mapping.nodes):
        if isinstance(node, Store):
            above.add(below.pop(0))
        elif node.is_spatial and above and not (is_plain(node.bound) and node.bound == 1):
            outer = max(above)
            inner = min((level for level in below if level > outer), default=hierarchy.compute_index)
            loops[outer, inner].append(index)
    return tuple(
        ArrayUse(outer, inner, tuple(indices), _used(mapping, indices), hierarchy.fan_out(outer, inner))
        for (outer, inner), indices in loops.items()
    )


def _used(mapping: Mapping, indices: list[int]) -> FanOut:
    x = y = 1
    for index in indices:
        node = mapping.nodes[index]
        assert isinstance(node, Loop)
        if node.kind is LoopKind.SPATIAL_X:
            x *= node.bound
        else:
            y *= node.bound
    return FanOut(x, y)
