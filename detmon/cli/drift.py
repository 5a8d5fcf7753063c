"""`detmon drift`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from detmon.cli import options
from detmon.cli.drift_report import drift_report
from detmon.cli.reading import given, reading_options
from detmon.cli.report import ReportFormat, show

app = options.noun()


@app.command("check")
@reading_options
def check(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="The model's id or name, where there are several.")] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="The normal (default: the baseline, or 28 days before).")
    ] = None,
    current: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="What is compared with it (default: 'last 7d').")
    ] = None,
    by: Annotated[str | None, typer.Option(help="source: a check a source, too.")] = None,
    block: Annotated[
        str, typer.Option(metavar="auto|source|LENGTH", help="What is compared: days, sources, or blocks of a length.")
    ] = "auto",
    reference_log: Annotated[
        list[str] | None, typer.Option(metavar="LOG", help="Compare logs instead, unstored; options of `ingest` apply.")
    ] = None,
    current_log: Annotated[list[str] | None, typer.Option(metavar="LOG", help="The log to compare with it.")] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 on drift or a silent source, 3 without a verdict.")
    ] = False,
    json: options.Json = False,
    format: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.text,
    **reading: Any,
) -> None:
    """Say whether the detections of a period differ from the normal more than the model's own days do.

    Example: detmon drift check --model vehicles@3 --reference 2024-01-01:2024-01-31 --current 2024-02-01:2024-02-28
    """
    found = options.client(ctx).check_drift(
        model, reference, current, by=by, block=block, reference_log=reference_log, current_log=current_log,
        **given(reading),
    )  # fmt: skip
    show(drift_report(found), found, ReportFormat.json if json else format)
    raise typer.Exit(found.exit_code if exit_code else 0)
