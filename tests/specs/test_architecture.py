"""Accelerator files: components that nothing uses, and what identifies a file that extends others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from timeloop_py.specs.architecture import load_architecture
from timeloop_py.specs.errors import SpecError
from timeloop_py.specs.library import find

SCNN = find("arch_specs", "scnn").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weight_bus", "weight_buss"),
        ("halo_link", "halo_links"),
        ("weight_register", "weigth_register"),
    ],
)
def test_a_misspelt_component_is_refused_with_the_nearest_name(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SCNN.replace(f"  {old}:", f"  {new}:"), encoding="utf-8")
    with pytest.raises(SpecError, match=f"{new}.*did you mean '{old}'") as caught:
        load_architecture(path)
    assert caught.value.path == str(path)


def test_a_component_with_an_area_alone_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SCNN + "  sequencer: {class: pe_other, count: 1}\n", encoding="utf-8")
    assert "sequencer" in load_architecture(path).components
    path.write_text(SCNN + "  sequencer: {class: register, width_bits: 8}\n", encoding="utf-8")
    with pytest.raises(SpecError, match="nothing in the dataflow pt_is_cp_sparse uses a component 'sequencer'"):
        load_architecture(path)


def test_the_dataflow_of_a_file_may_be_exchanged() -> None:
    dense = load_architecture("scnn", [("dataflow.name", "pt_is_dp_dense")])
    assert {"crossbar", "halo_link"} <= set(dense.components)


def test_a_digest_is_that_of_all_files_that_were_read(tmp_path: Path) -> None:
    base, middle, top = (tmp_path / name for name in ("base.yaml", "middle.yaml", "top.yaml"))
    base.write_text(SCNN, encoding="utf-8")
    middle.write_text(f"extends: {base}\nname: middle\n", encoding="utf-8")
    top.write_text(f"extends: {middle}\nname: top\n", encoding="utf-8")
    digests = [load_architecture(path).digest for path in (base, middle, top)]
    assert digests[0] == hashlib.sha256(base.read_bytes()).hexdigest()
    assert len(set(digests)) == 3
    base.write_text(SCNN + "# changed\n", encoding="utf-8")
    changed = [load_architecture(path).digest for path in (base, middle, top)]
    assert not set(changed) & set(digests)
