"""`detmon sql`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def sql(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="One question in DuckDB's SQL.")],
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Ask the store in SQL: tables predictions and detections. Nothing is written, no file or network is reached.

    Example: detmon sql "SELECT label, count(*) AS boxes FROM detections GROUP BY label ORDER BY boxes DESC"
    """
    output.rows(options.client(ctx).ask_sql(query), format=options.chosen(format, json), empty="no rows")
