"""Running the jobs of a sweep: on this machine, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from timeloop_py.explore.store import PartialStore
from timeloop_py.explore.sweep import Job, JobResult, Sweep, run_job
from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

#: Called after every finished job with (done, total).
Progress = Callable[[int, int], None]


def run_sweep(
    sweep: Sweep,
    progress: Progress | None = None,
    store: PartialStore | None = None,
    scheduler: str | None = None,
) -> JobResult:
    """Evaluate all jobs; the frames are in the order of the jobs, however they ran.

    ``store`` keeps finished jobs and takes over those it has. ``scheduler`` is the address of a Dask scheduler.
    """
    jobs = list(sweep.jobs())
    results: list[JobResult | None] = [store.load(job) if store else None for job in jobs]
    missing = [index for index, result in enumerate(results) if result is None]
    done = len(jobs) - len(missing)
    if progress:
        progress(done, len(jobs))
    run = _on_cluster(scheduler) if scheduler else _here
    for index, result in run([jobs[index] for index in missing]):
        place = missing[index]
        results[place] = result
        if store:
            store.save(jobs[place], result)
        done += 1
        if progress:
            progress(done, len(jobs))
    finished = [result for result in results if result is not None]
    return JobResult(*(_joined([getattr(result, name) for result in finished]) for name in JobResult.__annotations__))


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _here(jobs: Sequence[Job]) -> Iterator[tuple[int, JobResult]]:
    for index, job in enumerate(jobs):
        yield index, run_job(job)


def _on_cluster(address: str) -> Callable[[Sequence[Job]], Iterator[tuple[int, JobResult]]]:
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise SpecError(
            "running on a cluster needs the package 'distributed': pip install 'timeloop-py[cluster]'",
            field="--scheduler",
        ) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise SpecError(f"no Dask scheduler answers at {address!r}: {error}", field="--scheduler") from None

    def run(jobs: Sequence[Job]) -> Iterator[tuple[int, JobResult]]:
        with client:
            futures = {future: index for index, future in enumerate(client.map(run_job, jobs, pure=False))}
            for future in as_completed(futures):
                yield futures[future], future.result()

    return run
