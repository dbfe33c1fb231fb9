"""Lower bounds for the mappings of a layer onto a planar-tiled accelerator, in arrays.

Mappings that differ in the output-channel group ``Kc`` alone are a *family*: they have the same tiles, so what is known
of one of them and a few expectations, each computed once per distinct argument, say much about all of them.

- *Cycles* are at least the mean time of one PE: in every temporal pass the one with the most work, whose steps are
  ``C * E[W] * E[A]`` per output-channel group (MODEL section 3). The expected maximum over PEs that a barrier waits for
  is no less than the mean of any one PE, and bank conflicts, drains and memories only add to it.
- *Energy*, which no barrier or bank changes, is known exactly from that of the family's last mapping. Every event
  happens as often with any ``Kc`` but three: the weight buffer is read once per step of a PE; input RAM is read and
  operand registers are written once per output-channel group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from timeloop_py.mapper.planar_mappings import MappingSpace
from timeloop_py.mapper.planar_tilings import Designs
from timeloop_py.model.batch import Densities, Rows
from timeloop_py.model.capacity import ActivationTraffic, held_bits, in_rams, traffic_alone
from timeloop_py.model.evaluate import Point, Unit, densities_of
from timeloop_py.model.planar import Prices, planar_energies
from timeloop_py.model.planar_zeros import BlockZeros
from timeloop_py.sparsity.fragmentation import Moments, activation_vectors, weight_vectors
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network
from timeloop_py.specs.tables import EnergyTable, load_energy_table
from timeloop_py.tensors.density import Bernoulli
from timeloop_py.tensors.density_file import activation_model, weight_model

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: What the bound on cycles is lowered by, for expected maxima that are summed up to a small rest.
SLACK = 1e-6


@dataclass(frozen=True)
class Bounds:
    """Arrays (mappings, points), in the order of the space."""

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


def bounds(space: MappingSpace, network: Network, points: Sequence[Point]) -> Bounds:
    """Bounds of every mapping; those of energy are the energies themselves."""
    layer, tilings = space.layer, space.tilings
    known = densities_of([Unit(space.designs.architecture, network, layer)], points)
    _, flow = space.designs.architecture.require_accelerator()
    weight, activation = known.weight[0], known.activation[0]
    if not flow.template.compressed:  # a machine that stores zeros sees densities of 1
        weight, activation = np.ones_like(weight), np.ones_like(activation)
    of_tiles = _vectors_of_tiles(space, activation)
    busiest, all_pes = _activation_vectors(space, of_tiles.mean)
    of_groups = _vectors_of_groups(space, weight)
    full = layer.output_channels_per_group // space.held
    vectors: Floats = full[:, None, None] * of_groups.mean[0] + of_groups.mean[1]  # none of no channels
    channels = layer.groups * layer.channels_per_group
    steps = channels * np.einsum("mbp,mbp->mp", vectors, busiest[space.family])
    of_all = channels * np.einsum("mbp,mbp->mp", vectors, all_pes[space.family])
    groups = -(-layer.output_channels_per_group // space.held)
    blocks = channels * len(tilings.taps) * groups * tilings.passes[space.family]

    energies = _energies(space, network, known, of_tiles, of_groups)
    per_step = energies["weight_buffer", "read"]
    per_group = energies["input_activation_ram", "read"] + energies["operand_register", "write"]
    most, last, family = of_all[space.last], groups[space.last], space.family
    share = np.divide(of_all, most[family], out=np.ones_like(of_all), where=most[family] > 0)
    often = (groups / last[family])[:, None]
    energy = energies["all", ""][family] + per_step[family] * (share - 1) + per_group[family] * (often - 1)
    return Bounds((steps + flow.block_overhead_cycles * blocks[:, None]) * (1 - SLACK), energy)


def _vectors_of_tiles(space: MappingSpace, density: Floats) -> Moments:
    """Activation vectors of every tile, (kinds of passes, kinds of blocks, PE classes, points)."""
    sizes, lanes, place = space.tilings.vectors
    found = activation_vectors(sizes[:, None], Bernoulli(density), lanes[:, None])
    return Moments(np.asarray(found.mean)[place], np.asarray(found.variance)[place])


def _activation_vectors(space: MappingSpace, mean: Floats) -> tuple[Floats, Floats]:
    """Mean activation vectors per channel of all temporal passes, arrays (families, kinds of blocks, points).

    Of one PE per pass, that with the most products, and of all PEs; ``mean`` are those of every tile.
    """
    tilings = space.tilings
    of_busiest = mean[np.arange(len(mean)), :, tilings.busiest] * tilings.counts[:, None, None]
    # How often each class of PEs works in all passes of a kind.
    often = tilings.class_counts * tilings.counts[:, None]
    of_all = np.einsum("rc,rbcp->rbp", often, mean)
    return np.add.reduceat(of_busiest, tilings.first), np.add.reduceat(of_all, tilings.first)


def _vectors_of_groups(space: MappingSpace, density: Floats) -> Moments:
    """Weight vectors of a channel of an output-channel group, (2, mappings, kinds of blocks, points).

    First of a full group, then of the smaller one that is left over, which has none where there is no such group.
    """
    rest = space.layer.output_channels_per_group % space.held
    lanes = np.array([design.require_accelerator()[0].F for _, design in space.designs.hardware])
    of_mapping = lanes[space.tilings.designs][space.family]
    taken = np.stack([space.held, rest])
    scale = int(taken.max()) + 1
    key = of_mapping * scale + taken
    # Marked, not sorted: there are few more keys than mappings.
    used = np.zeros(int(key.max()) + 1, dtype=bool)
    used[key] = True
    distinct = np.flatnonzero(used)
    place = np.cumsum(used)[key] - 1
    sizes = (distinct % scale)[:, None, None] * space.tilings.taps[:, None]
    found = weight_vectors(sizes, Bernoulli(density), (distinct // scale)[:, None, None])
    return Moments(np.asarray(found.mean)[place], np.asarray(found.variance)[place])


def _energies(
    space: MappingSpace, network: Network, known: Densities, of_tiles: Moments, of_groups: Moments
) -> dict[tuple[str, str], Floats]:
    """Energy of the last mapping of every family, in all and by component and action, arrays (families, points)."""
    layer, families = space.layer, space.tilings.families
    designs = [design for _, design in space.designs.hardware]
    architectures = [designs[family.design] for family in families]
    layers = [layer] * len(families)
    chosen = np.arange(len(families)), space.held[space.last], layer.output_channels_per_group
    rows = Rows(architectures, layers, space.tilings.with_groups(*chosen))
    kind = space.tilings.kind_of_group(*chosen)
    shape = len(rows.group_of_block), *of_tiles.mean.shape[2:]
    of_blocks = Moments(of_tiles.mean[kind].reshape(shape), of_tiles.variance[kind].reshape(shape))
    is_rest = (~rows.group_starts_pass).astype(int)
    of_rows = is_rest, space.last[rows.unit_of_group]
    of_weights = Moments(*(part[of_rows].reshape(shape[0], -1) for part in (of_groups.mean, of_groups.variance)))
    densities = known.rows([0] * len(families))
    zeros = BlockZeros(rows, densities, of_blocks, of_weights)
    traffic = _activation_traffic(space, network, known, rows)
    table = load_energy_table(space.designs.architecture.energy_table or "")
    energies = planar_energies(zeros, densities, traffic, _prices(_Priced(space.designs, table)))
    nothing = np.zeros((len(families), known.weight.shape[1]))
    found = {
        ("all", ""): nothing.copy(),
        ("weight_buffer", "read"): nothing.copy(),
        ("input_activation_ram", "read"): nothing.copy(),
        ("operand_register", "write"): nothing.copy(),
    }
    for event in energies:
        found["all", ""] += event.energy_pj
        if (event.component, event.action) in found:
            found[event.component, event.action] += event.energy_pj
    return found


@dataclass(frozen=True)
class _Priced:
    """All hardware and the energy table as it is now, as the key of the prices that layers share."""

    designs: Designs
    table: EnergyTable

    def __hash__(self) -> int:
        return hash(self.designs)


@lru_cache(maxsize=4)
def _prices(given: _Priced) -> Prices:
    return Prices({given.designs.architecture.energy_table or "": given.table})


def _activation_traffic(space: MappingSpace, network: Network, known: Densities, rows: Rows) -> ActivationTraffic:
    families, architecture = space.tilings.families, space.designs.architecture
    grid = (
        np.array([family.columns for family in families])[:, None],
        np.array([family.rows for family in families])[:, None],
    )
    bits = held_bits(architecture, grid, space.layer, known.activation, known.output)
    rams = rows.parameter("input_ram_bytes")[:, None], rows.parameter("output_ram_bytes")[:, None]
    parameters, _ = architecture.require_accelerator()
    fits = in_rams(*bits, rams, parameters.shared_activation_ram)
    return traffic_alone(fits, network, space.layer)
