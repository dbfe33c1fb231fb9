"""Mapping files: both forms, printing back, and every mistake with its place."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Store, last_pass
from timeloop_py.specs.mapping_file import dump_mapping, load_mapping, mapping_entries, parse_mapping
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

PROBLEM = Problem(
    {"K": 8, "P": 7},
    (
        Tensor("Weights", (Rank((Term("K"),)),)),
        Tensor("Inputs", (Rank((Term("P"),)),)),
        Tensor("Outputs", (Rank((Term("K"),)), Rank((Term("P"),))), is_output=True),
    ),
)
HIERARCHY = Hierarchy(
    (StorageLevel("DRAM"), StorageLevel("Buf", tensors=("Weights", "Outputs")), StorageLevel("RF", instances=16)),
    ComputeLevel("MAC", instances=16),
)

PER_LEVEL = """\
- {level: DRAM, temporal: [[P, 2]]}
- level: Buf
  temporal: []
  spatial:
    x: [[K, 4]]
    y: [[K, 2]]
    no_link_transfer: [Inputs]
- level: RF
  temporal: [[P, [4, 3]]]
  keep: [Outputs]
"""
UNEVEN = """\
- {store: [DRAM, Weights]}
- {store: [DRAM, Inputs]}
- {store: [DRAM, Outputs]}
- {loop: [P, 2]}
- {store: [Buf, Weights]}
- {store: [Buf, Outputs]}
- {spatial_x: [K, 4]}
- {spatial_y: [K, 2]}
- {store: [RF, Outputs]}
- {loop: [P, 4]}
- {no_link_transfer: [Buf, Inputs]}
"""


def parse(text: str) -> Mapping:
    return parse_mapping(parse_value(text, "map.yaml"), PROBLEM, HIERARCHY)


def test_both_forms_say_the_same() -> None:
    mapping = parse(PER_LEVEL)
    assert mapping.nodes == (
        Store("DRAM", "Weights"),
        Store("DRAM", "Inputs"),
        Store("DRAM", "Outputs"),
        Loop("P", 2),
        Store("Buf", "Weights"),
        Store("Buf", "Outputs"),
        Loop("K", 4, LoopKind.SPATIAL_X),
        Loop("K", 2, LoopKind.SPATIAL_Y),
        Store("RF", "Outputs"),
        Loop("P", 4),
    )
    assert mapping.no_link_transfer == (("Buf", "Inputs"),)
    assert parse(UNEVEN) == mapping
    assert dump_mapping(mapping) == UNEVEN


def test_places_are_kept_and_are_no_part_of_the_value() -> None:
    per_level, uneven = parse(PER_LEVEL), parse(UNEVEN)
    assert [place.line for place in per_level.places] == [1, 1, 1, 1, 2, 2, 5, 6, 10, 9]
    assert [place.line for place in uneven.places] == list(range(1, 11))
    assert per_level.places[6].field == "[1].spatial.x[0]"
    assert str(per_level.places[9].error("no")) == "map.yaml:9: [2].temporal[0]: no"
    assert hash(per_level) == hash(uneven)


def test_the_last_pass_may_be_stated_in_the_uneven_form() -> None:
    assert parse(UNEVEN.replace("[P, 4]", "[P, [4, 3]]")) == parse(UNEVEN)


def test_a_bound_that_only_the_last_pass_reaches_is_the_last_one() -> None:
    outermost = UNEVEN.replace("[P, 2]", "[P, [5, 4]]").replace("[P, 4]", "[P, [2, 1]]")
    assert [node for node in parse(outermost).nodes if isinstance(node, Loop) and node.dim == "P"] == [
        Loop("P", 4),
        Loop("P", 2),
    ]
    below_one = UNEVEN.replace("[P, 2]", "[P, 1]").replace("[P, 4]", "[P, [9, 7]]")
    assert parse(below_one).nodes[-1] == Loop("P", 7)


def test_mapping_entries_are_plain_data() -> None:
    entries = mapping_entries(parse(UNEVEN))
    assert parse(json.dumps(entries)) == parse(UNEVEN)
    assert entries[3] == {"loop": ("P", 2)}


@pytest.mark.parametrize("text", [UNEVEN, "mapping:\n" + UNEVEN, PER_LEVEL])
def test_a_mapping_file_is_the_list_alone_or_under_its_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "best.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_mapping(path, PROBLEM, HIERARCHY) == parse(UNEVEN)


def test_a_mapping_file_with_another_key(tmp_path: Path) -> None:
    path = tmp_path / "best.yaml"
    path.write_text("mapping:\n" + UNEVEN + "cost: 3\n", encoding="utf-8")
    with pytest.raises(SpecError, match="unknown key 'cost'") as caught:
        load_mapping(path, PROBLEM, HIERARCHY)
    assert (caught.value.path, caught.value.line) == (str(path), 13)


BAD_PER_LEVEL = [
    # (what stands there, what is written instead, line, field, part of the message)
    ("level: DRAM", "level: DRAMM", 1, "[0].level", "did you mean 'DRAM'"),
    ("level: DRAM", "level: MAC", 1, "[0].level", "'MAC' is the compute level"),
    ("level: DRAM", "level: Buf", 1, "[0].level", "in the order DRAM, Buf, RF"),
    ("level: DRAM,", "level: DRAM, temporl: [],", 1, "[0].temporl", "did you mean 'temporal'"),
    ("[P, 2]", "[Q, 2]", 1, "[0].temporal[0][0]", "unknown dimension 'Q'"),
    ("[P, 2]", "[p, 2]", 1, "[0].temporal[0][0]", "did you mean 'P'"),
    ("[P, 2]", "[P, 0]", 1, "[0].temporal[0][1]", "at least 1"),
    ("[P, 2]", "[P, 2.5]", 1, "[0].temporal[0][1]", "a whole number"),
    ("[P, 2]", "[P]", 1, "[0].temporal[0]", "a loop [dimension, bound]"),
    ("[[P, 2]]", "[P, 2]", 1, "[0].temporal[0]", "expected a list, found 'P'"),
    ("[K, 4]", "[K, 4, 2]", 5, "[1].spatial.x[0]", "a loop [dimension, bound]"),
    ("y: [", "z: [", 6, "[1].spatial.z", "unknown key"),
    ("[Inputs]", "[Input]", 7, "[1].spatial.no_link_transfer[0]", "did you mean 'Inputs'"),
    ("[4, 3]", "[4, 2]", 9, "[2].temporal[0]", "the last pass of a P loop of 4 is 3, not 2"),
    ("[4, 3]", "[4, 5]", 9, "[2].temporal[0][1][1]", "at most 4"),
    ("[4, 3]", "[4]", 9, "[2].temporal[0][1]", "in the last pass"),
    ("[Outputs]", "[Output]", 10, "[2].keep[0]", "did you mean 'Outputs'"),
    ("[Outputs]", "[Outputs, Outputs]", 10, "[2].keep[1]", "twice"),
    ("keep:", "keeps:", 10, "[2].keeps", "did you mean 'keep'"),
    ("- level: RF\n  temporal: [[P, [4, 3]]]\n  keep: [Outputs]\n", "", 1, None, "level 'RF' has no entry"),
    ("- level: RF", "- {level: RF}\n- level: RF", 9, "[3].level", "one entry per storage level"),
]
BAD_UNEVEN = [
    ("store: [DRAM, Weights]", "stor: [DRAM, Weights]", 1, "[0].stor", "did you mean 'store'"),
    ("store: [DRAM, Weights]", "level: DRAM, temporal: []", 2, "[1].level", "missing"),
    ("{store: [DRAM, Weights]}", "[]", 1, "[0]", "expected a section"),
    ("{loop: [P, 2]}", "{loop: [P, 2], store: [RF, Inputs]}", 4, "[3]", "found 2 keys"),
    ("{loop: [P, 2]}", "{loop: [R, 2]}", 4, "[3].loop[0]", "unknown dimension 'R'"),
    ("{loop: [P, 2]}", "{loop: P}", 4, "[3].loop", "expected a list"),
    ("[Buf, Weights]", "[Buff, Weights]", 5, "[4].store[0]", "did you mean 'Buf'"),
    ("[Buf, Weights]", "[Buf, Weigths]", 5, "[4].store[1]", "did you mean 'Weights'"),
    ("[Buf, Weights]", "[Buf]", 5, "[4].store", "[level, tensor]"),
    ("[Buf, Inputs]", "[MAC, Inputs]", 11, "[10].no_link_transfer[0]", "is the compute level"),
    ("[P, 4]", "[P, [4, 4]]", 10, "[9].loop", "the last pass of a P loop of 4 is 3, not 4"),
]


@pytest.mark.parametrize(
    ("good", "old", "new", "line", "field", "message"),
    [(PER_LEVEL, *bad) for bad in BAD_PER_LEVEL] + [(UNEVEN, *bad) for bad in BAD_UNEVEN],
    ids=[f"{bad[3]}-{bad[1][:20]}" for bad in BAD_PER_LEVEL + BAD_UNEVEN],
)
def test_a_bad_mapping_is_named(good: str, old: str, new: str, line: int, field: str | None, message: str) -> None:
    assert good.count(old) == 1
    with pytest.raises(SpecError) as caught:
        parse(good.replace(old, new))
    assert (caught.value.path, caught.value.line, caught.value.field or None) == ("map.yaml", line, field)
    assert message in caught.value.message


def test_an_empty_mapping() -> None:
    with pytest.raises(SpecError, match="found an empty list"):
        parse("[]")


# What YAML might take for something else, and any other text a file can hold.
NAMES = st.sampled_from(["null", "Yes", "12", "1e3", "a b", "x: y", "#", "[", "~", "µ", "tab\there", '"', "'", "-"])
TEXT = NAMES | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
BOUNDS = st.integers(1, 10**6)


@given(levels=st.lists(TEXT, min_size=1, max_size=3, unique=True), data=st.data())
def test_any_mapping_round_trips(levels: list[str], data: st.DataObject) -> None:
    tensors = data.draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
    dims = data.draw(st.lists(st.sampled_from("NKCPQRS"), min_size=1, unique=True))
    problem = Problem(dict.fromkeys(dims, 6), tuple(Tensor(name, (), name == tensors[0]) for name in tensors))
    hierarchy = Hierarchy(tuple(StorageLevel(name) for name in levels), ComputeLevel("".join(levels) + "MAC"))
    pairs = st.tuples(st.sampled_from(levels), st.sampled_from(tensors))
    loops = st.builds(Loop, st.sampled_from(dims), BOUNDS, st.sampled_from(LoopKind))
    nodes = data.draw(st.lists(loops | st.builds(Store, st.sampled_from(levels), st.sampled_from(tensors)), min_size=1))
    mapping = Mapping(tuple(nodes), tuple(data.draw(st.lists(pairs, max_size=3))))
    text = dump_mapping(mapping)
    assert parse_mapping(parse_value(text, "x"), problem, hierarchy) == mapping
    assert dump_mapping(parse_mapping(parse_value(text, "x"), problem, hierarchy)) == text


@given(st.data())
def test_any_per_level_mapping_is_its_nodes_in_order(data: st.DataObject) -> None:
    loops = st.lists(st.tuples(st.sampled_from("KP"), st.integers(1, 9)), max_size=3)
    entries: list[dict[str, object]] = []
    nodes: list[Node] = []
    for level in HIERARCHY.levels:
        temporal, x, y = data.draw(loops), data.draw(loops), data.draw(loops)
        keep = data.draw(st.none() | st.lists(st.sampled_from(["Weights", "Inputs", "Outputs"]), unique=True))
        entry: dict[str, object] = {"level": level.name, "temporal": temporal, "spatial": {"x": x, "y": y}}
        if keep is not None:
            entry["keep"] = keep
        entries.append(entry)
        held = level.tensors or ("Weights", "Inputs", "Outputs")
        nodes.extend(Store(level.name, name) for name in (held if keep is None else keep))
        nodes.extend(Loop(dim, bound) for dim, bound in temporal)
        nodes.extend(Loop(dim, bound, LoopKind.SPATIAL_X) for dim, bound in x)
        nodes.extend(Loop(dim, bound, LoopKind.SPATIAL_Y) for dim, bound in y)
    assert parse(json.dumps(entries)).nodes == tuple(nodes)


@given(st.integers(1, 60), st.lists(st.integers(1, 5), max_size=3))
def test_last_pass_is_where_a_walk_of_the_nest_ends(size: int, inner: list[int]) -> None:
    bounds = [-(-size // math.prod(inner)), *inner]
    iterations = [0] * len(bounds)

    def walk(depth: int, base: int) -> None:
        if depth < len(bounds):
            step = math.prod(bounds[depth + 1 :])
            # Iterations that would begin beyond the end of the dimension do not exist.
            starts = [start for start in range(base, base + bounds[depth] * step, step) if start < size]
            iterations[depth] = len(starts)
            for start in starts:
                walk(depth + 1, start)

    walk(0, 0)
    assert last_pass([Loop("P", bound) for bound in bounds], {"P": size}) == iterations
