"""`detmon export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from detmon.cli import options, output

app = options.noun()
DEFAULT = "version"
"""`detmon export VERSION` is short for `detmon export version VERSION`."""


class Layout(StrEnum):
    """How a version is written."""

    coco = "coco"
    yolo = "yolo"


@app.command("version")
def version(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="The version's id or name.")],
    format: Annotated[Layout, typer.Option(help="coco: instances_SPLIT.json; yolo: data.yaml and a text a picture.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    image_root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the pictures lie, before their addresses.")
    ] = None,
    link: Annotated[bool, typer.Option("--link/--copy", help="Link to local pictures (default: copy).")] = False,
    no_images: Annotated[bool, typer.Option("--no-images", help="Labels only.")] = False,
    json: options.Json = False,
) -> None:
    """Write a version for trainers: pictures and labels. `version` may be left out.

    Example: detmon export "v2 - with feedback" --format yolo --out data/v2
    """
    done = options.client(ctx).export_version(
        version, format.value, out, image_root=image_root, link=link, images=not no_images
    )
    for warning in done.warnings:
        output.warn(f"{warning.code}: {warning.message}")
    if json:
        output.document(done)
        return
    splits = ", ".join(f"{name} {done[name]:,}" for name in ("train", "val", "test") if done[name])
    output.line(f"{done.images:,} images ({splits or 'none'}), {done.annotations:,} objects in {done.out}")
    if done.left_out:
        output.note(f"{sum(done.left_out.values()):,} images are left out: {out / 'left_out.csv'}")


@app.command("predictions")
def predictions(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    period: Annotated[str | None, typer.Option(help="Only those of this time (default: all).")] = None,
    json: options.Json = False,
) -> None:
    """Write the log as Parquet, a folder a day (UTC); `detmon ingest DIR` takes it back.

    Example: detmon export predictions --model vehicles@3 --period 'last 7d' --out log
    """
    done = options.client(ctx).export_predictions(out, model, period)
    if json:
        output.document(done)
    else:
        output.line(
            f"{done.predictions:,} predictions, {done.detections:,} detections in {done.files:,} files in {done.out}"
        )


@app.command("prometheus")
def prometheus(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option(help="The file, replaced at once (default: standard output).")] = None,
    window: Annotated[str, typer.Option(help="The time before now that metrics are taken of.")] = "1h",
    json: options.Json = False,
) -> None:
    """Write metrics, alerts and counters in the text format of Prometheus. Run it from cron, after the check.

    Example: detmon export prometheus --out /var/lib/node_exporter/detmon.prom
    """
    done = options.client(ctx).export_prometheus(out, window)
    if json:
        output.document(done)
    elif out is None:
        output.verbatim(done.text)
    else:
        output.note(f"{done.samples} samples in {done.out}")
