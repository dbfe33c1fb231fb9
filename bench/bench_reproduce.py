"""The reproduction of the SCNN paper, whole and without its figures."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import Measurement, command_cpu_seconds


def bench_reproduce() -> Iterator[Measurement]:
    command = [str(Path(sys.executable).parent / "timeloop-py"), "reproduce", "-o"]
    with tempfile.TemporaryDirectory() as folder:
        yield Measurement("timeloop-py reproduce", command_cpu_seconds([*command, folder], runs=1), 60)
