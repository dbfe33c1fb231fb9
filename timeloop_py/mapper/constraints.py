"""What a mapping must and must not do, as an architecture file or the command line says it.

::

    constraints:
      keep: {RF: all}                      # tensors that the level must hold; `all`: every one that it may hold
      bypass: {GLB: [Weights]}             # tensors that it must not hold
      factors: {GLB: {K: {max: 4}, P: 1}}  # temporal iterations of a dimension at a level: fixed, or {min:, max:}
      order: {DRAM: [K, C]}                # of these dimensions' loops at a level, the order from outer to inner
      spatial:
        GLB: {x: [K], y: {C: {min: 4}}}    # dimensions that the array below the level may run over, with factors
      utilization: 0.5                     # least share of the compute units that must be used

A temporal loop belongs to the innermost level that has a storage node above it (of whatever tensor), in per-level
mappings and uneven ones alike. On the command line the same sections are written ``factors.GLB.K.max=4``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Scalar, Section, Value
from timeloop_py.specs.hierarchy import Hierarchy


@dataclass(frozen=True)
class Limits:
    """Least and greatest value of a factor; None: not limited from above."""

    least: int = 1
    most: int | None = None

    def allows(self, factor: int) -> bool:
        return factor >= self.least and (self.most is None or factor <= self.most)


@dataclass(frozen=True)
class SpatialLimits:
    """What an array may run over along its columns and rows; None: any dimension, any factor."""

    x: Mapping[str, Limits] | None = None
    y: Mapping[str, Limits] | None = None


@dataclass(frozen=True)
class Constraints:
    """Restrictions of a mapspace. Levels, dimensions and tensors by name; what is absent is free."""

    keep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bypass: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    factors: Mapping[str, Mapping[str, Limits]] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spatial: Mapping[str, SpatialLimits] = field(default_factory=dict)
    utilization: float = 0.0

    @property
    def bind_loops(self) -> bool:
        """True where loops of a level are restricted, so that it matters to which level a loop belongs."""
        return bool(self.factors or self.order)


def parse_constraints(
    value: Value | None, hierarchy: Hierarchy, dims: Sequence[str], tensors: Sequence[str]
) -> Constraints:
    """The constraints of a section (None: none). Names are checked; SpecError at the place of a wrong one."""
    if value is None:
        return Constraints()
    section = value.section()
    constraints = Constraints(
        keep=_tensors(section, "keep", hierarchy, tensors),
        bypass=_tensors(section, "bypass", hierarchy, tensors),
        factors={
            level: {dim: _limits(entry) for dim, entry in _dims(entries, dims).items()}
            for level, entries in _levels(section, "factors", hierarchy).items()
        },
        order={
            level: tuple(_ordered(entries, dims)) for level, entries in _levels(section, "order", hierarchy).items()
        },
        spatial={
            level: _spatial(entries.section(), dims)
            for level, entries in _levels(section, "spatial", hierarchy).items()
        },
        utilization=section.number("utilization", 0.0, minimum=0, maximum=1),
    )
    section.finish()
    for level, names in constraints.keep.items():
        both = set(names).intersection(constraints.bypass.get(level, ()))
        if both:
            raise section.error(f"{min(both)!r} is to be kept in {level!r} and to bypass it", "keep")
    return constraints


def with_settings(value: Value | None, settings: Sequence[str]) -> Value | None:
    """The section with ``factors.GLB.K.max=4``-like settings of the command line laid over it."""
    for text in settings:
        value = _with_setting(value, text)
    return value


def relaxed(constraints: Constraints, kind: str, level: str, name: str | None = None) -> Constraints:
    """The constraints without one of them: ``kind`` is a field's name, ``name`` a dimension or tensor in it."""
    if kind == "utilization":
        return replace(constraints, utilization=0.0)
    table: dict[str, Any] = dict(getattr(constraints, kind))
    if name is None:
        del table[level]
    elif isinstance(table[level], tuple):
        table[level] = tuple(entry for entry in table[level] if entry != name)
    else:
        table[level] = {key: entry for key, entry in table[level].items() if key != name}
    changed: dict[str, Any] = {kind: table}
    return replace(constraints, **changed)


def _with_setting(value: Value | None, text: str) -> Value:
    path, equals, given = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise SpecError(f"expected SECTION.LEVEL...=VALUE, found {text!r}", field="--constraint")
    place = f"--constraint {text}"
    items = [part.strip() for part in given.strip().strip("[]").split(",") if part.strip()]
    is_list = keys[0] in ("keep", "bypass", "order") or keys[-1] in ("x", "y")
    leaf: Scalar | tuple[Value, ...]
    if is_list and items != ["all"]:
        leaf = tuple(Value(item, place, None, path) for item in items)
    else:
        leaf = _scalar(given.strip())
    return _placed(value, keys, leaf, place)


def _scalar(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _placed(value: Value | None, keys: Sequence[str], leaf: Scalar | tuple[Value, ...], place: str) -> Value:
    if not keys:
        return Value(leaf, place, None, "constraints")
    entries: dict[str, Value] = {}
    if value is not None and isinstance(value.data, Section):
        entries = dict(value.data.entries)
    entries[keys[0]] = _placed(entries.get(keys[0]), keys[1:], leaf, place)
    return Value(Section(entries, place, None, keys[0]), place, None, keys[0])


def _levels(section: Section, key: str, hierarchy: Hierarchy) -> dict[str, Value]:
    value: Value | None = section.value(key)
    if value is None:
        return {}
    entries = value.section().entries
    for name, entry in entries.items():
        if name not in hierarchy.names:
            raise entry.error(f"unknown level {name!r}{nearest(name, hierarchy.names)}")
    return dict(entries)


def _tensors(section: Section, key: str, hierarchy: Hierarchy, tensors: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for level, entry in _levels(section, key, hierarchy).items():
        if entry.data == "all":
            found[level] = tuple(name for name in tensors if hierarchy.level(level).may_hold(name))
            continue
        names = []
        for item in entry.items():
            name = item.text()
            if name not in tensors:
                raise item.error(f"unknown tensor {name!r}{nearest(name, tensors)}")
            if key == "keep" and not hierarchy.level(level).may_hold(name):
                raise item.error(f"level {level!r} may not hold {name!r}")
            names.append(name)
        found[level] = tuple(names)
    return found


def _dims(value: Value, dims: Sequence[str]) -> dict[str, Value]:
    entries = value.section().entries
    for name, entry in entries.items():
        if name not in dims:
            raise entry.error(f"unknown dimension {name!r}{nearest(name, dims)}")
    return dict(entries)


def _ordered(value: Value, dims: Sequence[str]) -> list[str]:
    names: list[str] = []
    for item in value.items():
        name = item.text()
        if name not in dims:
            raise item.error(f"unknown dimension {name!r}{nearest(name, dims)}")
        if name in names:
            raise item.error(f"dimension {name!r} stands here twice")
        names.append(name)
    return names


def _limits(value: Value) -> Limits:
    if not isinstance(value.data, Section):
        factor = value.integer(minimum=1)
        return Limits(factor, factor)
    section = value.section()
    least = section.integer("min", 1, minimum=1)
    most = section.integer("max", None, minimum=1)
    section.finish()
    if most is not None and most < least:
        raise section.error(f"the greatest factor {most} is below the least, {least}", "max")
    return Limits(least, most)


def _spatial(section: Section, dims: Sequence[str]) -> SpatialLimits:
    axes: dict[str, dict[str, Limits] | None] = {}
    for axis in ("x", "y"):
        value = section.value(axis)
        if value is None:
            axes[axis] = None
        elif isinstance(value.data, tuple):
            axes[axis] = dict.fromkeys(_ordered(value, dims), Limits())
        else:
            axes[axis] = {dim: _limits(entry) for dim, entry in _dims(value, dims).items()}
    section.finish()
    return SpatialLimits(axes["x"], axes["y"])
