"""Random small problems, mappings and counting options: every kind of nest the traffic engine promises to count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import prod

from hypothesis import assume
from hypothesis import strategies as st

from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Node, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

POINTS = 160  # a problem's largest number of multiply-accumulates: a case must be walked in a few milliseconds
LEVELS = ("L0", "L1", "L2", "L3")


@dataclass(frozen=True)
class Case:
    problem: Problem
    mapping: Mapping
    options: CountingOptions


@st.composite
def cases(draw: st.DrawFn, problems: st.SearchStrategy[Problem]) -> Case:
    problem = draw(problems)
    return Case(problem, draw(mappings(problem)), draw(options()))


@st.composite
def countable_cases(draw: st.DrawFn, problems: st.SearchStrategy[Problem]) -> Case:
    """Cases that the engine does not refuse; an option it refuses the mapping for is switched off."""
    case = draw(cases(problems))
    if refusal(case):
        case = replace(case, options=replace(case.options, share_halos=False, link_transfer=False))
    assume(not refusal(case))
    return case


@st.composite
def linked_cases(draw: st.DrawFn) -> Case:
    """Cases made for tiles that move on from neighbour to neighbour, which mappings drawn at random hardly ever do.

    Inputs stand at ``a*p + b*r`` in one rank or two: one dimension spread over the array, the other over time.
    """
    bounds, ranks, loops = {"K": draw(st.integers(1, 3))}, [], []
    for across, along in (("P", "R"), ("Q", "S"))[: draw(st.integers(1, 2))]:
        axis = draw(st.sampled_from((LoopKind.SPATIAL_X, LoopKind.SPATIAL_Y)))
        columns, steps = draw(st.sampled_from(((3,), (2,), (4,), (2, 2)))), draw(st.sampled_from(((3,), (2,), (2, 2))))
        inner = draw(st.sampled_from((1, 1, 1, 2)))
        loops.append([Loop(across, number, axis) for number in columns] + [Loop(across, inner)])
        loops.append([Loop(along, number) for number in steps])
        bounds |= {across: prod(columns) * inner, along: prod(steps)}
        coefficients = (draw(st.sampled_from((1, 1, 2, -1))), draw(st.sampled_from((1, 1, 2, -1))))
        ranks.append(Rank((Term(across, coefficients[0]), Term(along, coefficients[1]))))
    loops.append([Loop("K", bounds["K"], draw(st.sampled_from(list(LoopKind))))])
    order = draw(st.permutations([number for number, chain in enumerate(loops) for _ in chain]))
    chains = [iter(chain) for chain in loops]
    nodes: list[Node] = [next(chains[number]) for number in order]
    across_names, along_names = list(bounds)[1::2], list(bounds)[2::2]
    problem = Problem(
        bounds,
        (
            tensor("Inputs", *ranks),
            tensor("Weights", "K", *along_names),
            tensor("Outputs", "K", *across_names, is_output=True),
        ),
    )
    homes = [Store("L0", item.name) for item in problem.tensors]
    below = len(nodes) - draw(st.sampled_from((0, 0, 1, 2)))
    mapping = Mapping((*homes, *nodes[:below], Store("L1", "Inputs"), *nodes[below:]))
    return Case(problem, mapping, replace(draw(options()), link_transfer=True))


def options() -> st.SearchStrategy[CountingOptions]:
    return st.builds(
        CountingOptions,
        elide_first_read=st.sampled_from((True, False, "per_stay")),
        charge_drain_read=st.booleans(),
        parent_accumulates=st.booleans(),
        refill=st.sampled_from(("every_copy", "one_copy")),
        halo_reuse=st.sampled_from(("one_tile", "none")),
        link_transfer=st.booleans(),
        share_halos=st.booleans(),
        padded_cycles=st.booleans(),
    )


# ---- problems ----


def dims(**largest: int) -> st.SearchStrategy[dict[str, int]]:
    """Bounds from 1 to ``largest`` whose product stays within ``POINTS``."""

    @st.composite
    def bounded(draw: st.DrawFn) -> dict[str, int]:
        chosen: dict[str, int] = {}
        for name in draw(st.permutations(list(largest))):
            chosen[name] = draw(st.integers(1, min(largest[name], POINTS // prod(chosen.values()))))
        return {name: chosen[name] for name in largest}

    return bounded()


def tensor(name: str, *ranks: str | Rank, is_output: bool = False) -> Tensor:
    """A tensor whose plain ranks are one dimension each."""
    return Tensor(
        name,
        tuple(rank if isinstance(rank, Rank) else Rank((Term(rank),)) for rank in ranks),
        is_output=is_output,
    )


@st.composite
def matmul(draw: st.DrawFn) -> Problem:
    bounds = draw(dims(M=8, N=8, K=8))
    return Problem(bounds, (tensor("A", "M", "K"), tensor("B", "K", "N"), tensor("Z", "M", "N", is_output=True)))


@st.composite
def window(draw: st.DrawFn, bounds: dict[str, int], output: str, tap: str) -> Rank:
    """``output * stride + tap * dilation``, sometimes with the padding on either side cut off."""
    stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    clip = None
    if draw(st.integers(0, 3)) == 0:
        padding = draw(st.integers(0, 2))
        last = (bounds[output] - 1) * stride + (bounds[tap] - 1) * dilation
        clip = (padding, max(padding, last - draw(st.integers(0, 2)) + 1))
    return Rank((Term(output, stride), Term(tap, dilation)), clip)


@st.composite
def conv1d(draw: st.DrawFn) -> Problem:
    bounds = draw(dims(K=4, C=3, P=12, R=4))
    inputs = draw(window(bounds, "P", "R"))
    return Problem(
        bounds,
        (
            tensor("Weights", "K", "C", "R"),
            tensor("Inputs", "C", inputs),
            tensor("Outputs", "K", "P", is_output=True),
        ),
    )


@st.composite
def conv2d(draw: st.DrawFn) -> Problem:
    bounds = draw(dims(K=2, C=2, P=5, Q=5, R=3, S=3))
    rows, columns = draw(window(bounds, "P", "R")), draw(window(bounds, "Q", "S"))
    return Problem(
        bounds,
        (
            tensor("Weights", "K", "C", "R", "S"),
            tensor("Inputs", "C", rows, columns),
            tensor("Outputs", "K", "P", "Q", is_output=True),
        ),
    )


@st.composite
def grouped(draw: st.DrawFn) -> Problem:
    """A convolution in channel groups; depthwise where a group has one channel."""
    depthwise = draw(st.booleans())
    bounds = draw(dims(G=4, P=6, R=3) if depthwise else dims(G=3, K=3, C=3, P=5, R=3))
    inputs = draw(window(bounds, "P", "R"))
    k, c = ((), ()) if depthwise else (("K",), ("C",))
    return Problem(
        bounds,
        (
            tensor("Weights", "G", *k, *c, "R"),
            tensor("Inputs", "G", *c, inputs),
            tensor("Outputs", "G", *k, "P", is_output=True),
        ),
    )


@st.composite
def input_centric(draw: st.DrawFn) -> Problem:
    """Loops over inputs and taps; the outputs stand at ``w - r``, and only those of the output plane exist."""
    plane = draw(st.booleans())
    bounds = draw(dims(K=2, C=2, W=6, R=3, H=4, S=3) if plane else dims(K=3, C=3, W=12, R=4))

    def outputs(inputs: str, tap: str) -> Rank:
        dilation = draw(st.integers(1, 2))
        lowest = -(bounds[tap] - 1) * dilation
        start = draw(st.integers(lowest, bounds[inputs]))
        return Rank((Term(inputs), Term(tap, -dilation)), (start, start + draw(st.integers(0, bounds[inputs]))))

    planes = (outputs("W", "R"), outputs("H", "S")) if plane else (outputs("W", "R"),)
    taps, inputs = (("R", "S"), ("W", "H")) if plane else (("R",), ("W",))
    return Problem(
        bounds,
        (
            tensor("Weights", "K", "C", *taps),
            tensor("Inputs", "C", *inputs),
            tensor("Outputs", "K", *planes, is_output=True),
        ),
    )


@st.composite
def attention(draw: st.DrawFn) -> Problem:
    """One of the two products of attention; keys and values per head, or shared by all heads."""
    bounds = draw(dims(H=3, L=5, T=5, E=4))
    heads = draw(st.sampled_from((("H",), ())))
    if draw(st.booleans()):
        return Problem(
            bounds,
            (
                tensor("Queries", "H", "L", "E"),
                tensor("Keys", *heads, "T", "E"),
                tensor("Scores", "H", "L", "T", is_output=True),
            ),
        )
    return Problem(
        bounds,
        (
            tensor("Scores", "H", "L", "T"),
            tensor("Values", *heads, "T", "E"),
            tensor("Outputs", "H", "L", "E", is_output=True),
        ),
    )


@st.composite
def affine(draw: st.DrawFn) -> Problem:
    """Any dimensions, any ranks with any coefficients, clipped anywhere; only no dimension twice in a tensor."""
    bounds = draw(dims(A=7, B=6, D=5, E=4))
    names = ["T0", "T1", "T2"][: draw(st.integers(1, 3))]
    tensors = []
    for name in names:
        ranks = []
        free = list(draw(st.permutations(list(bounds))))[: draw(st.integers(0, 4))]
        while free:
            taken = draw(st.integers(1, min(3, len(free))))
            terms = tuple(Term(dim, draw(st.sampled_from((1, 2, 3, -1, -2)))) for dim in free[:taken])
            free = free[taken:]
            ranks.append(Rank(terms, draw(st.none() | clips(terms, bounds))))
        tensors.append(Tensor(name, tuple(ranks), is_output=name == names[-1]))
    return Problem(bounds, tuple(tensors))


@st.composite
def clips(draw: st.DrawFn, terms: tuple[Term, ...], bounds: dict[str, int]) -> tuple[int, int]:
    ends = [term.coefficient * (bounds[term.dim] - 1) for term in terms]
    low, high = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
    start = draw(st.integers(low - 1, high + 1))
    return start, draw(st.integers(start, high + 2))


FAMILIES: dict[str, Callable[[], st.SearchStrategy[Problem]]] = {
    "matmul": matmul,
    "conv1d": conv1d,
    "conv2d": conv2d,
    "grouped": grouped,
    "input_centric": input_centric,
    "attention": attention,
    "affine": affine,
}


# ---- mappings ----


@st.composite
def mappings(draw: st.DrawFn, problem: Problem) -> Mapping:
    """Any order of loops, any stores between them."""
    chains = {dim: draw(loop_chains(dim, bound)) for dim, bound in problem.dims.items()}
    slots = draw(st.permutations([dim for dim, chain in chains.items() for _ in chain]))
    outer_to_inner = {dim: iter(chain) for dim, chain in chains.items()}
    loops = [next(outer_to_inner[dim]) for dim in slots]

    levels = LEVELS[: draw(st.sampled_from((1, 2, 3, 4, 2, 3, 4)))]
    even = draw(st.booleans())
    depths = draw(store_depths(len(levels), len(loops)))
    stores: list[tuple[int, Store]] = []
    for item in problem.tensors:
        held = [level for level in levels if draw(st.sampled_from((True, True, True, False)))] or [levels[0]]
        if not even:
            depths = draw(store_depths(len(levels), len(loops)))
        stores += [(depths[levels.index(level)], Store(level, item.name)) for level in held]
    nodes: list[Node] = []
    for depth in range(len(loops) + 1):
        nodes += [store for place, store in stores if place == depth]
        nodes += loops[depth : depth + 1]
    return Mapping(tuple(nodes), no_link_transfer=draw(silenced(problem, levels)))


@st.composite
def loop_chains(draw: st.DrawFn, dim: str, bound: int) -> list[Loop]:
    """Loops of one dimension, outer to inner, that multiply to its bound or to more."""
    remaining, bounds = bound, []
    for _ in range(draw(st.integers(0 if bound == 1 else 1, 3)) - 1):
        divisors = [factor for factor in range(1, remaining + 1) if remaining % factor == 0]
        inner = draw(st.sampled_from(divisors) if draw(st.booleans()) else st.integers(1, remaining))
        bounds.append(inner)
        remaining = -(-remaining // inner)
    if bounds or bound > 1:
        # more iterations than there is work for: an array wider than a dimension leaves instances without any
        bounds.append(remaining + draw(st.sampled_from((0, 0, 0, 0, 1))))
    kinds = st.sampled_from((LoopKind.TEMPORAL, LoopKind.TEMPORAL, LoopKind.SPATIAL_X, LoopKind.SPATIAL_Y))
    return [Loop(dim, factor, draw(kinds)) for factor in reversed(bounds)]


@st.composite
def store_depths(draw: st.DrawFn, levels: int, loops: int) -> list[int]:
    """How many loops stand above each level; the outermost mostly stands above all of them."""
    depths = sorted(draw(st.integers(0, loops)) for _ in range(levels))
    return [0, *depths[1:]] if draw(st.integers(0, 3)) else depths


@st.composite
def silenced(draw: st.DrawFn, problem: Problem, levels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Levels below which a tensor's neighbours do not forward: mostly none."""
    if draw(st.integers(0, 3)):
        return ()
    return ((draw(st.sampled_from(levels)), draw(st.sampled_from(problem.tensors)).name),)


# ---- what a case holds ----


def refusal(case: Case) -> str:
    """Why the engine refuses to count a case (a SpecError); empty where it must count."""
    ragged = imperfect_dims(case.problem, case.mapping)
    loops = [node for node in case.mapping.nodes if isinstance(node, Loop)]
    for item in case.problem.tensors:
        stores = placed_stores(case.mapping, item.name)
        for (level, above), below in pairwise([*stores, ("compute", len(loops))]):
            spread = {loop.dim for loop in loops[above : below[1]] if loop.is_spatial and loop.bound > 1}
            if any(ragged.intersection(rank.dims) and len(spread.intersection(rank.dims)) > 1 for rank in item.ranks):
                return "imperfect factors where two dimensions of one rank are spatial"
            links = case.options.link_transfer and (level, item.name) not in case.mapping.no_link_transfer
            if item.is_output or below[0] == "compute" or not (links or case.options.share_halos):
                continue
            if ragged:
                return "sharing between neighbours with imperfect factors"
            if any(rank.clip is not None for rank in item.ranks):
                return "sharing between neighbours of a clipped tensor"
    return ""


def placed_stores(mapping: Mapping, tensor_name: str) -> list[tuple[str, int]]:
    """The levels that hold a tensor, outermost first, with the number of loops above each."""
    placed, above = [], 0
    for node in mapping.nodes:
        if isinstance(node, Loop):
            above += 1
        elif node.tensor == tensor_name:
            placed.append((node.level, above))
    return placed


def imperfect_dims(problem: Problem, mapping: Mapping) -> set[str]:
    return {loop.dim for loop in imperfect_loops(problem, mapping)}


def imperfect_loops(problem: Problem, mapping: Mapping) -> list[Loop]:
    """Loops that run fewer iterations in their last pass than in the others."""
    found = []
    last = {dim: bound - 1 for dim, bound in problem.dims.items()}
    for node in reversed(mapping.nodes):
        if isinstance(node, Loop):
            last[node.dim], iteration = divmod(last[node.dim], node.bound)
            if iteration < node.bound - 1:
                found.append(node)
    return found


def features(case: Case) -> set[str]:
    """Names of what a case exercises, to see that the random cases reach all of it."""
    loops = [node for node in case.mapping.nodes if isinstance(node, Loop)]
    placed = {item.name: placed_stores(case.mapping, item.name) for item in case.problem.tensors}
    places = {place for stores in placed.values() for place in stores}
    levels = {level for level, _ in places}
    found = {f"{len(levels)} levels", *(loop.kind.value for loop in loops)}
    found |= {f"{key}={value}" for key, value in asdict(case.options).items() if key != "convention"}
    for loop in imperfect_loops(case.problem, case.mapping):
        found.add("imperfect spatial" if loop.is_spatial else "imperfect temporal")
    if any(len(stores) < len(levels) for stores in placed.values()):
        found.add("bypass")
    if len(places) > len(levels):
        found.add("uneven")
    for rank in (rank for item in case.problem.tensors for rank in item.ranks):
        found |= {"clip"} if rank.clip is not None else set()
        found |= {"negative" if term.coefficient < 0 else "positive" for term in rank.terms}
        found |= {"stride" for term in rank.terms if abs(term.coefficient) > 1}

    output = case.problem.output
    reductions = [loop.bound > 1 and loop.dim not in output.dims for loop in loops]
    if (
        any(
            reduces and not loop.is_spatial
            for reduces, loop in zip(reductions, loops[: placed[output.name][-1][1]], strict=False)
        )
        and len(placed[output.name]) > 1
    ):
        found.add("reduction outside")
    if any(reduces and loop.is_spatial for reduces, loop in zip(reductions, loops, strict=True)):
        found.add("spatial reduction")
    return found
