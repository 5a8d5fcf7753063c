"""`detmon dataset`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun()


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The dataset's name.")],
    json: options.Json = False,
) -> None:
    """Make a dataset, in which an engine collects images for review.

    Example: detmon dataset create review
    """
    dataset = options.client(ctx).create_dataset(name=name)
    if json:
        output.document(dataset)
    else:
        output.line(dataset.id)


@app.command("list")
def list_(ctx: typer.Context, json: options.Json = False, format: options.Rows = output.Format.table) -> None:
    """List the datasets, and how far their review is.

    Example: detmon dataset list
    """
    datasets = options.client(ctx).list_datasets()
    columns = ["id", "name", "items", "created_at"]
    output.rows(datasets, columns, format=options.chosen(format, json), empty="no datasets yet")
