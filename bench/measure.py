"""How benchmarks measure: CPU seconds of this process or of a child, the best of a few runs."""

import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One line: `amount` things of `unit` were done in `cpu_seconds`; `target_seconds` is what is promised."""

    name: str
    cpu_seconds: float
    target_seconds: float | None = None
    amount: float | None = None
    unit: str = ""

    def row(self) -> str:
        target = "" if self.target_seconds is None else f"{self.target_seconds:.3f}"
        ratio = "" if self.target_seconds is None else f"{self.cpu_seconds / self.target_seconds:.2f}"
        rate = "" if self.amount is None else f"{self.amount / self.cpu_seconds:,.0f} {self.unit}/CPU s"
        return f"{self.name:<52} {self.cpu_seconds:>9.3f} {target:>9} {ratio:>6}  {rate}".rstrip()


def cpu_seconds(function: Callable[[], object], runs: int = 3) -> float:
    """CPU seconds (all threads of this process) of the fastest of `runs` calls."""
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def command_cpu_seconds(command: Sequence[str], runs: int = 3) -> float:
    """CPU seconds (user and system) of the fastest of `runs` runs of a command; its output is dropped."""
    best = float("inf")
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return best
