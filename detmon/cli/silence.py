"""`detmon alert silence`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun("Alerts that are not to be told for a while.")


@app.command("add")
def add(
    ctx: typer.Context,
    matchers: Annotated[
        list[str], typer.Argument(metavar="MATCHER...", help="K=V, K!=V, K=~RE, K!~RE; all must hold.")
    ],
    for_: Annotated[str | None, typer.Option("--for", help="It lasts so long.")] = None,
    start: Annotated[str | None, typer.Option(help="It begins then (default: now).")] = None,
    end: Annotated[str | None, typer.Option(help="It ends then.")] = None,
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    author: Annotated[str | None, typer.Option(help="Who (default: your user name).")] = None,
    json: options.Json = False,
) -> None:
    """Do not tell of alerts that match; they are evaluated, and what is over is told to those who know.

    Labels: alertname, model_id, severity, those the alert is split by (source, label, tag:NAME), and its own.

    Example: detmon alert silence add source=cam-3 --for 2h --comment "lens is cleaned"
    """
    silence = options.client(ctx).add_silence(matchers, for_, start, end, comment, author)
    if json:
        output.document(silence)
    else:
        output.line(silence.silence_id)


@app.command("list")
def list_(ctx: typer.Context, json: options.Json = False, format: options.Rows = output.Format.table) -> None:
    """List the silences: active, pending, expired.

    Example: detmon alert silence list
    """
    rows = options.client(ctx).list_silences()
    output.rows(rows, format=options.chosen(format, json), empty="no silences")


@app.command("expire")
def expire(
    ctx: typer.Context,
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="The silence's id.")],
    json: options.Json = False,
) -> None:
    """End a silence now; the next check tells what still fires.

    Example: detmon alert silence expire si_0123456789ab
    """
    silence = options.client(ctx).expire_silence(silence_id)
    if json:
        output.document(silence)
    else:
        output.line(silence.silence_id)
