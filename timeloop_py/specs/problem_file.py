"""Problems as they stand in a file: dimensions, coefficients, and tensors with their projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from timeloop_py.specs.errors import nearest
from timeloop_py.specs.files import Section, Value
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term
from timeloop_py.specs.zeros import read_zeros


def parse_problem(section: Section) -> Problem:
    """The problem of a section with ``dims``, ``coefficients`` and ``dataspaces``.

    A rank of a projection is a list of terms, each ``P`` (a dimension) or ``[P, stride]`` (times a coefficient, by
    name or as a whole number), or ``{terms: [...], clip: [lo, hi]}``. Raises SpecError with the place of what is wrong.
    """
    dims_section: Section = section.section("dims")
    coefficients_section: Section | None = section.section("coefficients", None)
    items: tuple[Value, ...] = section.items("dataspaces")
    section.finish()
    if not dims_section.entries:
        raise section.error("expected at least one dimension, found none", "dims")
    dims = {name: dims_section.integer(name, minimum=1) for name in dims_section}
    for name in dims:
        if not name.isidentifier():
            raise dims_section.error("expected a name of letters, digits and _ for a dimension", name)
    coefficients = _coefficients(coefficients_section, dims)

    tensors: list[Tensor] = []
    densities: dict[str, Mapping[str, object]] = {}
    for item in items:
        dataspace = item.section()
        tensor = _tensor(dataspace, dims, coefficients)
        if any(tensor.name == other.name for other in tensors):
            raise dataspace.error(f"two dataspaces are called {tensor.name!r}", "name")
        if tensor.is_output and any(other.is_output for other in tensors):
            raise dataspace.error("expected one dataspace with read_write: true (the output), found two", "read_write")
        density = dataspace.section("density", None)
        if density is not None:
            densities[tensor.name] = read_zeros(density).to_dict()
        dataspace.finish()
        tensors.append(tensor)
    if not any(tensor.is_output for tensor in tensors):
        raise section.error("expected one dataspace with read_write: true (the output), found none", "dataspaces")
    return Problem(dims, tuple(tensors), densities)


def tensor_names(problem: Problem) -> tuple[str, ...]:
    """Names of the problem's tensors, in its order."""
    return tuple(tensor.name for tensor in problem.tensors)


def check_tensor(name: str, value: Value, tensors: Sequence[str] | None) -> None:
    """Refuse a tensor that is none of ``tensors`` (None: any is one); the error stands at ``value``."""
    if tensors is not None and name not in tensors:
        raise value.error(f"unknown tensor {name!r}{nearest(name, tensors)}")


def _coefficients(section: Section | None, dims: Mapping[str, int]) -> dict[str, int]:
    if section is None:
        return {}
    coefficients: dict[str, int] = {}
    for name, value in section.entries.items():
        if name in dims:
            raise value.error(f"{name!r} is a dimension: give the coefficient another name")
        coefficients[name] = _nonzero(section.integer(name), value)
    return coefficients


def _nonzero(coefficient: int, value: Value) -> int:
    if coefficient == 0:
        raise value.error("expected a coefficient other than 0 (leave the dimension out of the rank instead)")
    return coefficient


def _tensor(section: Section, dims: Mapping[str, int], coefficients: Mapping[str, int]) -> Tensor:
    name = section.text("name")
    if not name.strip():
        raise section.error("expected a name, found empty text", "name")
    ranks: list[Rank] = []
    for value in section.items("projection"):
        rank = _rank(value, dims, coefficients)
        for other in ranks:
            for dim in rank.dims:
                if dim in other.dims:
                    raise value.error(
                        f"dimension {dim!r} stands in two ranks of {name!r}: the model counts words as a product over "
                        "ranks, which holds only where every dimension moves along one rank"
                    )
        ranks.append(rank)
    return Tensor(name, tuple(ranks), section.boolean("read_write", False))


def _rank(value: Value, dims: Mapping[str, int], coefficients: Mapping[str, int]) -> Rank:
    clip: tuple[int, int] | None = None
    terms_value = value
    if isinstance(value.data, Section):
        section = value.section()
        section.items("terms")
        terms_value = section.entries["terms"]
        clip = _clip(section.value("clip"))
        section.finish()
    terms: list[Term] = []
    for item in terms_value.items():
        term = _term(item, dims, coefficients)
        if any(term.dim == other.dim for other in terms):
            raise item.error(f"dimension {term.dim!r} stands in this rank twice: use one coefficient instead")
        terms.append(term)
    if not terms:
        raise terms_value.error("expected at least one term, found an empty rank")
    return Rank(tuple(terms), clip)


def _clip(value: Value | None) -> tuple[int, int] | None:
    if value is None:
        return None
    bounds = value.items()
    if len(bounds) != 2:
        raise value.error(f"expected two positions [first, end], found {len(bounds)}")
    low, high = (bound.integer() for bound in bounds)
    if low >= high:
        raise value.error(f"expected the first position below the end, found [{low}, {high}]")
    return low, high


def _term(value: Value, dims: Mapping[str, int], coefficients: Mapping[str, int]) -> Term:
    if not isinstance(value.data, tuple):
        return Term(_dim(value, dims, coefficients))
    parts = value.items()
    if len(parts) != 2:
        raise value.error(f"expected a term P or [P, coefficient], found a list of {len(parts)}")
    dim = _dim(parts[0], dims, coefficients)
    factor = parts[1]
    if isinstance(factor.data, str):
        if factor.data in dims:
            raise factor.error(
                f"{factor.data!r} is a dimension, a coefficient is expected here: a rank that adds {dim} and "
                f"{factor.data} is written [{dim}, {factor.data}], one list less"
            )
        if factor.data not in coefficients:
            raise factor.error(f"unknown coefficient {factor.data!r}{nearest(factor.data, coefficients)}")
        return Term(dim, coefficients[factor.data])
    return Term(dim, _nonzero(factor.integer(), factor))


def _dim(value: Value, dims: Mapping[str, int], coefficients: Mapping[str, int]) -> str:
    name = value.text()
    if name in coefficients:
        raise value.error(f"{name!r} is a coefficient, a dimension is expected here: write the term as [P, {name}]")
    if name not in dims:
        raise value.error(f"unknown dimension {name!r}{nearest(name, dims)}")
    return name
