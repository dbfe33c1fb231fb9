"""The terms of the cycle model of planar-tiled accelerators as formulas: their functions, fed symbols.

Everything is for one output-channel group of a layer of stride 1; a larger stride adds up its parities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from timeloop_py.model.formulas import BINOMIAL, BLOCK_LETTERS, Formula, simplest
from timeloop_py.model.planar_cycles import ComputeTime, drain_cycles, reduction_steps
from timeloop_py.numbers.operations import largest, maximum
from timeloop_py.sparsity import barrier
from timeloop_py.sparsity.fragmentation import Moments, activation_vectors, group_steps, weight_vectors
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.dataflow import Dataflow
from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.tensors.density import Bernoulli

#: what each term gives, for one output-channel group unless it says otherwise
TERMS = {
    "weight_vectors": "vectors of F weights in a (group, channel) block",
    "activation_vectors": "vectors of I activations in a (channel, tile) block",
    "fragmentation": "steps of a PE, vectors that are not full included",
    "barrier": "steps of the PE that the barrier waits for",
    "bank_contention": "cycles that products wait for an accumulator bank",
    "overhead": "cycles of block overheads",
    "compute_cycles": "cycles without memories",
    "accumulator_drain": "cycles in which the largest PE drains the partial sums of a group",
    "drain": "cycles that a group waits for the drain of the one before it",
    "cycles": "cycles of the layer",
}
_CARTESIAN_ONLY = ("weight_vectors", "activation_vectors", "bank_contention")
_MEANINGS = {
    **BLOCK_LETTERS,
    "C": "input channels of a channel group",
    "O_t": "output positions of the largest PE, halos included",
    "r_d": "accumulator entries that a PE drains per cycle",
    "h": "overhead cycles of a block",
    "s_b": "mean cycles of a step at the accumulator banks (no closed form: sparsity/bank_contention.py)",
    "N_g": "output-channel groups, of all channel groups and temporal passes, all of K_c channels",
    "W": "mean of the vectors of a weight block",
    "V_W": "variance of the vectors of a weight block",
    "A": "mean of the vectors of an activation block",
    "M": "steps of the PE that the barrier waits for",
    "M_D": "the same where they last at least as long as the drain of the group before",
    "D": "steps that last as long as the drain of the group before",
    "E_D": "E[max(D, steps)] under a barrier per channel (no closed form)",
}
_SUMS = (
    "sum(C; X(m, v)*..): over C channels, X vectors of weights of mean m and variance v, common to all PEs; "
    "n x: of n PEs (numbers/sums.py)"
)


@dataclass(frozen=True)
class _Terms:
    """Formulas by term, and the letters they abbreviate something with."""

    expressions: Mapping[str, Any]
    definitions: Mapping[str, Any] = field(default_factory=dict)


def term_formula(architecture: Architecture, term: str, classes: int = 2) -> Formula:
    """A term of the cycle model under the choices of an architecture's dataflow.

    ``classes``: how many sizes of tiles the PEs have. SpecError: an unknown term, or one that the dataflow lacks.
    """
    _, flow = architecture.require_accelerator()
    cartesian = flow.template.core == "cartesian_product"
    known = [name for name in TERMS if cartesian or name not in _CARTESIAN_ONLY]
    if term not in known:
        reason = f"the dataflow {flow.name} has no term" if term in TERMS else "no term"
        raise SpecError(f"{reason} {term!r}{nearest(term, known)}", field="--term")
    found = _cartesian(flow, classes) if cartesian else _dot_product(flow, classes)
    expression = simplest(found.expressions[term])
    used = _used(expression, found.definitions)
    definitions = {letter: value for letter, value in found.definitions.items() if letter in used}
    return Formula(
        title=f"{term}: {TERMS[term]}",
        expression=expression,
        letters={letter: text for letter, text in _meanings(classes).items() if letter in used},
        definitions=definitions,
        values={letter: value for letter, value in _values(architecture).items() if letter in used},
        remarks=tuple(_remarks(flow, term, " ".join(map(str, (expression, *definitions.values()))))),
    )


def _values(architecture: Architecture) -> dict[str, float]:
    """Letters that the architecture decides."""
    parameters, flow = architecture.require_accelerator()
    return {
        "F": parameters.F,
        "I": parameters.I,
        "r_d": flow.drain_words_per_cycle,
        "h": flow.block_overhead_cycles,
    }


def _used(expression: Any, definitions: Mapping[str, Any]) -> set[str]:
    """Letters of an expression and of everything it abbreviates."""
    letters = {symbol.name for symbol in expression.free_symbols}
    return letters.union(*(_used(definitions[letter], definitions) for letter in letters if letter in definitions))


def _remarks(flow: Dataflow, term: str, text: str) -> list[str]:
    remarks = ["for stride 1; the parities of a larger stride add up"]
    if "B(" in text:
        remarks.append(BINOMIAL)
    if "sum(" in text:
        remarks.append(_SUMS)
    if term == "cycles":
        remarks.append("at least as many as any component with events_per_cycle takes")
    if term in ("barrier", "compute_cycles", "cycles") and flow.template.core == "cartesian_product":
        remarks.append(f"barrier: {flow.barrier}")
    return remarks


def _meanings(classes: int) -> dict[str, str]:
    tiles = {}
    for number in _numbers(classes):
        tiles[f"t_{number}"] = f"positions of a tile, size {number}"
        tiles[f"n_{number}"] = f"PEs with a tile of size {number}"
        tiles[f"A_{number}"] = f"mean of the vectors of a tile of size {number}"
        tiles[f"V_{number}"] = f"variance of the vectors of a tile of size {number}"
    return _MEANINGS | tiles


def _numbers(classes: int) -> range:
    return range(1, classes + 1)


def _symbol(letter: str) -> Any:
    import sympy

    whole = letter[0] not in "dhrsADEMVW"
    return sympy.Symbol(letter, positive=True, integer=True if whole else None)


def _cartesian(flow: Dataflow, classes: int) -> _Terms:
    channels, lanes = _symbol("C"), _symbol("I")
    # A machine that does not skip zeros sees densities of 1.
    densities = (_symbol("d_w"), _symbol("d_a")) if flow.template.compressed else (1, 1)
    of_weights = weight_vectors(_symbol("K_c") * _symbol("R") * _symbol("S"), Bernoulli(densities[0]), _symbol("F"))
    of_tile = activation_vectors(_symbol("t"), Bernoulli(densities[1]), lanes)
    definitions: dict[str, Any] = {}

    def letter(name: str, value: Any) -> Any:
        """A letter in place of an expectation; what is certain is short enough."""
        if not flow.template.compressed:
            return value
        definitions[name] = value
        return _symbol(name)

    weights = Moments(letter("W", of_weights.mean), letter("V_W", of_weights.variance))

    tiles = [_symbol(f"t_{number}") for number in _numbers(classes)]
    counts = [_symbol(f"n_{number}") for number in _numbers(classes)]
    steps = []
    for number, tile in zip(_numbers(classes), tiles, strict=True):
        moments = activation_vectors(tile, Bernoulli(densities[1]), lanes)
        named = Moments(letter(f"A_{number}", moments.mean), letter(f"V_{number}", moments.variance))
        steps.append(group_steps(channels, weights, named))
    zeros = Bernoulli(densities[1])
    operands = (channels, weights, tiles, counts, zeros, lanes)
    if flow.barrier == "per_group":
        slowest = barrier.per_group(*operands)
    elif flow.barrier == "per_channel":
        slowest = barrier.per_channel(*operands)
    else:
        slowest = barrier.without(Moments([one.mean for one in steps], [one.variance for one in steps]), counts)
    per_step = 1 if flow.bank_contention == "none" else _symbol("s_b")
    of_pe = group_steps(channels, weights, Moments(letter("A", of_tile.mean), 0)).mean
    draining = (_symbol("M_D") - _symbol("M")) * per_step
    time = ComputeTime(
        steps=of_pe,
        stalled=of_pe * (per_step - 1),
        slowest=_symbol("M"),
        stalls=_symbol("M") * (per_step - 1),
        overhead=_symbol("h") * channels,
        draining=draining,
        drained=draining,
    )
    definitions |= {
        "M": slowest,
        "M_D": _with_drain(flow, slowest, operands),
        "D": maximum(0, (_drain() - time.overhead) / per_step),
    }
    vectors = {"weight_vectors": of_weights.mean, "activation_vectors": of_tile.mean}
    return _Terms(vectors | _terms_of(time, slowest), definitions)


def _with_drain(flow: Dataflow, slowest: Any, operands: Sequence[Any]) -> Any:
    """Expected steps of a group that lasts at least ``D`` of them: ``E[max(D, steps)]``."""
    channels, weights, tiles, counts, zeros, lanes = operands
    if not flow.template.compressed:
        return maximum(_symbol("D"), slowest)
    if flow.barrier == "none":  # chance averaged out: one PE of the largest tile
        tiles, counts = [largest(tiles)], [1]
    if flow.barrier == "per_channel":
        return _symbol("E_D")
    return zeros.expected_maximum_sums(channels, weights.mean, weights.variance, tiles, counts, lanes, _symbol("D"))


def _dot_product(flow: Dataflow, classes: int) -> _Terms:
    taps, lanes = _symbol("R") * _symbol("S"), _symbol("F") * _symbol("I")
    per_position = _symbol("K_c") * reduction_steps(_symbol("C"), taps, lanes, flow.vector_over)
    slowest = per_position * largest([_symbol(f"t_{number}") for number in _numbers(classes)])
    draining = maximum(0, _drain() - _symbol("M") - _symbol("h"))
    time = ComputeTime(
        steps=per_position * _symbol("t"),
        stalled=0 * slowest,
        slowest=_symbol("M"),
        stalls=0 * slowest,
        overhead=_symbol("h"),
        draining=draining,
        drained=draining,
    )
    return _Terms(_terms_of(time, slowest), {"M": slowest})


def _drain() -> Any:
    return drain_cycles(_symbol("K_c"), _symbol("O_t"), _symbol("r_d"))


def _terms_of(time: ComputeTime, slowest: Any) -> dict[str, Any]:
    return {
        "fragmentation": time.steps,
        "barrier": slowest,
        "bank_contention": time.stalls,
        "overhead": time.overhead,
        "compute_cycles": time.cycles,
        "accumulator_drain": _drain(),
        "drain": time.draining,
        "cycles": _symbol("N_g") * simplest(time.cycles + time.draining),
    }
