"""`detmon config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.client import Client

app = options.noun()


@app.command("show")
def show(ctx: typer.Context, json: options.Json = False) -> None:
    """Show the settings in force, with secrets masked.

    Example: detmon config show --json
    """
    settings = options.client(ctx).show_config()
    if json:
        output.document(settings)
    else:
        output.pairs(settings.to_dict())


@app.command("check")
def check(ctx: typer.Context) -> None:
    """Read the configuration and complain about all that is wrong with it, and what this machine lacks.

    Example: detmon --config detmon.toml config check
    """
    client: Client = ctx.obj.client(lenient=True)
    problems = client.check_config()
    for problem in problems:
        output.warn(problem)
    files = ", ".join(client.show_config().files)
    if not problems:
        output.note(f"{files}: nothing wrong" if files else "no configuration file; every setting at its default")


@app.command("schema")
def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of configuration files, for editors.

    Example: detmon config schema > detmon.schema.json
    """
    client: Client = ctx.obj.client(lenient=True)
    output.document(client.show_config_schema())
