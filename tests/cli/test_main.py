"""The command line as a whole: help, versions, what starting it loads, what a bug of ours looks like."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.cli.command import run, run_process
from timeloop_py import __version__
from timeloop_py.cli import validate
from timeloop_py.cli.main import COMMANDS, TRACEBACK, main

HEAVY = ("matplotlib", "numpy", "pandas", "scipy", "sympy")
SUBCOMMANDS = [("show", name) for name in ("arch", "network", "energy", "area", "nest", "mapping", "formula")]


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS), *SUBCOMMANDS], ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(command: tuple[str, ...], option: str) -> None:
    result = run(*command, option)
    assert result.stdout.startswith("Usage: ")
    assert option in result.stdout
    assert not result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_options_say_what_they_do(name: str) -> None:
    command = main.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.help
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name  # type: ignore[attr-defined]


def test_the_list_of_commands_is_in_the_help() -> None:
    text = " ".join(run("--help").stdout.split())
    for name, (_, summary) in COMMANDS.items():
        assert f"{name} {summary}" in text


def test_the_version() -> None:
    assert run("--version").stdout == f"timeloop-py, version {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["explore", "--help"], ["show", "formula", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from timeloop_py.cli.main import main\n"
        f"sys.argv = ['timeloop-py', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print('loaded', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "loaded []"


def test_the_script_is_installed() -> None:
    process = run_process("--version")
    assert (process.returncode, process.stdout) == (0, f"timeloop-py, version {__version__}\n")


def test_a_bug_of_ours_is_one_message_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(validate, "_report", fail)
    result = CliRunner().invoke(main, ["validate", "scnn"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"timeloop-py: internal error, please report it ({TRACEBACK}=1 shows where): ZeroDivisionError: by zero"
    ]
    monkeypatch.setenv(TRACEBACK, "1")
    assert isinstance(CliRunner().invoke(main, ["validate", "scnn"]).exception, ZeroDivisionError)
