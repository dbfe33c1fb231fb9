"""timeloop-py: analytical design-space exploration of sparse and dense CNN accelerators.

    import timeloop_py as tl
    scnn, dcnn = tl.load_architecture("scnn"), tl.load_architecture("dcnn")
    tl.evaluate(scnn, tl.load_network("googlenet")).summary()

Names are loaded on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timeloop_py.explore.api import evaluate, explore
    from timeloop_py.explore.crossover import crossover
    from timeloop_py.mapper.search import search
    from timeloop_py.simulator.api import simulate
    from timeloop_py.specs.architecture import Architecture, load_architecture
    from timeloop_py.specs.case import load_case
    from timeloop_py.specs.errors import SpecError
    from timeloop_py.specs.layer import Layer
    from timeloop_py.specs.layer_file import parse_shape
    from timeloop_py.specs.network import Network, load_network

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "specs.architecture",
    "Layer": "specs.layer",
    "Network": "specs.network",
    "SpecError": "specs.errors",
    "crossover": "explore.crossover",
    "evaluate": "explore.api",
    "explore": "explore.api",
    "load_architecture": "specs.architecture",
    "load_case": "specs.case",
    "load_network": "specs.network",
    "parse_shape": "specs.layer_file",
    "search": "mapper.search",
    "simulate": "simulator.api",
}

__all__ = [
    "Architecture",
    "Layer",
    "Network",
    "SpecError",
    "crossover",
    "evaluate",
    "explore",
    "load_architecture",
    "load_case",
    "load_network",
    "parse_shape",
    "search",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'timeloop_py' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"timeloop_py.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
