"""A result folder written whole: tables, figures, texts and where they come from."""

from __future__ import annotations

import csv
import errno
import hashlib
import importlib.metadata
import io
import json
import math
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timeloop_py.report.style import FigureFormat, figure_bytes
from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    #: A frame, or at least one row, all of the same names: to write these takes no pandas.
    Table = pd.DataFrame | Sequence[Mapping[str, Any]]

PROVENANCE = "provenance.json"
#: Digits that survive any decimal input and hide the last bit's noise.
_FLOAT_FORMAT = "%.15g"
_LIBRARIES = ("timeloop-py", "numpy", "scipy", "pandas", "matplotlib")


def provenance(
    command: Sequence[str], specs: Mapping[str, str], settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a result was made by: versions, the command line and the inputs.

    Parameters
    ----------
    command : sequence of str
        The command line, program name first.
    specs : mapping
        From a spec's name to the hash of its content.
    settings : mapping, optional
        Whatever else decides the result (seed, options); JSON values.

    Returns
    -------
    dict
        JSON values, without date or machine: the same run gives the same bytes.
    """
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {
        "command": list(command),
        "settings": dict(settings or {}),
        "specs": dict(specs),
        "versions": {"python": platform.python_version(), **versions},
    }


def check_writable(folder: Path | str) -> Path:
    """Create a result folder and try it, before hours are spent on what goes into it.

    Raises :class:`SpecError` where it cannot be created or written to.
    """
    folder = Path(folder)
    with _refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    return folder


def csv_bytes(table: Table) -> bytes:
    """A table as CSV: UTF-8, one header line, 15 significant digits, a cell empty where nothing is known."""
    if not isinstance(table, Sequence):
        return table.to_csv(index=False, float_format=_FLOAT_FORMAT, lineterminator="\n").encode()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table[0])
    writer.writerows([_cell(value) for value in row.values()] for row in table)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else _FLOAT_FORMAT % value


def write_bundle(
    folder: Path | str,
    *,
    tables: Mapping[str, Table] | None = None,
    figures: Mapping[str, Figure] | None = None,
    texts: Mapping[str, str] | None = None,
    origin: Mapping[str, Any],
    formats: Sequence[FigureFormat] = ("pdf", "png"),
) -> tuple[Path, ...]:
    """Write a result folder: all of it or nothing.

    Every file is first written under a temporary name in the folder; when all of them stand there, they take their
    names. ``provenance.json`` leaves first and comes last, with the SHA-256 of every file: where it stands, the folder
    is whole.

    Parameters
    ----------
    folder : Path or str
        Created where it is missing. Files of other names in it are left alone.
    tables : mapping
        From a name to the table written as ``NAME.csv``.
    figures : mapping
        From a name to the figure, written as ``NAME`` with the ending of every one of ``formats``.
    texts : mapping
        From a file name with its ending to its text (``table.tex``).
    origin : mapping
        What :func:`provenance` gives.

    Returns
    -------
    tuple of Path
        The files, ``provenance.json`` last.

    Raises
    ------
    SpecError
        Where the folder cannot be created or written to; what stood there before stays.
    """
    folder = Path(folder)
    contents: dict[str, bytes] = {}
    for name, table in (tables or {}).items():
        contents[f"{name}.csv"] = csv_bytes(table)
    for name, figure in (figures or {}).items():
        for ending in formats:
            contents[f"{name}.{ending}"] = figure_bytes(figure, ending)
    for name, text in (texts or {}).items():
        contents[name] = text.encode()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[PROVENANCE] = (json.dumps({**origin, "files": hashes}, indent=2, sort_keys=True) + "\n").encode()

    with _refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        written: list[tuple[Path, Path]] = []
        try:
            for name, content in contents.items():
                temporary, path = folder / f".{name}.{os.getpid()}.tmp", folder / name
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
                written.append((temporary, path))
                temporary.write_bytes(content)
            (folder / PROVENANCE).unlink(missing_ok=True)
            for temporary, path in written:
                temporary.replace(path)
        finally:
            for temporary, _ in written:
                temporary.unlink(missing_ok=True)
    return tuple(path for _, path in written)


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into a message for the user."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError(f"cannot write the results here: {reason}; choose another folder", path=folder) from error
