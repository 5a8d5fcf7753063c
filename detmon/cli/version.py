"""`detmon version`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.datasets.records import VersionDetails, VersionDiff

app = options.noun()

COLUMNS = ("id", "dataset", "name", "items", "annotations", "train", "val", "test", "left_out", "created_at")


@app.command("create")
def create(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="The dataset's id or name.")],
    name: Annotated[str, typer.Option(help="The version's name; no two of a dataset have the same.")],
    parent: Annotated[str | None, typer.Option(help="A version whose items it takes over.")] = None,
    from_: Annotated[
        list[str] | None,
        typer.Option("--from", help="Labels instead of reviews: a COCO file or folder, a YOLO folder."),
    ] = None,
    image_root: Annotated[Path | None, typer.Option(help="Where the pictures of a COCO file lie.")] = None,
    val: Annotated[
        float | None, typer.Option(help="Share of the images for validation (default: 0.2, or the parent's).")
    ] = None,
    salt: Annotated[str | None, typer.Option(help="Another salt divides the images anew (default: detmon).")] = None,
    json: options.Json = False,
) -> None:
    """Freeze what is reviewed now: the images with their corrected labels. A version never changes afterwards.

    Example: detmon version create review --parent "v1 - as trained" --name "v2 - with feedback"
    """
    client = options.client(ctx)
    made = client.create_dataset_version(dataset, parent, name, from_=from_, image_root=image_root, val=val, salt=salt)
    _complain(made)
    output.document(made) if json else output.line(made.id)


@app.command("list")
def list_(
    ctx: typer.Context,
    dataset: Annotated[str | None, typer.Option(help="Only those of this dataset.")] = None,
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """List the versions, oldest first.

    Example: detmon version list --dataset review
    """
    versions = options.client(ctx).list_versions(dataset)
    output.rows(versions, COLUMNS, format=options.chosen(format, json), empty="no versions yet")


@app.command("show")
def show(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="The version's id or name.")],
    json: options.Json = False,
) -> None:
    """Show a version: its classes, what was left out and why, what it came from and what came of it.

    Example: detmon version show "v2 - with feedback"
    """
    found = options.client(ctx).show_version(version)
    if json:
        output.document(found)
        return
    output.pairs({key: value for key, value in found.to_dict().items() if key != "warnings" and value not in ([], {})})
    _complain(found)


@app.command("diff")
def diff(
    ctx: typer.Context,
    a: Annotated[str, typer.Argument(help="A version's id or name.")],
    b: Annotated[str, typer.Argument(help="Another one's.")],
    json: options.Json = False,
    format: options.Rows = output.Format.table,
) -> None:
    """Show what differs from one version to another: images, labels, classes.

    Example: detmon version diff "v1 - as trained" "v2 - with feedback"
    """
    found = options.client(ctx).diff_versions(a, b)
    if json or format is output.Format.json:
        output.document(found)
    elif format is not output.Format.table:
        output.rows(found.changes, format=format)
    else:
        _show(found)


SHOWN = 20
"""So many changes are listed for people."""


def _show(found: VersionDiff) -> None:
    output.line(f"{found.added:,} images added, {found.removed:,} removed, {found.changed:,} changed")
    rows = [{"class": label, **counts} for label, counts in found.classes.items()]
    output.rows(rows, empty="no objects in either")
    changes = [
        {
            "change": one.change, "image_id": one.image_id, "item_id": one.item_id,
            "split": _arrow(one.split_before, one.split_after),
            "labels": _arrow(_labels(one.before), _labels(one.after)),
        }
        for one in found.changes[:SHOWN]
    ]  # fmt: skip
    if changes:
        output.rows(changes)
    if len(found.changes) > SHOWN:
        output.note(f"{len(found.changes) - SHOWN:,} more: --format csv lists all")


def _labels(annotations: Sequence[Mapping[str, Any]] | None) -> str | None:
    """How many objects of each label."""
    if annotations is None:
        return None
    counts = Counter(one["label"] for one in annotations)
    return ", ".join(f"{n} {label}" for label, n in counts.items()) or "nothing"


def _arrow(before: str | None, after: str | None) -> str:
    return str(after if before in (None, after) else before if after is None else f"{before} → {after}")


def _complain(found: VersionDetails) -> None:
    for warning in found.warnings:
        output.warn(f"{warning.code}: {warning.message}")
