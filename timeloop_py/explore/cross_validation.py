"""The model against the simulator: cycles, and where every multiplier slot goes, over a grid of runs.

The two share specs and density models and nothing else: the simulator executes drawn tensors step by step, the model
gives expectations. A point compares the model with the mean over some seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from timeloop_py.explore.validation_families import STANDARD
from timeloop_py.explore.validation_grid import ValidationPoint
from timeloop_py.explore.validation_runs import Effort, Run, executed, modelled, sliced
from timeloop_py.model.planar import SLOTS as MODEL_SLOTS
from timeloop_py.report.bundle import provenance, write_bundle
from timeloop_py.report.validation_plots import errors_and_causes, errors_by_family
from timeloop_py.specs.architecture import load_architecture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Called after every run of the simulator with (done, total).
Progress = Callable[[int, int], None]

#: Causes by which both sides account for a multiplier slot; the simulator has no components with a stated rate.
SLOTS = tuple(cause for cause in MODEL_SLOTS if cause != "memory")
_ERROR_LABEL = "Model over simulator [%]"


@dataclass(frozen=True)
class Limits:
    """What the comparison must meet, per family of points: relative errors of cycles, and points of all slots."""

    mean_absolute_error_percent: float = 1.0
    p95_absolute_error_percent: float = 4.0
    worst_slot_points: float = 5.0


def cross_validate(
    points: Sequence[ValidationPoint],
    effort: Effort | None = None,
    first_seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Run every point on the simulator and the model; a frame as of :func:`compared`.

    ``effort`` says how many seeds are run, and of which layers only some channels (:func:`.sliced`).
    """
    effort = effort or Effort()
    chosen = sliced(points, effort)
    runs = []
    for point in chosen:
        runs.append(executed(point, effort, first_seed))
        if progress:
            progress(len(runs), len(chosen))
    frame = compared(chosen, runs)
    whole = [point is given for given, point in zip(points, chosen, strict=True)]
    frame.insert(list(frame).index("zeros"), "sliced", [not each for each in whole])
    return frame


def compared(points: Sequence[ValidationPoint], runs: Sequence[Run]) -> pd.DataFrame:
    """The model beside what the simulator gave.

    A frame with a row per point: what it is, ``simulated_cycles`` (the mean over ``seeds``), ``ci95_cycles``
    (half the width of the 95% confidence interval of that mean, NaN for one seed), ``model_cycles``,
    ``error_percent`` (model over simulated mean, less one), ``standard_error_percent``, ``worst_slot`` and
    ``worst_slot_points`` (the cause whose share of all multiplier slots differs most, and by how many percentage
    points, model less simulator), and for every cause ``simulated_<cause>_share`` and ``model_<cause>_share``.
    """
    import pandas as pd

    evaluated = modelled(points)
    every = sum(evaluated.slots.values(), np.zeros((len(points), 1)))
    shares = {cause: (values / every)[:, 0] for cause, values in evaluated.slots.items()}
    rows = []
    for place, (point, run) in enumerate(zip(points, runs, strict=True)):
        model = {cause: float(shares[cause][place]) for cause in SLOTS}
        apart = {cause: 100 * (model[cause] - run.shares[cause]) for cause in SLOTS}
        worst = max(apart, key=lambda cause: abs(apart[cause]))
        expected = float(evaluated.layer_cycles[place, 0])
        rows.append(
            _description(point)
            | {
                "seeds": len(run.cycles),
                "simulated_cycles": run.mean,
                "ci95_cycles": run.standard_error * _t_quantile(len(run.cycles)),
                "model_cycles": expected,
                "error_percent": 100 * (expected / run.mean - 1),
                "standard_error_percent": 100 * run.standard_error / run.mean,
                "worst_slot": worst,
                "worst_slot_points": apart[worst],
            }
            | {f"simulated_{cause}_share": share for cause, share in run.shares.items()}
            | {f"model_{cause}_share": share for cause, share in model.items()}
        )
    return pd.DataFrame(rows)


def _t_quantile(seeds: int) -> float:
    """Of Student's distribution: half the width of a 95% interval in standard errors of the mean."""
    from scipy.special import stdtrit

    return float(stdtrit(seeds - 1, 0.975)) if seeds > 1 else float("nan")


def _description(point: ValidationPoint) -> dict[str, object]:
    _, flow = point.machine().require_accelerator()
    return {
        "family": point.family,
        "architecture": point.architecture,
        "dataflow": flow.name,
        "network": point.network,
        "layer": point.layer.name,
        "output_channels": point.layer.K,
        "input_channels": point.layer.C,
        "zeros": point.zeros,
        "weight_density": point.layer.weight_density,
        "activation_density": point.layer.activation_density,
        "pe_grid": f"{point.pe_grid[0]}x{point.pe_grid[1]}",
        "vectors": f"{point.vectors[0]}x{point.vectors[1]}",
        "barrier": flow.barrier,
        "bank_contention": flow.bank_contention if point.conflicts else "none",
        "settings": " ".join(f"{path}={value}" for path, value in point.settings),
    }


def summarize(frame: pd.DataFrame, limits: Limits | None = None) -> pd.DataFrame:
    """One row per family of points and per limit's quantity.

    ``sliced`` counts the points of which only some channels were run. ``chance_percent`` is the mean absolute error
    that a model of the exact expectations would show, from the spread of the seeds. ``inside_ci95`` is the share of
    points whose interval holds the model's cycles. ``met`` says whether the family keeps all limits; one with a
    point for which the model has no number (NaN) does not, its errors are infinite.
    """
    import pandas as pd

    limits = limits or Limits()
    rows = []
    for family, points in frame.groupby("family", sort=False):
        # Where the model has no number it is as far off as can be.
        error, slots = (points[name].abs().fillna(np.inf) for name in ("error_percent", "worst_slot_points"))
        inside = (points["model_cycles"] - points["simulated_cycles"]).abs() <= points["ci95_cycles"] * (1 + 1e-9)
        row = {
            "family": family,
            "points": len(points),
            "sliced": int(points["sliced"].sum()),
            "mean_absolute_error_percent": float(error.mean()),
            "chance_percent": float(points["standard_error_percent"].mean() * (2 / np.pi) ** 0.5),
            "p95_absolute_error_percent": float(error.quantile(0.95)),
            "max_absolute_error_percent": float(error.max()),
            "worst_slot_points": float(slots.max()),
            "worst_slot": str(points["worst_slot"].iloc[int(slots.to_numpy().argmax())]),
            "inside_ci95": float(inside.mean()),
        }
        row["met"] = all(row[name] <= limit for name, limit in vars(limits).items())
        rows.append(row)
    return pd.DataFrame(rows)


def slot_differences(frame: pd.DataFrame) -> pd.DataFrame:
    """Model less simulator in percentage points of all slots, a column per cause, rows as those of ``frame``."""
    import pandas as pd

    return pd.DataFrame(
        {cause: 100 * (frame[f"model_{cause}_share"] - frame[f"simulated_{cause}_share"]) for cause in SLOTS}
    )


def points_figure(frame: pd.DataFrame, limits: Limits | None = None) -> Figure:
    """Errors of cycles with their confidence intervals, and differences of slots by cause, of one family."""
    limits = limits or Limits()
    return errors_and_causes(
        frame.assign(ci95_percent=100 * frame["ci95_cycles"] / frame["simulated_cycles"]),
        slot_differences(frame),
        size="simulated_cycles",
        error="error_percent",
        interval="ci95_percent",
        labels={cause: cause.replace("_", " ") for cause in SLOTS},
        size_label="Simulated cycles, mean over seeds",
        error_label=_ERROR_LABEL,
        difference_label="Model less simulator [points of all slots]",
        error_limit=limits.p95_absolute_error_percent,
        difference_limit=limits.worst_slot_points,
    )


def families_figure(frame: pd.DataFrame, limits: Limits | None = None) -> Figure:
    """Errors of cycles by family."""
    limits = limits or Limits()
    return errors_by_family(
        frame,
        family="family",
        error="error_percent",
        error_label=_ERROR_LABEL,
        mean_limit=limits.mean_absolute_error_percent,
        limit=limits.p95_absolute_error_percent,
    )


def write_validation(
    folder: Path,
    frame: pd.DataFrame,
    command: Sequence[str],
    settings: Mapping[str, object] | None = None,
    plots: bool = True,
) -> tuple[Path, ...]:
    """Write ``cross_validation.csv``, ``summary.csv``, the figures and provenance.json; all of them or none.

    ``settings``: what else decides the result, for the provenance. SpecError: the folder cannot be written to.
    """
    names = [str(name) for name in frame["family"].unique()]
    shown = frame[frame["family"] == (STANDARD if STANDARD in names else names[0])]
    drawn = {"cross_validation": points_figure(shown), "families": families_figure(frame)} if plots else {}
    specs = {f"architecture {name}": load_architecture(name).digest for name in frame["architecture"].unique()}
    return write_bundle(
        folder,
        tables={"cross_validation": frame, "summary": summarize(frame)},
        figures=drawn,
        origin=provenance(command, specs, settings),
    )
