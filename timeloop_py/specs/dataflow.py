"""Dataflows of planar-tiled accelerators: the loop nest as a template, and the terms a spec may choose.

A template lists loops, spatial loops and storage nodes from outer to inner. The trip counts it names
(:data:`TRIP_COUNTS`) are filled in per layer by the lowering; with compressed operands they are expectations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast, get_args

from timeloop_py.specs.array_dataflow import (
    ArrayDataflow,
    ArrayTemplate,
    load_array_section,
    load_array_template,
)
from timeloop_py.specs.errors import nearest
from timeloop_py.specs.files import Section, Value, load_section
from timeloop_py.specs.library import folder
from timeloop_py.specs.mapping import LoopKind

Tiling = Literal["balanced", "ceil", "padded_ceil"]
Halo = Literal["output", "input"]
Barrier = Literal["per_group", "per_channel", "none"]
BankContention = Literal["queued", "unqueued", "none"]
VectorOver = Literal["channels_and_taps", "channels"]
Basis = Literal["input_centric", "output_centric"]
Core = Literal["cartesian_product", "dot_product"]

#: What a loop of a template may count, with the comment that a printed nest gives it.
TRIP_COUNTS = {
    "passes": "temporal passes over the plane",
    "processing_elements": "PEs with a planar tile",
    "channel_groups": "channel groups",
    "output_channel_groups": "output-channel groups of Kc",
    "channels": "input channels of a group",
    "channel_vectors": "input channels of a group, in vectors",
    "activation_vectors": "vectors of the tile's activations",
    "weight_vectors": "vectors of the group's weights",
    "activation_lanes": "activations of a vector",
    "weight_lanes": "weights of a vector",
    "tile_positions": "activations of the tile",
    "taps_of_group": "weights of the group per input channel",
    "dot_product_rest": "steps beyond one per weight vector (rounding, out-of-range)",
    "dot_product_lanes": "operand pairs of a dot product",
}
#: Trip counts that are expectations or means, so not whole: see ``Rank.by_occupancy``.
SPLIT_BY_OCCUPANCY = frozenset(TRIP_COUNTS) - {
    "passes",
    "processing_elements",
    "channel_groups",
    "output_channel_groups",
    "channels",
}
TENSORS = ("Weights", "Inputs", "Outputs")


@dataclass(frozen=True)
class TemplateLoop:
    """A loop of a template: dimension name, what it counts, and how it is spread."""

    dim: str
    trip_count: str
    kind: LoopKind


@dataclass(frozen=True)
class TemplateStore:
    """The tile of a tensor in a component is what lies below."""

    component: str
    tensor: str


@dataclass(frozen=True)
class TemplateRank:
    """A rank of a tensor: one dimension, or a scatter over several (``entries`` words when whole)."""

    dims: tuple[str, ...]
    scatter: bool = False


@dataclass(frozen=True)
class Template:
    """A dataflow as a loop nest.

    ``basis``: loops run over input positions (``input_centric``) or output positions. ``core``: a step is a
    Cartesian product of an activation and a weight vector, or one dot product. ``compressed``: only
    non-zeros are stored, fetched and multiplied.
    """

    name: str
    description: str
    basis: Basis
    core: Core
    compressed: bool
    nodes: tuple[TemplateLoop | TemplateStore, ...]
    ranks: tuple[tuple[str, tuple[TemplateRank, ...]], ...]

    @cached_property
    def loops(self) -> tuple[TemplateLoop, ...]:
        return tuple(node for node in self.nodes if isinstance(node, TemplateLoop))


@dataclass(frozen=True)
class Dataflow:
    """The dataflow section of an architecture: the template and the terms of the cycle model.

    ``output_channel_group_max`` bounds ``Kc``; ``block_overhead_cycles`` are spent per (group, channel) block.
    ``queue_depth``: products that wait in front of a bank with queued banks. ``drain_words_per_cycle``:
    accumulator entries a PE drains per cycle while the other half is filled.
    """

    template: Template
    tiling: Tiling = "balanced"
    halo: Halo = "output"
    barrier: Barrier = "per_group"
    bank_contention: BankContention = "queued"
    output_channel_group_max: int = 8
    block_overhead_cycles: float = 0.0
    vector_over: VectorOver = "channels_and_taps"
    queue_depth: int = 8
    drain_words_per_cycle: float = 32.0
    #: activations are compressed on their way to and from DRAM
    dram_compression: bool = False
    #: a multiplier whose operand is zero does not switch
    zero_gating: bool = False
    #: a run of zeros that is too long for the index (``parameters.index_bits``) stores a zero, which takes a lane
    placeholders: bool = False

    @property
    def name(self) -> str:
        return self.template.name


def dataflow_names() -> list[str]:
    """Names of the shipped dataflows."""
    return sorted(path.stem for path in (folder("arch_specs") / "dataflows").glob("*.yaml"))


def dataflows_like(architecture_is_array: bool) -> list[str]:
    """Names of the shipped dataflows of one kind: of multiplier arrays, or planar-tiled."""
    folder_of_all = folder("arch_specs") / "dataflows"
    return [
        name
        for name in dataflow_names()
        if (load_section(folder_of_all / f"{name}.yaml").text("basis", "") == "layer") == architecture_is_array
    ]


def load_dataflow_section(section: Section) -> Dataflow | ArrayDataflow:
    """The ``dataflow:`` section of an architecture. SpecError names file, line and field of what is wrong."""
    default = Dataflow.__dataclass_fields__
    name = section.value("name")
    if name is None:
        raise section.error(f"missing: expected one of {', '.join(dataflow_names())}", "name")
    template = load_template(name)
    if isinstance(template, ArrayTemplate):
        return load_array_section(section, template)
    flow = Dataflow(
        template=template,
        tiling=section.choice("tiling", ("balanced", "ceil", "padded_ceil"), "balanced"),
        halo=section.choice("halo", ("output", "input"), "output"),
        barrier=section.choice("barrier", ("per_group", "per_channel", "none"), "per_group"),
        bank_contention=section.choice("bank_contention", ("queued", "unqueued", "none"), "queued"),
        output_channel_group_max=section.integer("output_channel_group_max", 8, minimum=1),
        block_overhead_cycles=section.number("block_overhead_cycles", 0.0, minimum=0),
        vector_over=section.choice("vector_over", ("channels_and_taps", "channels"), "channels_and_taps"),
        queue_depth=section.integer("queue_depth", default["queue_depth"].default, minimum=1),
        drain_words_per_cycle=section.number(
            "drain_words_per_cycle", default["drain_words_per_cycle"].default, above=0
        ),
        dram_compression=section.boolean("dram_compression", False),
        zero_gating=section.boolean("zero_gating", False),
        placeholders=section.boolean("placeholders", False),
    )
    section.finish()
    return flow


def load_template(name: Value) -> Template | ArrayTemplate:
    """The shipped dataflow of that name (a hyphen counts as an underscore, case does not matter)."""
    key = name.text().lower().replace("-", "_")
    path = folder("arch_specs") / "dataflows" / f"{key}.yaml"
    if key not in dataflow_names():
        raise name.error(f"unknown dataflow {name.text()!r}{nearest(key, dataflow_names())}")
    return parse_template(load_section(path), key)


def parse_template(section: Section, name: str) -> Template | ArrayTemplate:
    """The template of a dataflow's file. SpecError: file, line and field of what is wrong."""
    basis = section.choice("basis", (*get_args(Basis), "layer"))
    if basis == "layer":
        return load_array_template(section, name)
    nodes = tuple(_node(item) for item in section.items("nest"))
    dims = {node.dim for node in nodes if isinstance(node, TemplateLoop)}
    tensors = section.section("tensors")
    ranks = tuple((tensor, tuple(_rank(item, dims) for item in tensors.items(tensor))) for tensor in TENSORS)
    tensors.finish()
    template = Template(
        name=name,
        description=section.text("description"),
        basis=cast("Basis", basis),
        core=cast("Core", section.choice("core", ("cartesian_product", "dot_product"))),
        compressed=section.boolean("compressed"),
        nodes=nodes,
        ranks=ranks,
    )
    section.finish()
    return template


def _node(item: Value) -> TemplateLoop | TemplateStore:
    section = item.section()
    kinds = [kind.value for kind in LoopKind]
    keys = list(section)
    if len(keys) != 1 or keys[0] not in (*kinds, "store"):
        raise item.error(f"expected one of {', '.join(kinds)}, store")
    first, second = _pair(section.items(keys[0]), item)
    if keys[0] == "store":
        if second not in TENSORS:
            raise item.error(f"unknown tensor {second!r}{nearest(second, TENSORS)}")
        return TemplateStore(first, second)
    if second not in TRIP_COUNTS:
        raise item.error(f"unknown trip count {second!r}{nearest(second, TRIP_COUNTS)}")
    return TemplateLoop(first, second, LoopKind(keys[0]))


def _pair(items: tuple[Value, ...], place: Value) -> tuple[str, str]:
    if len(items) != 2:
        raise place.error("expected two entries: [dimension, trip count] or [component, tensor]")
    return items[0].text(), items[1].text()


def _rank(item: Value, dims: set[str]) -> TemplateRank:
    scatter = isinstance(item.data, Section)
    names = tuple(part.text() for part in item.section().items("scatter")) if scatter else (item.text(),)
    for name in names:
        if name not in dims:
            raise item.error(f"no loop over {name!r}{nearest(name, dims)}")
    return TemplateRank(names, scatter)
