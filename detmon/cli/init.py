"""`detmon init`."""

from __future__ import annotations

import typer

from detmon.cli import options, output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def init(ctx: typer.Context) -> None:
    """Write a commented ./detmon.toml with every setting.

    Example: detmon init && detmon config check
    """
    path = options.client(ctx).init_config()
    output.note(f"wrote {path}")
