"""`detmon model`."""

from __future__ import annotations

from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun()


@app.command("register")
def register(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The model's name.")],
    version: Annotated[str | None, typer.Option(help="Its version; the id is NAME@VERSION.")] = None,
    uri: Annotated[str | None, typer.Option(help="Where its weights are.")] = None,
    zone: Annotated[str | None, typer.Option(help="IANA zone of its days and hours (default: UTC).")] = None,
    json: options.Json = False,
) -> None:
    """Register a model before its first log arrives (a log does it on sight).

    Example: detmon model register vehicles --version 3 --uri s3://models/vehicles-3.pt
    """
    model = options.client(ctx).register_model(name=name, version=version, uri=uri, zone=zone)
    if json:
        output.document(model)
    else:
        output.line(model.id)


@app.command("list")
def list_(ctx: typer.Context, json: options.Json = False, format: options.Rows = output.Format.table) -> None:
    """List the models.

    Example: detmon model list --format csv
    """
    models = options.client(ctx).list_models()
    columns = ["id", "name", "version", "uri", "parent", "job_id"]
    output.rows(models, columns, format=options.chosen(format, json), empty="no models yet")


@app.command("show")
def show(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The model's id or name.")],
    json: options.Json = False,
) -> None:
    """Show one model.

    Example: detmon model show vehicles@3
    """
    found = options.client(ctx).get_model(model)
    if json:
        output.document(found)
    else:
        output.pairs(found.to_dict())


@app.command("promote")
def promote(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The model's id or name, or mlflow:NAME@ALIAS.")],
    alias: Annotated[str, typer.Option(help="What it is from now on, and no other model of its name.")] = "champion",
    json: options.Json = False,
) -> None:
    """Give a model an alias, by which every command then finds it; also in MLflow, if it has the model.

    Example: detmon gate promote && detmon model promote vehicles@4
    """
    found = options.client(ctx).promote_model(model, alias)
    if json:
        output.document(found)
    else:
        output.line(f"{found.id} is {alias}")
