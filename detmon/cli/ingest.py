"""`detmon ingest`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detmon.cli import options, output
from detmon.errors import UsageError

if TYPE_CHECKING:
    from detmon.ingest.records import Ingested, Preview

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def ingest(
    ctx: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...", help="Files, folders, globs, s3://, gs://, https://; - is standard input."
        ),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="The format, when it cannot be told (default: auto).")] = None,
    model: Annotated[str | None, typer.Option(help="model_id of records that have none.")] = None,
    source: Annotated[str | None, typer.Option(help="source of records that have none.")] = None,
    images: Annotated[
        str | None, typer.Option(metavar="FILE", help="List or folder of the images the model really saw.")
    ] = None,
    frames: Annotated[str | None, typer.Option(metavar="A:B", help="The frames seen, both ends included.")] = None,
    complete: Annotated[bool, typer.Option("--complete", help="No image without detections is missing.")] = False,
    categories: Annotated[str | None, typer.Option(metavar="FILE", help="File of class names.")] = None,
    category_offset: Annotated[int | None, typer.Option(help="Added to class ids before the look-up.")] = None,
    label: Annotated[str | None, typer.Option(help="One label for all boxes.")] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="Time of the first frame.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second, with --start.")] = None,
    tz: Annotated[str | None, typer.Option(metavar="ZONE", help="Zone of times written without one.")] = None,
    image_size: Annotated[str | None, typer.Option(metavar="WxH", help="Pixels, where none are logged.")] = None,
    image_id: Annotated[str | None, typer.Option(help="path, name or stem: how a path becomes an image id.")] = None,
    box_format: Annotated[str | None, typer.Option(help="xywh, xyxy or cxcywh, each also with -norm.")] = None,
    score_scale: Annotated[str | None, typer.Option(help="probability, percent, logit or clip.")] = None,
    latency_unit: Annotated[str | None, typer.Option(help="ms or s.")] = None,
    confidence_floor: Annotated[float | None, typer.Option(help="Floor of records that have none.")] = None,
    merge_boxes: Annotated[
        float | None, typer.Option(metavar="IOU", help="Keep the best of overlapping boxes.")
    ] = None,
    map: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=COLUMN", help="A field from another column; repeatable.")
    ] = None,
    bad_rows: Annotated[str | None, typer.Option(help="quarantine (default) or fail.")] = None,
    dedup: Annotated[str | None, typer.Option(help="window (default) or full: where resent records are found.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until interrupted: - or one growing file.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be read; write nothing.")] = False,
    json: options.Json = False,
) -> None:
    """Read prediction logs into the store. The same file, and the same record, is taken once.

    Example: detmon ingest logs/*.parquet --model vehicles@3
    """
    named = sources or ([] if sys.stdin is None or sys.stdin.isatty() else ["-"])
    if not named:
        raise UsageError("nothing to read", "detmon ingest FILE, FOLDER, 'GLOB' or - for standard input")
    given = {name: value for name, value in ctx.params.items() if name in READING and _said(value)}
    os.environ.setdefault(
        "ARROW_DEFAULT_MEMORY_POOL", "system"
    )  # its own keeps 100 MB more, and costs a tenth more CPU
    client = options.client(ctx)
    if dry_run:
        expected = client.preview_ingest(named, **given)
        _complain(expected)
        output.document(expected) if json else _show_preview(expected)
        raise typer.Exit(expected.exit_code)
    with _progress() as look:
        done = client.ingest(named, follow=follow, look=look, **given)
    _complain(done)
    output.document(done) if json else _show(done)
    raise typer.Exit(done.exit_code)


READING = (
    "log_format", "model", "source", "images", "frames", "complete", "categories", "category_offset", "label", "start",
    "fps", "tz", "image_size", "image_id", "box_format", "score_scale", "latency_unit", "confidence_floor",
    "merge_boxes", "map", "bad_rows", "dedup",
)  # fmt: skip
"""The options that say how a log is read; the configuration's `[ingest."GLOB"]` has the same."""


def _said(value: Any) -> bool:
    return value is not None and value is not False and value != []


def _complain(done: Ingested | Preview) -> None:
    for file in done.files:
        for warning in file.warnings:
            output.warn(f"{file.path}: {warning.code}: {warning.message}")
    for error in done.errors:
        output.complain(error)


def _show(done: Ingested) -> None:
    if len(done.files) > 1:
        output.rows(done.files, ["path", "format", "status", "predictions", "detections", "duplicates", "rejected"])
    seen = sum(file.status == "seen" for file in done.files)
    text = f"{_count(done.predictions, 'prediction')} with {_count(done.detections, 'detection')}"
    text += f", {_count(done.duplicates, 'duplicate')}" if done.duplicates else ""
    text += f", {done.rejected:,} rejected" if done.rejected else ""
    text += f", {_count(seen, 'file')} seen before" if seen else ""
    output.line(text)
    if done.rejected:
        output.note("`detmon quarantine list` shows the rejected records")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _show_preview(expected: Preview) -> None:
    for file in expected.files:
        output.line(file.path)
        if file.format is None:
            output.pairs({"status": file.status})
            continue
        about = {"format": file.format, "because": file.because, "status": file.status}
        counts = {"predictions": file.predictions, "detections": file.detections, "rejected": file.rejected}
        shown = [{**record, "first_box": _first_box(record)} for record in file.records]
        alike = {name: shown[0][name] for name in ("model_id", "source") if len({one[name] for one in shown}) == 1}
        output.pairs({**about, **{f"  {name}": column for name, column in file.mapping.items()}, **counts, **alike})
        differ = [name for name in ("source", "model_id") if name not in alike]
        output.rows(shown, ["image_id", "ts", "first_box", "n_detections", *differ], empty="no record")
    output.note("dry run: nothing was written")


def _first_box(record: Mapping[str, Any]) -> str | None:
    """The first detection: its label, its score, and the box in pixels from the top-left corner."""
    if not record["detections"]:
        return None
    box = record["detections"][0]
    score = "-" if box["confidence"] is None else f"{box['confidence']:.2f}"
    sides = "no box" if box["x"] is None else "{x:.0f},{y:.0f} {w:.0f}x{h:.0f}".format(**box)
    return f"{box['label']} {score} {sides}"


@contextmanager
def _progress() -> Iterator[Callable[[Any], None]]:
    """A line on stderr that moves while files are read; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield lambda at: status.update(f"{at.log} of {at.logs}: {output.printable(at.path)}, {at.rows:,} records")
