"""Fragmentation: what compressed vectors that are not full cost the Cartesian product of non-zeros (MODEL section 3).

A PE multiplies vectors of ``F`` weights with vectors of ``I`` activations. A block of n positions fills
``ceil(nnz/F)`` vectors, the last one rarely full, and a model must give the *expectation of the ceiling*: the ceiling
of the expectation is wrong by a factor where blocks hold few non-zeros (Parashar et al., SCNN, ISCA 2017, section
VI-B). Everything here broadcasts over arrays and takes SymPy expressions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from timeloop_py.numbers.operations import Number
from timeloop_py.tensors.density import DensityModel


@dataclass(frozen=True)
class Moments:
    """Mean and variance of a count, as expectations. Independent counts add."""

    mean: Number
    variance: Number

    @property
    def second(self) -> Any:
        """``E[X^2]``."""
        return self.variance + self.mean**2

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.mean + other.mean, self.variance + other.variance)


def weight_vectors(block: Number, zeros: DensityModel, lanes: Number) -> Moments:
    """Vectors of ``lanes`` = F that the weights of one (output-channel group, channel) block fill.

    ``block`` is ``Kc * R * S`` positions (the taps of one parity where the stride is above 1).
    """
    return Moments(*zeros.vector_moments(block, lanes))


def activation_vectors(tile: Number, zeros: DensityModel, lanes: Number) -> Moments:
    """Vectors of ``lanes`` = I that the activations of one (channel, PE tile) block fill.

    The variance is that between the tiles of one channel: what tiles have in common makes no PE wait for another.
    """
    return Moments(zeros.vector_moments(tile, lanes)[0], zeros.tile_variance(tile, lanes))


def group_steps(channels: Number, weights: Moments, activations: Moments, covariance: Number = 0.0) -> Moments:
    """Steps of a PE in one output-channel group: ``sum over channels of A_c * W_c``.

    The variance is what differs between PEs: weights are broadcast, so given them only the activations vary, and

        mean = C * E[W] * E[A],    variance = C * (E[W^2] * Var[A] + E[W]^2 * covariance),

    ``covariance`` being that of a channel's A with those of all other channels of the PE (0 where channels are
    independent, :meth:`.DensityModel.channel_covariance`).
    Parities of a stride above 1, and channels that differ, are groups of their own: add their moments.
    """
    variance = weights.second * activations.variance
    if not (isinstance(covariance, float) and covariance == 0):
        variance = variance + weights.mean**2 * covariance
    return Moments(channels * weights.mean * activations.mean, channels * variance)


def lost_slots(steps: Number, products: Number, multipliers: Number) -> Any:
    """Multiplier slots that fragmentation leaves empty: ``steps * multipliers - products``.

    ``multipliers`` = F * I per PE; ``products`` are those issued in these steps (non-zero times non-zero).
    """
    return steps * multipliers - products
