"""Cases: everything that one evaluation needs, in one file (JSON or YAML)."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Scalar, Section, Value, load_value
from timeloop_py.specs.hierarchy import CountingOptions, Hierarchy
from timeloop_py.specs.hierarchy_file import parse_counting_options, parse_hierarchy
from timeloop_py.specs.mapping import Mapping
from timeloop_py.specs.mapping_file import parse_mapping
from timeloop_py.specs.overrides import combinations, override, parse_setting
from timeloop_py.specs.problem import Problem
from timeloop_py.specs.problem_file import check_tensor, parse_problem, tensor_names

SavingKind = Literal["gating", "skipping"]
RankOrder = Literal["inner_to_outer", "outer_to_inner"]

RANK_FORMATS = ("UOP", "CP", "RLE", "B", "UB")
SAVING_KINDS: tuple[SavingKind, ...] = ("gating", "skipping")
#: names of the counting options, which an override may use alone
OPTIONS = tuple(option.name for option in fields(CountingOptions))


@dataclass(frozen=True)
class RankFormat:
    """How one rank of a compressed tensor is stored; widths in bits, None: the level's ``metadata_datawidth``."""

    #: UOP (offsets of fibres), CP (coordinates), RLE (run lengths), B (bitmask), UB (bitmask over uncompressed data)
    format: Literal["UOP", "CP", "RLE", "B", "UB"]
    payload_word_bits: int | None = None
    metadata_word_bits: int | None = None


@dataclass(frozen=True)
class TensorFormat:
    """Ranks of a compressed tensor, outer to inner, and in which order they are laid over the loops of the nest."""

    ranks: tuple[RankFormat, ...]
    rank_application_order: RankOrder = "inner_to_outer"


@dataclass(frozen=True)
class SparseAction:
    """Accesses to ``target`` are gated or skipped where the data of a ``condition_on`` tensor is zero."""

    type: SavingKind
    target: str
    condition_on: tuple[str, ...]


@dataclass(frozen=True)
class LevelSparsity:
    """What a storage level does about zeros: formats by tensor (absent: uncompressed), and actions."""

    level: str
    formats: MappingOf[str, TensorFormat] = field(default_factory=dict)
    actions: tuple[SparseAction, ...] = ()


@dataclass(frozen=True)
class Sparsity:
    """The sparse section of a case: per storage level, and what the compute array does about a zero operand."""

    levels: tuple[LevelSparsity, ...] = ()
    compute: tuple[SavingKind, ...] = ()

    def level(self, name: str) -> LevelSparsity:
        """What level ``name`` does; nothing where the section does not name it."""
        return next((entry for entry in self.levels if entry.level == name), LevelSparsity(name))


@dataclass(frozen=True)
class Case:
    """A problem, a hierarchy, a mapping of one onto the other, and how to count."""

    name: str
    problem: Problem
    hierarchy: Hierarchy
    mapping: Mapping
    description: str = ""
    options: CountingOptions = field(default_factory=CountingOptions)
    #: None: every tensor is dense, stored and moved as such
    sparsity: Sparsity | None = None


def load_case(path: Path | str, settings: Sequence[tuple[str, Scalar]] = ()) -> Case:
    """Read a case file (JSON where its name ends in ``.json``, else YAML). Raises SpecError.

    ``settings`` are ``(dotted path, value)`` overrides of any field of the file; an option may be named alone
    (``convention`` for ``options.convention``).
    """
    value = load_value(path)
    for dotted, new in settings:
        value = _overridden(value, dotted, new)
    return parse_case(value.section())


def load_cases(path: Path | str, settings: Sequence[str]) -> tuple[Case, ...]:
    """A case file under ``PATH=V1,V2,...`` settings: one case per combination, named after what tells it apart."""
    cases = []
    for chosen, suffix in combinations([parse_setting(text) for text in settings]):
        case = load_case(path, chosen)
        cases.append(replace(case, name=case.name + suffix))
    return tuple(cases)


def _overridden(value: Value, dotted: str, new: Scalar) -> Value:
    names = dotted.split(".")
    section = value.section()
    if len(names) == 1 and names[0] not in section:
        if names[0] not in OPTIONS:
            known = (*OPTIONS, *section)
            raise SpecError(f"no field of a case{nearest(names[0], known)}", path="--set", field=dotted)
        names = ["options", *names]
    if names[0] == "options" and "options" not in section:
        options = Value(Section({}, value.path, None, "options"), value.path, None, "options")
        entries = {**section.entries, "options": options}
        value = replace(value, data=Section(entries, section.path, section.line, section.field))
    return override(value, names, new, dotted)


def parse_case(section: Section) -> Case:
    """The case of a section; ``name`` defaults to the file's name (its folder's for ``case.json``)."""
    problem = parse_problem(section.section("problem"))
    tensors = tensor_names(problem)
    section.items("architecture")
    hierarchy = parse_hierarchy(section.entries["architecture"], tensors)
    section.items("mapping")
    mapping = parse_mapping(section.entries["mapping"], problem, hierarchy)
    sparse: Value | None = section.value("sparse")
    case = Case(
        name=section.text("name", _default_name(Path(section.path))),
        problem=problem,
        hierarchy=hierarchy,
        mapping=mapping,
        description=section.text("description", ""),
        # Files with a sparse section come from Sparseloop's users, who expect its numbers.
        options=parse_counting_options(
            section.section("options", None), convention="physical" if sparse is None else "sparseloop"
        ),
        sparsity=None if sparse is None else _sparsity(sparse, tensors, hierarchy),
    )
    section.finish()
    return case


def _default_name(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "case" else path.stem


def _sparsity(value: Value, tensors: Sequence[str], hierarchy: Hierarchy) -> Sparsity:
    levels: dict[str, LevelSparsity] = {}
    compute: tuple[SavingKind, ...] | None = None
    for item in value.items():
        section = item.section()
        name = section.text("level")
        if name == hierarchy.compute.name:
            if compute is not None:
                raise section.error(f"level {name!r} stands here twice", "level")
            compute = _savings(section.value("compute"))
        elif name in levels:
            raise section.error(f"level {name!r} stands here twice", "level")
        elif name in hierarchy.names:
            levels[name] = LevelSparsity(name, _formats(section, tensors), _actions(section, tensors))
        else:
            known = (*hierarchy.names, hierarchy.compute.name)
            raise section.error(f"unknown level {name!r}{nearest(name, known)}", "level")
        section.finish()
    return Sparsity(tuple(levels.values()), compute or ())


def _savings(value: Value | None) -> tuple[SavingKind, ...]:
    """``gating``, ``skipping``, or a list of them."""
    if value is None:
        return ()
    items = value.items() if isinstance(value.data, tuple) else (value,)
    return tuple(_saving(item) for item in items)


def _saving(value: Value) -> SavingKind:
    name = value.choice(SAVING_KINDS)
    return "gating" if name == "gating" else "skipping"


def _formats(section: Section, tensors: Sequence[str]) -> dict[str, TensorFormat]:
    table: Section | None = section.section("formats", None)
    if table is None:
        return {}
    formats: dict[str, TensorFormat] = {}
    for name, value in table.entries.items():
        check_tensor(name, value, tensors)
        if isinstance(value.data, Section):
            entry = value.data
            ranks = entry.items("ranks")
            order = entry.choice("rank_application_order", ("inner_to_outer", "outer_to_inner"), "inner_to_outer")
            entry.finish()
            formats[name] = TensorFormat(_ranks(entry.entries["ranks"], ranks), order)
        else:
            formats[name] = TensorFormat(_ranks(value, value.items()))
    return formats


def _ranks(value: Value, items: Sequence[Value]) -> tuple[RankFormat, ...]:
    if not items:
        raise value.error("expected at least one rank, found an empty list (leave an uncompressed tensor out)")
    ranks: list[RankFormat] = []
    for item in items:
        section = item.section()
        ranks.append(
            RankFormat(
                section.choice("format", RANK_FORMATS),
                section.integer("payload_word_bits", None, minimum=0),
                section.integer("metadata_word_bits", None, minimum=0),
            )
        )
        section.finish()
    return tuple(ranks)


def _actions(section: Section, tensors: Sequence[str]) -> tuple[SparseAction, ...]:
    actions: list[SparseAction] = []
    for item in section.items("actions", ()):
        entry = item.section()
        kind = entry.choice("type", SAVING_KINDS)
        target = entry.text("target")
        check_tensor(target, entry.entries["target"], tensors)
        conditions: list[str] = []
        for value in entry.items("condition_on"):
            name = value.text()
            check_tensor(name, value, tensors)
            if name == target or name in conditions:
                raise value.error(f"tensor {name!r} is {'the target' if name == target else 'a condition already'}")
            conditions.append(name)
        if not conditions:
            raise entry.error("expected at least one tensor, found an empty list", "condition_on")
        entry.finish()
        actions.append(SparseAction(kind, target, tuple(conditions)))
    return tuple(actions)
