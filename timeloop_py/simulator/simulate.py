"""Run one layer on one machine, on real tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from timeloop_py.simulator.arrays import FloatArray
from timeloop_py.simulator.cartesian import run_cartesian
from timeloop_py.simulator.dot_product import run_dot_product
from timeloop_py.simulator.groups import OutputGroups
from timeloop_py.simulator.machine import Machine
from timeloop_py.simulator.operands import TensorLike, operands
from timeloop_py.simulator.reference import reference_convolution, useful_products
from timeloop_py.simulator.result import SimulationResult, Slots
from timeloop_py.simulator.tiling import Plan, plan
from timeloop_py.simulator.timing import PassResult, Timeline, Work, timeline
from timeloop_py.specs.layer import Layer


def simulate(
    layer: Layer,
    machine: Machine,
    *,
    seed: int = 0,
    weights: TensorLike | None = None,
    activations: TensorLike | None = None,
    verify: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationResult:
    """Execute ``layer`` on ``machine`` and compare the result with a reference convolution.

    Parameters
    ----------
    layer : Layer
        The layer; images of a batch go one after the other.
    machine : Machine
        The accelerator.
    seed : int
        Draws the tensors that are not given, with the layer's densities.
    weights, activations : array, path or DensityModel, optional
        Values [K, C/G, S, R] and [N, C, H, W], a tensor file of them, or a model to draw from.
    verify : bool
        Multiply every pair and compute the convolution. Without it (and without bank contention) cycles and counts,
        which stay the same, come from the numbers of vectors alone.
    progress : function, optional
        Called as ``progress(done, total)``, in output-channel groups.

    Returns
    -------
    SimulationResult
        Cycles, counts, and where every multiplier slot went.

    Raises
    ------
    SpecError
        A tensor of the wrong shape or type, or a filter that the accumulators do not hold.
    """
    inputs, filters = operands(layer, seed, activations, weights)
    layout = plan(layer, machine)
    groups = OutputGroups.of(layer, layout.output_channel_group, filters)
    outputs = np.zeros((layer.N, layer.K, layer.Q, layer.P)) if verify else None
    results = _execute(layer, machine, layout, groups, inputs, outputs, progress)
    times = timeline(Work.joined([result.work for result in results]), machine)
    error, agrees = (
        (None, None) if outputs is None else _compare(outputs, reference_convolution(layer, inputs, filters))
    )
    useful = useful_products(layer, inputs, filters)
    products = sum(result.products for result in results)
    # A dot product is within the output plane by construction.
    nonzero = useful if _is_dot_product(machine) else sum(result.nonzero_products for result in results)
    return SimulationResult(
        cycles=times.cycles,
        multiplies=products,
        nonzero_products=nonzero,
        useful_multiplies=useful,
        steps=times.steps,
        slots=_slots(machine, times, products, nonzero, useful),
        max_abs_error=error,
        agrees=agrees,
        oracle_cycles=nonzero / machine.multipliers,
        output_channel_group=layout.output_channel_group,
        groups=groups.sizes.size,
        passes=len(layout.passes),
        halo_words=sum(result.halo_words for result in results),
        nonzero_activations=int(np.count_nonzero(inputs)),
        nonzero_weights=int(np.count_nonzero(filters)),
        outputs=outputs,
    )


def _execute(
    layer: Layer,
    machine: Machine,
    layout: Plan,
    groups: OutputGroups,
    inputs: FloatArray,
    outputs: FloatArray | None,
    progress: Callable[[int, int], None] | None,
) -> list[PassResult]:
    """Run every pass of every image, adding the convolution to ``outputs`` [N, K, Q, P]."""
    total = layer.N * len(layout.passes) * groups.sizes.size
    done = 0

    def advance(finished: int) -> None:
        nonlocal done
        done += finished
        if progress is not None:
            progress(done, total)

    run = run_dot_product if _is_dot_product(machine) else run_cartesian
    results = []
    for number, image in enumerate(inputs):
        shape = (groups.sizes.size, groups.most, layer.Q, layer.P)
        sums = None if outputs is None else np.zeros(shape)
        results += [run(layer, machine, part, groups, image, sums, advance) for part in layout.passes]
        if outputs is not None and sums is not None:
            outputs[number] = groups.channels_of(layer, sums)
    return results


def _compare(outputs: FloatArray, reference: FloatArray) -> tuple[float, bool]:
    error = float(np.abs(outputs - reference).max())
    return error, error <= 1e-9 * float(np.abs(reference).max())


def _is_dot_product(machine: Machine) -> bool:
    return machine.dataflow == "pt_is_dp_dense"


def _slots(machine: Machine, times: Timeline, products: int, nonzero: int, useful: int) -> Slots:
    lanes = machine.multipliers_per_pe
    with_zero = products - nonzero
    sparse = machine.dataflow == "pt_is_cp_sparse"
    return Slots(
        useful=useful,
        out_of_range=nonzero - useful,
        zero_operands=0 if sparse else with_zero,
        placeholders=with_zero if sparse else 0,
        fragmentation=times.steps * lanes - products,
        bank_stalls=times.bank_stalls * lanes,
        overhead=times.overhead * lanes,
        drain=times.drain * lanes,
        barrier=times.barrier * lanes,
        idle_pes=times.idle_pes * lanes,
    )
