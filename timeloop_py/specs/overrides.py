"""Changes to a parsed file before it is read: ``--set`` overrides and named parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product as cartesian
from math import prod

from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Scalar, Section, Value, parse_scalar

_SETTING_PATH = re.compile(r"[\w\-\[\]]+(\.[\w\-]+)*\Z")


@dataclass(frozen=True)
class Setting:
    """``PATH=V1,V2,...`` as written on the command line: a field of a spec, and the values it takes in turn."""

    path: str
    values: tuple[Scalar, ...]


def parse_setting(text: str) -> Setting:
    """A :class:`Setting` from its text; SpecError where it is none."""
    path, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not _SETTING_PATH.match(path) or not values:
        raise SpecError(f"expected PATH=VALUE or PATH=V1,V2,..., found {text!r}", field="--set")
    return Setting(path, tuple(parse_scalar(value.strip()) for value in values.split(",")))


def combinations(settings: Sequence[Setting]) -> Iterator[tuple[list[tuple[str, Scalar]], str]]:
    """Every combination of the settings' values: pairs for :func:`override`, and what tells it from the others.

    That is ``[field=value,...]`` over the settings with several values; empty where there are none.
    """
    for values in cartesian(*(setting.values for setting in settings)):
        chosen = [(setting.path, value) for setting, value in zip(settings, values, strict=True)]
        varied = [
            f"{_label(setting.path)}={value}"
            for setting, value in zip(settings, values, strict=True)
            if len(setting.values) > 1
        ]
        yield chosen, f"[{','.join(varied)}]" if varied else ""


def _label(path: str) -> str:
    """The last part of a path; ``dataflow`` for ``dataflow.name``."""
    return path.removesuffix(".name").rpartition(".")[2]


def override(value: Value, path: Sequence[str], new: Scalar, named: str) -> Value:
    """A copy of ``value`` in which the field at ``path`` holds ``new``.

    The field must be one that the section names, or stands in a section that is there (so that a default can
    be overridden). ``named`` is how the user wrote it; errors call it so.
    """
    if not path:
        return replace(value, data=new, path=f"--set {named}", line=None)
    section = value.data
    if isinstance(section, tuple):
        index = _index(section, path[0], named)
        items = list(section)
        items[index] = override(items[index], path[1:], new, named)
        return replace(value, data=tuple(items))
    if not isinstance(section, Section):
        raise SpecError(f"{value.field!r} is not a section", path=f"--set {named}", field=path[0])
    child = section.entries.get(path[0])
    if child is None:
        if len(path) > 1:
            hint = nearest(path[0], section.entries)
            raise SpecError(f"no section {path[0]!r}{hint}", path=f"--set {named}", field=path[0])
        field = ".".join(part for part in (section.field, path[0]) if part)
        child = Value(None, f"--set {named}", None, field)
    entries = {**section.entries, path[0]: override(child, path[1:], new, named)}
    return replace(value, data=Section(entries, section.path, section.line, section.field))


def _index(items: Sequence[Value], key: str, named: str) -> int:
    """An item of a list by position, or by its ``name``."""
    if key.isdigit() and int(key) < len(items):
        return int(key)
    names = {
        str(item.data.entries["name"].data): position
        for position, item in enumerate(items)
        if isinstance(item.data, Section) and "name" in item.data
    }
    if key not in names:
        raise SpecError(f"no item {key!r}{nearest(key, names)}", path=f"--set {named}", field=key)
    return names[key]


def merged(below: Value, above: Value) -> Value:
    """``above`` laid over ``below``: sections key by key, anything else replaced."""
    if not (isinstance(below.data, Section) and isinstance(above.data, Section)):
        return above
    entries = dict(below.data.entries)
    for key, value in above.data.entries.items():
        entries[key] = merged(entries[key], value) if key in entries else value
    section = above.data
    return replace(above, data=Section(entries, section.path, section.line, section.field))


def with_parameters(value: Value, parameters: Mapping[str, Value]) -> Value:
    """A copy in which every text that is a parameter's name became its value; errors stand at the parameter.

    ``{product: [a, b, 2]}`` becomes the product of its entries. Nothing else is computed.
    """
    data = value.data
    if isinstance(data, str) and data in parameters:
        return parameters[data]
    if isinstance(data, tuple):
        return replace(value, data=tuple(with_parameters(item, parameters) for item in data))
    if isinstance(data, Section):
        if list(data.entries) == ["product"]:
            factors = data.entries["product"].items()
            return replace(value, data=prod(_factor(factor, parameters) for factor in factors))
        entries = {key: with_parameters(child, parameters) for key, child in data.entries.items()}
        return replace(value, data=Section(entries, data.path, data.line, data.field))
    return value


def _factor(value: Value, parameters: Mapping[str, Value]) -> int:
    if isinstance(value.data, str):
        if value.data not in parameters:
            raise value.error(f"unknown parameter {value.data!r}{nearest(value.data, parameters)}")
        value = parameters[value.data]
    return value.integer(minimum=1)
