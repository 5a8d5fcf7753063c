"""`detmon metric`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun()


@app.command("list")
def list_(ctx: typer.Context, json: options.Json = False, format: options.Rows = output.Format.table) -> None:
    """List the metrics that alerts, gates and `metric show` know.

    Example: detmon metric list
    """
    columns = ["name", "unit", "bad", "min_samples", "description"]
    output.rows(options.client(ctx).list_metrics(), columns, format=options.chosen(format, json))


@app.command("show")
def show(
    ctx: typer.Context,
    metric: Annotated[str, typer.Argument(help="A metric of `detmon metric list`.")],
    model: Annotated[str, typer.Option(help="The model's id or name.")],
    window: Annotated[str | None, typer.Option(help="The time up to now (default: 1h).")] = None,
    period: Annotated[str | None, typer.Option(help="A period, for example 'last 7d'.")] = None,
    every: Annotated[str | None, typer.Option(help="Split it into steps of this length.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Split by source, label or tag:NAME.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only rows with NAME=VALUE.")] = None,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Show a metric of one model, with the reason where it has no value.

    Example: detmon metric show avg_confidence --model vehicles@3 --period 'last 7d' --every 1d --by source
    """
    series = options.client(ctx).show_metric(
        metric,
        model,
        window=window,
        period=period,
        every=every,
        by=by or (),
        where=options.pairs(where),
    )
    if json:
        output.document(series)
    else:
        interval = ["low", "high"] if any(point.low is not None for point in series.points) else []
        output.rows(series.points, ["start", "end", "labels", "value", *interval, "n", "reason"], format=format)
