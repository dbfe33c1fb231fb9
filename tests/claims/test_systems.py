"""Which exhibits a word names, and what a reproduction writes."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from timeloop_py.claims.ledger import Measured
from timeloop_py.claims.reproduction import write_reproduction
from timeloop_py.claims.systems import Exhibit, load_system
from timeloop_py.specs.errors import SpecError


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["fig7"], ("fig7",)),
        (["fig7a"], ("fig7",)),
        (["Fig7b", "table3"], ("table3", "fig7")),
        (["tables"], ("table1", "table2", "table3", "table4")),
        (["figures"], ("fig1", "fig7", "fig8", "fig9", "fig10")),
        (["sections"], ("section4", "section6c", "section6d")),
        (["design-space"], ("design_space",)),
        (["density_plane"], ("density_plane",)),
    ],
)
def test_words_name_exhibits_in_the_papers_order(scnn, words, names) -> None:
    assert scnn.chosen(words) == names


def test_without_words_everything(scnn) -> None:
    assert scnn.chosen([]) == tuple(scnn.exhibits)


@pytest.mark.parametrize(("word", "hint"), [("fig6", "fig"), ("tabels", "tables"), ("sensitivty", "sensitivity")])
def test_another_word_is_answered_with_the_nearest(scnn, word, hint) -> None:
    with pytest.raises(SpecError, match=hint) as error:
        scnn.chosen([word])
    assert error.value.field == "--only"


def test_unknown_systems_are_refused() -> None:
    with pytest.raises(SpecError, match="scnn") as error:
        load_system("scn")
    assert error.value.field == "--system"


def test_findings_are_those_of_the_exhibits(scnn) -> None:
    assert [finding.claim.id for finding in scnn.findings(["table2", "table4"])] == [
        "T2-peak", "T4-dcnn-area", "T4-dcnn-opt-area"
    ]  # fmt: skip
    assert scnn.findings(["design_space"]) == []


def test_a_reproduction_is_ledger_tables_latex_and_provenance(scnn, tmp_path) -> None:
    exhibit = Exhibit({"numbers": pd.DataFrame({"x": [1.5]})}, {}, {"numbers": "\\begin{table}\n"})
    system = replace(scnn, exhibits={"table2": lambda: exhibit}, measure=lambda claim: Measured(9.0))
    findings = system.findings(["table2"])
    written = write_reproduction(tmp_path, system, findings, ["table2"], ["timeloop-py", "reproduce"])
    assert [path.name for path in written] == [
        "ledger.csv", "numbers.csv", "ledger.json", "ledger.tex", "numbers.tex", "provenance.json"
    ]  # fmt: skip
    assert pd.read_csv(tmp_path / "ledger.csv")["verdict"].tolist() == ["miss"]
    assert json.loads((tmp_path / "ledger.json").read_text())[0]["ours"] == 9.0
    assert "T2-peak" in (tmp_path / "ledger.tex").read_text()
    assert "table scnn_16nm" in json.loads((tmp_path / "provenance.json").read_text())["specs"]
