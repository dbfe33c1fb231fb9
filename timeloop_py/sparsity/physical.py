"""Sparse access counts as hardware can have them: expectations, nothing rounded.

What differs from the convention of Sparseloop: gating saves energy and never time; an intersection reads the metadata
of both of its sides in full; lanes that skip wait for the slowest of them; run lengths that overflow store
placeholders; expectations are not rounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from timeloop_py.numbers.expectation import expected_maximum_normal
from timeloop_py.numbers.lines import line_count
from timeloop_py.sparsity.accesses import DenseRow, SparseComputes, SparseCounts, SparseRow, Split
from timeloop_py.sparsity.actions import Densities, Saving, leader_tile, savings
from timeloop_py.sparsity.metadata import StoredTile
from timeloop_py.sparsity.tiles import Shape, Tiles, extents_of
from timeloop_py.specs.case import SavingKind, Sparsity
from timeloop_py.specs.mapping import Loop
from timeloop_py.tensors.density import mean_and_variance


def physical_counts(
    tiles: Tiles,
    sparsity: Sparsity,
    densities: Densities,
    rows: Sequence[DenseRow],
    computes: int,
    compute_cycles: int,
) -> SparseCounts:
    """Counts of all (level, tensor) of ``rows``, and what is left of ``computes`` and their cycles."""
    saved = savings(tiles, sparsity, densities)
    return SparseCounts(
        tuple(_row(tiles, sparsity, densities, row, saved) for row in rows),
        _computes(tiles, sparsity, densities, computes, compute_cycles),
    )


def _row(
    tiles: Tiles,
    sparsity: Sparsity,
    densities: Densities,
    row: DenseRow,
    saved: Mapping[tuple[str, str], Saving],
) -> SparseRow:
    stored = StoredTile(tiles, sparsity, row.level, row.tensor, densities[row.tensor], given_some=False)
    level = stored.level
    saving = saved.get((row.level, row.tensor))
    # Actions further out leave accesses here that a sharper action here saves a part of.
    cut = _cut(tiles, row, saved)
    share = max(0.0, 1 - (1 - saving.probability) / (1 - cut)) if saving is not None and cut < 1 else 0.0
    gates = saving is not None and saving.kind == "gating"

    def split(count: float) -> Split:
        return Split(count * (1 - share), count * share if gates else 0.0, 0.0 if gates else count * share)

    kept = stored.stored_share * (1 - cut)
    reads, fills, updates = split(row.reads * kept), Split(row.fills * kept), split(row.updates * kept)
    ranks = stored.rank_words()
    words = sum(rank.words for rank in ranks) / stored.size * (1 - cut)
    bits = sum(rank.bits for rank in ranks) / stored.size * (1 - cut)

    lines: dict[str, float] = {}
    line_share = stored.stored_line_share(level.words_per_line) * (1 - cut)
    for action, count in (("read", row.reads), ("write", row.fills), ("update", row.updates)):
        whole = line_count(count, row.instances, level.words_per_line) * line_share
        parts = Split(whole) if action == "write" else split(whole)
        lines |= {action: parts.actual, f"gated_{action}": parts.gated, f"skipped_{action}": parts.skipped}
        width = level.metadata_storage_width
        lines[f"metadata_{action}"] = count * bits / width if width else 0.0
    written_words = fills.actual + updates.actual + updates.gated
    return SparseRow(
        level=row.level,
        tensor=row.tensor,
        instances=row.instances,
        reads=reads,
        fills=fills,
        updates=updates,
        metadata_reads=Split(row.reads * words),
        metadata_fills=Split(row.fills * words),
        metadata_updates=Split(row.updates * words),
        temporal_reductions=row.temporal_reductions * updates.actual / row.updates if row.updates else 0.0,
        capacity_words=stored.worst_words,
        lines=lines,
        read_words=reads.actual + reads.gated + row.reads * bits / level.word_bits,
        written_words=written_words + (row.fills + row.updates) * bits / level.word_bits,
    )


def _cut(tiles: Tiles, row: DenseRow, saved: Mapping[tuple[str, str], Saving]) -> float:
    """Share of accesses that the nearest action further out leaves nothing of."""
    levels = tiles.levels(row.tensor)
    outer = [saved[level, row.tensor] for level in levels[: levels.index(row.level)] if (level, row.tensor) in saved]
    return outer[-1].probability if outer else 0.0


@dataclass(frozen=True)
class _Leader:
    """A tensor whose zeros spare computes: its ``tile`` (positions that are skipped together) has data or not."""

    tensor: str
    tile: Shape
    some: float


def _leaders(tiles: Tiles, sparsity: Sparsity, densities: Densities, kinds: set[SavingKind]) -> dict[str, _Leader]:
    """The sharpest condition by leader among actions of some kinds on operands; outputs spare no compute."""
    operands = {tensor.name for tensor in tiles.problem.tensors if not tensor.is_output}
    found: dict[str, _Leader] = {}
    actions = [(entry.level, action) for entry in sparsity.levels for action in entry.actions]
    conditions: list[tuple[str, Shape | None]] = []
    for level, action in actions:
        keeper = tiles.keeper(level, action.target)
        if action.type in kinds and action.target in operands and keeper is not None:
            conditions += [(name, leader_tile(tiles, keeper, action.target, name)) for name in action.condition_on]
    for kind in sparsity.compute:
        if kind in kinds:
            conditions += [(name, (1,) * len(tiles.problem.tensor(name).ranks)) for name in sorted(operands)]
    for name, tile in conditions:
        if tile is None:
            continue
        some = 1 - float(densities[name].probability_empty(tile))
        if name not in found or some < found[name].some:
            found[name] = _Leader(name, tile, some)
    return found


def _computes(
    tiles: Tiles, sparsity: Sparsity, densities: Densities, computes: int, compute_cycles: int
) -> SparseComputes:
    """Skipping leaves out computes and their time, gating only what they do.

    The conditions of one leader are nested (a coarse tile is empty only if all finer ones in it are), so the sharpest
    decides; different leaders are independent.
    """
    skipping = _leaders(tiles, sparsity, densities, {"skipping"})
    either = _leaders(tiles, sparsity, densities, {"skipping", "gating"})
    issued = math.prod(leader.some for leader in skipping.values())
    actual = math.prod(leader.some for leader in either.values())
    return SparseComputes(
        actual=computes * actual,
        gated=computes * (issued - actual),
        skipped=computes * (1 - issued),
        cycles=compute_cycles * _slowest_lane(tiles, densities, tuple(skipping.values()), issued),
    )


def _slowest_lane(tiles: Tiles, densities: Densities, leaders: Sequence[_Leader], issued: float) -> float:
    """Expected share of its computes that the slowest lane issues: lanes wait for each other at the end only.

    A lane issues a compute where all its leaders have data. With leaders independent, p_l the probability that one
    has data where a compute asks and v_l the variance of that, the variance of the share that a lane issues is
    (analysis of variance over sets S of leaders)

        sum over S != {} of prod over S of v_l * prod over the others of p_l^2 / units(S),

    units(S) being how many different combinations of their tiles a lane meets. What all lanes have in common moves
    them together and is left out; lanes that see any data of their own are taken as independent normals.
    """
    loops = [loop for loop in tiles.mapping.nodes if isinstance(loop, Loop)]
    spatial = [loop for loop in loops if loop.is_spatial]
    different = _lanes(spatial, _dims(tiles, leaders))
    if different == 1:
        return issued
    extents = extents_of([loop for loop in loops if not loop.is_spatial])
    spread = {leader.tensor: _variance(tiles, densities, leader, extents) for leader in leaders}
    variance = 0.0
    for chosen in chain.from_iterable(combinations(leaders, size) for size in range(1, len(leaders) + 1)):
        if _lanes(spatial, _dims(tiles, chosen)) > 1:
            others = math.prod(leader.some**2 for leader in leaders if leader not in chosen)
            own = math.prod(spread[leader.tensor] for leader in chosen)
            variance += own * others / _units(tiles, chosen, extents)
    return min(1.0, float(expected_maximum_normal([issued], [math.sqrt(variance)], [different])))


def _dims(tiles: Tiles, leaders: Sequence[_Leader]) -> set[str]:
    return {dim for leader in leaders for dim in tiles.problem.tensor(leader.tensor).dims}


def _lanes(spatial: Sequence[Loop], dims: set[str]) -> int:
    """Lanes that differ in some dimensions."""
    return math.prod(loop.bound for loop in spatial if loop.dim in dims)


def _units(tiles: Tiles, leaders: Sequence[_Leader], extents: Mapping[str, int]) -> float:
    """Combinations of the leaders' tiles that a lane meets."""
    if len(leaders) == 1:
        shape = tiles.shape(tiles.problem.tensor(leaders[0].tensor), extents)
        return max(1.0, math.prod(shape) / math.prod(leaders[0].tile))
    together = math.prod(extents.get(dim, 1) for dim in _dims(tiles, leaders))
    return max(1.0, together / math.prod(math.prod(leader.tile) for leader in leaders))


def _variance(tiles: Tiles, densities: Densities, leader: _Leader, extents: Mapping[str, int]) -> float:
    """Variance of whether one tile has data, as the sum over a lane has it: correlations between tiles included."""
    independent = leader.some * (1 - leader.some)
    if math.prod(leader.tile) > 1 or independent == 0:
        return independent
    shape = tiles.shape(tiles.problem.tensor(leader.tensor), extents)
    return mean_and_variance(densities[leader.tensor].occupancy_pmf(shape))[1] / math.prod(shape)
