"""Evaluation of networks on accelerators: where cycles, energy and area meet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from timeloop_py.model.area import area_mm2
from timeloop_py.model.array_capacity import ArrayUnit
from timeloop_py.model.arrays import evaluate_arrays
from timeloop_py.model.batch import Array, Batch, Densities, Models
from timeloop_py.model.capacity import ActivationTraffic, activation_traffic
from timeloop_py.model.planar import (
    SLOTS,
    PlanarResult,
    Prices,
    evaluate_planar,
    has_rates,
    planar_cycles,
    planar_energies,
)
from timeloop_py.model.planar_cycles import CycleLimit
from timeloop_py.model.planar_zeros import BlockZeros
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.layer import Layer
from timeloop_py.specs.network import Network
from timeloop_py.specs.tables import AreaTable, EnergyTable, load_area_table, load_energy_table
from timeloop_py.tensors.density import DensityModel
from timeloop_py.tensors.density_file import activation_model, weight_model

if TYPE_CHECKING:
    import pandas as pd

#: A density point: weight and activation density, None where a layer's own is meant.
Point = tuple[float | None, float | None]
OWN_DENSITIES: Point = (None, None)


@dataclass(frozen=True)
class Unit:
    """One layer of a network on one architecture."""

    architecture: Architecture
    network: Network
    layer: Layer


class Evaluation:
    """Results of units at density points: arrays (units, points), and the same as tidy frames.

    Counts are expectations (floats) where zeros are involved. ``energies`` are (level, tensor, action) parts of the
    energy; they add up to ``energy_pj``.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        densities: Densities,
        parts: Sequence[tuple[Sequence[int], PlanarResult]],
        notes: Mapping[int, str] | None = None,
    ) -> None:
        self.units = tuple(units)
        self.densities = densities
        #: by unit, why it has no numbers
        self.notes = dict(notes or {})
        self._parts = tuple(parts)

    def _gather(self, name: str) -> Any:
        shape = self.densities.weight.shape
        result: Any = None
        for rows, part in self._parts:
            values = np.asarray(getattr(part, name))
            if result is None:
                result = np.empty(shape, dtype=object if values.dtype.kind == "U" else values.dtype)
            result[list(rows)] = np.broadcast_to(values, (len(rows), shape[1]))
        return result

    @cached_property
    def layer_cycles(self) -> Array:
        """Cycles per unit and point."""
        return self._gather("cycles")  # type: ignore[no-any-return]

    @cached_property
    def layer_energy_pj(self) -> Array:
        """Energy per unit and point, pJ."""
        return self._gather("energy_pj")  # type: ignore[no-any-return]

    def event_energy_pj(self, component: str, action: str) -> Array:
        """Energy per unit and point of one action of a planar-tiled accelerator's component; 0 where it has none."""
        found = np.zeros(self.layer_energy_pj.shape)
        for rows, part in self._parts:
            for event in part.energies:
                if (event.component, event.action) == (component, action):
                    found[list(rows)] += event.energy_pj
        return found

    @cached_property
    def slots(self) -> Mapping[str, Array]:
        """Multiplier slots by what became of them, per unit and point."""
        shape = self.densities.weight.shape
        slots = {name: np.zeros(shape) for name in SLOTS}
        for rows, part in self._parts:
            for name, values in part.slots.items():
                slots[name][list(rows)] = values
        return slots

    @cached_property
    def unit_area_mm2(self) -> Array:
        """Area of every unit's architecture, mm2."""
        tables: dict[str, AreaTable] = {}
        areas: dict[int, float] = {}
        for unit in self.units:
            name = unit.architecture.area_table or ""
            if name not in tables:
                tables[name] = load_area_table(name)
            if id(unit.architecture) not in areas:
                areas[id(unit.architecture)] = area_mm2(unit.architecture, tables[name])
        return np.array([areas[id(unit.architecture)] for unit in self.units])

    # -- totals of a single architecture, network and point ------------------------------------------------

    def _only(self, values: Array) -> float:
        systems = {(unit.architecture.name, unit.network.name) for unit in self.units}
        if len(systems) > 1 or values.shape[1] > 1:
            raise ValueError("several architectures, networks or density points: use to_frame() or totals()")
        return float(values.sum())

    @property
    def cycles(self) -> float:
        """Cycles of all layers (one architecture, network and point)."""
        return self._only(self.layer_cycles)

    @property
    def energy_pj(self) -> float:
        """Energy of all layers, pJ (one architecture, network and point)."""
        return self._only(self.layer_energy_pj)

    @property
    def area_mm2(self) -> float:
        """Area of the architecture, mm2."""
        return float(self.unit_area_mm2[0])

    @property
    def accesses(self) -> pd.DataFrame:
        """Events and energy by level, tensor and action, over all layers."""
        frame = self.accesses_frame()
        keys = ["level", "tensor", "action"]
        return frame.groupby(keys, sort=False)[["count", "energy_pj"]].sum().reset_index()

    @property
    def binding(self) -> dict[str, str]:
        """The binding resource of every layer (one point)."""
        self._only(self.layer_cycles)
        names = self._gather("binding")
        return {unit.layer.name: str(name[0]) for unit, name in zip(self.units, names, strict=True)}

    # -- frames ----------------------------------------------------------------------------------------------

    def _keys(self) -> dict[str, Any]:
        points = self.densities.weight.shape[1]

        def repeated(values: Sequence[str]) -> np.ndarray:
            return np.repeat(np.array(values, dtype=object), points)

        return {
            "architecture": repeated([unit.architecture.name for unit in self.units]),
            "network": repeated([unit.network.name for unit in self.units]),
            "layer": repeated([unit.layer.name for unit in self.units]),
            "dataflow": repeated([unit.architecture.dataflow_name for unit in self.units]),
            "weight_density": self.densities.weight.ravel(),
            "activation_density": self.densities.activation.ravel(),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per architecture, network, layer and density point; units stand in the column names."""
        import pandas as pd

        cycles, energy = self.layer_cycles, self.layer_energy_pj
        area = np.broadcast_to(self.unit_area_mm2[:, None], cycles.shape)
        columns = {
            **self._keys(),
            "cycles": cycles,
            "compute_cycles": self._gather("compute_cycles"),
            "macs": self._gather("macs"),
            "multiplies": self._gather("multiplies"),
            "gated_multiplies": self._gather("gated_multiplies"),
            "useful_multiplies": self._gather("useful_multiplies"),
            "utilization": self._gather("utilization"),
            "binding": self._gather("binding"),
            "energy_pj": energy,
            "area_mm2": area,
            "edp_pj_cycles": energy * cycles,
            "oracle_cycles": self._gather("oracle_cycles"),
            "fits_on_chip": self._gather("fits_on_chip"),
        }
        total = sum(self.slots.values())
        columns |= {f"{name}_share": values / total for name, values in self.slots.items()}
        if self.notes:
            texts = [self.notes.get(row, "") for row in range(len(self.units))]
            columns["note"] = np.broadcast_to(np.array(texts, dtype=object)[:, None], cycles.shape)
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})

    def accesses_frame(self) -> pd.DataFrame:
        """One row per unit, point, level, tensor and action: events of the component, and their energy."""
        import pandas as pd

        keys = self._keys()
        points = self.densities.weight.shape[1]
        frames = []
        for order, (rows, part) in enumerate(self._parts):
            index = (np.array(rows)[:, None] * points + np.arange(points)).ravel()
            for event, energy in enumerate(part.energies):
                columns = {name: values[index] for name, values in keys.items()}
                columns |= {
                    "level": energy.component,
                    "tensor": energy.tensor,
                    "action": energy.action,
                    "count": energy.count.ravel(),
                    "energy_pj": energy.energy_pj.ravel(),
                    "_row": index,
                    "_event": order * 1000 + event,
                }
                frames.append(pd.DataFrame(columns))
        if not frames:  # no layer applies
            return pd.DataFrame(columns=[*keys, "level", "tensor", "action", "count", "energy_pj"])
        frame = pd.concat(frames, ignore_index=True).sort_values(["_row", "_event"], kind="stable")
        return frame.drop(columns=["_row", "_event"]).reset_index(drop=True)

    def totals(self) -> pd.DataFrame:
        """One row per architecture, network and density point: sums over layers, utilization over all slots.

        Where layers have densities of their own, the density columns are means weighted by weights and by inputs.
        """
        import pandas as pd

        frame = self.to_frame()
        points = self.densities.weight.shape[1]
        frame["_point"] = np.tile(np.arange(points), len(self.units))
        frame["_weights"] = np.repeat([unit.layer.weights for unit in self.units], points)
        frame["_inputs"] = np.repeat([unit.layer.inputs for unit in self.units], points)
        frame["_slots"] = np.ravel(sum(self.slots.values()))
        for name in SLOTS:
            frame[f"{name}_share"] *= frame["_slots"]
        frame["utilization"] *= frame["_slots"]
        frame["weight_density"] *= frame["_weights"]
        frame["activation_density"] *= frame["_inputs"]
        shares = [f"{name}_share" for name in SLOTS]
        summed = [
            "cycles",
            "compute_cycles",
            "macs",
            "multiplies",
            "gated_multiplies",
            "useful_multiplies",
            "energy_pj",
            "oracle_cycles",
        ]
        helpers = ["_weights", "_inputs", "_slots"]
        groups = frame.groupby(["architecture", "network", "dataflow", "_point"], sort=False)
        averaged = ["weight_density", "activation_density", "utilization", *shares]
        table = groups[[*summed, *averaged, *helpers]].sum(min_count=1)
        table["weight_density"] /= table["_weights"]
        table["activation_density"] /= table["_inputs"]
        table[["utilization", *shares]] = table[["utilization", *shares]].div(table["_slots"], axis=0)
        table["area_mm2"] = groups["area_mm2"].first()
        table["edp_pj_cycles"] = table["energy_pj"] * table["cycles"]
        table["layers"] = groups.size()
        table["layers_off_chip"] = groups["fits_on_chip"].apply(lambda fits: int((~fits.astype(bool)).sum()))
        if self.notes:
            left_out = groups["note"].apply(lambda notes: int((notes != "").sum()))
            table["layers"] -= left_out
            table["layers_off_chip"] -= left_out
            table["layers_left_out"] = left_out
            table["note"] = groups["note"].max()
        order = ["weight_density", "activation_density", "layers", *summed, "area_mm2", "edp_pj_cycles"]
        order += ["utilization", "layers_off_chip", *shares]
        order += ["layers_left_out", "note"] if self.notes else []
        result = table.reset_index()[["architecture", "network", "dataflow", *order]]
        return pd.DataFrame(result)

    def summary(self) -> str:
        """The totals as a short table for people."""
        table = self.totals()
        shown = ["architecture", "network", "weight_density", "activation_density", "cycles", "energy_pj", "area_mm2"]
        return table[[*shown, "utilization"]].to_string(index=False, float_format=lambda value: f"{value:.4g}")


def evaluate(
    architecture: Architecture | Sequence[Architecture],
    network: Network | Layer | Sequence[Network],
    points: Sequence[Point] = (OWN_DENSITIES,),
    layer: str | None = None,
) -> Evaluation:
    """Evaluate networks on accelerators.

    Parameters
    ----------
    architecture, network
        One or several; a single layer counts as a network of its own.
    points
        Density points (weight, activation); None takes the layer's own. A given activation density is the
        output's, too.
    layer
        Only the layer of this name.

    Raises SpecError where an architecture has no dataflow, lacks an energy, or cannot tile a layer.
    """
    architectures = [architecture] if isinstance(architecture, Architecture) else list(architecture)
    if isinstance(network, Layer):
        network = network_of(network)
    networks = [network] if isinstance(network, Network) else list(network)
    units = [
        Unit(one, net, each)
        for one in architectures
        for net in networks
        for each in ([net.layer(layer)] if layer is not None else net.layers)
    ]
    return evaluate_units(units, points)


def network_of(layer: Layer) -> Network:
    """A network of one layer, which reads the network's input."""
    digest = hashlib.sha256(repr(layer).encode()).hexdigest()
    return Network(layer.name, (layer,), {layer.name: ()}, {}, "a layer of its own", digest)


def evaluate_units(units: Sequence[Unit], points: Sequence[Point] = (OWN_DENSITIES,)) -> Evaluation:
    """Evaluate units at the same density points; those that share a dataflow go through NumPy together."""
    densities = densities_of(units, points)
    tables = _energy_tables(units)
    planar = [row for row, unit in enumerate(units) if unit.architecture.array is None]
    arrays = [row for row, unit in enumerate(units) if unit.architecture.array is not None]
    parts = _planar_parts(units, planar, densities, tables)
    notes: dict[int, str] = {}
    if arrays:
        chosen = [ArrayUnit(units[row].architecture, units[row].network, units[row].layer) for row in arrays]
        found, refused = evaluate_arrays(chosen, densities.rows(arrays), tables)
        parts += [([arrays[row] for row in rows], result) for rows, result in found]
        notes = {arrays[row]: reason for row, reason in refused.items()}
    return Evaluation(units, densities, parts, notes)


def cycles_of_units(
    units: Sequence[Unit], points: Sequence[Point] = (OWN_DENSITIES,), limit: CycleLimit | None = None
) -> Array:
    """The cycles of :func:`evaluate_units` alone, (units, points): quicker on planar-tiled accelerators.

    Those above the ``limit`` may be too few, but not below it.
    """
    if any(unit.architecture.array is not None or has_rates(unit.architecture) for unit in units):
        return evaluate_units(units, points).layer_cycles
    densities = densities_of(units, points)
    cycles = np.empty(densities.weight.shape)
    for rows in _same_dataflow(units):
        chosen = [units[row] for row in rows]
        cycles[rows] = planar_cycles(
            Batch([one.architecture for one in chosen], [one.layer for one in chosen]),
            densities.rows(rows),
            None if limit is None else limit.rows(rows),
        )
    return cycles


def energies_of_units(units: Sequence[Unit], points: Sequence[Point] = (OWN_DENSITIES,)) -> Array:
    """The energy of :func:`evaluate_units` alone, pJ, (units, points): quicker on planar-tiled accelerators."""
    if any(unit.architecture.array is not None for unit in units):
        return evaluate_units(units, points).layer_energy_pj
    densities = densities_of(units, points)
    prices = Prices(_energy_tables(units))
    activations = _traffic(units, densities)
    energy = np.zeros(densities.weight.shape)
    for rows in _same_dataflow(units):
        chosen = [units[row] for row in rows]
        own = densities.rows(rows)
        zeros = BlockZeros(Batch([one.architecture for one in chosen], [one.layer for one in chosen]), own)
        for part in planar_energies(zeros, own, activations.rows(rows), prices):
            energy[rows] += part.energy_pj
    return energy


def _energy_tables(units: Sequence[Unit]) -> dict[str, EnergyTable]:
    """The energy tables of units, by the name that their architectures give."""
    tables: dict[str, EnergyTable] = {}
    for unit in units:
        name = unit.architecture.energy_table or ""
        if name not in tables:
            if unit.architecture.array is None:
                unit.architecture.require_accelerator()
            tables[name] = load_energy_table(name)
    return tables


def _traffic(units: Sequence[Unit], densities: Densities) -> ActivationTraffic:
    """What units of planar-tiled accelerators move over DRAM."""
    return activation_traffic(
        [unit.architecture for unit in units],
        [unit.network for unit in units],
        [unit.layer for unit in units],
        densities.activation,
        densities.output,
    )


def _planar_parts(
    units: Sequence[Unit], planar: Sequence[int], densities: Densities, tables: Mapping[str, EnergyTable]
) -> list[tuple[list[int], PlanarResult]]:
    if not planar:
        return []
    own = densities.rows(planar)
    activations = _traffic([units[row] for row in planar], own)
    parts = []
    for rows in _same_dataflow([units[row] for row in planar]):
        result = evaluate_planar(
            [units[planar[row]].architecture for row in rows],
            [units[planar[row]].layer for row in rows],
            own.rows(rows),
            activations.rows(rows),
            tables,
        )
        parts.append(([planar[row] for row in rows], result))
    return parts


def densities_of(units: Sequence[Unit], points: Sequence[Point]) -> Densities:
    """Densities of units at density points, and models of zeros where they are not unstructured."""

    def table(own: Sequence[float], given: Sequence[float | None]) -> Array:
        return np.array([[mine if point is None else point for point in given] for mine in own], dtype=float)

    weight = [point[0] for point in points]
    activation = [point[1] for point in points]
    layers = [unit.layer for unit in units]
    return Densities(
        weight=table([layer.weight_density for layer in layers], weight),
        activation=table([layer.activation_density for layer in layers], activation),
        output=table([layer.stored_density for layer in layers], activation),
        weight_models=_models([weight_model(layer) for layer in layers], weight),
        activation_models=_models([activation_model(layer) for layer in layers], activation),
    )


def _models(own: Sequence[DensityModel | None], given: Sequence[float | None]) -> Models:
    """Layers' own models where no density is given."""
    points = [point for point, density in enumerate(given) if density is None]
    return {(unit, point): model for unit, model in enumerate(own) if model is not None for point in points}


def _same_dataflow(units: Sequence[Unit]) -> Iterator[list[int]]:
    """Rows of units that one batch can take: the same template, the same choices of terms, the same components."""
    groups: dict[Any, list[int]] = {}
    for row, unit in enumerate(units):
        flow = unit.architecture.require_accelerator()[1]
        key = (
            flow.template.name,
            flow.barrier,
            flow.bank_contention,
            flow.queue_depth,
            flow.block_overhead_cycles,
            flow.vector_over,
            flow.dram_compression,
            flow.zero_gating,
            flow.placeholders,
            tuple(sorted(unit.architecture.components)),
        )
        groups.setdefault(key, []).append(row)
    yield from groups.values()
