"""Area of an accelerator: the sum over its components (MODEL section 6)."""

from __future__ import annotations

from timeloop_py.specs.architecture import Architecture
from timeloop_py.specs.tables import AreaTable


def component_areas_mm2(architecture: Architecture, table: AreaTable) -> dict[str, float]:
    """Area of every component of the chip, all its copies together, in mm2. Parts of another component have none."""
    return {
        component.name: component.count * table.area_mm2(component.component_class, component.attributes)
        for component in architecture.components.values()
        if component.part_of is None
    }


def area_mm2(architecture: Architecture, table: AreaTable) -> float:
    """Area of the accelerator in mm2."""
    return sum(component_areas_mm2(architecture, table).values())
