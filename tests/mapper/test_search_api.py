"""``tl.search``: what it gives is what evaluating gives, and it is the best."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

import timeloop_py as tl
from tests.mapper.problems import tensor
from timeloop_py.mapper.planar_mappings import mapping_space
from timeloop_py.mapper.planar_space import best_planar_mappings
from timeloop_py.mapper.results import HierarchyResult, SearchResult
from timeloop_py.mapper.search import Restrictions
from timeloop_py.mapper.workers import SearchProgress
from timeloop_py.model.evaluate import evaluate, network_of
from timeloop_py.model.evaluate_case import evaluate_case
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.hierarchy import Hierarchy
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.mapping import Loop, LoopKind, Store
from timeloop_py.specs.network import Network
from timeloop_py.specs.problem import Problem

SMALL = tl.parse_shape("K=16,C=16,P=8,Q=8")
TINY = tl.parse_shape("K=4,C=4,P=4")
WINDOW = tl.parse_shape("K=4,C=2,P=4,R=3,pad=1")


def simple3(**capacities: int) -> Architecture:
    architecture = tl.load_architecture("simple3")
    assert architecture.hierarchy is not None
    levels = tuple(
        replace(level, capacity_words=capacities.get(level.name, level.capacity_words))
        for level in architecture.hierarchy.levels
    )
    return replace(architecture, hierarchy=Hierarchy(levels, architecture.hierarchy.compute))


def searched(layer: Layer, objective: str = "edp", **options: Any) -> HierarchyResult:
    result = tl.search(simple3(), layer, objective, **options)
    assert isinstance(result, HierarchyResult)
    return result


def network(**layers: Layer) -> Network:
    named = tuple(replace(layer, name=name) for name, layer in layers.items())
    return replace(network_of(SMALL), name="net", layers=named, inputs={layer.name: () for layer in named})


def test_known_optima() -> None:
    """Two independent codes found these for the hierarchy of simple3."""
    energy = searched(SMALL, "energy")
    assert energy.proven_optimal
    assert energy.energy_pj == energy.lower_bound == energy.value == 571_648
    large = searched(tl.parse_shape("K=256,C=256,P=14,Q=14"), "edp")
    assert large.edp_pj_cycles == 5_418_455_662_592
    assert large.proven_optimal


@pytest.mark.parametrize("space", ["level", "placement"])
@pytest.mark.parametrize("layer", [TINY, WINDOW], ids=["1x1", "3x3"])
def test_the_numbers_are_those_of_an_evaluation(layer: Layer, space: str) -> None:
    result = searched(layer, space=space)
    assert result.case is not None
    again = evaluate_case(result.case)
    assert again == result.evaluation
    assert (result.cycles, result.energy_pj) == (again.cycles, again.energy_pj)
    assert result.value == pytest.approx(result.lower_bound, rel=1e-12)
    assert result.gap == 0
    assert result.mappings_covered > 1


def test_placement_contains_level() -> None:
    for objective in ("energy", "edp"):
        level, placement = (searched(WINDOW, objective, space=space) for space in ("level", "placement"))
        assert placement.value <= level.value
        assert placement.mappings_covered > level.mappings_covered


def test_imperfect_contains_perfect() -> None:
    odd = tl.parse_shape("K=5,C=3,P=7")
    perfect, imperfect = (searched(odd, "edp", space="level", imperfect=some) for some in (False, True))
    assert imperfect.value <= perfect.value


def test_every_objective_is_best_by_itself() -> None:
    best = {name: searched(SMALL, name) for name in ("energy", "cycles", "edp", "ed2p")}

    def values(result: SearchResult) -> dict[str, float]:
        energy, cycles = result.energy_pj, result.cycles
        return {"energy": energy, "cycles": cycles, "edp": energy * cycles, "ed2p": energy * cycles**2}

    for name, result in best.items():
        assert values(result)[name] == min(values(other)[name] for other in best.values())
    first = searched(SMALL, "cycles,energy")
    assert first.cycles == best["cycles"].cycles
    assert best["energy"].energy_pj <= first.energy_pj <= best["cycles"].energy_pj
    mixed = searched(SMALL, "energy+100*cycles")
    assert mixed.value == mixed.energy_pj + 100 * mixed.cycles
    assert all(mixed.value <= result.energy_pj + 100 * result.cycles for result in best.values())


@pytest.mark.parametrize("level", ["GLB", "RF"])
@pytest.mark.parametrize("objective", ["energy", "edp"])
def test_more_capacity_never_costs(level: str, objective: str) -> None:
    values = []
    for words in (24, 48, 256):
        result = tl.search(simple3(**{"GLB": 200, "RF": 32, level: words}), TINY, objective)
        assert result.proven_optimal
        values.append(result.value)
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    "constraints",
    [
        {"factors": {"GLB": {"K": {"max": 1}, "C": 1}}},
        ["factors.GLB.K.max=1", "factors.GLB.C=1"],
    ],
    ids=["section", "settings"],
)
def test_constraints(constraints: Restrictions) -> None:
    free, bound = searched(TINY, "energy"), searched(TINY, "energy", constraints=constraints)
    assert bound.value >= free.value
    assert bound.mappings_covered < free.mappings_covered
    assert bound.mapping is not None
    holder = ""
    for node in bound.mapping.nodes:
        if isinstance(node, Store):
            holder = node.level
        elif not node.is_spatial and holder == "GLB":
            assert node.dim not in ("K", "C")


def test_constraints_of_the_file_hold() -> None:
    result = searched(WINDOW)
    assert result.mapping is not None
    spatial = {(node.kind, node.dim) for node in result.mapping.nodes if isinstance(node, Loop) and node.is_spatial}
    assert spatial <= {(LoopKind.SPATIAL_X, "K"), (LoopKind.SPATIAL_Y, "C")}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"objective": "power"}, "power"),
        ({"space": "levels"}, "did you mean 'level'"),
        ({"pareto": "energy_pj"}, "two or three"),
        ({"pareto": ["energy", "area"]}, "area"),
        ({"constraints": ["factors.GBL.K=1"]}, "did you mean 'GLB'"),
        ({"constraints": {"keep": {"RF": ["Weight"]}}}, "did you mean 'Weights'"),
        ({"constraints": {"keeps": {}}}, "keeps"),
        ({"time_limit_s": 0}, "above 0"),
        ({"jobs": 0}, "at least one"),
        ({"weight_density": 0.5}, "dense"),
    ],
)
def test_bad_input(options: dict[str, Any], named: str) -> None:
    with pytest.raises(tl.SpecError) as error:
        tl.search(simple3(), TINY, **options)
    assert named in str(error.value)


def test_any_affine_problem() -> None:
    product = Problem(
        {"M": 4, "N": 4, "L": 4},
        (tensor("A", "M", "L"), tensor("B", "L", "N"), tensor("Z", "M", "N", is_output=True)),
    )
    architecture = replace(simple3(), constraints=None)
    result = tl.search(architecture, product, "energy", "level")
    # 48 words move over DRAM once each.
    assert result.energy_pj >= 48 * 200
    assert result.proven_optimal


def test_layers_of_a_network() -> None:
    told: list[SearchProgress] = []
    net = network(a=TINY, b=WINDOW, c=TINY)
    result = tl.search(simple3(), net, jobs=1, progress=told.append)
    assert [one.layer for one in result] == ["a", "b", "c"]
    assert [one.searched_as for one in result] == ["a", "b", "a"]
    alone = {"a": searched(TINY), "b": searched(WINDOW)}
    for one in result:
        assert one.energy_pj == alone[one.searched_as].energy_pj
        assert one.mapping == alone[one.searched_as].mapping
    assert result.cycles == sum(one.cycles for one in result)
    assert result.energy_pj == sum(one.energy_pj for one in result)
    assert result.mappings_covered == sum(one.mappings_covered for one in alone.values())
    assert result.proven_optimal
    assert result.layer("c").evaluation.name == "c"  # type: ignore[union-attr]
    frame = result.to_frame()
    assert list(frame["layer"]) == ["a", "b", "c"]
    assert frame["cycles"].sum() == result.cycles
    assert [step.done for step in told if not step.doing] == [1, 2]
    assert all(step.lower_bound <= step.best for step in told)


def test_the_answer_does_not_depend_on_how_many_processes_searched() -> None:
    net = network(a=TINY, b=WINDOW, c=SMALL)
    one, two = (tl.search(simple3(), net, jobs=jobs) for jobs in (1, 2))
    assert [each.to_dict() for each in one] == [each.to_dict() for each in two]


def test_a_mapping_that_meets_the_bound_ends_the_search() -> None:
    """Millions of mappings keep all PEs busy: one of them is enough."""
    layer = tl.parse_shape("K=256,C=256,P=14,Q=14,R=3,S=3,pad=1")
    result = searched(layer, "cycles", time_limit_s=60)
    assert result.proven_optimal
    assert result.cycles == result.lower_bound == layer.macs / 256


def test_time_runs_out() -> None:
    layer = tl.parse_shape("K=256,C=256,P=14,Q=14,R=3,S=3,pad=1")
    for limit in (1e-6, 0.2):
        result = searched(layer, "edp", time_limit_s=limit)
        assert not result.proven_optimal
        assert result.diagnosis is None
        assert result.mapping is not None
        assert 0 < result.lower_bound <= result.value
        assert result.gap == pytest.approx(result.value / result.lower_bound - 1)


def test_nothing_fits() -> None:
    result = tl.search(simple3(RF=2), TINY)
    assert result.mapping is None
    assert result.evaluation is None
    assert not result.proven_optimal
    assert math.isnan(result.energy_pj)
    assert result.diagnosis is not None
    text = "\n".join(result.diagnosis.lines())
    assert "RF" in text
    assert result.to_dict()["diagnosis"] == result.diagnosis.to_dict()


# -- planar-tiled accelerators ---------------------------------------------------------------------------------------

PLANAR = Layer("odd", K=13, C=5, W=9, H=6, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.5)


@pytest.mark.parametrize("name", ["scnn", "dcnn"])
@pytest.mark.parametrize("objective", ["cycles", "energy", "edp"])
def test_planar_tiled(name: str, objective: str) -> None:
    architecture = tl.load_architecture(name)
    result = tl.search(architecture, PLANAR, objective)
    points = ((None, None),)
    known = {"cycles": "cycles", "energy": "energy_pj", "edp": "edp"}
    best = best_planar_mappings(architecture, network_of(PLANAR), points, known[objective])  # type: ignore[arg-type]
    assert (result.cycles, result.energy_pj) == (best.cycles[0, 0], best.energy_pj[0, 0])
    assert result.mapping == best.mapping(0, 0)
    assert result.mappings_covered == best.covered == len(list(mapping_space(architecture, PLANAR)))
    again = evaluate(best.mapping(0, 0).applied_to(architecture), PLANAR)
    assert result.cycles == pytest.approx(again.cycles, rel=1e-12)
    assert result.proven_optimal
    assert result.lower_bound == result.value


def test_planar_tiled_at_a_density_and_lexicographic() -> None:
    scnn = tl.load_architecture("scnn")
    sparse = tl.search(scnn, PLANAR, "cycles,energy", weight_density=0.2, activation_density=0.2)
    dense = tl.search(scnn, PLANAR, "cycles,energy", weight_density=1.0, activation_density=1.0)
    assert sparse.cycles < dense.cycles
    fastest = tl.search(scnn, PLANAR, "cycles", weight_density=0.2, activation_density=0.2)
    assert sparse.cycles == pytest.approx(fastest.cycles)
    assert sparse.energy_pj <= fastest.energy_pj


def test_what_has_nothing_to_search() -> None:
    with pytest.raises(tl.SpecError, match="nothing is left to search"):
        tl.search(tl.load_architecture("eyeriss"), TINY)
    with pytest.raises(tl.SpecError, match="planar-tiled"):
        tl.search(tl.load_architecture("scnn"), TINY, constraints=["factors.GLB.K=1"])
    with pytest.raises(tl.SpecError, match="storage hierarchy"):
        tl.search(tl.load_architecture("scnn"), Problem({"M": 2}, (tensor("Z", "M", is_output=True),)))
