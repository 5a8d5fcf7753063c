"""`detmon apply`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.declared.records import Applied, Declared

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def apply(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="What is declared (default: ./detmon.toml).")] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what an earlier apply made and the file no longer declares.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    json: options.Json = False,
) -> None:
    """Make models, baselines, engines, alerts and A/B tests what a file declares: all of it, or nothing.

    Example: detmon apply detmon.toml --dry-run
    """
    done = options.client(ctx).apply(file, prune=prune, dry_run=dry_run)
    if json:
        output.document(done)
        return
    for verb in ("created", "changed", "removed", "waiting", "kept"):
        for one in done[verb]:
            _print(verb, one)
    _summary(done)


def _print(verb: str, one: Declared) -> None:
    model = f" of {one.model_id}" if one.model_id not in (None, one.name) else ""
    output.line(f"{verb:<8} {one.kind} {one.name}{model}" + (f": {one.reason}" if one.reason else ""))
    for key, (old, new) in one.difference.items():
        output.line(f"           {key}: {output.cell(old)} → {output.cell(new)}")


def _summary(done: Applied) -> None:
    counts = [f"{len(done[verb])} {verb}" for verb in ("created", "changed", "unchanged", "removed")]
    output.note(f"{done.file}: {', '.join(counts)}" + (" (dry run: nothing is written)" if done.dry_run else ""))
    for one in done.undeclared:
        output.note(f"{one.kind} {one.name} of an earlier apply is no longer declared: --prune removes it")
