"""The traffic engine against the brute force: every count of every random case, exactly."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from tests.nest.brute_force import Counts, StoreCounts, count
from tests.nest.strategies import FAMILIES, Case, cases, countable_cases, features, linked_cases, refusal
from timeloop_py.nest.traffic import TensorTraffic, count_traffic
from timeloop_py.specs.errors import SpecError

CASES_PER_FAMILY = 600  # a third of them repeat another
#: what the cases of every family must hold, each at least this often
ALWAYS_FOUND = 5
EVERYWHERE = {
    *("1 levels", "2 levels", "3 levels", "4 levels", "bypass", "uneven"),
    *("loop", "spatial_x", "spatial_y", "imperfect temporal", "imperfect spatial"),
    *("reduction outside", "spatial reduction"),
    *("elide_first_read=True", "elide_first_read=False", "elide_first_read=per_stay"),
    *("charge_drain_read=True", "charge_drain_read=False"),
    *("parent_accumulates=True", "parent_accumulates=False", "refill=every_copy", "refill=one_copy"),
    *("halo_reuse=one_tile", "halo_reuse=none", "link_transfer=True", "link_transfer=False"),
    *("share_halos=True", "share_halos=False", "padded_cycles=True", "padded_cycles=False"),
}
ALSO = {
    "conv1d": {"stride", "clip"},
    "conv2d": {"stride", "clip"},
    "grouped": {"stride", "clip"},
    "input_centric": {"negative", "clip"},
    "affine": {"negative", "clip", "stride"},
}


def store_counts(row: TensorTraffic) -> StoreCounts:
    return StoreCounts(
        tile_words=int(row.tile_words),
        fills=int(row.fills),
        reads=int(row.reads),
        updates=int(row.updates),
        temporal_reductions=int(row.temporal_reductions),
        link_transfers=int(row.link_transfers),
    )


def assert_agreement(case: Case) -> Counts:
    counted = count_traffic(case.problem, case.mapping, case.options)
    walked = count(case.problem, case.mapping, case.options)
    assert counted.computes == walked.computes
    assert counted.compute_cycles == walked.compute_cycles
    assert {place: store_counts(counted.of(*place)) for place in walked.stores} == walked.stores
    return walked


@pytest.mark.parametrize("family", FAMILIES)
def test_engine_agrees_with_brute_force(family: str) -> None:
    seen: set[str] = set()
    found: Counter[str] = Counter()

    @settings(max_examples=CASES_PER_FAMILY)
    @given(countable_cases(FAMILIES[family]()))
    def compare(case: Case) -> None:
        assert_agreement(case)
        if repr(case) not in seen:
            seen.add(repr(case))
            found.update(features(case))

    compare()
    assert len(seen) >= 300, "too few distinct cases: seven families must make 2,000"
    rare = {name for name in EVERYWHERE | ALSO.get(family, set()) if found[name] < ALWAYS_FOUND}
    assert not rare, f"the random cases hardly reach {rare}"


def test_engine_agrees_where_neighbours_forward() -> None:
    linked = 0

    @settings(max_examples=300)
    @given(linked_cases())
    def compare(case: Case) -> None:
        nonlocal linked
        linked += assert_agreement(case).stores["L1", "Inputs"].link_transfers > 0

    compare()
    assert linked >= 50


@settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])
@given(cases(FAMILIES["affine"]() | FAMILIES["conv1d"]()).filter(refusal))
def test_engine_refuses_what_it_cannot_count(case: Case) -> None:
    with pytest.raises(SpecError):
        count_traffic(case.problem, case.mapping, case.options)
