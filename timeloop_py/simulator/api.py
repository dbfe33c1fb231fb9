"""The Python face of the simulator: an architecture in place of a machine."""

from __future__ import annotations

from collections.abc import Callable

from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.operands import TensorLike
from timeloop_py.simulator.result import SimulationResult
from timeloop_py.simulator.simulate import simulate as simulate_on_machine
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer


def simulate(
    architecture: Architecture,
    layer: Layer,
    *,
    seed: int = 0,
    weights: TensorLike | None = None,
    activations: TensorLike | None = None,
    placeholders: bool | None = None,
    verify: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationResult:
    """Execute a layer on an accelerator's file; see :func:`timeloop_py.simulator.simulate.simulate`.

    ``placeholders``: runs of zeros longer than the index of the file (``parameters.index_bits``) can say take a lane;
    None: as the file says (``dataflow.placeholders``).
    SpecError: an architecture without one of the simulated dataflows, a tensor that does not fit the layer, a filter
    that the accumulators do not hold.
    """
    return simulate_on_machine(
        layer,
        Machine.of(architecture, placeholders),
        seed=seed,
        weights=weights,
        activations=activations,
        verify=verify,
        progress=progress,
    )
