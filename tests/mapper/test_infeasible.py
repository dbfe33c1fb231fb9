"""The diagnosis of mapspaces in which nothing fits, against plain enumeration."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.mapper.plain import TooManyError, any_fits
from tests.mapper.problems import random_mapspace, tensor
from timeloop_py.mapper.constraints import Constraints, Limits, SpatialLimits, relaxed
from timeloop_py.mapper.coverage import mappings_in
from timeloop_py.mapper.infeasible import Relaxation, anything_fits, diagnose
from timeloop_py.mapper.mapspace import Mapspace
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.problem import Problem

MOST = 1500


def fits(space: Mapspace) -> bool | None:
    """Whether plain enumeration finds a mapping that fits; None: too many to enumerate."""
    try:
        return any_fits(space, MOST)
    except TooManyError:
        return None


def tight(seed: int) -> Mapspace:
    """A random mapspace with little room, and limits on factors now and then."""
    space = random_mapspace(seed, imperfect=False)
    rng = random.Random(seed)
    levels = [space.hierarchy.levels[0]]
    for level in space.hierarchy.levels[1:]:
        own = {name: rng.choice([1, 2, 3]) for name in level.tensor_capacity_words}
        shared = None if own else rng.choice([1, 2, 3, 4, 6])
        levels.append(replace(level, capacity_words=shared, tensor_capacity_words=own))
    constraints = space.constraints
    if rng.random() < 0.6:
        factors = {}
        for level in levels:
            dim = rng.choice(space.dims or tuple(space.problem.dims))
            least = rng.choice([1, 1, 2])
            factors[level.name] = {dim: Limits(least, rng.choice([None, least, 1 if least == 1 else 2]))}
        constraints = replace(constraints, factors=factors)
    hierarchy = Hierarchy(tuple(levels), space.hierarchy.compute)
    return replace(
        space, hierarchy=hierarchy, constraints=replace(constraints, utilization=rng.choice([0.0, 0.5, 1.0]))
    )


def infeasible(count: int) -> Iterator[tuple[int, Mapspace]]:
    seed = 0
    while count:
        space = tight(seed)
        found = fits(space)
        if found is not None:
            assert anything_fits(space) == found, seed
        if found is False:
            count -= 1
            yield seed, space
        seed += 1


def changed(space: Mapspace, one: Relaxation, needed: float) -> Mapspace:
    """The mapspace with one number changed to ``needed``, or a rule dropped."""
    constraints = space.constraints
    if one.kind == "capacity":
        levels = tuple(
            level
            if level.name != one.level
            else replace(level, capacity_words=int(needed))
            if one.name is None
            else replace(level, tensor_capacity_words={**level.tensor_capacity_words, one.name: int(needed)})
            for level in space.hierarchy.levels
        )
        return replace(space, hierarchy=Hierarchy(levels, space.hierarchy.compute))
    if one.kind == "utilization":
        return replace(space, constraints=replace(constraints, utilization=needed))
    assert one.level is not None
    assert one.name is not None
    if one.kind in ("keep", "bypass"):
        return replace(space, constraints=relaxed(constraints, one.kind, one.level, one.name))
    field = "most" if one.kind.endswith("max") else "least"
    if one.kind.startswith("factors"):
        table = constraints.factors[one.level]
        limits = replace(table[one.name], **{field: int(needed)})
        factors = {**constraints.factors, one.level: {**table, one.name: limits}}
        return replace(space, constraints=replace(constraints, factors=factors))
    axis = one.kind.split(".")[1]
    axes = constraints.spatial[one.level]
    along = dict(getattr(axes, axis))
    along[one.name] = replace(along.get(one.name, Limits(1, 1)), **{field: int(needed)})
    spatial = {**constraints.spatial, one.level: replace(axes, **{axis: along})}
    return replace(space, constraints=replace(constraints, spatial=spatial))


def test_relaxations_let_a_mapping_through_and_smaller_ones_do_not() -> None:
    kinds: set[str] = set()
    for seed, space in infeasible(40):
        found = diagnose(space)
        assert [one.change for one in found.relaxations] == sorted(one.change for one in found.relaxations)
        for one in found.relaxations:
            where = f"seed {seed}: {one}"
            assert fits(changed(space, one, one.needed or 0)) in (True, None), where
            if one.now is not None and one.needed is not None and one.kind != "utilization":
                step = -1 if one.needed > one.now else 1
                if one.needed + step != one.now:
                    assert fits(changed(space, one, one.needed + step)) in (False, None), where
            if one.kind == "utilization" and one.needed is not None:
                more = one.needed + 1 / space.hierarchy.compute.instances
                assert fits(changed(space, one, more)) in (False, None), where
            kinds.add(one.kind)
    assert {"capacity", "utilization", "keep", "factors.max", "factors.min"} <= kinds


def test_a_buffer_that_is_not_named_would_not_help() -> None:
    for seed, space in infeasible(20):
        named = {(one.level, one.name) for one in diagnose(space).relaxations if one.kind == "capacity"}
        for level in space.hierarchy.levels:
            names: list[str | None] = [*level.tensor_capacity_words] or (
                [None] if level.capacity_words is not None else []
            )
            for name in names:
                larger = changed(space, Relaxation("capacity", level.name, name, None, None, 0.0), 10_000)
                assert fits(larger) in (None, (level.name, name) in named), f"seed {seed}: {level.name} {name}"


def test_removals_count_each_alone_and_all_in_order() -> None:
    for seed in range(30):
        space = tight(seed)
        found = diagnose(space)
        assert found.mappings == mappings_in(replace(space, constraints=Constraints()))
        assert found.left == mappings_in(space)
        left = found.mappings
        for one in found.removals:
            assert 0 <= one.alone <= found.mappings
            assert one.left <= left
            left = one.left


def matmul(**levels: int) -> Mapspace:
    problem = Problem(
        {"M": 4, "N": 4, "K": 4},
        (tensor("A", "M", "K"), tensor("B", "K", "N"), tensor("Z", "M", "N", is_output=True)),
    )
    storage = (StorageLevel("DRAM"), StorageLevel("GLB", capacity_words=levels["glb"]))
    return Mapspace(
        problem,
        Hierarchy(storage, ComputeLevel("MAC", 16, 4)),
        constraints=Constraints(keep={"GLB": ("A", "B", "Z")}),
    )


def test_what_the_diagnosis_says() -> None:
    found = diagnose(matmul(glb=2))
    assert found.lines()[-4:] == [
        "smallest change that lets one through: the buffer of GLB, words: from 2 to 3",
        "  or: without keep.GLB.A",
        "  or: without keep.GLB.B",
        "  or: without keep.GLB.Z",
    ]
    assert found.buffers[0].alone
    assert found.to_dict()["relaxations"][0]["needed"] == 3
    assert found.to_dict()["left"] == found.left


def test_a_utilization_that_cannot_be_met() -> None:
    space = matmul(glb=100)
    limits = SpatialLimits({"M": Limits(1, 2)}, {"N": Limits()})
    space = replace(space, constraints=replace(space.constraints, spatial={"GLB": limits}, utilization=0.9))
    found = diagnose(space)
    assert found.left == 0
    best = {(one.kind, one.name): one.needed for one in found.relaxations}
    assert best["utilization", None] == pytest.approx(0.5)
    assert best["spatial.x.max", "M"] == 4
    assert best["spatial.x.max", "K"] == 2
    assert str(found.smallest) == "utilization: from 0.9 to 0.5"


def test_where_something_fits_there_is_nothing_to_relax() -> None:
    found = diagnose(matmul(glb=3))
    assert found.relaxations == ()
    assert found.fits
    assert found.lines()[-1] == "some mapping fits"
