"""Metadata of compressed tiles, rank by rank: how many coordinates and offsets a tile is expected to carry.

A format is a list of ranks; each describes the loops over the tensor that its level runs (one loop a rank), the
innermost ones those of the next level further in, for tiles are sent as they are stored. A rank has fibers, one per
non-empty part of the rank above, of as many coordinates as its loop has iterations:

========  ===============================  =====================================
format    coordinates (metadata words)     payloads (words; none at the last rank)
========  ===============================  =====================================
``UOP``   none                             fibers * (length + 1) offsets
``CP``    one per non-empty part           the same
``RLE``   one per non-empty part           the same
``B``     fibers * length                  one per non-empty part
``UB``    all fibers * length              all fibers * length
========  ===============================  =====================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from timeloop_py.sparsity.tiles import Shape, Tiles, extents_of
from timeloop_py.specs.case import RankFormat, Sparsity, TensorFormat
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.hierarchy import StorageLevel
from timeloop_py.tensors.density import Bernoulli, DensityModel, Fixed, Hypergeometric
from timeloop_py.tensors.run_length import expected_placeholders

Array = NDArray[np.float64]

#: formats that leave zeros out of the data; the others only describe them
COMPRESSED = ("CP", "RLE", "B")


@dataclass(frozen=True)
class Rank:
    """One rank of a stored tile: its fibers have ``length`` coordinates, each a ``part`` of the tile."""

    length: int
    part: Shape


@dataclass(frozen=True)
class RankWords:
    """Expected words of one rank: coordinates and payloads, with their widths in bits."""

    coordinates: float
    payloads: float
    coordinate_bits: int
    payload_bits: int

    @property
    def words(self) -> float:
        return self.coordinates + self.payloads

    @property
    def bits(self) -> float:
        return self.coordinates * self.coordinate_bits + self.payloads * self.payload_bits


class StoredTile:
    """A tensor's tile in a level as it is stored: occupancy of its data, words of its metadata.

    ``given_some``: only tiles that are not empty are stored (the level above can tell), so expectations are over
    those.
    """

    def __init__(
        self,
        tiles: Tiles,
        sparsity: Sparsity,
        level: str,
        tensor: str,
        model: DensityModel,
        given_some: bool,
    ) -> None:
        self.level: StorageLevel = tiles.hierarchy.level(level)
        self.shape = tiles.tile(level, tensor)
        self.format: TensorFormat | None = sparsity.level(level).formats.get(tensor)
        self.ranks: tuple[Rank, ...] = ranks_of(tiles, sparsity, level, tensor) if self.format else ()
        self._model = model
        self.given_some = given_some

    @property
    def size(self) -> int:
        """Positions of the tile."""
        return math.prod(self.shape)

    @property
    def is_compressed(self) -> bool:
        return self.format is not None and any(rank.format in COMPRESSED for rank in self.format.ranks)

    @cached_property
    def probability_empty(self) -> float:
        return float(self._model.probability_empty(self.shape))

    @cached_property
    def _distribution(self) -> tuple[NDArray[np.int64], Array]:
        """Occupancies that occur, and their probabilities."""
        pmf = np.array(self._model.occupancy_pmf(self.shape))
        if self.given_some and pmf[0] < 1:
            pmf[0] = 0
            pmf /= pmf.sum()
        occurs = np.flatnonzero(pmf > 0)
        return occurs, pmf[occurs]

    @cached_property
    def expected_occupancy(self) -> float:
        """Non-zeros of the tile."""
        occupancies, probabilities = self._distribution
        return float(occupancies @ probabilities)

    @property
    def density(self) -> float:
        return self.expected_occupancy / self.size

    @property
    def stored_share(self) -> float:
        """Expected data words stored per position: non-zeros, and placeholders where runs are too long."""
        if self.format is None:
            return 1.0
        return self.density + self.placeholders / self.size

    @cached_property
    def placeholders(self) -> float:
        """Expected zeros that the tile stores because a run of zeros before a non-zero is longer than its field.

        Only a last rank stores words; other ranks of this format are taken without a limit. See
        :func:`.run_length.expected_placeholders`.
        """
        if self.format is None or self.format.ranks[-1].format != "RLE" or self.ranks[-1].length == 1:
            return 0.0
        bits = self._widths(self.format.ranks[-1])[0]
        if bits == 0:
            return 0.0
        fibers = math.prod(rank.length for rank in self.ranks[:-1])
        return fibers * float(expected_placeholders(self.ranks[-1].length, self._model, bits))

    @property
    def worst_words(self) -> int:
        """Data words that the tile may need."""
        return int(self._model.worst_occupancy(self.shape)) if self.is_compressed else self.size

    def lines_per_full_line(self, words_per_line: int) -> float:
        """Lines for every line's worth of words: ``E[ceil(nnz / w)] * w / E[nnz]``.

        As Sparseloop has it: the lines are those of all tiles, the words those of the stored ones.
        """
        mean, _ = self._model.vector_moments(self.shape, words_per_line)
        return float(mean) * words_per_line / self.expected_occupancy if self.expected_occupancy else 1.0

    def stored_line_share(self, words_per_line: int) -> float:
        """Expected lines of the stored tile against those of the whole one: ``E[ceil(nnz / w)] / ceil(size / w)``."""
        if not self.is_compressed or words_per_line == 1:
            return self.stored_share
        mean, _ = self._model.vector_moments(self.shape, words_per_line)
        placeholders = 1 + self.placeholders / self.expected_occupancy if self.expected_occupancy else 1.0
        return float(mean) / math.ceil(self.size / words_per_line) * placeholders

    def rank_words(self, as_sparseloop: bool = False) -> tuple[RankWords, ...]:
        """Expected metadata words per rank, outermost first.

        By default exact: the non-empty parts of a rank, with a run length for every placeholder too.
        ``as_sparseloop``: non-empty fibers times the non-empty parts of any fiber, rounded up except for run lengths,
        and runs without a limit.
        """
        if self.format is None:
            return ()
        occupancies, probabilities = self._distribution
        words: list[RankWords] = []
        fibers, above = 1, self.shape
        for position, (rank, form) in enumerate(zip(self.ranks, self.format.ranks, strict=True)):
            coordinates = payloads = np.zeros(occupancies.shape)
            if rank.length > 1:
                present = fibers * (1 - self._empty_given(above, occupancies))
                parts = rank.length * (1 - self._empty_given(rank.part, occupancies))
                if as_sparseloop:
                    filled = present * (parts if form.format == "RLE" else np.ceil(np.round(parts, 9)))
                else:
                    filled = fibers * parts
                coordinates, payloads = _words_of(form.format, fibers, present, rank.length, filled)
            innermost = position == len(self.ranks) - 1
            extra = self.placeholders if innermost and form.format == "RLE" and not as_sparseloop else 0.0
            words.append(
                RankWords(
                    float(coordinates @ probabilities) + extra,
                    0.0 if innermost else float(payloads @ probabilities),
                    *self._widths(form),
                )
            )
            fibers *= rank.length
            above = rank.part
        return tuple(words)

    def _widths(self, form: RankFormat) -> tuple[int, int]:
        default = self.level.metadata_datawidth or 0
        coordinate = 1 if form.format in ("B", "UB") else default
        return (
            coordinate if form.metadata_word_bits is None else form.metadata_word_bits,
            default if form.payload_word_bits is None else form.payload_word_bits,
        )

    def _empty_given(self, part: Shape, occupancies: NDArray[np.int64]) -> Array:
        """Probability that a part of the tile is empty, given the occupancy of the whole."""
        if part == self.shape:
            return np.asarray(occupancies == 0, dtype=float)
        size, whole = math.prod(part), self.size
        if isinstance(self._model, Fixed):
            return np.maximum(0.0, 1 - size * occupancies / whole)
        if isinstance(self._model, (Bernoulli, Hypergeometric)):
            return _hypergeometric_empty(whole, occupancies, size)
        some = 1 - self.probability_empty
        given_some = (float(self._model.probability_empty(part)) - self.probability_empty) / some if some else 1.0
        return np.where(occupancies == 0, 1.0, given_some)


def _words_of(form: str, fibers: int, present: Array, length: int, filled: Array) -> tuple[Array, Array]:
    """Coordinates and payloads of a rank: ``present`` of its ``fibers`` exist, with ``filled`` non-empty parts."""
    if form == "UOP":
        return np.zeros(present.shape), present * (length + 1)
    if form == "B":
        return present * length, filled
    if form == "UB":
        everything = np.full(present.shape, float(fibers * length))
        return everything, everything
    return filled, filled


def _hypergeometric_empty(whole: int, occupancies: NDArray[np.int64], size: int) -> Array:
    """``C(whole - size, o) / C(whole, o)``."""
    from scipy.special import gammaln

    room = whole - size
    fits = occupancies <= room
    nonzeros = np.where(fits, occupancies, 0)
    logs = gammaln(room + 1) - gammaln(room - nonzeros + 1) - gammaln(whole + 1) + gammaln(whole - nonzeros + 1)
    return np.asarray(np.where(fits, np.exp(logs), 0.0))


def ranks_of(tiles: Tiles, sparsity: Sparsity, level: str, tensor: str) -> tuple[Rank, ...]:
    """The ranks of a stored tile, outermost first: which loops they describe.

    An uncompressed tile is one rank of all its positions. Raises SpecError where a format has too few ranks.
    """
    form = sparsity.level(level).formats.get(tensor)
    child = tiles.child(level, tensor)
    shape = tiles.tile(level, tensor)
    if form is None:
        return (Rank(math.prod(shape), (1,) * len(shape)),)

    compressed = any(rank.format in COMPRESSED for rank in form.ranks)
    # What is sent down is a tile as the next level stores it; a single word is sent without structure.
    keeps_tiles = compressed and child is not None and math.prod(tiles.tile(child, tensor)) > 1
    inner = ranks_of(tiles, sparsity, child, tensor) if keeps_tiles and child is not None else ()
    outer = _own_ranks(tiles, level, tensor, to_words=not keeps_tiles)
    spare = len(form.ranks) - len(inner) - len(outer)
    if spare < 0:
        raise SpecError(
            f"the format of {tensor!r} at level {level!r} has {len(form.ranks)} ranks for "
            f"{len(outer) + len(inner)} nested loops over it: give every loop a rank",
            field="sparse",
        )
    if form.rank_application_order == "inner_to_outer":
        return (*([Rank(1, shape)] * spare), *outer, *inner)
    part = outer[-1].part if outer else shape
    return (*outer, *([Rank(1, part)] * spare), *inner)


def _own_ranks(tiles: Tiles, level: str, tensor: str, to_words: bool) -> tuple[Rank, ...]:
    """One rank per loop over the tensor that the level runs, outermost first.

    ``to_words``: there are no ranks further in, so the innermost loop of each dimension goes all the way down.
    """
    wanted = tiles.problem.tensor(tensor)
    loops = tiles.loops_between(level, tensor)
    inside = tiles.loops_below(level, tensor)
    below = inside[: len(inside) - len(loops)]
    left = extents_of(below) if to_words else {}
    ranks: list[Rank] = []
    for loop in loops:
        if loop.dim in wanted.dims:
            length = math.prod(tiles.shape(wanted, {loop.dim: loop.bound * left.pop(loop.dim, 1)}))
            part = {} if to_words and not ranks else extents_of(below)
            ranks.append(Rank(length, tiles.shape(wanted, part)))
        below = [*below, loop]
    return tuple(reversed(ranks))
