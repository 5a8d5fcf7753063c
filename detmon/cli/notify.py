"""`detmon notify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun()

COLUMNS = ["notice_id", "target", "kind", "status", "last_error", "attempts", "created_at"]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of notices, or their first digits.", metavar="ID...")]
Dead = Annotated[bool, typer.Option("--dead", help="All dead letters.")]
EnvFile = Annotated[
    Path | None, typer.Option(help="KEY=VALUE lines for the environment; only its owner may read the file.")
]


@app.command("test")
def try_target(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(help="For example slack:#ml-alerts or email:team@example.com.")],
    kind: Annotated[str, typer.Option(help="firing, resolved or digest.")] = "firing",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")] = False,
    env_file: EnvFile = None,
    json: options.Json = False,
) -> None:
    """Send a message headed TEST to a target.

    Example: detmon notify test slack:#ml-alerts
    """
    client = options.client(ctx)
    client.use_env_file(env_file)
    result = client.test_target(target, kind=kind, dry_run=dry_run, console=output.console(json))
    for problem in result.problems:
        output.warn(problem)
    if json:
        output.document(result)
    elif result.payload is not None:
        output.text(result.payload)
    else:
        output.pairs({key: result[key] for key in ("target", "status", "latency_ms", "size", "receipt", "reason")})
    if result.status == "not delivered":
        raise typer.Exit(4)


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[
        str | None, typer.Option(help="Only these: queued, sending, sent, dead, merged, dropped.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 100,
    refreshes: Annotated[
        bool, typer.Option("--refreshes", help="Also what upheld an open alert at Alertmanager, check by check.")
    ] = False,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """List notices, newest first.

    Example: detmon notify list --status dead
    """
    rows = options.client(ctx).list_notices(status=status, limit=limit, refreshes=refreshes)
    output.rows(rows, COLUMNS, format=options.chosen(format, json), empty="no notices")


@app.command("show")
def show(
    ctx: typer.Context,
    notice: Annotated[str, typer.Argument(help="The notice's id, or its first digits.")],
    json: options.Json = False,
) -> None:
    """Show one notice and its message.

    Example: detmon notify show 5f0c1e
    """
    found = options.client(ctx).show_notice(notice)
    if json:
        output.document(found)
        return
    output.pairs({key: value for key, value in found.to_dict().items() if key not in ("title", "text")})
    output.line()
    output.text(found.text)


@app.command("retry")
def retry(
    ctx: typer.Context,
    notices: Ids = None,
    dead: Dead = False,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Make dead or waiting notices due at once; the next check or `notify send` sends them.

    Example: detmon notify retry --dead
    """
    rows = options.client(ctx).retry_notices(notices or [], dead=dead)
    output.rows(rows, COLUMNS, format=options.chosen(format, json), empty="no dead letters")


@app.command("drop")
def drop(
    ctx: typer.Context,
    notices: Ids = None,
    dead: Dead = False,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Give dead or waiting notices up.

    Example: detmon notify drop 5f0c1e
    """
    rows = options.client(ctx).drop_notices(notices or [], dead=dead)
    output.rows(rows, COLUMNS, format=options.chosen(format, json), empty="no dead letters")


@app.command("send")
def send(ctx: typer.Context, env_file: EnvFile = None, json: options.Json = False) -> None:
    """Send the notices that are due. `alert check` does it too, after checking.

    Example: detmon notify send
    """
    client = options.client(ctx)
    client.use_env_file(env_file)
    delivery = client.send_notices(console=output.console(json))
    for problem in delivery.problems:
        output.warn(problem)
    if json:
        output.document(delivery)
    elif sys.stdout.isatty():
        output.note(f"{delivery.sent} sent, {delivery.queued} waiting, {delivery.dead} dead")
    if delivery.failed:
        raise typer.Exit(4)
