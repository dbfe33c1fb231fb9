"""The ledger: how claims are read, compared and printed."""

import csv
from pathlib import Path

import pytest

from timeloop_py.claims import ledger
from timeloop_py.claims.ledger import Claim, Finding, Measured, load_ledger, scalar, to_frame, to_objects
from timeloop_py.specs.errors import SpecError

HEAD = "id,where,quantity,paper_value,unit,tolerance,kind,settings,note"


def claim(paper, tolerance=0.1, upper_bound=False, separator="/"):
    return Claim("X-1", "Fig 1", "something", paper, "x", tolerance, upper_bound, "shape", "", "", separator)


def written(folder: Path, row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.csv").write_text(f"{HEAD}\n{row}\n", encoding="utf-8")
    monkeypatch.setattr(ledger, "DATA", folder)


def test_scnn_has_every_claim_once() -> None:
    claims = load_ledger("scnn")
    assert len(claims) == 41
    assert len({claim.id for claim in claims}) == 41
    assert sum(claim.tolerance is not None for claim in claims) == 36


def test_values_of_every_form() -> None:
    claims = {claim.id: claim for claim in load_ledger("scnn")}
    assert claims["T1-alexnet-macs"].paper == 0.69e9
    assert claims["T1-layers"].paper == (5.0, 54.0, 13.0)
    assert claims["F10-scnn-range"].paper == (0.89, 4.7)
    assert claims["F10-scnn-range"].separator == "-"
    assert claims["F8-oracle"].paper is True
    assert claims["F8-oracle"].tolerance == 0
    assert claims["F7a-dense"].tolerance == 0.05
    assert claims["S6D-penalty"].tolerance is None
    assert claims["F9-late-utilisation"].upper_bound
    assert claims["F9-late-utilisation"].unit == "fraction"


@pytest.mark.parametrize(
    ("paper", "ours", "tolerance", "upper_bound", "verdict"),
    [
        (2.0, 2.19, 0.1, False, "pass"),
        (2.0, 1.81, 0.1, False, "pass"),
        (2.0, 2.21, 0.1, False, "miss"),
        (2.0, 1.79, 0.1, False, "miss"),
        (9.0, 9.0, 0.0, False, "pass"),
        (9.0, 10.0, 0.0, False, "miss"),
        (0.2, 0.12, 0.0, True, "pass"),
        (0.2, 0.21, 0.0, True, "miss"),
        (True, True, 0.0, False, "pass"),
        (True, False, 0.0, False, "miss"),
        ((1.0, 2.0), (1.05, 1.9), 0.1, False, "pass"),
        ((1.0, 2.0), (1.05, 1.7), 0.1, False, "miss"),
        (4.0, 400.0, None, False, "report"),
    ],
)
def test_verdict(paper, ours, tolerance, upper_bound, verdict) -> None:
    assert Finding(claim(paper, tolerance, upper_bound), Measured(ours)).verdict == verdict


def test_difference_is_relative_and_per_number() -> None:
    assert Finding(claim((2.0, 4.0)), Measured((1.0, 5.0))).difference == (-0.5, 0.25)
    with pytest.raises(ValueError, match="shorter"):
        _ = Finding(claim((2.0, 4.0)), Measured((1.0, 5.0, 3.0))).difference


def test_frame_and_objects_say_the_same() -> None:
    range_claim = claim((0.5, 4.0), 0.2, separator="-")
    findings = [Finding(range_claim, Measured((0.55, 3.0), "why", (1.0, 2.0)), fitted=True)]
    row = to_frame(findings).iloc[0]
    assert list(to_frame(findings).columns[:7]) == [
        "id", "paper", "ours", "difference", "tolerance", "verdict", "kind"
    ]  # fmt: skip
    assert (row["paper"], row["ours"], row["uncalibrated"]) == ("0.5-4", "0.55-3", "1-2")
    assert (row["difference"], row["verdict"], row["kind"]) == ("0.1000/-0.2500", "miss", "fitted")
    only = to_objects(findings)[0]
    assert only["ours"] == [0.55, 3.0]
    assert only["difference"] == pytest.approx([0.1, -0.25])
    assert {name: only[name] for name in ("id", "tolerance", "verdict", "note")} == {
        "id": "X-1", "tolerance": "20%", "verdict": "miss", "note": "why"
    }  # fmt: skip


def test_what_is_not_a_number_misses_and_is_null() -> None:
    finding = Finding(claim(0.6), Measured(float("nan")))
    assert finding.verdict == "miss"
    assert (to_objects([finding])[0]["ours"], to_objects([finding])[0]["difference"]) == (None, None)


def test_counts_keep_fitted_and_predicted_apart() -> None:
    findings = [
        Finding(claim(1.0), Measured(1.0)),
        Finding(claim(1.0), Measured(2.0)),
        Finding(claim(1.0), Measured(1.0), fitted=True),
        Finding(claim(1.0, None), Measured(1.0)),
    ]
    assert ledger.count_verdicts(findings) == (
        "1 of 2 predicted and 1 of 1 fitted claims within tolerance, 1 reported without one"
    )


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("A,Fig 1,q,about two,x,5%,shape,,", "paper_value"),
        ("A,Fig 1,q,2.0,x,five,shape,,", "tolerance"),
        ("A,Fig 1,q,1/b,x,5%,shape,,", "paper_value"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, field: str) -> None:
    written(tmp_path, row, monkeypatch)
    with pytest.raises(SpecError) as error:
        load_ledger("mine")
    assert (error.value.field, error.value.line) == (field, 2)


def test_scalar_refuses_statements_and_lists() -> None:
    assert scalar(2.5) == 2.5
    for value in (True, (1.0, 2.0)):
        with pytest.raises(TypeError):
            scalar(value)


def test_the_shipped_ledger_has_the_columns_it_documents() -> None:
    with (ledger.DATA / "scnn.csv").open(encoding="utf-8", newline="") as file:
        assert ",".join(next(csv.reader(file))) == HEAD
