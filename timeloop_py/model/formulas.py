"""Access counts and costs as formulas: the functions that count, fed symbols in place of numbers.

Nothing is derived here a second time. Loop bounds become SymPy symbols, go through the same count as numbers do, and
what comes out is brought into a form to read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from timeloop_py.model.hierarchy_cost import hierarchy_cost
from timeloop_py.model.planar_accesses import ACCUMULATOR_OPTIONS
from timeloop_py.nest.array_nest import array_nest
from timeloop_py.nest.checks import check_mapping
from timeloop_py.nest.lowering import build_nest
from timeloop_py.nest.traffic import Traffic, count_traffic
from timeloop_py.numbers.touched import shared_positions, touched_positions
from timeloop_py.sparsity.fragmentation import activation_vectors, weight_vectors
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.case import Case
from timeloop_py.specs.dataflow import TRIP_COUNTS, Template
from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.mapping import Loop, LoopKind, Node
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.problem import Problem
from timeloop_py.tensors.density import Bernoulli

Action = Literal["reads", "fills", "updates"]
ACTIONS: tuple[Action, ...] = ("reads", "fills", "updates")
#: what a term of a case gives
CASE_TERMS = {"cycles": "cycles", "compute_cycles": "cycles of compute alone", "energy_pj": "energy, pJ"}

#: letters of the trip counts of a dataflow's template
LETTERS = {
    "passes": "T",
    "processing_elements": "N_PE",
    "channel_groups": "G",
    "output_channel_groups": "N_K",
    "channels": "C",
    "channel_vectors": "C_v",
    "activation_vectors": "A",
    "weight_vectors": "W",
    "activation_lanes": "I_a",
    "weight_lanes": "F_w",
    "tile_positions": "X",
    "taps_of_group": "B",
    "dot_product_rest": "J",
    "dot_product_lanes": "L",
}
#: the letter of the partial sums of one output-channel group in a PE
ENTRIES = "O"
#: letters of what fills vectors: blocks of weights and of activations
BLOCK_LETTERS = {
    "K_c": "output channels of a group",
    "R": "taps along x",
    "S": "taps along y",
    "F": "weights of a full vector",
    "I": "activations of a full vector",
    "d_w": "weight density",
    "d_a": "activation density",
    "t": "positions of a PE's tile",
}
#: what ``B(n, d)`` in a printed formula means
BINOMIAL = "B(n, d): non-zeros among n positions that are non-zero with probability d each"
_KINDS = {LoopKind.TEMPORAL: "", LoopKind.SPATIAL_X: ", over columns", LoopKind.SPATIAL_Y: ", over rows"}


@dataclass(frozen=True)
class Formula:
    """A closed form of the model.

    ``expression`` is a SymPy expression in the symbols that ``letters`` explains; ``simple`` what is left of it where
    every loop runs at least twice (None: the same). ``definitions`` spells out letters that abbreviate an expression,
    ``values`` are the numbers of the letters where a case gives them.
    """

    title: str
    expression: Any
    letters: Mapping[str, str]
    simple: Any = None
    definitions: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def at(self, values: Mapping[str, float]) -> float:
        """The number of the formula where its letters have these values.

        A letter that abbreviates something may have a value of its own or follow from others; letters that do not
        occur are ignored. KeyError: one has no value.
        """
        import sympy

        found = sympy.S(0) + self.expression
        while meant := {
            symbol: self.definitions[symbol.name]
            for symbol in found.free_symbols
            if symbol.name in self.definitions and symbol.name not in values
        }:
            found = found.subs(meant)
        return formula_value(found, values)


def formula_value(expression: Any, values: Mapping[str, float]) -> float:
    """The number of an expression where its symbols have these values, named functions of the model included."""
    import sympy
    from sympy.core.function import AppliedUndef

    found = sympy.S(0) + expression
    found = found.subs({symbol: values[symbol.name] for symbol in found.free_symbols})
    found = sympy.S(0) + found.replace(lambda part: isinstance(part, AppliedUndef), _from_table)
    return float(found.evalf())


def _from_table(call: Any) -> int:
    """What a named function of positions gives for whole numbers."""
    numbers = [int(argument) for argument in call.args]
    if call.func.__name__ == "TouchedPositions":
        half = len(numbers) // 2
        return int(touched_positions(numbers[:half], numbers[half:]))
    terms = len(numbers) // 4
    return int(shared_positions(*(numbers[index * terms : (index + 1) * terms] for index in range(4))))


def simplest(expression: Any) -> Any:
    """The shortest of a few forms of an expression: factored, or as a sum with the maxima apart."""
    import sympy

    expanded = sympy.expand(expression)
    maxima = sorted(expanded.atoms(sympy.Max, sympy.Min), key=str)
    forms = [expression, expanded, _factored(expanded, maxima)]
    if maxima:
        forms.append(sympy.collect(expanded, maxima, sympy.factor))
    return min(forms, key=lambda form: (sympy.count_ops(form), len(str(form))))


def _factored(expanded: Any, maxima: Sequence[Any]) -> Any:
    """A product of sums; a minus in front goes into one of them, where a maximum stands apart."""
    import sympy

    sign, factors = sympy.S.One, []
    for factor in sympy.Mul.make_args(sympy.factor(expanded)):
        if factor == -1:
            sign = factor
        else:
            factors.append(factor)
    sums = [index for index, factor in enumerate(factors) if factor.is_Add]
    if sums:
        last = sums[-1]
        factors[last] = sympy.expand(sign * factors[last])
        sign = sympy.S.One
    collected = [sympy.collect(factor, maxima, sympy.factor) if factor.is_Add else factor for factor in factors]
    return sympy.Mul(sign, *collected)


# -- cases ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SymbolicNest:
    """A mapping with symbols for bounds: ``symbols`` by letter are bounds less two, so that none is below two."""

    problem: Problem
    mapping: LoopMapping
    symbols: Mapping[str, Any]
    letters: Mapping[str, str]
    values: Mapping[str, float]
    remarks: tuple[str, ...]

    def read(self, expression: Any) -> Any:
        """The expression with bounds as letters, in its simplest form."""
        import sympy

        bounds = {
            symbol: sympy.Symbol(letter, integer=True, positive=True) - 2 for letter, symbol in self.symbols.items()
        }
        return simplest(sympy.expand(sympy.S(0) + expression).subs(bounds))


def count_formula(
    problem: Problem, mapping: LoopMapping, options: CountingOptions, level: str, tensor: str, action: Action
) -> Formula:
    """The count of accesses of a tensor at a level, in words over all instances.

    One letter per loop that runs more than once: that of its dimension, numbered from the outermost where there are
    several. SpecError: a level that does not keep the tensor, options under which the count distinguishes numbers.
    """
    symbolic, traffic = _counted(problem, mapping, options)
    _check_place(traffic, level, tensor)
    return Formula(
        title=f"{action} of {tensor} in {level}, words over all instances",
        expression=symbolic.read(getattr(traffic.of(level, tensor), action)),
        letters=symbolic.letters,
        values=symbolic.values,
        remarks=symbolic.remarks,
    )


def case_formula(case: Case, level: str, tensor: str, action: Action) -> Formula:
    """:func:`count_formula` of a case, zeros disregarded. SpecError also where its mapping is none."""
    check_mapping(case.problem, case.hierarchy, case.mapping)
    formula = count_formula(case.problem, case.mapping, case.options, level, tensor, action)
    if case.sparsity is None:
        return formula
    return replace(formula, remarks=(*formula.remarks, "zeros are disregarded: the algorithmic count"))


def array_formula(architecture: Architecture, layer: Layer, level: str, tensor: str, action: Action) -> Formula:
    """:func:`count_formula` of a layer on a multiplier array, operands dense. SpecError: a layer it is not made for."""
    nest = array_nest(architecture, layer)
    options = architecture.require_array().template.options
    return count_formula(nest.problem, nest.mapping, options, level, tensor, action)


def case_term(case: Case, term: str) -> Formula:
    """Cycles or energy of a case (one of ``CASE_TERMS``) as a formula.

    SpecError: an unknown term, a case with zeros, or hops that cost energy.
    """
    import sympy

    if term not in CASE_TERMS:
        raise SpecError(f"no term {term!r} of a case{nearest(term, CASE_TERMS)}", field="--term")

    check_mapping(case.problem, case.hierarchy, case.mapping)
    if case.sparsity is not None:
        raise SpecError("a formula of a case with a sparse section: only its accesses have one", field="--term")
    if any(level.energy_per_hop_pj for level in case.hierarchy.levels):
        raise SpecError("no formula where hops cost energy: their number follows from the numbers", field="--term")
    symbolic, traffic = _counted(case.problem, case.mapping, case.options)
    cost = hierarchy_cost(traffic, case.hierarchy, case.options)
    # Energies as fractions: what multiplies out to 25 shall not print as 24.9999.
    exact = sympy.nsimplify(sympy.S(0) + getattr(cost, term), rational=True)
    return Formula(
        title=CASE_TERMS[term],
        expression=symbolic.read(exact),
        letters=symbolic.letters,
        values=symbolic.values,
        remarks=symbolic.remarks,
    )


def _symbolic_nest(problem: Problem, mapping: LoopMapping, cautious: bool) -> _SymbolicNest:
    import sympy

    loops = _loops(mapping.nodes)
    numeric = _numeric_dims(problem, mapping, loops)
    if cautious:
        spread = {node.dim for node in mapping.nodes if isinstance(node, Loop) and node.is_spatial}
        beside = {
            dim
            for tensor in problem.tensors
            for rank in tensor.ranks
            if numeric.keys() & set(rank.dims)
            for dim in rank.dims
        }
        told_apart = [dim for dim in loops if dim in spread | beside]
        numeric = dict.fromkeys(told_apart, "positions along it are told apart") | numeric
    nodes, dims = list(mapping.nodes), dict(problem.dims)
    symbols, letters, values = {}, {}, {}
    for dim, indices in loops.items():
        if dim in numeric:
            continue
        dims[dim] = 1
        for number, index in enumerate(indices, 1):
            loop = nodes[index]
            assert isinstance(loop, Loop)
            letter = dim if len(indices) == 1 else f"{dim}{number}"
            symbols[letter] = sympy.Symbol(f"{letter}_less_2", integer=True, nonnegative=True)
            values[letter] = loop.bound
            letters[letter] = f"loop over {dim}{_KINDS[loop.kind]}, {_place(mapping.nodes, index)}"
            dims[dim] = dims[dim] * (symbols[letter] + 2)
            nodes[index] = replace(loop, bound=symbols[letter] + 2)
    return _SymbolicNest(
        problem=replace(problem, dims=dims),
        mapping=replace(mapping, nodes=tuple(nodes)),
        symbols=symbols,
        letters=letters,
        values=values,
        remarks=tuple(f"{dim} stays a number: {reason}" for dim, reason in numeric.items()),
    )


def _loops(nodes: Sequence[Node]) -> dict[str, list[int]]:
    """Nodes of the loops that run more than once, by dimension."""
    found: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        if isinstance(node, Loop) and node.bound > 1:
            found.setdefault(node.dim, []).append(index)
    return found


def _numeric_dims(problem: Problem, mapping: LoopMapping, loops: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Dimensions whose counts have no formula in their bounds, with the reason."""
    numeric = {
        dim: "its loops do not divide it evenly"
        for dim, indices in loops.items()
        if math.prod(loop.bound for index in indices if isinstance(loop := mapping.nodes[index], Loop))
        != problem.dims[dim]
    }
    for tensor in problem.tensors:
        for rank in tensor.ranks:
            if rank.clip is not None:
                numeric |= dict.fromkeys(rank.dims, f"positions of {tensor.name} are clipped")
    return {dim: reason for dim, reason in numeric.items() if dim in loops}


def _place(nodes: Sequence[Node], index: int) -> str:
    """Below which storage a loop stands."""
    above = [node.level for node in nodes[:index] if not isinstance(node, Loop)]
    return f"below {above[-1]}" if above else "outermost"


def _counted(problem: Problem, mapping: LoopMapping, options: CountingOptions) -> tuple[_SymbolicNest, Traffic]:
    """A mapping in symbols with its counts; more of its dimensions are numbers where positions are told apart."""
    for cautious in (False, True):
        symbolic = _symbolic_nest(problem, mapping, cautious)
        try:
            return symbolic, count_traffic(symbolic.problem, symbolic.mapping, options)
        except TypeError:  # symbols cannot be enumerated, nor every comparison of them settled
            continue
    raise SpecError("no formula under these counting options: the count distinguishes numbers")


# -- dataflows ------------------------------------------------------------------------------------------------


def nest_formula(architecture: Architecture, level: str, tensor: str, action: Action) -> Formula:
    """The count of accesses of a tensor in a component of a planar-tiled accelerator, in words over all PEs.

    For one output-channel group size, kind of temporal pass and parity of the stride. SpecError: no such level or
    tensor, or an architecture without a dataflow.
    """
    import sympy

    _, flow = architecture.require_accelerator()
    template = flow.template
    general = _template_traffic(template, 0)
    _check_place(general, level, tensor)
    expression = simplest(getattr(general.of(level, tensor), action))
    twice = _template_traffic(template, 2)
    simple = simplest(_bounds_of_two(getattr(twice.of(level, tensor), action)))
    letters = {LETTERS[loop.trip_count]: TRIP_COUNTS[loop.trip_count] for loop in template.loops}
    letters[ENTRIES] = "partial sums of an output-channel group in a PE, halos included"
    definitions = _vectors(template) if template.core == "cartesian_product" else {}
    used = {symbol.name for symbol in (sympy.S(0) + expression).free_symbols}
    remarks = ["for one size of output-channel groups, one kind of temporal pass and one parity of the stride"]
    if template.compressed and used & set(definitions):
        remarks.append(BINOMIAL)
    return Formula(
        title=f"{action} of {tensor} in {level}, words over all PEs",
        expression=expression,
        letters=letters | BLOCK_LETTERS,
        simple=None if simple == expression else simple,
        definitions={letter: meant for letter, meant in definitions.items() if letter in used},
        remarks=tuple(remarks),
    )


def _vectors(template: Template) -> dict[str, Any]:
    """The trip counts of vectors and of their filled lanes, where all tiles have ``t`` positions.

    Vectors times filled lanes are the words that the machine sees: the non-zeros, or all of them.
    """
    import sympy

    tile, group, rows, columns, weight_lanes, activation_lanes = sympy.symbols("t K_c R S F I", positive=True)
    weight_density, activation_density = sympy.symbols("d_w d_a", positive=True) if template.compressed else (1, 1)
    block = group * rows * columns
    return {
        "A": activation_vectors(tile, Bernoulli(activation_density), activation_lanes).mean,
        "I_a": tile * activation_density / sympy.Symbol("A", positive=True),
        "W": weight_vectors(block, Bernoulli(weight_density), weight_lanes).mean,
        "F_w": block * weight_density / sympy.Symbol("W", positive=True),
    }


def _template_traffic(template: Template, least: int) -> Traffic:
    """Counts of a template in symbols; with ``least`` = 2 every loop runs at least twice."""
    import sympy

    def bound(letter: str) -> Any:
        return sympy.Symbol(f"{letter}_less_2", nonnegative=True) + 2 if least else sympy.Symbol(letter, positive=True)

    trip_counts = {loop.trip_count: bound(LETTERS[loop.trip_count]) for loop in template.loops}
    problem, mapping = build_nest(template, trip_counts, sympy.Symbol(ENTRIES, positive=True))
    return count_traffic(problem, mapping, ACCUMULATOR_OPTIONS, perfect=True)


def _bounds_of_two(expression: Any) -> Any:
    import sympy

    expanded = sympy.expand(sympy.S(0) + expression)
    letters = {symbol: symbol.name.removesuffix("_less_2") for symbol in expanded.free_symbols}
    return expanded.subs(
        {symbol: sympy.Symbol(letter, positive=True) - 2 for symbol, letter in letters.items() if letter != symbol.name}
    )


def _check_place(traffic: Traffic, level: str, tensor: str) -> None:
    levels = list(dict.fromkeys(row.level for row in traffic.rows))
    tensors = list(dict.fromkeys(row.tensor for row in traffic.rows))
    if level not in levels:
        raise SpecError(f"no level {level!r}{nearest(level, levels)}", field="--level")
    if tensor not in tensors:
        raise SpecError(f"no tensor {tensor!r}{nearest(tensor, tensors)}", field="--tensor")
    if (level, tensor) not in traffic:
        kept = ", ".join(row.level for row in traffic.rows if row.tensor == tensor)
        raise SpecError(f"{tensor} is not kept in {level}, but in {kept}", field="--level")
