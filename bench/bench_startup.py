"""What a user waits for before anything happens."""

import sys
from collections.abc import Iterator
from pathlib import Path

from measure import Measurement, command_cpu_seconds


def bench_startup() -> Iterator[Measurement]:
    script = Path(sys.executable).parent / "timeloop-py"
    yield Measurement("import timeloop_py", command_cpu_seconds([sys.executable, "-c", "import timeloop_py"]), 0.5)
    yield Measurement("timeloop-py --help", command_cpu_seconds([str(script), "--help"]), 0.4)
