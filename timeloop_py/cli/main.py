"""``timeloop-py``: the group of commands. A command's module is imported when the command is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from timeloop_py import __version__
from timeloop_py.cli.options import ARGUMENTS, NearestGroup
from timeloop_py.specs.errors import SpecError

#: Command name: module, and the line that ``--help`` shows.
COMMANDS = {
    "explore": ("explore", "Compare architectures over networks and densities; write CSV and plots."),
    "evaluate": ("evaluate", "Cycles, energy and accesses of layers, networks or case files."),
    "search": ("search", "The best mapping of layers and networks onto an architecture, proven."),
    "simulate": ("simulate", "Execute layers cycle by cycle on real tensors and check the convolution."),
    "reproduce": ("reproduce", "Rebuild a paper's tables and figures; print its claims beside the model's numbers."),
    "validate-model": ("validate_model", "Compare the model with the simulator over a grid of runs."),
    "show": ("show", "Print a spec, a loop nest, a formula, or the energy behind a number."),
    "validate": ("validate", "Check spec files without running anything."),
}

BAD_INPUT = 2
#: Set in the environment, it shows where an internal error happened.
TRACEBACK = "TIMELOOP_PY_TRACEBACK"


class CommandGroup(NearestGroup):
    """Loads commands late; a :class:`SpecError` becomes one message and exit code 2, a bug of ours one and code 1."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"timeloop_py.cli.{COMMANDS[cmd_name][0].replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except SpecError as error:
            click.echo(f"timeloop-py: error: {error}", err=True)
            sys.exit(BAD_INPUT)
        except Exception as error:
            if TRACEBACK in os.environ:
                raise
            text = f"{type(error).__name__}: {error}"
            click.echo(f"timeloop-py: internal error, please report it ({TRACEBACK}=1 shows where): {text}", err=True)
            sys.exit(1)


@click.command(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="timeloop-py")
def main() -> None:
    """Analytical design-space exploration of sparse and dense CNN accelerators.

    Specs are shipped names (scnn, googlenet, ...) or paths to YAML files. Exit codes: 0 done, 1 a claim or check
    failed, 2 bad input.
    """
