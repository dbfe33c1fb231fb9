"""Architectures: what hardware there is, in components or in a storage hierarchy, and the dataflow it runs.

Two kinds of file share one type. An *accelerator* has ``parameters`` (PE grid, vector lengths, RAM sizes),
``components`` priced by an energy and an area table, and a ``dataflow`` that lowers every layer onto it. A *hierarchy*
has ``levels`` with energies of their own, as in case files; its mappings come from a file or from the mapper.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from timeloop_py.specs.array_dataflow import ArrayDataflow
from timeloop_py.specs.dataflow import Core, Dataflow, TemplateStore, load_dataflow_section
from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Scalar, Section, Value, load_value
from timeloop_py.specs.hierarchy import CountingOptions, Hierarchy
from timeloop_py.specs.hierarchy_file import parse_counting_options, parse_hierarchy
from timeloop_py.specs.library import find
from timeloop_py.specs.overrides import merged, override, with_parameters
from timeloop_py.specs.tables import COMPONENT_CLASSES, describe_component

#: components that the inner core of a dataflow works with, whatever is stored where
CORE_COMPONENTS: Mapping[Core, tuple[str, ...]] = {
    "cartesian_product": ("multiplier", "crossbar", "adder"),
    "dot_product": ("multiplier", "adder"),
}

#: components that any planar-tiled accelerator may have beside those: each is charged for what passes it
PASSED_COMPONENTS = ("dram", "weight_bus", "weight_register", "operand_register", "halo_link")

#: components that every multiplier array has
ARRAY_COMPONENTS = ("multiplier", "adder")


@dataclass(frozen=True)
class Parameters:
    """Sizes of a planar-tiled accelerator. ``F``, ``I``: weights and activations of a vector.

    RAM sizes are bytes per PE. A double-buffered accumulator has two halves of ``banks * entries``.
    """

    pe_x: int
    pe_y: int
    F: int
    I: int  # noqa: E741 - the paper's name for the activation vector
    accumulator_banks: int
    accumulator_entries: int
    input_ram_bytes: int
    output_ram_bytes: int
    weight_buffer_bytes: int
    word_bits: int = 16
    index_bits: int = 4
    accumulator_bits: int = 24
    #: input and output activations share one RAM, whose size is the sum
    shared_activation_ram: bool = False

    @property
    def processing_elements(self) -> int:
        return self.pe_x * self.pe_y

    @property
    def multipliers_per_pe(self) -> int:
        return self.F * self.I

    @property
    def multipliers(self) -> int:
        """Multipliers of the chip."""
        return self.processing_elements * self.multipliers_per_pe

    @property
    def accumulator_words(self) -> int:
        """Partial sums that one PE holds per output-channel group."""
        return self.accumulator_banks * self.accumulator_entries


@dataclass(frozen=True)
class Component:
    """``count`` equal parts of the chip, priced by class and attributes.

    ``events_per_cycle``: accesses one of them serves per cycle, None where it never limits. ``part_of`` names the
    component whose area it is already in.
    """

    name: str
    component_class: str
    attributes: Mapping[str, float]
    count: int = 1
    events_per_cycle: float | None = None
    part_of: str | None = None


@dataclass(frozen=True)
class Architecture:
    """An accelerator or a hierarchy, as loaded. ``digest``: the SHA-256 of its file's text, and of those it extends."""

    name: str
    description: str = ""
    source: str = ""
    clock_ghz: float = 1.0
    path: str | None = None
    digest: str = ""
    parameters: Parameters | None = None
    components: Mapping[str, Component] = field(default_factory=dict)
    dataflow: Dataflow | None = None
    #: the dataflow of a multiplier array, and the sizes that its bounds name
    array: ArrayDataflow | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    energy_table: str | None = None
    area_table: str | None = None
    hierarchy: Hierarchy | None = None
    options: CountingOptions = field(default_factory=CountingOptions)
    #: a general-purpose processor, which is not compared with accelerators
    is_processor: bool = False
    #: mapping constraints as written, read by the mapper
    constraints: Value | None = None
    #: the file with all settings applied, from which variants are built
    definition: Value | None = field(default=None, compare=False, repr=False)

    @property
    def is_accelerator(self) -> bool:
        """True where a dataflow lowers layers onto it."""
        return self.dataflow is not None or self.array is not None

    @property
    def dataflow_name(self) -> str:
        """Name of the dataflow; SpecError where the architecture has none."""
        return self.array.name if self.array is not None else self.require_accelerator()[1].name

    def require_accelerator(self) -> tuple[Parameters, Dataflow]:
        """Parameters and dataflow of a planar-tiled accelerator; SpecError where it is none."""
        if self.array is not None:
            raise SpecError(
                f"the dataflow {self.array.name} is not a planar-tiled one, which is needed here",
                path=self.path,
                field="dataflow.name",
            )
        if self.parameters is None or self.dataflow is None:
            raise SpecError(
                "the architecture has no dataflow of its own: give a mapping, or search for one",
                path=self.path,
                field="dataflow",
            )
        return self.parameters, self.dataflow

    def resized(self, parameters: Mapping[str, int]) -> Architecture:
        """A planar-tiled accelerator with other parameters, its components following; the dataflow stays as it is."""
        self.require_accelerator()
        if self.definition is None:
            raise SpecError("an architecture that was not loaded from a file cannot be resized", field="parameters")
        value = self.definition
        for name, number in parameters.items():
            value = override(value, ["parameters", name], number, f"parameters.{name}")
        given = value.section().section("parameters")
        components = with_parameters(value, given.entries).section().section("components")
        return replace(self, parameters=_parameters(given), components=_components(components), definition=value)

    def require_array(self) -> ArrayDataflow:
        """The dataflow of a multiplier array; SpecError where the architecture has none."""
        if self.array is None:
            raise SpecError("the architecture is no multiplier array", path=self.path, field="dataflow.name")
        return self.array


def load_architecture(
    name_or_path: str | Path, settings: Sequence[tuple[str, Scalar]] = (), name: str | None = None
) -> Architecture:
    """A shipped architecture by name, or one from a YAML file.

    ``settings`` are ``(dotted path, value)`` overrides of any field of the file. SpecError names file, line and field
    of what is wrong.
    """
    path = find("arch_specs", name_or_path)
    value, files = _extended(load_value(path), (path,))
    for dotted, new in settings:
        value = override(value, dotted.split("."), new, dotted)
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return parse_architecture(value, name or path.stem, str(path), digest)


def _extended(value: Value, above: tuple[Path, ...]) -> tuple[Value, tuple[Path, ...]]:
    """The file laid over the one it ``extends``, if any, which may extend another one; and all files that were read.

    ``above``: the file itself, after those that led to it.
    """
    base = value.section().value("extends")
    if base is None:
        return value, above
    try:
        path = find("arch_specs", base.text()).resolve()
    except SpecError as error:
        raise base.error(error.message) from None
    if path in [file.resolve() for file in above]:
        raise base.error(f"{base.text()!r} extends itself")
    below, files = _extended(load_value(path), (*above, path))
    entries = {key: entry for key, entry in value.section().entries.items() if key != "extends"}
    section = value.section()
    return merged(below, replace(value, data=Section(entries, section.path, section.line, section.field))), files


def parse_architecture(value: Value, name: str, path: str | None, digest: str = "") -> Architecture:
    """The architecture of a parsed file."""
    definition = value
    parameters_value = value.section().entries.get("parameters")
    if parameters_value is not None:
        value = with_parameters(value, parameters_value.section().entries)
    section = value.section()
    section.value("parameters")
    dataflow_section = section.section("dataflow", None)
    flow = None if dataflow_section is None else load_dataflow_section(dataflow_section)
    array = flow if isinstance(flow, ArrayDataflow) else None
    parameters: Parameters | None = None
    sizes: dict[str, int] = {}
    if parameters_value is not None and array is None:
        parameters = _parameters(parameters_value.section())
    elif parameters_value is not None:
        sizes = {key: parameters_value.section().integer(key, minimum=0) for key in parameters_value.section()}
    levels = section.value("levels")
    architecture = Architecture(
        name=section.text("name", name).replace("-", "_"),
        description=section.text("description", ""),
        source=section.text("source", ""),
        clock_ghz=section.number("clock_ghz", 1.0, above=0),
        path=path,
        digest=digest,
        parameters=parameters,
        components=_components(section.section("components", None)),
        dataflow=flow if isinstance(flow, Dataflow) else None,
        array=array,
        sizes=sizes,
        energy_table=section.text("energy_table", None),
        area_table=section.text("area_table", None),
        hierarchy=None if levels is None else parse_hierarchy(levels),
        options=parse_counting_options(section.section("options", None)),
        is_processor=section.boolean("is_processor", False),
        constraints=section.value("constraints"),
        definition=definition,
    )
    section.finish()
    if architecture.is_accelerator == (architecture.hierarchy is not None):
        raise section.error("expected either a dataflow with parameters and components, or levels of a hierarchy")
    if architecture.is_accelerator:
        _check_accelerator(architecture, section)
    return architecture


def _check_accelerator(architecture: Architecture, section: Section) -> None:
    if architecture.parameters is None and not architecture.sizes:
        raise section.error("missing: a dataflow needs the sizes of the accelerator", "parameters")
    for key in ("energy_table", "area_table"):
        if getattr(architecture, key) is None:
            raise section.error("missing: expected the name of a table or a path", key)
    for component in _needed_components(architecture):
        if component not in architecture.components:
            hint = nearest(component, architecture.components)
            raise section.error(
                f"the dataflow {architecture.dataflow_name} needs a component {component!r}: describe it"
                f"{hint if 'did you mean' in hint else ''}",
                "components",
            )
    if architecture.array is not None:
        _check_limits(architecture, architecture.array, section)
    else:
        _check_charged(architecture, section)


def _check_charged(architecture: Architecture, section: Section) -> None:
    """A component of a planar-tiled accelerator that no event is charged to is misspelt: its energy would be lost."""
    cores = {name for names in CORE_COMPONENTS.values() for name in names}
    charged = {*_needed_components(architecture), *PASSED_COMPONENTS, *cores}
    for name, component in architecture.components.items():
        if name not in charged and COMPONENT_CLASSES[component.component_class].actions:
            raise section.error(
                f"nothing in the dataflow {architecture.dataflow_name} uses a component {name!r}"
                f"{nearest(name, sorted(charged))}: what has an area alone is of class pe_other",
                f"components.{name}",
            )


def _needed_components(architecture: Architecture) -> tuple[str, ...]:
    if architecture.array is not None:
        flow = architecture.array
        named = {*flow.compressed, *flow.networks, *flow.pointers, *flow.matched}
        named |= {name for name, *_ in flow.template.instructions}
        named |= {name for names in flow.gated.values() for name in names}
        homes = {name for name in (flow.activations_in, flow.weights_in) if name is not None}
        return (*ARRAY_COMPONENTS, *sorted(flow.template.components | named | homes))
    assert architecture.dataflow is not None
    template = architecture.dataflow.template
    stored = {node.component for node in template.nodes if isinstance(node, TemplateStore)}
    return (*CORE_COMPONENTS[template.core], *sorted(stored))


def _check_limits(architecture: Architecture, flow: ArrayDataflow, section: Section) -> None:
    """Every size and limit that the bounds of an array's dataflow name is there, and the rate of what it waits for."""
    for name in flow.array_waits_for:
        if name in architecture.components and architecture.components[name].events_per_cycle is None:
            raise section.error(f"the array waits for {name!r}: give it events_per_cycle", "components")
    for loop in flow.template.loops:
        for name in loop.bound.names:
            component = architecture.components.get(name)
            held = component is not None and "capacity_bytes" in component.attributes
            if name not in architecture.sizes and (loop.bound.kind == "size" or not held):
                raise section.error(
                    f"the dataflow {flow.name} needs {name!r}, a size"
                    + ("" if loop.bound.kind == "size" else " or a component with a capacity"),
                    "parameters",
                )


def _parameters(section: Section) -> Parameters:
    sizes = {
        key: section.integer(key, minimum=1)
        for key in (
            "pe_x",
            "pe_y",
            "F",
            "I",
            "accumulator_banks",
            "accumulator_entries",
            "input_ram_bytes",
            "output_ram_bytes",
            "weight_buffer_bytes",
        )
    }
    parameters = Parameters(
        **sizes,
        word_bits=section.integer("word_bits", 16, minimum=1),
        index_bits=section.integer("index_bits", 4, minimum=0),
        accumulator_bits=section.integer("accumulator_bits", 24, minimum=1),
        shared_activation_ram=section.boolean("shared_activation_ram", False),
    )
    section.finish()
    return parameters


def _components(section: Section | None) -> dict[str, Component]:
    if section is None:
        return {}
    found = {}
    for name in section:
        entry = section.section(name)
        component_class = entry.choice("class", tuple(COMPONENT_CLASSES))
        known = COMPONENT_CLASSES[component_class].attributes
        attributes = {key: entry.number(key, above=0) for key in known if key in entry}
        try:
            describe_component(component_class, attributes)
        except SpecError as error:
            raise entry.error(error.message, (error.field or "").split(".")[-1] or None) from None
        found[name] = Component(
            name=name,
            component_class=component_class,
            attributes=attributes,
            count=entry.integer("count", 1, minimum=1),
            events_per_cycle=entry.number("events_per_cycle", None, above=0),
            part_of=entry.text("part_of", None),
        )
        if found[name].part_of not in (None, *section):
            raise entry.error(f"unknown component{nearest(str(found[name].part_of), section)}", "part_of")
        entry.finish()
    return found
