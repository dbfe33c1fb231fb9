"""A layer on a storage hierarchy with a mapping, as a case."""

from __future__ import annotations

import re
from pathlib import Path

from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.case import Case
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.layer_problem import layer_problem
from timeloop_py.specs.mapping_file import load_mapping

_UNSAFE = re.compile(r"[^A-Za-z0-9_.=\[\],-]+")


def layer_case(architecture: Architecture, layer: Layer, mapping: Path | str) -> Case:
    """A layer with the mapping of a file. SpecError: the architecture is no hierarchy, or what is wrong in the file."""
    hierarchy = architecture.hierarchy
    if hierarchy is None:
        raise SpecError("expected a storage hierarchy", path=architecture.path, field="levels")
    problem = layer_problem(layer)
    return Case(
        name=layer.name,
        problem=problem,
        hierarchy=hierarchy,
        mapping=load_mapping(mapping, problem, hierarchy),
        description=f"on {architecture.name}",
        options=architecture.options,
    )


def file_stem(name: str) -> str:
    """A name as part of a file's name."""
    return _UNSAFE.sub("_", name)


def mapping_file_name(layer: str) -> str:
    """What the mapping of a layer is called in the folder of a search."""
    return f"{file_stem(layer)}.mapping.yaml"
