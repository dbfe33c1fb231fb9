"""YAML and JSON files as typed sections that know their file, line and field.

Text from a file is parsed into plain scalars, lists and sections; it is never evaluated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from timeloop_py.specs.errors import SpecError, nearest

Scalar = str | int | float | bool | None
T = TypeVar("T")

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\Z")
# An escape sequence of a JSON string; the groups are the halves of a character that takes two.
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)
_ESCAPED_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}


#: How deep lists and sections may nest, and how many values a file may have once its aliases are spelt out. More is no
#: spec, and would take the interpreter down.
MAX_DEPTH = 100
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
MAX_VALUES = 250_000
#: The longest file that is read: a device would never end.
MAX_BYTES = 64 << 20
# Digits of the longest whole number; more are neither a size nor an energy, and Python takes too long over them.
_MAX_DIGITS = 300


class _Missing:
    """Marks a key without a default: its absence is an error."""


REQUIRED: Any = _Missing()


@dataclass(frozen=True)
class Value:
    """One value of a file, with the place it stands at (no line: it does not stand in the file)."""

    data: Scalar | tuple[Value, ...] | Section
    path: str
    line: int | None
    field: str

    def error(self, message: str) -> SpecError:
        return SpecError(message, path=self.path, line=self.line, field=self.field)

    def text(self) -> str:
        if not isinstance(self.data, str):
            raise self.error(f"expected text, found {describe(self.data)}")
        return self.data

    def integer(self, minimum: int | None = None, maximum: int | None = None) -> int:
        if isinstance(self.data, bool) or not isinstance(self.data, int):
            raise self.error(f"expected a whole number{_units_hint(self.data)}, found {describe(self.data)}")
        _check_range(self, self.data, minimum, maximum, None)
        return self.data

    def number(self, minimum: float | None = None, maximum: float | None = None, above: float | None = None) -> float:
        """A finite float at least ``minimum``, at most ``maximum`` and strictly above ``above``."""
        if isinstance(self.data, bool) or not isinstance(self.data, (int, float)):
            raise self.error(f"expected a number{_units_hint(self.data)}, found {describe(self.data)}")
        if not math.isfinite(self.data):
            raise self.error(f"expected a finite number, found {self.data}")
        _check_range(self, self.data, minimum, maximum, above)
        return float(self.data)

    def boolean(self) -> bool:
        if not isinstance(self.data, bool):
            raise self.error(f"expected true or false, found {describe(self.data)}")
        return self.data

    def boolean_or(self, choices: Sequence[str]) -> bool | str:
        if isinstance(self.data, bool):
            return self.data
        if not isinstance(self.data, str) or self.data not in choices:
            expected = ", ".join(("true", "false", *choices))
            raise self.error(f"expected one of {expected}, found {describe(self.data)}")
        return self.data

    def choice(self, choices: Sequence[str]) -> str:
        text = self.text()
        if text not in choices:
            hint = nearest(text, choices)
            close = hint if "did you mean" in hint else ""
            raise self.error(f"unknown value {text!r}: expected one of {', '.join(choices)}{close}")
        return text

    def items(self) -> tuple[Value, ...]:
        if not isinstance(self.data, tuple):
            raise self.error(f"expected a list, found {describe(self.data)}")
        return self.data

    def section(self) -> Section:
        if not isinstance(self.data, Section):
            raise self.error(f"expected a section (key: value), found {describe(self.data)}")
        return self.data

    def plain(self) -> Any:
        """The value as ordinary Python data (dict, list, scalars), places forgotten."""
        if isinstance(self.data, Section):
            return {key: value.plain() for key, value in self.data.entries.items()}
        if isinstance(self.data, tuple):
            return [value.plain() for value in self.data]
        return self.data


class Section:
    """A mapping of a file. Keys are read by type; :meth:`finish` refuses keys that nobody read."""

    def __init__(self, entries: dict[str, Value], path: str, line: int | None, field: str) -> None:
        self.entries = entries
        self.path = path
        self.line = line
        self.field = field
        self._read: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self.entries and self.entries[key].data is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def error(self, message: str, key: str | None = None) -> SpecError:
        if key is not None and key in self.entries:
            return self.entries[key].error(message)
        field = ".".join(part for part in (self.field, key) if part)
        return SpecError(message, path=self.path, line=self.line, field=field or None)

    def value(self, key: str) -> Value | None:
        """The value of ``key``, or None where it is absent or null; marks the key as known."""
        self._read.add(key)
        return self.entries[key] if key in self else None

    def _take(self, key: str, default: T, read: Callable[[Value], T], what: str) -> T:
        value = self.value(key)
        if value is not None:
            return read(value)
        if isinstance(default, _Missing):
            unread = [name for name in self.entries if name not in self._read]
            hint = nearest(key, unread) if unread else ""
            raise self.error(f"missing: expected {what}{hint if 'did you mean' in hint else ''}", key)
        return default

    def text(self, key: str, default: Any = REQUIRED) -> Any:
        return self._take(key, default, Value.text, "text")

    def integer(self, key: str, default: Any = REQUIRED, minimum: int | None = None, maximum: int | None = None) -> Any:
        return self._take(key, default, lambda value: value.integer(minimum, maximum), "a whole number")

    def number(
        self,
        key: str,
        default: Any = REQUIRED,
        minimum: float | None = None,
        maximum: float | None = None,
        above: float | None = None,
    ) -> Any:
        return self._take(key, default, lambda value: value.number(minimum, maximum, above), "a number")

    def boolean(self, key: str, default: Any = REQUIRED) -> Any:
        return self._take(key, default, Value.boolean, "true or false")

    def boolean_or(self, key: str, choices: Sequence[str], default: Any = REQUIRED) -> Any:
        return self._take(
            key, default, lambda value: value.boolean_or(choices), f"true, false or one of {', '.join(choices)}"
        )

    def choice(self, key: str, choices: Sequence[str], default: Any = REQUIRED) -> Any:
        return self._take(key, default, lambda value: value.choice(choices), f"one of {', '.join(choices)}")

    def items(self, key: str, default: Any = REQUIRED) -> Any:
        return self._take(key, default, Value.items, "a list")

    def section(self, key: str, default: Any = REQUIRED) -> Any:
        return self._take(key, default, Value.section, "a section (key: value)")

    def finish(self) -> None:
        """Refuse the first key that was never asked for, with the nearest one that was."""
        for key, value in self.entries.items():
            if key not in self._read:
                raise value.error(f"unknown key {key!r}{nearest(key, sorted(self._read))}")


def describe(data: object) -> str:
    """What was found, in words fit for an error message."""
    if isinstance(data, Section):
        return "a section"
    if isinstance(data, tuple):
        return "a list"
    if data is None:
        return "nothing"
    if isinstance(data, bool):
        return "true" if data else "false"
    return repr(data) if isinstance(data, str) else str(data)


def _units_hint(data: object) -> str:
    if isinstance(data, str) and re.match(r"[-+]?[0-9.]+\s*[A-Za-z%]", data):
        return " without a unit (units stand in the key's name)"
    return ""


def _check_range(
    value: Value, number: float, minimum: float | None, maximum: float | None, above: float | None
) -> None:
    if above is not None and not number > above:
        raise value.error(f"expected a number above {above:g}, found {number:g}")
    if minimum is not None and number < minimum:
        raise value.error(f"expected at least {minimum:g}, found {number:g}")
    if maximum is not None and number > maximum:
        raise value.error(f"expected at most {maximum:g}, found {number:g}")


def read_text(path: Path) -> str:
    """The text of a file, or a :class:`SpecError` that says why it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise SpecError(f"larger than {MAX_BYTES >> 20} MB: no spec", path=path)
        return content.decode("utf-8")
    except FileNotFoundError:
        raise SpecError("file not found", path=path) from None
    except IsADirectoryError:
        raise SpecError("expected a file, found a folder", path=path) from None
    except UnicodeDecodeError:
        raise SpecError("not a text file (UTF-8 expected)", path=path) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", path=path) from None


def load_value(path: Path | str) -> Value:
    """Parse a YAML or JSON file into a :class:`Value`; broken syntax is a SpecError with its line."""
    path = Path(path)
    return parse_value(read_text(path), str(path), is_json=path.suffix == ".json")


def parse_value(text: str, path: str, is_json: bool = False) -> Value:
    """Parse YAML (or JSON) text; ``path`` is what errors call it."""
    if is_json:
        text = _json_as_yaml(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(text, path, loader)
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        line = mark.line + 1 if mark is not None else None
        if "nesting depth" in problem:  # some releases of the library have a limit of their own, above ours
            raise SpecError(_TOO_DEEP, path=path, line=line) from None
        raise SpecError(f"broken {'JSON' if is_json else 'YAML'}: {problem}", path=path, line=line) from None
    if node is None:
        raise SpecError("the file is empty", path=path, line=1)
    _check_aliases(node, path, {})
    return _convert(node, path, "")


def _json_as_yaml(text: str) -> str:
    """JSON as YAML reads it: but for white space, halved characters and what YAML wants escaped it is YAML."""
    # A literal tab cannot stand inside a JSON string; YAML does not take it as white space.
    text = text.removeprefix("\ufeff").replace("\t", " ")
    return _ESCAPED_IN_YAML.sub(lambda found: _escaped(ord(found.group())), _ESCAPE.sub(_joined_halves, text))


def _joined_halves(escape: re.Match[str]) -> str:
    high, low = escape.groups()
    if high is None:
        return escape.group()
    return _escaped(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)


def _escaped(character: int) -> str:
    return f"\\U{character:08x}"


def _check_depth(text: str, path: str, loader: Any) -> None:
    """Refuse nesting that composing, which recurses, would not survive."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else None
                raise SpecError(_TOO_DEEP, path=path, line=line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_aliases(node: yaml.Node, path: str, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Values of a node and how deep they nest, both with every alias spelt out; ``known`` by node, None: being counted.

    Refuses an anchor that contains itself, and aliases that blow a file up.
    """
    if id(node) not in known:
        known[id(node)] = None
        parts = [_check_aliases(child, path, known) for child in _children(node)]
        size = 1 + sum(values for values, _ in parts), 1 + max((depth for _, depth in parts), default=0)
        if size[0] > MAX_VALUES or size[1] > MAX_DEPTH + 1:
            raise SpecError(
                f"more than {MAX_VALUES} values or {MAX_DEPTH} levels, with all aliases spelt out",
                path=path,
                line=node.start_mark.line + 1,
            )
        known[id(node)] = size
    found = known[id(node)]
    if found is None:
        raise SpecError("a YAML anchor that contains itself", path=path, line=node.start_mark.line + 1)
    return found


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def load_section(path: Path | str) -> Section:
    """Parse a file whose top level is a mapping."""
    return load_value(path).section()


def _convert(node: yaml.Node, path: str, field: str) -> Value:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return Value(_scalar(node), path, line, field)
    if isinstance(node, yaml.SequenceNode):
        items = tuple(_convert(child, path, f"{field}[{index}]") for index, child in enumerate(node.value))
        return Value(items, path, line, field)
    entries: dict[str, Value] = {}
    for key_node, value_node in node.value:
        key_line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise SpecError("expected a plain key", path=path, line=key_line, field=field or None)
        key = key_node.value
        child_field = f"{field}.{key}" if field else key
        if key in entries:
            raise SpecError("the key stands here twice", path=path, line=key_line, field=child_field)
        value = _convert(value_node, path, child_field)
        entries[key] = Value(value.data, path, key_line, child_field)
    return Value(Section(entries, path, line, field), path, line, field)


def _scalar(node: yaml.ScalarNode) -> Scalar:
    text = str(node.value)
    return text if node.style else parse_scalar(text)  # quoted: text, whatever it looks like


def parse_scalar(text: str) -> Scalar:
    """A plain scalar as files read it: true, false, null, a whole number, a float, else text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.match(text):
        return int(text) if len(text) <= _MAX_DIGITS else float(text)
    if _FLOAT.match(text):
        return float(text)
    return text
