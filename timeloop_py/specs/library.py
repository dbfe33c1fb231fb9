"""The specs that ship with the project, found by name.

In a checkout the data folders stand at the top of the repository, in an installed package under ``timeloop_py/data``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from timeloop_py.specs.errors import SpecError, nearest

Kind = Literal["arch_specs", "workloads", "energy_tables"]

_NOUNS: dict[Kind, str] = {"arch_specs": "architecture", "workloads": "network", "energy_tables": "energy table"}
_SUFFIXES = (".yaml", ".yml", ".json")
_PACKAGE = Path(__file__).resolve().parents[1]


def folder(kind: Kind) -> Path:
    """The folder of the shipped specs of one kind."""
    installed = _PACKAGE / "data" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def names(kind: Kind) -> list[str]:
    """The names of the shipped specs of one kind, sorted: file names without their ending."""
    return sorted(path.stem for path in folder(kind).glob("*.yaml"))


def is_path(name_or_path: str | Path) -> bool:
    """Text with a separator or the ending of a YAML or JSON file is a path; anything else is a name."""
    text = str(name_or_path)
    return isinstance(name_or_path, Path) or "/" in text or "\\" in text or text.lower().endswith(_SUFFIXES)


def find(kind: Kind, name_or_path: str | Path) -> Path:
    """The file of a shipped spec, or the file at a path.

    Text with a separator or the ending of a YAML or JSON file is a path; anything else is a name, in which a hyphen
    counts as an underscore. Where there is no such spec or file: a SpecError with the nearest name.
    """
    text = str(name_or_path)
    if is_path(name_or_path):
        path = Path(text).expanduser()
        if path.is_dir() or not path.exists():
            found = ", but a folder" if path.is_dir() else ""
            raise SpecError(f"no such {_NOUNS[kind]} file{found}", path=path)
        return path
    name = text.replace("-", "_")
    known = names(kind)
    if name not in known:
        raise SpecError(f"no {_NOUNS[kind]} named {text!r}{nearest(name, known)}", field=_NOUNS[kind])
    return folder(kind) / f"{name}.yaml"
