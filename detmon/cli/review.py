"""`detmon review`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.review.records import ReviewExported, ReviewImported

app = options.noun()

SHOWN = 20
"""So many rejections are named on stderr."""
Dataset = Annotated[str, typer.Option(help="The dataset's id or name.")]
Status = Annotated[str, typer.Option(help="needs_review, reviewed, ignored or all.")]
Limit = Annotated[int | None, typer.Option(min=1, help="So many items at most (default: all).")]
MinConfidence = Annotated[
    float | None, typer.Option(help="Boxes below are not shown, and not judged (default: all are).")
]
Root = Annotated[
    str | None, typer.Option(metavar="DIR", help="Where the images lie that the log names by relative paths.")
]
Prefix = Annotated[
    str | None, typer.Option(metavar="URL", help="The address under which the tool finds what is below --image-root.")
]


Url = Annotated[str | None, typer.Option(metavar="URL", help="The server (default: LABEL_STUDIO_URL).")]
BoxesOnly = Annotated[
    bool, typer.Option("--boxes-only", help="Only the boxes were judged: nothing is said of missed objects.")
]
Reviewer = Annotated[str | None, typer.Option(help="Who reviewed, where nobody is named.")]


@app.command("export")
def export(
    ctx: typer.Context,
    dataset: Dataset,
    format: Annotated[str, typer.Option(help="label-studio, cvat, coco, csv, or html: a page for the browser.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    status: Status = "needs_review",
    limit: Limit = None,
    min_confidence: MinConfidence = None,
    image_root: Root = None,
    url_prefix: Prefix = None,
    embed: Annotated[bool, typer.Option("--embed", help="Put local images into the page (html).")] = False,
    copy_images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put local images there, named as the file names them (cvat).")
    ] = None,
    json: options.Json = False,
) -> None:
    """Write flagged items as a file for reviewers, with the model's boxes to correct.

    Example: detmon review export --dataset review --format html --out review.html --image-root images
    """
    done = options.client(ctx).export_review(
        dataset, format, out, status=status, limit=limit, min_confidence=min_confidence, image_root=image_root,
        url_prefix=url_prefix, embed=embed, copy_images=copy_images,
    )  # fmt: skip
    for warning in done.warnings:
        output.warn(warning.message)
    output.document(done) if json else _show_export(done)


def _show_export(done: ReviewExported) -> None:
    output.line(f"{done.items:,} items, {done.boxes:,} boxes to judge: {done.file}")
    if not done.items:
        output.note("no item has this status: `detmon dataset list` counts them, --status all takes all")
    if done.labels:
        output.line(f"labels for the tool: {done.labels}")


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="What the tool exported; - is standard input.")],
    boxes_only: BoxesOnly = False,
    reviewer: Reviewer = None,
    json: options.Json = False,
) -> None:
    """Take a reviewed file: Label Studio's JSON, CVAT XML, COCO, the CSV, or the file of the review page.

    Example: detmon review import project-1-at-2026-11-20.json
    """
    done = options.client(ctx).import_review(file, boxes_only=boxes_only, reviewer=reviewer)
    _show_import(done, json=json)


def _show_import(done: ReviewImported, *, json: bool) -> None:
    for warning in done.warnings:
        output.warn(f"{done.file}: {warning.code}: {warning.message}")
    for row in done.rejections[:SHOWN]:
        output.problem(f"{done.file}:{row.line}: {row.reason}")
    if done.rejected:
        output.note(f"{done.rejected:,} rejected; `detmon quarantine list --file {done.file}` shows them")
    if json:
        output.document(done)
        return
    if not (done.items or done.skipped or done.rejected):
        output.note(f"{done.file} has no review in it")
    output.line(f"{done.items:,} items reviewed" + (f", {done.skipped:,} not" if done.skipped else ""))
    output.pairs({f"  {name}": count for name, count in done.feedback.items()})
    output.line(f"{done.accepted:,} verdicts" + (f", {done.duplicates:,} duplicates" if done.duplicates else ""))


@app.command("push")
def push(
    ctx: typer.Context,
    dataset: Dataset,
    project: Annotated[str, typer.Option(help="The project's number, or its title: made if it is new.")],
    url: Url = None,
    status: Status = "needs_review",
    limit: Limit = None,
    min_confidence: MinConfidence = None,
    image_root: Root = None,
    url_prefix: Prefix = None,
    json: options.Json = False,
) -> None:
    """Send flagged items to a project of Label Studio, each once. The token: LABEL_STUDIO_API_KEY, or ..._FILE.

    Example: detmon review push --dataset review --url https://labels.example.com --project "Night shift"
    """
    done = options.client(ctx).push_review(
        dataset, project, url, status=status, limit=limit, min_confidence=min_confidence, image_root=image_root,
        url_prefix=url_prefix,
    )  # fmt: skip
    for warning in done.warnings:
        output.warn(warning.message)
    if json:
        output.document(done)
    else:
        before = f", {done.present:,} were there" if done.present else ""
        output.line(f"{done.pushed:,} tasks sent{before}: {done.url}/projects/{done.project}")


@app.command("pull")
def pull(
    ctx: typer.Context,
    project: Annotated[str, typer.Option(help="The project's number or title.")],
    url: Url = None,
    boxes_only: BoxesOnly = False,
    reviewer: Reviewer = None,
    json: options.Json = False,
) -> None:
    """Take what was annotated in a project of Label Studio. The token: LABEL_STUDIO_API_KEY, or ..._FILE.

    Example: detmon review pull --url https://labels.example.com --project "Night shift"
    """
    done = options.client(ctx).pull_review(project, url, boxes_only=boxes_only, reviewer=reviewer)
    _show_import(done, json=json)
