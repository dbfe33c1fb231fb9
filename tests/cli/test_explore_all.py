"""``explore --arch all``: every accelerator, one table and one figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from click.testing import CliRunner

from timeloop_py.cli.main import main


def test_all_accelerators_on_a_small_network(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    result = CliRunner().invoke(main, ["explore", "--arch", "all", "--network", "lenet5", "-o", str(folder)])
    assert result.exit_code == 0, result.output
    table = pd.read_csv(folder / "comparison.csv")
    assert set(table["zeros"]) == {"own", "none"}
    assert {"scnn", "dcnn", "dadiannao", "eyeriss", "cnvlutin", "cambricon_x", "eie"} <= set(table["architecture"])
    assert (folder / "comparison.png").is_file()
    eie = table[(table["architecture"] == "eie") & (table["zeros"] == "own")].iloc[0]
    assert (eie["layers"], eie["layers_left_out"]) == (2, 2)
    assert "fully connected" in eie["note"]
    assert not (folder / "slides.csv").exists()


def test_densities_do_not_go_with_all(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["explore", "--arch", "all", "--density", "0.5", "-o", str(tmp_path / "x")])
    assert result.exit_code == 2
    assert "--arch all" in result.output
