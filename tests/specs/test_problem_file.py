"""Problems in files: projections, clipping, densities, and every mistake with its place."""

import pytest

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.files import parse_value
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term
from timeloop_py.specs.problem_file import parse_problem, tensor_names

GOOD = """\
dims: {N: 1, C: 2, P: 4, R: 3}
coefficients: {stride: 2, back: -1}
dataspaces:
  - name: Weights
    projection: [[C], [R]]
    density: {distribution: banded, band_width: 2}
  - name: Inputs
    projection: [[N], [C], [[P, stride], [R, 3]]]
    density: {distribution: hypergeometric, density: 0.25, workload_tensor_size: 100}
  - name: Outputs
    projection: [[N], {terms: [P, [R, back]], clip: [0, 4]}]
    read_write: true
"""


def parse(text: str) -> Problem:
    return parse_problem(parse_value(text, "problem.yaml").section())


def test_a_problem_is_what_stands_in_the_file() -> None:
    problem = parse(GOOD)
    assert problem.dims == {"N": 1, "C": 2, "P": 4, "R": 3}
    assert problem.tensors == (
        Tensor("Weights", (Rank((Term("C"),)), Rank((Term("R"),)))),
        Tensor("Inputs", (Rank((Term("N"),)), Rank((Term("C"),)), Rank((Term("P", 2), Term("R", 3))))),
        Tensor("Outputs", (Rank((Term("N"),)), Rank((Term("P"), Term("R", -1)), clip=(0, 4))), is_output=True),
    )
    assert problem.densities == {
        "Weights": {"distribution": "banded", "band_width": 2},
        "Inputs": {"distribution": "hypergeometric", "density": 0.25, "workload_tensor_size": 100},
    }
    assert tensor_names(problem) == ("Weights", "Inputs", "Outputs")


def test_a_tensor_may_be_a_scalar() -> None:
    problem = parse("{dims: {K: 2}, dataspaces: [{name: Z, projection: [], read_write: true}]}")
    assert problem.output.ranks == ()


BAD = [
    # (what stands there, what is written instead, line, field, part of the message)
    ("{N: 1, C: 2, P: 4, R: 3}", "{}", 1, "dims", "at least one dimension"),
    ("P: 4", "P: 0", 1, "dims.P", "expected at least 1, found 0"),
    ("P: 4", "P: -4", 1, "dims.P", "expected at least 1, found -4"),
    ("P: 4", "P: 4.0", 1, "dims.P", "expected a whole number, found 4.0"),
    ("P: 4", "P: 4 words", 1, "dims.P", "without a unit"),
    ("P: 4", "P: null", 1, "dims.P", "expected a whole number"),
    ("N: 1", "N-2: 1", 1, "dims.N-2", "letters, digits and _"),
    ("stride: 2", "R: 2", 2, "coefficients.R", "is a dimension"),
    ("stride: 2", "stride: 0", 2, "coefficients.stride", "other than 0"),
    ("stride: 2", "stride: fast", 2, "coefficients.stride", "expected a whole number"),
    ("name: Inputs", "name: Weights", 7, "dataspaces[1].name", "two dataspaces are called 'Weights'"),
    ("name: Inputs", "name: ''", 7, "dataspaces[1].name", "found empty text"),
    ("name: Inputs", "nam: Inputs", 7, "dataspaces[1].name", "did you mean 'nam'"),
    ("[R, 3]", "[S, 3]", 8, "dataspaces[1].projection[2][1][0]", "unknown dimension 'S' (known: N, C, P, R)"),
    ("[R, 3]", "[r, 3]", 8, "dataspaces[1].projection[2][1][0]", "did you mean 'R'"),
    ("[R, 3]", "[R, 0]", 8, "dataspaces[1].projection[2][1][1]", "other than 0"),
    ("[R, 3]", "[R, 1.5]", 8, "dataspaces[1].projection[2][1][1]", "expected a whole number"),
    ("[R, 3]", "[R, 3, 1]", 8, "dataspaces[1].projection[2][1]", "P or [P, coefficient]"),
    ("[R, 3]", "[P, 3]", 8, "dataspaces[1].projection[2][1]", "stands in this rank twice"),
    ("[R, 3]", "[C, 3]", 8, "dataspaces[1].projection[2]", "'C' stands in two ranks of 'Inputs'"),
    ("[R, 3]", "[R, N]", 8, "dataspaces[1].projection[2][1][1]", "one list less"),
    ("[P, stride]", "[P, strid]", 8, "dataspaces[1].projection[2][0][1]", "did you mean 'stride'"),
    ("[[P, stride], [R, 3]]", "[P, stride]", 8, "dataspaces[1].projection[2][1]", "is a coefficient"),
    ("[[P, stride], [R, 3]]", "[]", 8, "dataspaces[1].projection[2]", "empty rank"),
    ("[[P, stride], [R, 3]]", "P", 8, "dataspaces[1].projection[2]", "expected a list, found 'P'"),
    ("density: 0.25", "density: 0", 9, "dataspaces[1].density.density", "above 0"),
    ("density: 0.25", "density: 25", 9, "dataspaces[1].density.density", "at most 1"),
    ("density: 0.25", "density: 25%", 9, "dataspaces[1].density.density", "without a unit"),
    ("density: 0.25, ", "", 9, "dataspaces[1].density.density", "missing"),
    (
        "distribution: hypergeometric",
        "distribution: hypergeo",
        9,
        "dataspaces[1].density.distribution",
        "hypergeometric",
    ),
    ("workload_tensor_size", "tensor_size", 9, "dataspaces[1].density.tensor_size", "unknown key"),
    ("clip: [0, 4]", "clip: [4, 4]", 11, "dataspaces[2].projection[1].clip", "first position below the end"),
    ("clip: [0, 4]", "clip: [0]", 11, "dataspaces[2].projection[1].clip", "two positions"),
    ("clip: [0, 4]", "clips: [0, 4]", 11, "dataspaces[2].projection[1].clips", "did you mean 'clip'"),
    ("terms: [P, [R, back]]", "terms: []", 11, "dataspaces[2].projection[1].terms", "empty rank"),
    ("read_write: true", "read_write: false", 3, "dataspaces", "found none"),
    ("read_write: true", "read_write: yes", 12, "dataspaces[2].read_write", "true or false"),
    ("read_write: true", "readwrite: true", 12, "dataspaces[2].readwrite", "did you mean 'read_write'"),
    ("projection: [[C], [R]]", "projection: [[C], [R]]\n    read_write: true", 13, "dataspaces[2].read_write", "two"),
    ("coefficients:", "coefficient:", 2, "coefficient", "did you mean 'coefficients'"),
]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "message"), BAD, ids=[f"{bad[3]}-{bad[1][:20]}" for bad in BAD]
)
def test_a_bad_problem_is_named(old: str, new: str, line: int, field: str, message: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(SpecError) as caught:
        parse(GOOD.replace(old, new))
    assert (caught.value.path, caught.value.line, caught.value.field) == ("problem.yaml", line, field)
    assert message in caught.value.message
