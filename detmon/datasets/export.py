"""A version as trainers read it: a folder with pictures and labels, COCO or YOLO."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmon import failpoints
from detmon.datasets import filenames, layouts, versions
from detmon.datasets.labels import flat, table
from detmon.datasets.pictures import PROBLEMS, Brought, Pictures, Wanted, Way
from detmon.datasets.records import ExportedVersion, Version, VersionWarning
from detmon.errors import OperationError, UnknownName
from detmon.folders import new_folder
from detmon.store import Connection, Store, statement

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]

LEAST = 1.0
"""Pixels that a side of a box has at least, within its image."""
LEFT_OUT = ("item_id", "image_id", "image_uri", "reason", "detail")


@dataclass(frozen=True)
class Order:
    """What is to be written where; pictures below `image_root` are taken before those at their addresses."""

    format: str
    out: Path
    way: Way = "copy"
    image_root: Path | None = None

    def __post_init__(self) -> None:
        if self.format not in layouts.LAYOUTS:
            raise UnknownName("format", self.format, layouts.LAYOUTS)


@dataclass(frozen=True)
class Content:
    """A version as it is stored: `rows` are its images, `aside` what it left out: item, image, address, reason."""

    version: Version
    classes: list[str]
    rows: pa.Table
    aside: list[tuple[str, str, str | None, str]]


def read(con: Connection, version_id: str) -> Content:
    """What a version holds. Raises OperationError when that is not what it was when it was made."""
    versions.check(con, version_id)
    details = versions.details(con, version_id)
    aside = con.execute(statement("version_left_out"), {"version": version_id}).fetchall()
    return Content(details, list(details.classes), table(con, version_id), aside)


def export(store: Store, version_id: str, order: Order) -> ExportedVersion:
    """Write a version into a folder that appears when it is complete.

    Images that cannot be read are left out. Raises UsageError when the folder exists, OperationError when no image can
    be read.
    """
    with store.reading() as con:
        content = read(con, version_id)
    with new_folder(order.out) as folder:
        return _written(content, order, folder)


def _written(content: Content, order: Order, folder: Path) -> ExportedVersion:
    logged = _images(content.rows)
    brought = _bring(logged, order, folder)
    images = [replace(image, size=image.size or one.size) for image, one in zip(logged, brought, strict=True)]
    problems = {k: one for k, one in enumerate(brought) if one.problem}
    if problems and len(problems) == len(images):
        first = problems[0]
        raise OperationError(
            f"none of {len(images):,} images can be read; the first: {first.problem}: {first.detail}",
            "--image-root DIR says where they lie; --no-images writes labels only",
        )
    if order.format == "yolo":
        sizeless = (k for k, image in enumerate(images) if image.size is None and k not in problems)
        problems |= dict.fromkeys(sizeless, Brought(problem="no_size"))
    drawn = _draw(content, images, problems)
    layouts.LAYOUTS[order.format](folder, content.version, content.classes, drawn.images)
    without = [(images[k], why) for k, why in problems.items()]
    aside = [(item, image, layouts.address(uri), why, "") for item, image, uri, why in content.aside]
    aside += [(one.item_id, one.image_id, one.address, str(why.problem), why.detail) for one, why in without]
    _list_left_out(folder / "left_out.csv", aside)
    failpoints.reach("export.written")
    splits = Counter(one.image.split for one in drawn.images)
    return ExportedVersion(
        version_id=content.version.id,
        format=order.format,
        out=str(order.out),
        images=len(drawn.images),
        annotations=sum(len(one.boxes) for one in drawn.images),
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        classes=content.classes,
        clipped=drawn.clipped,
        dropped=drawn.dropped,
        left_out=dict(sorted(Counter(reason for *_, reason, _ in aside).items())),
        warnings=tuple(_warnings(order, splits, drawn.dropped, _differing(logged, brought), problems)),
    )


def _images(rows: pa.Table) -> list[layouts.Image]:
    ids, addresses, items = (rows[name].to_pylist() for name in ("image_id", "image_uri", "item_id"))
    others = (rows[name].to_pylist() for name in ("source", "taken_at", "split"))
    sides = zip(rows["image_width"].to_pylist(), rows["image_height"].to_pylist(), strict=True)
    sizes = [side if all(side) else None for side in sides]
    named = filenames.names(zip(ids, addresses, items, strict=True))
    return [layouts.Image(*one) for one in zip(items, ids, addresses, *others, sizes, named, strict=True)]


def _bring(images: list[layouts.Image], order: Order, folder: Path) -> list[Brought]:
    if order.way != "none":
        for split in {one.split for one in images}:
            (folder / "images" / split).mkdir(parents=True)
    elif all(one.size for one in images):
        return [Brought()] * len(images)
    wanted = (Wanted(one.image_id, one.image_uri, folder / one.path) for one in images)
    return list(Pictures(order.way, order.image_root).bring(wanted))


@dataclass(frozen=True)
class Drawn:
    """Images with their boxes, of which so many were clipped, or dropped."""

    images: list[layouts.Labelled]
    clipped: int
    dropped: int


def _draw(content: Content, images: Sequence[layouts.Image], problems: Mapping[int, Brought]) -> Drawn:
    """The images without problems, with their boxes within their edges; boxes below a pixel a side are dropped."""
    import numpy as np

    labels, boxes = flat(content.rows)
    there = ~np.isin(boxes.image, np.fromiter(problems, np.int64, len(problems)))
    inside = _clipped(boxes.xywh, np.array([image.size or (np.inf, np.inf) for image in images])[boxes.image].T)
    kept = there & np.all(inside[2:] >= LEAST, axis=0)
    moved = kept & np.any(np.abs(inside - boxes.xywh) > 0.001, axis=0)
    places = np.array([content.classes.index(label) for label in labels], np.int64)
    found = [layouts.Labelled(image, []) for image in images]
    rows = zip(boxes.image[kept].tolist(), places[boxes.label[kept]].tolist(), inside[:, kept].T.tolist(), strict=True)
    for image, place, sides in rows:
        found[image].boxes.append((place, *sides))
    complete = [one for k, one in enumerate(found) if k not in problems]
    return Drawn(complete, int(moved.sum()), int((there & ~kept).sum()))


def _clipped(xywh: Numbers, limits: Numbers) -> Numbers:
    """Boxes within images of `limits` (width and height, shape (2, boxes)); those without a limit stay as they are."""
    import numpy as np

    limits = limits.reshape(2, -1)
    start = np.maximum(xywh[:2], np.where(np.isinf(limits), -np.inf, 0.0))
    end = np.minimum(xywh[:2] + xywh[2:], limits)
    found: Numbers = np.round(np.concatenate([start, end - start]), 3)
    return found


def _differing(logged: Sequence[layouts.Image], brought: Sequence[Brought]) -> int:
    """How many pictures have another size than the log says."""
    sizes = zip((image.size for image in logged), (one.size for one in brought), strict=True)
    return sum(None not in (said, found) and said != found for said, found in sizes)


def _list_left_out(file: Path, rows: list[tuple[str, str, str | None, str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(LEFT_OUT)
        writer.writerows(rows)


def _warnings(
    order: Order, splits: Counter[str], dropped: int, differing: int, problems: Mapping[int, Brought]
) -> Iterator[VersionWarning]:
    if not splits:
        yield VersionWarning("no_items", "there are no images", 0)
    elif not splits["val"]:
        where = "data.yaml names the training images instead" if order.format == "yolo" else "their file is empty"
        yield VersionWarning("no_validation", f"there are no validation images: {where}", 0)
    elif not splits["train"]:
        yield VersionWarning("no_training", "there are no training images", 0)
    for code, n in Counter(str(one.problem) for one in problems.values()).most_common():
        first = next(one.detail for one in problems.values() if one.problem == code)
        example = f" (the first: {first})" if first else ""
        yield VersionWarning(code, f"{n:,} images are left out: {PROBLEMS[code]}{example}", n)
    if dropped:
        yield VersionWarning(
            "boxes_dropped", f"{dropped:,} boxes lie outside their image, or are below 1 pixel", dropped
        )
    if differing:
        text = f"{differing:,} pictures have another size than the log says: boxes are in the log's pixels"
        yield VersionWarning("size_differs", text, differing)
