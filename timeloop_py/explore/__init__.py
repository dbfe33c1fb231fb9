"""Many evaluations: sweeps, comparisons, crossovers, Pareto fronts.

The folder and the function ``timeloop_py.explore`` share a name; importing any module of the folder binds the
folder to it. So the folder can be called, too.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from timeloop_py.explore.api import explore

        return explore(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
