"""Bounds of planar mappings against evaluating them, and searches that use them against plain enumeration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.mapper.objective import parse_objective
from timeloop_py.mapper.planar_bounds import bounds, has_bounds
from timeloop_py.mapper.planar_candidates import Candidates, without_conflicts
from timeloop_py.mapper.planar_hardware import hardware_space
from timeloop_py.mapper.planar_mappings import mapping_space
from timeloop_py.mapper.planar_search import search_planar
from timeloop_py.mapper.planar_space import TIE, best_planar_mappings
from timeloop_py.model.evaluate import Unit, cycles_of_units, evaluate_units, network_of
from timeloop_py.model.planar_cycles import CycleLimit
from timeloop_py.sparsity import bank_contention
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import load_network
from timeloop_py.specs.tables import load_energy_table

FEW = (
    ("parameters.pe_x", 2),
    ("parameters.pe_y", 2),
    ("parameters.F", 2),
    ("parameters.I", 2),
    ("parameters.accumulator_banks", 8),
)
LAYERS = {
    "odd": Layer("odd", K=13, C=5, W=9, H=6, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.5),
    "strided": Layer("strided", K=6, C=3, W=15, H=11, R=5, S=3, stride=(2, 2), padding=(2, 1), N=2),
    "grouped": Layer("grouped", K=12, C=6, W=7, H=7, R=1, S=1, groups=2, weight_density=0.3, activation_density=0.2),
}
POINTS = ((None, None), (0.05, 0.9), (0.35, 0.4), (1.0, 1.0))


def small(**terms: object) -> Architecture:
    architecture = load_architecture("scnn", FEW)
    assert architecture.dataflow is not None
    return replace(architecture, dataflow=replace(architecture.dataflow, **terms))  # type: ignore[arg-type]


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"barrier": "none"},
        {"barrier": "per_channel"},
        {"bank_contention": "none", "block_overhead_cycles": 3},
    ],
)
def test_no_bound_is_above_the_truth(layer: Layer, terms: dict[str, object]) -> None:
    architecture = small(**terms)
    space, network = hardware_space(architecture, layer), network_of(layer)
    designs = [space.design(place) for place in range(len(space))]
    chosen = slice(None, None, 1 if terms == {} else 7)
    low = bounds(space, network, POINTS)
    true = evaluate_units([Unit(design, network, layer) for design in designs[chosen]], POINTS)
    assert len(low.cycles) == len(designs)
    assert (low.cycles[chosen] <= true.layer_cycles).all()
    np.testing.assert_allclose(low.energy_pj[chosen], true.layer_energy_pj, rtol=1e-10)
    # Not far below either, where no queue is ever full: a bound of 0 would pass the above.
    assert np.median(low.cycles[chosen] / true.layer_cycles) > 0.3


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(
    "terms",
    [
        {"bank_contention": "unqueued"},
        {"bank_contention": "unqueued", "barrier": "none", "block_overhead_cycles": 3},
        {"queue_depth": 1, "barrier": "per_channel"},
    ],
)
@pytest.mark.parametrize("shares", [(0.4, 0.4), (1.1, 0.4)])
def test_cycles_up_to_a_limit_are_exact_and_all_others_above_it(
    layer: Layer, terms: dict[str, object], shares: tuple[float, float]
) -> None:
    """All units twice, up to ``shares`` of their stalls; then without a limit, from where walks stopped."""
    architecture, network = small(**terms), network_of(layer)
    space = hardware_space(architecture, layer)
    units = 2 * [Unit(space.design(place), network, layer) for place in range(0, len(space), 37)]
    share = np.repeat(shares, len(units) // 2)[:, None]
    none = [Unit(without_conflicts(unit.architecture), network, layer) for unit in units]
    least, true = (cycles_of_units(each, POINTS[2:]) for each in (none, units))
    limit = CycleLimit(least + share * (true - least), {})
    bank_contention._known.cache_clear()  # else every walk is at its end
    for _ in range(2):
        found = cycles_of_units(units, POINTS[2:], limit)
        above = found > limit.at_most
        np.testing.assert_array_equal(found[~above], true[~above])
        assert (true[above] > limit.at_most[above]).all()
    # No walk stops that one of the two needs; the grouped layer hardly waits.
    assert not limit.begun if max(shares) > 1 else limit.begun or layer.name == "grouped"
    np.testing.assert_array_equal(cycles_of_units(units, POINTS[2:], CycleLimit(true * 2, limit.begun)), true)


@pytest.mark.parametrize("objective", ["cycles", "energy", "edp", "ed2p", "cycles,energy"])
@pytest.mark.parametrize("name", ["inception_4e/5x5", "inception_5b/1x1", "inception_5a/3x3"])
def test_searches_of_googlenet_layers_equal_enumeration(name: str, objective: str) -> None:
    architecture, network = small(), load_network("googlenet")
    layer = replace(network.layer(name), K=10, C=4)
    chosen = parse_objective(objective)
    alone = network_of(layer)
    found = search_planar(architecture, alone, layer, (None, None), chosen, hardware=True)
    space = list(hardware_space(architecture, layer))
    each = evaluate_units([Unit(mapping.applied_to(architecture), alone, layer) for mapping in space])
    left = np.arange(len(space))
    for measure in chosen.measures:
        cost = measure.value(each.layer_energy_pj[left, 0], each.layer_cycles[left, 0])
        left = left[cost <= cost.min() * (1 + TIE)]
    assert found.mapping == space[left[0]]
    assert found.covered == len(space)
    assert found.evaluation.energy_pj == pytest.approx(float(each.layer_energy_pj[left[0], 0]), rel=1e-12)


@pytest.mark.parametrize("objective", ["cycles", "energy_pj", "edp"])
def test_every_point_has_its_optimum(objective: str) -> None:
    points = tuple((weight, activation) for weight in (0.1, 0.5, 1.0) for activation in (0.1, 0.6, 1.0))
    layer = LAYERS["strided"]
    best = best_planar_mappings(small(), network_of(layer), points, objective)  # type: ignore[arg-type]
    space = list(mapping_space(small(), layer))
    each = evaluate_units([Unit(mapping.applied_to(small()), network_of(layer), layer) for mapping in space], points)
    energy, cycles = each.layer_energy_pj, each.layer_cycles
    cost = {"cycles": cycles, "energy_pj": energy, "edp": energy * cycles}[objective]
    first = np.argmax(cost <= cost.min(axis=0) * (1 + TIE), axis=0)
    assert [best.mapping(0, point) for point in range(len(points))] == [space[place] for place in first]


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 4),
    st.tuples(st.integers(3, 9), st.integers(3, 9)),
    st.tuples(st.floats(0.1, 1.0), st.floats(0.1, 1.0)),
    st.sampled_from(["per_group", "per_channel", "none"]),
    st.sampled_from(["cycles", "energy", "edp", "ed2p", "energy+50*cycles", "energy,cycles", "cycles,energy"]),
)
def test_searches_of_random_layers_equal_enumeration(
    outputs: int, channels: int, plane: tuple[int, int], densities: tuple[float, float], barrier: str, objective: str
) -> None:
    architecture, chosen = small(barrier=barrier, bank_contention="none"), parse_objective(objective)
    layer = Layer("random", K=outputs, C=channels, W=plane[0], H=plane[1], R=3, S=2, padding=(1, 1))
    network = network_of(layer)
    found = search_planar(architecture, network, layer, densities, chosen, hardware=True)
    space = hardware_space(architecture, layer)
    units = [Unit(mapping.applied_to(architecture), network, layer) for mapping in space]
    each = evaluate_units(units, (densities,))
    left = np.arange(len(space))
    for measure in chosen.measures:
        cost = measure.value(each.layer_energy_pj[left, 0], each.layer_cycles[left, 0])
        left = left[cost <= cost.min() * (1 + TIE)]
    assert found.mapping == space.mapping(int(left[0]))
    assert found.covered == len(units)


@pytest.mark.parametrize("objective", ["cycles", "energy", "edp"])
def test_what_is_left_out_has_a_bound_above_the_answer(objective: str) -> None:
    """The proof itself: every mapping that was not evaluated, one by one, and that some were spared."""
    architecture, layer = small(), replace(LAYERS["odd"], K=40)
    network, measure = network_of(layer), parse_objective(objective).measures[0]
    space = hardware_space(architecture, layer)
    candidates = Candidates(space, network, POINTS[:1])
    left = candidates.may_be_best(measure.value, TIE)
    rest = np.setdiff1d(np.arange(len(space)), left)
    assert len(rest) > len(space) / 2
    units = [Unit(space.design(int(place)), network, layer) for place in (*left, *rest[::3])]
    each = evaluate_units(units, POINTS[:1])
    cost = measure.value(each.layer_energy_pj[:, 0], each.layer_cycles[:, 0])
    assert cost[len(left) :].min() > cost[: len(left)].min() * (1 + TIE)
    if objective != "energy":  # which asks for no cycles
        np.testing.assert_allclose(candidates.cycles[left, 0], each.layer_cycles[: len(left), 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "objective"),
    [("odd", "cycles"), ("odd", "energy+50*cycles"), ("strided", "edp"), ("strided", "cycles,energy")],
)
def test_searches_where_banks_decide_equal_enumeration(name: str, objective: str) -> None:
    """Banks that all PEs wait for: walks of most mappings stop early, and some are taken up again."""
    architecture, chosen = small(bank_contention="unqueued"), parse_objective(objective)
    layer = replace(LAYERS[name], K=4, N=1)
    network = network_of(layer)
    space = hardware_space(architecture, layer)
    each = evaluate_units([Unit(space.design(place), network, layer) for place in range(len(space))])
    bank_contention._known.cache_clear()
    found = search_planar(architecture, network, layer, (None, None), chosen, hardware=True)
    left = np.arange(len(space))
    for measure in chosen.measures:
        cost = measure.value(each.layer_energy_pj[left, 0], each.layer_cycles[left, 0])
        left = left[cost <= cost.min() * (1 + TIE)]
    assert found.mapping == space.mapping(int(left[0]))
    assert found.evaluation.cycles == each.layer_cycles[left[0], 0]


@pytest.mark.parametrize("objective", ["cycles", "edp", "ed2p"])
def test_points_where_banks_decide_have_their_optima(objective: str) -> None:
    """A walk stops only where its mapping is out at every point."""
    architecture, layer = small(bank_contention="unqueued"), replace(LAYERS["odd"], K=7)
    points = tuple((weight, activation) for weight in (0.2, 0.7) for activation in (0.3, 1.0))
    best = best_planar_mappings(architecture, network_of(layer), points, objective)  # type: ignore[arg-type]
    space = mapping_space(architecture, layer)
    units = [Unit(space.design(place), network_of(layer), layer) for place in range(len(space))]
    each = evaluate_units(units, points)
    energy, cycles = each.layer_energy_pj, each.layer_cycles
    cost = {"cycles": cycles, "edp": energy * cycles, "ed2p": energy * cycles**2}[objective]
    first = np.argmax(cost <= cost.min(axis=0) * (1 + TIE), axis=0)
    assert [best.mapping(0, point) for point in range(len(points))] == [space.mapping(int(place)) for place in first]
    np.testing.assert_array_equal(best.cycles[0], cycles[first, np.arange(len(points))])


def test_only_a_mapping_that_is_out_at_every_point_stays_unknown() -> None:
    architecture, layer = small(bank_contention="unqueued"), LAYERS["odd"]
    space, network, points = mapping_space(architecture, layer), network_of(layer), POINTS[2:]
    units = [Unit(space.design(place), network, layer) for place in range(4)]
    true = cycles_of_units(units, points)
    bank_contention._known.cache_clear()
    candidates = Candidates(space, network, points)
    bound = candidates.cycles[:4].copy()
    out = np.array([[0.5, 0.5], [0.5, 1.5], [1.5, 0.5], [1.5, 1.5]])
    at_most = bound + out * (true - bound)
    candidates.evaluate(np.arange(4), at_most)
    assert candidates.known[:4].tolist() == [False, True, True, True]
    np.testing.assert_array_equal(candidates.cycles[:4], np.vstack([at_most[:1], true[1:]]))


@pytest.mark.parametrize("text", ["cycles", "edp", "ed2p", "energy+50*cycles"])
def test_cycles_beyond_a_limit_are_just_beyond_it(text: str) -> None:
    space, measure = mapping_space(small(), LAYERS["odd"]), parse_objective(text).measures[0]
    candidates = Candidates(space, network_of(LAYERS["odd"]), POINTS)
    places = np.arange(len(space))
    value = measure.value(candidates.energy_pj, candidates.cycles)
    limit = np.quantile(value, 0.7, axis=0)
    beyond = candidates.cycles_beyond(places, measure.value, limit)
    above = measure.value(candidates.energy_pj, beyond)
    assert (beyond >= candidates.cycles).all()
    assert (above > limit).all()
    assert (above <= np.maximum(limit, value) * (1 + 1e-6)).all()
    assert (candidates.cycles_beyond(places, measure.value, limit * np.inf) == np.inf).all()


@pytest.mark.parametrize("objective", ["energy", "edp"])
@pytest.mark.parametrize("contention", ["queued", "none"])
def test_the_front_over_all_hardware(objective: str, contention: str) -> None:
    architecture, layer, metrics = small(bank_contention=contention), LAYERS["odd"], ("energy_pj", "cycles")
    network = network_of(layer)
    space = hardware_space(architecture, layer)
    each = evaluate_units([Unit(space.design(place), network, layer) for place in range(len(space))])
    energy, cycles = each.layer_energy_pj[:, 0], each.layer_cycles[:, 0]
    chosen = parse_objective(objective)
    found = search_planar(architecture, network, layer, (None, None), chosen, metrics, hardware=True)
    assert found.front is not None
    assert found.front.complete
    points = [(point.energy_pj, point.cycles) for point in found.front.points]
    for one, other in points:  # nothing is below a point, and every mapping is above or at one
        assert not ((energy < one * (1 - 1e-8)) & (cycles < other * (1 + 1e-8))).any()
    above = [(energy >= one * (1 - 1e-8)) & (cycles >= other * (1 - 1e-8)) for one, other in points]
    assert np.any(above, axis=0).all()


def test_bounds_follow_the_energy_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are kept from layer to layer, but not those of a table that has changed."""
    architecture, layer = small(), LAYERS["odd"]
    space, table = mapping_space(architecture, layer), load_energy_table("literature_16nm")
    entry = table.entries["multiplier.multiply"]
    dear = replace(entry, law=replace(entry.law, value=2 * entry.law.value))
    energies = []
    for each in (table, replace(table, entries={**table.entries, "multiplier.multiply": dear})):
        for module in ("mapper.planar_bounds", "model.evaluate"):
            monkeypatch.setattr(f"timeloop_py.{module}.load_energy_table", lambda _, each=each: each)
        energies.append(bounds(space, network_of(layer), POINTS[:1]).energy_pj)
        true = evaluate_units([Unit(space.design(0), network_of(layer), layer)], POINTS[:1])
        np.testing.assert_allclose(energies[-1][0], true.layer_energy_pj[0], rtol=1e-10)
    assert (energies[1] > energies[0]).all()


@pytest.mark.parametrize("name", ["scnn", "dcnn"])
@pytest.mark.parametrize("rate", [None, 0.5])
def test_cycles_alone_are_those_of_an_evaluation(name: str, rate: float | None) -> None:
    settings_of = FEW if rate is None else (*FEW, ("components.dram.events_per_cycle", rate))
    architecture = load_architecture(name, settings_of)
    units = [Unit(architecture, network_of(layer), layer) for layer in LAYERS.values()]
    np.testing.assert_array_equal(cycles_of_units(units, POINTS), evaluate_units(units, POINTS).layer_cycles)


def test_without_bounds_everything_is_evaluated() -> None:
    layer = LAYERS["odd"]
    for architecture in (load_architecture("dcnn", FEW), small(placeholders=True)):
        assert not has_bounds(architecture, layer, POINTS)
        space = mapping_space(architecture, layer)
        candidates = Candidates(space, network_of(layer), POINTS[1:2])
        units = [Unit(space.design(place), network_of(layer), layer) for place in range(len(space))]
        true = evaluate_units(units, POINTS[1:2])
        np.testing.assert_allclose(candidates.energy_pj, true.layer_energy_pj, rtol=1e-12)
        assert (candidates.cycles <= true.layer_cycles * (1 + 1e-12)).all()
