"""One layer of a network: a 7-D convolution, its densities and what follows it.

Dimensions are those of the field: batch ``N``, output channels ``K``, input channels ``C``, filter ``R`` x ``S``,
input plane ``W`` x ``H``, output plane ``P`` x ``Q``, channel groups ``G``. ``R``, ``W`` and ``P`` lie along x; ``S``,
``H`` and ``Q`` along y. Pairs (stride, dilation, padding) are ``(x, y)``.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Literal

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.zeros import Zeros

Pair = tuple[int, int]
LayerKind = Literal["conv", "fc", "depthwise"]

#: Operations that keep the shape of the tensor and are free in the cost model.
IN_PLACE_OPERATIONS = ("relu", "relu6", "lrn", "batch_norm", "dropout", "softmax")
POOL_KINDS = ("max", "average")
#: No size of a layer is larger: products of two of them still are 64-bit integers.
MAX_SIZE = 2**31 - 1


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
class Layer:
    """A convolution with stride, dilation, padding and groups; fully connected and depthwise are special cases.

    Sizes are counts of elements. Densities are fractions of non-zeros in (0, 1]; ``output_density`` is that of the
    stored output (after ``followed_by``), None where nobody said. ``preceded_by`` happens to the stored input on its
    way into the layer (GoogLeNet's pooling in front of ``pool_proj``), ``followed_by`` to the output before it is
    stored. ``weight_zeros`` and ``activation_zeros``: how the zeros of the weights [K, C/G, S, R] and of the
    activations [N, C, H, W] are distributed, None where every position is zero independently; their density is that of
    the layer (:meth:`with_zeros`). A wrong field is a SpecError that names it.
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
    weight_zeros: Zeros | None = None
    activation_zeros: Zeros | None = None

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
        """This layer at other densities (None keeps one); the output density becomes the activation density.

        Zeros of a given density are unstructured.
        """
        swept = DensityNote("set by the caller")
        layer = self
        if weight is not None:
            layer = replace(layer, weight_density=weight, weight_density_note=swept, weight_zeros=None)
        if activation is not None:
            layer = replace(
                layer,
                activation_density=activation,
                activation_density_note=swept,
                output_density=activation,
                output_density_note=swept,
                activation_zeros=None,
            )
        return layer

    def with_zeros(self, weight: Zeros | None = None, activation: Zeros | None = None) -> Layer:
        """This layer with distributions of its zeros (None keeps one), and the densities that they state."""
        layer = self
        if weight is not None:
            layer = replace(layer.with_densities(weight=weight.density), weight_zeros=weight)
        if activation is not None:
            layer = replace(layer.with_densities(activation=activation.density), activation_zeros=activation)
        return layer

    def shape_key(self) -> Hashable:
        """Equal for layers that cost the same: everything but the name and where the densities come from."""
        sizes = (self.N, self.K, self.C, self.W, self.H, self.R, self.S, self.groups)
        operations = tuple(tuple(operation.name for operation in ops) for ops in (self.preceded_by, self.followed_by))
        densities = (self.weight_density, self.activation_density, self.stored_density)
        zeros = (self.weight_zeros, self.activation_zeros)
        return sizes, self.stride, self.dilation, self.padding, operations, self.stored_plane, densities, zeros


def plane_after(operations: tuple[Operation, ...], plane: Pair) -> Pair:
    """The plane after ``operations`` on ``plane``: pooling changes it, nothing else does."""
    for operation in operations:
        if isinstance(operation, Pool):
            plane = operation.plane(plane)
    return plane


def _check_integer(key: str, number: object, minimum: int) -> None:
    if isinstance(number, bool) or not isinstance(number, Integral) or int(number) < minimum:
        raise SpecError(f"expected a whole number of at least {minimum}, found {number!r}", field=key)
    if int(number) > MAX_SIZE:
        raise SpecError(f"expected at most {MAX_SIZE}, found {number}", field=key)


def _check_pair(key: str, pair: object, minimum: int) -> None:
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise SpecError(f"expected two whole numbers (x, y), found {pair!r}", field=key)
    for number in pair:
        _check_integer(key, number, minimum)
