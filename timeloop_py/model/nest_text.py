"""Loop nests as pseudo-code with their numbers filled in: of a case, or of a layer on a planar-tiled accelerator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from timeloop_py.model.batch import Batch, Densities
from timeloop_py.model.capacity import ActivationTraffic
from timeloop_py.model.planar_accesses import PlanarAccesses
from timeloop_py.nest.array_nest import array_nest
from timeloop_py.nest.checks import check_mapping
from timeloop_py.nest.lowering import Block, LoweredLayer, Pass, build_nest, lower_layer
from timeloop_py.nest.render import render_nest
from timeloop_py.nest.tiling import AxisTiles, PlanarTiling
from timeloop_py.nest.traffic import Traffic, count_traffic
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.case import Case
from timeloop_py.specs.dataflow import TRIP_COUNTS
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.mapping import Mapping as LoopMapping
from timeloop_py.specs.problem import Problem
from timeloop_py.tensors.density_file import activation_model, weight_model

#: Parts of a layer that differ in more than the size of their tiles are printed in full, up to so many.
MOST_NESTS = 8
#: Expectations this close to a whole number are one.
_WHOLE = 1e-9


@dataclass(frozen=True)
class NestPart:
    """One nest of a layer: the output-channel groups of one size, in temporal passes of one kind, at one parity.

    ``alike``: parts of the layer, this one included, that differ from it in the sizes of their tiles only.
    """

    problem: Problem
    mapping: LoopMapping
    group_channels: int
    one_pass: Pass
    block: Block
    alike: int = 1


def case_nest_text(case: Case) -> str:
    """The nest of a case; in the margin, by level and tensor, the tile and the accesses of all instances in words.

    Zeros are disregarded. SpecError where the mapping is none.
    """
    check_mapping(case.problem, case.hierarchy, case.mapping)
    traffic = count_traffic(case.problem, case.mapping, case.options)
    title = f"# {case.name}: {case.description}" if case.description else f"# {case.name}"
    return f"{title}\n\n{render_nest(case.problem, case.mapping, _margin(traffic))}"


def _margin(traffic: Traffic) -> dict[tuple[str, str], dict[str, object]]:
    return {
        (row.level, row.tensor): {
            "tile [words]": row.tile_words,
            "fills": row.fills,
            "reads": row.reads,
            "updates": row.updates,
        }
        for row in traffic.rows
    }


def array_nest_text(architecture: Architecture, layer: Layer) -> str:
    """The mapping of a layer onto a multiplier array, with the accesses of dense operands in the margin, in words.

    SpecError where the array is not made for such a layer.
    """
    nest = array_nest(architecture, layer)
    skips = {
        skip.position: f"below, only non-zeros of {skip.operand} take time, {skip.vector} of a fiber at once"
        for skip in nest.skips
    }
    text = render_nest(nest.problem, nest.mapping, _margin(nest.traffic), remarks=skips)
    count = architecture.components["multiplier"].count
    heading = [
        f"# {layer.name} on {architecture.name}: {architecture.require_array().template.description}",
        f"# {nest.used_lanes} of {count} multipliers have work; counts disregard zeros",
    ]
    return "".join(f"{line}\n" for line in (*heading, "")) + text


def planar_nests(architecture: Architecture, layer: Layer) -> tuple[NestPart, ...]:
    """The nests of a layer at its own densities, bounds as numbers: means over the PEs that have work, expectations
    over the zeros.

    Of parts that differ in the sizes of their tiles alone, the first stands for all. SpecError where the layer cannot
    be tiled.
    """
    batch = Batch([architecture], [layer])
    lowered = batch.lowered[0]
    found: dict[tuple[int, int, int], NestPart] = {}
    parts = zip(_parts(lowered), _nests(batch, layer), strict=True)
    for (channels, one_pass, block), (problem, mapping) in parts:
        key = (channels, one_pass.count, block.taps)
        alike = found[key].alike + 1 if key in found else 1
        first = found.get(key, NestPart(problem, mapping, channels, one_pass, block))
        found[key] = NestPart(first.problem, first.mapping, channels, first.one_pass, first.block, alike)
    return tuple(found.values())


def _parts(lowered: LoweredLayer) -> Iterator[tuple[int, Pass, Block]]:
    """In the order of a batch's blocks."""
    for one_pass in lowered.passes:
        for channels, _ in lowered.groups:
            for block in one_pass.blocks:
                yield channels, one_pass, block


def _nests(batch: Batch, layer: Layer) -> Iterator[tuple[Problem, LoopMapping]]:
    weight, activation, output = (np.array([[density]]) for density in _densities(layer))
    models = [{} if model is None else {(0, 0): model} for model in (weight_model(layer), activation_model(layer))]
    densities = Densities(weight, activation, output, *models)
    everything = np.ones((1, 1))
    accesses = PlanarAccesses(batch, densities, ActivationTraffic(everything > 0, everything, everything))
    blocks = len(batch.group_of_block)
    counts = {name: np.broadcast_to(values, (blocks, 1))[:, 0] for name, values in accesses.trip_counts.items()}
    entries = (batch.group_channels * batch.group_written / batch.group_busy_pes)[batch.group_of_block]
    for row in range(blocks):
        yield build_nest(
            batch.flow.template,
            {name: _plain(values[row]) for name, values in counts.items()},
            _plain(entries[row]),
        )


def _densities(layer: Layer) -> tuple[float, float, float]:
    return layer.weight_density, layer.activation_density, layer.stored_density


def _plain(count: float) -> int | float:
    return round(float(count)) if abs(count - round(float(count))) < _WHOLE else float(count)


def planar_nest_text(architecture: Architecture, layer: Layer) -> str:
    """The nests of a layer with what the tiling decided: tile sides, ``Kc``, temporal passes."""
    parts = planar_nests(architecture, layer)
    _, flow = architecture.require_accelerator()
    comments = {loop.dim: TRIP_COUNTS[loop.trip_count] for loop in flow.template.loops}
    lines = [*_heading(architecture, layer), ""]
    for index, part in enumerate(parts[:MOST_NESTS]):
        if len(parts) > 1 or part.alike > 1:
            lines += [*([""] if index else []), f"# {_part_title(part, layer)}"]
        lines += render_nest(part.problem, part.mapping, comments=comments).splitlines()
    if len(parts) > MOST_NESTS:
        lines += ["", f"# and {len(parts) - MOST_NESTS} more nests of this kind, with fewer channels or other tiles"]
    return "".join(f"{line}\n" for line in lines)


def _heading(architecture: Architecture, layer: Layer) -> Iterator[str]:
    parameters, flow = architecture.require_accelerator()
    tiling = lower_layer(architecture, layer).tiling
    yield f"# {layer.name} on {architecture.name}: {flow.template.description}"
    yield f"# densities: weights {layer.weight_density:g}, activations {layer.activation_density:g}"
    yield "# ~ marks means: over the PEs that have work and, where operands are compressed, over the zeros"
    plane = "outputs" if flow.template.basis == "output_centric" else "inputs"
    size = (layer.P, layer.Q) if plane == "outputs" else (layer.W, layer.H)
    yield (
        f"# {flow.tiling} planar tiling of {size[0]} x {size[1]} {plane} over {parameters.pe_x} x {parameters.pe_y} "
        f"PEs, {flow.halo} halos, {_times(tiling.passes * layer.N, 'temporal pass', 'temporal passes')}"
    )
    yield f"# tile sides along x: {_sides(tiling.x)}"
    yield f"# tile sides along y: {_sides(tiling.y)}"
    yield from _group_lines(layer, tiling, parameters.accumulator_words)


def _group_lines(layer: Layer, tiling: PlanarTiling, accumulator_words: int) -> Iterator[str]:
    full, rest = divmod(layer.output_channels_per_group, tiling.group)
    extents = [max(part.output_extent for part in parts) for parts in (tiling.x, tiling.y)]
    yield (
        f"# Kc = {tiling.group}: {_times(full, 'group', 'groups')} of output channels"
        f"{f' and one of {rest}' if rest else ''}; {tiling.group} x {extents[0]} x {extents[1]} partial sums in the "
        f"largest PE, of {accumulator_words}"
    )


def _sides(passes: Sequence[AxisTiles]) -> str:
    """Tile sides of all columns of an axis, per parity and kind of temporal pass."""
    kinds = Counter(tuple(parity.sizes for parity in one.parities) for one in passes)
    return "; ".join(
        " | ".join(_runs(sizes) for sizes in parities) + (f" ({count} passes)" if len(kinds) > 1 else "")
        for parities, count in kinds.items()
    )


def _runs(sizes: Sequence[int]) -> str:
    """``4 (in 4 PEs), 3 (in 4 PEs)``."""
    return ", ".join(f"{size} (in {_times(count, 'PE', 'PEs')})" for size, count in Counter(sizes).items())


def _part_title(part: NestPart, layer: Layer) -> str:
    strided = max(layer.stride) > 1 and len(part.one_pass.blocks) > 1
    parity = f", parities of {part.block.taps} taps" if strided else ""
    passes = f", {_times(part.one_pass.count, 'temporal pass', 'temporal passes')}"
    alike = f"; the first of {part.alike} that differ in their tiles only" if part.alike > 1 else ""
    return f"output-channel groups of {part.group_channels}{parity}{passes}{alike}"


def _times(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
