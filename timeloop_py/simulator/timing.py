"""From what each PE does in each output-channel group to cycles, and to where every multiplier slot went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timeloop_py.simulator.arrays import BoolArray, IntArray
from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.tiling import Pass


@dataclass(frozen=True)
class Work:
    """What the PEs do in a run of output-channel groups; arrays [groups, PEs], cycles unless noted.

    ``steps``: vector pairs issued. ``stalls``: waiting for banks. ``overhead``: opening blocks. ``has_tile``: the PE
    has work to do. ``drained``: sums it drains after the group. ``synchronized`` [groups]: the length of a
    group whose channels end in barriers, None without such barriers.
    """

    steps: IntArray
    stalls: IntArray
    overhead: IntArray
    has_tile: BoolArray
    drained: IntArray
    synchronized: IntArray | None

    @property
    def busy(self) -> IntArray:
        """Cycles of the PE in the group, waiting for others apart."""
        return self.steps + self.stalls + self.overhead

    @classmethod
    def joined(cls, parts: list[Work]) -> Work:
        """One run of groups after the other."""
        barriers = [part.synchronized for part in parts if part.synchronized is not None]
        return cls(
            steps=np.concatenate([part.steps for part in parts]),
            stalls=np.concatenate([part.stalls for part in parts]),
            overhead=np.concatenate([part.overhead for part in parts]),
            has_tile=np.concatenate([part.has_tile for part in parts]),
            drained=np.concatenate([part.drained for part in parts]),
            synchronized=np.concatenate(barriers) if barriers else None,
        )


@dataclass(frozen=True)
class PassResult:
    """What a pass did: the PEs' work, products issued, those of two non-zeros, and sums sent to neighbours."""

    work: Work
    products: int
    nonzero_products: int
    halo_words: int


@dataclass(frozen=True)
class Timeline:
    """Cycles of the layer, and PE cycles (summed over PEs) by what the PE was doing."""

    cycles: int
    steps: int
    bank_stalls: int
    overhead: int
    drain: int
    barrier: int
    idle_pes: int


def timeline(work: Work, machine: Machine) -> Timeline:
    """Lay the groups one after the other.

    While a group is computed, the sums of the group before it are drained from the other half of the accumulators; a
    group lasts as long as the longer of the two. Layers run back to back: the first group overlaps the drain of the
    layer before, taken to be as long as that of this layer's last group. With a barrier per group (or per channel) a
    group is as long as that of the slowest PE; without one every PE goes on for itself and waits at the end.
    """
    drain = np.roll(np.ceil(work.drained / machine.drain_rate).astype(np.int64), 1, axis=0)
    if machine.barrier == "none":
        ends = np.maximum(work.busy, drain).sum(axis=0)
        cycles = int(ends.max())
        used = work.has_tile.any(axis=0)
        draining = int(ends.sum() - work.busy.sum())
        waiting = int((cycles - ends[used]).sum())
        idle = cycles * int((~used).sum()) - int(ends[~used].sum())
    else:
        group = work.busy.max(axis=1) if work.synchronized is None else work.synchronized
        length = np.maximum(group, drain.max(axis=1))
        cycles = int(length.sum())
        draining = int(((length - group)[:, None] * work.has_tile).sum())
        waiting = int((group[:, None] - work.busy)[work.has_tile].sum())
        idle = int((length[:, None] * ~work.has_tile).sum())
    return Timeline(
        cycles=cycles,
        steps=int(work.steps.sum()),
        bank_stalls=int(work.stalls.sum()),
        overhead=int(work.overhead.sum()),
        drain=draining,
        barrier=waiting,
        idle_pes=idle,
    )


def tile_facts(part: Pass) -> tuple[BoolArray, IntArray, IntArray]:
    """Per PE [PEs]: whether it holds inputs; sums per output channel that it keeps, and that go to neighbours."""
    holds, keeps, sends = [], [], []
    for column, row in part.tiles:
        kept = _size(column.accumulated) * _size(row.accumulated)
        own = _common(column.accumulated, column.owned) * _common(row.accumulated, row.owned)
        holds.append(_size(column.inputs) > 0 and _size(row.inputs) > 0)
        keeps.append(kept)
        sends.append(kept - own)
    return np.array(holds), np.array(keeps), np.array(sends)


def _size(interval: tuple[int, int]) -> int:
    return interval[1] - interval[0]


def _common(left: tuple[int, int], right: tuple[int, int]) -> int:
    return max(0, min(left[1], right[1]) - max(left[0], right[0]))
