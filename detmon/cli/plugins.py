"""`detmon plugins`."""

from __future__ import annotations

import typer

from detmon.cli import options, output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def plugins(ctx: typer.Context, json: options.Json = False, format: options.Rows = output.Format.table) -> None:
    """List the installed plugins: where each comes from, what it brings, or why it did not load.

    Example: detmon plugins
    """
    found = options.client(ctx).list_plugins()
    columns = ["name", "distribution", "version", "schemes", "formats", "metrics", "trainers", "error"]
    output.rows(found, columns, format=options.chosen(format, json), empty="no plugins")
