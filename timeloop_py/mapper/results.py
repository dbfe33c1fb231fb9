"""What a search gives: the best mapping of a layer with its evaluation and its proof, and those of a network."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from timeloop_py.mapper.objective import METRICS, Objective
from timeloop_py.mapper.pareto import Front
from timeloop_py.mapper.planar_mappings import HardwareMapping, PlanarMapping
from timeloop_py.model.evaluate import Evaluation
from timeloop_py.model.nest_text import case_nest_text, planar_nest_text
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.case import Case
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.mapping_file import mapping_entries

if TYPE_CHECKING:
    import pandas as pd

    from timeloop_py.mapper.infeasible import Diagnosis
    from timeloop_py.model.evaluate_case import CaseEvaluation


_METRIC_NAMES = {"energy_pj": "energy", "cycles": "cycles", "edp_pj_cycles": "EDP", "ed2p_pj_cycles2": "ED2P"}


@dataclass(frozen=True)
class SearchResult(ABC):
    """The best mapping of one layer, and what is known about all others.

    Without a mapping (``mapping`` None) the numbers are NaN: either nothing fits (``diagnosis`` says why), or nothing
    was found in time.
    """

    architecture: str
    network: str
    layer: str
    #: the first layer of this shape, for which the search ran
    searched_as: str
    objective: Objective
    space: str
    #: no mapping of the space has a smaller objective
    proven_optimal: bool
    #: of the objective (its first measure): no mapping of the space has less
    lower_bound: float
    #: mappings of the space that the proof covers; without a proof, those that were priced
    mappings_covered: int
    #: the Pareto front, where one was asked for
    front: Front[Any] | None
    #: where nothing fits: which constraint or capacity removed how many mappings, and what would let one through
    diagnosis: Diagnosis | None

    @property
    @abstractmethod
    def mapping(self) -> LoopMapping | PlanarMapping | None:
        """The best mapping found."""

    @property
    @abstractmethod
    def evaluation(self) -> CaseEvaluation | Evaluation | None:
        """What evaluating the mapping gives."""

    @property
    def cycles(self) -> float:
        """Cycles of the mapping."""
        return math.nan if self.evaluation is None else float(self.evaluation.cycles)

    @property
    def energy_pj(self) -> float:
        """Energy of the mapping, pJ."""
        return math.nan if self.evaluation is None else float(self.evaluation.energy_pj)

    @property
    def edp_pj_cycles(self) -> float:
        """Energy times delay."""
        return self.energy_pj * self.cycles

    @property
    def value(self) -> float:
        """The objective: its first measure, the one that ``lower_bound`` bounds."""
        return float(self.objective.measures[0].value(self.energy_pj, self.cycles))

    @property
    def gap(self) -> float:
        """How far above the lower bound the mapping is at most, relative to it: 0.05 is 5%. 0 where it is optimal."""
        if self.proven_optimal:
            return 0.0
        return self.value / self.lower_bound - 1 if self.lower_bound > 0 else math.inf

    @property
    @abstractmethod
    def binding(self) -> str:
        """The resource that takes the most cycles; empty without a mapping."""

    @abstractmethod
    def mapping_data(self, mapping: Any = None) -> Any:
        """The mapping (or another one of the space) as plain data, ready for JSON: what its file holds."""

    @abstractmethod
    def nest_text(self) -> str:
        """The mapping as pseudo-code; empty without one."""

    def renamed(self, layer: str) -> Self:
        """The same for another layer of this shape."""
        return replace(self, layer=layer)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; a number that is not known is None."""
        found: dict[str, Any] = {
            "cycles": _known(self.cycles),
            "energy_pj": _known(self.energy_pj),
            "edp_pj_cycles": _known(self.edp_pj_cycles),
            "proven_optimal": self.proven_optimal,
            "lower_bound": _known(self.lower_bound),
            "mappings_covered": self.mappings_covered,
            "mapping": None if self.mapping is None else self.mapping_data(),
        }
        if self.front is not None:
            found["pareto"] = self.front_rows()
            found["pareto_complete"] = self.front.complete
        if self.diagnosis is not None:
            found["diagnosis"] = self.diagnosis.to_dict()
        return found

    def front_rows(self) -> list[dict[str, Any]]:
        """One dictionary per point of the front, with all metrics; none without a front."""
        if self.front is None:
            return []
        return [
            {
                **{name: float(measure(point.energy_pj, point.cycles)) for name, measure in METRICS.items()},
                "proven_optimal": point.proven,
                "mapping": self.mapping_data(point.mapping),
            }
            for point in self.front.points
        ]


@dataclass(frozen=True)
class HierarchyResult(SearchResult):
    """The best loop nest on a storage hierarchy. ``case`` is what an evaluation takes: layer, hierarchy, mapping."""

    case: Case | None
    case_evaluation: CaseEvaluation | None

    @property
    def mapping(self) -> LoopMapping | None:
        return None if self.case is None else self.case.mapping

    @property
    def evaluation(self) -> CaseEvaluation | None:
        return self.case_evaluation

    def renamed(self, layer: str) -> Self:
        if self.case is None or self.case_evaluation is None:
            return super().renamed(layer)
        named = self.case_evaluation
        return replace(
            self, layer=layer, case=replace(self.case, name=layer), case_evaluation=replace(named, name=layer)
        )

    @property
    def binding(self) -> str:
        return "" if self.case_evaluation is None else self.case_evaluation.binding

    def mapping_data(self, mapping: LoopMapping | None = None) -> list[dict[str, list[str | int]]]:
        """The nodes from outer to inner, as a mapping file lists them."""
        chosen = self.mapping if mapping is None else mapping
        assert chosen is not None
        return [{key: list(value) for key, value in entry.items()} for entry in mapping_entries(chosen)]

    def nest_text(self) -> str:
        return "" if self.case is None else case_nest_text(self.case)


@dataclass(frozen=True)
class PlanarResult(SearchResult):
    """The best mapping onto a planar-tiled accelerator. ``design`` is the accelerator with this mapping fixed."""

    planar_mapping: PlanarMapping | None
    design: Architecture | None
    of_layer: Layer
    layer_evaluation: Evaluation | None

    @property
    def mapping(self) -> PlanarMapping | None:
        return self.planar_mapping

    @property
    def evaluation(self) -> Evaluation | None:
        return self.layer_evaluation

    @property
    def binding(self) -> str:
        return "" if self.layer_evaluation is None else next(iter(self.layer_evaluation.binding.values()))

    def mapping_data(self, mapping: PlanarMapping | None = None) -> dict[str, Any]:
        """The fields of the architecture file that the mapping sets."""
        chosen = self.planar_mapping if mapping is None else mapping
        assert chosen is not None
        sizes = dict(chosen.parameters) if isinstance(chosen, HardwareMapping) else {}
        return {
            "parameters": {**sizes, "pe_x": chosen.columns, "pe_y": chosen.rows},
            "dataflow": {"output_channel_group_max": chosen.group, "halo": chosen.halo},
        }

    def nest_text(self) -> str:
        return "" if self.design is None else planar_nest_text(self.design, self.of_layer)


@dataclass(frozen=True)
class NetworkResult:
    """The best mapping of every layer of a network, each by itself. Totals run over the layers that have one."""

    network: str
    layers: tuple[SearchResult, ...]

    def __iter__(self) -> Iterator[SearchResult]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def layer(self, name: str) -> SearchResult:
        """The result of a layer."""
        return next(result for result in self.layers if result.layer == name)

    @property
    def cycles(self) -> float:
        """Cycles of all layers, one after the other."""
        return self._sum("cycles")

    @property
    def energy_pj(self) -> float:
        """Energy of all layers, pJ."""
        return self._sum("energy_pj")

    @property
    def edp_pj_cycles(self) -> float:
        """Energy of the network times its cycles; the layers minimize their own."""
        return self.energy_pj * self.cycles

    @property
    def proven_optimal(self) -> bool:
        """Whether every layer's mapping is proven."""
        return all(result.proven_optimal for result in self.layers)

    @property
    def lower_bound(self) -> float:
        """The layers' lower bounds of the objective, summed."""
        return self._sum("lower_bound")

    @property
    def mappings_covered(self) -> int:
        """Mappings covered; layers of one shape count once."""
        return sum(result.mappings_covered for result in self.layers if result.layer == result.searched_as)

    def to_frame(self) -> pd.DataFrame:
        """One row per layer; the mapping as text."""
        return results_frame(self.layers)

    def _sum(self, name: str) -> float:
        return math.fsum(value for value in (getattr(result, name) for result in self.layers) if value == value)


def objective_text(objective: Objective) -> str:
    """An objective for a reader: ``EDP``, ``energy + 1000 cycles``, ``cycles, then energy``."""
    return ", then ".join(
        " + ".join(
            f"{_METRIC_NAMES[name]}" if weight == 1 else f"{weight:g} {_METRIC_NAMES[name]}"
            for name, weight in measure.terms
        )
        for measure in objective.measures
    )


def results_frame(results: Sequence[SearchResult]) -> pd.DataFrame:
    """:func:`result_rows` as a frame."""
    import pandas as pd

    return pd.DataFrame(result_rows(results))


def result_rows(results: Sequence[SearchResult]) -> list[dict[str, Any]]:
    """One row per result, units in the names; the mapping as JSON text, a number that is not known None."""
    rows = []
    for result in results:
        row: dict[str, Any] = {
            "architecture": result.architecture,
            "network": result.network,
            "layer": result.layer,
            "objective": str(result.objective),
            "space": result.space,
            "binding": result.binding,
        }
        numbers: Mapping[str, Any] = result.to_dict()
        for name in ("cycles", "energy_pj", "edp_pj_cycles", "proven_optimal", "lower_bound", "mappings_covered"):
            row[name] = numbers[name]
        row["mapping"] = "" if result.mapping is None else json.dumps(numbers["mapping"])
        rows.append(row)
    return rows


def _known(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
