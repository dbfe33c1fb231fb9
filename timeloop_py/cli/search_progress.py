"""How far a search is, on standard error: a bar on a terminal, a line per finished layer elsewhere."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from timeloop_py.cli.text_table import number_text

if TYPE_CHECKING:
    from timeloop_py.mapper.workers import SearchProgress

_WIDTH = 20
#: Seconds between two drawings of the bar.
_EVERY_S = 0.1


class SearchBar:
    """A bar over the searches: what is searched, incumbent, lower bound, how far they are apart, and the time left."""

    def __init__(self, time_limit_s: float | None) -> None:
        self.time_limit_s = time_limit_s
        self.started = time.monotonic()
        self.drawn = -math.inf
        self.on_terminal = sys.stderr.isatty()
        self.width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.on_terminal and self.width:
            click.echo("\r" + " " * self.width + "\r", nl=False, err=True)

    def tell(self, progress: SearchProgress) -> None:
        """Show how far it is."""
        if not self.on_terminal:
            if not progress.doing and progress.searches > 1:
                click.echo(f"searched {progress.done} of {progress.searches}{self._time_left()}", err=True)
            return
        now = time.monotonic()
        if progress.doing and now - self.drawn < _EVERY_S:
            return
        self.drawn = now
        line = self.line(progress)
        click.echo(f"\r{line.ljust(self.width)}", nl=False, err=True)
        self.width = len(line)

    def line(self, progress: SearchProgress) -> str:
        """The bar as text."""
        share = progress.done / progress.searches
        text = ""
        if progress.doing:
            text = f"  {progress.doing}"
            if progress.best < math.inf:
                text += f", best {number_text(progress.best)}"
            if progress.lower_bound > 0:
                text += f", none below {number_text(progress.lower_bound)}"
            if 0 < progress.best < math.inf:
                proven = min(1.0, progress.lower_bound / progress.best)
                text += f" ({proven:.1%})"
                share += proven / progress.searches
        filled = round(_WIDTH * min(1.0, share))
        bar = f"[{'#' * filled}{'-' * (_WIDTH - filled)}] {progress.done}/{progress.searches}"
        return f"{bar}{text}{self._time_left()}"

    def _time_left(self) -> str:
        elapsed = time.monotonic() - self.started
        if self.time_limit_s is None:
            return f", {elapsed:.0f} s"
        return f", {max(0.0, self.time_limit_s - elapsed):.0f} s left"
