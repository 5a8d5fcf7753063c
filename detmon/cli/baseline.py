"""`detmon baseline`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.baselines import Baseline

app = options.noun()


@app.command("set")
def set_(
    ctx: typer.Context,
    model: Annotated[str, typer.Option(help="The model's id or name.")],
    period: Annotated[str, typer.Option(help="The normal, for example 2024-01-01:2024-01-31.")],
    json: options.Json = False,
) -> None:
    """Make a period the normal of a model, with its metrics' values. It replaces an earlier one.

    Example: detmon baseline set --model vehicles@3 --period 2024-01-01:2024-01-31
    """
    found = options.client(ctx).set_baseline(model, period)
    output.document(found) if json else _show(found)


@app.command("show")
def show(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="The model's id or name (default: all models).")] = None,
    json: options.Json = False,
) -> None:
    """Show the normal of a model.

    Example: detmon baseline show --model vehicles@3
    """
    found = options.client(ctx).show_baselines(model)
    if json:
        output.document(found)
        return
    for baseline in found:
        _show(baseline)
    if not found:
        output.note("no baseline yet: detmon baseline set --model M --period P")


def _show(baseline: Baseline) -> None:
    output.heading(f"{baseline.model_id}, {baseline.period}")
    rows: list[dict[str, Any]] = [
        {"metric": metric, "value": value.value, "n": value.n, "reason": value.reason}
        for metric, values in baseline.metrics.items()
        for value in values
        if not value.labels
    ]
    output.rows(rows)
