"""`detmon status`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def status(
    ctx: typer.Context,
    max_age: Annotated[
        str | None, typer.Option(help="With --exit-code: 1 if the last check is older, 3 if there was none.")
    ] = None,
    exit_code: options.ExitCode = False,
    json: options.Json = False,
) -> None:
    """Show what is in the store, what fires, what waits.

    Example: detmon status --max-age 15m --exit-code
    """
    found = options.client(ctx).status(max_age)
    if json:
        output.document(found)
    else:
        columns = ["model_id", "predictions", "detections", "sources", "classes", "first", "last"]
        pruned = ["pruned", "pruned_before"] if any(model.pruned for model in found.models) else []
        output.rows(found.models, [*columns, *pruned], empty="no models yet")
        shown = found.to_dict()
        output.pairs({key: shown[key] for key in ("rejected", "alerts", "items", "outbox", "training", "checked_at")})
    if exit_code:
        raise typer.Exit({"stale": 1, "never": 3}.get(found.last_check or "", 0))
