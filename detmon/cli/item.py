"""`detmon item`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun()

Dataset = Annotated[str, typer.Option(help="The dataset's id or name.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    dataset: Dataset,
    status: Annotated[str | None, typer.Option(help="needs_review, reviewed or ignored (default: all).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 100,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """List the items of a dataset, in random order: the first hundred are a random hundred.

    Example: detmon item list --dataset review --status needs_review --json
    """
    items = options.client(ctx).get_flagged_items(dataset, status, limit)
    columns = ["item_id", "image_id", "model_id", "timestamp", "reasons", "inclusion_probability", "status"]
    output.rows(items, columns, format=options.chosen(format, json), empty="no such items")


@app.command("set")
def set_(
    ctx: typer.Context,
    item: Annotated[str, typer.Argument(help="The item's id.")],
    status: Annotated[str, typer.Option(help="needs_review, reviewed or ignored.")],
    json: options.Json = False,
) -> None:
    """Set an item's status by hand. A complete review sets it by itself.

    Example: detmon item set it_0123456789ab --status ignored
    """
    done = options.client(ctx).set_item(item, status)
    if json:
        output.document(done)


@app.command("add")
def add(
    ctx: typer.Context,
    predictions: Annotated[list[str], typer.Argument(metavar="PREDICTION_ID...", help="Ids of predictions.")],
    dataset: Dataset,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Add predictions to a dataset by hand; they never enter an estimate of quality.

    Example: detmon item add --dataset review 0a1b2c3d4e5f60718293a4b5c6d7e8f9
    """
    added = options.client(ctx).add_items(dataset, predictions)
    output.rows(added, ["item_id", "prediction_id", "status"], format=options.chosen(format, json))
