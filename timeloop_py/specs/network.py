"""Networks: layers and the edges between them, read from YAML and checked for consistency."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from timeloop_py.specs.errors import SpecError, nearest
from timeloop_py.specs.files import Section, Value, parse_value, read_text
from timeloop_py.specs.layer import Add, DensityNote, Layer, plane_after
from timeloop_py.specs.layer_file import DensitySources, load_layer, parse_shape
from timeloop_py.specs.library import find

#: The subset a network name without ``:subset`` stands for, where the file defines it.
DEFAULT_SUBSET = "default"
#: Every layer; needs no definition.
ALL_LAYERS = "all"


@dataclass(frozen=True)
class Network:
    """Layers in the order of the file, and the edges between them.

    ``inputs`` gives per layer the names of the layers whose stored outputs it reads, joined along the channels in
    this order; those of the whole file, so that a subset still knows what feeds it. A layer without any reads the
    network's input. ``digest`` is the SHA-256 of the file's text, ``path`` None where there was no file.
    """

    name: str
    layers: tuple[Layer, ...]
    inputs: Mapping[str, tuple[str, ...]]
    subsets: Mapping[str, tuple[str, ...]]
    source: str
    digest: str
    path: Path | None = None

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Pairs ``(producer, consumer)`` of layers that are both here."""
        here = {layer.name for layer in self.layers}
        return tuple(
            (producer, layer.name) for layer in self.layers for producer in self.inputs[layer.name] if producer in here
        )

    def reads_network_input(self, name: str) -> bool:
        """Whether the layer reads the network's input and not what another layer stored."""
        return not self.inputs[name]

    def layer(self, name: str) -> Layer:
        """The layer of this name, or the only one whose last path part it is; else a SpecError with the nearest."""
        matches = [layer for layer in self.layers if layer.name == name]
        matches = matches or [layer for layer in self.layers if layer.name.rpartition("/")[2] == name]
        if len(matches) == 1:
            return matches[0]
        if matches:
            which = ", ".join(layer.name for layer in matches)
            raise SpecError(f"{name!r} is ambiguous in {self.name}: expected one of {which}", field="layer")
        known = [layer.name for layer in self.layers]
        raise SpecError(f"no layer {name!r} in {self.name}{nearest(name, known)}", field="layer")

    def with_densities(self, weight: float | None = None, activation: float | None = None) -> Network:
        """Every layer at these densities (None keeps a layer's own); see :meth:`Layer.with_densities`."""
        return replace(self, layers=tuple(layer.with_densities(weight, activation) for layer in self.layers))


def shape_network(text: str) -> Network:
    """A network of one layer, from the text of ``--shape`` (see :func:`parse_shape`)."""
    layer = parse_shape(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Network("shape", (layer,), {layer.name: ()}, {}, "given as a shape", digest)


def load_network(name_or_path: str | Path) -> Network:
    """Load a network by shipped name or path, optionally ``name:subset``.

    A name alone is the file's subset ``default`` (every layer where the file has none), ``name:all`` every layer.
    Missing output densities become the input density of the layers that read the output, or the layer's own input
    density where none does. Unknown names, cycles and planes or channels that do not fit along
    an edge are SpecErrors at the line of the reading layer.
    """
    text = str(name_or_path)
    base, colon, subset = text.rpartition(":")
    if not colon or "/" in subset or "\\" in subset:
        base, subset = text, ""
    path = find("workloads", Path(base) if isinstance(name_or_path, Path) else base)
    content = read_text(path)
    section = parse_value(content, str(path), is_json=path.suffix == ".json").section()
    network = _read_network(section, path, hashlib.sha256(content.encode()).hexdigest())
    return _select(network, subset)


def _select(network: Network, subset: str) -> Network:
    wanted = subset or DEFAULT_SUBSET
    if wanted == ALL_LAYERS or (not subset and DEFAULT_SUBSET not in network.subsets):
        return replace(network, name=f"{network.name}:{subset}" if subset else network.name)
    if wanted not in network.subsets:
        known = [*network.subsets, ALL_LAYERS]
        raise SpecError(f"no subset {subset!r}{nearest(subset, known)}", path=network.path, field="subsets")
    members = set(network.subsets[wanted])
    return replace(
        network,
        name=f"{network.name}:{subset}" if subset else network.name,
        layers=tuple(layer for layer in network.layers if layer.name in members),
    )


def _read_network(section: Section, path: Path, digest: str) -> Network:
    name, source = section.text("name"), section.text("source", "")
    sources = _read_sources(section)
    rows = section.items("layers")
    if not rows:
        raise section.error("expected at least one layer", "layers")
    sections: dict[str, Section] = {}
    layers: dict[str, Layer] = {}
    stated_inputs: list[tuple[Value, ...] | None] = []
    for row in rows:
        layer_section = row.section()
        stated_inputs.append(_stated_inputs(layer_section))
        layer = load_layer(layer_section, sources)
        if layer.name in layers:
            raise layer_section.error(f"a second layer named {layer.name!r}", "name")
        layers[layer.name], sections[layer.name] = layer, layer_section
    subsets = _read_subsets(section, list(layers))
    section.finish()
    inputs = _resolve_inputs(layers, stated_inputs)
    _check_cycles(layers, inputs, sections)
    for layer in layers.values():
        _check_edges(layer, layers, inputs, sections[layer.name])
    return Network(name, _with_output_densities(layers, inputs), inputs, subsets, source, digest, path)


def _read_sources(section: Section) -> DensitySources:
    notes: dict[str, DensityNote] = {}
    table = section.section("density_sources", None)
    if table is not None:
        for name in table:
            entry = table.section(name)
            notes[name] = DensityNote(entry.text("text"), entry.boolean("estimate", False))
            entry.finish()
    return DensitySources(notes, DensitySources(notes).read_names(section))


def _stated_inputs(section: Section) -> tuple[Value, ...] | None:
    """``inputs``: a layer's name or a list of them; None where the file does not say."""
    value = section.value("inputs")
    if value is None:
        return None
    return value.data if isinstance(value.data, tuple) else (value,)


def _read_subsets(section: Section, layer_names: list[str]) -> dict[str, tuple[str, ...]]:
    """Subsets by patterns of layer names, as of a shell: ``inception: ["inception_*"]``."""
    subsets: dict[str, tuple[str, ...]] = {}
    table = section.section("subsets", None)
    for subset in table or ():
        if subset == ALL_LAYERS:
            raise table.error("this subset is every layer and cannot be defined", subset)
        patterns = table.items(subset)
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern.text()) for name in layer_names):
                raise pattern.error(f"no layer matches {pattern.text()!r}{nearest(pattern.text(), layer_names)}")
        subsets[subset] = tuple(
            name for name in layer_names if any(fnmatchcase(name, pattern.text()) for pattern in patterns)
        )
    return subsets


def _resolve_inputs(layers: Mapping[str, Layer], stated: list[tuple[Value, ...] | None]) -> dict[str, tuple[str, ...]]:
    """What every layer reads: as stated, else the layer above; the first layer and ``[]`` read the network's input."""
    inputs: dict[str, tuple[str, ...]] = {}
    above: tuple[str, ...] = ()
    for name, values in zip(layers, stated, strict=True):
        if values is None:
            inputs[name] = above
        else:
            for value in values:
                if value.text() not in layers:
                    raise value.error(f"no layer {value.text()!r}{nearest(value.text(), layers)}")
            inputs[name] = tuple(value.text() for value in values)
        above = (name,)
    return inputs


def _operands(layer: Layer) -> list[str]:
    """The layers whose stored outputs are added to this one's."""
    return [operation.operand for operation in layer.followed_by if isinstance(operation, Add)]


def _check_cycles(
    layers: Mapping[str, Layer], inputs: Mapping[str, tuple[str, ...]], sections: Mapping[str, Section]
) -> None:
    for layer in layers.values():
        for operand in _operands(layer):
            if operand not in layers:
                message = f"no layer {operand!r} to add{nearest(operand, layers)}"
                raise sections[layer.name].error(message, "followed_by")
    graph = {name: (*inputs[name], *_operands(layers[name])) for name in layers}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib's order: each produces what the next one reads, the last being the first again. The layer that
        # stands first in the file is the one that reads from below.
        cycle: list[str] = error.args[1][1:]
        start = cycle.index(next(name for name in layers if name in cycle))
        reader, producer = cycle[start], cycle[start - 1]
        shown = " -> ".join([*cycle[start:], *cycle[:start], reader])
        key = "inputs" if producer in inputs[reader] else "followed_by"
        raise sections[reader].error(f"the layers form a cycle: {shown}", key) from None


def _check_edges(
    layer: Layer, layers: Mapping[str, Layer], inputs: Mapping[str, tuple[str, ...]], section: Section
) -> None:
    """The stored planes and channels of what a layer reads or adds must be those it states."""
    for position, operation in enumerate(layer.followed_by):
        if isinstance(operation, Add):
            operand = layers[operation.operand]
            plane = plane_after(layer.followed_by[:position], (layer.P, layer.Q))
            if (operand.N, operand.K, operand.stored_plane) != (layer.N, layer.K, plane):
                message = (
                    f"adds {operand.name!r} of N = {operand.N}, K = {operand.K}, plane {_size(operand.stored_plane)} "
                    f"to N = {layer.N}, K = {layer.K}, plane {_size(plane)}"
                )
                raise section.error(message, "followed_by")
    producers = [layers[name] for name in inputs[layer.name]]
    if not producers:
        return
    joined = " + ".join(producer.name for producer in producers)
    stored = producers[0].stored_plane
    for producer in producers[1:]:
        if producer.stored_plane != stored:
            message = f"{producers[0].name} stores a plane of {_size(stored)}, {producer.name} of "
            raise section.error(message + _size(producer.stored_plane), "inputs")
    if any(producer.N != layer.N for producer in producers):
        raise section.error(f"expected the batch of its input {joined}, {producers[0].N}, found {layer.N}", "N")
    channels = sum(producer.K for producer in producers)
    try:
        width, height = plane_after(layer.preceded_by, stored)
    except SpecError as error:
        raise section.error(error.message, "preceded_by") from None
    # A fully connected layer reads the whole plane as channels.
    expected = (channels * width * height, 1, 1) if layer.kind == "fc" else (channels, width, height)
    for dim, wanted in zip("CWH", expected, strict=True):
        if getattr(layer, dim) != wanted:
            found = getattr(layer, dim)
            raise section.error(f"expected {wanted}, as its input {joined} gives, found {found}", dim)


def _size(plane: tuple[int, int]) -> str:
    return f"{plane[0]}x{plane[1]}"


def _with_output_densities(layers: Mapping[str, Layer], inputs: Mapping[str, tuple[str, ...]]) -> tuple[Layer, ...]:
    """Output densities where the file gives none: the mean input density of the readers, else the layer's own.

    Readers with an operation of their own in front see another density than the stored one; they count only where
    there is no other reader.
    """
    filled = []
    for layer in layers.values():
        if layer.output_density is None:
            readers = [reader for reader in layers.values() if layer.name in inputs[reader.name]]
            plain = [reader for reader in readers if not reader.preceded_by] or readers
            notes = [reader.activation_density_note for reader in plain]
            density = sum(reader.activation_density for reader in plain) / len(plain) if plain else None
            layer = replace(
                layer,
                output_density=layer.activation_density if density is None else density,
                output_density_note=notes[0] if notes else layer.activation_density_note,
            )
        filled.append(layer)
    return tuple(filled)
