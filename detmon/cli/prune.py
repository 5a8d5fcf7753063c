"""`detmon prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def prune(
    ctx: typer.Context,
    older_than: Annotated[str, typer.Option(help="Rows older than this go, for example 90d.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
    json: options.Json = False,
) -> None:
    """Remove old predictions, and what is past of alerts. Rollups, reviewed and flagged predictions stay.

    Example: detmon prune --older-than 90d --dry-run
    """
    done = options.client(ctx).prune(older_than, dry_run=dry_run)
    if json:
        output.document(done)
        return
    for model in sorted({*done.predictions, *done.kept}):
        gone, kept = done.predictions.get(model, 0), done.kept.get(model, 0)
        output.line(f"{gone:,} predictions of {model} before {done.before:%Y-%m-%d %H:%M} UTC" + f"; {kept:,} stay")
    rest = {name: done[name] for name in ("runs", "evaluations", "notices", "silences")}
    output.line(", ".join(f"{n:,} {name}" for name, n in rest.items()) + " of alerts")
    if dry_run:
        output.note("dry run: nothing is removed")
    else:
        sizes = [f"{size / 1e6:,.1f} MB" for size in (done.bytes_before, done.bytes_after, done.bytes_free)]
        output.note("the file had {}, has {}, of which {} are free for rows to come".format(*sizes))
