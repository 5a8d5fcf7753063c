"""`detmon quarantine`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun()


@app.callback()
def quarantine() -> None:
    """Records that were not stored, and why."""


@app.command("list")
def list_(
    ctx: typer.Context,
    file: Annotated[str | None, typer.Option(help="Only those of one file, as `ingest` named it.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """List the rejected records, oldest first.

    Example: detmon quarantine list --format csv
    """
    rows = options.client(ctx).list_quarantine(file=file, limit=limit)
    columns = ["file", "line", "field", "code", "reason"]
    output.rows(rows, columns, format=options.chosen(format, json), empty="no record was rejected")
