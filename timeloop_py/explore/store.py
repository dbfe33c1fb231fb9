"""Partial results of a sweep on disk, so that an interrupted one can go on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from timeloop_py.explore.sweep import Job, JobResult
from timeloop_py.report.bundle import check_writable

if TYPE_CHECKING:
    import pandas as pd

FOLDER = ".partial"
_TABLES = ("results", "accesses", "summary")
_NAMES = ("architecture", "network", "layer", "dataflow", "binding", "level", "tensor", "action", "note")


class PartialStore:
    """Finished jobs of one result folder, one file per table. A job is there whole or not at all."""

    def __init__(self, folder: Path, resume: bool) -> None:
        self.folder = folder / FOLDER
        self._made = [path for path in (self.folder, folder, *folder.parents) if not path.exists()]
        if not resume:
            self.clear()
        check_writable(self.folder)

    def load(self, job: Job) -> JobResult | None:
        """The stored result of a job, None where it has none."""
        import pandas as pd

        if not (self.folder / f"{job.key}.done").exists():
            return None
        frames = [
            pd.read_csv(self.folder / f"{job.key}.{table}.csv", dtype=str, keep_default_na=False) for table in _TABLES
        ]
        return JobResult(*(frame.apply(_typed) for frame in frames))

    def save(self, job: Job, result: JobResult) -> None:
        """Store a job's result; the marker that it is whole comes last."""
        for table in _TABLES:
            final = self.folder / f"{job.key}.{table}.csv"
            temporary = final.with_suffix(".tmp")
            getattr(result, table).to_csv(temporary, index=False)
            os.replace(temporary, final)
        (self.folder / f"{job.key}.done").touch()

    def clear(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def withdraw(self) -> None:
        """Remove the folders that were made for the store where nothing came of it."""
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:  # something is stored
                return


def _typed(column: pd.Series) -> pd.Series:
    """A column of text as what was written. Names stay text, whatever they look like (a layer "007" or "NA")."""
    if column.name in _NAMES:
        return column
    if column.isin(["True", "False"]).all():
        return column == "True"
    return column.map(lambda text: float(text) if text else float("nan"))
