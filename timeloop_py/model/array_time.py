"""Cycles of multiplier arrays: the temporal loops of the nest, and what skipped zeros leave of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from timeloop_py.model.batch import Array
from timeloop_py.nest.array_nest import ArrayNest
from timeloop_py.nest.fibers import FiberKind, Fibers, fibers
from timeloop_py.sparsity.lanes import FiberRule, entries, fiber_pmf, waiting_at_end, waiting_each, waiting_in_queue
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.array_dataflow import ArrayDataflow
from timeloop_py.specs.errors import SpecError
from timeloop_py.tensors.density import Bernoulli, DensityModel, mean_and_variance
from timeloop_py.tensors.structured import BlockStructured

#: the model of an operand's zeros at a density
Zeros = Callable[[float], DensityModel]


@dataclass(frozen=True)
class ArrayTime:
    """Time of a layer on an array, arrays over density points.

    ``cycles`` without memories; ``busy``: those in which a lane works, averaged over the lanes in use. ``entries``: by
    skipped operand, stored entries over positions (placeholders included). ``fiber_runs``: fibers worked off, and
    ``vector_runs`` cycles spent on them, all lanes together, by skipped operand. ``reduced``: updates of sums that
    lanes add up together, over those without zeros.
    """

    cycles: Array
    busy: Array
    entries: dict[str, Array]
    fiber_runs: dict[str, Array]
    vector_runs: dict[str, Array]
    reduced: Array


def run_bits(architecture: Architecture, operand: str) -> int | None:
    """Bits of a zero run where an operand is run-length coded, None where it is not."""
    flow = architecture.require_array()
    coded = any(operand in tensors for tensors in flow.compressed.values())
    return architecture.sizes.get("index_bits", 0) if flow.run_length and coded else None


def array_time(
    architecture: Architecture,
    nest: ArrayNest,
    densities: dict[str, Array],
    zeros: dict[str, Zeros],
    inside: float,
) -> ArrayTime:
    """Cycles of a nest at densities by operand.

    ``zeros``: how an operand's zeros lie at a density. ``inside``: share of the products whose input lies inside the
    plane; padding is skipped with the zeros of inputs, by all lanes alike. SpecError: an outer skip on several lanes.
    """
    flow = architecture.require_array()
    points = len(densities["Weights"])
    dense = float(nest.traffic.compute_cycles)
    if not nest.skips:
        cycles = np.full(points, dense)
        return ArrayTime(cycles, cycles, {}, {}, {}, np.ones(points))
    found = [(skip.operand, fibers(nest, skip)) for skip in nest.skips]
    skips_padding = any(skip.operand == "Inputs" and not skip.packed for skip in nest.skips)
    scale = np.full(points, inside if skips_padding else 1.0)
    shares: dict[str, Array] = {}
    fiber_runs: dict[str, Array] = {}
    vector_runs: dict[str, Array] = {}
    for operand, one in found[:-1]:
        if one.lanes > 1 or one.vector > 1:
            raise SpecError(f"only the innermost skip may have several lanes, {operand} has {one.lanes * one.vector}")
        shares[operand] = densities[operand]
        fiber_runs[operand] = one.count * scale
        scale = scale * densities[operand]
        vector_runs[operand] = one.count * one.longest * scale
    operand, last = found[-1]
    bits = run_bits(architecture, operand)
    rule = FiberRule(last.vector, flow.index_window, flow.empty_window_cycles, bits)
    packed = nest.skips[-1].packed
    unfilled = FiberRule(last.vector, flow.index_window, 0, bits)
    rows = []
    for density in np.ones(points) if packed else densities[operand]:
        model = zeros[operand](float(density))
        rows.append(
            (
                _waiting(flow, last, model, rule),
                _mean_work(last, model, rule) / last.lanes,
                _mean_work(last, model, unfilled),
                _mean_entries(last, model, bits),
            )
        )
    slowest, busy, vectors, share = (np.array(column) for column in zip(*rows, strict=True))
    if not packed:
        shares[operand] = share
    fiber_runs[operand] = sum(kind.count * sum(lanes for _, lanes in kind.lanes) for kind in last.kinds) * scale
    vector_runs[operand] = vectors * last.inner * scale
    cycles = slowest * last.inner * scale
    # Lanes of one sum end a cycle together: it is updated in each of the slowest one's.
    separate = last.lanes > 1 and _lanes_reduce(nest, nest.skips[-1].position)
    updates = cycles if separate else vectors / last.lanes * last.inner * scale
    return ArrayTime(cycles, busy * last.inner * scale, shares, fiber_runs, vector_runs, updates / dense)


def _lanes_reduce(nest: ArrayNest, position: int) -> bool:
    """Whether lanes above a skip add to the same sums."""
    outputs = nest.problem.output.dims
    spatial = [node for node in nest.mapping.nodes[:position] if not hasattr(node, "level")]
    return any(getattr(node, "is_spatial", False) and node.bound > 1 and node.dim not in outputs for node in spatial)


def _waiting(flow: ArrayDataflow, one: Fibers, zeros: DensityModel, rule: FiberRule) -> float:
    """Cycles of all fibers of a lane, waiting included."""
    if flow.wait == "layer":
        # The lanes that have a fiber every time, each the longest of its kind.
        lanes = min(sum(count for _, count in kind.lanes) for kind in one.kinds)
        moments = [mean_and_variance(fiber_pmf(kind.lanes[0][0], zeros, rule)) for kind in one.kinds]
        mean, variance = (
            sum(kind.count * moment[part] for kind, moment in zip(one.kinds, moments, strict=True)) / one.count
            for part in (0, 1)
        )
        return waiting_at_end(mean, variance, lanes, one.different, one.count / one.different)
    if flow.wait == "queue" and flow.queue_depth > 1:
        return sum(kind.count * _queued(kind, zeros, rule, flow.queue_depth) for kind in one.kinds)
    return sum(
        kind.count * waiting_each([(fiber_pmf(length, zeros, rule), lanes) for length, lanes in kind.lanes])
        for kind in one.kinds
    )


def _queued(kind: FiberKind, zeros: DensityModel, rule: FiberRule, depth: int) -> float:
    """Lanes of several lengths: the longest ones decide, alone or together with shorter ones."""
    slowest = 0.0
    for taken in range(1, len(kind.lanes) + 1):
        moments = [(*mean_and_variance(fiber_pmf(length, zeros, rule)), lanes) for length, lanes in kind.lanes[:taken]]
        lanes = sum(count for *_, count in moments)
        mean = sum(one * count for one, _, count in moments) / lanes
        variance = sum(one * count for _, one, count in moments) / lanes
        slowest = max(slowest, waiting_in_queue(mean, variance, lanes, depth))
    return slowest


def _mean_work(one: Fibers, zeros: DensityModel, rule: FiberRule) -> float:
    """Cycles of all fibers of all lanes together."""

    def mean(lanes: Sequence[tuple[int, int]]) -> float:
        return sum(count * mean_and_variance(fiber_pmf(length, zeros, rule))[0] for length, count in lanes)

    return sum(kind.count * mean(kind.lanes) for kind in one.kinds)


def _mean_entries(one: Fibers, zeros: DensityModel, bits: int | None) -> float:
    """Entries over positions, of all fibers together."""
    stored = positions = 0.0
    for kind in one.kinds:
        stored += kind.count * sum(count * entries(length, zeros, bits) for length, count in kind.lanes)
        positions += kind.count * sum(count * length for length, count in kind.lanes)
    return stored / positions


def stored_share(architecture: Architecture, nest: ArrayNest, operand: str, density: Array) -> Array:
    """Stored entries of a compressed operand over its positions: placeholders included, every fiber coded by itself.

    Its non-zeros alone where the nest does not skip it.
    """
    mine = [skip for skip in nest.skips if skip.operand == operand and not skip.packed]
    if not mine:
        return density
    one, bits, model = fibers(nest, mine[-1]), run_bits(architecture, operand), zeros_of(architecture.require_array())
    return np.array([_mean_entries(one, model[operand](float(value)), bits) for value in density])


def zeros_of(flow: ArrayDataflow) -> dict[str, Zeros]:
    """How the zeros of the operands lie: anywhere, or weights in groups."""
    group = flow.weight_group
    return {
        "Weights": Bernoulli if group == 1 else lambda density: BlockStructured(density, (group,)),
        "Inputs": Bernoulli,
    }
