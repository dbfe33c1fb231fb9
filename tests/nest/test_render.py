"""Pseudo-code of nests, to the letter; and code that, run as written, does the computation."""

import itertools
import re
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.nest.render import render_nest
from timeloop_py.specs.case import load_case
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term

CASES = Path(__file__).parents[1] / "data" / "timeloop_cases"


def test_an_imperfect_nest() -> None:
    case = load_case(CASES / "d22_imperfect_p7" / "case.json")
    assert (
        render_nest(case.problem, case.mapping)
        == """\
store Weights in DRAM
store Inputs in DRAM
store Outputs in DRAM
for p1 in [0:2)
  store Weights in Buf
  store Inputs in Buf
  store Outputs in Buf
  for p2 in [0:4 (last 3))
    for r in [0:3)
      p = 4*p1 + p2
      Outputs[p] += Weights[r] * Inputs[r + p]
"""
    )


def test_a_spatial_nest_with_a_margin() -> None:
    case = load_case(CASES / "d13_mm_spatial_2d" / "case.json")
    margin: dict[tuple[str, str], dict[str, object]] = {
        ("DRAM", "A"): {"tile": 32},
        ("GLB", "B"): {"tile": 64, "fills": np.int64(1234567), "reads": 12.5},
        ("RF", "Z"): {"tile": 1, "reads": "N*K"},
    }
    assert (
        render_nest(case.problem, case.mapping, margin)
        == """\
                        tile       fills   reads
store A in DRAM           32
store B in DRAM
store Z in DRAM
for m1 in [0:2)
  store A in GLB
  store B in GLB          64   1,234,567   12.50
  store Z in GLB
  for n1 in [0:2)
    parallel-for n2 in [0:4) on x
      parallel-for m2 in [0:2) on y
        store A in RF
        store B in RF
        store Z in RF      1                 N*K
        for k in [0:8)
          m = 2*m1 + m2
          n = 4*n1 + n2
          Z[m, n] += A[m, k] * B[k, n]
"""
    )


def test_projections_and_dimensions_without_loops() -> None:
    problem = Problem(
        {"N": 1, "W": 8, "R": 3, "S": 1},
        (
            Tensor("I", (Rank((Term("N"),)), Rank((Term("W", 2), Term("S", 3))))),
            Tensor(
                "O", (Rank((Term("W"), Term("R", -1)), clip=(0, 6)), Rank((Term("R", -2), Term("N")))), is_output=True
            ),
        ),
    )
    mapping = Mapping((Store("Buf", "I"), Loop("N", 1), Loop("W", 8), Loop("R", 3)))
    assert (
        render_nest(problem, mapping)
        == """\
store I in Buf
for w in [0:8)
  for r in [0:3)
    O[w - r within [0:6), -2*r] += I[0, 2*w]
"""
    )


def test_dimensions_that_differ_by_case_keep_it() -> None:
    problem = Problem({"P": 2, "p": 2}, (Tensor("Z", (Rank((Term("P"), Term("p"))),), is_output=True),))
    assert (
        render_nest(problem, Mapping((Loop("P", 2), Loop("p", 2))))
        == """\
for P in [0:2)
  for p in [0:2)
    Z[P + p] += 1
"""
    )


def run(code: str) -> list[tuple[int, int]]:
    """Walk printed pseudo-code: the innermost indices (k, p) in order, reading only what it says."""
    loops: list[tuple[str, int, int]] = []
    sums: dict[str, list[tuple[int, str]]] = {}
    for line in code.splitlines():
        if loop := re.match(r" *(?:parallel-)?for (\w+) in \[0:(\d+)(?: \(last (\d+)\))?\)", line):
            loops.append((loop[1], int(loop[2]), int(loop[3] or loop[2])))
        elif index := re.match(r" *(\w+) = (.*)", line):
            sums[index[1]] = [
                (int(factor or 1), name) for factor, name in re.findall(r"(?:(\d+)\*)?([a-z]\d*)", index[2])
            ]
    found = []
    for point in itertools.product(*(range(bound) for _, bound, _ in loops)):
        at = {name: value for (name, _, _), value in zip(loops, point, strict=True)}
        # A loop stays below its last bound where every outer loop of its dimension stands at its last iteration.
        last = dict.fromkeys("kp", True)
        inside = True
        for (name, _, bound), value in zip(loops, point, strict=True):
            inside &= not (last[name[0]] and value >= bound)
            last[name[0]] &= value == bound - 1
        if inside:
            for dim, terms in sums.items():
                at[dim] = sum(factor * at[name] for factor, name in terms)
            found.append((at.get("k", 0), at.get("p", 0)))
    return found


@given(st.data())
def test_the_code_visits_every_point_once(data: st.DataObject) -> None:
    dims = {"K": data.draw(st.integers(1, 9)), "P": data.draw(st.integers(1, 9))}
    loops: list[Loop] = []
    for dim, size in dims.items():
        inner = data.draw(st.lists(st.integers(1, 3), max_size=2))
        product = int(np.prod(inner, initial=1))
        for bound in (-(-size // product), *inner):
            loops.append(Loop(dim, bound, data.draw(st.sampled_from(LoopKind))))
    order = data.draw(st.permutations("K" * sum(x.dim == "K" for x in loops) + "P" * sum(x.dim == "P" for x in loops)))
    queues = {dim: [loop for loop in loops if loop.dim == dim] for dim in dims}
    mapping = Mapping(tuple(queues[dim].pop(0) for dim in order))
    problem = Problem(dims, (Tensor("Z", (Rank((Term("K"),)), Rank((Term("P"),))), is_output=True),))
    visited = run(render_nest(problem, mapping))
    assert sorted(visited) == list(itertools.product(range(dims["K"]), range(dims["P"])))
