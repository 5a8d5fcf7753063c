"""`detmon gate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, report
from detmon.cli.report import Report, ReportFormat, Section, Table

if TYPE_CHECKING:
    from detmon.gate import GateResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def gate(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A gate of the configuration: [gate.NAME].")],
    json: options.Json = False,
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.text,
) -> None:
    """Let CI decide: exit 0 when the gate passes, 1 when it fails, 3 when it cannot be decided.

    Example: detmon gate promote
    """
    found = options.client(ctx).run_gate(name)
    report.show(_report(found), found, ReportFormat.json if json else format)
    raise typer.Exit(found.exit_code)


_SAYS = {"pass": "passes", "fail": "fails", "undecided": "cannot be decided"}


def _report(found: GateResult) -> Report:
    rows = [
        {"check": one.check, "status": one.status, "observed": one.observed, "required": one.required}
        for one in found.checks
    ]
    said = [f"{one.check}: {one.message}" for one in found.checks]
    return Report(f"Gate {found.gate}", f"The gate {_SAYS[found.decision]}.", [Section("Checks", [Table(rows), *said])])
