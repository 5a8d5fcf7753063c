"""`detmon config`."""

from __future__ import annotations

import typer

from detmon.cli import options, output

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
    """Read the configuration and complain about what is wrong with it.

    Example: detmon --config detmon.toml config check
    """
    client = options.client(ctx)
    problems = client.check_config()
    for problem in problems:
        output.warn(problem)
    files = ", ".join(client.show_config().files)
    if not problems:
        output.note(f"{files}: nothing wrong" if files else "no configuration file; every setting at its default")
