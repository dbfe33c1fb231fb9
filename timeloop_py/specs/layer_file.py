"""Reading layers: from a section of a network's file, or from the one line of ``--shape``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Scalar, Section, Value
from timeloop_py.specs.layer import (
    IN_PLACE_OPERATIONS,
    POOL_KINDS,
    Add,
    Concat,
    DensityNote,
    InPlace,
    Layer,
    Operation,
    Pair,
    Pool,
)
from timeloop_py.specs.zeros import read_zeros


@dataclass(frozen=True)
class DensitySources:
    """The named sources of a file, and which of them ``(weight, activation, output)`` densities use by default."""

    notes: Mapping[str, DensityNote] = field(default_factory=dict)
    default: tuple[str | None, str | None, str | None] = (None, None, None)

    def read(self, section: Section) -> tuple[DensityNote | None, DensityNote | None, DensityNote | None]:
        """The notes for the densities of ``section``, from its key ``density_source`` or by default."""
        weight, activation, output = self.read_names(section)
        return self._note(weight), self._note(activation), self._note(output)

    def _note(self, name: str | None) -> DensityNote | None:
        return None if name is None else self.notes[name]

    def read_names(self, section: Section) -> tuple[str | None, str | None, str | None]:
        """``density_source: NAME`` for all densities, or ``{weight: NAME, activation: NAME, output: NAME}``."""
        value = section.value("density_source")
        if value is None:
            return self.default
        if isinstance(value.data, str):
            name = self._known(value)
            return name, name, name
        choices = value.section()
        given = [choices.value(key) for key in ("weight", "activation", "output")]
        choices.finish()
        weight, activation, output = (
            default if choice is None else self._known(choice)
            for choice, default in zip(given, self.default, strict=True)
        )
        return weight, activation, output

    def _known(self, value: Value) -> str:
        name = value.text()
        if name not in self.notes:
            raise value.error(f"no source {name!r} in this file's density_sources{nearest(name, self.notes)}")
        return name


def load_layer(section: Section, sources: DensitySources | None = None) -> Layer:
    """Read one layer of a file.

    ``W``, ``H``, ``R`` and ``S`` are given together or, in a fully connected layer, not at all. ``stride``,
    ``dilation`` and ``padding`` are one number or ``[x, y]``. A density is a number, or a section that says how the
    zeros are distributed. Whatever is wrong is a SpecError with its line.
    """
    sizes = {"K": section.integer("K", minimum=1), "C": section.integer("C", minimum=1)}
    if any(dim in section for dim in "WHRS"):
        sizes |= {dim: section.integer(dim, minimum=1) for dim in "WHRS"}
    sources = sources or DensitySources()
    weight_note, activation_note, output_note = sources.read(section)
    fields: dict[str, Any] = {
        "name": section.text("name"),
        **sizes,
        "N": section.integer("N", 1, minimum=1),
        "groups": section.integer("groups", 1, minimum=1),
        "stride": _read_pair(section, "stride", 1, 1),
        "dilation": _read_pair(section, "dilation", 1, 1),
        "padding": _read_pair(section, "padding", 0, 0),
        **_read_density(section, "weight"),
        **_read_density(section, "activation"),
        "output_density": section.number("output_density", None),
        "preceded_by": _read_operations(section, "preceded_by"),
        "followed_by": _read_operations(section, "followed_by"),
    }
    section.finish()
    if fields["output_density"] is None:
        output_note = None
    try:
        return Layer(
            **fields,
            weight_density_note=weight_note,
            activation_density_note=activation_note,
            output_density_note=output_note,
        )
    except SpecError as error:
        raise section.error(error.message, error.field) from None


def _read_density(section: Section, tensor: str) -> dict[str, Any]:
    """``weight_density: 0.3``, or a section with a distribution: ``{distribution: simd, density: 0.3, group: 4}``."""
    key = f"{tensor}_density"
    value = section.value(key)
    if value is None or not isinstance(value.data, Section):
        return {key: section.number(key, 1.0)}
    zeros = read_zeros(value.data)
    try:
        return {key: zeros.density, f"{tensor}_zeros": zeros}
    except SpecError as error:
        raise value.error(str(error)) from None


def _read_pair(section: Section, key: str, default: int, minimum: int) -> Pair:
    value = section.value(key)
    if value is None:
        return default, default
    if not isinstance(value.data, tuple):
        number = value.integer(minimum)
        return number, number
    numbers = [item.integer(minimum) for item in value.data]
    if len(numbers) != 2:
        raise value.error(f"expected one whole number or two [x, y], found {len(numbers)}")
    return numbers[0], numbers[1]


def _read_operations(section: Section, key: str) -> tuple[Operation, ...]:
    return tuple(_read_operation(value) for value in section.items(key, ()))


def _read_operation(value: Value) -> Operation:
    """``relu`` and other plain names, ``{pool: max, window: 3, stride: 2}`` or ``{add: LAYER}``."""
    if not isinstance(value.data, Section):
        name = value.choice((*IN_PLACE_OPERATIONS, "concat"))
        return Concat() if name == "concat" else InPlace(name)
    section = value.data
    if "add" in section:
        operand = section.text("add")
        section.finish()
        return Add(operand)
    kind = section.choice("pool", POOL_KINDS)
    section.value("window")
    if "window" not in section:
        raise section.error("missing: expected one whole number or two [x, y]", "window")
    window, stride = _read_pair(section, "window", 1, 1), _read_pair(section, "stride", 1, 1)
    padding, ceil_mode = _read_pair(section, "padding", 0, 0), section.boolean("ceil_mode", False)
    section.finish()
    try:
        return Pool(window, stride, padding, ceil_mode, kind)
    except SpecError as error:
        raise section.error(error.message, error.field) from None


SHAPE_KEYS = (
    *("N", "K", "C", "W", "H", "P", "Q", "R", "S", "stride", "dilation", "pad", "groups"),
    *("weight_density", "activation_density"),
)
SHAPE_OPTION = "--shape"


def parse_shape(text: str) -> Layer:
    """One layer from ``K=256,C=256,P=56,Q=56,R=3,S=3,stride=1,pad=1,groups=1``.

    What is left out is 1, ``pad`` 0. The plane is given as input (``W``, ``H``) or output (``P``, ``Q``), or as both
    where they agree. ``stride=2x1`` means 2 along x and 1 along y; likewise ``dilation`` and ``pad``.
    Errors are SpecErrors that name the key.
    """
    entries: dict[str, Value] = {}
    for part in text.split(","):
        key, equals, raw = (piece.strip() for piece in part.partition("="))
        if not equals or not raw:
            raise SpecError(f"expected KEY=NUMBER, found {part.strip()!r}", path=SHAPE_OPTION, field=key or None)
        if key not in SHAPE_KEYS:
            raise SpecError(f"unknown key {key!r}{nearest(key, SHAPE_KEYS)}", path=SHAPE_OPTION, field=key)
        if key in entries:
            raise SpecError("the key stands here twice", path=SHAPE_OPTION, field=key)
        entries[key] = _shape_value(key, raw)
    try:
        return _shape_layer(text, Section(entries, SHAPE_OPTION, 0, ""))
    except SpecError as error:
        shown = "pad" if error.field == "padding" else error.field
        raise SpecError(error.message, path=SHAPE_OPTION, field=shown) from None


def _shape_value(key: str, raw: str) -> Value:
    if key in ("stride", "dilation", "pad") and re.fullmatch(r"[0-9]+x[0-9]+", raw):
        items = tuple(Value(int(number), SHAPE_OPTION, 0, key) for number in raw.split("x"))
        return Value(items, SHAPE_OPTION, 0, key)
    data: Scalar = raw
    if re.fullmatch(r"[-+]?[0-9]+", raw):
        data = int(raw)
    elif re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?", raw):
        data = float(raw)
    return Value(data, SHAPE_OPTION, 0, key)


def _shape_layer(text: str, section: Section) -> Layer:
    stride, dilation = _read_pair(section, "stride", 1, 1), _read_pair(section, "dilation", 1, 1)
    padding = _read_pair(section, "pad", 0, 0)
    sizes = {dim: section.integer(dim, 1, minimum=1) for dim in ("N", "K", "C", "W", "H", "R", "S", "groups")}
    outputs = {dim: section.integer(dim, None, minimum=1) for dim in "PQ"}
    for axis, (plane, taps, out) in enumerate((("W", "R", "P"), ("H", "S", "Q"))):
        if outputs[out] is not None and plane not in section:
            reach = dilation[axis] * (sizes[taps] - 1) + 1
            sizes[plane] = (outputs[out] - 1) * stride[axis] + reach - 2 * padding[axis]
            if sizes[plane] < 1:
                raise section.error(f"no input plane gives {out} = {outputs[out]} with this filter and padding", out)
    layer = Layer(
        "_".join(text.replace(" ", "").replace("=", "").split(",")),
        **sizes,
        stride=stride,
        dilation=dilation,
        padding=padding,
        weight_density=section.number("weight_density", 1.0),
        activation_density=section.number("activation_density", 1.0),
    )
    for plane, out, given in (("W", "P", outputs["P"]), ("H", "Q", outputs["Q"])):
        if given is not None and given != getattr(layer, out):
            raise section.error(
                f"{plane} = {getattr(layer, plane)} gives {out} = {getattr(layer, out)}, not {given}", out
            )
    return layer
