"""The one error a user can cause: something written down is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class SpecError(ValueError):
    """Bad input. Its text names the file, the line, the field and what was expected.

    The command line prints it and exits with code 2; a traceback never reaches a user.
    """

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        field: str | None = None,
    ) -> None:
        self.message = message
        self.path = None if path is None else str(path)
        self.line = line
        self.field = field
        place = ""
        if self.path is not None:
            place = self.path if line is None else f"{self.path}:{line}"
        parts = [part for part in (place, field, message) if part]
        super().__init__(": ".join(parts))


#: How many known names a message lists.
MOST_NAMES = 12


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: ``' (did you mean X?)'`` or the known names, ready to append.

    Of many known names those that contain the given one stand first, and the last are not listed.
    """
    options = list(known)
    match = difflib.get_close_matches(name.lower(), [option.lower() for option in options], n=1, cutoff=0.5)
    if match:
        original = next(option for option in options if option.lower() == match[0])
        return f" (did you mean {original!r}?)"
    if not options:
        return ""
    if len(options) > MOST_NAMES:
        options = sorted(options, key=lambda option: name.lower() not in option.lower())
    more = f" and {len(options) - MOST_NAMES} more" if len(options) > MOST_NAMES else ""
    return f" (known: {', '.join(options[:MOST_NAMES])}{more})"
