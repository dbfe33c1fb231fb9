"""Ledgers of the other systems: complete, mostly within tolerance, and right where a number can be checked by hand."""

from __future__ import annotations

import csv
from functools import cache

import pytest

from timeloop_py.claims.ledger import DATA, Finding, load_ledger
from timeloop_py.claims.systems import SYSTEMS, System, load_system

RELATED = sorted(set(SYSTEMS) - {"scnn"})


@cache
def system(name: str) -> System:
    return load_system(name)


@cache
def findings(name: str) -> dict[str, Finding]:
    return {finding.claim.id: finding for finding in system(name).findings(["layers"])}


@pytest.mark.parametrize("name", RELATED)
def test_every_claim_is_measured(name: str) -> None:
    assert list(findings(name)) == [claim.id for claim in load_ledger(name)]
    judged = [claim for claim in load_ledger(name) if claim.tolerance is not None]
    assert len(judged) >= 3


@pytest.mark.parametrize("name", RELATED)
def test_two_thirds_are_within_a_fifth(name: str) -> None:
    judged = [finding for finding in findings(name).values() if finding.verdict != "report"]
    assert all((finding.claim.tolerance or 0) <= 0.2 for finding in judged)
    passed = [finding for finding in judged if finding.verdict == "pass"]
    assert len(passed) >= 2 / 3 * len(judged)


@pytest.mark.parametrize("name", RELATED)
def test_what_misses_is_explained(name: str) -> None:
    for finding in findings(name).values():
        if finding.verdict == "miss":
            assert finding.claim.note or finding.measured.note, finding.claim.id


@pytest.mark.parametrize("name", RELATED)
def test_ledgers_say_where_a_number_stands(name: str) -> None:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert row["where"]
            assert row["unit"]


@pytest.mark.parametrize("name", RELATED)
def test_the_table_behind_the_claims_has_rows(name: str) -> None:
    table = system(name).exhibits["layers"]().tables[f"{name}_layers"]
    assert len(table) >= 5


def test_throughput_of_dadiannao_by_hand() -> None:
    """4096 x 4096 products on 4096 multipliers at 606 MHz."""
    assert findings("dadiannao")["fc7"].measured.value == pytest.approx(606e6 / 4096)


def test_eyeriss_maps_alexnet_as_the_chip_does() -> None:
    assert findings("eyeriss")["active"].measured.value == (154, 135, 156, 156, 156)


def test_placeholders_explain_eie_s_theoretical_time() -> None:
    """A column of Alex-6 has 5.76 non-zeros a PE and 1.11 placeholders: runs of 16 zeros among 64 rows at 9%."""
    theory = findings("eie")["theory"].measured.value
    assert isinstance(theory, tuple)
    without = 9216 * 4096 * 0.09 * 0.351 / 64 / 800
    assert theory[0] / without == pytest.approx(1 + 1.11 / 5.76, rel=0.005)


def test_the_fastest_network_of_cnvlutin_is_below_the_bound_of_its_zeros() -> None:
    fastest = findings("cnvlutin")["fastest"].measured.value
    assert isinstance(fastest, float)
    assert fastest < 1 / (1 - 0.44)
