"""Tables III and IV: areas, from the component table alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.scnn.runs import Measure, Runs
from timeloop_py.model.area import area_mm2, component_areas_mm2
from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.tables import AreaTable, load_area_table

if TYPE_CHECKING:
    import pandas as pd

#: Rows of Table III: which components they cover, and their size as the paper writes it.
_ROWS = {
    "IARAM + OARAM": (("input_activation_ram", "output_activation_ram"), "20 KB"),
    "Weight FIFO": (("weight_buffer",), "0.5 KB"),
    "Multiplier array": (("multiplier",), "16 ALUs"),
    "Scatter network": (("crossbar",), "16 x 32 crossbar"),
    "Accumulator buffers": (("accumulator",), "6 KB"),
    "Other": (("other",), ""),
}
_MEMORIES = ("IARAM + OARAM", "Weight FIFO", "Accumulator buffers")


def _table(architecture: Architecture) -> AreaTable:
    return load_area_table(architecture.area_table or "")


def pe_areas(runs: Runs) -> pd.DataFrame:
    """Table III: area of SCNN's PE by component, with the total of a PE and of the chip as last rows."""
    import pandas as pd

    scnn = runs.designs["scnn"]
    pes = scnn.require_accelerator()[0].processing_elements
    areas = component_areas_mm2(scnn, _table(scnn))
    rows = [
        {"component": name, "size": size, "area_mm2": sum(areas[part] for part in parts) / pes}
        for name, (parts, size) in _ROWS.items()
    ]
    chip = area_mm2(scnn, _table(scnn))
    rows.append({"component": "Total", "size": "", "area_mm2": chip / pes})
    rows.append({"component": "Accelerator total", "size": f"{pes} PEs", "area_mm2": chip})
    return pd.DataFrame(rows)


def configurations(runs: Runs) -> pd.DataFrame:
    """Table IV: PEs, multipliers, activation SRAM and area of every design. SCNN's SRAM holds indices too."""
    import pandas as pd

    rows = []
    for name in ("dcnn", "dcnn_opt", "scnn"):
        design = runs.designs[name]
        parameters = design.require_accelerator()[0]
        pes = parameters.processing_elements
        rows.append(
            {
                "architecture": name,
                "pes": pes,
                "multipliers": parameters.multipliers,
                "sram_mib": pes * (parameters.input_ram_bytes + parameters.output_ram_bytes) / 2**20,
                "area_mm2": area_mm2(design, _table(design)),
            }
        )
    return pd.DataFrame(rows)


def _pe(runs: Runs) -> dict[str, float]:
    return {str(name): float(area) for name, area in pe_areas(runs).set_index("component")["area_mm2"].items()}


def _pe_area(runs: Runs) -> Measured:
    return Measured(_pe(runs)["Total"], "the paper's own rows add up to 0.124")


def _chip_area(runs: Runs) -> Measured:
    return Measured(_pe(runs)["Accelerator total"])


def _memory_share(runs: Runs) -> Measured:
    pe = _pe(runs)
    share = sum(pe[name] for name in _MEMORIES) / pe["Total"]
    without = share - pe["Weight FIFO"] / pe["Total"]
    return Measured(share, f"with the weight FIFO; {without:.3f} without")


def _share(component: str) -> Measure:
    def measure(runs: Runs) -> Measured:
        pe = _pe(runs)
        return Measured(pe[component] / pe["Total"])

    return measure


def _design_area(name: str) -> Measure:
    def measure(runs: Runs) -> Measured:
        design = runs.designs[name]
        return Measured(area_mm2(design, _table(design)), "components of Table III; nothing fitted to Table IV")

    return measure


MEASURES: Mapping[str, Measure] = {
    "T3-pe-area": _pe_area,
    "T3-chip-area": _chip_area,
    "T3-memory-share": _memory_share,
    "T3-activation-ram-share": _share("IARAM + OARAM"),
    "T3-multiplier-share": _share("Multiplier array"),
    "T4-dcnn-area": _design_area("dcnn"),
    "T4-dcnn-opt-area": _design_area("dcnn_opt"),
}
