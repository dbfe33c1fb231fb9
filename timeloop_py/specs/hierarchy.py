"""Storage hierarchies: the levels that hold tensors, the arrays between them, and how accesses are counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from timeloop_py.specs.errors import SpecError, nearest

ACCESSES = ("read", "write", "update")
#: what a line access of a storage level can be: modes (happens, gated, skipped) of data and metadata accesses
STORAGE_ACTIONS = tuple(
    f"{mode}{kind}{access}" for kind in ("", "metadata_") for mode in ("", "gated_", "skipped_") for access in ACCESSES
)
COMPUTE_ACTIONS = ("compute", "mac_random", "mac_gated", "mac_skipped")


@dataclass(frozen=True)
class StorageLevel:
    """One level of storage.

    Energies are pJ per line access, bandwidths words per cycle and instance (None: unbounded), latencies cycles.
    """

    name: str
    #: how many of them stand on the chip in all; ``mesh_x`` of them in a row (None: all)
    instances: int = 1
    mesh_x: int | None = None
    #: words of one instance for all its tensors together; None: unbounded
    capacity_words: int | None = None
    #: words of a tensor's own buffer, where every tensor has a separate one; empty: one shared buffer
    tensor_capacity_words: Mapping[str, int | None] = field(default_factory=dict)
    #: the tensors that the level may hold; None: any
    tensors: tuple[str, ...] | None = None
    word_bits: int = 16
    words_per_line: int = 1
    #: by action, a subset of ``STORAGE_ACTIONS``
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    read_bandwidth: float | None = None
    write_bandwidth: float | None = None
    #: of reads and writes together
    shared_bandwidth: float | None = None
    #: how many tiles are held at once: a mapping may use ``1 / multiple_buffering`` of the capacity
    multiple_buffering: float = 1.0
    network_fill_latency: float = 0.0
    network_drain_latency: float = 0.0
    #: of one word on the network below the level
    energy_per_hop_pj: float = 0.0
    metadata_datawidth: int | None = None
    metadata_storage_width: int | None = None
    metadata_storage_depth: int | None = None

    @property
    def columns(self) -> int:
        return self.instances if self.mesh_x is None else self.mesh_x

    @property
    def rows(self) -> int:
        return self.instances // self.columns

    @property
    def usable_words(self) -> int | None:
        """Words of the shared buffer that one tile of every tensor held may fill; None: unbounded."""
        return _usable(self.capacity_words, self.multiple_buffering)

    def usable_words_of(self, tensor: str) -> int | None:
        """Words that a tile of ``tensor`` may fill in its own buffer; None: unbounded, or no buffer of its own."""
        return _usable(self.tensor_capacity_words.get(tensor), self.multiple_buffering)

    def may_hold(self, tensor: str) -> bool:
        return self.tensors is None or tensor in self.tensors

    def line_energy_pj(self, action: str) -> float:
        """Energy of one line access, pJ.

        An update without energy of its own costs a write, a skipped access what a gated one does, and a gated one
        nothing. An access that happens needs an energy: SpecError without.
        """
        for name in _fallbacks(action):
            if name in self.energy_pj:
                return self.energy_pj[name]
        if action.startswith(("gated_", "skipped_")):
            return 0.0
        raise SpecError(f"level {self.name!r} has no energy for {action!r}, which happens there")


@dataclass(frozen=True)
class ComputeLevel:
    """The array of multiply-accumulate units below the innermost storage. Energies are pJ per operation."""

    name: str
    instances: int = 1
    mesh_x: int | None = None
    #: by action, a subset of ``COMPUTE_ACTIONS``; ``mac_random`` is another name of ``compute``
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    word_bits: int = 16

    @property
    def columns(self) -> int:
        return self.instances if self.mesh_x is None else self.mesh_x

    @property
    def rows(self) -> int:
        return self.instances // self.columns

    @property
    def compute_energy_pj(self) -> float:
        """Energy of one multiply-accumulate, pJ; SpecError where the file gives none."""
        for name in ("compute", "mac_random"):
            if name in self.energy_pj:
                return self.energy_pj[name]
        raise SpecError(f"compute {self.name!r} has no energy for 'compute'")

    @property
    def gated_energy_pj(self) -> float:
        return self.energy_pj.get("mac_gated", 0.0)

    @property
    def skipped_energy_pj(self) -> float:
        return self.energy_pj.get("mac_skipped", 0.0)


@dataclass(frozen=True)
class FanOut:
    """Instances of an inner level below one instance of an outer one: columns (x) times rows (y)."""

    x: int
    y: int

    @property
    def total(self) -> int:
        return self.x * self.y


@dataclass(frozen=True)
class Hierarchy:
    """Storage levels, outermost first, and the compute array. A level is addressed by index; compute comes last."""

    levels: tuple[StorageLevel, ...]
    compute: ComputeLevel

    def __post_init__(self) -> None:
        for index, key, message in hierarchy_faults(self.stages):
            raise SpecError(message, field=f"{self.stages[index].name}.{key}")

    @property
    def stages(self) -> tuple[StorageLevel | ComputeLevel, ...]:
        """The storage levels and compute, outermost first."""
        return (*self.levels, self.compute)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the storage levels, outermost first."""
        return tuple(level.name for level in self.levels)

    @property
    def compute_index(self) -> int:
        return len(self.levels)

    def index(self, name: str) -> int:
        """Position of the storage level ``name``, 0 for the outermost; SpecError with the nearest name."""
        if name not in self.names:
            raise SpecError(f"unknown level {name!r}{nearest(name, self.names)}")
        return self.names.index(name)

    def level(self, name: str) -> StorageLevel:
        return self.levels[self.index(name)]

    def fan_out(self, outer: int, inner: int | None = None) -> FanOut:
        """Instances of level ``inner`` (default: the next one; ``compute_index``: compute) below one of ``outer``."""
        above, below = self.stages[outer], self.stages[outer + 1 if inner is None else inner]
        return FanOut(below.columns // above.columns, below.rows // above.rows)


@dataclass(frozen=True)
class CountingOptions:
    """What is counted as an access. The defaults count as Timeloop does, but exactly."""

    #: the first update of a partial sum reads nothing: the first ever, as there is nothing to add to yet, or the first
    #: of every stay in a buffer (``per_stay``), as what returns is passed on to the adder while it is written
    elide_first_read: bool | Literal["per_stay"] = True
    #: draining a tile upward reads it in the child
    charge_drain_read: bool = False
    #: a drained sum is added to the parent's; false: it overwrites, and re-fetched sums travel down instead
    parent_accumulates: bool = True
    #: re-fetched partial sums go to every spatial copy of the tile, or to one
    refill: Literal["every_copy", "one_copy"] = "every_copy"
    #: a level keeps what the next tile shares with the current one, or nothing of it
    halo_reuse: Literal["one_tile", "none"] = "one_tile"
    #: neighbours forward words to each other where one held exactly the next delta of the other a step before
    link_transfer: bool = False
    #: the parent reads words once that tiles of several instances share
    share_halos: bool = False
    #: cycles of imperfect factors as if every pass were full
    padded_cycles: bool = False
    #: what gating and skipping save: what hardware can, or what Sparseloop credits
    convention: Literal["physical", "sparseloop"] = "physical"


def _usable(capacity: int | None, multiple_buffering: float) -> int | None:
    return None if capacity is None else int(capacity / multiple_buffering)


def _fallbacks(action: str) -> Iterator[str]:
    """The action, then what it costs like where it has no energy of its own."""
    names = [action]
    if action.startswith("skipped_"):
        names.append("gated_" + action.removeprefix("skipped_"))
    for name in names:
        yield name
        if name.endswith("update"):
            yield name.removesuffix("update") + "write"


def hierarchy_faults(stages: Sequence[StorageLevel | ComputeLevel]) -> Iterator[tuple[int, str, str]]:
    """What makes these levels no hierarchy (compute last): index of the level, its key, message."""
    for index, level in enumerate(stages):
        if any(level.name == other.name for other in stages[:index]):
            yield index, "name", f"two levels are called {level.name!r}"
        if level.instances % level.columns:
            yield index, "mesh_x", f"{level.instances} instances do not divide into rows of {level.columns}"
            continue
        if index == 0:
            continue
        above = stages[index - 1]
        if level.instances % above.instances:
            message = f"{level.instances} instances do not divide among the {above.instances} of {above.name!r} above"
            yield index, "instances", message
        elif level.columns % above.columns or level.rows % above.rows:
            message = (
                f"{level.columns} x {level.rows} instances (columns x rows) do not divide among the "
                f"{above.columns} x {above.rows} of {above.name!r} above"
            )
            yield index, "mesh_x", message
