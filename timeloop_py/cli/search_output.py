"""Results of a search as text: mappings as pseudo-code with their cost and proof, CSV, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from timeloop_py.cli.text_table import aligned, joined, number_text
from timeloop_py.mapper.results import objective_text, result_rows
from timeloop_py.report.bundle import csv_bytes

if TYPE_CHECKING:
    from timeloop_py.cli.options import OutputFormat
    from timeloop_py.mapper.results import SearchResult

_HEADS = ("layer", "cycles", "bound by", "energy [pJ]", "EDP [pJ cycles]", "gap", "mappings")
_FRONT_HEADS = ("energy [pJ]", "cycles", "EDP [pJ cycles]", "ED2P [pJ cycles2]")


def format_results(results: Sequence[SearchResult], form: OutputFormat) -> str:
    """The text of some results.

    ``table``: of one result its mapping as pseudo-code, cost and proof; of several a line each and the totals, per
    architecture and network. ``csv``: a row per result. ``json``: an object each, with its names where there are
    several; several as a list.
    """
    if form == "json":
        if len(results) == 1:
            return _json(results[0].to_dict())
        return _json([{**_names(result), **result.to_dict()} for result in results])
    if form == "csv":
        return csv_bytes(result_rows(results)).decode()
    if len(results) == 1:
        return joined([*_one(results[0]), *_front(results[0])])
    groups: dict[tuple[str, str], list[SearchResult]] = {}
    for result in results:
        groups.setdefault((result.architecture, result.network), []).append(result)
    return "\n".join(joined([*_several(group)]) for group in groups.values())


def diagnosis_lines(result: SearchResult) -> Iterator[str]:
    """Why a layer has no mapping; nothing where it has one."""
    if result.mapping is not None:
        return
    where = f"timeloop-py: {result.layer} on {result.architecture}"
    if result.diagnosis is None:
        yield f"{where}: no mapping was found in the time there was"
        return
    yield f"{where}: no mapping fits"
    yield from result.diagnosis.lines()


#: A node of a mapping as JSON with line breaks.
_NODE = re.compile(r'\{\s+("(?:[^"\\]|\\.)*": \[)\s+("(?:[^"\\]|\\.)*",)\s+("(?:[^"\\]|\\.)*"|\d+)\s+\]\s+\}')


def _json(data: Any) -> str:
    """Indented, with a node of a mapping on one line."""
    return _NODE.sub(r"{\1\2 \3]}", json.dumps(data, indent=2, allow_nan=False)) + "\n"


def _names(result: SearchResult) -> dict[str, str]:
    return {"architecture": result.architecture, "network": result.network, "layer": result.layer}


def _one(result: SearchResult) -> Iterator[str]:
    if result.mapping is None:
        yield f"{result.layer} on {result.architecture}: no mapping"
        return
    yield from result.nest_text().rstrip("\n").splitlines()
    yield ""
    yield (
        f"cycles {number_text(result.cycles)}, bound by {result.binding}; energy {number_text(result.energy_pj)} pJ; "
        f"EDP {number_text(result.edp_pj_cycles)} pJ cycles"
    )
    yield _proof(result)


def _proof(result: SearchResult) -> str:
    objective, space = objective_text(result.objective), f"{result.space} space"
    if result.proven_optimal:
        return f"least {objective} of the {space}, proven: {_count(result.mappings_covered)} mappings"
    return (
        f"best found in time, {objective} {number_text(result.value)}: no mapping of the {space} is below "
        f"{number_text(result.lower_bound)}, so it is at most {_percent(result.gap)} above the least; "
        f"{_count(result.mappings_covered)} priced"
    )


def _front(result: SearchResult) -> Iterator[str]:
    if result.front is None:
        return
    rows = result.front_rows()
    whole = "" if result.front.complete else ", as far as it was found in time"
    yield ""
    yield f"Pareto front in {' and '.join(result.front.metrics)}{whole}: {len(rows)} mappings"
    names = ("energy_pj", "cycles", "edp_pj_cycles", "ed2p_pj_cycles2")
    cells = [
        [*(number_text(row[name]) for name in names), "" if row["proven_optimal"] else "not proven"] for row in rows
    ]
    yield from aligned([[*_FRONT_HEADS, ""], *cells], left=(4,))


def _several(results: Sequence[SearchResult]) -> Iterator[str]:
    first = results[0]
    objective = objective_text(first.objective)
    yield f"{first.network} on {first.architecture}: least {objective} of the {first.space} space, layer by layer"
    yield ""
    cells = [
        [
            result.layer,
            number_text(result.cycles),
            result.binding,
            number_text(result.energy_pj),
            number_text(result.edp_pj_cycles),
            _standing(result),
            f"as {result.searched_as}" if result.searched_as != result.layer else _count(result.mappings_covered),
        ]
        for result in results
    ]
    found = [result for result in results if result.mapping is not None]
    cycles, energy = sum(result.cycles for result in found), sum(result.energy_pj for result in found)
    total = ["total", number_text(cycles), "", number_text(energy), number_text(cycles * energy), "", ""]
    lines = aligned([_HEADS, *cells, total], left=(0, 2, 6))
    yield from [*lines[:-1], "-" * max(map(len, lines)), lines[-1]]
    fronts = [result for result in results if result.front is not None]
    for result in fronts:
        yield from ["", f"{result.layer}:", *list(_front(result))[1:]]


def _count(mappings: int) -> str:
    return str(mappings) if mappings < 10**9 else f"{mappings:.3g}"


def _standing(result: SearchResult) -> str:
    if result.mapping is None:
        return "nothing fits" if result.diagnosis else "none found"
    return "proven" if result.proven_optimal else _percent(result.gap)


def _percent(gap: float) -> str:
    return f"{gap:.2%}" if gap < 1 else f"{gap + 1:.3g}x"
