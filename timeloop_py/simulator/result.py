"""What a simulation gives."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from timeloop_py.simulator.arrays import FloatArray

JsonValue = int | float | str | None | dict[str, float]


@dataclass(frozen=True)
class Slots:
    """Where every multiplier slot went: counts that add up to ``cycles * multipliers``.

    ``useful``: product of two non-zeros inside the output plane. ``out_of_range``: of two non-zeros, but outside (with
    input halos: in a neighbour's tile). ``zero_operands``: products with a zero in a dense dataflow. ``placeholders``:
    with a run-length placeholder. ``fragmentation``: lanes of a step left empty by partly filled vectors.
    ``bank_stalls``: waiting for accumulator banks. ``overhead``: opening blocks. ``drain``: waiting for the other half
    of the accumulators. ``barrier``: waiting for slower PEs. ``idle_pes``: PEs without an input that meets a tap.
    """

    useful: int
    out_of_range: int
    zero_operands: int
    placeholders: int
    fragmentation: int
    bank_stalls: int
    overhead: int
    drain: int
    barrier: int
    idle_pes: int

    @property
    def total(self) -> int:
        """All slots."""
        return sum(getattr(self, cause.name) for cause in fields(self))

    def shares(self) -> dict[str, float]:
        """Each count as a fraction of all slots (all 0 where no cycle passed)."""
        total = self.total or 1
        return {cause.name: getattr(self, cause.name) / total for cause in fields(self)}


@dataclass(frozen=True)
class SimulationResult:
    """One layer on one machine; all counts are exact.

    Parameters
    ----------
    cycles : int
        Cycles of the layer.
    multiplies : int
        Products issued, those with zero operands and out-of-range ones included.
    nonzero_products : int
        Those of two non-zeros, out-of-range ones included: the work of the oracle.
    useful_multiplies : int
        Those of two non-zeros inside the output plane.
    steps : int
        Vector pairs issued, summed over PEs.
    slots : Slots
        Where every multiplier slot went.
    max_abs_error : float or None
        Largest difference between the simulated convolution and the reference; None where it was not computed.
    agrees : bool or None
        Whether the two are the same but for rounding (within 1e-9 of the largest output).
    oracle_cycles : float
        ``nonzero_products`` over the multipliers of the chip.
    output_channel_group, groups, passes : int
        ``Kc``, the number of output-channel groups, and temporal passes over the plane.
    halo_words : int
        Sums that PEs send to their neighbours.
    nonzero_activations, nonzero_weights : int
        Non-zeros of the operands.
    outputs : array [N, K, Q, P] or None
        The simulated convolution.
    """

    cycles: int
    multiplies: int
    nonzero_products: int
    useful_multiplies: int
    steps: int
    slots: Slots
    max_abs_error: float | None
    agrees: bool | None
    oracle_cycles: float
    output_channel_group: int
    groups: int
    passes: int
    halo_words: int
    nonzero_activations: int
    nonzero_weights: int
    outputs: FloatArray | None = field(repr=False, compare=False)

    @property
    def utilization(self) -> float:
        """Products of two non-zeros over ``cycles * multipliers`` (out-of-range ones included)."""
        return self.nonzero_products / (self.slots.total or 1)

    def to_dict(self) -> dict[str, JsonValue]:
        """The scalars and, as ``lost_slots``, the share of slots by cause; with ``useful_share`` they add to 1."""
        counted = {key.name: getattr(self, key.name) for key in fields(self) if key.name not in ("slots", "outputs")}
        lost = self.slots.shares()
        useful = lost.pop("useful")
        return {**counted, "utilization": self.utilization, "useful_share": useful, "lost_slots": lost}
