"""Energy and area tables: what an event of a component costs, what a component covers, and where each number is from.

Every number is a power law of the component's attributes around a reference: ``value * prod (x / x_ref) ** exponent``.
The shipped tables and the rule that brings published numbers to one node are explained in ``energy_tables/README.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Section, Value, load_section, parse_value, read_text
from timeloop_py.specs.library import find

Scaling = Literal["gates", "wires", "none"]
EnergyUnit = Literal["pJ", "relative"]

#: a stored value may differ by this much from its published one scaled: the digits it is written with
ROUNDING = 0.005


@dataclass(frozen=True)
class ComponentClass:
    """What a kind of component can do, and the attributes that describe one."""

    actions: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    #: optional attributes; None: without a value here or in the table, what depends on them is unknown
    optional: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def attributes(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


COMPONENT_CLASSES: Mapping[str, ComponentClass] = {
    # `sets`: copies of which an access touches one (2: double buffering); `capacity_bytes` counts all of them
    "sram": ComponentClass(("read", "write"), ("capacity_bytes", "width_bits"), {"banks": 1.0, "sets": 1.0}),
    "edram": ComponentClass(("read", "write"), ("capacity_bytes", "width_bits"), {"banks": 1.0, "sets": 1.0}),
    "latch_array": ComponentClass(("read", "write"), ("capacity_bytes", "width_bits"), {"banks": 1.0, "sets": 1.0}),
    "register": ComponentClass(("read", "write"), ("width_bits",)),
    "multiplier": ComponentClass(("multiply", "gated"), ("width_bits",)),
    "adder": ComponentClass(("add", "gated"), ("width_bits",)),
    "crossbar": ComponentClass(("transfer",), ("inputs", "outputs", "width_bits"), {"crosspoint_um2": None}),
    "link": ComponentClass(("transfer",), ("width_bits",), {"pitch_mm": None}),
    "bus": ComponentClass(("broadcast",), ("width_bits", "destinations"), {"pitch_mm": None}),
    "dram": ComponentClass(("read", "write"), (), {"width_bits": 1.0}),
    # picks `outputs` words that belong to the non-zeros of another operand out of `candidates`
    "index_unit": ComponentClass(("match",), ("candidates", "outputs", "width_bits")),
    # one instruction of a processor, on its way from fetch to retirement
    "issue_slot": ComponentClass(("issue",), ("width_bits",)),
    "pe_other": ComponentClass(),
}
EVENTS = tuple(f"{name}.{action}" for name, known in COMPONENT_CLASSES.items() for action in known.actions)
#: attributes that follow from the others (see `describe_component`); the power laws may use them too
DERIVED = ("bank_bytes", "columns", "wire_mm")


def describe_component(
    component_class: str, attributes: Mapping[str, float], defaults: Mapping[str, float] | None = None
) -> dict[str, float]:
    """All attributes of one component: the given ones, optional ones filled in, and what follows from them.

    ``bank_bytes``: the array that one access switches, ``capacity_bytes / (banks * sets)``. ``columns``: bits read side
    by side over all banks. ``wire_mm``: the wire that one bit drives: one ``pitch_mm`` for a link, one per
    destination for a bus, and a whole row and a whole column of a crossbar whose crosspoints are squares of
    ``crosspoint_um2 * width_bits``.

    A SpecError names an unknown class or attribute, a missing one, or one that is not a positive number.
    """
    if component_class not in COMPONENT_CLASSES:
        raise SpecError(f"unknown component class {component_class!r}{nearest(component_class, COMPONENT_CLASSES)}")
    known = COMPONENT_CLASSES[component_class]
    for name, value in attributes.items():
        place = f"{component_class}.{name}"
        if name not in known.attributes:
            raise SpecError(f"unknown attribute{nearest(name, known.attributes)}", field=place)
        if not (math.isfinite(value) and value > 0):
            raise SpecError(f"expected a positive number, found {value}", field=place)
    missing = [name for name in known.required if name not in attributes]
    if missing:
        raise SpecError("missing: the component needs this attribute", field=f"{component_class}.{missing[0]}")
    optional = {name: value for name, value in known.optional.items() if value is not None}
    full = {**optional, **(defaults or {}), **attributes}
    if "capacity_bytes" in full:
        full["bank_bytes"] = full["capacity_bytes"] / (full["banks"] * full["sets"])
        full["columns"] = full["width_bits"] * full["banks"]
    if "crosspoint_um2" in full:
        side_mm = math.sqrt(full["crosspoint_um2"] * full["width_bits"]) * 1e-3
        full["wire_mm"] = (full["inputs"] + full["outputs"]) * side_mm
    if "pitch_mm" in full:
        full["wire_mm"] = full["pitch_mm"] * full.get("destinations", 1.0)
    return full


@dataclass(frozen=True)
class PowerLaw:
    """``value * prod (x / reference[x]) ** exponents[x]`` over the attributes x of the exponents."""

    value: float
    reference: Mapping[str, float] = field(default_factory=dict)
    exponents: Mapping[str, float] = field(default_factory=dict)

    def at(self, attributes: Mapping[str, float]) -> float:
        """The value for a component's attributes; KeyError names one that is not there."""
        result = self.value
        for x, power in self.exponents.items():
            result *= math.pow(attributes[x] / self.reference[x], power)
        return result


def scaling_factor(
    scaling: Scaling, from_node_nm: float, from_voltage_v: float | None, to_node_nm: float, to_voltage_v: float
) -> float:
    """What an energy is multiplied by between two processes: E = C V^2.

    ``gates`` (logic and memory): C goes linearly with the node (Dally, Turakhia and Han, "Domain-Specific Hardware
    Accelerators", CACM 63(7), 2020). ``wires``: C per mm is constant (Keckler et al., "GPUs and the Future of Parallel
    Computing", IEEE Micro 31(5), 2011). ``none``: 1, for what does not follow the process. A published number without
    a voltage (None) is taken to be at the target's.
    """
    if scaling == "none":
        return 1.0
    capacitance = to_node_nm / from_node_nm if scaling == "gates" else 1.0
    voltage = 1.0 if from_voltage_v is None else to_voltage_v / from_voltage_v
    return capacitance * voltage**2


@dataclass(frozen=True)
class Published:
    """A number as its source prints it (brought to the entry's reference attributes), before scaling."""

    value_pj: float
    node_nm: float
    voltage_v: float | None
    scaling: Scaling


@dataclass(frozen=True)
class EnergyEntry:
    """The energy of one event; ``published``, ``fitted_to`` (ids of claims) or ``stated`` says where it is from."""

    law: PowerLaw
    #: lowest and highest plausible value at the reference attributes
    range_pj: tuple[float, float]
    published: Published | None = None
    fitted_to: tuple[str, ...] = ()
    stated: str | None = None
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class EnergyTable:
    """Energies by event (``component.action``); ``attributes`` are defaults per component class."""

    name: str
    node_nm: float
    voltage_v: float
    entries: Mapping[str, EnergyEntry]
    energy_unit: EnergyUnit = "pJ"
    attributes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    #: what costs nothing in this table, and why
    stated_zeros: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None

    def energy_pj(self, component_class: str, action: str, attributes: Mapping[str, float]) -> float:
        """Energy of one event of a component, in pJ (in units of one MAC where ``energy_unit`` is relative).

        SpecError: an event without an entry, or attributes that do not fit (`describe_component`).
        """
        event = f"{component_class}.{action}"
        known = COMPONENT_CLASSES.get(component_class)
        if known is not None and action not in known.actions:
            raise SpecError(f"no action {action!r}{nearest(action, known.actions)}", field=component_class)
        full = describe_component(component_class, attributes, self.attributes.get(component_class))
        entry = self.entries.get(event)
        if entry is None:
            raise SpecError(
                f"no energy for {event!r}, which happens: add an entry {event!r} with value_pj, range_pj and source",
                path=self.path,
                field="entries",
            )
        try:
            return entry.law.at(full)
        except KeyError as missing:
            name = missing.args[0]
            needed = {"wire_mm": "crosspoint_um2" if component_class == "crossbar" else "pitch_mm"}.get(name, name)
            raise SpecError(
                f"the energy depends on it: give it to the component or, in the table, to attributes.{component_class}",
                path=self.path,
                field=f"{component_class}.{needed}",
            ) from None

    def with_fitted(self, name: str, values_pj: Mapping[str, float], claims: Sequence[str]) -> EnergyTable:
        """A copy in which these events have these values (at their reference attributes), fitted to these claims.

        SpecError: an event without an entry, or a value outside the entry's plausible range.
        """
        entries = dict(self.entries)
        for event, value in values_pj.items():
            if event not in entries:
                raise SpecError(f"no entry to fit{nearest(event, entries)}", path=self.path, field=event)
            base = entries[event]
            low, high = base.range_pj
            if not low <= value <= high:
                raise SpecError(f"fitted to {value:g} pJ, outside [{low:g}, {high:g}]", path=self.path, field=event)
            law = replace(base.law, value=value)
            entries[event] = replace(base, law=law, published=None, stated=None, fitted_to=tuple(claims))
        return replace(self, name=name, entries=entries)


@dataclass(frozen=True)
class AreaTerm(PowerLaw):
    """One power law of an area in mm2, with what is known of its origin."""

    #: lowest and highest plausible value at the reference attributes
    range_mm2: tuple[float, float] | None = None
    #: the number as its source prints it, and the node that it holds at
    published: tuple[float, float] | None = None


@dataclass(frozen=True)
class AreaEntry:
    """The area of one component in mm2: a sum of power laws (none: stated zero)."""

    terms: tuple[AreaTerm, ...]
    source: str
    note: str = ""


@dataclass(frozen=True)
class AreaTable:
    """Areas by component class."""

    name: str
    node_nm: float
    entries: Mapping[str, AreaEntry]
    path: str | None = None

    def area_mm2(self, component_class: str, attributes: Mapping[str, float]) -> float:
        """Area of one component in mm2. SpecError: a class without an entry, or attributes that do not fit."""
        full = describe_component(component_class, attributes)
        entry = self.entries.get(component_class)
        if entry is None:
            raise SpecError(
                f"no area for component class {component_class!r}: add an entry with terms and source",
                path=self.path,
                field="entries",
            )
        return sum(term.at(full) for term in entry.terms)


def load_energy_table(name_or_path: str | Path) -> EnergyTable:
    """A shipped energy table by name, or one from a YAML file. SpecError: file, line and field of what is wrong."""
    path = find("energy_tables", name_or_path)
    text = read_text(path)
    table = _whole_table(path, text)
    if table is not None:
        return table
    section = parse_value(text, str(path), is_json=path.suffix == ".json").section()
    return _extended(section, section.text("extends"), path)


@lru_cache(maxsize=16)
def _whole_table(path: Path, text: str) -> EnergyTable | None:
    """The energy table of a file's text, None where it extends another one."""
    section = parse_value(text, str(path), is_json=path.suffix == ".json").section()
    if "extends" in section:
        return None
    node_nm = section.number("node_nm", above=0)
    voltage_v = section.number("voltage_v", above=0)
    unit = cast("EnergyUnit", section.choice("energy_unit", ("pJ", "relative"), "pJ"))
    section.text("scaling", None)
    entries = {}
    for event, value in _named(section.section("entries"), EVENTS, "event"):
        entries[event] = _energy_entry(event.split(".")[0], value.section(), node_nm, voltage_v, None)
    table = EnergyTable(
        path.stem, node_nm, voltage_v, entries, unit, _attributes(section), _stated_zeros(section), str(path)
    )
    section.finish()
    return table


def load_area_table(name_or_path: str | Path) -> AreaTable:
    """A shipped area table by name, or one from a YAML file. SpecError: file, line and field of what is wrong."""
    path = find("energy_tables", name_or_path)
    section = load_section(path)
    node_nm = section.number("node_nm", above=0)
    entries = {}
    for name, value in _named(section.section("entries"), tuple(COMPONENT_CLASSES), "component class"):
        entry = value.section()
        terms = tuple(_area_term(name, term.section(), node_nm) for term in entry.items("terms"))
        entries[name] = AreaEntry(terms, _source(entry), entry.text("note", ""))
        entry.finish()
    section.text("rules", None)
    section.finish()
    return AreaTable(path.stem, node_nm, entries, str(path))


def area_factor(from_node_nm: float, to_node_nm: float) -> float:
    """What an area is multiplied by between two nodes: the square of their ratio (``energy_tables/README.md``)."""
    return (to_node_nm / from_node_nm) ** 2


def _area_term(component_class: str, section: Section, node_nm: float) -> AreaTerm:
    law = _law(component_class, section, "value_mm2")
    range_mm2 = _range(section, "range_mm2") if "range_mm2" in section else None
    if range_mm2 is not None and not range_mm2[0] <= law.value <= range_mm2[1]:
        raise section.error(f"{law.value:g} lies outside range_mm2 [{range_mm2[0]:g}, {range_mm2[1]:g}]", "value_mm2")
    published = None
    if "published" in section:
        part = section.section("published")
        published = (part.number("value_mm2", above=0), part.number("node_nm", above=0))
        part.finish()
        factor = area_factor(published[1], node_nm)
        expected = published[0] * factor
        if abs(law.value - expected) > ROUNDING * expected:
            raise section.error(
                f"{law.value:g} is not the published {published[0]:g} times {factor:.4g} "
                f"(the square of {node_nm:g} over {published[1]:g} nm): expected {expected:.4g}",
                "value_mm2",
            )
    section.finish()
    return AreaTerm(law.value, law.reference, law.exponents, range_mm2, published)


def table_files(name_or_path: str | Path) -> tuple[Path, ...]:
    """The file of a table and, where it extends another one, that one's. SpecError: a file that cannot be read."""
    path = find("energy_tables", name_or_path)
    base_name = load_section(path).text("extends", None)
    return (path,) if base_name is None else (path, _base_path(path, base_name))


def _base_path(path: Path, base_name: str) -> Path:
    """A table beside the one that extends it, else a shipped one."""
    sibling = path.parent / f"{base_name}.yaml"
    return sibling if sibling.is_file() else find("energy_tables", base_name)


def _extended(section: Section, base_name: str, path: Path) -> EnergyTable:
    """A table that takes another one and replaces some of its entries."""
    base_path = _base_path(path, base_name)
    if "extends" in load_section(base_path):
        raise section.error(f"{base_name!r} extends a table itself: extend that one", "extends")
    base = load_energy_table(base_path)
    entries = dict(base.entries)
    for event, value in _named(section.section("entries"), EVENTS, "event"):
        entries[event] = _energy_entry(
            event.split(".")[0], value.section(), base.node_nm, base.voltage_v, entries.get(event)
        )
    attributes = {**base.attributes, **_attributes(section)}
    zeros = {**base.stated_zeros, **_stated_zeros(section)}
    section.text("note", None)
    section.finish()
    return replace(base, name=path.stem, entries=entries, attributes=attributes, stated_zeros=zeros, path=str(path))


def _energy_entry(
    component_class: str, section: Section, node_nm: float, voltage_v: float, base: EnergyEntry | None
) -> EnergyEntry:
    if base is None:
        law = _law(component_class, section, "value_pj")
        range_pj = _range(section)
    else:
        law = replace(base.law, value=section.number("value_pj", minimum=0))
        range_pj = _range(section) if "range_pj" in section else base.range_pj
    low, high = range_pj
    if not low <= law.value <= high:
        raise section.error(f"{law.value:g} lies outside range_pj [{low:g}, {high:g}]", "value_pj")
    given = [key for key in ("published", "fitted", "stated") if key in section]
    if len(given) != 1:
        raise section.error("expected one of 'published', 'fitted' and 'stated': it says where the value is from")
    published, fitted_to, stated, source = None, (), None, ""
    if given == ["published"]:
        published = _published(section, law.value, node_nm, voltage_v)
        source = _source(section)
    elif given == ["fitted"]:
        fitted_to = tuple(item.text() for item in section.items("fitted"))
        if not fitted_to:
            raise section.error("expected the ids of the claims it was fitted to", "fitted")
    else:
        stated = section.text("stated")
        if law.value != 0:
            raise section.error("only a zero can be stated; another value needs 'published' or 'fitted'", "value_pj")
    note = section.text("note", "")
    section.finish()
    return EnergyEntry(law, range_pj, published, fitted_to, stated, source, note)


def _published(section: Section, value_pj: float, node_nm: float, voltage_v: float) -> Published:
    part = section.section("published")
    published = Published(
        part.number("value_pj", above=0),
        part.number("node_nm", above=0),
        part.number("voltage_v", None, above=0),
        cast("Scaling", part.choice("scaling", ("gates", "wires", "none"))),
    )
    part.finish()
    factor = scaling_factor(published.scaling, published.node_nm, published.voltage_v, node_nm, voltage_v)
    expected = published.value_pj * factor
    if abs(value_pj - expected) > ROUNDING * expected:
        raise section.error(
            f"{value_pj:g} is not the published {published.value_pj:g} times {factor:.4g} "
            f"({published.scaling} from {published.node_nm:g} to {node_nm:g} nm): expected {expected:.4g}",
            "value_pj",
        )
    return published


def _law(component_class: str, section: Section, key: str) -> PowerLaw:
    value = section.number(key, minimum=0)
    known = (*COMPONENT_CLASSES[component_class].attributes, *DERIVED)
    exponents = _numbers(section.section("exponents", None), known, positive=False)
    reference = _numbers(section.section("reference", None), known, positive=True)
    for name in exponents:
        if name not in reference:
            raise section.error(f"an exponent of {name!r} without its reference", "exponents")
    return PowerLaw(value, reference, exponents)


def _numbers(section: Section | None, known: Sequence[str], positive: bool) -> dict[str, float]:
    if section is None:
        return {}
    pairs = _named(section, known, "attribute")
    return {name: value.number(above=0) if positive else value.number() for name, value in pairs}


def _named(section: Section, known: Sequence[str], what: str) -> list[tuple[str, Value]]:
    """The entries of a section whose keys are names from a list."""
    pairs = []
    for name in section:
        if name not in known:
            raise section.error(f"unknown {what} {name!r}{nearest(name, known)}", name)
        value = section.value(name)
        if value is None:
            raise section.error(f"this {what} is empty", name)
        pairs.append((name, value))
    return pairs


def _range(section: Section, key: str = "range_pj") -> tuple[float, float]:
    items = section.items(key)
    if len(items) != 2:
        raise section.error("expected [lowest, highest]", key)
    low, high = (item.number(minimum=0) for item in items)
    if low > high:
        raise section.error(f"the lowest value {low:g} is above the highest {high:g}", key)
    return low, high


def _source(section: Section) -> str:
    source = cast("str", section.text("source"))
    if not source.strip():
        raise section.error("expected the publication: who, where, when", "source")
    return source


def _attributes(section: Section) -> dict[str, dict[str, float]]:
    part = section.section("attributes", None)
    if part is None:
        return {}
    pairs = _named(part, tuple(COMPONENT_CLASSES), "component class")
    return {
        name: _numbers(value.section(), tuple(COMPONENT_CLASSES[name].optional), positive=True) for name, value in pairs
    }


def _stated_zeros(section: Section) -> dict[str, str]:
    part = section.section("stated_zeros", None)
    if part is None:
        return {}
    return {name: cast("str", part.text(name)) for name in part}
