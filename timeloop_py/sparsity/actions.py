"""Gating and skipping: which tile decides about an access, and how often it is empty.

An action on tensor T at level L happens unless the *leader tile* of a condition is empty: the condition tensor's data
that are used while the tile of T in the next level further in stays put. It is what the loops inside the innermost
loop over T above that tile touch. Where T goes to compute, it is the operands that one word of T meets at a time: one
element, those of all lanes that share the word, and with lines of several words those of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass

from timeloop_py.sparsity.tiles import Shape, Tiles, extents_of
from timeloop_py.specs.case import SavingKind, Sparsity
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.mapping import Loop
from timeloop_py.specs.problem import Tensor
from timeloop_py.tensors.density import DensityModel

#: density model of every tensor, by name
Densities = MappingOf[str, DensityModel]


@dataclass(frozen=True)
class Saving:
    """What the sharpest action on a tensor at a level does: accesses are saved with ``probability``."""

    kind: SavingKind
    probability: float
    #: the tensors whose zeros decide
    leaders: tuple[str, ...]


def savings(tiles: Tiles, sparsity: Sparsity, densities: Densities) -> dict[tuple[str, str], Saving]:
    """The saving of every (level, tensor) that an action targets.

    An action at a level that does not keep its target acts where the target comes from. Of several actions on one
    target the sharpest counts, of equally sharp ones gating. Raises SpecError where the target comes from nowhere.
    """
    found: dict[tuple[str, str], Saving] = {}
    actions = [(entry.level, action) for entry in sparsity.levels for action in entry.actions]
    for level, action in sorted(actions, key=lambda item: item[1].type != "gating"):
        keeper = tiles.keeper(level, action.target)
        if keeper is None:
            raise SpecError(
                f"{action.type} of {action.target!r} at level {level!r}: neither that level nor one above keeps it",
                field="sparse",
            )
        happens = 1.0
        for leader in action.condition_on:
            tile = leader_tile(tiles, keeper, action.target, leader)
            if tile is not None:
                happens *= 1 - float(densities[leader].probability_empty(tile))
        saving = Saving(action.type, 1 - happens, action.condition_on)
        place = keeper, action.target
        if place not in found or found[place].probability < saving.probability:
            found[place] = saving
    return found


@dataclass(frozen=True)
class _Step:
    """When a tensor's tile further in is replaced: the loop that replaces it, and what stays while it does.

    ``extents`` are those of one run of ``loop`` (of one word where ``single``), ``around`` loops further out that run
    at the same time: lanes, and temporal loops that leave the tiles of all lanes in place.
    """

    loop: Loop | None
    single: bool
    extents: MappingOf[str, int]
    around: tuple[Loop, ...] = ()


def leader_tile(tiles: Tiles, level: str, target: str, leader: str) -> Shape | None:
    """Shape of the leader's tile that decides about one access to ``target`` in ``level``.

    None where no tile decides: lanes over the leader's own dimensions stand above lanes over shared ones, so that the
    leader would be needed in another order than it comes.
    """
    wanted, by = tiles.problem.tensor(target), tiles.problem.tensor(leader)
    step = _step(tiles, level, wanted)
    extents = dict(step.extents)
    for loop in step.around:
        extents[loop.dim] = extents.get(loop.dim, 1) * loop.bound
    if step.loop is None:
        return tiles.shape(by, extents)

    # Along shared dimensions every iteration has a part of the leader of its own.
    paired: dict[str, int] = {}
    for loop in () if step.single else (step.loop, *step.around):
        if step.loop.is_spatial and paired and loop.dim in by.dims:
            return None
        if loop.dim in wanted.dims & by.dims:
            paired[loop.dim] = paired.get(loop.dim, 1) * loop.bound

    # Iterations whose words stand in one line are saved together or not at all.
    words = math.prod(tiles.shape(wanted, step.extents)) / math.prod(paired.values())
    together = math.ceil(tiles.hierarchy.level(level).words_per_line / max(1.0, words))
    for dim, bound in paired.items():
        extents[dim] = math.ceil(extents[dim] * min(together, bound) / bound)
        together = math.ceil(together / bound)
    extents[step.loop.dim] = extents.get(step.loop.dim, 1) * together
    return tiles.shape(by, extents)


def _step(tiles: Tiles, level: str, target: Tensor) -> _Step:
    loops = tiles.loops_between(level, target.name)
    to_compute = tiles.child(level, target.name) is None
    position = _innermost(loops) if to_compute else _first_of(loops, target)
    if to_compute and position is not None and loops[position].dim not in target.dims:
        position = next((i for i in range(position) if loops[i].dim in target.dims), position)
    if position is None:
        return _Step(None, False, extents_of(tiles.loops_below(level, target.name)))

    loop = loops[position]
    around: list[Loop] = []
    settled = not loop.is_spatial
    for outer in loops[position + 1 :]:
        stays = not to_compute and outer.dim not in target.dims
        if outer.is_spatial or (stays and not settled):
            around.append(outer)
        settled = settled or not (outer.is_spatial or stays)
    single = to_compute and not loop.is_spatial
    inner = tiles.loops_below(level, target.name)
    below = len(inner) - len(loops) + position + 1
    return _Step(loop, single, {} if single else extents_of(inner[:below]), tuple(around))


def _innermost(loops: Sequence[Loop]) -> int | None:
    """Of the loops above compute: the first that has no lanes right above it."""
    for position in range(len(loops)):
        if position + 1 == len(loops) or not loops[position + 1].is_spatial:
            return position
    return None


def _first_of(loops: Sequence[Loop], tensor: Tensor) -> int | None:
    return next((position for position, loop in enumerate(loops) if loop.dim in tensor.dims), None)
