"""Several processes on one search: the same solution, mapping by mapping, as one process finds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.mapper.test_outer_bound import tight
from tests.mapper.test_simple3 import Shape
from tests.mapper.test_simple3 import space as simple3_space
from timeloop_py.mapper import solve as solver
from timeloop_py.mapper.crew import Crew
from timeloop_py.mapper.frame import Frame
from timeloop_py.mapper.labels import Labels
from timeloop_py.mapper.node_order import node_orders
from timeloop_py.mapper.objective import Goal, parse_objective
from timeloop_py.mapper.pairs import Pairs
from timeloop_py.mapper.paths import OutOfTimeError
from timeloop_py.mapper.processes import can_fork
from timeloop_py.mapper.solve import solve
from timeloop_py.mapper.spread import spread_choices
from timeloop_py.mapper.tables import Tables

pytestmark = pytest.mark.skipif(not can_fork(), reason="a search shares its work only where processes can be forked")


def goal(objective: str) -> Goal:
    return Goal(parse_objective(objective).measures[0])


@pytest.mark.parametrize(
    ("shape", "words", "registers", "objective", "many", "too_many"),
    [
        ((16, 8, 8, 1, 3, 1), 100, 16, "edp", 400, True),
        ((16, 8, 8, 1, 3, 1), 100, 16, "edp", 200_000, False),
        ((8, 8, 6, 1, 3, 1), 60, 12, "energy", 400, False),
        ((64, 64, 14, 14, 3, 3), 65_536, 256, "edp", 200_000, False),
    ],
)
def test_the_solution_does_not_depend_on_how_many_processes_there_are(
    shape: Shape,
    words: int,
    registers: int,
    objective: str,
    many: int,
    too_many: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All that happens between two orders happens often, and no order is too small to be shared.
    for name, value in {"FEW": 30, "NARROW": 10, "MANY": many, "WORTH_SHARING": 0}.items():
        monkeypatch.setattr(solver, name, value)
    shared: list[int | None] = []
    together = Crew.labels

    def noted(crew: Crew, tables: Tables, goal: Goal, ceiling: float, most: int) -> tuple[Labels, Pairs] | None:
        found = together(crew, tables, goal, ceiling, most)
        shared.append(None if found is None else len(found[0]))
        return found

    monkeypatch.setattr(Crew, "labels", noted)
    space = tight(shape, words, registers)
    alone, *others = (solve(space, goal(objective), processes=processes) for processes in (1, 2, 3))
    assert alone.proven
    assert any(shared)
    assert (None in shared) == too_many
    for other in others:
        assert other.best == alone.best
        assert (other.lower_bound, other.proven, other.continued) == (alone.lower_bound, True, alone.continued)


def tables() -> Tables:
    (retention,) = simple3_space((16, 8, 8, 1, 3, 1)).retentions()
    frame = Frame(retention, spread_choices(retention))
    return Tables(frame, next(node_orders(frame)))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_out_all_fillings(processes: int) -> None:
    one = tables()
    ceiling = 1.2 * one.fillings.frame.least(goal("energy"))
    alone = list(one.labels(goal("energy"), lambda: ceiling))
    place = np.concatenate([one.fillings.place_of(pairs) for _, pairs in alone])
    energy = np.concatenate([labels.energy_pj for labels, _ in alone])
    assert len(place) > 100
    priced, one.priced = one.priced, 0
    found = Crew(processes, math.inf).labels(one, goal("energy"), ceiling, most=len(place))
    assert found is not None
    labels, pairs = found
    first, second = np.argsort(place), np.argsort(one.fillings.place_of(pairs))
    assert (one.fillings.place_of(pairs)[second] == place[first]).all()
    assert (labels.energy_pj[second] == energy[first]).all()
    assert one.priced == priced
    assert Crew(processes, math.inf).labels(one, goal("energy"), ceiling, most=len(place) - 1) is None


def test_processes_stop_at_the_deadline() -> None:
    with pytest.raises(OutOfTimeError):
        Crew(2, 0.0).labels(tables(), goal("energy"), math.inf, most=10**6)
