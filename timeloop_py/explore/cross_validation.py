"""The model against the simulator: cycles, and where every multiplier slot goes, over a grid of runs.

The two share specs and density models and nothing else: the simulator executes drawn tensors step by step, the model
gives expectations. A point compares the model with the mean over some seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from timeloop_py.explore.validation_grid import ValidationPoint
from timeloop_py.model.evaluate import Evaluation, Unit, evaluate_units, network_of
from timeloop_py.report.bundle import provenance, write_bundle
from timeloop_py.report.validation_plots import errors_and_causes
from timeloop_py.simulator.api import simulate
from timeloop_py.specs.architecture import load_architecture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Called after every run of the simulator with (done, total).
Progress = Callable[[int, int], None]

#: Causes by which both sides account for a multiplier slot.
SLOTS = (
    "useful",
    "out_of_range",
    "zero_operands",
    "placeholders",
    "fragmentation",
    "bank_stalls",
    "overhead",
    "drain",
    "barrier",
    "idle_pes",
)
#: Runs that a point is compared with.
DEFAULT_SEEDS = 8
#: Stepping through bank conflicts takes time in proportion to multiplier slots and cycles: only short runs are stepped.
MOST_STEPPED_SLOTS = 4_000_000
MOST_STEPPED_CYCLES = 100_000
_BANKS = "dataflow.bank_contention"
#: Causes of slots in which a step is issued.
_STEPPED = ("useful", "out_of_range", "zero_operands", "placeholders", "fragmentation")


@dataclass(frozen=True)
class Limits:
    """What the comparison must meet, per family of points: relative errors of cycles, and points of all slots."""

    mean_absolute_error_percent: float = 1.0
    p95_absolute_error_percent: float = 4.0
    worst_slot_points: float = 5.0


def cross_validate(
    points: Sequence[ValidationPoint], seeds: int = DEFAULT_SEEDS, first_seed: int = 0, progress: Progress | None = None
) -> pd.DataFrame:
    """Run every point on the simulator and the model.

    Where a point does not say how banks behave, short runs have the architecture's banks and long ones none
    (:data:`MOST_STEPPED_SLOTS`, :data:`MOST_STEPPED_CYCLES`).

    Gives a frame with a row per point: what it is, ``simulated_cycles`` (the mean over ``seeds``), ``ci95_cycles``
    (half the width of the 95% confidence interval of that mean, NaN for one seed), ``model_cycles``,
    ``error_percent`` (model over simulated mean, less one), ``standard_error_percent``, ``worst_slot`` and
    ``worst_slot_points`` (the cause whose share of all multiplier slots differs most, and by how many percentage
    points, model less simulator), and for every cause ``simulated_<cause>_share`` and ``model_<cause>_share``.
    """
    import pandas as pd

    points = _with_bank_rules(points)
    modelled = _modelled(points)
    every = sum(modelled.slots.values(), np.zeros((len(points), 1)))
    shares = {cause: (values / every)[:, 0] for cause, values in modelled.slots.items()}
    rows = []
    for place, point in enumerate(points):
        cycles, simulated = _simulated(point, seeds, first_seed)
        if progress:
            progress(place + 1, len(points))
        model = {cause: float(shares[cause][place]) for cause in SLOTS}
        apart = {cause: 100 * (model[cause] - simulated[cause]) for cause in SLOTS}
        worst = max(apart, key=lambda cause: abs(apart[cause]))
        mean, expected = float(cycles.mean()), float(modelled.layer_cycles[place, 0])
        error = float(cycles.std(ddof=1)) / len(cycles) ** 0.5 if seeds > 1 else float("nan")
        rows.append(
            _description(point)
            | {
                "seeds": seeds,
                "simulated_cycles": mean,
                "ci95_cycles": error * _t_quantile(seeds),
                "model_cycles": expected,
                "error_percent": 100 * (expected / mean - 1),
                "standard_error_percent": 100 * error / mean,
                "worst_slot": worst,
                "worst_slot_points": apart[worst],
            }
            | {f"simulated_{cause}_share": share for cause, share in simulated.items()}
            | {f"model_{cause}_share": share for cause, share in model.items()}
        )
    return pd.DataFrame(rows)


def _with_bank_rules(points: Sequence[ValidationPoint]) -> list[ValidationPoint]:
    counted = _modelled([point.with_setting(_BANKS, "none") for point in points])
    slots = sum((counted.slots[cause][:, 0] for cause in _STEPPED), np.zeros(len(points)))
    short = (slots <= MOST_STEPPED_SLOTS) & (counted.layer_cycles[:, 0] <= MOST_STEPPED_CYCLES)
    return [
        point if stepped else point.with_setting(_BANKS, "none") for point, stepped in zip(points, short, strict=True)
    ]


def _modelled(points: Sequence[ValidationPoint]) -> Evaluation:
    return evaluate_units([Unit(point.machine(), network_of(point.layer), point.layer) for point in points])


def _simulated(point: ValidationPoint, seeds: int, first: int) -> tuple[np.ndarray, dict[str, float]]:
    """Cycles of every seed, and the mean share of slots by cause."""
    machine = point.machine()
    runs = [simulate(machine, point.layer, seed=seed, verify=False) for seed in range(first, first + seeds)]
    shares = [run.slots.shares() for run in runs]
    return (
        np.array([run.cycles for run in runs], dtype=float),
        {cause: float(np.mean([share[cause] for share in shares])) for cause in SLOTS},
    )


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
        "zeros": point.zeros,
        "weight_density": point.layer.weight_density,
        "activation_density": point.layer.activation_density,
        "pe_grid": f"{point.pe_grid[0]}x{point.pe_grid[1]}",
        "vectors": f"{point.vectors[0]}x{point.vectors[1]}",
        "barrier": flow.barrier,
        "bank_contention": flow.bank_contention,
    }


def summarize(frame: pd.DataFrame, limits: Limits | None = None) -> pd.DataFrame:
    """One row per family of points and per limit's quantity.

    ``chance_percent`` is the mean absolute error that a model of the exact expectations would show, from the spread of
    the seeds. ``inside_ci95`` is the share of points whose interval holds the model's cycles. ``met`` says whether
    the family keeps all limits.
    """
    import pandas as pd

    limits = limits or Limits()
    rows = []
    for family, points in frame.groupby("family", sort=False):
        error, slots = points["error_percent"].abs(), points["worst_slot_points"].abs()
        inside = (points["model_cycles"] - points["simulated_cycles"]).abs() <= points["ci95_cycles"] * (1 + 1e-9)
        row = {
            "family": family,
            "points": len(points),
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


def validation_figure(frame: pd.DataFrame, limits: Limits | None = None) -> Figure:
    """Errors of cycles with their confidence intervals, and differences of slots by cause."""
    limits = limits or Limits()
    return errors_and_causes(
        frame.assign(ci95_percent=100 * frame["ci95_cycles"] / frame["simulated_cycles"]),
        slot_differences(frame),
        family="family",
        size="simulated_cycles",
        error="error_percent",
        interval="ci95_percent",
        labels={cause: cause.replace("_", " ") for cause in SLOTS},
        size_label="Simulated cycles, mean over seeds",
        error_label="Model over simulator [%]",
        difference_label="Model less simulator [points of all slots]",
        error_limits=(limits.p95_absolute_error_percent,),
        difference_limit=limits.worst_slot_points,
    )


def write_validation(
    folder: Path, frame: pd.DataFrame, command: Sequence[str], limits: Limits | None = None, plots: bool = True
) -> tuple[Path, ...]:
    """Write ``cross_validation.csv``, ``summary.csv``, the figure and provenance.json; all of them or none.

    SpecError: the folder cannot be written to.
    """
    return write_bundle(
        folder,
        tables={"cross_validation": frame, "summary": summarize(frame, limits)},
        figures={"cross_validation": validation_figure(frame, limits)} if plots else {},
        origin=provenance(command, {f"architecture {name}": load_architecture(name).digest for name in _names(frame)}),
    )


def _names(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame["architecture"].unique()]
