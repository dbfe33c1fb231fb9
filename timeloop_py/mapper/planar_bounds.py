"""Lower bounds for the mappings of a layer onto a planar-tiled accelerator, in arrays.

Mappings that differ in the output-channel group ``Kc`` alone are a *family*: they have the same tiles, so one
evaluation and a few expectations, each computed once per distinct argument, say much about all of them.

- *Cycles* are at least the mean time of one PE: in every temporal pass the one with the most work, whose steps are
  ``C * E[W] * E[A]`` per output-channel group (MODEL section 3). The expected maximum over PEs that a barrier waits for
  is no less than the mean of any one PE, and bank conflicts, drains and memories only add to it.
- *Energy*, which no barrier or bank changes, is known exactly from that of the family's last mapping. Every event
  happens as often with any ``Kc`` but three: the weight buffer is read once per step of a PE; input RAM is read and
  operand registers are written once per output-channel group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from timeloop_py.model.evaluate import Evaluation, Point, Unit, evaluate_units
from timeloop_py.nest.lowering import lower_layer
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network
from timeloop_py.tensors.density import Bernoulli
from timeloop_py.tensors.density_file import activation_model, weight_model

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: What the bound on cycles is lowered by, for expected maxima that are summed up to a small rest.
SLACK = 1e-6


@dataclass(frozen=True)
class Family:
    """Mappings that differ in ``Kc`` alone: what their accumulators hold, rising, and the accelerator with each."""

    groups: tuple[int, ...]
    design: Callable[[int], Architecture]


@dataclass(frozen=True)
class Bounds:
    """Arrays (mappings, points), the mappings of one family after the other."""

    cycles: Floats
    energy_pj: Floats


def has_bounds(architecture: Architecture, layer: Layer, points: Sequence[Point]) -> bool:
    """Whether :func:`bounds` apply: Cartesian products of zeros that are unstructured and stored as they are."""
    _, flow = architecture.require_accelerator()
    own = (
        any(weight is None for weight, _ in points) and weight_model(layer) is not None,
        any(activation is None for _, activation in points) and activation_model(layer) is not None,
    )
    return flow.template.core == "cartesian_product" and not flow.placeholders and not any(own)


def bounds(families: Sequence[Family], network: Network, layer: Layer, points: Sequence[Point]) -> Bounds:
    """Bounds of every mapping; those of energy are the energies themselves."""
    designs = [family.design(len(family.groups) - 1) for family in families]
    tiles = _tiles(designs, layer, points)
    sizes = [len(family.groups) for family in families]
    family = np.repeat(np.arange(len(families)), sizes)
    held = np.concatenate([np.array(one.groups, np.int64) for one in families])
    full, rest = np.divmod(layer.output_channels_per_group, held)
    vectors = _weight_vectors(designs, layer, points, family, held, full, rest, tiles.taps)
    channels = layer.groups * layer.channels_per_group
    steps = channels * np.einsum("mbp,mbp->mp", vectors, tiles.busiest[family])
    of_all = channels * np.einsum("mbp,mbp->mp", vectors, tiles.all_pes[family])
    groups = full + (rest > 0)
    _, flow = designs[0].require_accelerator()
    blocks = flow.block_overhead_cycles * channels * len(tiles.taps) * groups * tiles.passes[family]

    last = np.cumsum(sizes) - 1
    known = evaluate_units([Unit(without_conflicts(design), network, layer) for design in designs], points)
    per_step = known.event_energy_pj("weight_buffer", "read")
    per_group = known.event_energy_pj("input_activation_ram", "read")
    per_group = per_group + known.event_energy_pj("operand_register", "write")
    most = of_all[last][family]
    share = np.divide(of_all, most, out=np.ones_like(of_all), where=most > 0)
    often = (groups / groups[last][family])[:, None]
    energy = known.layer_energy_pj[family] + per_step[family] * (share - 1) + per_group[family] * (often - 1)
    return Bounds((steps + blocks[:, None]) * (1 - SLACK), energy)


@dataclass(frozen=True)
class _Tiles:
    """Mean activation vectors per channel of all temporal passes, arrays (families, kinds of blocks, points).

    ``busiest``: of one PE per pass, that with the most products; ``all_pes``: of all. ``taps`` per kind of block and
    ``passes`` per family are counts.
    """

    taps: Integers
    busiest: Floats
    all_pes: Floats
    passes: Integers


def _tiles(designs: Sequence[Architecture], layer: Layer, points: Sequence[Point]) -> _Tiles:
    positions: list[tuple[int, ...]] = []
    busiest: list[tuple[int, int]] = []
    lanes, weight, first, first_pass, passes = [], [], [], [], []
    taps = np.zeros(0, np.int64)
    for design in designs:
        lowered = lower_layer(design, layer)
        parameters, _ = design.require_accelerator()
        first.append(len(positions))
        first_pass.append(len(busiest))
        passes.append(sum(one.count for one in lowered.passes))
        taps = np.array([block.taps for block in lowered.passes[0].blocks])
        for one in lowered.passes:
            tiles = list(zip(*(block.sizes for block in one.blocks), strict=True))
            products = [float(taps @ tile) for tile in tiles]
            busiest.append((len(positions) + products.index(max(products)), one.count))
            positions += tiles
            lanes += [parameters.I] * len(tiles)
            weight += [one.count * pes for pes in one.pe_counts]
    of_tiles = _mean_of_distinct(
        np.array(positions),
        np.array(lanes)[:, None],
        lambda size, lane: Bernoulli(_densities(designs[0], layer, points)[1]).vector_moments(size, lane)[0],
    )
    row, count = np.array(busiest).T
    return _Tiles(
        taps=taps,
        busiest=np.add.reduceat(of_tiles[row] * count[:, None, None], first_pass),
        all_pes=np.add.reduceat(of_tiles * np.array(weight)[:, None, None], first),
        passes=np.array(passes),
    )


def _weight_vectors(
    designs: Sequence[Architecture],
    layer: Layer,
    points: Sequence[Point],
    family: Integers,
    held: Integers,
    full: Integers,
    rest: Integers,
    taps: Integers,
) -> Floats:
    """Mean weight vectors per channel of all output-channel groups, (mappings, kinds of blocks, points)."""
    lanes = np.array([design.require_accelerator()[0].F for design in designs])[family]
    means = _mean_of_distinct(
        np.stack([held, rest])[:, :, None] * taps,
        lanes[:, None],
        lambda size, lane: Bernoulli(_densities(designs[0], layer, points)[0]).vector_moments(size, lane)[0],
    )
    vectors: Floats = full[:, None, None] * means[0] + np.where(rest[:, None, None] > 0, means[1], 0.0)
    return vectors


def _mean_of_distinct(sizes: Integers, lanes: Integers, mean: Callable[[Integers, Integers], Floats]) -> Floats:
    """``mean(sizes, lanes)`` with an axis of points at the end, computed once per distinct pair."""
    pairs = np.stack(np.broadcast_arrays(sizes, lanes)).reshape(2, -1)
    distinct, place = np.unique(pairs, axis=1, return_inverse=True)
    found = np.asarray(mean(distinct[0][:, None], distinct[1][:, None]))
    return found[place.ravel()].reshape((*np.broadcast_shapes(sizes.shape, lanes.shape), -1))


def _densities(architecture: Architecture, layer: Layer, points: Sequence[Point]) -> tuple[Floats, Floats]:
    """Densities of weights and activations as the machine sees them, arrays (points,)."""
    if not architecture.require_accelerator()[1].template.compressed:
        return np.ones(len(points)), np.ones(len(points))
    weight = [layer.weight_density if point[0] is None else point[0] for point in points]
    activation = [layer.activation_density if point[1] is None else point[1] for point in points]
    return np.array(weight, float), np.array(activation, float)


def without_conflicts(architecture: Architecture) -> Architecture:
    """The same accelerator, whose banks take any number of products."""
    _, flow = architecture.require_accelerator()
    return replace(architecture, dataflow=replace(flow, bank_contention="none"))


#: An objective: from energies (pJ) and cycles to costs, arrays (mappings, points), growing with both.
Value = Callable[[Floats, Floats], Floats]


class Candidates:
    """The mappings of a layer, with bounds that are improved where it matters, arrays (mappings, points).

    ``energy_pj`` are the energies; ``cycles`` at most the true ones.
    """

    #: Mappings that are looked at first, by their bounds, for a cost that others have to beat.
    FIRST = 2

    def __init__(self, families: Sequence[Family], network: Network, layer: Layer, points: Sequence[Point]) -> None:
        self.network, self.layer, self.points = network, layer, tuple(points)
        self._families = [(family, place) for family in families for place in range(len(family.groups))]
        architecture = families[0].design(0)
        _, flow = architecture.require_accelerator()
        self.has_conflicts = flow.template.core == "cartesian_product" and flow.bank_contention != "none"
        self._refined = np.zeros(len(self._families), dtype=bool)
        if has_bounds(architecture, layer, points):
            found = bounds(families, network, layer, points)
            self.energy_pj, self.cycles = found.energy_pj, found.cycles
        else:
            self.energy_pj = np.empty((len(self._families), len(points)))
            self.cycles = np.empty_like(self.energy_pj)
            self.refine(np.arange(len(self._families)))

    def design(self, index: int) -> Architecture:
        """The accelerator with a mapping fixed."""
        family, place = self._families[index]
        return family.design(place)

    def refine(self, indices: NDArray[np.intp]) -> None:
        """Replace bounds by what evaluating all but bank conflicts, which take longest, gives."""
        left = indices[~self._refined[indices]]
        if left.size:
            found = self._evaluate([without_conflicts(self.design(int(index))) for index in left])
            self.energy_pj[left], self.cycles[left] = found.layer_energy_pj, found.layer_cycles
            self._refined[left] = True

    def evaluate(self, indices: NDArray[np.intp]) -> Evaluation:
        """The true results of mappings."""
        return self._evaluate([self.design(int(index)) for index in indices])

    def may_be_best(self, value: Value, tie: float) -> tuple[NDArray[np.intp], Evaluation]:
        """All mappings whose ``value`` may be the least at some point or ties with it, rising, and their results."""
        low = value(self.energy_pj, self.cycles)
        found = self.evaluate(np.unique(np.argsort(low, axis=0, kind="stable")[: self.FIRST]))
        reached = value(found.layer_energy_pj, found.layer_cycles).min(axis=0) * (1 + tie)
        for _ in range(2):  # by the bounds, then by the improved ones
            low = value(self.energy_pj, self.cycles)
            left = np.flatnonzero((low <= reached).any(axis=1))
            self.refine(left)
        return left, self.evaluate(left)

    def _evaluate(self, designs: Sequence[Architecture]) -> Evaluation:
        return evaluate_units([Unit(design, self.network, self.layer) for design in designs], self.points)
