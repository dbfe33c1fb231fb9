"""Run the benchmarks and print CPU seconds, rates and ratios to their targets. Nothing is asserted here.

Every `bench/bench_<topic>.py` holds functions `bench_<name>() -> Iterable[Measurement]`.
`python bench/run.py mapper` runs the files whose topic contains "mapper".
"""

import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from measure import Measurement

FOLDER = Path(__file__).resolve().parent


def measurements(topics: Iterable[str]) -> Iterator[Measurement]:
    """Run the chosen files in alphabetical order, each function in the order it stands there."""
    topics = list(topics)
    for path in sorted(FOLDER.glob("bench_*.py")):
        if topics and not any(topic in path.stem for topic in topics):
            continue
        module = importlib.import_module(path.stem)
        for name, function in vars(module).items():
            if name.startswith("bench_"):
                yield from function()


def main() -> None:
    print(f"{'benchmark':<52} {'CPU s':>9} {'target s':>9} {'ratio':>6}  rate")
    for measurement in measurements(sys.argv[1:]):
        print(measurement.row(), flush=True)


if __name__ == "__main__":
    main()
