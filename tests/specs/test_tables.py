"""Energy and area tables: published facts, the scaling rule, monotonicity, SCNN's Tables III and IV."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.tables import (
    COMPONENT_CLASSES,
    EVENTS,
    AreaTable,
    EnergyTable,
    describe_component,
    load_area_table,
    load_energy_table,
    scaling_factor,
)

DATA = Path(__file__).parent.parent / "data"
ENERGY_TABLES = ("literature_16nm", "horowitz_45nm", "eyeriss_65nm", "diannao_65nm")
LITERATURE = load_energy_table("literature_16nm")
HOROWITZ = load_energy_table("horowitz_45nm")
EYERISS = load_energy_table("eyeriss_65nm")
TABLES = {name: load_energy_table(name) for name in ENERGY_TABLES}
AREA = load_area_table("area_tsmc16")
AREAS = {name: load_area_table(name) for name in ("area_tsmc16", "area_45nm", "area_65nm")}

#: one component of every class, as SCNN (ISCA 2017, Tables II and III) or another machine has it
SCNN: dict[str, dict[str, float]] = {
    "sram": {"capacity_bytes": 10240, "width_bits": 80},
    "edram": {"capacity_bytes": 2097152, "width_bits": 4096, "banks": 4},
    "latch_array": {"capacity_bytes": 6144, "width_bits": 24, "banks": 32},
    "register": {"width_bits": 16},
    "multiplier": {"width_bits": 16},
    "adder": {"width_bits": 24},
    "crossbar": {"inputs": 16, "outputs": 32, "width_bits": 24},
    "link": {"width_bits": 24},
    "bus": {"width_bits": 16, "destinations": 64},
    "dram": {},
    "index_unit": {"candidates": 256, "outputs": 16, "width_bits": 16},
    "issue_slot": {"width_bits": 32},
    "pe_other": {},
}


# --- where the numbers are from ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENERGY_TABLES)
def test_every_entry_says_where_it_is_from_and_lies_in_its_range(name: str) -> None:
    table = load_energy_table(name)
    assert table.entries
    for event, entry in table.entries.items():
        low, high = entry.range_pj
        assert low <= entry.law.value <= high, event
        if entry.published is not None:
            assert len(entry.source) > 20, event
            # the year of the publication, or the program or entry that it comes from
            assert re.search(r"\b20[0-2]\d\b|CACTI|as dram\.read", entry.source), event
        else:
            assert entry.law.value == 0, event
            assert entry.stated, event


@pytest.mark.parametrize("name", ["literature_16nm", "horowitz_45nm"])
def test_an_scnn_can_be_costed_with_every_absolute_table(name: str) -> None:
    table = load_energy_table(name)
    assert set(table.entries) == set(EVENTS)
    for event in EVENTS:
        component_class, action = event.split(".")
        energy = table.energy_pj(component_class, action, SCNN[component_class])
        assert math.isfinite(energy)
        assert energy >= 0


@pytest.mark.parametrize("name", AREAS)
def test_area_entries_have_sources(name: str) -> None:
    entries = AREAS[name].entries
    assert set(entries) == set(COMPONENT_CLASSES)
    assert all(entry.source for entry in entries.values())
    if name != "area_tsmc16":
        terms = [term for entry in entries.values() for term in entry.terms]
        assert all(term.range_mm2 and term.published for term in terms)


@pytest.mark.parametrize(("node", "bit_um2", "column_um2"), [(45, 0.4281, 20.0), (65, 0.8822, 43.2)])
def test_ram_is_a_least_squares_fit_of_cacti_s(node: int, bit_um2: float, column_um2: float) -> None:
    """tests/data/cacti_ram.csv: weighted by 1 / area, solved here by the normal equations of two unknowns."""
    with (DATA / "cacti_ram.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["node_nm"] == str(node)]
    runs = [(8e-6 * int(row["capacity_bytes"]), 1e-6 * int(row["width_bits"]), float(row["area_mm2"])) for row in rows]
    bits = [bits / area for bits, _, area in runs]
    columns = [columns / area for _, columns, area in runs]
    bb, bc, cc = (sum(x * y for x, y in zip(*pair, strict=True)) for pair in
                  ((bits, bits), (bits, columns), (columns, columns)))  # fmt: skip
    determinant = bb * cc - bc * bc
    fitted = ((sum(bits) * cc - sum(columns) * bc) / determinant, (sum(columns) * bb - sum(bits) * bc) / determinant)
    assert fitted == pytest.approx((bit_um2, column_um2), rel=2e-3)
    table = AREAS[f"area_{node}nm"]
    off = []
    for row, (_, _, area) in zip(rows, runs, strict=True):
        attributes = {"capacity_bytes": float(row["capacity_bytes"]), "width_bits": float(row["width_bits"])}
        off.append(area / table.area_mm2("sram", attributes) - 1)
    assert min(off) > -0.21
    assert max(off) < 0.47
    assert len(off) == 59
    assert (sum(one * one for one in off) / len(off)) ** 0.5 < 0.1


def test_areas_of_45_and_65_nm_are_about_the_square_apart() -> None:
    """Of what CACTI gives for each and of what is brought there."""
    for component_class in (
        "sram",
        "edram",
        "latch_array",
        "register",
        "multiplier",
        "adder",
        "pe_other",
        "index_unit",
    ):
        at_45, at_65 = (
            AREAS[name].area_mm2(component_class, SCNN[component_class]) for name in ("area_45nm", "area_65nm")
        )
        assert at_65 / at_45 == pytest.approx((65 / 45) ** 2, rel=0.03)


# --- the scaling rule -------------------------------------------------------------------------------------------------

#: (16 / node) * (0.8 / V)^2, by hand
GATES_TO_16NM = {(45, 0.9): 0.280933, (45, 1.0): 0.227556, (40, 0.9): 0.316049, (65, 1.0): 0.157538,
                (28, 0.9): 0.451499}  # fmt: skip


def test_values_are_published_ones_times_one_factor() -> None:
    scaled = 0
    for event, entry in LITERATURE.entries.items():
        published = entry.published
        if published is None:
            continue
        if published.scaling == "gates":
            assert published.voltage_v is not None
            factor = GATES_TO_16NM[(int(published.node_nm), published.voltage_v)]
            scaled += 1
        else:
            assert published.scaling == "none"
            factor = 1.0
        assert entry.law.value == pytest.approx(published.value_pj * factor, rel=5e-3), event
    assert scaled >= 9


def test_edram_is_2_85_times_denser_than_sram_at_28_nm() -> None:
    """10 MB of SRAM take 20.73 mm2 there (DaDianNao, MICRO 2014, section V-A)."""
    at_16_nm = AREA.area_mm2("edram", {"capacity_bytes": 10 * 2**20, "width_bits": 1})
    assert at_16_nm * (28 / 16) ** 2 == pytest.approx(20.73 / 2.85, rel=1e-3)


def test_scaling_factor() -> None:
    assert scaling_factor("gates", 45, 0.9, 16, 0.8) == pytest.approx(0.280933, rel=1e-5)
    assert scaling_factor("gates", 28, None, 14, 0.8) == pytest.approx(0.5)
    assert scaling_factor("wires", 40, 0.9, 16, 0.8) == pytest.approx(64 / 81)
    assert scaling_factor("none", 90, 1.2, 16, 0.8) == 1


def test_lowest_plausible_values_follow_stillmaker_and_baas() -> None:
    """Integration 58 (2017), Table 5: energy factor a2 V^2 + a1 V + a0 of high-performance 45 nm and 16 nm."""
    at_45 = {v: 1.018 * v**2 - 0.3107 * v + 0.1539 for v in (0.9, 1.0)}
    at_16 = 0.2958 * 0.8**2 - 0.1241 * 0.8 + 0.03024
    for event in ("multiplier.multiply", "adder.add", "latch_array.read", "latch_array.write"):
        entry = LITERATURE.entries[event]
        assert entry.published is not None
        assert entry.published.voltage_v is not None
        factor = at_16 / at_45[entry.published.voltage_v]
        assert entry.range_pj[0] == pytest.approx(entry.published.value_pj * factor, rel=0.02), event


# --- published facts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("component_class", "action", "attributes", "published_pj", "tolerance"),
    [
        ("sram", "read", {"capacity_bytes": 8192, "width_bits": 64}, 10, 1e-9),
        ("sram", "read", {"capacity_bytes": 32768, "width_bits": 64}, 20, 1e-9),
        ("sram", "read", {"capacity_bytes": 2**20, "width_bits": 64}, 100, 0.14),
        ("multiplier", "multiply", {"width_bits": 8}, 0.2, 1e-9),
        ("multiplier", "multiply", {"width_bits": 32}, 3.1, 1e-3),
        ("adder", "add", {"width_bits": 8}, 0.03, 1e-9),
        ("adder", "add", {"width_bits": 32}, 0.1, 1e-3),
    ],
)
def test_horowitz_2014(
    component_class: str, action: str, attributes: dict[str, float], published_pj: float, tolerance: float
) -> None:
    assert HOROWITZ.energy_pj(component_class, action, attributes) == pytest.approx(published_pj, rel=tolerance)


def test_horowitz_dram_is_1300_to_2600_pj_per_64_bits() -> None:
    low, high = HOROWITZ.entries["dram.read"].range_pj
    assert 64 * low == pytest.approx(1300, rel=0.01)
    assert 64 * high == pytest.approx(2600, rel=0.01)
    assert HOROWITZ.energy_pj("dram", "read", {"width_bits": 64}) == pytest.approx(1950, rel=1e-3)


def test_eyeriss_costs_are_1_2_6_200() -> None:
    assert EYERISS.energy_unit == "relative"
    word = {"width_bits": 16.0}
    assert EYERISS.energy_pj("multiplier", "multiply", word) == 1
    assert EYERISS.energy_pj("adder", "add", word) == 0
    assert EYERISS.energy_pj("latch_array", "read", {**word, "capacity_bytes": 512}) == 1
    assert EYERISS.energy_pj("link", "transfer", word) == 2
    assert EYERISS.energy_pj("sram", "write", {**word, "capacity_bytes": 100 * 1024}) == 6
    assert EYERISS.energy_pj("sram", "read", {**word, "capacity_bytes": 512}) == pytest.approx(1, rel=2e-3)
    assert EYERISS.energy_pj("dram", "read", word) == 200


def test_small_arrays_agree_with_what_large_ones_predict() -> None:
    """Two publications, CACTI at 128 bytes and Horowitz at 8 KB, meet on one power law of the capacity."""
    attributes = {"capacity_bytes": 128.0, "width_bits": 32.0}
    small = LITERATURE.energy_pj("latch_array", "read", attributes)
    assert LITERATURE.energy_pj("sram", "read", attributes) == pytest.approx(small, rel=0.2)


def test_crossbar_wire_is_a_row_and_a_column() -> None:
    """16 x 32 of 24 bits in 0.026 mm2: crosspoints of 7.126 um; 48 of them; 40 fJ per bit and mm."""
    side_mm = math.sqrt(0.026 / (16 * 32))
    expected = 0.040 * 24 * 48 * side_mm
    assert LITERATURE.energy_pj("crossbar", "transfer", SCNN["crossbar"]) == pytest.approx(expected, rel=1e-3)


def test_bus_pays_one_pe_pitch_per_destination() -> None:
    hop = LITERATURE.energy_pj("link", "transfer", {"width_bits": 16})
    assert LITERATURE.energy_pj("bus", "broadcast", SCNN["bus"]) == pytest.approx(64 * hop)
    shorter = LITERATURE.energy_pj("bus", "broadcast", {**SCNN["bus"], "pitch_mm": 0.1755})
    assert shorter == pytest.approx(32 * hop)


# --- laws -------------------------------------------------------------------------------------------------------------

SIZES = st.floats(1, 1e7)


@given(st.sampled_from(ENERGY_TABLES), st.sampled_from(EVENTS), st.floats(1.01, 100), st.data())
def test_energy_never_falls_with_size_or_width(name: str, event: str, factor: float, data: st.DataObject) -> None:
    table = TABLES[name]
    component_class, action = event.split(".")
    if event not in table.entries:
        return
    known = COMPONENT_CLASSES[component_class]
    attributes = {attribute: data.draw(SIZES) for attribute in known.required}
    grown = data.draw(st.sampled_from([*known.required, "width_bits"]))
    before = table.energy_pj(component_class, action, {"width_bits": 1, **attributes})
    larger = {"width_bits": 1, **attributes}
    larger[grown] *= factor
    after = table.energy_pj(component_class, action, larger)
    assert after > before or before == after == 0


@given(SIZES, st.floats(1, 1000), st.integers(1, 64), st.integers(2, 8))
def test_banking_saves_energy_and_costs_area(capacity: float, width: float, banks: int, factor: int) -> None:
    few = {"capacity_bytes": capacity, "width_bits": width, "banks": float(banks)}
    many = {**few, "banks": float(banks * factor)}
    assert LITERATURE.energy_pj("latch_array", "read", many) < LITERATURE.energy_pj("latch_array", "read", few)
    assert AREA.area_mm2("latch_array", many) > AREA.area_mm2("latch_array", few)


@given(
    st.sampled_from(list(AREAS)),
    st.sampled_from(["sram", "latch_array", "crossbar", "multiplier"]),
    st.floats(1.01, 100),
    st.data(),
)
def test_area_never_falls(name: str, component_class: str, factor: float, data: st.DataObject) -> None:
    known = COMPONENT_CLASSES[component_class]
    attributes = {attribute: data.draw(SIZES) for attribute in known.required}
    grown = data.draw(st.sampled_from(known.required))
    before = AREAS[name].area_mm2(component_class, attributes)
    after = AREAS[name].area_mm2(component_class, {**attributes, grown: attributes[grown] * factor})
    assert after >= before > 0


@pytest.mark.parametrize("component_class", ["sram", "latch_array"])
def test_an_access_of_a_double_buffered_array_touches_one_half(component_class: str) -> None:
    whole: dict[str, float] = {"capacity_bytes": 6144, "width_bits": 24, "banks": 2}
    double = {**whole, "sets": 2}
    read = LITERATURE.energy_pj(component_class, "read", double)
    assert read == pytest.approx(LITERATURE.energy_pj(component_class, "read", {**whole, "capacity_bytes": 3072}))
    assert AREA.area_mm2(component_class, double) == AREA.area_mm2(component_class, whole)


# --- SCNN, ISCA 2017, Tables III and IV -------------------------------------------------------------------------------


def scnn_pe() -> dict[str, float]:
    area = AREA.area_mm2
    return {
        "activation_rams": 2 * area("sram", SCNN["sram"]),
        "weight_fifo": area("latch_array", {"capacity_bytes": 500, "width_bits": 80}),
        "multipliers": 16 * area("multiplier", SCNN["multiplier"]),
        "scatter": area("crossbar", SCNN["crossbar"]),
        "accumulators": area("latch_array", SCNN["latch_array"]),
        "other": area("pe_other", {}),
    }


def test_table_3() -> None:
    rows = scnn_pe()
    published = {
        "activation_rams": 0.031,
        "weight_fifo": 0.004,
        "multipliers": 0.008,
        "scatter": 0.026,
        "accumulators": 0.036,
        "other": 0.019,
    }
    assert rows == pytest.approx(published, rel=1e-9)
    total = sum(rows.values())
    assert total == pytest.approx(0.124)  # the rows; the table prints 0.123
    assert total == pytest.approx(0.123, rel=0.01)
    assert 64 * total == pytest.approx(7.9, rel=0.01)
    memories = rows["activation_rams"] + rows["weight_fifo"] + rows["accumulators"]
    assert memories / total == pytest.approx(0.57, rel=0.03)
    assert rows["activation_rams"] / total == pytest.approx(0.25, rel=0.03)
    assert rows["multipliers"] / total == pytest.approx(0.06, rel=0.15)


def test_table_4_dcnn() -> None:
    scnn = scnn_pe()
    ram = AREA.area_mm2("sram", {"capacity_bytes": 32768, "width_bits": 256})
    accumulators = AREA.area_mm2("sram", {"capacity_bytes": 6144, "width_bits": 24})
    pe = ram + accumulators + scnn["weight_fifo"] + scnn["multipliers"] + scnn["other"]
    assert 64 * pe == pytest.approx(5.75, abs=0.005)
    assert 64 * pe == pytest.approx(5.9, rel=0.05)


# --- asking for what is not there -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("component_class", "action", "attributes", "field", "words"),
    [
        ("srm", "read", {}, None, "did you mean 'sram'"),
        ("sram", "raed", SCNN["sram"], "sram", "did you mean 'read'"),
        ("sram", "read", {"capacity_bytes": 8}, "sram.width_bits", "missing"),
        ("sram", "read", {"capacity_byte": 8, "width_bits": 8}, "sram.capacity_byte", "did you mean 'capacity_bytes'"),
        ("sram", "read", {"capacity_bytes": -8, "width_bits": 8}, "sram.capacity_bytes", "positive"),
        ("sram", "read", {"capacity_bytes": math.nan, "width_bits": 8}, "sram.capacity_bytes", "positive"),
        ("adder", "add", {"width_bits": 0}, "adder.width_bits", "positive"),
    ],
)
def test_bad_components(
    component_class: str, action: str, attributes: dict[str, float], field: str | None, words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        LITERATURE.energy_pj(component_class, action, attributes)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_missing_event_names_the_table_the_event_and_what_to_add() -> None:
    with pytest.raises(SpecError) as caught:
        EYERISS.energy_pj("crossbar", "transfer", SCNN["crossbar"])
    text = str(caught.value)
    assert "eyeriss_65nm.yaml" in text
    assert "'crossbar.transfer'" in text
    assert "value_pj" in text


def test_missing_area_names_the_table_and_the_class() -> None:
    table = AreaTable("mine", 16, {}, "mine.yaml")
    with pytest.raises(SpecError, match=r"mine\.yaml: entries: no area for component class 'sram'"):
        table.area_mm2("sram", SCNN["sram"])


def test_a_wire_without_length_asks_for_it() -> None:
    table = EnergyTable("mine", 16, 0.8, LITERATURE.entries, path="mine.yaml")
    with pytest.raises(SpecError) as caught:
        table.energy_pj("bus", "broadcast", SCNN["bus"])
    assert caught.value.field == "bus.pitch_mm"
    with pytest.raises(SpecError) as caught:
        table.energy_pj("crossbar", "transfer", SCNN["crossbar"])
    assert caught.value.field == "crossbar.crosspoint_um2"


def test_describe_component_fills_in_and_derives() -> None:
    full = describe_component("latch_array", {"capacity_bytes": 6144, "width_bits": 24, "banks": 32, "sets": 2})
    assert full["bank_bytes"] == 96
    assert full["columns"] == 768
    assert describe_component("dram", {}) == {"width_bits": 1}
    assert describe_component("link", {"width_bits": 8}, {"pitch_mm": 0.5})["wire_mm"] == 0.5


def test_a_table_that_is_changed_is_read_again(tmp_path: Path) -> None:
    base, extending = tmp_path / "base.yaml", tmp_path / "extending.yaml"
    assert LITERATURE.path is not None
    text = Path(LITERATURE.path).read_text()
    base.write_text(text)
    extending.write_text(f"extends: {base}\nentries: {{}}\n")
    assert load_energy_table(base).energy_unit == load_energy_table(extending).energy_unit == "pJ"
    base.write_text(re.sub(r"(?m)^energy_unit:.*\n", "", text) + "\nenergy_unit: relative\n")
    assert load_energy_table(base).energy_unit == load_energy_table(extending).energy_unit == "relative"
