"""Items as a review tool shows them: an image, and the boxes to judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from detmon.datasets import STATUSES, pictures
from detmon.errors import UnknownName, UsageError
from detmon.store import Connection, statement

XYWH: TypeAlias = tuple[float, float, float, float]
Size: TypeAlias = tuple[int, int]
ALL = "all"
WEB = ("http", "https", "data")
"""What a browser opens by itself."""


@dataclass(frozen=True)
class Box:
    """One detection; `index` is its place in the prediction, `xywh` in pixels."""

    index: int
    label: str
    confidence: float | None
    xywh: XYWH | None

    @property
    def id(self) -> str:
        """What a tool calls it."""
        return f"d{self.index}"


@dataclass(frozen=True)
class Task:
    """An item; `least` is the confidence from which on its boxes are to be judged, `address` where its image is."""

    item_id: str
    prediction_id: str
    model_id: str
    image_id: str
    image_uri: str | None
    size: Size | None
    reasons: Sequence[str]
    detections: Sequence[Box]
    least: float | None = None
    address: str = ""
    local: Path | None = None

    @property
    def boxes(self) -> list[Box]:
        """The boxes that a reviewer is asked about."""
        return [box for box in self.detections if box.xywh is not None and is_served(box, self.least)]

    @property
    def is_file(self) -> bool:
        """Whether the address is a path, and no URL."""
        return self.local is not None and self.address == str(self.local)

    def about(self) -> dict[str, Any]:
        """What a tool carries along, so that the task finds its item again."""
        told = {"item": self.item_id, "prediction_id": self.prediction_id, "model_id": self.model_id}
        least = {} if self.least is None else {"min_confidence": self.least}
        return {**told, "reasons": list(self.reasons), **least}


def is_served(box: Box, least: float | None) -> bool:
    """Whether a box is at least so confident (one without a confidence is)."""
    return least is None or box.confidence is None or box.confidence >= least


def read(con: Connection, dataset_id: str, status: str, limit: int | None, least: float | None) -> list[Task]:
    """The items of a dataset in their fixed random order. Raises UnknownName for an unknown status."""
    if status not in (*STATUSES, ALL):
        raise UnknownName("status", status, (*STATUSES, ALL))
    wanted = {"dataset": dataset_id, "status": None if status == ALL else status, "limit": limit}
    found = con.execute(statement("review_tasks"), wanted).fetchall()
    return [replace(task(row), least=least) for row in found]


def labels(con: Connection, tasks: Sequence[Task]) -> list[str]:
    """All labels of the tasks' models, sorted."""
    models = sorted({one.model_id for one in tasks})
    logged = {label for (label,) in con.execute(statement("review_labels"), {"models": models}).fetchall()}
    return sorted(logged | {box.label for one in tasks for box in one.detections})


def task(row: Sequence[Any]) -> Task:
    """A row of `review_tasks` or `review_targets`."""
    item, prediction, model, image, uri, width, height, reasons, detections = row
    size = (width, height) if width and height else None
    return Task(item, prediction, model, image, uri, size, reasons or [], [*_boxes(detections)])


def _boxes(stored: Sequence[Mapping[str, Any]]) -> Iterable[Box]:
    for index, one in enumerate(stored):
        sides = [one[side] for side in ("x", "y", "w", "h")]
        x, y, w, h = (0 if side is None else round(side, 3) for side in sides)
        confidence = one["confidence"]
        xywh = None if None in sides else (x, y, w, h)
        yield Box(index, one["label"], None if confidence is None else round(confidence, 6), xywh)


# --- where the images are ---


@dataclass(frozen=True)
class Places:
    """How image ids become addresses: `prefix` stands for the folder `root`, or for addresses that begin with it.

    Without a prefix a local image is named by its path, below `root` where that is relative.
    """

    root: str | None = None
    prefix: str | None = None

    def placed(self, one: Task) -> Task:
        """The task with the address of its image, and its size read from the file where the log has none."""
        found = self._find(one.image_uri or one.image_id)
        local, size = found[1], one.size
        if size is None and local is not None and pictures.is_file(local):
            size = pictures.size_of(local)
        return replace(one, address=found[0], local=local, size=size)

    def _find(self, name: str) -> tuple[str, Path | None]:
        scheme = urlsplit(name).scheme if "://" in name or name.startswith("data:") else ""
        if scheme and scheme != "file":
            if self.root and self.prefix and name.startswith(self.root):
                return self.prefix + quote(name[len(self.root) :].lstrip("/")), None
            return name, None
        path = Path(unquote(urlsplit(name).path)) if scheme else Path(name)
        whole = path if path.is_absolute() or not self.root else Path(self.root).expanduser() / path
        if self.prefix is None:
            return str(whole), whole
        below = _below(path, self.root)
        return (str(whole) if below is None else self.prefix + quote(below)), whole


def _below(path: Path, root: str | None) -> str | None:
    """An image's path seen from the folder that is served; None where it lies elsewhere."""
    if not path.is_absolute():
        return path.as_posix()
    base = Path(root or "/").expanduser().absolute()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else None


def check_places(root: str | None, prefix: str | None) -> Places:
    """Raises UsageError for a prefix that is no address."""
    if prefix is not None and not (prefix.startswith("/") or "://" in prefix):
        raise UsageError(f"--url-prefix {prefix!r} is no address", "https://HOST/PATH/ or /data/local-files/?d=")
    return Places(root, prefix)
