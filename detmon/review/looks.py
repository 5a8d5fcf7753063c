"""What reviewers said, whatever tool they said it with: a look at an image, and all looks of a file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from detmon.errors import InputRefused, OperationError
from detmon.review.judging import Verdict
from detmon.review.tasks import XYWH, Box, Size
from detmon.times import parse_instant
from detmon.verdicts import Rejection

RAW_KEPT = 2000
HALF = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Shape:
    """A region as its tool writes it: `xywh` in the units of Look.span; `turned` ones are no longer upright."""

    id: str | None
    label: str | None
    xywh: XYWH


@dataclass(frozen=True)
class Look:
    """One person's review of one image.

    The image is known by `item` or `prediction`, and by its `name` where the tool has lost both. `shapes` are what the
    person left in it, `verdicts` what was said in so many words; `unclear`: ids of shapes that were not understood.
    `span` is how wide and high the image is in the units of the shapes, `size` in pixels. `annotation` is the tool's id
    of the review, `user` what it calls a person that it does not name; `at` its time, without which the content tells
    one version from another.
    """

    line: int
    item: str | None = None
    prediction: str | None = None
    name: str | None = None
    annotation: str = ""
    reviewer: str | None = None
    user: str | None = None
    at: datetime | None = None
    least: float | None = None
    shapes: Sequence[Shape] | None = None
    verdicts: Sequence[Verdict] = ()
    unclear: Sequence[str] = ()
    complete: bool = True
    span: tuple[float, float] | None = None
    size: Size | None = None

    def digest(self, format: str) -> str:
        """The beginning of its verdicts' ids: the same review of the same version has the same."""
        verdicts = [replace(one, line=0) for one in self.verdicts]
        said = self.at.isoformat() if self.at else repr((self.shapes, verdicts))
        image, person = self.item or self.prediction or self.name, self.reviewer or self.user
        told = (format, image, self.annotation, person, self.complete, said)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


class Unusable(Exception):
    """A row, a region or a task that cannot be read: `field`, `code` and `reason` as in the quarantine."""

    def __init__(self, field: str | None, code: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.code = code
        self.reason = reason


@dataclass
class Found:
    """What a reader finds in a file, look by look."""

    name: str
    format: str
    looks: list[Look] = field(default_factory=list)
    skipped: int = 0
    rejected: list[tuple[Rejection, str]] = field(default_factory=list)
    """Each with the text that it is about."""
    warned: dict[tuple[str, str], int] = field(default_factory=dict)

    def reject(self, line: int, why: Unusable, raw: object = "") -> None:
        """Leave something out that cannot be read."""
        text = raw if isinstance(raw, str) else repr(raw)
        self.rejected.append((Rejection(line, why.field, why.code, why.reason), text[:RAW_KEPT]))

    def warn(self, code: str, message: str) -> None:
        """Count a finding; `message` goes on after the number."""
        self.warned[code, message] = self.warned.get((code, message), 0) + 1

    def refuse(self, what: str, hint: str | None = None, code: str = "unknown_format") -> InputRefused:
        """The error for a file that is not what it should be."""
        return InputRefused(f"{self.name} {what}", hint, code=code)

    def damaged(self, why: object) -> OperationError:
        """The error for a file that cannot be read to its end."""
        return OperationError(f"{self.name} is cut off or damaged: {why}", code="unreadable")


def parsed(text: str) -> Any:
    """JSON; halves of characters, which no file and no store can hold, are control characters in it."""
    said = json.loads(text)
    if HALF.search(text) is None:
        return said
    return json.loads(re.sub("[\ud800-\udfff]", r"\\u001a", json.dumps(said, ensure_ascii=False)))


def instant(value: Any) -> datetime | None:
    """The time that a tool wrote; None where it is none."""
    from detmon.errors import UsageError

    try:
        return parse_instant(str(value)) if value else None
    except UsageError:
        return None


def numbers(values: Sequence[Any]) -> XYWH | None:
    """Four finite numbers of which the last two have an area; None for anything else."""
    try:
        x, y, w, h = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None
    return (x, y, w, h) if all(abs(side) < 1e9 for side in (x, y, w, h)) and w > 0 and h > 0 else None


def sides(width: Any, height: Any) -> tuple[float, float] | None:
    """Width and height of an image; None where they are not known."""
    found = numbers((0, 0, width, height))
    return found[2:] if found else None


def pixels(width: Any, height: Any) -> Size | None:
    """The same in whole pixels."""
    found = sides(width, height)
    return (int(found[0]), int(found[1])) if found else None


def upright(xywh: XYWH, degrees: float, about: tuple[float, float]) -> XYWH:
    """The upright box around one that is turned clockwise around a point. Raises Unusable."""
    import math

    if not abs(degrees) < 1e9:
        raise Unusable("rotation", "bad_box", "a region is turned by no angle")
    x, y, w, h = xywh
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    corners = [(x + i * w - about[0], y + j * h - about[1]) for i in (0, 1) for j in (0, 1)]
    across = [about[0] + dx * cosine - dy * sine for dx, dy in corners]
    down = [about[1] + dx * sine + dy * cosine for dx, dy in corners]
    return min(across), min(down), max(across) - min(across), max(down) - min(down)


def boxes_in(found: Sequence[Box]) -> Iterator[tuple[Box, XYWH]]:
    """Boxes with their sides."""
    for box in found:
        if box.xywh is not None:
            yield box, box.xywh
