"""The machine that is simulated: a grid of PEs, their vectors and accumulators, and the choices of its control."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, cast, get_args

from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.dataflow import BankContention, Barrier, Halo, Tiling, VectorOver
from timeloop_py.specs.errors import SpecError, nearest

DataflowName = Literal["pt_is_cp_sparse", "pt_is_cp_dense", "pt_is_dp_dense"]


@dataclass(frozen=True)
class Machine:
    """A planar-tiled accelerator; the defaults are SCNN's (Parashar et al., ISCA 2017, Table II and section VI-B).

    Parameters
    ----------
    dataflow : pt_is_cp_sparse, pt_is_cp_dense or pt_is_dp_dense
        Cartesian product of non-zeros, Cartesian product of everything, dot product of everything.
    pe_columns, pe_rows : int
        The PE grid along x and y [8 x 8].
    weight_vector, activation_vector : int
        ``F`` and ``I`` [4 and 4]: a PE has ``F * I`` multipliers. The dot product takes ``F * I`` operand pairs.
    accumulator_banks, accumulator_entries : int
        ``A`` banks of ``E`` entries [32 of 32] in one half of the double-buffered accumulators.
    output_channel_group_max : int
        The most output channels in a group [8]; fewer where the accumulators hold fewer.
    tiling : balanced, ceil or padded_ceil
        How the plane is cut over the grid: sides differing by at most one; all sides rounded up, the last tiles short
        or empty; the padded plane rounded up to a multiple of the grid.
    halo : output or input
        What neighbours share at tile edges: incomplete sums after each group, or replicated inputs.
    barrier : per_group, per_channel or none
        Where all PEs wait for the slowest.
    bank_contention : queued, unqueued or none
        What happens when products of a step meet in a bank, which takes one product a cycle.
    queue_depth : int
        Products that may wait in front of a queued bank when the next step starts [8; the paper gives no number].
    block_overhead_cycles : int
        Cycles to open the blocks of one group, channel and stride parity; in a dot product those of a group [0].
    vector_over : channels_and_taps or channels
        What fills the operand vectors of a dot product.
    run_bits : int or None
        Bits of a run length in the compressed blocks; a run longer than ``2**run_bits - 1`` zeros costs a placeholder
        that occupies a lane. None: coordinates without a limit [None; SCNN's index has 4 bits].
    drain_words_per_cycle : float or None
        Sums a PE drains from its idle accumulator half in a cycle. None: one from every bank.
    """

    dataflow: DataflowName = "pt_is_cp_sparse"
    pe_columns: int = 8
    pe_rows: int = 8
    weight_vector: int = 4
    activation_vector: int = 4
    accumulator_banks: int = 32
    accumulator_entries: int = 32
    output_channel_group_max: int = 8
    tiling: Tiling = "balanced"
    halo: Halo = "output"
    barrier: Barrier = "per_group"
    bank_contention: BankContention = "queued"
    queue_depth: int = 8
    block_overhead_cycles: int = 0
    vector_over: VectorOver = "channels_and_taps"
    run_bits: int | None = None
    drain_words_per_cycle: float | None = None

    def __post_init__(self) -> None:
        choices = {
            "dataflow": DataflowName,
            "tiling": Tiling,
            "halo": Halo,
            "barrier": Barrier,
            "bank_contention": BankContention,
            "vector_over": VectorOver,
        }
        for key, literal in choices.items():
            value, known = getattr(self, key), get_args(literal)
            if value not in known:
                raise SpecError(
                    f"expected one of {', '.join(known)}, found {value!r}{nearest(str(value), known)}", field=key
                )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int":
                _check_integer(field.name, value, 0 if field.name in _MAY_BE_ZERO else 1)
        if self.run_bits is not None:
            _check_integer("run_bits", self.run_bits, 1)
        if self.drain_words_per_cycle is not None and not self.drain_words_per_cycle > 0:
            raise SpecError(
                f"expected more than 0 words a cycle, found {self.drain_words_per_cycle!r}",
                field="drain_words_per_cycle",
            )

    @classmethod
    def of(cls, architecture: Architecture, placeholders: bool | None = None) -> Machine:
        """The machine that an accelerator's file describes; a SpecError where the simulator has no such dataflow.

        ``placeholders``: the index of the file (``index_bits``) limits the runs of zeros; None: as the file says.
        """
        parameters, flow = architecture.require_accelerator()
        limited = flow.placeholders if placeholders is None else placeholders
        if not float(flow.block_overhead_cycles).is_integer():
            raise SpecError(
                f"the simulator counts whole cycles: expected a whole number, found {flow.block_overhead_cycles}",
                path=architecture.path,
                field="dataflow.block_overhead_cycles",
            )
        try:
            return cls(
                dataflow=cast("DataflowName", flow.name),
                pe_columns=parameters.pe_x,
                pe_rows=parameters.pe_y,
                weight_vector=parameters.F,
                activation_vector=parameters.I,
                accumulator_banks=parameters.accumulator_banks,
                accumulator_entries=parameters.accumulator_entries,
                output_channel_group_max=flow.output_channel_group_max,
                tiling=flow.tiling,
                halo=flow.halo,
                barrier=flow.barrier,
                bank_contention=flow.bank_contention,
                queue_depth=flow.queue_depth,
                block_overhead_cycles=int(flow.block_overhead_cycles),
                vector_over=flow.vector_over,
                run_bits=parameters.index_bits if limited else None,
                drain_words_per_cycle=flow.drain_words_per_cycle,
            )
        except SpecError as error:
            field = "parameters.index_bits" if error.field == "run_bits" else f"dataflow.{error.field}"
            raise SpecError(error.message, path=architecture.path, field=field) from None

    @property
    def pes(self) -> int:
        """Number of PEs."""
        return self.pe_columns * self.pe_rows

    @property
    def multipliers_per_pe(self) -> int:
        """``F * I``."""
        return self.weight_vector * self.activation_vector

    @property
    def multipliers(self) -> int:
        """Multipliers on the chip."""
        return self.pes * self.multipliers_per_pe

    @property
    def accumulators(self) -> int:
        """Sums that one half of a PE's accumulators holds: ``A * E``."""
        return self.accumulator_banks * self.accumulator_entries

    @property
    def drain_rate(self) -> float:
        """Sums a PE drains in a cycle."""
        rate = self.drain_words_per_cycle
        return float(self.accumulator_banks) if rate is None else rate

    @property
    def tolerated_backlog(self) -> int | None:
        """Products that may wait in a bank when the next step starts; None where banks never conflict."""
        return {"queued": self.queue_depth, "unqueued": 0, "none": None}[self.bank_contention]


_MAY_BE_ZERO = ("block_overhead_cycles", "queue_depth")


def _check_integer(key: str, value: object, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise SpecError(f"expected a whole number of at least {minimum}, found {value!r}", field=key)


#: SCNN as published.
SCNN = Machine()
#: The dense baseline of the paper: the same grid and multipliers, one accumulator bank of the same capacity.
DCNN = Machine(dataflow="pt_is_dp_dense", accumulator_banks=1, accumulator_entries=1024)
