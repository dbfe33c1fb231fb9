"""Files as typed values: what YAML and JSON text becomes, and text that would take the reader down."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import MAX_DEPTH, load_value, parse_scalar, parse_value

# Everything but lone halves of characters, which are no text.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("null", None),
        ("~", None),
        ("12", 12),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("yes", "yes"),
        ("1:30", "1:30"),
    ],
)
def test_plain_scalars(text: str, expected: object) -> None:
    found = parse_scalar(text)
    assert (found, type(found)) == (expected, type(expected))


def test_an_endless_number_is_no_whole_number() -> None:
    with pytest.raises(SpecError) as caught:
        parse_value(f"K: {'1' * 5000}", "net.yaml").section().integer("K")
    assert len(str(caught.value)) < 100


@given(JSON, st.booleans())
def test_json_is_read_as_json(data: object, ascii_only: bool) -> None:
    assert parse_value(json.dumps({"data": data}, ensure_ascii=ascii_only), "x.json", True).plain() == {"data": data}


@pytest.mark.parametrize("text", ["\U0001f600", "\\ud83d\\ude00", "\\\U0001f600", "/", "\t", "a\\\\u0041"])
def test_escapes_of_json(text: str) -> None:
    assert parse_value(json.dumps([text]), "x.json", True).plain() == [text]


def test_every_value_knows_its_line_and_field() -> None:
    value = parse_value("a:\n  - b: 1\n    c:\n      - 2\n      - x\n", "spec.yaml")
    wrong = value.section().items("a")[0].section().items("c")[1]
    assert (wrong.path, wrong.line, wrong.field) == ("spec.yaml", 5, "a[0].c[1]")


def test_an_alias_stands_where_it_is_used() -> None:
    value = parse_value("a: &one {K: x}\nb: *one\n", "spec.yaml")
    with pytest.raises(SpecError) as caught:
        value.section().section("b").integer("K")
    assert (caught.value.line, caught.value.field) == (1, "b.K")


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{index}: &a{index} [{', '.join([f'*a{index - 1}'] * 10)}]" for index in range(1, 30)]
    return "\n".join(lines)


def chain() -> str:
    """Every line nests few levels, an alias at the bottom of each adds those of the line before."""
    lines = ["a0: &a0 x"]
    lines += [f"a{index}: &a{index} {'[' * 60}*a{index - 1}{']' * 60}" for index in range(1, 40)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (bomb(), 6, "aliases"),
        (chain(), 3, "aliases"),
        ("a: 1\nb: &self [*self]", 2, "contains itself"),
        ("a: 1\nb: &self {c: {d: *self}}", 2, "contains itself"),
        ("a:\n  b: " + "[" * 600 + "]" * 600, 2, "nested"),
        ("[" * 200_000, 1, "nested"),
        ("- " * 100_000, 1, "nested"),
        ("{a: " * 100_000, 1, "nested"),
    ],
    ids=["bomb", "chain", "self", "deep self", "deep", "deep open", "deep block", "deep mapping"],
)
def test_text_that_would_take_the_reader_down(text: str, line: int, message: str) -> None:
    start = time.process_time()
    with pytest.raises(SpecError, match=message) as caught:
        parse_value(text, "spec.yaml")
    assert (caught.value.path, caught.value.line) == ("spec.yaml", line)
    assert time.process_time() - start < 5


def test_what_nests_as_deep_as_allowed_is_read() -> None:
    depth = MAX_DEPTH
    assert parse_value("[" * depth + "]" * depth, "spec.yaml").items()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"\xff\xfe\x00name", "UTF-8"),
        (b"name: \x00\x01", "broken YAML"),
        (b"name: [1, 2", "broken YAML"),
        (b"a: 1\na: 2\n", "twice"),
        (b"a: 1\n---\nb: 2\n", "broken YAML"),
        (b"? [1, 2]\n: x\n", "plain key"),
    ],
)
def test_unreadable_content(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=message) as caught:
        load_value(path)
    assert caught.value.path == str(path)


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert load_value(path).plain() == {"name": "x"}


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not found"):
        load_value(tmp_path / "missing.yaml")
    with pytest.raises(SpecError, match="folder"):
        load_value(tmp_path)
