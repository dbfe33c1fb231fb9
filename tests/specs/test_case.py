"""Case files: every measured case loads, and what a user gets wrong is named with file, line and field."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.specs.case import Case, LevelSparsity, RankFormat, SparseAction, TensorFormat, load_case, parse_case
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.specs.mapping import Loop, LoopKind, Store
from timeloop_py.specs.mapping_file import dump_mapping, parse_mapping
from timeloop_py.specs.problem import Rank, Term

CASES = sorted((Path(__file__).parents[1] / "data" / "timeloop_cases").glob("*/case.json"))

GOOD = """\
name: small
problem:
  dims: {K: 4, P: 6, R: 3}
  coefficients: {stride: 2}
  dataspaces:
    - {name: Weights, projection: [[K], [R]], density: {distribution: hypergeometric, density: 0.5}}
    - {name: Inputs, projection: [[[P, stride], R]]}
    - {name: Outputs, projection: [[K], [P]], read_write: true}
architecture:
  - {name: DRAM, kind: storage, word_bits: 8, energy: {read: 200, write: 200}}
  - {name: Buf, kind: storage, instances: 4, capacity_words: 64, energy: {read: 6, write: 6}}
  - {name: MAC, kind: compute, instances: 4, energy: {compute: 1}}
mapping:
  - {level: DRAM, temporal: [[P, 2]], spatial: {x: [[K, 4]], no_link_transfer: [Inputs]}}
  - {level: Buf, temporal: [[P, 3], [R, 3]], keep: [Weights, Inputs]}
options: {share_halos: true}
sparse:
  - {level: Buf, formats: {Weights: [{format: UOP, payload_word_bits: 0}, {format: CP}]}}
  - {level: DRAM, actions: [{type: skipping, target: Inputs, condition_on: [Weights]}]}
  - {level: MAC, compute: [gating]}
"""


def write(folder: Path, text: str, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_every_measured_case_loads_and_its_mapping_round_trips(path: Path) -> None:
    case = load_case(path)
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert case.name == path.parent.name
    assert dict(case.problem.dims) == raw["problem"]["dims"]
    assert case.hierarchy.names == tuple(entry["level"] for entry in raw["mapping"])
    assert [level.instances for level in case.hierarchy.stages] == [entry["instances"] for entry in raw["architecture"]]
    assert (case.sparsity is not None) == ("sparse" in raw)
    assert case.options == CountingOptions(convention="sparseloop" if "sparse" in raw else "physical")
    again = parse_mapping(parse_value(dump_mapping(case.mapping), "again"), case.problem, case.hierarchy)
    assert again == case.mapping


def test_there_are_cases() -> None:
    assert len(CASES) == 25


def test_a_case_is_what_stands_in_the_file(tmp_path: Path) -> None:
    case = load_case(write(tmp_path, GOOD))
    assert case.problem.tensor("Inputs").ranks == (Rank((Term("P", 2), Term("R"))),)
    assert case.problem.output.name == "Outputs"
    assert case.problem.densities == {"Weights": {"distribution": "hypergeometric", "density": 0.5}}
    assert case.mapping.nodes == (
        Store("DRAM", "Weights"),
        Store("DRAM", "Inputs"),
        Store("DRAM", "Outputs"),
        Loop("P", 2),
        Loop("K", 4, LoopKind.SPATIAL_X),
        Store("Buf", "Weights"),
        Store("Buf", "Inputs"),
        Loop("P", 3),
        Loop("R", 3),
    )
    assert case.mapping.no_link_transfer == (("DRAM", "Inputs"),)
    assert [place.line for place in case.mapping.places] == [14] * 5 + [15] * 4
    assert case.options == CountingOptions(share_halos=True, convention="sparseloop")
    assert case.sparsity is not None
    assert case.sparsity.compute == ("gating",)
    assert case.sparsity.level("Buf").formats["Weights"] == TensorFormat(
        (RankFormat("UOP", payload_word_bits=0), RankFormat("CP")), "inner_to_outer"
    )
    assert case.sparsity.level("DRAM").actions == (SparseAction("skipping", "Inputs", ("Weights",)),)
    assert case.sparsity.level("Reg") == LevelSparsity("Reg")


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    plain = parse_value(GOOD, "good").plain()
    assert load_case(write(tmp_path, json.dumps(plain, indent="\t"), "small.json")) == load_case(write(tmp_path, GOOD))


def test_a_case_without_a_name_is_called_after_its_file_or_folder(tmp_path: Path) -> None:
    text = GOOD.removeprefix("name: small\n")
    assert load_case(write(tmp_path, text, "other.yaml")).name == "other"
    assert load_case(write(tmp_path, text, "case.yaml")).name == tmp_path.name


def test_conventions(tmp_path: Path) -> None:
    dense = GOOD[: GOOD.index("sparse:")]
    assert load_case(write(tmp_path, dense)).options.convention == "physical"
    stated = GOOD.replace("{share_halos: true}", "{convention: physical}")
    assert load_case(write(tmp_path, stated)).options.convention == "physical"


BAD = [
    # (what stands there, what is written instead, line, field, part of the message)
    ("name: small", "nmae: small", 1, "nmae", "did you mean 'name'"),
    ("name: small", "name: 7", 1, "name", "expected text, found 7"),
    ("problem:", "problems:", 1, "problem", "did you mean 'problems'"),
    ("share_halos: true", "share_haloes: true", 16, "options.share_haloes", "did you mean 'share_halos'"),
    ("share_halos: true", "share_halos: 1", 16, "options.share_halos", "expected true or false"),
    ("share_halos: true", "refill: all", 16, "options.refill", "every_copy, one_copy"),
    ("share_halos: true", "convention: sparselop", 16, "options.convention", "did you mean 'sparseloop'"),
    ("level: Buf, formats", "level: Buff, formats", 18, "sparse[0].level", "did you mean 'Buf'"),
    ("level: DRAM, actions", "level: Buf, actions", 19, "sparse[1].level", "stands here twice"),
    ("formats: {Weights", "formats: {Weight", 18, "sparse[0].formats.Weight", "did you mean 'Weights'"),
    ("[{format: UOP, payload_word_bits: 0}, {format: CP}]", "[]", 18, "sparse[0].formats.Weights", "at least one rank"),
    ("format: CP", "format: CSR", 18, "sparse[0].formats.Weights[1].format", "UOP, CP, RLE, B, UB"),
    (
        "payload_word_bits: 0",
        "payload_word_bits: -1",
        18,
        "sparse[0].formats.Weights[0].payload_word_bits",
        "at least 0",
    ),
    ("payload_word_bits", "payload_bits", 18, "sparse[0].formats.Weights[0].payload_bits", "payload_word_bits"),
    ("type: skipping", "type: skip", 19, "sparse[1].actions[0].type", "did you mean 'skipping'"),
    ("target: Inputs", "target: Input", 19, "sparse[1].actions[0].target", "did you mean 'Inputs'"),
    ("condition_on: [Weights]", "condition_on: []", 19, "sparse[1].actions[0].condition_on", "at least one tensor"),
    ("condition_on: [Weights]", "condition_on: [Inputs]", 19, "sparse[1].actions[0].condition_on[0]", "is the target"),
    (
        "condition_on: [Weights]",
        "condition_on: [Weights, Weights]",
        19,
        "sparse[1].actions[0].condition_on[1]",
        "is a condition already",
    ),
    ("condition_on: [Weights]", "condition: [Weights]", 19, "sparse[1].actions[0].condition_on", "did you mean"),
    ("compute: [gating]", "compute: [gate]", 20, "sparse[2].compute[0]", "gating, skipping"),
    ("compute: [gating]", "actions: []", 20, "sparse[2].actions", "unknown key"),
    (
        "  - {level: DRAM, actions: [{type: skipping, target: Inputs, condition_on: [Weights]}]}",
        "  - {level: MAC}",
        20,
        "sparse[2].level",
        "stands here twice",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "message"), BAD, ids=[f"{bad[3]}-{bad[1][:20]}" for bad in BAD]
)
def test_a_bad_case_is_named(tmp_path: Path, old: str, new: str, line: int, field: str, message: str) -> None:
    assert GOOD.count(old) == 1
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(SpecError) as caught:
        load_case(path)
    assert (caught.value.path, caught.value.line, caught.value.field) == (str(path), line, field)
    assert message in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="file not found"):
        load_case(tmp_path / "none.json")


JUNK: st.SearchStrategy[object] = st.sampled_from(
    [None, True, -1, 0, 3, 0.5, 1e300, "", "P", "DRAM", "Weights", [], [[]], {}, {"P": 2}, ["P", 2]]
)


def damage(data: st.DataObject, plain: object) -> object:
    """The same tree with one value replaced, removed or doubled."""
    if isinstance(plain, (dict, list)) and plain and data.draw(st.integers(0, 5)):
        keys = list(plain) if isinstance(plain, dict) else list(range(len(plain)))
        key = data.draw(st.sampled_from(keys))
        copy = plain.copy()
        if not data.draw(st.integers(0, 9)):
            del copy[key]
        elif isinstance(copy, list) and not data.draw(st.integers(0, 9)):
            copy.insert(key, copy[key])
        else:
            copy[key] = damage(data, copy[key])
        return copy
    return data.draw(JUNK)


@given(st.data(), st.sampled_from(CASES))
def test_a_damaged_case_is_refused_with_its_place_or_is_a_case(data: st.DataObject, path: Path) -> None:
    text = json.dumps(damage(data, json.loads(path.read_text(encoding="utf-8"))), indent=1)
    places: list[tuple[str | None, int | None]] = []
    try:
        assert isinstance(parse_case(parse_value(text, "damaged.json", is_json=True).section()), Case)
    except SpecError as error:
        places.append((error.path, error.line))
    lines = range(1, text.count("\n") + 2)
    assert all(name == "damaged.json" and line in lines for name, line in places)
