"""``timeloop-py reproduce``: a publication's tables, figures and claims from the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from timeloop_py.cli.options import OutputFormat, command_line, format_option, note
from timeloop_py.specs.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from timeloop_py.claims.ledger import Finding

#: A claim misses its tolerance.
CLAIM_MISSED = 1
#: Of claims with more numbers the table gives the range of their differences.
MOST_NUMBERS = 5


@click.command("reproduce")
@click.option("--system", "name", default="scnn", show_default=True, help="Whose ledger.")
@click.option(
    "--only", multiple=True, metavar="EXHIBIT", help="fig7, table3, section6d, tables, figures, ... Repeatable. [all]"
)
@format_option
@click.option(
    "-o",
    "--output",
    default="results/reproduction",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Result folder.",
)
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw the figures.")
@click.option("--calibrate", is_flag=True, help="First fit the few energies that three claims decide, and write them.")
@click.option(
    "--table", type=click.Path(path_type=Path), help="Where --calibrate writes. [the shipped table scnn_16nm]"
)
def command(
    name: str,
    only: tuple[str, ...],
    form: OutputFormat,
    output: Path,
    plots: bool,
    calibrate: bool,
    table: Path | None,
) -> None:
    """Rebuild the tables and figures of the SCNN paper and print its claims beside the model's numbers.

    Writes every table and figure as CSV, LaTeX, PDF and PNG, and prints the ledger: claim, paper, ours, difference,
    tolerance, verdict (pass, miss, report), and whether it is predicted or one that an energy was fitted to. Exit code
    1 where a claim misses its tolerance.
    """
    from timeloop_py.claims.ledger import count_verdicts
    from timeloop_py.claims.reproduction import csv_text, json_text, write_reproduction
    from timeloop_py.claims.systems import load_system
    from timeloop_py.report.bundle import check_writable

    if table is not None and not calibrate:
        raise SpecError("says where --calibrate writes: give that too", field="--table")
    if calibrate:
        _calibrate(table)
    system = load_system(name)
    exhibits = system.chosen(only)
    check_writable(output)
    findings = system.findings(exhibits)
    written = write_reproduction(output, system, findings, exhibits, command_line(), plots)
    for path in written:
        click.echo(path, err=True)
    if form == "table":
        click.echo(_table(findings))
    else:
        click.echo(csv_text(findings) if form == "csv" else json_text(findings), nl=False)
    note(count_verdicts(findings))
    if any(finding.verdict == "miss" for finding in findings):
        sys.exit(CLAIM_MISSED)


def _calibrate(table: Path | None) -> None:
    from timeloop_py.claims.scnn import calibration

    fitted = calibration.calibrate()
    path = calibration.write_table(fitted, table or calibration.table_path())
    for event, value in fitted.values_pj.items():
        entry = fitted.base.entries[event]
        low, high = entry.range_pj
        note(f"{event}: {value:g} pJ, literature {entry.law.value:g}, range {low:g} to {high:g}")
    note(f"wrote {path}")


def _cell(text: str, finding: Finding) -> str:
    """A value, or how many there are where a line would not hold them; the files have them all."""
    count = len(finding.difference)
    return text if count <= MOST_NUMBERS else f"{count} numbers"


def _differences(finding: Finding) -> str:
    found = finding.difference
    if len(found) <= MOST_NUMBERS:
        return "/".join(f"{one:+.1%}" for one in found)
    return f"{min(found):+.1%} to {max(found):+.1%}"


def _table(findings: Sequence[Finding]) -> str:
    """Aligned columns; below them, what the numbers mean, misses first."""
    from timeloop_py.cli.text_table import aligned

    lines = [["id", "paper", "ours", "difference", "tolerance", "verdict", "kind", "uncalibrated"]]
    for finding in findings:
        claim, measured = finding.claim, finding.measured
        before = measured.uncalibrated
        lines.append(
            [
                claim.id,
                _cell(claim.text(claim.paper), finding),
                _cell(claim.text(measured.value), finding),
                _differences(finding),
                claim.tolerance_text + (" (at most)" if claim.upper_bound else ""),
                finding.verdict,
                finding.kind,
                "" if before is None else claim.text(before),
            ]
        )
    shown = sorted(findings, key=lambda finding: finding.verdict != "miss")
    notes = [f"{finding.claim.id}: {finding.note}" for finding in shown if finding.note]
    return "\n".join([*aligned(lines, left={0, 5, 6}), "", *notes])
