"""Whole commands, run as a user runs them."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from timeloop_py.cli.main import main

SCRIPT = Path(sys.executable).parent / "timeloop-py"
CASES = Path(__file__).parents[1] / "data" / "timeloop_cases"


def case_path(name: str) -> str:
    """The case of ``tests/data/timeloop_cases`` whose folder starts so."""
    return str(next(CASES.glob(f"{name}*")) / "case.json")


def run(*arguments: object, code: int = 0) -> Result:
    """The result of a command that must end with this exit code, and never with a traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert "internal error" not in result.output
    return result


def from_json(*arguments: object) -> Any:
    """The JSON on standard output, strictly read: no NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(run(*arguments, "--format", "json").stdout, parse_constant=refuse)


def from_csv(*arguments: object) -> list[dict[str, str]]:
    """The rows of the CSV on standard output."""
    return rows_of(run(*arguments, "--format", "csv").stdout)


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of a CSV; every line has as many cells as the header."""
    lines = list(csv.reader(io.StringIO(text)))
    assert {len(line) for line in lines} == {len(lines[0])}
    return list(csv.DictReader(io.StringIO(text)))


def run_process(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [str(SCRIPT), *(str(argument) for argument in arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


def files_below(folder: Path) -> dict[str, bytes]:
    """Content by path of every file below a folder; of folders, None."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"<folder>"
        for path in sorted(folder.rglob("*"))
    }
