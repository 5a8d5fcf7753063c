"""`detmon demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detmon.cli import options, output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to work; nothing outside is touched.")] = Path("detmon-demo"),
    json: options.Json = False,
) -> None:
    """Make a month of a small camera fleet, watch it, and show what happened.

    Example: detmon demo
    """
    story = ctx.obj.client().run_demo(folder, say=lambda text: None if json else output.line(text))
    if json:
        output.document(story)
