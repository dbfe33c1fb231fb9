"""How loops are spread over the arrays of a hierarchy: every choice of spatial factors, as arrays over the choices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.constraints import Limits, SpatialLimits
from timeloop_py.mapper.mapspace import Array, Retention

Integers = NDArray[np.int64]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Spread:
    """Choices of spatial factors; the first axis runs over choices, arrays are counted from the outermost.

    ``along_x`` and ``along_y`` are (choices, arrays, dimensions). ``pins`` (same shape) are the temporal iterations of
    a dimension below an array where they must be known to count (0: anything). ``full`` is (choices, dimensions): the
    temporal iterations that are left to a dimension.
    """

    along_x: Integers
    along_y: Integers
    pins: Integers
    full: Integers

    @cached_property
    def factors(self) -> Integers:
        """Iterations over both axes of an array."""
        product: Integers = self.along_x * self.along_y
        return product

    @cached_property
    def unused(self) -> NDArray[np.bool_]:
        """(choices, arrays): True where no loop runs over the array."""
        return np.asarray((self.factors == 1).all(axis=2))

    @cached_property
    def lanes(self) -> Integers:
        """Compute units in use."""
        lanes: Integers = self.factors.prod(axis=(1, 2))
        return lanes

    def __len__(self) -> int:
        return len(self.full)

    @staticmethod
    def joined(parts: Sequence[Spread]) -> Spread:
        """All choices of several, in order."""
        columns = [(part.along_x, part.along_y, part.pins, part.full) for part in parts]
        return Spread(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def rows(self, chosen: NDArray[np.intp]) -> Spread:
        """Some of the choices."""
        return Spread(self.along_x[chosen], self.along_y[chosen], self.pins[chosen], self.full[chosen])


def sizes_of(size: int, imperfect: bool) -> Integers:
    """Tile sizes along a dimension: its divisors, or with imperfect factors all numbers up to it."""
    numbers = np.arange(1, size + 1)
    return numbers if imperfect else numbers[size % numbers == 0]


def spread_choices(retention: Retention) -> Spread:
    """All choices of spatial factors of a retention within its constraints, with their pins."""
    return pinned(retention, factor_choices(retention))


def factor_choices(retention: Retention, check: Callable[[], None] = lambda: None) -> Spread:
    """All choices of spatial factors of a retention within its constraints; nothing is pinned yet.

    Where no hop costs energy below a level, only the product over both axes of the array there counts: one split per
    product is kept. With imperfect factors an array may be wider than the work left for it, never by a whole instance,
    and two dimensions of one rank are not spread (:func:`perfect_alone`). What levels cannot share out over time is
    left out.
    ``check`` is called again and again meanwhile, and may raise an error.
    """
    space = retention.space
    dims = space.dims
    per_array = [list(_checked(_array_choices(retention, array, dims), check)) for array in retention.arrays]
    found = _combined(per_array, [space.problem.dims[dim] for dim in dims], space.imperfect)
    least = math.ceil(space.constraints.utilization * space.hierarchy.compute.instances - 1e-9)
    rows = [
        row
        for row in _checked(found, check)
        if math.prod(x * y for pair in row for x, y in zip(*pair, strict=True)) >= least
    ]
    if not _idle_dims_allowed(retention):
        rows = []
    along = np.array(rows, dtype=np.int64).reshape(len(rows), len(per_array), 2, len(dims))
    sizes = np.array([space.problem.dims[dim] for dim in dims], dtype=np.int64)
    full = -(-sizes // along.prod(axis=(1, 2)))
    spread = Spread(along[:, :, 0], along[:, :, 1], np.zeros_like(along[:, :, 0]), full)
    spread = spread.rows(np.flatnonzero(_leaves_what_levels_take(retention, spread)))
    if not space.imperfect:
        return spread
    return _busy(retention, spread.rows(np.flatnonzero(~spreads_twice(retention, spread))))


def _checked(items: Iterable[Item], check: Callable[[], None]) -> Iterator[Item]:
    for number, item in enumerate(items):
        if number % 1024 == 0:
            check()
        yield item


def _idle_dims_allowed(retention: Retention) -> bool:
    """False where constraints ask for several iterations of a dimension that has one."""
    space, constraints = retention.space, retention.space.constraints
    for index in retention.stages:
        level = space.hierarchy.names[index]
        spatial = constraints.spatial.get(level, SpatialLimits())
        for limits in (constraints.factors.get(level, {}), spatial.x or {}, spatial.y or {}):
            if any(limit.least > 1 for dim, limit in limits.items() if space.problem.dims[dim] == 1):
                return False
    return True


def _leaves_what_levels_take(retention: Retention, spread: Spread) -> NDArray[np.bool_]:
    """Choices whose iterations over time levels can share out within the limits on their factors.

    With imperfect factors only the most that they take together is looked at.
    """
    space = retention.space
    takes = np.ones(len(spread), dtype=bool)
    names = [space.hierarchy.names[index] for index in retention.stages]
    for axis, dim in enumerate(space.dims):
        limits = tuple(space.constraints.factors.get(name, {}).get(dim, Limits()) for name in names)
        for full in np.unique(spread.full[:, axis]).tolist():
            if space.imperfect:
                most = [limit.most for limit in limits]
                fits = None in most or math.prod(one or 1 for one in most) >= full
            else:
                fits = _shared_out(full, limits)
            takes &= fits | (spread.full[:, axis] != full)
    return takes


@lru_cache(maxsize=4096)
def _shared_out(size: int, limits: tuple[Limits, ...]) -> bool:
    """Whether a size is a product of one factor per limit, each within it."""
    if not limits:
        return size == 1
    factors = (int(factor) for factor in sizes_of(size, imperfect=False))
    return any(limits[0].allows(factor) and _shared_out(size // factor, limits[1:]) for factor in factors)


def spreads_twice(retention: Retention, spread: Spread) -> NDArray[np.bool_]:
    """Choices that spread two dimensions of one rank: of imperfect ones the multicasts of last passes are unknown."""
    dims = retention.space.dims
    wide = spread.factors.prod(axis=1) > 1
    twice = np.zeros(len(spread), dtype=bool)
    for tensor in retention.space.problem.tensors:
        for rank in tensor.ranks:
            twice |= sum((wide[:, dims.index(dim)].astype(int) for dim in rank.dims if dim in dims), start=0) > 1
    return twice


def perfect_alone(retention: Retention) -> tuple[Retention, Spread]:
    """Of an imperfect space, what it has with perfect factors alone: all that spreads two dimensions of one rank.

    The retention in the space of perfect factors, and the choices of spatial factors, nothing pinned yet.
    """
    perfect = Retention(replace(retention.space, imperfect=False), retention.kept)
    spread = factor_choices(perfect)
    return perfect, spread.rows(np.flatnonzero(spreads_twice(perfect, spread)))


Factors = tuple[int, ...]


def _array_choices(retention: Retention, array: Array, dims: tuple[str, ...]) -> Iterator[tuple[Factors, Factors]]:
    space = retention.space
    index = retention.stages[array.outer]
    level = space.hierarchy.levels[index]
    limits = space.constraints.spatial.get(level.name, SpatialLimits())
    sizes = [space.problem.dims[dim] for dim in dims]
    seen: set[Factors] = set()
    for x in _axis_choices(sizes, array.fan_out.x, _limits(limits.x, dims), space.imperfect):
        for y in _axis_choices(sizes, array.fan_out.y, _limits(limits.y, dims), space.imperfect):
            product = tuple(first * second for first, second in zip(x, y, strict=True))
            if level.energy_per_hop_pj == 0 and product in seen:
                continue
            seen.add(product)
            yield x, y


def _limits(limits: Mapping[str, Limits] | None, dims: tuple[str, ...]) -> list[Limits]:
    if limits is None:
        return [Limits()] * len(dims)
    return [limits.get(dim, Limits(1, 1)) for dim in dims]


def _axis_choices(sizes: list[int], width: int, limits: list[Limits], imperfect: bool) -> Iterator[Factors]:
    if not sizes:
        yield ()
        return
    for factor in sizes_of(sizes[0], imperfect):
        if factor > width:
            break
        if limits[0].allows(int(factor)):
            for rest in _axis_choices(sizes[1:], width // int(factor), limits[1:], imperfect):
                yield (int(factor), *rest)


def _combined(
    per_array: list[list[tuple[Factors, Factors]]], sizes: list[int], imperfect: bool
) -> Iterator[tuple[tuple[Factors, Factors], ...]]:
    """One choice per array such that the factors of every dimension fit into it together."""
    if not per_array:
        yield ()
        return
    for x, y in per_array[-1]:
        left = []
        for size, columns, rows in zip(sizes, x, y, strict=True):
            factor = columns * rows
            # Rows run inside columns: neither may be wider than what is left for it.
            if (size % factor and not imperfect) or rows > size or columns > -(-size // rows):
                break
            left.append(-(-size // factor))
        else:
            for outer in _combined(per_array[:-1], left, imperfect):
                yield (*outer, (x, y))


def pinned_outside(spread: Spread) -> Spread:
    """The same factors, all arrays but the one above compute outside the loops over time of what they spread."""
    pins = np.where(spread.factors > 1, spread.full[:, None, :], 0)
    pins[:, -1] = 0
    return replace(spread, pins=pins)


def pinned(retention: Retention, spread: Spread) -> Spread:
    """Split choices by the temporal iterations below an array where the counts depend on them.

    How far apart the instances of a window's dimension stand is the product of the loops below the array; for other
    dimensions the counts do not depend on it, unless a last pass leaves instances idle.
    """
    space = retention.space
    dims = space.dims
    windowed = {
        dim
        for tensor in space.problem.tensors
        for rank in tensor.ranks
        if sum(one in dims for one in rank.dims) > 1
        for dim in rank.dims
    }
    arrays = len(retention.arrays)
    for axis, dim in enumerate(dims):
        if not (space.imperfect or dim in windowed):
            continue
        # The innermost array stands directly above compute: nothing runs below it.
        for array in range(arrays - 2, -1, -1):
            rows: list[int] = []
            pins: list[int] = []
            for row in range(len(spread)):
                for pin in _pins(spread, row, array, axis, space.imperfect):
                    rows.append(row)
                    pins.append(pin)
            spread = spread.rows(np.array(rows, dtype=np.intp))
            spread.pins[:, array, axis] = pins
    return _busy(retention, spread) if space.imperfect else spread


def _busy(retention: Retention, spread: Spread) -> Spread:
    """Choices that leave no instance without any work."""
    sizes = [retention.space.problem.dims[dim] for dim in retention.space.dims]
    busy = [row for row in range(len(spread)) if _all_busy(spread, row, sizes)]
    return spread.rows(np.array(busy, dtype=np.intp))


def _all_busy(spread: Spread, row: int, sizes: list[int]) -> bool:
    """False where the outermost loop of a dimension is spatial and has iterations that all lie beyond its end."""
    for axis, size in enumerate(sizes):
        inside = 1
        for array in range(spread.factors.shape[1] - 1, -1, -1):
            if spread.factors[row, array, axis] == 1:
                continue
            below = max(1, int(spread.pins[row, array, axis]))
            x, y = int(spread.along_x[row, array, axis]), int(spread.along_y[row, array, axis])
            outermost, within = (x, y) if x > 1 else (y, 1)
            is_outermost = (spread.factors[row, :array, axis] == 1).all() and below == spread.full[row, axis]
            if is_outermost and -(-size // (below * inside * within)) < outermost:
                return False
            inside *= x * y
    return True


def _pins(spread: Spread, row: int, array: int, axis: int, imperfect: bool) -> list[int]:
    if spread.factors[row, array, axis] == 1:
        return [0]
    full = int(spread.full[row, axis])
    inner = next((int(pin) for pin in spread.pins[row, array + 1 :, axis] if pin), 1)
    return [int(size) for size in sizes_of(full, imperfect) if size % inner == 0 or (imperfect and size == full)]
