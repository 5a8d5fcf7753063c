"""`detmon feedback`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.feedback.records import Imported, Matched

app = options.noun()

COLUMNS = (
    "prediction_id", "detection_index", "type", "label", "true_label", "reviewer", "timestamp", "current", "disputed",
    "image_id",
)  # fmt: skip
SHOWN = 20
"""So many rejected rows are named on stderr."""


@app.command("add")
def add(
    ctx: typer.Context,
    prediction_id: Annotated[str, typer.Argument(help="The prediction that is judged.")],
    type: Annotated[str, typer.Option(help="correct, wrong_label, wrong_box, false_positive or missed_object.")],
    detection: Annotated[
        str | None, typer.Option(metavar="N", help="The box: its place from 0, or its id (default: the image).")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The true label.")] = None,
    bbox: Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="The true box, in pixels.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    scope: Annotated[
        str | None, typer.Option(help="boxes_only (default), or exhaustive: the whole image was looked at.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Judge one box, or one image.

    Example: detmon feedback add ffac6637fe665d8c23800c258206a684 --type wrong_label --detection 0 --label truck
    """
    client = options.client(ctx)
    added = client.add_feedback(prediction_id, type, detection, label, bbox, reviewer, scope)
    output.document(added) if json else output.line(added.feedback_id)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="CSV, JSON Lines or Parquet; - is standard input.")],
    json: options.Json = False,
) -> None:
    """Take a file of verdicts. The same row is taken once; a bad one is rejected alone.

    Example: detmon feedback import verdicts.csv
    """
    done = options.client(ctx).import_feedback(file)
    _complain(done)
    output.document(done) if json else _show(done)


def _complain(done: Imported) -> None:
    for warning in done.warnings:
        output.warn(f"{done.file}: {warning.code}: {warning.message}")
    for row in done.rejections[:SHOWN]:
        output.problem(f"{done.file}:{row.line}: {row.reason}")
    if done.rejected:
        output.note(f"{done.rejected:,} rejected; `detmon quarantine list --file {done.file}` shows them")


def _show(done: Imported) -> None:
    counts = {name: done[name] for name in ("accepted", "duplicates", "waiting", "rejected")}
    output.line(", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name == "accepted"))
    if done.waiting:
        output.note("verdicts whose prediction is not stored yet wait for it, and count nowhere before")


@app.command("match")
def match(
    ctx: typer.Context,
    ground_truth: Annotated[str, typer.Argument(help="COCO dataset, YOLO folder, MOT gt.txt or CVAT XML.")],
    model: Annotated[str, typer.Option(help="The model whose predictions are judged.")],
    period: Annotated[str | None, typer.Option(help="Only those of this time (default: all).")] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="The confidence from which on boxes were served; others are not judged.")
    ] = None,
    iou: Annotated[float | None, typer.Option(help="Overlap from which on an object is found (default: 0.5).")] = None,
    image_id: Annotated[str | None, typer.Option(help="path, name or stem: how a path becomes an image id.")] = None,
    image_size: Annotated[str | None, typer.Option(metavar="WxH", help="Pixels, where none are logged (YOLO).")] = None,
    label: Annotated[str | None, typer.Option(help="The label of all objects (MOT).")] = None,
    source: Annotated[str | None, typer.Option(help="The sequence's name in the image ids (MOT).")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who says so (default: ground-truth).")] = None,
    json: options.Json = False,
) -> None:
    """Judge all predictions that have ground truth: right, wrong and how, and what was missed.

    Example: detmon feedback match annotations.json --model vehicles@3 --min-confidence 0.5
    """
    done = options.client(ctx).match_feedback(
        ground_truth, model, period, min_confidence=min_confidence, iou=iou, image_id=image_id,
        image_size=options.size(image_size), label=label, source=source, reviewer=reviewer,
    )  # fmt: skip
    for warning in done.warnings:
        output.warn(f"{done.file}: {warning.code}: {warning.message}")
    output.document(done) if json else _show_match(done)


def _show_match(done: Matched) -> None:
    counts = [f"{done.predictions:,} images", f"{done.objects:,} objects", f"{done.detections:,} boxes"]
    output.line(", ".join(counts) + (f" from {done.threshold:g} on" if done.threshold is not None else ""))
    output.pairs({f"  {name}": count for name, count in done.feedback.items()})
    output.pairs({name: done[name] for name in ("precision", "recall", "f1")})
    output.pairs({"errors": done.tide})
    output.line(f"{done.accepted:,} verdicts" + (f", {done.duplicates:,} duplicates" if done.duplicates else ""))


@app.command("list")
def list_(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only those on this model's predictions.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Only those on this prediction.")] = None,
    type: Annotated[str | None, typer.Option(help="Only those of this type.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those whose prediction is not stored yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """List verdicts, newest first. `current`: it counts; `disputed`: another verdict on the box says something else.

    Example: detmon feedback list --model vehicles@3 --type wrong_label
    """
    rows = options.client(ctx).list_feedback(model, prediction, type, waiting=waiting, limit=limit)
    output.rows(rows, COLUMNS, format=options.chosen(format, json), empty="no feedback yet")
