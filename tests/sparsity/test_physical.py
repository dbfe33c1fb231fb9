"""The physical convention: lanes that wait, energy without time, against draws of real zeros."""

import numpy as np
import pytest

from timeloop_py.sparsity.accesses import SparseComputes
from timeloop_py.sparsity.physical import physical_counts
from timeloop_py.sparsity.tiles import Tiles
from timeloop_py.specs.case import LevelSparsity, SparseAction, Sparsity
from timeloop_py.specs.hierarchy import ComputeLevel, Hierarchy, StorageLevel
from timeloop_py.specs.mapping import Loop, LoopKind, Mapping, Store
from timeloop_py.specs.problem import Problem, Rank, Tensor, Term
from timeloop_py.tensors.density import Bernoulli, DensityModel, Fixed, Hypergeometric

X = LoopKind.SPATIAL_X


def ranks(*dims: str) -> tuple[Rank, ...]:
    return tuple(Rank((Term(dim),)) for dim in dims)


MATMUL = (Tensor("A", ranks("M", "K")), Tensor("B", ranks("K", "N")), Tensor("Z", ranks("M", "N"), is_output=True))


def actions(*entries: tuple[str, str, str]) -> tuple[SparseAction, ...]:
    return tuple(SparseAction(kind, target, tuple(leaders)) for kind, target, leaders in entries)  # type: ignore[arg-type]


def computes(
    loops: list[Loop],
    sparse: tuple[SparseAction, ...],
    densities: dict[str, DensityModel],
    compute: tuple[str, ...] = (),
) -> SparseComputes:
    dims = dict.fromkeys("MNK", 1)
    for loop in loops:
        dims[loop.dim] *= loop.bound
    temporal = [loop.bound for loop in loops if not loop.is_spatial]
    tiles = Tiles(
        Problem(dims, MATMUL),
        Hierarchy((StorageLevel("Buf"),), ComputeLevel("MAC", 64)),
        Mapping((*(Store("Buf", name) for name in "ABZ"), *loops)),
    )
    sparsity = Sparsity((LevelSparsity("Buf", {}, sparse),), compute)  # type: ignore[arg-type]
    total = int(np.prod([loop.bound for loop in loops]))
    full = {name: Fixed(1.0) for name in "ABZ"} | densities
    return physical_counts(tiles, sparsity, full, (), total, int(np.prod(temporal))).computes


LOOPS = [Loop("N", 4), Loop("K", 32)]


class TestTimeAndEnergy:
    def test_gating_on_one_operand_and_skipping_on_the_other(self) -> None:
        both = actions(("gating", "B", "A"), ("skipping", "A", "B"))
        found = computes(LOOPS, both, {"A": Bernoulli(0.25), "B": Bernoulli(0.5)})
        assert (found.actual, found.gated, found.skipped) == (128 / 8, 128 / 2 * 0.75, 128 / 2)
        assert found.cycles == 64

    def test_actions_on_outputs_spare_no_compute(self) -> None:
        found = computes(LOOPS, actions(("skipping", "Z", "AB")), {"A": Bernoulli(0.25)})
        assert (found.actual, found.cycles) == (128, 128)

    def test_two_conditions_on_one_leader_are_one(self) -> None:
        twice = actions(("skipping", "B", "A"), ("gating", "B", "A"))
        assert computes(LOOPS, twice, {"A": Bernoulli(0.25)}).actual == 32

    def test_the_array_looks_at_both_operands(self) -> None:
        densities: dict[str, DensityModel] = {"A": Bernoulli(0.25), "B": Bernoulli(0.5)}
        gated = computes(LOOPS, (), densities, ("gating",))
        assert (gated.actual, gated.gated, gated.cycles) == (16, 112, 128)
        skipped = computes(LOOPS, (), densities, ("skipping",))
        assert (skipped.actual, skipped.skipped, skipped.cycles) == (16, 112, 16)


class TestSlowestLane:
    ROWS, LANES, WIDTH, COLUMNS = 4, 16, 32, 3

    def draws(self, density: dict[str, float], samples: int = 3000) -> float:
        """Mean cycles of lanes over rows of A that skip what has a zero operand, drawn."""
        rng = np.random.default_rng(7)
        a = rng.random((samples, self.LANES, self.ROWS, self.WIDTH)) < density.get("A", 1.0)
        b = rng.random((samples, 1, self.COLUMNS, self.WIDTH)) < density.get("B", 1.0)
        work = np.einsum("slrk,sjck->slrc", a.astype(float), b.astype(float)).sum(axis=(2, 3))
        return float(work.max(axis=1).mean())

    def loops(self) -> list[Loop]:
        return [Loop("M", self.ROWS), Loop("N", self.COLUMNS), Loop("K", self.WIDTH), Loop("M", self.LANES, X)]

    def test_lanes_wait_for_the_slowest(self) -> None:
        drawn = self.draws({"A": 0.3})
        found = computes(self.loops(), actions(("skipping", "Z", "A"), ("skipping", "A", "A")), {"A": Bernoulli(0.3)})
        average = self.ROWS * self.WIDTH * self.COLUMNS * 0.3
        assert found.cycles == pytest.approx(drawn, rel=0.01)
        assert found.cycles > 1.1 * average

    def test_an_exact_count_spreads_less_and_fixed_zeros_not_at_all(self) -> None:
        skipping = actions(("skipping", "A", "A"))
        total = self.ROWS * self.LANES * self.WIDTH
        unstructured = computes(self.loops(), skipping, {"A": Bernoulli(0.25)}).cycles
        exact = computes(self.loops(), skipping, {"A": Hypergeometric(0.25, total)}).cycles
        even = computes(self.loops(), skipping, {"A": Fixed(0.25)}).cycles
        assert unstructured > exact > even
        assert even == pytest.approx(self.ROWS * self.WIDTH * self.COLUMNS * 0.25)

    def test_two_sided_skipping(self) -> None:
        # Lanes share B: its draw moves them together, which the model takes as apart.
        densities = {"A": 0.4, "B": 0.6}
        found = computes(
            self.loops(),
            actions(("skipping", "A", "AB")),
            {name: Bernoulli(value) for name, value in densities.items()},
        )
        assert found.cycles == pytest.approx(self.draws(densities), rel=0.03)

    def test_lanes_with_the_same_data_finish_together(self) -> None:
        same = [Loop("K", 32), Loop("N", 8, X)]
        found = computes(same, actions(("skipping", "A", "A")), {"A": Bernoulli(0.3)})
        assert found.cycles == pytest.approx(32 * 0.3)
