"""Leader tiles and what gating and skipping save, against an enumeration of the nest."""

import math
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeloop_py.sparsity.actions import leader_tile, savings
from timeloop_py.sparsity.tiles import Tiles
from timeloop_py.specs.case import LevelSparsity, SparseAction, Sparsity
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term
from timeloop_py.tensors.density import Bernoulli, Fixed, Hypergeometric

X = LoopKind.SPATIAL_X


def ranks(*dims: str) -> tuple[Rank, ...]:
    return tuple(Rank(tuple(Term(dim) for dim in rank)) for rank in dims)


MATMUL = (Tensor("A", ranks("M", "K")), Tensor("B", ranks("K", "N")), Tensor("Z", ranks("M", "N"), is_output=True))
CONVOLUTION = (Tensor("W", ranks("R")), Tensor("I", ranks("PR")), Tensor("O", ranks("P"), is_output=True))


def tiles(*nodes: Loop | Store, tensors: tuple[Tensor, ...] = MATMUL, words_per_line: int = 1) -> Tiles:
    dims: dict[str, int] = {dim: 1 for tensor in tensors for dim in sorted(tensor.dims)}
    for node in nodes:
        if isinstance(node, Loop):
            dims[node.dim] *= node.bound
    names = [
        level
        for level in ("Back", "Buf", "Reg")
        if any(node.level == level for node in nodes if isinstance(node, Store))
    ]
    levels = tuple(StorageLevel(name, 64, words_per_line=words_per_line) for name in names)
    return Tiles(Problem(dims, tensors), Hierarchy(levels, ComputeLevel("MAC", 64)), Mapping(nodes))


def stores(level: str, tensors: str = "ABZ") -> list[Store]:
    return [Store(level, name) for name in tensors]


class TestLeaderTile:
    def test_one_element_decides_about_an_operand_of_compute(self) -> None:
        nest = tiles(*stores("Buf"), Loop("M", 4), Loop("N", 4), Loop("K", 8))
        assert leader_tile(nest, "Buf", "B", "A") == (1, 1)

    def test_a_tile_is_decided_by_what_it_meets_while_it_stays(self) -> None:
        # B's tile of Reg is replaced by K; inside stand M 2 and N 3.
        nest = tiles(*stores("Buf"), Loop("M", 5), Loop("K", 4), *stores("Reg"), Loop("M", 2), Loop("N", 3))
        assert leader_tile(nest, "Buf", "B", "A") == (2, 1)

    def test_loops_over_the_leader_alone_widen_its_tile(self) -> None:
        # M runs while B's tile stays: all of A's rows meet it.
        nest = tiles(*stores("Buf"), Loop("K", 4), Loop("M", 5), *stores("Reg"), Loop("M", 2), Loop("K", 3))
        assert leader_tile(nest, "Buf", "B", "A") == (10, 3)

    def test_a_tile_that_never_moves_meets_the_whole_leader(self) -> None:
        nest = tiles(*stores("Back"), Loop("M", 4), *stores("Buf"), Loop("K", 8), Loop("M", 2))
        assert leader_tile(nest, "Back", "B", "A") == (8, 8)

    def test_words_of_a_line_are_saved_together(self) -> None:
        nest = tiles(*stores("Buf"), Loop("M", 4), Loop("K", 8), words_per_line=4)
        assert leader_tile(nest, "Buf", "B", "A") == (1, 4)

    def test_lines_along_a_dimension_that_the_leader_lacks_change_nothing(self) -> None:
        nest = tiles(*stores("Buf"), Loop("K", 8), Loop("N", 4), words_per_line=4)
        assert leader_tile(nest, "Buf", "B", "A") == (1, 1)

    def test_lines_shorter_than_the_tile_change_nothing(self) -> None:
        nest = tiles(*stores("Buf"), Loop("K", 4), *stores("Reg"), Loop("K", 2), Loop("N", 3), words_per_line=4)
        assert leader_tile(nest, "Buf", "B", "A") == (1, 2)

    def test_lines_longer_than_the_tile_span_several_of_it(self) -> None:
        nest = tiles(*stores("Buf"), Loop("K", 4), *stores("Reg"), Loop("K", 2), words_per_line=4)
        assert leader_tile(nest, "Buf", "B", "A") == (1, 4)

    def test_lanes_that_share_a_word_look_at_all_their_leaders(self) -> None:
        # One word of B goes to 4 lanes, each with a row of A of its own.
        nest = tiles(*stores("Buf"), Loop("K", 8), Loop("M", 4, X))
        assert leader_tile(nest, "Buf", "B", "A") == (4, 1)

    def test_lanes_with_words_of_their_own_look_at_one(self) -> None:
        nest = tiles(*stores("Buf"), Loop("M", 4), Loop("K", 8, X))
        assert leader_tile(nest, "Buf", "B", "A") == (1, 1)

    def test_lanes_over_the_leader_above_shared_lanes_cannot_decide(self) -> None:
        nest = tiles(*stores("Buf"), Loop("N", 2), Loop("M", 4, X), Loop("K", 8, X))
        assert leader_tile(nest, "Buf", "B", "A") is None

    def test_overlapping_positions_are_counted_once(self) -> None:
        # Weights of 3 taps stay while P slides over 4: they meet 6 inputs.
        nest = tiles(*stores("Buf", "WIO"), Loop("P", 4), *stores("Reg", "WIO"), Loop("R", 3), tensors=CONVOLUTION)
        assert leader_tile(nest, "Buf", "W", "I") == (6,)

    @settings(max_examples=200)
    @given(
        outer=st.lists(st.tuples(st.sampled_from("MNK"), st.integers(2, 3)), max_size=3),
        inner=st.lists(st.tuples(st.sampled_from("MNK"), st.integers(2, 3)), max_size=2),
        pair=st.sampled_from([("A", "B"), ("B", "A"), ("Z", "A"), ("Z", "B")]),
    )
    def test_agrees_with_a_walk_through_the_nest(
        self, outer: list[tuple[str, int]], inner: list[tuple[str, int]], pair: tuple[str, str]
    ) -> None:
        target, leader = pair
        above = [Loop(dim, bound) for dim, bound in outer]
        below = [Loop(dim, bound) for dim, bound in inner]
        nest = tiles(*stores("Buf"), *above, *stores("Reg"), *below)
        tile = leader_tile(nest, "Buf", target, leader)
        assert tile is not None
        assert math.prod(tile) == len(first_leader(nest, above, below, target, leader))


def first_leader(nest: Tiles, above: list[Loop], below: list[Loop], target: str, leader: str) -> set[tuple[int, ...]]:
    """Positions of the leader that are used until the tile of the target is another one for the first time."""

    def positions(tensor: Tensor, steps: Iterator[dict[str, int]]) -> set[tuple[int, ...]]:
        return {tuple(sum(step.get(term.dim, 0) for term in rank.terms) for rank in tensor.ranks) for step in steps}

    def tile_of(name: str, base: dict[str, int]) -> set[tuple[int, ...]]:
        return positions(nest.problem.tensor(name), ({**base, **add(base, step)} for step in walk(below, {})))

    def add(base: dict[str, int], step: dict[str, int]) -> dict[str, int]:
        return {dim: base.get(dim, 0) + step.get(dim, 0) for dim in {*base, *step}}

    inside = {dim: math.prod(loop.bound for loop in below if loop.dim == dim) for dim in nest.problem.dims}
    met: set[tuple[int, ...]] = set()
    first: set[tuple[int, ...]] | None = None
    for base in walk(above, inside):
        here = tile_of(target, base)
        if first is not None and here != first:
            break
        first = here
        met |= tile_of(leader, base)
    return met


def walk(loops: list[Loop], inside: dict[str, int]) -> Iterator[dict[str, int]]:
    """Index offsets of all iterations in order; ``inside``: indices of each dimension below the loops."""
    steps = []
    size = dict(inside)
    for loop in reversed(loops):
        steps.append(size.get(loop.dim, 1))
        size[loop.dim] = size.get(loop.dim, 1) * loop.bound
    steps.reverse()
    for indices in product(*(range(loop.bound) for loop in loops)):
        offset: dict[str, int] = {}
        for loop, step, index in zip(loops, steps, indices, strict=True):
            offset[loop.dim] = offset.get(loop.dim, 0) + step * index
        yield offset


class TestSavings:
    nest = tiles(*stores("Back"), Loop("M", 4), Loop("K", 2), *stores("Buf", "AB"), Loop("N", 8), Loop("K", 4))

    def sparsity(self, *actions: tuple[str, str, str, str]) -> Sparsity:
        levels: dict[str, list[SparseAction]] = {}
        for level, kind, target, leaders in actions:
            levels.setdefault(level, []).append(SparseAction(kind, target, tuple(leaders)))  # type: ignore[arg-type]
        return Sparsity(tuple(LevelSparsity(level, {}, tuple(entries)) for level, entries in levels.items()))

    def test_probability_that_the_leader_tile_is_empty(self) -> None:
        found = savings(
            self.nest, self.sparsity(("Back", "skipping", "B", "A")), {"A": Hypergeometric(1 / 16, 32), "B": Fixed(1.0)}
        )
        # 4 of the 32 elements of A meet a tile of B; 2 of the 32 are not zero.
        assert found["Back", "B"].probability == pytest.approx(math.comb(28, 2) / math.comb(32, 2))
        assert found["Back", "B"].kind == "skipping"

    def test_every_condition_must_have_data(self) -> None:
        densities = {"A": Bernoulli(0.5), "B": Bernoulli(0.25)}
        found = savings(self.nest, self.sparsity(("Back", "gating", "Z", "AB")), densities)
        # Z goes from Back to compute, one element of each operand at a time.
        assert found["Back", "Z"].probability == pytest.approx(1 - 0.5 * 0.25)
        assert found["Back", "Z"].leaders == ("A", "B")

    def test_an_action_acts_where_its_target_comes_from(self) -> None:
        found = savings(self.nest, self.sparsity(("Buf", "skipping", "Z", "A")), {"A": Bernoulli(0.5)})
        assert set(found) == {("Back", "Z")}

    def test_the_sharpest_action_on_a_target_counts(self) -> None:
        densities = {"A": Bernoulli(0.5), "Z": Bernoulli(0.1)}
        found = savings(self.nest, self.sparsity(("Buf", "skipping", "B", "A"), ("Buf", "gating", "B", "Z")), densities)
        assert found["Buf", "B"].kind == "gating"
        assert found["Buf", "B"].probability == pytest.approx(0.9)
        both = self.sparsity(("Buf", "skipping", "B", "A"), ("Buf", "gating", "B", "A"))
        assert savings(self.nest, both, densities)["Buf", "B"].kind == "gating"

    def test_a_target_that_comes_from_nowhere_is_refused(self) -> None:
        nest = tiles(*stores("Back", "AB"), Loop("M", 2), *stores("Buf"))
        with pytest.raises(SpecError, match="'Z' at level 'Back': neither that level nor one above keeps it"):
            savings(nest, self.sparsity(("Back", "gating", "Z", "A")), {"A": Bernoulli(0.5)})
