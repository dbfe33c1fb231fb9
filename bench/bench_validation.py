"""The published comparison of the model with the simulator: its family of unstructured zeros."""

from collections.abc import Iterator

from measure import Measurement, cpu_seconds

from timeloop_py.explore.cross_validation import cross_validate
from timeloop_py.explore.validation_families import FAMILIES, family_points


def bench_validation() -> Iterator[Measurement]:
    points = family_points(FAMILIES[:1])
    seconds = cpu_seconds(lambda: cross_validate(points), runs=1)
    yield Measurement("validate-model --family unstructured", seconds, amount=len(points), unit="points")
