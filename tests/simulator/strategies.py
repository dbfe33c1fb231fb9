"""Random small layers and machines."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from timeloop_py.simulator.machine import DataflowName, Machine
from timeloop_py.simulator.tiling import plan
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.layer import Layer

DENSITIES = st.sampled_from([0.1, 0.4, 0.8, 1.0])


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """Size, taps, stride, dilation and padding of one axis."""
    taps = draw(st.integers(1, 4))
    dilation = draw(st.integers(1, 3)) if taps > 1 else 1
    padding = draw(st.integers(0, 3))
    smallest = max(1, (taps - 1) * dilation + 1 - 2 * padding)
    return draw(st.integers(smallest, smallest + 7)), taps, draw(st.integers(1, 3)), dilation, padding


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    (W, R, step_x, dil_x, pad_x), (H, S, step_y, dil_y, pad_y) = draw(axes()), draw(axes())
    groups = draw(st.integers(1, 2))
    return Layer(
        "random",
        K=groups * draw(st.integers(1, 5)),
        C=groups * draw(st.integers(1, 3)),
        W=W,
        H=H,
        R=R,
        S=S,
        N=draw(st.integers(1, 2)),
        stride=(step_x, step_y),
        dilation=(dil_x, dil_y),
        padding=(pad_x, pad_y),
        groups=groups,
        weight_density=draw(DENSITIES),
        activation_density=draw(DENSITIES),
    )


@st.composite
def machines(draw: st.DrawFn, *dataflows: DataflowName) -> Machine:
    return Machine(
        dataflow=draw(st.sampled_from(dataflows)),
        pe_columns=draw(st.integers(1, 4)),
        pe_rows=draw(st.integers(1, 3)),
        weight_vector=draw(st.integers(1, 4)),
        activation_vector=draw(st.integers(1, 4)),
        accumulator_banks=draw(st.integers(1, 8)),
        accumulator_entries=draw(st.sampled_from([16, 64])),
        output_channel_group_max=draw(st.integers(1, 4)),
        tiling=draw(st.sampled_from(["balanced", "ceil", "padded_ceil"])),
        halo=draw(st.sampled_from(["output", "input"])),
        barrier=draw(st.sampled_from(["per_group", "per_channel", "none"])),
        bank_contention=draw(st.sampled_from(["queued", "unqueued", "none"])),
        queue_depth=draw(st.integers(0, 3)),
        block_overhead_cycles=draw(st.integers(0, 2)),
        vector_over=draw(st.sampled_from(["channels_and_taps", "channels"])),
        run_bits=draw(st.sampled_from([None, 1, 2])),
        drain_words_per_cycle=draw(st.sampled_from([None, 0.5, 100.0])),
    )


@st.composite
def runs(draw: st.DrawFn, *dataflows: DataflowName) -> tuple[Layer, Machine, int]:
    """A layer that fits its machine, and a seed."""
    layer, machine = draw(layers()), draw(machines(*dataflows))
    try:
        plan(layer, machine)
    except SpecError:
        assume(False)
    return layer, machine, draw(st.integers(0, 2**32))
