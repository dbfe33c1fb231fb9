"""Why no mapping fits: what every constraint removes, and the smallest single change that would let one through.

Whether anything fits is decided by the smallest tiles there are (:mod:`timeloop_py.mapper.smallest_tiles`), exactly.
Mappings are counted as :mod:`timeloop_py.mapper.coverage` does. How many of them a buffer turns away is only said where
it is all of them: words of several tensors that share a buffer have no closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.constraints import Constraints, Limits, SpatialLimits, relaxed
from timeloop_py.mapper.coverage import mappings_in
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.smallest_tiles import Tiles, smallest_tiles
from timeloop_py.specs.hierarchy import StorageLevel

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Removal:
    """A constraint, the mappings that it removes by itself, and those left after it and all before it."""

    constraint: str
    alone: int
    left: int


@dataclass(frozen=True)
class Buffer:
    """A buffer (``tensor`` None: one that tensors share), its words, and those of the smallest tiles in it.

    ``least_words``: capacity that some mapping within the constraints needs, other buffers disregarded; ``alone``: none
    fits into this buffer, whatever the others have room for.
    """

    level: str
    tensor: str | None
    capacity_words: int
    least_words: int

    @property
    def alone(self) -> bool:
        return self.least_words > self.capacity_words

    @property
    def name(self) -> str:
        return self.level if self.tensor is None else f"{self.level}, {self.tensor}"


@dataclass(frozen=True)
class Relaxation:
    """One change that lets a mapping through.

    ``kind``: ``capacity`` (words of a buffer), ``utilization``, ``keep``, ``bypass``, or a limit, ``max`` or ``min``,
    of a factor: ``factors.max``, ``spatial.x.max``, ... ``name``: its tensor or dimension. ``change`` is relative,
    (needed - now) / now; dropping a rule altogether counts as 1.
    """

    kind: str
    level: str | None
    name: str | None
    now: float | None
    needed: float | None
    change: float

    def __str__(self) -> str:
        place = ".".join(part for part in (self.kind, self.level, self.name) if part)
        if self.kind == "capacity":
            place = f"the buffer of {self.level}" + (f" for {self.name}" if self.name else "") + ", words"
        elif self.kind.startswith(("factors", "spatial")):
            section, _, limit = self.kind.partition(".")
            place = f"{section}.{self.level}.{limit.replace('max', '').replace('min', '')}{self.name}.{limit[-3:]}"
        if self.now is None or self.needed is None:
            return f"without {place}"
        return f"{place}: from {self.now:g} to {self.needed:g}"


@dataclass(frozen=True)
class Diagnosis:
    """Mappings without constraints, what is left of them, and single changes that work, smallest first."""

    mappings: int
    removals: tuple[Removal, ...]
    buffers: tuple[Buffer, ...]
    fits: bool
    relaxations: tuple[Relaxation, ...]

    @property
    def left(self) -> int:
        """Mappings within the constraints, whether or not they fit."""
        return self.removals[-1].left if self.removals else self.mappings

    @property
    def smallest(self) -> Relaxation | None:
        return self.relaxations[0] if self.relaxations else None

    def lines(self) -> list[str]:
        """The diagnosis to read."""
        found = [f"{self.mappings:,} mappings without constraints"]
        for one in self.removals:
            found.append(f"  {one.constraint}: removes {one.alone:,} by itself, {one.left:,} left after it")
        for buffer in self.buffers:
            verdict = "removes all of them" if buffer.alone else "some fit"
            found.append(
                f"  {buffer.name}: {buffer.capacity_words:,} words, the smallest tiles need {buffer.least_words:,}: "
                f"{verdict}"
            )
        if self.fits:
            found.append("some mapping fits")
        elif self.smallest is None:
            found.append("no single change lets a mapping through")
        else:
            found.append(f"smallest change that lets one through: {self.smallest}")
            found.extend(f"  or: {one}" for one in self.relaxations[1:])
        return found

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis in plain values."""
        return {**asdict(self), "left": self.left}


def diagnose(space: Mapspace) -> Diagnosis:
    """What keeps every mapping of ``space`` out. Of a mapspace in which some mapping fits, it shows no relaxations."""
    free = replace(space, constraints=Constraints())
    whole = mappings_in(free)
    removals: list[Removal] = []
    so_far = Constraints()
    for name, add in _rules(space.constraints):
        so_far = add(so_far)
        alone = whole - mappings_in(replace(space, constraints=add(Constraints())))
        removals.append(Removal(name, alone, mappings_in(replace(space, constraints=so_far))))
    tiles = list(smallest_tiles(space))
    buffers = [
        Buffer(level.name, tensor, capacity, _capacity(level, least))
        for level, tensor, capacity in _buffers(space)
        if (least := min((_words(one, level.name, tensor).min() for one in tiles), default=0)) > 0
    ]
    relaxations: list[Relaxation] = []
    fits = any(_fitting(space, one).any() for one in tiles)
    if not fits:
        relaxations = [*_capacities(space, tiles), *_utilization(space), *_constraints(space)]
    order = sorted(range(len(relaxations)), key=lambda index: (relaxations[index].change, index))
    return Diagnosis(whole, tuple(removals), tuple(buffers), fits, tuple(relaxations[index] for index in order))


def anything_fits(space: Mapspace) -> bool:
    """Whether any mapping of a mapspace fits its buffers."""
    return any(_fitting(space, one).any() for one in smallest_tiles(space))


# -- buffers ------------------------------------------------------------------------------------------


def _buffers(space: Mapspace) -> Iterator[tuple[StorageLevel, str | None, int]]:
    """Every limited buffer: its level, its tensor (None: shared) and its words."""
    for level in space.hierarchy.levels:
        if level.capacity_words is not None:
            yield level, None, level.capacity_words
        for tensor, capacity in level.tensor_capacity_words.items():
            if capacity is not None:
                yield level, tensor, capacity


def _words(tiles: Tiles, level: str, tensor: str | None) -> NDArray[np.float64]:
    held = [words for (where, name), words in tiles.words.items() if where == level and tensor in (None, name)]
    return np.sum([np.zeros(len(tiles.lanes)), *held], axis=0)  # type: ignore[no-any-return]


def _fitting(space: Mapspace, tiles: Tiles, without: tuple[str, str | None] | None = None) -> Mask:
    """Rows that fit all buffers but one."""
    fits = np.ones(len(tiles.lanes), dtype=bool)
    for level, tensor, _ in _buffers(space):
        if (level.name, tensor) != without:
            usable = level.usable_words if tensor is None else level.usable_words_of(tensor)
            fits &= _words(tiles, level.name, tensor) <= (math.inf if usable is None else usable)
    return fits


def _capacity(level: StorageLevel, words: float) -> int:
    """The least capacity of which tiles of ``words`` may be used."""
    capacity = math.ceil(words * level.multiple_buffering)
    while int(capacity / level.multiple_buffering) < words:
        capacity += 1
    return capacity


def _capacities(space: Mapspace, tiles: list[Tiles]) -> Iterator[Relaxation]:
    for level, tensor, capacity in _buffers(space):
        least = math.inf
        for one in tiles:
            fits = _fitting(space, one, (level.name, tensor))
            least = min(least, float(_words(one, level.name, tensor)[fits].min(initial=math.inf)))
        if least < math.inf:
            needed = _capacity(level, least)
            yield Relaxation("capacity", level.name, tensor, capacity, needed, _change(capacity, needed))


# -- constraints --------------------------------------------------------------------------------------


def _rules(constraints: Constraints) -> Iterator[tuple[str, Callable[[Constraints], Constraints]]]:
    """Every constraint, by level, with what adds it to others."""
    for kind in ("keep", "bypass", "factors", "order", "spatial"):
        for level, value in getattr(constraints, kind).items():
            if value:

                def add(
                    others: Constraints, kind: str = kind, level: str = level, value: object = value
                ) -> Constraints:
                    changed: dict[str, Any] = {kind: {**getattr(others, kind), level: value}}
                    return replace(others, **changed)

                yield f"{kind} of {level}", add
    if constraints.utilization > 0:
        yield (
            f"utilization of at least {constraints.utilization:g}",
            lambda others: replace(others, utilization=constraints.utilization),
        )


def _utilization(space: Mapspace) -> Iterator[Relaxation]:
    floor = space.constraints.utilization
    if floor == 0:
        return
    lanes = 0
    for tiles in smallest_tiles(replace(space, constraints=replace(space.constraints, utilization=0.0))):
        lanes = max(lanes, int(tiles.lanes[_fitting(space, tiles)].max(initial=0)))
    if lanes:
        needed = lanes / space.hierarchy.compute.instances
        yield Relaxation("utilization", None, None, floor, needed, _change(floor, needed))


def _constraints(space: Mapspace) -> Iterator[Relaxation]:
    constraints = space.constraints

    def fits(changed: Constraints) -> bool:
        return anything_fits(replace(space, constraints=changed))

    for kind in ("keep", "bypass"):
        for level, names in getattr(constraints, kind).items():
            for name in names:
                if space.hierarchy.level(level).may_hold(name) and fits(relaxed(constraints, kind, level, name)):
                    yield Relaxation(kind, level, name, None, None, 1.0)
    for level, table in constraints.factors.items():
        for dim, limits in table.items():

            def with_factor(one: Limits, level: str = level, dim: str = dim) -> Constraints:
                changed = {**constraints.factors, level: {**constraints.factors[level], dim: one}}
                return replace(constraints, factors=changed)

            yield from _limits("factors", level, dim, limits, space.problem.dims[dim], with_factor, fits)
    for level, axes in constraints.spatial.items():
        yield from _axes(space, level, axes, fits)


def _axes(
    space: Mapspace, level: str, axes: SpatialLimits, fits: Callable[[Constraints], bool]
) -> Iterator[Relaxation]:
    """Wider or narrower factors of one dimension along an axis of an array; one that may not run there has factor 1."""
    constraints = space.constraints
    for axis in ("x", "y"):
        limits: dict[str, Limits] | None = getattr(axes, axis)
        if limits is None:
            continue

        def with_axis(value: dict[str, Limits] | None, axis: str = axis) -> Constraints:
            changed: dict[str, Any] = {axis: value}
            return replace(constraints, spatial={**constraints.spatial, level: replace(axes, **changed)})

        if not fits(with_axis(None)):
            continue
        for dim in space.dims:

            def with_factor(one: Limits, dim: str = dim, limits: dict[str, Limits] = limits) -> Constraints:
                return with_axis({**limits, dim: one})

            one = limits.get(dim, Limits(1, 1))
            yield from _limits(f"spatial.{axis}", level, dim, one, space.problem.dims[dim], with_factor, fits)


def _limits(
    kind: str,
    level: str,
    dim: str,
    limits: Limits,
    size: int,
    changed: Callable[[Limits], Constraints],
    fits: Callable[[Constraints], bool],
) -> Iterator[Relaxation]:
    """The least change of the greatest factor, and of the least one."""
    if limits.most is not None:
        most = _first(limits.most + 1, size, lambda one: fits(changed(replace(limits, most=one))))
        if most is not None:
            yield Relaxation(f"{kind}.max", level, dim, limits.most, most, _change(limits.most, most))
    if limits.least > 1:
        down = _first(1, limits.least - 1, lambda one: fits(changed(replace(limits, least=limits.least - one))))
        if down is not None:
            least = limits.least - down
            yield Relaxation(f"{kind}.min", level, dim, limits.least, least, _change(limits.least, least))


def _first(low: int, high: int, works: Callable[[int], bool]) -> int | None:
    """The least number that works; whatever works, greater ones do, too."""
    if low > high or not works(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if works(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _change(now: float, needed: float) -> float:
    return abs(needed - now) / now if now else math.inf
