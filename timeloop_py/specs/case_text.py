"""Cases as text: the file that :func:`timeloop_py.specs.case.load_case` reads back as an equal case."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import yaml

from timeloop_py.specs.case import Case
from timeloop_py.specs.hierarchy import ComputeLevel, CountingOptions, StorageLevel
from timeloop_py.specs.mapping_file import mapping_entries
from timeloop_py.specs.problem import Problem, Rank

#: Fields of a storage level that stand in the file under their own names, where they are not the default.
_PLAIN_FIELDS = (
    "word_bits",
    "words_per_line",
    "read_bandwidth",
    "write_bandwidth",
    "shared_bandwidth",
    "multiple_buffering",
    "network_fill_latency",
    "network_drain_latency",
    "metadata_datawidth",
    "metadata_storage_width",
    "metadata_storage_depth",
)


def dump_case(case: Case) -> str:
    """A case as YAML. ValueError for what no file says: zeros, and ranks that only a dataflow has."""
    if case.sparsity is not None or case.problem.densities:
        raise ValueError("a case with zeros is not written")
    entries = {
        "name": case.name,
        "description": case.description,
        "problem": _problem(case.problem),
        "architecture": [
            *(_storage(level) for level in case.hierarchy.levels),
            _compute(case.hierarchy.compute),
        ],
        "options": {option.name: getattr(case.options, option.name) for option in fields(CountingOptions)},
        "mapping": [{key: list(value) for key, value in entry.items()} for entry in mapping_entries(case.mapping)],
    }
    text: str = yaml.safe_dump(entries, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    return text


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "dims": dict(problem.dims),
        "dataspaces": [
            {
                "name": tensor.name,
                "projection": [_rank(rank) for rank in tensor.ranks],
                **({"read_write": True} if tensor.is_output else {}),
            }
            for tensor in problem.tensors
        ],
    }


def _rank(rank: Rank) -> Any:
    if rank.entries is not None or rank.by_occupancy:
        raise ValueError("a scattered rank is not written")
    terms = [term.dim if term.coefficient == 1 else [term.dim, term.coefficient] for term in rank.terms]
    return terms if rank.clip is None else {"terms": terms, "clip": list(rank.clip)}


def _storage(level: StorageLevel) -> dict[str, Any]:
    default = StorageLevel(level.name)
    entry: dict[str, Any] = {"name": level.name, "kind": "storage", **_mesh(level)}
    if level.tensors is not None:
        entry["tensors"] = list(level.tensors)
    capacity = dict(level.tensor_capacity_words) or level.capacity_words
    if capacity is not None:
        entry["capacity_words"] = capacity
    entry |= {name: getattr(level, name) for name in _PLAIN_FIELDS if getattr(level, name) != getattr(default, name)}
    if level.energy_per_hop_pj:
        entry["energy_per_hop"] = level.energy_per_hop_pj
    return entry | {"energy": dict(level.energy_pj)}


def _compute(level: ComputeLevel) -> dict[str, Any]:
    return {
        "name": level.name,
        "kind": "compute",
        **_mesh(level),
        "word_bits": level.word_bits,
        "energy": dict(level.energy_pj),
    }


def _mesh(level: StorageLevel | ComputeLevel) -> dict[str, int]:
    return {"instances": level.instances, "mesh_x": level.columns}
