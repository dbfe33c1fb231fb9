"""The quick comparison of the model with the simulator."""

from collections.abc import Iterator

from measure import Measurement, cpu_seconds

from timeloop_py.explore.cross_validation import cross_validate
from timeloop_py.explore.validation_grid import default_points


def bench_validation() -> Iterator[Measurement]:
    points = default_points(quick=True)
    seconds = cpu_seconds(lambda: cross_validate(points, seeds=3), runs=1)
    yield Measurement("validate-model --quick, 3 seeds", seconds, amount=3 * len(points), unit="runs")
