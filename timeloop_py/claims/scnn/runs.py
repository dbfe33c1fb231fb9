"""The runs behind the paper's evaluation: each once, shared by the claims, the tables and the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.model.evaluate import Evaluation, Point, evaluate
from timeloop_py.specs.architecture import Architecture, load_architecture
from timeloop_py.specs.files import Scalar
from timeloop_py.specs.network import Network, load_network

if TYPE_CHECKING:
    import pandas as pd

#: Energies that the paper's own are taken to be, and those from the literature alone.
CALIBRATED, LITERATURE = "scnn_16nm", "literature_16nm"

DESIGNS = ("scnn", "dcnn", "dcnn_opt")
#: The networks of Table I by the names of the paper; GoogLeNet is its 54 inception layers.
NETWORKS = {"AlexNet": "alexnet", "GoogLeNet": "googlenet:inception", "VGGNet": "vgg16"}
#: Figure 7 runs on all 57 convolutions of GoogLeNet.
SWEEP_NETWORK = "googlenet"
#: PEs of the chip in section VI-C: the PE grid and the vectors of each PE, 1,024 multipliers in all.
PE_GRANULARITIES = {
    64: ((8, 8), (4, 4)),
    32: ((8, 4), (8, 4)),
    16: ((4, 4), (8, 8)),
    8: ((4, 2), (16, 8)),
    4: ((2, 2), (16, 16)),
}
Setting = tuple[str, Scalar]


def sweep_points(step: float = 0.1) -> tuple[Point, ...]:
    """Densities of Figure 7: weights and activations together from 1.0 down to 0.1."""
    count = round(0.9 / step)
    densities = [round(1.0 - index * 0.9 / count, 12) for index in range(count + 1)]
    return tuple((density, density) for density in densities)


class Runs:
    """The runs under one energy table. What is asked for is evaluated once.

    Frames are those of :class:`Evaluation`; ``network`` holds the paper's names.
    """

    def __init__(self, energy_table: str = CALIBRATED) -> None:
        self.energy_table = energy_table

    def design(self, name: str, settings: Sequence[Setting] = ()) -> Architecture:
        """One of the paper's designs, priced by this table."""
        return load_architecture(name, [("energy_table", self.energy_table), *settings])

    @cached_property
    def designs(self) -> dict[str, Architecture]:
        """SCNN, DCNN and DCNN-opt as sections IV and V have them."""
        return {name: self.design(name) for name in DESIGNS}

    @cached_property
    def networks(self) -> dict[str, Network]:
        return {name: load_network(spec) for name, spec in NETWORKS.items()}

    # -- own densities: Figures 8 to 10, sections VI-C and VI-D -----------------------------------------

    @cached_property
    def own(self) -> Evaluation:
        """All designs on all networks, every layer at its own densities."""
        return evaluate(list(self.designs.values()), list(self.networks.values()))

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per design, network and layer."""
        return self._named(self.own.to_frame())

    @cached_property
    def accesses(self) -> pd.DataFrame:
        """One row per design, network, layer and event."""
        return self._named(self.own.accesses_frame())

    def table(self, metric: str, network: str) -> pd.DataFrame:
        """A metric of one network: layers x designs."""
        rows = self.layers[self.layers["network"] == network]
        table = rows.pivot(index="layer", columns="architecture", values=metric)
        return table.loc[rows["layer"].unique(), list(DESIGNS)]

    def of_design(self, network: str, design: str = "scnn") -> pd.DataFrame:
        """The rows of one design on one network, by layer."""
        rows = self.layers
        chosen = rows[(rows["network"] == network) & (rows["architecture"] == design)]
        return chosen.set_index("layer")

    # -- density sweep: Figure 7 --------------------------------------------------------------------------

    @cached_property
    def sweep_designs(self) -> dict[str, Architecture]:
        """Figure 7 comes from the paper's analytical model, which has no barrier."""
        return {**self.designs, "scnn": self.design("scnn", [("dataflow.barrier", "none")])}

    @cached_property
    def sweep_network(self) -> Network:
        return load_network(SWEEP_NETWORK)

    @cached_property
    def sweep(self) -> pd.DataFrame:
        """Totals of Figure 7: one row per design and density."""
        evaluation = evaluate(list(self.sweep_designs.values()), self.sweep_network, sweep_points())
        return evaluation.totals()

    # -- PE granularity: section VI-C -----------------------------------------------------------------------

    @cached_property
    def granularities(self) -> pd.DataFrame:
        """SCNN with fewer and larger PEs on GoogLeNet: one row per PE count and layer, column ``pes``.

        Without bank conflicts: the paper has twice as many banks as products reduce them enough (section IV), and does
        not say where the sums of arrays larger than 4 x 4 lie.
        """
        return self._granularities("none")

    @cached_property
    def granularities_with_banks(self) -> pd.DataFrame:
        """The same with sums interleaved over the banks, as in SCNN itself."""
        return self._granularities("queued")

    def _granularities(self, bank_contention: str) -> pd.DataFrame:
        designs = {count: self._of_granularity(count, bank_contention) for count in PE_GRANULARITIES}
        frame = evaluate(list(designs.values()), self.networks["GoogLeNet"]).to_frame()
        counts = {design.name: count for count, design in designs.items()}
        return frame.assign(pes=frame["architecture"].map(counts))

    def _of_granularity(self, count: int, bank_contention: str) -> Architecture:
        """Banks stay twice the products of a step, and the chip's RAMs are shared out among its PEs."""
        (columns, rows), (weights, activations) = PE_GRANULARITIES[count]
        base = self.designs["scnn"].require_accelerator()[0]
        larger = base.processing_elements // count
        settings: list[Setting] = [
            ("name", f"scnn_{count}_pes"),
            ("parameters.pe_x", columns),
            ("parameters.pe_y", rows),
            ("parameters.F", weights),
            ("parameters.I", activations),
            ("parameters.accumulator_banks", base.accumulator_banks * larger),
            ("parameters.input_ram_bytes", base.input_ram_bytes * larger),
            ("parameters.output_ram_bytes", base.output_ram_bytes * larger),
            ("dataflow.bank_contention", bank_contention),
        ]
        return self.design("scnn", settings)

    @staticmethod
    def _named(frame: pd.DataFrame) -> pd.DataFrame:
        names = {spec: name for name, spec in NETWORKS.items()}
        return frame.assign(network=frame["network"].map(names))


#: How one claim is measured.
Measure = Callable[[Runs], Measured]
