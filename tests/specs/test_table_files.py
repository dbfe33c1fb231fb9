"""Files of energy and area tables: what is read, extended and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.tables import (
    load_area_table,
    load_energy_table,
)

LITERATURE = load_energy_table("literature_16nm")
#: SCNN's (ISCA 2017, Table II)
CROSSBAR = {"inputs": 16.0, "outputs": 32.0, "width_bits": 24.0}

GOOD = """\
node_nm: 16
voltage_v: 0.8
entries:
  sram.read:
    value_pj: 2.809
    range_pj: [1, 4]
    reference: {bank_bytes: 8192, width_bits: 64}
    exponents: {bank_bytes: 0.5, width_bits: 1}
    published: {value_pj: 10, node_nm: 45, voltage_v: 0.9, scaling: gates}
    source: Horowitz, ISSCC 2014
  register.read:
    value_pj: 0
    range_pj: [0, 1]
    stated: it drives its reader
"""


def test_a_table_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    table = load_energy_table(path)
    assert table.name == "mine"
    assert table.energy_pj("sram", "read", {"capacity_bytes": 32768, "width_bits": 128}) == pytest.approx(4 * 2.809)
    assert table.energy_pj("register", "read", {"width_bits": 3}) == 0


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "words"),
    [
        ("node_nm: 16\n", "", 1, "node_nm", "missing"),
        ("node_nm: 16\n", "node_nm: 16 nm\n", 1, "node_nm", "without a unit"),
        ("voltage_v: 0.8", "voltage_v: 0", 2, "voltage_v", "above 0"),
        ("voltage_v: 0.8", "voltage_v: 0.8\nvoltage: 1", 3, "voltage", "did you mean 'voltage_v'"),
        ("voltage_v: 0.8", "voltage_v: 0.8\nenergy_unit: nJ", 3, "energy_unit", "expected one of pJ, relative"),
        ("  sram.read:", "  sram.raed:", 4, "entries.sram.raed", "did you mean 'sram.read'"),
        ("value_pj: 2.809", "value_pj: -2.809", 5, "entries.sram.read.value_pj", "at least 0"),
        ("value_pj: 2.809", "value_pj: 2.809 pJ", 5, "entries.sram.read.value_pj", "without a unit"),
        ("value_pj: 2.809", "value_pj: 3.1", 5, "entries.sram.read.value_pj", "not the published 10 times 0.2809"),
        ("value_pj: 2.809", "value_pj: 5", 5, "entries.sram.read.value_pj", "outside range_pj [1, 4]"),
        ("value_pj: 2.809", "value: 2.809", 5, "entries.sram.read.value_pj", "missing"),
        ("range_pj: [1, 4]", "range_pj: [4, 1]", 6, "entries.sram.read.range_pj", "above the highest"),
        ("range_pj: [1, 4]", "range_pj: [4]", 6, "entries.sram.read.range_pj", "[lowest, highest]"),
        ("{bank_bytes: 8192,", "{bank_byte: 8192,", 7, "entries.sram.read.reference.bank_byte", "'bank_bytes'"),
        ("{bank_bytes: 8192, ", "{", 8, "entries.sram.read.exponents", "without its reference"),
        ("bank_bytes: 8192", "bank_bytes: 0", 7, "entries.sram.read.reference.bank_bytes", "above 0"),
        ("scaling: gates", "scaling: gate", 9, "entries.sram.read.published.scaling", "did you mean 'gates'"),
        ("node_nm: 45,", "node: 45,", 9, "entries.sram.read.published.node_nm", "missing"),
        ("    source: Horowitz, ISSCC 2014\n", "", 5, "entries.sram.read.source", "missing"),
        ("source: Horowitz", "surce: Horowitz", 5, "entries.sram.read.source", "did you mean 'surce'"),
        ("source: Horowitz, ISSCC 2014", "source: ' '", 10, "entries.sram.read.source", "publication"),
        ("    stated: it drives its reader\n", "", 12, "entries.register.read", "one of 'published'"),
        ("    value_pj: 0\n", "    value_pj: 0.5\n", 12, "entries.register.read.value_pj", "only a zero"),
        ("stated: it drives its reader", "fitted: []", 14, "entries.register.read.fitted", "ids of the claims"),
        ("stated: it drives its reader", "stated: yes\n    nte: x", 15, "entries.register.read.nte", "'note'"),
    ],
)
def test_bad_tables(tmp_path: Path, old: str, new: str, line: int, field: str, words: str) -> None:
    assert old in GOOD
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(SpecError) as caught:
        load_energy_table(path)
    assert caught.value.path == str(path)
    assert (caught.value.line, caught.value.field) == (line, field)
    assert words in str(caught.value)


def test_unknown_table_has_the_nearest_name() -> None:
    with pytest.raises(SpecError, match="did you mean 'literature_16nm'"):
        load_energy_table("literature-16m")


def test_an_area_table_is_not_an_energy_table() -> None:
    with pytest.raises(SpecError, match="voltage_v"):
        load_energy_table("area_tsmc16")


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("entries: {}\n", 1, "node_nm"),
        ("node_nm: 16\nentries:\n  sramm: {terms: [], source: x}\n", 3, "entries.sramm"),
        (
            "node_nm: 16\nentries:\n  sram: {terms: [{value_mm2: -1}], source: x}\n",
            3,
            "entries.sram.terms[0].value_mm2",
        ),
        ("node_nm: 16\nentries:\n  sram: {terms: [{value: 1}], source: x}\n", 3, "entries.sram.terms[0].value_mm2"),
        ("node_nm: 16\nentries:\n  sram: {terms: []}\n", 3, "entries.sram.source"),
        (
            "node_nm: 16\nentries:\n  sram: {terms: [{value_mm2: 1, per: 2}], source: x}\n",
            3,
            "entries.sram.terms[0].per",
        ),
        (
            "node_nm: 16\nentries:\n  sram: {terms: [{value_mm2: 1, range_mm2: [2, 3]}], source: x}\n",
            3,
            "entries.sram.terms[0].value_mm2",
        ),
        (
            "node_nm: 16\nentries:\n  sram: {terms: [{value_mm2: 1, range_mm2: [2]}], source: x}\n",
            3,
            "entries.sram.terms[0].range_mm2",
        ),
        (
            "node_nm: 16\nentries:\n  sram: {terms: [{value_mm2: 1, published: {value_mm2: 2, node_nm: 32}}]}\n",
            3,
            "entries.sram.terms[0].value_mm2",
        ),
        (
            "node_nm: 16\nentries:\n  sram: {terms: [{value_mm2: 1, published: {value_mm2: 4}}], source: x}\n",
            3,
            "entries.sram.terms[0].published.node_nm",
        ),
    ],
)
def test_bad_area_tables(tmp_path: Path, text: str, line: int, field: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_area_table(path)
    assert (caught.value.path, caught.value.line, caught.value.field) == (str(path), line, field)


def test_a_published_area_grows_with_the_square_of_the_node(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    term = "{value_mm2: 1, range_mm2: [0.5, 2], published: {value_mm2: 4, node_nm: 32}}"
    path.write_text(f"node_nm: 16\nentries:\n  sram: {{terms: [{term}], source: x}}\n")
    (found,) = load_area_table(path).entries["sram"].terms
    assert (found.value, found.range_mm2, found.published) == (1.0, (0.5, 2.0), (4.0, 32.0))


# --- fitted values ----------------------------------------------------------------------------------------------------

FITTED = """\
extends: literature_16nm
entries:
  crossbar.transfer:
    value_pj: 0.05
    fitted: [F7b-crossover-dcnn]
"""


def test_a_table_extends_another_and_replaces_entries(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(FITTED)
    table = load_energy_table(path)
    assert table.entries["crossbar.transfer"].fitted_to == ("F7b-crossover-dcnn",)
    assert table.entries["crossbar.transfer"].published is None
    ratio = table.energy_pj("crossbar", "transfer", CROSSBAR) / LITERATURE.energy_pj("crossbar", "transfer", CROSSBAR)
    assert ratio == pytest.approx(0.05 / 0.04)
    assert table.entries["sram.read"] == LITERATURE.entries["sram.read"]
    assert (table.node_nm, table.name) == (16, "mine")


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "words"),
    [
        ("0.05", "0.2", 4, "entries.crossbar.transfer.value_pj", "outside range_pj [0.02, 0.1]"),
        ("crossbar.transfer", "crosbar.transfer", 3, "entries.crosbar.transfer", "did you mean"),
        ("literature_16nm", "litterature_16nm", None, "energy table", "did you mean 'literature_16nm'"),
        ("entries:", "entrys:", 1, "entries", "did you mean 'entrys'"),
    ],
)
def test_bad_extensions(tmp_path: Path, old: str, new: str, line: int | None, field: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(FITTED.replace(old, new, 1))
    with pytest.raises(SpecError) as caught:
        load_energy_table(path)
    assert (caught.value.line, caught.value.field) == (line, field)
    assert words in str(caught.value)


def test_an_extension_is_not_extended(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(FITTED)
    (tmp_path / "two.yaml").write_text("extends: one\nentries: {}\n")
    with pytest.raises(SpecError, match="extends a table itself"):
        load_energy_table(tmp_path / "two.yaml")


def test_with_fitted() -> None:
    table = LITERATURE.with_fitted("scnn", {"dram.read": 10.0}, ["F10-opt"])
    entry = table.entries["dram.read"]
    assert (table.name, entry.law.value, entry.fitted_to, entry.published) == ("scnn", 10.0, ("F10-opt",), None)
    assert LITERATURE.entries["dram.read"].law.value == 8
    with pytest.raises(SpecError, match="outside"):
        LITERATURE.with_fitted("scnn", {"dram.read": 100.0}, ["F10-opt"])
    with pytest.raises(SpecError, match=r"did you mean 'dram.read'"):
        LITERATURE.with_fitted("scnn", {"dram.raed": 10.0}, ["F10-opt"])
