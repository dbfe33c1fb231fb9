"""A mapping as pseudo-code, with counts in the margin."""

from __future__ import annotations

import math
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from numbers import Integral, Real

from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store, last_pass
from timeloop_py.specs.problem import Problem, Rank, Tensor

INDENT = "  "
#: between the code and the margin, and between columns of the margin
GAP = "   "


def render_nest(
    problem: Problem,
    mapping: Mapping,
    margin: MappingOf[tuple[str, str], MappingOf[str, object]] | None = None,
    comments: MappingOf[str, str] | None = None,
    remarks: MappingOf[int, str] | None = None,
) -> str:
    """The nest as indented pseudo-code, outer to inner; it ends with a line break.

    One line per loop, storage node and index, then the multiply-accumulate; loops of one iteration are left out. A loop
    that is shorter in its last pass says so: ``for p in [0:4 (last 3))``, and so does a bound that is an expectation:
    ``for a in [0:~2.4)``. ``margin`` puts columns beside the storage nodes: by (level, tensor), what to show by
    heading, for example ``{("Buf", "Inputs"): {"tile": 6, "fills": 18}}``. ``comments`` stand behind the loops of a
    dimension, ``remarks`` on a line of their own in front of a node.
    """
    loops = {dim: _loops_of(mapping, dim) for dim in problem.dims}
    names = _index_names(loops)
    last = _last_bounds(problem, mapping)
    code: list[str] = []
    notes: list[MappingOf[str, object]] = []
    behind: dict[int, str] = {}
    depth = 0
    for index, node in enumerate(mapping.nodes):
        if remarks and index in remarks:
            code.append(f"{INDENT * depth}# {remarks[index]}")
            notes.append({})
        if isinstance(node, Store):
            code.append(f"{INDENT * depth}store {node.tensor} in {node.level}")
            notes.append((margin or {}).get((node.level, node.tensor), {}))
        elif node.bound != 1:
            behind[len(code)] = (comments or {}).get(node.dim, "")
            variable = _variable(names[node.dim], loops[node.dim], index)
            code.append(f"{INDENT * depth}{_loop_text(node, variable, last[index])}")
            notes.append({})
            depth += 1
    body = [*_index_lines(mapping, names, loops), _compute_line(problem, names)]
    code.extend(f"{INDENT * depth}{line}" for line in body)
    notes.extend({} for _ in body)
    width = max((len(code[line]) for line, comment in behind.items() if comment), default=0)
    for line, comment in behind.items():
        if comment:
            code[line] = f"{code[line].ljust(width)}{GAP}# {comment}"
    return "".join(f"{line}\n" for line in _beside(code, notes))


def _index_names(loops: MappingOf[str, Sequence[int]]) -> dict[str, str]:
    """Variables of the dimensions that loop: lower-case, unless two dimensions differ by case alone."""
    alike = len({dim.lower() for dim in loops}) < len(loops)
    return {dim: dim if alike else dim.lower() for dim, indices in loops.items() if indices}


def _loops_of(mapping: Mapping, dim: str) -> list[int]:
    """Nodes that loop over ``dim`` other than once."""
    return [
        index
        for index, node in enumerate(mapping.nodes)
        if isinstance(node, Loop) and node.dim == dim and node.bound != 1
    ]


def _variable(name: str, loops: Sequence[int], index: int) -> str:
    """The variable of a loop: numbered from the outermost on where its dimension has several."""
    return name if len(loops) == 1 else f"{name}{loops.index(index) + 1}"


def _last_bounds(problem: Problem, mapping: Mapping) -> Sequence[float]:
    """Bounds in the last pass; expectations (of perfect nests) are the same in every pass."""
    bounds = [node.bound if isinstance(node, Loop) else 1 for node in mapping.nodes]
    if all(isinstance(bound, Integral) for bound in bounds):
        return last_pass(mapping.nodes, problem.dims)
    return bounds


def _loop_text(loop: Loop, variable: str, last: float) -> str:
    whole = isinstance(loop.bound, Integral)
    bound = str(loop.bound) if whole else f"~{loop.bound:.4g}"
    if last != loop.bound:
        bound = f"{bound} (last {last})"
    if loop.kind is LoopKind.TEMPORAL:
        return f"for {variable} in [0:{bound})"
    axis = "x" if loop.kind is LoopKind.SPATIAL_X else "y"
    return f"parallel-for {variable} in [0:{bound}) on {axis}"


def _index_lines(mapping: Mapping, names: MappingOf[str, str], loops: MappingOf[str, Sequence[int]]) -> list[str]:
    """How the index of every dimension that several loops share follows from theirs: ``p = 4*p1 + p2``."""
    lines = []
    for dim, indices in loops.items():
        if len(indices) < 2:
            continue
        bounds = [node.bound for index in indices if isinstance(node := mapping.nodes[index], Loop)]
        steps = [math.prod(bounds[position + 1 :]) for position in range(len(bounds))]
        terms = [(step, _variable(names[dim], indices, index)) for step, index in zip(steps, indices, strict=True)]
        lines.append(f"{names[dim]} = {_sum(terms)}")
    return lines


def _compute_line(problem: Problem, names: MappingOf[str, str]) -> str:
    operands = [_access(tensor, names) for tensor in problem.tensors if not tensor.is_output]
    return f"{_access(problem.output, names)} += {' * '.join(operands) or '1'}"


def _access(tensor: Tensor, names: MappingOf[str, str]) -> str:
    return f"{tensor.name}[{', '.join(_position(rank, names) for rank in tensor.ranks)}]"


def _position(rank: Rank, names: MappingOf[str, str]) -> str:
    # A dimension without loops stays at its first index, 0.
    if rank.entries is not None:
        return f"scatter({', '.join(names[term.dim] for term in rank.terms if term.dim in names)})"
    position = _sum([(term.coefficient, names[term.dim]) for term in rank.terms if term.dim in names])
    return position if rank.clip is None else f"{position} within [{rank.clip[0]}:{rank.clip[1]})"


def _sum(terms: Sequence[tuple[int, str]]) -> str:
    text = ""
    for coefficient, variable in terms:
        factor = variable if abs(coefficient) == 1 else f"{abs(coefficient)}*{variable}"
        sign = "-" if coefficient < 0 else "+"
        text = f"{text} {sign} {factor}" if text else factor if coefficient > 0 else f"-{factor}"
    return text or "0"


def _beside(code: Sequence[str], notes: Sequence[MappingOf[str, object]]) -> list[str]:
    """The lines of code with their notes in right-aligned columns under headings; just the code without any."""
    headings = list(dict.fromkeys(heading for note in notes for heading in note))
    if not headings:
        return list(code)
    rows = [headings, *([_text(note.get(heading, "")) for heading in headings] for note in notes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    margin = max(len(line) for line, note in zip(code, notes, strict=True) if note)
    return [
        GAP.join([line.ljust(margin), *(cell.rjust(width) for cell, width in zip(row, widths, strict=True))]).rstrip()
        for line, row in zip(["", *code], rows, strict=True)
    ]


def _text(value: object) -> str:
    """Counts in full, expectations to two decimals, anything else (a formula) as it prints."""
    if isinstance(value, Integral):
        return f"{int(value):,}"
    return f"{float(value):,.2f}" if isinstance(value, Real) else str(value)
