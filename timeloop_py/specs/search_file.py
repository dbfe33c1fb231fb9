"""What is searched from a file: the problem and the architecture of a case, whatever its mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.files import Section, Value, load_value
from timeloop_py.specs.hierarchy_file import parse_counting_options, parse_hierarchy
from timeloop_py.specs.overrides import override, parse_setting
from timeloop_py.specs.problem import Problem
from timeloop_py.specs.problem_file import parse_problem, tensor_names


@dataclass(frozen=True)
class SearchFile:
    """A problem, and a hierarchy with its counting options and constraints."""

    name: str
    problem: Problem
    architecture: Architecture


def load_search_file(path: Path | str, settings: Sequence[str] = ()) -> SearchFile:
    """The search of a case file: ``problem``, ``architecture``, ``options``, and ``constraints`` on mappings.

    A ``mapping`` is not read. ``settings`` are ``PATH=VALUE`` overrides of fields of the file. SpecError: what is wrong
    in it, several values for one field, or a ``sparse`` section (the search counts dense operands).
    """
    value = load_value(path)
    for text in settings:
        setting = parse_setting(text)
        if len(setting.values) > 1:
            raise value.error(f"expected one value for {setting.path}: a search file is searched once")
        value = override(value, setting.path.split("."), setting.values[0], setting.path)
    return _parse(value.section(), Path(path))


def _parse(section: Section, path: Path) -> SearchFile:
    problem = parse_problem(section.section("problem"))
    section.items("architecture")
    hierarchy = parse_hierarchy(section.entries["architecture"], tensor_names(problem))
    sparse: Value | None = section.value("sparse")
    if sparse is not None:
        raise sparse.error("the search counts dense operands: leave the section out")
    section.value("mapping")
    name = section.text("name", path.resolve().parent.name if path.stem == "case" else path.stem)
    architecture = Architecture(
        name=name,
        description=section.text("description", ""),
        path=str(path),
        hierarchy=hierarchy,
        options=parse_counting_options(section.section("options", None)),
        constraints=section.value("constraints"),
    )
    section.finish()
    return SearchFile(name, problem, architecture)
