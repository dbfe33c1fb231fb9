import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeloop_py.report.latex import Column, escape, number, to_latex


def parse(source: str) -> tuple[str, list[list[str]]]:
    """Column letters and cells (head first) of the tabular in a source."""
    match = re.search(
        r"\\begin\{tabular\}\{([lr]+)\}\n\\toprule\n(.*)\\bottomrule\n\\end\{tabular\}", source, re.DOTALL
    )
    assert match is not None
    lines = [line for line in match[2].splitlines() if line != r"\midrule"]
    assert all(line.endswith(r" \\") for line in lines)
    return match[1], [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]


def value(text: str) -> float:
    """The number a reader sees."""
    text = text.replace(r"\,", "").replace("$-$", "-").replace("--", "nan")
    power = re.fullmatch(r"\$(-?[0-9.]+)\\times 10\^\{(-?\d+)\}\$", text)
    return float(power[1]) * 10 ** int(power[2]) if power else float(text)


FRAME = pd.DataFrame(
    {
        "architecture": ["scnn", "dcnn_opt"],
        "cycles": [1234567, 890],
        "energy_pj": [2.5e9, math.nan],
        "fits": [True, False],
    }
)


def test_a_table_reads_back() -> None:
    letters, cells = parse(to_latex(FRAME, renames={"dcnn_opt": "DCNN-opt"}))
    assert letters == "lrrl"
    assert cells == [
        ["Architecture", "Cycles", "Energy [pJ]", "Fits"],
        ["scnn", r"1\,234\,567", r"$2.500\times 10^{9}$", "yes"],
        ["DCNN-opt", "890", "--", "no"],
    ]


def test_columns_are_chosen_scaled_and_renamed() -> None:
    chosen = ["architecture", Column("energy_pj", unit="mJ", divisor=1e9, digits=3)]
    letters, cells = parse(to_latex(FRAME, [*chosen, Column("cycles", header="Latency", unit="cycles")]))
    assert letters == "lrr"
    assert cells[0] == ["Architecture", "Energy [mJ]", "Latency [cycles]"]
    assert cells[1] == ["scnn", "2.50", r"1\,234\,567"]


def test_units_are_set_in_latex() -> None:
    _, cells = parse(to_latex(pd.DataFrame({"area_mm2": [7.9]})))
    assert cells == [[r"Area [mm\textsuperscript{2}]"], ["7.900"]]


def test_caption_and_label() -> None:
    source = to_latex(FRAME, caption="50% of C_in", label="tab:cost")
    assert source.startswith(
        "\\begin{table}\n\\centering\n\\caption{50\\% of C\\_in}\n\\label{tab:cost}\n\\begin{tabular}"
    )
    assert source.endswith("\\end{tabular}\n\\end{table}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & c", r"a\_b \& c"),
        ("100% #1 $x$", r"100\% \#1 \$x\$"),
        ("{~^}", r"\{\textasciitilde{}\textasciicircum{}\}"),
        ("a\\b", r"a\textbackslash{}b"),
        ("two\nlines", "two lines"),
        ("<=>", r"\textless{}=\textgreater{}"),
    ],
)
def test_nothing_in_a_text_is_a_command(text: str, expected: str) -> None:
    assert escape(text) == expected


@given(st.text())
def test_escaped_text_has_no_bare_special_characters(text: str) -> None:
    bare = re.sub(r"\\[{}$&#%_]|\\text[a-z]+\{\d?\}", "", escape(text))
    assert not set(bare) & set("\\{}$&#%_^~\n")


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (0, "0"),
        (0.0, "0.000"),
        (1234, "1234"),
        (12345, r"12\,345"),
        (-12345678, r"$-$12\,345\,678"),
        (0.123456, "0.1235"),
        (99.996, "100.0"),
        (9999.96, r"10\,000"),
        (123456.7, r"123\,457"),
        (999999.9, r"$1.000\times 10^{6}$"),
        (0.0009999999, "0.001000"),
        (0.00012, r"$1.200\times 10^{-4}$"),
        (-1.5e7, r"$-1.500\times 10^{7}$"),
        (math.nan, "--"),
        (math.inf, r"$\infty$"),
        (-math.inf, r"$-\infty$"),
    ],
)
def test_numbers(given_value: float, expected: str) -> None:
    assert number(given_value) == expected


@given(st.floats(-1e30, 1e30), st.integers(2, 8))
def test_numbers_keep_their_significant_digits(number_in: float, digits: int) -> None:
    assert value(number(number_in, digits)) == pytest.approx(number_in, rel=0.5 * 10 ** (1 - digits), abs=1e-300)


@given(st.integers(-(10**18), 10**18))
def test_whole_numbers_are_printed_in_full(whole: int) -> None:
    assert int(number(whole).replace(r"\,", "").replace("$-$", "-")) == whole


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="area_mm2"):
        to_latex(FRAME, ["area_mm2"])
