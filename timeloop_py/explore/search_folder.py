"""The result folder of a search: tables, mappings that can be evaluated again, the Pareto plot, where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from timeloop_py.mapper.pareto import outer_metrics
from timeloop_py.mapper.results import (
    HierarchyResult,
    PlanarResult,
    SearchResult,
    objective_text,
    result_rows,
    results_frame,
)
from timeloop_py.report.bundle import provenance, write_bundle
from timeloop_py.report.front_plots import pareto_fronts
from timeloop_py.specs.case_text import dump_case
from timeloop_py.specs.layer_case import file_stem
from timeloop_py.specs.mapping_file import dump_mapping

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from timeloop_py.report.bundle import Table


def write_search(
    folder: Path | str,
    results: Sequence[SearchResult],
    command: Sequence[str],
    specs: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
) -> tuple[Path, ...]:
    """Write ``results.csv``, per layer what ``evaluate`` takes back, the fronts, and ``provenance.json``.

    Of a layer on a hierarchy: ``LAYER.mapping.yaml``, ``LAYER.case.yaml`` (everything in one file) and its nest; on a
    planar-tiled accelerator: ``LAYER.arch.yaml``, the accelerator with the mapping fixed. ``specs`` are hashes of the
    inputs by name. SpecError: the folder cannot be written to.
    """
    tables: dict[str, Table] = {"results": result_rows(results)}
    figures: dict[str, Figure] = {}
    if any(result.front is not None and result.front.points for result in results):
        tables["pareto"] = fronts = front_frame(results)
        figures["pareto"] = _front_figure(results, fronts)
    texts: dict[str, str] = {}
    for result, stem in zip(results, _stems(results), strict=True):
        texts |= {f"{stem}.{ending}": text for ending, text in _files(result).items()}
    return write_bundle(
        folder,
        tables=tables,
        figures=figures,
        texts=texts,
        origin=provenance(command, specs, settings),
        formats=("png", "pdf"),
    )


def front_frame(results: Sequence[SearchResult]) -> pd.DataFrame:
    """One row per layer and point of its front; the mapping as JSON text. Empty without fronts."""
    import pandas as pd

    rows = [
        {
            "architecture": result.architecture,
            "network": result.network,
            "layer": result.layer,
            **point,
            "mapping": json.dumps(point["mapping"]),
        }
        for result in results
        for point in result.front_rows()
    ]
    return pd.DataFrame(rows)


def _front_figure(results: Sequence[SearchResult], fronts: pd.DataFrame) -> Figure:
    drawn = [result for result in results if result.front is not None and result.front.points]
    assert drawn[0].front is not None
    first, second = (measure.terms[0][0] for measure in outer_metrics(drawn[0].front.metrics))
    # Cycles along x, as everybody draws them.
    x, y = (second, first) if second == "cycles" else (first, second)
    best = results_frame(drawn)
    for name in (x, y):
        if name not in best:
            best[name] = best["energy_pj"] * best["cycles"] ** 2
    return pareto_fronts(fronts, x=x, y=y, best=best, best_label=f"least {objective_text(drawn[0].objective)}")


def _files(result: SearchResult) -> dict[str, str]:
    """What one result leaves, by ending."""
    if isinstance(result, HierarchyResult) and result.case is not None:
        return {
            "mapping.yaml": dump_mapping(result.case.mapping),
            "case.yaml": dump_case(result.case),
            "nest.txt": result.nest_text(),
        }
    if isinstance(result, PlanarResult) and result.design is not None:
        return {"arch.yaml": _planar_file(result), "nest.txt": result.nest_text()}
    return {}


def _planar_file(result: PlanarResult) -> str:
    assert result.design is not None
    base = result.design.path or result.design.name
    shipped = Path(base).parent.name == "arch_specs"
    entries = {"extends": Path(base).stem if shipped else str(Path(base).resolve()), **result.mapping_data()}
    dataflow = {"name": result.design.dataflow_name, **entries["dataflow"]}
    text: str = yaml.safe_dump(entries | {"dataflow": dataflow}, sort_keys=False)
    return text


def _stems(results: Sequence[SearchResult]) -> list[str]:
    """A file name per result: the layer's, with whatever else tells it from the others."""
    parts = [
        [
            value
            for name in ("architecture", "network")
            if len({getattr(one, name) for one in results}) > 1
            for value in [getattr(result, name)]
        ]
        + [result.layer]
        for result in results
    ]
    return [file_stem("_".join(part)) for part in parts]
