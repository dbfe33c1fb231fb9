"""Formulas: at numbers they are the engine's counts and cycles, for the bounds they came from and for any others."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nest.strategies import FAMILIES, countable_cases
from tests.nest.strategies import Case as RandomCase
from timeloop_py.model.batch import Batch, Densities
from timeloop_py.model.capacity import ActivationTraffic
from timeloop_py.model.cycle_formulas import TERMS, term_formula
from timeloop_py.model.evaluate import evaluate
from timeloop_py.model.evaluate_case import evaluate_case
from timeloop_py.model.formulas import (
    ACTIONS,
    CASE_TERMS,
    LETTERS,
    array_formula,
    case_formula,
    case_term,
    count_formula,
    formula_value,
    nest_formula,
)
from timeloop_py.model.planar_accesses import PlanarAccesses
from timeloop_py.model.planar_cycles import compute_time
from timeloop_py.nest.array_nest import array_nest
from timeloop_py.nest.traffic import count_traffic
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.case import Case, load_case
from timeloop_py.specs.dataflow import TemplateStore
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.layer_file import parse_shape
from timeloop_py.specs.mapping import Loop
from timeloop_py.specs.problem import Problem

CASES = Path(__file__).parents[1] / "data" / "timeloop_cases"
DENSE = ("d02_conv1d_2level_ws", "d04_conv1d_oc_tiled", "d13_mm_spatial_2d", "d17_conv2d_halo", "d18_conv2d_stride2")


def shipped(name: str) -> Case:
    return load_case(CASES / name / "case.json")


def with_bounds(case: Case, change: int) -> Case:
    """The same nest with every loop ``change`` iterations longer."""
    nodes = [
        replace(node, bound=node.bound + change) if isinstance(node, Loop) and node.bound > 1 else node
        for node in case.mapping.nodes
    ]
    dims = {
        dim: prod(node.bound for node in nodes if isinstance(node, Loop) and node.dim == dim)
        for dim in case.problem.dims
    }
    return replace(
        case,
        problem=replace(case.problem, dims=dims),
        mapping=replace(case.mapping, nodes=tuple(nodes), places=()),
        hierarchy=replace(
            case.hierarchy, levels=tuple(replace(level, capacity_words=None) for level in case.hierarchy.levels)
        ),
    )


# ---- access counts of cases ----


@pytest.mark.parametrize("name", DENSE)
def test_a_count_is_the_engines_at_the_bounds_of_the_case_and_at_others(name: str) -> None:
    case = shipped(name)
    longer = with_bounds(case, 2)
    counted, counted_longer = (count_traffic(one.problem, one.mapping, one.options) for one in (case, longer))
    for row, row_longer in zip(counted.rows, counted_longer.rows, strict=True):
        for action in ACTIONS:
            formula = case_formula(case, row.level, row.tensor, action)
            assert formula.at(formula.values) == getattr(row, action)
            other = {letter: bound + 2 for letter, bound in formula.values.items()}
            assert formula.at(other) == getattr(row_longer, action)


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_of_random_nests(family: str) -> None:
    @given(countable_cases(FAMILIES[family]()), st.data())
    @settings(max_examples=30)
    def check(case: RandomCase, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(count_traffic(case.problem, case.mapping, case.options).rows))
        action = data.draw(st.sampled_from(ACTIONS))
        try:
            formula = count_formula(case.problem, case.mapping, case.options, row.level, row.tensor, action)
        except SpecError:
            if not (case.options.share_halos or case.options.link_transfer):
                raise  # only these two compare the words of one instance with another's
            return
        assert formula.at(formula.values) == getattr(row, action)

    check()


def test_the_formula_is_the_one_in_the_books() -> None:
    """Weight-stationary 1-D convolution: weights once, the window slides over P + R - 1 inputs, P outputs go up."""
    case = shipped("d02_conv1d_2level_ws")
    P, R = sympy.symbols("P R", integer=True, positive=True)
    assert case_formula(case, "Buf", "Weights", "fills").expression == R
    assert sympy.simplify(case_formula(case, "Buf", "Inputs", "fills").expression - (P + R - 1)) == 0
    assert case_formula(case, "DRAM", "Outputs", "updates").expression == P


def test_loops_that_do_not_divide_their_dimension_stay_numbers() -> None:
    formula = case_formula(shipped("d22_imperfect_p7"), "Buf", "Inputs", "fills")
    assert set(formula.values) == {"R"}
    assert formula.at({"R": 3}) == 9
    assert any("P stays a number" in remark for remark in formula.remarks)


def test_holes_of_strided_tiles_are_counted_by_a_named_function() -> None:
    case = shipped("d09_conv1d_oc_3level_keepall")
    strided = replace(case, problem=with_stride(case, 3))
    formula = case_formula(strided, "RF", "Inputs", "fills")
    assert "SharedPositions" in str(formula.expression)
    for one, change in ((strided, 0), (with_bounds(strided, 2), 2)):
        expected = count_traffic(one.problem, one.mapping, one.options).of("RF", "Inputs").fills
        assert formula.at({letter: bound + change for letter, bound in formula.values.items()}) == expected


def with_stride(case: Case, stride: int) -> Problem:
    tensors = tuple(
        replace(
            tensor,
            ranks=tuple(
                replace(rank, terms=(replace(rank.terms[0], coefficient=stride), *rank.terms[1:]))
                if len(rank.terms) == 2
                else rank
                for rank in tensor.ranks
            ),
        )
        for tensor in case.problem.tensors
    )
    return replace(case.problem, tensors=tensors)


@pytest.mark.parametrize(
    ("level", "tensor", "message"),
    [("Bux", "Inputs", "'Buf'"), ("Buf", "Input", "'Inputs'"), ("GLB", "Z", "no level")],
)
def test_places_that_are_not_there(level: str, tensor: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        case_formula(shipped("d02_conv1d_2level_ws"), level, tensor, "reads")


# ---- cycles and energy of cases ----


@pytest.mark.parametrize("name", [*DENSE, "d21_bandwidth_throttled", "d22_imperfect_p7", "d25_depthwise"])
@pytest.mark.parametrize("term", CASE_TERMS)
def test_cycles_and_energy_of_cases(name: str, term: str) -> None:
    case = shipped(name)
    formula = case_term(case, term)
    assert formula.at(formula.values) == pytest.approx(getattr(evaluate_case(case), term), rel=1e-12)


def test_bandwidths_show_in_the_cycles() -> None:
    expression = case_term(shipped("d21_bandwidth_throttled"), "cycles").expression
    assert isinstance(expression, sympy.Max)
    assert expression.has(sympy.ceiling)


def test_terms_without_a_formula_say_so() -> None:
    with pytest.raises(SpecError, match="sparse"):
        case_term(shipped("s02_dot_gate_B_on_A"), "cycles")
    with pytest.raises(SpecError, match="'cycles'"):
        case_term(shipped("d02_conv1d_2level_ws"), "cycle")


# ---- dataflows ----


LAYERS = (
    Layer("even", K=32, C=6, W=16, H=16, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.3),
    Layer("odd", K=20, C=3, W=13, H=11, R=5, S=3, padding=(1, 0), groups=1, weight_density=0.9, activation_density=0.1),
    Layer("grouped", K=24, C=8, W=9, H=9, R=1, S=1, groups=2, weight_density=0.2, activation_density=0.8),
    Layer("strided", K=16, C=4, W=21, H=21, R=5, S=5, stride=(2, 2), weight_density=0.5, activation_density=0.5),
)


def designs() -> list[Architecture]:
    return [
        load_architecture("scnn"),
        load_architecture("scnn", [("dataflow.name", "pt_is_cp_dense")]),
        load_architecture("dcnn"),
    ]


@pytest.mark.parametrize("architecture", designs(), ids=lambda design: design.dataflow.name)
def test_counts_of_dataflows(architecture: Architecture) -> None:
    batch = Batch([architecture] * len(LAYERS), LAYERS)
    own = Densities(
        *(
            np.array([[getattr(layer, name)] for layer in LAYERS])
            for name in ("weight_density", "activation_density", "stored_density")
        )
    )
    whole = np.ones((len(LAYERS), 1))
    accesses = PlanarAccesses(batch, own, ActivationTraffic(whole > 0, whole, whole))
    blocks = len(batch.group_of_block)
    counts = {name: np.broadcast_to(values, (blocks, 1))[:, 0] for name, values in accesses.trip_counts.items()}
    entries = (batch.group_channels * batch.group_written / batch.group_busy_pes)[batch.group_of_block]
    template = architecture.require_accelerator()[1].template
    for node in template.nodes:
        if not isinstance(node, TemplateStore):
            continue
        for action in ACTIONS:
            formula = nest_formula(architecture, node.component, node.tensor, action)
            found = np.broadcast_to(getattr(accesses.traffic.of(node.component, node.tensor), action), (blocks, 1))[
                :, 0
            ]
            for block in batch.first_block:  # further parities add to the output tile of the first
                values = values_of(counts, block) | {"O": entries[block]}
                assert formula.at(values) == pytest.approx(found[block], rel=1e-9, abs=1e-9)


def values_of(counts: dict[str, np.ndarray], block: int) -> dict[str, float]:
    return {LETTERS[name]: float(values[block]) for name, values in counts.items()}


def test_where_every_loop_runs_twice_the_short_form_is_the_long_one() -> None:
    formula = nest_formula(load_architecture("scnn"), "dram", "Weights", "reads")
    letters = {symbol.name for symbol in formula.expression.free_symbols}
    values = {letter: 2 + index for index, letter in enumerate(sorted(letters))}
    assert formula.simple is not None
    assert formula_value(formula.simple, values) == formula.at(values)
    once = dict.fromkeys(letters, 1) | {"T": 5}
    assert formula.at(once) == 1, "weights of a single block stay over all passes"
    assert formula_value(formula.simple, once) == 5


def test_vectors_and_their_filled_lanes_make_the_non_zeros() -> None:
    formula = nest_formula(load_architecture("scnn"), "input_activation_ram", "Inputs", "reads")
    sizes = {"T": 1, "N_PE": 64, "G": 1, "N_K": 16, "C": 96, "t": 12, "I": 4, "d_a": 0.5}
    assert formula.at(sizes) == pytest.approx(64 * 16 * 96 * 12 * 0.5)


# ---- cycle terms ----


def plane(architecture: Architecture, layer: Layer) -> tuple[Batch, Densities, dict[str, float], int]:
    """A layer of one output-channel group size in one pass, and the letters' numbers for it."""
    batch = Batch([architecture], [layer])
    assert len(batch.group_channels) == len(batch.group_of_block) == 1
    densities = Densities(
        *(np.array([[layer.weight_density]]), np.array([[layer.activation_density]]), np.ones((1, 1)))
    )
    tiles = [(size, count) for size, count in zip(batch.class_sizes[0], batch.class_counts[0], strict=True) if count]
    parameters, flow = architecture.require_accelerator()
    values = {
        "K_c": batch.group_channels[0],
        "R": layer.R,
        "S": layer.S,
        "C": layer.C,
        "F": parameters.F,
        "I": parameters.I,
        "d_w": layer.weight_density,
        "d_a": layer.activation_density,
        "h": flow.block_overhead_cycles,
        "r_d": flow.drain_words_per_cycle,
        "O_t": batch.group_output_tile[0],
        "N_g": batch.group_repeats[0],
    }
    for number, (size, count) in enumerate(tiles, 1):
        values |= {f"t_{number}": size, f"n_{number}": count}
    return batch, densities, {letter: float(value) for letter, value in values.items()}, len(tiles)


TILED = Layer("tiled", K=32, C=6, W=20, H=16, R=3, S=3, padding=(1, 1), weight_density=0.4, activation_density=0.3)
NEARLY_DENSE = replace(TILED, weight_density=0.95, activation_density=0.99)
OVERHEAD = ("dataflow.block_overhead_cycles", 2)


@pytest.mark.parametrize("layer", [TILED, NEARLY_DENSE], ids=["sparse", "nearly dense"])
@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("scnn", [("dataflow.barrier", "per_group")]),
        ("scnn", [("dataflow.barrier", "per_channel")]),
        ("scnn", [("dataflow.barrier", "none")]),
        ("scnn", [("dataflow.barrier", "per_group"), OVERHEAD]),
        ("scnn", [("dataflow.barrier", "per_group"), ("dataflow.drain_words_per_cycle", 6)]),
        ("scnn", [("dataflow.barrier", "none"), ("dataflow.drain_words_per_cycle", 6)]),
        ("scnn", [("dataflow.name", "pt_is_cp_dense"), OVERHEAD]),
        ("dcnn", [OVERHEAD]),
        ("dcnn", [("dataflow.vector_over", "channels"), ("dataflow.drain_words_per_cycle", 0.5)]),
    ],
)
def test_cycle_terms_are_those_of_the_engine(name: str, choices: list[tuple[str, object]], layer: Layer) -> None:
    architecture = load_architecture(name, [*choices, ("dataflow.bank_contention", "none")])  # type: ignore[list-item]
    batch, densities, values, classes = plane(architecture, layer)
    time = compute_time(batch, densities)
    expected = {
        "barrier": time.slowest,
        "overhead": time.overhead,
        "compute_cycles": time.cycles,
        "drain": time.draining,
        "cycles": evaluate(architecture, layer).layer_cycles,
    }
    if ("dataflow.barrier", "per_channel") in choices:
        # E[max(drain, steps)] under a barrier per channel has a number but no formula.
        values["E_D"] = float(time.slowest[0, 0] + time.draining[0, 0])
    for term, cycles in expected.items():
        found = term_formula(architecture, term, classes).at(values)
        assert found == pytest.approx(float(np.ravel(cycles)[0]), rel=1e-9), term
    # All PEs together take the steps of their tiles.
    steps = term_formula(architecture, "fragmentation")
    every = sum(
        values[f"n_{number}"] * steps.at(values | {"t": values[f"t_{number}"]}) for number in range(1, classes + 1)
    )
    assert every == pytest.approx(float(time.steps[0, 0]), rel=1e-9)


def test_banks_enter_as_a_factor() -> None:
    architecture = load_architecture("scnn", [("dataflow.bank_contention", "unqueued")])
    batch, densities, values, classes = plane(architecture, TILED)
    time = compute_time(batch, densities)
    factor = 1 + float(time.stalls[0, 0] / time.slowest[0, 0])
    assert factor > 1
    found = term_formula(architecture, "compute_cycles", classes).at(values | {"s_b": factor})
    assert found == pytest.approx(float(time.cycles[0, 0]), rel=1e-9)


@pytest.mark.parametrize("term", TERMS)
def test_every_term_prints(term: str) -> None:
    formula = term_formula(load_architecture("scnn"), term)
    for letter in (symbol.name for symbol in formula.expression.free_symbols):
        assert formula.letters[letter]
    assert sympy.latex(formula.expression).count("{") == sympy.latex(formula.expression).count("}")
    assert "Expected" not in str(formula.expression)


def test_terms_that_a_dataflow_has_not() -> None:
    with pytest.raises(SpecError, match="pt_is_dp_dense has no term 'weight_vectors'"):
        term_formula(load_architecture("dcnn"), "weight_vectors")
    with pytest.raises(SpecError, match="'barrier'"):
        term_formula(load_architecture("scnn"), "barier")


# ---- multiplier arrays ----


@pytest.mark.parametrize(("name", "shape"), [("eie", "K=640,C=96"), ("dadiannao", "K=32,C=16,P=8,Q=8,R=3,S=3,pad=1")])
def test_counts_of_layers_on_arrays(name: str, shape: str) -> None:
    architecture, layer = load_architecture(name), parse_shape(shape)
    for row in array_nest(architecture, layer).traffic.rows:
        for action in ACTIONS:
            formula = array_formula(architecture, layer, row.level, row.tensor, action)
            assert formula.at(formula.values) == getattr(row, action)
