"""Dataflows of multiplier arrays: a mapping of any layer with bounds left open, and what the array does about zeros.

A template lists loops over the dimensions of a layer, spatial loops, storage nodes and *skip* nodes from outer to
inner. Where the loops of a planar template count what its tiling says, these have bounds that the lowering fills in
per layer (``nest/array_nest.py``): a number, a size of the architecture, what other loops leave, or as much as fits.
``docs/dataflows.md`` has the language with examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from timeloop_py.specs.errors import nearest
from timeloop_py.specs.files import Section, Value
from timeloop_py.specs.hierarchy import CountingOptions
from timeloop_py.specs.hierarchy_file import parse_counting_options
from timeloop_py.specs.layer import LayerKind
from timeloop_py.specs.layer_problem import LAYER_DIMS
from timeloop_py.specs.mapping import LoopKind

TENSORS = ("Weights", "Inputs", "Outputs")
OPERANDS = ("Weights", "Inputs")
Wait = Literal["fiber", "queue", "layer"]
BoundKind = Literal["number", "size", "rest", "all", "most", "best"]


@dataclass(frozen=True)
class Bound:
    """Iterations of a loop, left open.

    ``number``; ``size``: a size of the architecture; ``rest``: what the other loops of the dimension leave;
    ``all``: the whole dimension, which has to fit; ``most``: as many as fit; ``best``: of those that fit the ones with
    the cheapest words (``costs`` of the template), of spatial ones that take at most a tenth more cycles than the
    fewest. What they have to fit stands in ``names``: a size, which all spatial loops that name it share, or
    components, whose capacity the tiles below may fill. No bound exceeds its dimension.
    """

    kind: BoundKind
    number: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenLoop:
    """A loop over a dimension of the layer, its bound left open."""

    dim: str
    bound: Bound
    kind: LoopKind


@dataclass(frozen=True)
class OpenStore:
    """The tile of a tensor in a component is what lies below."""

    component: str
    tensor: str


@dataclass(frozen=True)
class Skip:
    """Temporal loops below over the dimensions of ``operand`` run over its non-zeros only.

    One run of these loops is a *fiber*. Spatial loops over its dimensions below the node take several non-zeros of one
    fiber at a time; those above it are lanes, each with a fiber of its own, which wait for one another.

    ``packed``: vectors are filled across dimensions just so, but zeros take their turn.
    """

    operand: str
    packed: bool = False


OpenNode = OpenLoop | OpenStore | Skip


@dataclass(frozen=True)
class ArrayTemplate:
    """A dataflow of a multiplier array. ``layers``: the kinds it runs, with ``reason`` why no other."""

    name: str
    description: str
    nodes: tuple[OpenNode, ...]
    layers: tuple[LayerKind, ...]
    reason: str = ""
    options: CountingOptions = field(default_factory=CountingOptions)
    #: what a word read or updated in a component costs when ``best`` bounds are compared
    costs: tuple[tuple[str, float], ...] = (("dram", 1.0),)
    #: what issues an instruction, and how many it issues for a vector and for each of its entries
    instructions: tuple[tuple[str, float, float], ...] = ()

    @property
    def loops(self) -> tuple[OpenLoop, ...]:
        return tuple(node for node in self.nodes if isinstance(node, OpenLoop))

    @property
    def skips(self) -> tuple[str, ...]:
        """Operands whose zeros take no time, outermost first."""
        return tuple(node.operand for node in self.nodes if isinstance(node, Skip) and not node.packed)

    @property
    def components(self) -> frozenset[str]:
        """Components that hold tensors."""
        return frozenset(node.component for node in self.nodes if isinstance(node, OpenStore))


@dataclass(frozen=True)
class ArrayDataflow:
    """The dataflow section of an architecture whose template is an :class:`ArrayTemplate`."""

    template: ArrayTemplate
    #: when lanes wait for one another: after every fiber, when a queue of fibers is full, at the end of the layer
    wait: Wait = "fiber"
    queue_depth: int = 8
    #: positions of a fiber that are looked at in a cycle at most (0: any number); an empty window costs a cycle, too
    index_window: int = 0
    #: cycles that an empty window takes
    empty_window_cycles: int = 1
    #: weights are zero in aligned groups of so many, or one by one (1)
    weight_group: int = 1
    #: zeros between stored values are counted in ``index_bits``; longer runs need placeholders
    run_length: bool = False
    #: tensors that a component holds without zeros, with an index beside every value
    compressed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: zeros are left out of every access, but keep their place: compressed tensors take the room of dense ones
    keeps_places: bool = False
    #: what rests where an operand is zero, time kept: components by operand
    gated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: the component that keeps activations from layer to layer (None: they go over DRAM)
    activations_in: str | None = None
    #: the component that keeps the weights of the whole network (None: every layer's come from DRAM)
    weights_in: str | None = None
    #: what carries the words that a component sends down: by component, (holder, tensor) pairs
    networks: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    #: networks that fill the array before it multiplies: their time is added to the multipliers', not hidden behind it
    array_waits_for: tuple[str, ...] = ()
    #: memories of pointers, two of which are read for every fiber of an operand
    pointers: Mapping[str, str] = field(default_factory=dict)
    #: units that match a vector of an operand's non-zeros with its partners, once for every vector
    matched: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.template.name

    def is_compressed(self, component: str, tensor: str) -> bool:
        return tensor in self.compressed.get(component, ())


def load_array_template(section: Section, name: str) -> ArrayTemplate:
    """The template of a file with ``basis: layer`` (which has been read). SpecError: file, line and field."""
    nodes = tuple(_node(item) for item in section.items("nest"))
    kinds = tuple(cast("LayerKind", kind.choice(get_args(LayerKind))) for kind in section.items("layers", ()))
    options: Section | None = section.section("options", None)
    costs: Section | None = section.section("costs", None)
    template = ArrayTemplate(
        name=name,
        description=section.text("description"),
        nodes=nodes,
        layers=kinds or get_args(LayerKind),
        reason=section.text("reason", ""),
        options=parse_counting_options(options),
        instructions=_instructions(section.section("instructions", None)),
        costs=tuple((name, costs.number(name, above=0)) for name in costs) if costs else (("dram", 1.0),),
    )
    section.finish()
    return template


def _instructions(table: Section | None) -> tuple[tuple[str, float, float], ...]:
    """``{component: {vector: 3, entry: 1}}``."""
    found = []
    for name in table or ():
        assert table is not None
        counts: Section = table.section(name)
        found.append((name, counts.number("vector", minimum=0), counts.number("entry", 0.0, minimum=0)))
        counts.finish()
    return tuple(found)


def _node(item: Value) -> OpenNode:
    section = item.section()
    kinds = [kind.value for kind in LoopKind]
    keys = list(section)
    if len(keys) != 1 or keys[0] not in (*kinds, "store", "skip", "pack"):
        raise item.error(f"expected one of {', '.join(kinds)}, store, skip, pack")
    value = section.entries[keys[0]]
    if keys[0] in ("skip", "pack"):
        return Skip(value.choice(OPERANDS), keys[0] == "pack")
    entries = value.items()
    if len(entries) != 2:
        raise value.error("expected two entries: [dimension, bound] or [component, tensor]")
    first, second = entries
    if keys[0] == "store":
        return OpenStore(first.text(), second.choice(TENSORS))
    return OpenLoop(first.choice(LAYER_DIMS), _bound(second), LoopKind(keys[0]))


def _bound(value: Value) -> Bound:
    if isinstance(value.data, Section):
        section = value.data
        keys = list(section)
        if len(keys) != 1 or keys[0] not in ("all", "most", "best"):
            raise value.error("expected {all: LIMIT}, {most: LIMIT} or {best: LIMIT}")
        limits = section.entries[keys[0]]
        names = tuple(item.text() for item in (limits.items() if isinstance(limits.data, tuple) else (limits,)))
        return Bound(cast("BoundKind", keys[0]), names=names)
    if isinstance(value.data, str):
        return Bound("rest") if value.data == "rest" else Bound("size", names=(value.data,))
    return Bound("number", value.integer(minimum=1))


def load_array_section(section: Section, template: ArrayTemplate) -> ArrayDataflow:
    """The ``dataflow:`` section of an architecture with this template (``name`` has been read)."""
    default = ArrayDataflow(template)
    flow = ArrayDataflow(
        template=template,
        wait=cast("Wait", section.choice("wait", get_args(Wait), default.wait)),
        queue_depth=section.integer("queue_depth", default.queue_depth, minimum=1),
        index_window=section.integer("index_window", default.index_window, minimum=0),
        empty_window_cycles=section.integer("empty_window_cycles", default.empty_window_cycles, minimum=0, maximum=1),
        weight_group=section.integer("weight_group", default.weight_group, minimum=1),
        run_length=section.boolean("run_length", default.run_length),
        compressed=_lists(section, "compressed", TENSORS),
        keeps_places=section.boolean("keeps_places", default.keeps_places),
        gated=_lists(section, "gated", None, keys=OPERANDS),
        activations_in=section.text("activations_in", None),
        weights_in=section.text("weights_in", None),
        networks=_networks(section),
        array_waits_for=_waited_for(section),
        pointers=_operands(section, "pointers"),
        matched=_operands(section, "matched"),
    )
    section.finish()
    return flow


def _lists(
    section: Section, key: str, allowed: tuple[str, ...] | None, keys: tuple[str, ...] | None = None
) -> dict[str, tuple[str, ...]]:
    """``{name: [entries]}``, entries (and names) out of what is allowed."""
    table: Section | None = section.section(key, None)
    found: dict[str, tuple[str, ...]] = {}
    for name in table or ():
        assert table is not None
        if keys is not None and name not in keys:
            raise table.error(f"expected one of {', '.join(keys)}{nearest(name, keys)}", name)
        found[name] = tuple(entry.text() if allowed is None else entry.choice(allowed) for entry in table.items(name))
    return found


def _networks(section: Section) -> dict[str, tuple[tuple[str, str], ...]]:
    table: Section | None = section.section("networks", None)
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for name in table or ():
        assert table is not None
        pairs = []
        for item in table.items(name):
            entries = item.items()
            if len(entries) != 2:
                raise item.error("expected two entries: [component, tensor]")
            pairs.append((entries[0].text(), entries[1].choice(TENSORS)))
        found[name] = tuple(pairs)
    return found


def _waited_for(section: Section) -> tuple[str, ...]:
    """Names out of the networks of the same section."""
    networks = tuple(section.section("networks", None) or ())
    return tuple(entry.choice(networks) for entry in section.items("array_waits_for", ()))


def _operands(section: Section, key: str) -> dict[str, str]:
    """``{component: operand}``."""
    table: Section | None = section.section(key, None)
    return {name: table.choice(name, OPERANDS) for name in table} if table is not None else {}
