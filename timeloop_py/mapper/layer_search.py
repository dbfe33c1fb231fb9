"""The search for one layer, as a value that can be sent to another process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.mapper.objective import Objective
from timeloop_py.mapper.pareto import Front
from timeloop_py.mapper.planar_search import prepare_planar, search_planar
from timeloop_py.mapper.results import HierarchyResult, PlanarResult, SearchResult, objective_text
from timeloop_py.model.evaluate import Point
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.case import Case
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.mapping import Mapping
from timeloop_py.specs.network import Network

if TYPE_CHECKING:
    from timeloop_py.mapper.hierarchy_search import Outcome, Report


@dataclass(frozen=True)
class SearchTask(ABC):
    """What is searched for, and for which layer."""

    architecture: str
    network: str
    layer: str
    objective: Objective
    #: of the Pareto front; None: no front
    metrics: tuple[str, ...] | None

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Equal for layers whose searches give the same."""

    @abstractmethod
    def prepare(self) -> None:
        """Work out, and keep, what this search shares with others: processes that are forked afterwards have it."""

    @abstractmethod
    def run(self, deadline: float, report: Report | None = None, processes: int = 1) -> SearchResult:
        """Search until ``deadline`` (of ``time.monotonic``), in up to so many processes."""


class SearchInterrupt(KeyboardInterrupt):
    """The user stopped a search; ``result`` is the best so far, with its bound."""

    def __init__(self, result: SearchResult) -> None:
        super().__init__("the search was stopped")
        self.result = result


@dataclass(frozen=True)
class HierarchyTask(SearchTask):
    """A loop nest on a storage hierarchy.

    What searches hierarchies is imported here alone: planar-tiled accelerators need none of it.
    """

    space: Mapspace

    @property
    def key(self) -> Hashable:
        return repr(self.space.problem)

    def prepare(self) -> None:
        """The modules alone: every problem has a space of its own."""
        import timeloop_py.mapper.hierarchy_search  # noqa: F401

    def run(self, deadline: float, report: Report | None = None, processes: int = 1) -> HierarchyResult:
        from timeloop_py.mapper.hierarchy_search import HierarchySearch

        running = HierarchySearch(self.space, deadline, report, processes)
        outcome = running.best(self.objective)
        front = None if self.metrics is None or outcome.best is None else running.front(self.metrics)
        result = self._result(outcome, front)
        if running.interrupted:
            raise SearchInterrupt(result)
        return result

    def _result(self, outcome: Outcome, front: Front[Mapping] | None) -> HierarchyResult:
        from timeloop_py.mapper.coverage import mappings_in
        from timeloop_py.mapper.infeasible import diagnose
        from timeloop_py.model.evaluate_case import evaluate_case

        space = self.space
        case = None
        if outcome.best is not None:
            case = Case(
                name=self.layer,
                problem=space.problem,
                hierarchy=space.hierarchy,
                mapping=outcome.best.mapping,
                description=f"{space.space} mapping of least {objective_text(self.objective)} on {self.architecture}",
                options=space.options,
            )
        return HierarchyResult(
            architecture=self.architecture,
            network=self.network,
            layer=self.layer,
            searched_as=self.layer,
            objective=self.objective,
            space=space.space,
            proven_optimal=outcome.proven and outcome.best is not None,
            lower_bound=outcome.lower_bound,
            mappings_covered=mappings_in(space) if outcome.proven else outcome.priced,
            front=front,
            diagnosis=diagnose(space) if outcome.nothing_fits else None,
            case=case,
            case_evaluation=None if case is None else evaluate_case(case),
        )


@dataclass(frozen=True)
class PlanarTask(SearchTask):
    """A mapping onto a planar-tiled accelerator, at a density point."""

    design: Architecture
    of_network: Network
    of_layer: Layer
    point: Point
    #: any hardware of as many multipliers, not the given one alone
    hardware: bool

    @property
    def key(self) -> Hashable:
        return self.of_layer.with_densities(*self.point).shape_key(), self.of_network.reads_network_input(self.layer)

    def prepare(self) -> None:
        prepare_planar(self.design, self.of_layer, self.hardware)

    def run(self, deadline: float, report: Report | None = None, processes: int = 1) -> PlanarResult:
        found = search_planar(
            self.design, self.of_network, self.of_layer, self.point, self.objective, self.metrics, self.hardware
        )
        energy_pj, cycles = found.evaluation.energy_pj, found.evaluation.cycles
        return PlanarResult(
            architecture=self.architecture,
            network=self.network,
            layer=self.layer,
            searched_as=self.layer,
            objective=self.objective,
            space="hardware" if self.hardware else "planar",
            proven_optimal=True,
            lower_bound=float(self.objective.measures[0].value(energy_pj, cycles)),
            mappings_covered=found.covered,
            front=found.front,
            diagnosis=None,
            planar_mapping=found.mapping,
            design=found.design,
            of_layer=self.of_layer.with_densities(*self.point),
            layer_evaluation=found.evaluation,
        )
