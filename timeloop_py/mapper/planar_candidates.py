"""The best mappings of a space by lower bounds: the most promising ones first, until none can be better.

A mapping is looked at in three steps, each dearer than the one before and its result no lower: the bound of
:mod:`timeloop_py.mapper.planar_bounds`; the model without bank conflicts, which only add cycles; the model. Whatever
has the lowest value so far takes its next step. Once all that is left is above a true value, nothing left can be better
or tie with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.planar_bounds import Floats, bounds, has_bounds
from timeloop_py.mapper.planar_mappings import MappingSpace
from timeloop_py.mapper.planar_tilings import Designs
from timeloop_py.model.evaluate import Point, Unit, cycles_of_units, densities_of, evaluate_units
from timeloop_py.model.planar import has_rates, planar_cycles
from timeloop_py.model.planar_cycles import CycleLimit
from timeloop_py.sparsity.bank_contention import Begun
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.network import Network

#: An objective: from energies (pJ) and cycles to costs, arrays (mappings, points), growing with both.
Value = Callable[[Floats, Floats], Floats]
Places = NDArray[np.intp]

#: Mappings that take the second step together at first; twice as many each time after that.
AT_ONCE = 16
# Of the logarithm of cycles, when a limit is sought.
_HALVINGS = 40


class Candidates:
    """The mappings of a space at density points, with bounds that are improved where it matters.

    ``energy_pj`` are the energies; ``cycles`` at most the true ones, which they are where ``known``. Arrays (mappings,
    points), ``known`` (mappings,).
    """

    def __init__(self, space: MappingSpace, network: Network, points: Sequence[Point]) -> None:
        self.space, self.network, self.points = space, network, tuple(points)
        self._begun: Begun = {}
        architecture = space.designs.architecture
        _, flow = architecture.require_accelerator()
        self.has_conflicts = flow.template.core == "cartesian_product" and flow.bank_contention != "none"
        self.known = np.zeros(len(space), dtype=bool)
        if has_bounds(architecture, space.layer, points):
            found = bounds(space, network, points)
            self.energy_pj, self.cycles = found.energy_pj, found.cycles
            self._refined = self.known.copy()
        else:
            each = evaluate_units(self._units(np.arange(len(space)), conflicts=False), self.points)
            self.energy_pj, self.cycles = each.layer_energy_pj, each.layer_cycles
            self._refined = ~self.known
            self.known[:] = not self.has_conflicts

    def refine(self, places: Places) -> None:
        """Replace bounds by what the model without bank conflicts, which take longest, gives."""
        left = places[~self._refined[places]]
        if left.size:
            self.cycles[left] = self._cycles_of(left, conflicts=False)
            self._refined[left] = True
            self.known[left] = not self.has_conflicts

    def evaluate(self, places: Places, at_most: Floats | None = None) -> None:
        """Replace bounds by the true cycles.

        Or only by ``at_most``, (places, points), where the true ones are more at every point: walks to the banks then
        stop as soon as that is known.
        """
        chosen = ~self.known[places]
        left = places[chosen]
        if not left.size:
            return
        if at_most is None:
            self.cycles[left] = self._cycles_of(left, conflicts=True)
            self.known[left] = True
        else:
            limits = at_most[chosen]
            found = self._cycles_of(left, conflicts=True, limit=CycleLimit(limits, self._begun))
            more = np.asarray((found > limits).all(axis=1))
            self.cycles[left] = np.where(more[:, None], limits, found)
            self.known[left] = ~more

    def step(self, places: Places, others: Places) -> None:
        """The next step of some mappings: the second, on which the ``others`` go along, or the third."""
        if self._refined[places].all():
            self.evaluate(places)
        else:
            self.refine(np.union1d(places, others[~self._refined[others]]))

    def may_be_best(self, value: Value, tie: float) -> Places:
        """All mappings whose ``value`` may be the least at some point or tie with it, rising.

        Their cycles are then known, unless the ``value`` does not ask for them.
        """
        low = value(self.energy_pj, self.cycles)
        if np.array_equal(low, value(self.energy_pj, 2 * self.cycles + 1)):  # of energies alone
            return np.flatnonzero((low <= low.min(axis=0) * (1 + tie)).any(axis=1))
        at_once = AT_ONCE
        while True:
            low = value(self.energy_pj, self.cycles)
            reached = np.where(self.known[:, None], low, np.inf).min(axis=0) * (1 + tie)
            waiting = np.where(self.known[:, None] | (low > reached), np.inf, low)
            least = waiting.min(axis=0)
            asked = np.isfinite(least)
            if not asked.any():
                return np.flatnonzero(self.known)
            near = (waiting[:, asked] / least[asked]).min(axis=1)
            lowest = np.flatnonzero(near <= 1 + tie)
            if self._refined[lowest].all():
                # Once their stalls lift them above the next ones, these come first.
                limit = np.minimum(reached, np.delete(waiting, lowest, axis=0).min(axis=0, initial=np.inf))
                self.evaluate(lowest, self.cycles_beyond(lowest, value, limit))
                continue
            others = np.flatnonzero(np.isfinite(near) & ~self._refined)
            if others.size > at_once:
                others = others[np.argpartition(near[others], at_once)[:at_once]]
            self.step(lowest, others)
            at_once *= 2

    def cycles_beyond(self, places: Places, value: Value, limit: Floats) -> Floats:
        """Cycles of some mappings, (places, points), no fewer than their bounds, with values above a limit, (points,).

        Found by halving an interval of factors, 2^0 to 2^64; infinite where even the largest is within the limit.
        """
        energy, cycles = self.energy_pj[places], self.cycles[places]
        low, high = np.zeros(cycles.shape), np.full(cycles.shape, 64.0)
        unlimited = value(energy, cycles * 2.0**high) <= limit
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            within = value(energy, cycles * 2.0**middle) <= limit
            low, high = np.where(within, middle, low), np.where(within, high, middle)
        return np.where(unlimited, np.inf, cycles * 2.0**high)

    def _cycles_of(self, places: Places, conflicts: bool, limit: CycleLimit | None = None) -> Floats:
        """What the model gives, with the conflicts in banks or without: (places, points)."""
        designs = self.space.designs
        if has_rates(designs.architecture):  # then accesses take time, too
            return cycles_of_units(self._units(places, conflicts), self.points)
        hardware = [design for _, design in designs.hardware] if conflicts else _quiet_hardware(designs)
        own = densities_of([Unit(designs.architecture, self.network, self.space.layer)], self.points)
        return planar_cycles(self.space.rows(places, hardware), own.rows([0] * len(places)), limit)

    def _units(self, places: Places, conflicts: bool) -> list[Unit]:
        designs = [self.space.design(int(place)) for place in places]
        if not conflicts:
            designs = [without_conflicts(design) for design in designs]
        return [Unit(design, self.network, self.space.layer) for design in designs]


@lru_cache(maxsize=4)
def _quiet_hardware(designs: Designs) -> tuple[Architecture, ...]:
    return tuple(without_conflicts(design) for _, design in designs.hardware)


def without_conflicts(architecture: Architecture) -> Architecture:
    """The same accelerator, whose banks take any number of products."""
    _, flow = architecture.require_accelerator()
    return replace(architecture, dataflow=replace(flow, bank_contention="none"))
