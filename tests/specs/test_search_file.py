"""Files that are searched: a case without its mapping."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from timeloop_py.specs.case import load_case
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.search_file import load_search_file

CASES = Path(__file__).parents[1] / "data" / "timeloop_cases"
CASE = next(CASES.glob("d09_*")) / "case.json"


def test_problem_and_hierarchy_of_a_case() -> None:
    found, case = load_search_file(CASE), load_case(CASE)
    assert found.name == case.name
    assert found.problem == case.problem
    assert found.architecture.hierarchy == case.hierarchy
    assert found.architecture.options == case.options


def written(tmp_path: Path, **changes: object) -> Path:
    entries = yaml.safe_load(CASE.read_text()) | changes
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in entries.items() if value is not None}))
    return path


def test_a_mapping_is_not_needed(tmp_path: Path) -> None:
    found = load_search_file(written(tmp_path, mapping=None, constraints={"utilization": 0.5}, name=None))
    assert found.name == "file"
    assert found.architecture.constraints is not None


def test_settings() -> None:
    level = load_case(CASE).hierarchy.names[1]
    found = load_search_file(CASE, [f"architecture.{level}.capacity_words=7"])
    assert found.architecture.hierarchy is not None
    assert found.architecture.hierarchy.level(level).capacity_words == 7


@pytest.mark.parametrize(
    ("changes", "settings", "named"),
    [
        ({"sparse": []}, (), "dense operands"),
        ({"limits": {}}, (), "limits"),
        ({"problem": None}, (), "problem"),
        ({}, ("options.refill=one_copy,every_copy",), "one value"),
    ],
)
def test_bad_files(tmp_path: Path, changes: dict[str, object], settings: tuple[str, ...], named: str) -> None:
    with pytest.raises(SpecError) as error:
        load_search_file(written(tmp_path, **changes), settings)
    assert named in str(error.value)
