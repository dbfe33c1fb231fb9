"""The main job: SCNN, DCNN and DCNN-opt on GoogLeNet's 57 layers at 10 densities."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import Measurement, command_cpu_seconds, cpu_seconds

import timeloop_py as tl

DENSITIES = [density / 10 for density in range(1, 11)]


def bench_sweep() -> Iterator[Measurement]:
    designs = [tl.load_architecture(name) for name in ("scnn", "dcnn", "dcnn_opt")]
    network = tl.load_network("googlenet")
    tl.evaluate(designs[0], network)  # libraries loaded

    def sweep() -> None:
        frame = tl.explore(designs, network, weight_density=DENSITIES, activation_density=DENSITIES)
        assert len(frame) == 57 * 10 * 3

    yield Measurement("default sweep, in a running Python", cpu_seconds(sweep), 3.0, 57 * 10 * 3, "layer evaluations")


def bench_command() -> Iterator[Measurement]:
    script = str(Path(sys.executable).parent / "timeloop-py")
    with tempfile.TemporaryDirectory() as folder:
        seconds = command_cpu_seconds([script, "explore", "-o", folder])
    yield Measurement("timeloop-py explore, start-up and figures included", seconds)
