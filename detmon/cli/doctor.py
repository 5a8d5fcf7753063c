"""`detmon doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.client import Client
    from detmon.doctor.records import Finding

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="The logs of this model only.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Prove all hourly sums, not only the newest.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 on a warning or an error.")] = False,
    json: options.Json = False,
) -> None:
    """Look for what makes numbers wrong or alerts silent: in the logs, the store, the settings, and around them.

    Example: detmon doctor --exit-code
    """
    client: Client = ctx.obj.client(lenient=True)
    found = client.run_doctor(model, full=full)
    if json:
        output.document(found)
    else:
        _show([one for one in found.findings if one.level != "ok"])
        well = [one for one in found.findings if one.level == "ok"]
        output.line(f"ok: {'; '.join(one.message for one in well)}") if ctx.obj.verbosity > 0 else output.line(
            f"{len(well)} checks found nothing (-v names them)"
        )
    raise typer.Exit(found.exit_code if exit_code or found.exit_code == 4 else 0)


def _show(findings: list[Finding]) -> None:
    for one in findings:
        output.wrapped(f"{one.level}: {f'{one.model_id}: ' if one.model_id else ''}{one.message}")
        if one.hint:
            output.wrapped(f"  hint: {one.hint}")
