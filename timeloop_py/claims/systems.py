"""Systems with a ledger: what a published system offers to `reproduce`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Claim, Finding, Measured
from timeloop_py.specs.errors import SpecError, nearest

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: System name: the module whose ``load()`` gives it.
SYSTEMS = {
    "scnn": "timeloop_py.claims.scnn.system",
    **{
        name: f"timeloop_py.claims.related.{name}"
        for name in ("cambricon_x", "cnvlutin", "dadiannao", "eie", "eyeriss", "scalpel")
    },
}
#: Words that stand for several exhibits: how their names begin.
_GROUPS = {"tables": "table", "figures": "fig", "sections": "section"}


@dataclass(frozen=True)
class Exhibit:
    """A table or figure of a publication: frames, figures and LaTeX, by file name without ending."""

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    latex: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """A published system as runnable claims.

    ``measure`` gives what the model says about the claim of an id. ``fitted``: ids of claims that a table in use was
    fitted to. ``exhibits`` in the order of the publication; ``prefixes`` says how the ids of an exhibit's claims begin.
    ``specs``: hashes of the files behind the numbers.
    """

    name: str
    title: str
    claims: tuple[Claim, ...]
    measure: Callable[[str], Measured]
    fitted: frozenset[str] = frozenset()
    exhibits: Mapping[str, Callable[[], Exhibit]] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)
    specs: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, words: Iterable[str]) -> tuple[str, ...]:
        """Exhibits that words name: ``fig7``, its panel ``fig7a``, or ``tables`` for all; every exhibit without words.

        SpecError: a word that names none, with the nearest that does.
        """
        wanted = list(words)
        if not wanted:
            return tuple(self.exhibits)
        found: set[str] = set()
        for word in wanted:
            key = word.lower().replace("-", "").replace("_", "")
            begin = _GROUPS.get(key)
            names = [
                name
                for name in self.exhibits
                if key in (name.replace("_", ""), f"{name}a", f"{name}b") or (begin and name.startswith(begin))
            ]
            if not names:
                raise SpecError(f"no exhibit {word!r}{nearest(word, [*self.exhibits, *_GROUPS])}", field="--only")
            found.update(names)
        return tuple(name for name in self.exhibits if name in found)

    def findings(self, exhibits: Iterable[str]) -> list[Finding]:
        """The claims behind some exhibits, measured, in the order of the ledger."""
        begins = tuple(self.prefixes[name] for name in exhibits if name in self.prefixes)
        return [
            Finding(claim, self.measure(claim.id), claim.id in self.fitted)
            for claim in self.claims
            if claim.id.startswith(begins)
        ]


def load_system(name: str) -> System:
    """A system by name. SpecError: unknown, with the nearest name."""
    key = name.lower().replace("-", "_")
    if key not in SYSTEMS:
        raise SpecError(f"no ledger of a system {name!r}{nearest(key, SYSTEMS)}", field="--system")
    system: System = importlib.import_module(SYSTEMS[key]).load()
    return system
