"""Items go out for review: a file for a tool, a table, or a page."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from detmon import datasets, failpoints
from detmon.datasets import pictures
from detmon.errors import OperationError, UnknownName, UsageError
from detmon.review import coco, cvat, label_studio, page, table, tasks
from detmon.review.records import ReviewExported
from detmon.review.tasks import WEB, Places, Task
from detmon.store import Store
from detmon.verdicts import VerdictWarning

FORMATS = ("label-studio", "cvat", "coco", "csv", "html")


@dataclass(frozen=True)
class Wanted:
    """Which items go out, and where their images are; `least`: boxes below this confidence are not judged."""

    dataset: str
    status: str = "needs_review"
    limit: int | None = None
    least: float | None = None
    places: Places = field(default_factory=Places)


def wanted(
    dataset: str, status: str, limit: int | None, least: float | None, root: str | None, prefix: str | None
) -> Wanted:
    """Raises UsageError for values that cannot be."""
    if least is not None and not 0 <= least <= 1:
        raise UsageError(f"--min-confidence {least:g} is not between 0 and 1")
    return Wanted(dataset, status, limit, least, tasks.check_places(root, prefix))


@dataclass(frozen=True)
class Chosen:
    """The tasks of a dataset, and all labels that their models give."""

    dataset_id: str
    name: str
    tasks: Sequence[Task]
    labels: Sequence[str]


def choose(store: Store, wanted: Wanted) -> Chosen:
    """The items to review. Raises UnknownName for a dataset or a status."""
    with store.reading() as con:
        dataset_id = datasets.find(con, wanted.dataset)
        name = next(one.name for one in datasets.every(con) if one.id == dataset_id)
        found = tasks.read(con, dataset_id, wanted.status, wanted.limit, wanted.least)
        labels = tasks.labels(con, found)
    return Chosen(dataset_id, name, [wanted.places.placed(one) for one in found], labels)


def export(
    store: Store, wanted: Wanted, format: str, file: Path, *, embed: bool = False, copy_images: Path | None = None
) -> ReviewExported:
    """Write a file for reviewers; it is there whole, or not at all.

    `embed`: the page holds its images; `copy_images`: the folder that gets them under the names of CVAT's file.

    Raises UnknownName, and UsageError for a table with verdicts that would be lost.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    if embed and format != "html":
        raise UsageError("--embed is for --format html")
    if copy_images is not None and format != "cvat":
        raise UsageError("--copy-images is for --format cvat")
    if format == "csv":
        table.check_replaceable(file)
    chosen = choose(store, wanted)
    content, labels = _content(chosen, format, file, embed=embed)
    if copy_images is not None:
        for task in chosen.tasks:
            _copy(task, copy_images)
    write(file, content)
    if labels is not None:
        write(labels.file, labels.content)
    unsized = [task for task in chosen.tasks if task.boxes and not task.size] if format == "label-studio" else []
    boxes = sum(len(task.boxes) for task in chosen.tasks) - sum(len(task.boxes) for task in unsized)
    return ReviewExported(
        dataset_id=chosen.dataset_id,
        format=format,
        file=str(file),
        labels=str(labels.file) if labels else None,
        items=len(chosen.tasks),
        boxes=boxes,
        without_boxes=len(unsized),
        warnings=tuple(warnings(chosen.tasks, format)),
    )


def warnings(chosen: Sequence[Task], format: str) -> Iterator[VerdictWarning]:
    """What reviewers will miss in the tool."""
    found = {
        "no_image_size": [task for task in chosen if task.boxes and not task.size and format == "label-studio"],
        "box_missing": [task for task in chosen if any(box.xywh is None for box in task.detections)],
        "image_not_served": [task for task in chosen if not _opens(task, format)],
    }
    said = {
        "no_image_size": "images go without their boxes: their size is unknown (--image-root reads it from files)",
        "box_missing": "images have detections without a box: nothing can be said of these",
        "image_not_served": _unserved(format),
    }
    for code, some in found.items():
        if some:
            yield VerdictWarning(code, f"{len(some):,} {said[code]}", len(some))


def _opens(task: Task, format: str) -> bool:
    """Whether the tool will find the image at the task's address."""
    if format == "label-studio":
        return label_studio.is_served(task.address)
    if format == "html":
        found = urlsplit(task.address)
        return (
            pictures.is_file(task.local)
            if task.local and task.is_file
            else found.scheme in WEB or found.path[:1] == "/"
        )
    return True


def _unserved(format: str) -> str:
    if format == "html":
        return "images are not found by a browser: --image-root DIR, or --image-root and --url-prefix"
    return "images have an address that Label Studio cannot open: --url-prefix names where they are served"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True)
class _Labels:
    """What a tool needs to know of labels, in a file of its own beside the tasks."""

    file: Path
    content: str


def _content(chosen: Chosen, format: str, file: Path, *, embed: bool) -> tuple[str | bytes, _Labels | None]:
    """What goes into the file, and beside it."""
    if format == "label-studio":
        labels = _Labels(file.with_name(f"{file.stem}.labels.xml"), label_studio.config(chosen.labels) + "\n")
        return _json([label_studio.written(task) for task in chosen.tasks]), labels
    if format == "cvat":
        labels = _Labels(file.with_name(f"{file.stem}.labels.json"), cvat.labels_json(chosen.labels) + "\n")
        return cvat.written(chosen.tasks, chosen.labels), labels
    if format == "coco":
        return _json(coco.written(chosen.tasks, chosen.labels)), None
    if format == "csv":
        return table.written(chosen.tasks), None
    return page.written(chosen.dataset_id, chosen.name, chosen.tasks, chosen.labels, file, embed=embed), None


def _copy(task: Task, folder: Path) -> None:
    """Put a local image where its name in CVAT says; a link, where that can be."""
    place = folder / cvat.name_of(task)
    if task.local is None or not pictures.is_file(task.local) or place.exists():
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(task.local, place)
        except OSError:
            shutil.copyfile(task.local, place)
    except OSError as error:
        raise OperationError(f"cannot write {place}: {error.strerror or error}") from None


def write(file: Path, content: str | bytes) -> None:
    """Put a file there at once. Raises OperationError."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        failpoints.reach("review.export")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OperationError(f"cannot write {file}: {error.strerror or error}") from None
