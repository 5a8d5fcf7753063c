"""Verdicts in rows: the CSV that people fill in, and the file of the review page."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from detmon.errors import UsageError
from detmon.review.judging import Verdict
from detmon.review.looks import Found, Look, Unusable, instant, numbers, parsed
from detmon.review.tasks import XYWH, Task, is_served
from detmon.verdicts import TYPES

COLUMNS = (
    "item_id", "prediction_id", "detection_index", "image_id", "image_uri", "label", "confidence", "x", "y", "width",
    "height", "feedback_type", "true_label", "true_x", "true_y", "true_width", "true_height", "reviewer",
)  # fmt: skip
NEEDED = ("item_id", "prediction_id", "detection_index", "feedback_type")
MOST_DIGITS = 9
FORMULA = ("=", "+", "-", "@")
"""What a formula begins with."""
SIDES = ("true_x", "true_y", "true_width", "true_height")


def written(tasks: Iterable[Task]) -> str:
    """The table: a row a detection, one for an item without."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for task in tasks:
        about = {"item_id": task.item_id, "prediction_id": task.prediction_id}
        about |= {"image_id": task.image_id, "image_uri": task.address if task.address != task.image_id else ""}
        shown = [box for box in task.detections if is_served(box, task.least)]
        for box in shown:
            sides = dict(zip(("x", "y", "width", "height"), box.xywh or (), strict=False))
            said = {"detection_index": box.index, "label": box.label, "confidence": box.confidence}
            writer.writerow({**_texts({**about, **said}), **sides})
        if not shown:
            writer.writerow(_texts(about))
    return buffer.getvalue()


def _texts(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Cells in which a spreadsheet finds no formula: a text that begins as one gets an apostrophe."""
    return {name: f"'{cell}" if str(cell)[:1] in FORMULA else cell for name, cell in cells.items()}


def _as_logged(text: str) -> str:
    """The text of a cell without that apostrophe."""
    return text[1:] if text[:1] == "'" and text[1:2] in FORMULA else text


def check_replaceable(file: Path) -> None:
    """Raises UsageError where a table with verdicts would be written over."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            filled = any((row.get("feedback_type") or "").strip() for row in csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error):
        return
    if filled:
        raise UsageError(f"{file} holds verdicts", f"`detmon review import {file}` takes them; or give another name")


@dataclass(frozen=True)
class Said:
    """One row: `type` is None where its box was not judged."""

    line: int
    item: str | None
    prediction: str | None
    index: int | None
    type: str | None
    true_label: str | None
    xywh: XYWH | None
    reviewer: str | None
    complete: bool = True
    at: datetime | None = None

    def verdict(self) -> Verdict:
        """What it says, if it says something."""
        return Verdict(self.type or "", self.index, self.true_label, self.xywh, line=self.line)


def read_csv(found: Found, content: bytes) -> None:
    """The looks in a table. Raises InputRefused."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise found.refuse(f"is not UTF-8 (byte {error.start:,})", "save it as CSV UTF-8", "bad_text") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().casefold() for name in next(reader, [])]
        _check_header(found, header)
        rows = []
        while (cells := next(reader, None)) is not None:
            line = reader.line_num
            if len(cells) != len(header) and any(cells):
                why = Unusable(None, "field_count", f"{len(cells)} fields, the header has {len(header)}")
                found.reject(line, why, ",".join(cells))
            elif any(cells):
                rows.append((line, {name: _as_logged(cell.strip()) for name, cell in zip(header, cells, strict=True)}))
    except csv.Error as error:
        raise found.damaged(f"line {reader.line_num}: {error}") from None
    _gather(found, rows, _of_csv)


def _check_header(found: Found, header: Sequence[str]) -> None:
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            hint = "save it with commas (in LibreOffice: Save As, Edit filter settings, field delimiter)"
            raise found.refuse(f"is separated by {name}", hint, "field_separator")
    missing = [name for name in NEEDED if name not in header]
    if missing:
        hint = "`detmon review export --format csv` writes the columns"
        raise found.refuse(f"has no column `{missing[0]}`", hint, "no_header")


def _of_csv(line: int, row: Mapping[str, Any]) -> Said:
    sides = [row.get(name) or None for name in SIDES]
    box = None if sides == [None] * 4 else sides
    return _said(line, row, row["detection_index"] or None, box, row["feedback_type"])


def read_jsonl(found: Found, content: bytes) -> None:
    """The looks in the review page's file."""
    rows = []
    for line, text in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
        try:
            row = parsed(text) if text.strip() else None
        except (ValueError, RecursionError):
            row = ()
        if row is None:
            continue
        if not isinstance(row, dict):
            found.reject(line, Unusable(None, "bad_json", "not a JSON object"), text)
        else:
            rows.append((line, row))
    _gather(found, rows, _of_json)


def _of_json(line: int, row: Mapping[str, Any]) -> Said:
    kind = row.get("feedback_type", row.get("type"))
    said = _said(line, row, row.get("detection_index"), row.get("bbox"), kind)
    return replace(said, at=instant(row.get("timestamp")), complete=row.get("scope") == "exhaustive")


def _said(line: int, row: Mapping[str, Any], index: Any, box: Any, kind: Any) -> Said:
    """What a row says; raises Unusable."""
    place = None if index is None else str(index).removesuffix(".0")
    if place is not None and not (place.isdecimal() and len(place) <= MOST_DIGITS):
        raise Unusable("detection_index", "no_such_detection", f"no detection {place[:40]}")
    type_ = str(kind).strip().casefold() if kind else None
    if type_ not in (None, *TYPES):
        raise Unusable("feedback_type", "unknown_type", f'"{str(kind)[:40]}" is none of {", ".join(TYPES)}')
    xywh = numbers(box) if isinstance(box, list) else None
    if box is not None and xywh is None and type_ is not None:
        raise Unusable("bbox", "bad_box", "the true box is not x, y, width, height")
    if type_ == "missed_object" and place is not None:
        raise Unusable("detection_index", "missed_has_detection", "a missed object has no detection")
    item, prediction, true_label, reviewer = (
        _text(row.get(name)) for name in ("item_id", "prediction_id", "true_label", "reviewer")
    )
    return Said(line, item, prediction, None if place is None else int(place), type_, true_label, xywh, reviewer)


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None


def _gather(
    found: Found, rows: Iterable[tuple[int, Mapping[str, Any]]], read: Callable[[int, Mapping[str, Any]], Said]
) -> None:
    """One look an item and reviewer; it is complete when each row of the item is judged."""
    items: dict[tuple[str | None, str | None], list[Said]] = {}
    unusable: set[tuple[str | None, str | None]] = set()
    for line, cells in rows:
        try:
            row = read(line, cells)
        except Unusable as why:
            found.reject(line, why, dict(cells))
            unusable.add((_text(cells.get("item_id")), _text(cells.get("prediction_id"))))
        else:
            items.setdefault((row.item, row.prediction), []).append(row)
    for (item, prediction), some in items.items():
        boxes = {row.index for row in some if row.index is not None}
        people = list(dict.fromkeys(row.reviewer for row in some if row.type))
        found.skipped += not people
        for person in people:
            said = [row for row in some if row.type and row.reviewer == person]
            judged = {row.index for row in said if row.index is not None}
            found.looks.append(
                Look(
                    line=said[0].line,
                    item=item,
                    prediction=prediction,
                    reviewer=person,
                    at=max((row.at for row in said if row.at), default=None),
                    verdicts=[row.verdict() for row in said],
                    complete=boxes == judged
                    and (item, prediction) not in unusable
                    and all(row.complete for row in said),
                )
            )
