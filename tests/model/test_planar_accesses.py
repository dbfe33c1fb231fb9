"""Events at density 1 against a walk over PEs, groups, channels and vectors that shares no code with the model."""

from __future__ import annotations

import itertools
from collections import Counter
from math import ceil

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from timeloop_py.model.evaluate import evaluate
from timeloop_py.nest.lowering import lower_layer
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.layer import Layer

GRID, LANES_W, LANES_A, WORDS = (2, 3), 2, 3, 40
SIZES = (
    ("parameters.pe_x", GRID[0]),
    ("parameters.pe_y", GRID[1]),
    ("parameters.F", LANES_W),
    ("parameters.I", LANES_A),
    ("parameters.accumulator_entries", WORDS),
)
BITS = 20


def small(name: str) -> Architecture:
    banks = 1
    terms = (("dataflow.bank_contention", "none"),) if name == "scnn" else ()
    return load_architecture(name, (*SIZES, ("parameters.accumulator_banks", banks), *terms))


def cut(size: int, parts: int) -> list[range]:
    side, more = divmod(size, parts)
    ends = [0]
    for part in range(parts):
        ends.append(ends[-1] + side + (part < more))
    return [range(a, b) for a, b in itertools.pairwise(ends)]


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    groups, stride, taps = draw(st.sampled_from([1, 2])), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    return Layer(
        "random",
        K=groups * draw(st.integers(1, 9)),
        C=groups * draw(st.integers(1, 3)),
        W=draw(st.integers(taps, 9)),
        H=draw(st.integers(taps, 7)),
        R=taps,
        S=taps,
        stride=(stride, stride),
        padding=(draw(st.integers(0, 1)),) * 2,
        groups=groups,
    )


def positions(layer: Layer, w: int, r: int, axis: int) -> int | None:
    """The output that input ``w`` and tap ``r`` add to along an axis, None where there is none."""
    place = w + layer.padding[axis] - r
    outputs = (layer.P, layer.Q)[axis]
    if place % layer.stride[axis] or not 0 <= place // layer.stride[axis] < outputs:
        return None
    return place // layer.stride[axis]


def reaches_inputs(layer: Layer) -> bool:
    """Whether any output sees more than padding."""
    return all(
        any(positions(layer, w, r, axis) is not None for w in range(plane) for r in range(taps))
        for axis, (plane, taps) in enumerate(((layer.W, layer.R), (layer.H, layer.S)))
    )


def cartesian_walk(layer: Layer, channels_of_group: int) -> Counter[str]:
    """Events of PT-IS-CP without zeros: vectors of one stride parity, products, sums that leave the accumulators."""
    seen: Counter[str] = Counter()
    per_group = layer.K // layer.groups
    sizes = [min(channels_of_group, per_group - k) for k in range(0, per_group, channels_of_group)]
    tiles = [(x, y) for x in cut(layer.W, GRID[0]) for y in cut(layer.H, GRID[1])]
    sx, sy = layer.stride
    owners: dict[tuple[int, int], int] = {}
    written = []
    for index, (x, y) in enumerate(tiles):
        outputs = set()
        for w in x:
            for h in y:
                for r in range(layer.R):
                    for s in range(layer.S):
                        p, q = positions(layer, w, r, 0), positions(layer, h, s, 1)
                        if p is not None and q is not None:
                            outputs.add((p, q))
        written.append(outputs)
        for output in outputs:
            owners[output] = index
    for kc in sizes:
        for index, (x, y) in enumerate(tiles):
            works = any((w + layer.padding[0]) % sx < layer.R for w in x) and any(
                (h + layer.padding[1]) % sy < layer.S for h in y
            )
            if not works:  # no input of this PE meets a tap
                continue
            seen["drained"] += layer.groups * kc * len(written[index])
            seen["halos"] += layer.groups * kc * sum(owners[output] != index for output in written[index])
            for i in range(sx):
                for j in range(sy):
                    taps = [(r, s) for r in range(i, layer.R, sx) for s in range(j, layer.S, sy)]
                    inputs = [
                        (w, h)
                        for w in x
                        for h in y
                        if (w + layer.padding[0]) % sx == i and (h + layer.padding[1]) % sy == j
                    ]
                    if not taps:
                        continue
                    repeats = layer.C  # channels of a group times groups
                    vectors_a, vectors_w = ceil(len(inputs) / LANES_A), ceil(kc * len(taps) / LANES_W)
                    seen["input_vectors"] += repeats * vectors_a
                    seen["weight_words"] += repeats * kc * len(taps)
                    seen["weight_vectors"] += repeats * vectors_a * vectors_w
                    seen["products"] += repeats * len(inputs) * kc * len(taps)
                    seen["in_range"] += (
                        repeats
                        * kc
                        * sum(
                            positions(layer, w, r, 0) is not None and positions(layer, h, s, 1) is not None
                            for w, h in inputs
                            for r, s in taps
                        )
                    )
    return seen


@settings(max_examples=60, deadline=None)
@given(layers())
def test_cartesian_events(layer: Layer) -> None:
    architecture = small("scnn")
    assume(reaches_inputs(layer))
    evaluation = evaluate(architecture, layer, [(1.0, 1.0)])
    counts = {(row.level, row.tensor, row.action): row.count for row in evaluation.accesses.itertuples()}
    walk = cartesian_walk(layer, lowered_groups(architecture, layer)[0][0])
    line = BITS / 80
    expected = {
        ("multiplier", "Outputs", "multiply"): walk["products"],
        ("crossbar", "Outputs", "transfer"): walk["in_range"],
        ("adder", "Outputs", "add"): walk["in_range"],
        ("input_activation_ram", "Inputs", "read"): walk["input_vectors"] * LANES_A * line,
        ("weight_buffer", "Weights", "write"): walk["weight_words"] * line,
        ("weight_buffer", "Weights", "read"): walk["weight_vectors"] * LANES_W * line,
        ("accumulator", "Outputs", "write"): walk["in_range"] + walk["halos"],
        ("accumulator", "Outputs", "read"): walk["in_range"] + walk["drained"] + walk["halos"],
        ("halo_link", "Outputs", "transfer"): walk["halos"],
        ("dram", "Weights", "read"): layer.weights * BITS,
    }
    assert {place: counts[place] for place in expected} == pytest.approx(expected, rel=1e-9)


def lowered_groups(architecture: Architecture, layer: Layer) -> tuple[tuple[int, int], ...]:
    lowered = lower_layer(architecture, layer)
    assume(lowered.tiling.passes == 1)
    return lowered.groups


@settings(max_examples=60, deadline=None)
@given(layers())
def test_dot_product_events(layer: Layer) -> None:
    architecture = small("dcnn")
    evaluation = evaluate(architecture, layer, [(1.0, 1.0)])
    counts = {(row.level, row.tensor, row.action): row.count for row in evaluation.accesses.itertuples()}
    groups = lowered_groups(architecture, layer)
    busy = sum(bool(x) and bool(y) for x in cut(layer.P, GRID[0]) for y in cut(layer.Q, GRID[1]))
    lanes = LANES_W * LANES_A
    steps = layer.K * layer.P * layer.Q * ceil(layer.C // layer.groups * layer.R * layer.S / lanes)
    inputs = layer.C * layer.W * layer.H
    expected = {
        ("multiplier", "Outputs", "multiply"): layer.macs,
        ("weight_buffer", "Weights", "read"): steps * lanes * 16 / 80,
        ("weight_buffer", "Weights", "write"): layer.weights * busy * 16 / 80,
        ("accumulator", "Outputs", "write"): steps,
        ("accumulator", "Outputs", "read"): steps + layer.outputs,
        ("dram", "Weights", "read"): layer.weights * 16,
        ("dram", "Inputs", "read"): inputs * 16,
        ("operand_register", "Inputs", "write"): inputs * sum(count for _, count in groups),
    }
    assert {place: counts[place] for place in expected} == pytest.approx(expected, rel=1e-9)
