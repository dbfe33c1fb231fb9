"""Which kind of spec a file holds, told by its keys; and specs of any kind by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from timeloop_py.specs.dataflow import dataflow_names
from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Section, Value
from timeloop_py.specs.library import Kind, find, folder, is_path, names

SpecKind = Literal["mapping", "case", "network", "dataflow", "energy table", "area table", "architecture"]

_FOLDERS: tuple[Kind, ...] = ("arch_specs", "workloads", "energy_tables")
#: keys that tell the kinds apart; of kinds with as many of them, the first is meant
_KEYS: dict[SpecKind, tuple[str, ...]] = {
    "mapping": ("mapping",),
    "case": ("problem", "architecture", "mapping", "sparse"),
    "network": ("layers", "subsets", "density_sources"),
    "dataflow": ("nest", "tensors", "basis", "core", "compressed"),
    "energy table": ("entries", "node_nm", "voltage_v", "energy_unit", "stated_zeros"),
    "architecture": ("levels", "dataflow", "components", "parameters", "energy_table", "area_table", "extends"),
}
#: keys that every kind may have
_COMMON = ("name", "description", "source", "note")


def kind_of(value: Value) -> SpecKind:
    """The kind of a parsed file: the one most of whose keys it has. SpecError where it has keys of none."""
    if isinstance(value.data, tuple):
        return "mapping"
    section = value.section()
    counts = {kind: sum(key in section.entries for key in keys) for kind, keys in _KEYS.items()}
    best = max(counts, key=lambda kind: counts[kind])
    if counts[best] == 0:
        telling = [key for key in section if key not in _COMMON]
        hints = [(key, nearest(key, [known for keys in _KEYS.values() for known in keys])) for key in telling]
        close = next((f": {key!r}{hint}" for key, hint in hints if "did you mean" in hint), "")
        raise section.error(f"no key tells what kind of spec this is{close}")
    return "area table" if best == "energy table" and _prices_areas(section) else best


def _prices_areas(section: Section) -> bool:
    """Whether the entries of a table are component classes with terms and not events of components."""
    entries = section.entries["entries"].data if "entries" in section else None
    return isinstance(entries, Section) and any(
        isinstance(entry.data, Section) and "terms" in entry.data for entry in entries.entries.values()
    )


def find_spec(name_or_path: str | Path) -> Path:
    """The shipped spec of this name, of whatever kind, or the file at a path. SpecError with the nearest name."""
    text = str(name_or_path)
    name = text.replace("-", "_")
    if not is_path(name_or_path):
        for kind in _FOLDERS:
            if name in names(kind):
                return find(kind, name)
        if name in dataflow_names():
            return folder("arch_specs") / "dataflows" / f"{name}.yaml"
    path = Path(text).expanduser()
    if is_path(name_or_path) or path.exists():
        return path
    known = [*(known for kind in _FOLDERS for known in names(kind)), *dataflow_names()]
    raise SpecError(f"no shipped spec named {text!r}{nearest(name, known)}", field="spec")
