"""Slots without a barrier: every PE waits for its own drains, and at the end of the layer for the last one."""

from __future__ import annotations

import numpy as np
import pytest

from timeloop_py.model.evaluate import evaluate
from timeloop_py.simulator.api import simulate
from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.layer import Layer

LAYER = Layer("uneven", K=20, C=3, W=13, H=10, R=3, S=3, padding=(1, 1))


@pytest.mark.parametrize("name", ["scnn", "dcnn"])
@pytest.mark.parametrize("rate", [0.5, 2.0, 32.0])
@pytest.mark.parametrize("overhead", [0, 5])
@pytest.mark.parametrize("density", [1.0, 0.6])
def test_every_cause_is_that_of_the_simulator(name: str, rate: float, overhead: int, density: float) -> None:
    architecture = load_architecture(
        name,
        [
            *((f"parameters.pe_{axis}", 4) for axis in "xy"),
            ("dataflow.barrier", "none"),
            ("dataflow.bank_contention", "none"),
            ("dataflow.drain_words_per_cycle", rate),
            ("dataflow.block_overhead_cycles", overhead),
        ],
    )
    layer = LAYER.with_densities(density, density)
    runs = [simulate(architecture, layer, seed=seed, verify=False) for seed in range(8)]
    evaluation = evaluate(architecture, layer)
    every = sum(float(counts.sum()) for counts in evaluation.slots.values())
    assert every == pytest.approx(float(evaluation.cycles) * 16 * 16)
    # Dense operands, and dense machines: nothing is left to chance.
    points = 1e-9 if density == 1 else 5.0
    if name == "dcnn" or density == 1:
        assert float(evaluation.cycles) == pytest.approx(np.mean([run.cycles for run in runs]))
        points = 0.02 if name == "dcnn" else 1e-9
    for cause in ("drain", "overhead", "idle_pes", "barrier"):
        simulated = np.mean([run.slots.shares()[cause] for run in runs])
        shares = 100 * float(evaluation.slots[cause].sum()) / every, 100 * simulated
        assert shares[0] == pytest.approx(shares[1], abs=points), cause
