"""Problems: a set of dimensions and the tensors that an affine loop nest over them touches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Term:
    """``coefficient * index`` of one dimension."""

    dim: str
    coefficient: int = 1


@dataclass(frozen=True)
class Rank:
    """One rank of a tensor: the sum of its terms, a position along that rank.

    ``clip`` keeps positions inside ``[clip[0], clip[1])``: what falls outside exists nowhere and is
    neither stored nor moved (the partial sums an input-centric nest computes beyond the output plane).

    ``entries`` makes it a scattered rank: positions follow from coordinates of compressed data and not from loop
    indices. Every point has a position of its own, and a tile that holds all points of the rank's dimensions has
    ``entries`` positions (a number, an array or a symbol); smaller tiles have no defined size.

    ``by_occupancy`` says that the dimension is split by occupancy: its loop bounds are expectations and not whole, so
    how far a tile moves has no meaning. A tile that moves at all shares nothing with the one before.
    """

    terms: tuple[Term, ...]
    clip: tuple[int, int] | None = None
    entries: Any = None
    by_occupancy: bool = False

    @cached_property
    def dims(self) -> tuple[str, ...]:
        return tuple(term.dim for term in self.terms)


@dataclass(frozen=True)
class Tensor:
    """A tensor and the ranks its positions have. Ranks of one tensor share no dimension."""

    name: str
    ranks: tuple[Rank, ...]
    is_output: bool = False

    @cached_property
    def dims(self) -> frozenset[str]:
        return frozenset(dim for rank in self.ranks for dim in rank.dims)


@dataclass(frozen=True)
class Problem:
    """Dimension bounds and tensors. One multiply-accumulate per point of the box of dimensions."""

    dims: Mapping[str, int]
    tensors: tuple[Tensor, ...]
    densities: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def tensor(self, name: str) -> Tensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    @property
    def output(self) -> Tensor:
        return next(tensor for tensor in self.tensors if tensor.is_output)
