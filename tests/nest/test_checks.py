"""Mapping checks: every violation is named, with its place, and mappings that fit are let through."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.nest.checks import CapacityExcess, capacity_excesses, check_mapping, mapping_violations
from timeloop_py.specs.case import load_case
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Store
from timeloop_py.specs.mapping_file import parse_mapping
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

CASES = sorted((Path(__file__).parents[1] / "data" / "timeloop_cases").glob("*/case.json"))
X, Y = LoopKind.SPATIAL_X, LoopKind.SPATIAL_Y

PROBLEM = Problem(
    {"K": 8, "C": 6, "P": 7},
    (
        Tensor("Weights", (Rank((Term("K"),)), Rank((Term("C"),)))),
        Tensor("Inputs", (Rank((Term("C"),)), Rank((Term("P"),)))),
        Tensor("Outputs", (Rank((Term("K"),)), Rank((Term("P"),))), is_output=True),
    ),
)
CHIP = Hierarchy(
    (
        StorageLevel("DRAM"),
        StorageLevel("GLB", capacity_words=100),
        StorageLevel(
            "RF", instances=12, mesh_x=4, capacity_words=40, multiple_buffering=2, tensors=("Weights", "Outputs")
        ),
    ),
    ComputeLevel("MAC", instances=12, mesh_x=4),
)
GOOD = """\
- {store: [DRAM, Weights]}
- {store: [DRAM, Inputs]}
- {store: [DRAM, Outputs]}
- {loop: [P, 2]}
- {store: [GLB, Inputs]}
- {store: [GLB, Outputs]}
- {spatial_x: [K, 4]}
- {spatial_y: [C, 3]}
- {store: [RF, Weights]}
- {store: [RF, Outputs]}
- {loop: [K, 2]}
- {loop: [C, 2]}
- {loop: [P, 4]}
"""


def parse(text: str) -> Mapping:
    return parse_mapping(parse_value(text, "map.yaml"), PROBLEM, CHIP)


def test_a_mapping_that_fits() -> None:
    check_mapping(PROBLEM, CHIP, parse(GOOD), {("GLB", "Inputs"): 60, ("GLB", "Outputs"): 40, ("RF", "Weights"): 20})


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_every_measured_case_fits(path: Path) -> None:
    case = load_case(path)
    assert mapping_violations(case.problem, case.hierarchy, case.mapping) == []


BAD = [
    # (what stands there, what is written instead, line, field, parts of the message)
    ("{loop: [K, 2]}", "{loop: [K, 1]}", 7, "[6].spatial_x", ["loops of K multiply to 4 (4 x 1), K is 8: 4 left out"]),
    ("- {loop: [P, 2]}\n", "", 12, "[11].loop", ["loops of P run 4, P is 7: 3 left out"]),
    ("{loop: [P, 2]}", "{loop: [P, 3]}", 4, "[3].loop", ["multiply to 12 (3 x 4)", "needs 2 of its 3 iterations"]),
    ("{loop: [P, 4]}", "{loop: [P, 7]}", 4, "[3].loop", ["multiply to 14 (2 x 7)", "needs 1 of its 2 iterations"]),
    ("- {store: [DRAM, Inputs]}\n- {store: [DRAM, Outputs]}\n- {loop: [P, 2]}\n- {store: [GLB, Inputs]}\n",
     "- {store: [DRAM, Outputs]}\n- {loop: [P, 2]}\n", 1, "mapping", ["tensor 'Inputs' is stored nowhere"]),
    ("{store: [GLB, Inputs]}", "{store: [DRAM, Inputs]}", 5, "[4].store", ["'Inputs' is stored twice in level 'DRAM'"]),
    ("{store: [DRAM, Outputs]}", "{store: [RF, Outputs]}", 6, "[5].store",
     ["'Outputs' is stored in 'GLB' below 'RF', but 'GLB' is the outer level"]),
    ("{store: [RF, Outputs]}", "{store: [RF, Inputs]}", 10, "[9].store",
     ["level 'RF' may not hold 'Inputs' (it may hold Weights, Outputs)"]),
    ("{spatial_x: [K, 4]}", "{spatial_x: [K, 8]}", 7, "[6].spatial_x",
     ["multiply to 16 (8 x 2), K is 8: the outermost needs 4 of its 8", "line 7: the spatial_x loops (K 8) take 8"]),
    ("{spatial_y: [C, 3]}", "{spatial_x: [C, 3]}", 7, "[6].spatial_x",
     ["the spatial_x loops (K 4, C 3) take 12 columns", "between 'GLB' and 'RF', which has 4 (4 x 3 in all, 12 used)",
      "8 too many"]),
    ("{spatial_x: [K, 4]}", "{spatial_y: [K, 4]}", 7, "[6].spatial_y", ["take 12 rows", "which has 3", "9 too many"]),
    ("{loop: [C, 2]}", "{spatial_x: [C, 2]}", 12, "[11].spatial_x",
     ["spatial_x C 2 loop stands between 'RF' and 'MAC', where nothing fans out: there is one 'MAC' per 'RF'"]),
    ("{loop: [P, 2]}", "{spatial_y: [P, 2]}", 4, "[3].spatial_y", ["between 'DRAM' and 'GLB', where nothing fans out"]),
    ("- {store: [DRAM, Weights]}", "- {spatial_x: [K, 1]}\n- {store: [DRAM, Weights]}", None, None, []),
    ("- {store: [DRAM, Weights]}\n", "- {spatial_x: [P, 2]}\n- {store: [DRAM, Weights]}\n", 1, "[0].spatial_x",
     ["the outermost needs 1 of its 2", "line 1: the spatial_x P 2 loop stands above all storage nodes"]),
    ("- {store: [GLB, Outputs]}\n- {spatial_x: [K, 4]}", "- {spatial_x: [K, 4]}\n- {store: [GLB, Outputs]}", 7,
     "[6].store", ["'Outputs' is stored in 'GLB' below a spatial loop over the array between 'GLB' and 'RF'"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "field", "parts"), BAD, ids=[f"{bad[3]}-{bad[1][:24]}" for bad in BAD])
def test_a_bad_mapping_is_named(old: str, new: str, line: int | None, field: str | None, parts: list[str]) -> None:
    assert GOOD.count(old) == 1
    mapping = parse(GOOD.replace(old, new))
    if line is None:
        check_mapping(PROBLEM, CHIP, mapping)
        return
    with pytest.raises(SpecError) as caught:
        check_mapping(PROBLEM, CHIP, mapping)
    assert (caught.value.path, caught.value.line, caught.value.field) == ("map.yaml", line, field)
    for part in parts:
        assert part in caught.value.message


def test_all_violations_are_named_at_once() -> None:
    mapping = parse(GOOD.replace("[K, 2]", "[K, 1]").replace("[P, 2]", "[P, 3]"))
    assert len(mapping_violations(PROBLEM, CHIP, mapping)) == 2
    with pytest.raises(SpecError) as caught:
        check_mapping(PROBLEM, CHIP, mapping)
    first, second = caught.value.message.split("\n")
    assert "loops of K" in first
    assert second.startswith("  line 4: the loops of P")


def test_unknown_names_in_a_mapping_made_by_a_program() -> None:
    mapping = Mapping(
        (Store("Buff", "Inputs"), Store("GLB", "Input"), Loop("k", 2), Loop("K", 0)), (("RFF", "Weights"),)
    )
    messages = [violation.message for violation in mapping_violations(PROBLEM, CHIP, mapping)]
    assert [message.split(" (")[0] for message in messages] == [
        "unknown level 'Buff'",
        "unknown tensor 'Input'",
        "unknown dimension 'k'",
        "expected a bound of at least 1 for K, found 0",
        "unknown level 'RFF'",
    ]
    assert "did you mean 'Inputs'?" in messages[1]
    with pytest.raises(SpecError) as caught:
        check_mapping(PROBLEM, CHIP, mapping)
    assert (caught.value.path, caught.value.field) == (None, "mapping")


def test_a_dimension_without_loops() -> None:
    mapping = parse(GOOD.replace("- {spatial_y: [C, 3]}\n", "").replace("- {loop: [C, 2]}\n", ""))
    (violation,) = mapping_violations(PROBLEM, CHIP, mapping)
    assert (violation.message, violation.node) == ("the loops of C are missing, C is 6: 5 left out", None)


def test_capacity_of_a_shared_buffer() -> None:
    tiles = {("GLB", "Inputs"): 61, ("GLB", "Outputs"): 40, ("DRAM", "Weights"): 10**9, ("RF", "Weights"): 20}
    (excess,) = capacity_excesses(CHIP, tiles)
    assert excess == CapacityExcess("GLB", {"Inputs": 61, "Outputs": 40}, 100)
    with pytest.raises(SpecError) as caught:
        check_mapping(PROBLEM, CHIP, parse(GOOD), tiles)
    assert (caught.value.line, caught.value.field) == (5, "[4].store")
    assert caught.value.message == (
        "the tiles in level 'GLB' exceed it by 1 words: Inputs 61, Outputs 40, for 100 usable"
    )


def test_capacity_under_multiple_buffering() -> None:
    tiles = {("RF", "Weights"): 16, ("RF", "Outputs"): 4.5}
    with pytest.raises(SpecError) as caught:
        check_mapping(PROBLEM, CHIP, parse(GOOD), tiles)
    assert caught.value.message == (
        "the tiles in level 'RF' exceed it by 0.50 words: Weights 16, Outputs 4.50, for 20 usable, "
        "its capacity over multiple_buffering 2"
    )


def test_capacity_of_separate_buffers() -> None:
    level = StorageLevel("PE", tensor_capacity_words={"Weights": 8, "Inputs": None, "Outputs": 4}, multiple_buffering=2)
    hierarchy = Hierarchy((level,), ComputeLevel("MAC"))
    tiles = {("PE", "Weights"): 4, ("PE", "Inputs"): 10**6, ("PE", "Outputs"): 3}
    assert capacity_excesses(hierarchy, tiles) == (CapacityExcess("PE", {"Outputs": 3}, 2),)


def test_capacity_is_judged_only_where_the_rest_is_right() -> None:
    mapping = parse(GOOD.replace("[K, 2]", "[K, 1]"))
    with pytest.raises(SpecError) as caught:
        check_mapping(PROBLEM, CHIP, mapping, {("GLB", "Inputs"): 10**6})
    assert "exceed" not in caught.value.message


@given(st.integers(1, 40), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_loops_cover_a_dimension_exactly_when_every_iteration_happens(size: int, bounds: list[int]) -> None:
    """Brute force: an index beyond the dimension is no iteration; every loop must reach each of its iterations."""
    problem = Problem({"P": size}, (Tensor("Z", (Rank((Term("P"),)),), is_output=True),))
    hierarchy = Hierarchy((StorageLevel("Buf"),), ComputeLevel("MAC"))
    mapping = Mapping((Store("Buf", "Z"), *(Loop("P", bound) for bound in bounds)))
    total = math.prod(bounds)
    steps = [math.prod(bounds[depth + 1 :]) for depth in range(len(bounds))]
    reached = {
        (depth, index // steps[depth] % bounds[depth])
        for index in range(min(size, total))
        for depth in range(len(bounds))
    }
    every = {(depth, iteration) for depth, bound in enumerate(bounds) for iteration in range(bound)}
    assert (not mapping_violations(problem, hierarchy, mapping)) == (total >= size and reached == every)


@given(st.data())
def test_mappings_built_to_fit_are_let_through(data: st.DataObject) -> None:
    """Factors of every dimension dealt to levels, spatial ones as long as their array has room."""
    rooms = {("GLB", X): 4, ("GLB", Y): 3}
    factors = {"K": [2, 2, 2], "C": [2, 3], "P": [7]}
    dealt: dict[tuple[str, LoopKind], list[Node]] = {}
    for dim, parts in factors.items():
        for part in parts:
            level = data.draw(st.sampled_from(CHIP.names))
            kind = data.draw(st.sampled_from([LoopKind.TEMPORAL, X, Y]))
            if rooms.get((level, kind), 1) >= part:
                rooms[level, kind] //= part
            else:
                kind = LoopKind.TEMPORAL
            dealt.setdefault((level, kind), []).append(Loop(dim, part, kind))
    nodes: list[Node] = []
    for name in CHIP.names:
        held = ("Weights", "Outputs") if name == "RF" else ("Weights", "Inputs", "Outputs")
        nodes.extend(Store(name, tensor) for tensor in held)
        for kind in LoopKind:
            nodes.extend(dealt.get((name, kind), ()))
    assert mapping_violations(PROBLEM, CHIP, Mapping(tuple(nodes))) == []


def test_errors_of_per_level_files_stand_at_the_loop() -> None:
    text = json.dumps(
        [
            {"level": "DRAM", "temporal": [["P", 7]]},
            {"level": "GLB", "spatial": {"x": [["K", 8]], "y": [["C", 2]]}},
            {"level": "RF", "temporal": [["C", 3]]},
        ],
        indent=1,
    )
    mapping = parse(text)
    with pytest.raises(SpecError) as caught:
        check_mapping(PROBLEM, CHIP, mapping)
    assert (caught.value.line, caught.value.field) == (15, "[1].spatial.x[0]")
    assert text.splitlines()[14].strip() == "["
