"""One layer of a network: a 7-D convolution, its densities and what follows it.

Dimensions are those of the field: batch ``N``, output channels ``K``, input channels ``C``, filter ``R`` x ``S``,
input plane ``W`` x ``H``, output plane ``P`` x ``Q``, channel groups ``G``. ``R``, ``W`` and ``P`` lie along x; ``S``,
``H`` and ``Q`` along y. Pairs (stride, dilation, padding) are ``(x, y)``.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, Literal

from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Scalar, Section, Value

Pair = tuple[int, int]
LayerKind = Literal["conv", "fc", "depthwise"]

#: Operations that keep the shape of the tensor and are free in the cost model.
IN_PLACE_OPERATIONS = ("relu", "relu6", "lrn", "batch_norm", "dropout", "softmax")
POOL_KINDS = ("max", "average")


@dataclass(frozen=True)
class InPlace:
    """An operation that keeps the tensor's shape: one of :data:`IN_PLACE_OPERATIONS`."""

    name: str


@dataclass(frozen=True)
class Concat:
    """The output is stored as some of the channels of a tensor that other layers write too (a branch join)."""

    name: Literal["concat"] = "concat"


@dataclass(frozen=True)
class Add:
    """The stored output of layer ``operand`` is added (a residual connection)."""

    operand: str
    name: Literal["add"] = "add"


@dataclass(frozen=True)
class Pool:
    """Pooling over windows. ``ceil_mode`` rounds the number of windows up, as Caffe does."""

    window: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    ceil_mode: bool = False
    kind: str = "max"
    name: Literal["pool"] = "pool"

    def __post_init__(self) -> None:
        _check_pair("window", self.window, 1)
        _check_pair("stride", self.stride, 1)
        _check_pair("padding", self.padding, 0)
        if self.kind not in POOL_KINDS:
            raise SpecError(f"expected one of {', '.join(POOL_KINDS)}, found {self.kind!r}", field="pool")
        if any(padding >= window for padding, window in zip(self.padding, self.window, strict=True)):
            raise SpecError(f"expected less than the window {self.window}, found {self.padding}", field="padding")

    def plane(self, plane: Pair) -> Pair:
        """The plane after pooling ``plane``; a window larger than the padded plane is a SpecError."""
        return self._extent(plane, 0), self._extent(plane, 1)

    def _extent(self, plane: Pair, axis: int) -> int:
        size, window, stride, padding = plane[axis], self.window[axis], self.stride[axis], self.padding[axis]
        room = size + 2 * padding - window
        if room < 0:
            raise SpecError(
                f"the pooling window {self.window[0]}x{self.window[1]} is larger than the padded plane "
                f"{plane[0] + 2 * self.padding[0]}x{plane[1] + 2 * self.padding[1]}",
                field="followed_by",
            )
        windows = (room + stride - 1 if self.ceil_mode else room) // stride + 1
        # The last window must start inside the plane or its leading padding, not in the trailing padding.
        if self.ceil_mode and (windows - 1) * stride >= size + padding:
            windows -= 1
        return windows


Operation = InPlace | Concat | Add | Pool


@dataclass(frozen=True)
class DensityNote:
    """Where a density comes from: the source in words, and whether it is an estimate."""

    text: str
    estimate: bool = False


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


@dataclass(frozen=True)
class Layer:
    """A convolution with stride, dilation, padding and groups; fully connected and depthwise are special cases.

    Sizes are counts of elements. Densities are fractions of non-zeros in (0, 1]; ``output_density`` is that of the
    stored output (after ``followed_by``), None where nobody said. ``preceded_by`` happens to the stored input on its
    way into the layer (GoogLeNet's pooling in front of ``pool_proj``), ``followed_by`` to the output before it is
    stored. A wrong field is a SpecError that names it.
    """

    name: str
    K: int
    C: int
    W: int = 1
    H: int = 1
    R: int = 1
    S: int = 1
    N: int = 1
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    weight_density: float = 1.0
    activation_density: float = 1.0
    output_density: float | None = None
    preceded_by: tuple[Operation, ...] = ()
    followed_by: tuple[Operation, ...] = ()
    weight_density_note: DensityNote | None = None
    activation_density_note: DensityNote | None = None
    output_density_note: DensityNote | None = None

    def __post_init__(self) -> None:
        for dim in ("N", "K", "C", "W", "H", "R", "S", "groups"):
            _check_integer(dim, getattr(self, dim), 1)
        _check_pair("stride", self.stride, 1)
        _check_pair("dilation", self.dilation, 1)
        _check_pair("padding", self.padding, 0)
        for dim in ("K", "C"):
            if getattr(self, dim) % self.groups:
                raise SpecError(f"expected a multiple of groups = {self.groups}, found {getattr(self, dim)}", field=dim)
        for axis, (plane, taps) in enumerate((("W", "R"), ("H", "S"))):
            reach = self.dilation[axis] * (getattr(self, taps) - 1) + 1
            padded = getattr(self, plane) + 2 * self.padding[axis]
            if reach > padded:
                raise SpecError(
                    f"the filter spans {reach} positions, more than the padded plane's {padded} ({plane} with padding)",
                    field=taps,
                )
        for key in ("weight_density", "activation_density", "output_density"):
            density = getattr(self, key)
            if density is not None and not 0 < density <= 1:
                raise SpecError(f"expected a density above 0 and at most 1, found {density:g}", field=key)
        plane_after(self.followed_by, (self.P, self.Q))

    def _output_extent(self, size: int, taps: int, axis: int) -> int:
        reach = self.dilation[axis] * (taps - 1) + 1
        return (size + 2 * self.padding[axis] - reach) // self.stride[axis] + 1

    @property
    def P(self) -> int:
        """Width of the output plane: ``floor((W + 2 pad - dilation (R - 1) - 1) / stride) + 1``."""
        return self._output_extent(self.W, self.R, 0)

    @property
    def Q(self) -> int:
        """Height of the output plane, likewise from ``H`` and ``S``."""
        return self._output_extent(self.H, self.S, 1)

    @property
    def kind(self) -> LayerKind:
        """``depthwise``: one input channel per group; ``fc``: plane and filter of one position; else ``conv``."""
        if self.groups == self.C > 1:
            return "depthwise"
        return "fc" if self.W == self.H == self.R == self.S == 1 else "conv"

    @property
    def channels_per_group(self) -> int:
        """Input channels that one output channel sees: ``C / groups``."""
        return self.C // self.groups

    @property
    def output_channels_per_group(self) -> int:
        """``K / groups``."""
        return self.K // self.groups

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates ``N K (C/G) R S P Q``, those with padding zeros included."""
        return self.weights * self.N * self.P * self.Q

    @property
    def weights(self) -> int:
        """Number of weights, zeros included: ``K (C/G) R S``."""
        return self.K * self.channels_per_group * self.R * self.S

    @property
    def inputs(self) -> int:
        """Number of input activations, zeros included, without padding: ``N C W H``."""
        return self.N * self.C * self.W * self.H

    @property
    def outputs(self) -> int:
        """Number of output activations, before pooling: ``N K P Q``."""
        return self.N * self.K * self.P * self.Q

    @property
    def stored_plane(self) -> Pair:
        """The output plane after all pooling: what is written to the output memory."""
        return plane_after(self.followed_by, (self.P, self.Q))

    @property
    def stored_outputs(self) -> int:
        """Number of outputs after pooling, zeros included."""
        width, height = self.stored_plane
        return self.N * self.K * width * height

    @property
    def stored_density(self) -> float:
        """Density of the stored output: ``output_density``, or the input's where nobody said."""
        return self.activation_density if self.output_density is None else self.output_density

    def with_densities(self, weight: float | None = None, activation: float | None = None) -> Layer:
        """This layer at other densities (None keeps one); the output density becomes the activation density."""
        swept = DensityNote("set by the caller")
        layer = self
        if weight is not None:
            layer = replace(layer, weight_density=weight, weight_density_note=swept)
        if activation is not None:
            layer = replace(
                layer,
                activation_density=activation,
                activation_density_note=swept,
                output_density=activation,
                output_density_note=swept,
            )
        return layer

    def shape_key(self) -> Hashable:
        """Equal for layers that cost the same: everything but the name and where the densities come from."""
        sizes = (self.N, self.K, self.C, self.W, self.H, self.R, self.S, self.groups)
        operations = tuple(tuple(operation.name for operation in ops) for ops in (self.preceded_by, self.followed_by))
        densities = (self.weight_density, self.activation_density, self.stored_density)
        return sizes, self.stride, self.dilation, self.padding, operations, self.stored_plane, densities


def plane_after(operations: tuple[Operation, ...], plane: Pair) -> Pair:
    """The plane after ``operations`` on ``plane``: pooling changes it, nothing else does."""
    for operation in operations:
        if isinstance(operation, Pool):
            plane = operation.plane(plane)
    return plane


def _check_integer(key: str, number: object, minimum: int) -> None:
    if isinstance(number, bool) or not isinstance(number, Integral) or int(number) < minimum:
        raise SpecError(f"expected a whole number of at least {minimum}, found {number!r}", field=key)


def _check_pair(key: str, pair: object, minimum: int) -> None:
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise SpecError(f"expected two whole numbers (x, y), found {pair!r}", field=key)
    for number in pair:
        _check_integer(key, number, minimum)


def load_layer(section: Section, sources: DensitySources | None = None) -> Layer:
    """Read one layer of a file.

    ``W``, ``H``, ``R`` and ``S`` are given together or, in a fully connected layer, not at all. ``stride``,
    ``dilation`` and ``padding`` are one number or ``[x, y]``. Whatever is wrong is a SpecError with its line.
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
        "weight_density": section.number("weight_density", 1.0),
        "activation_density": section.number("activation_density", 1.0),
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
            raise section.error(f"{plane} = {getattr(layer, plane)} gives {out} = {getattr(layer, out)}", out)
    return layer
