"""Reviews come back: the looks in a file become feedback."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmon import failpoints, verdicts
from detmon.errors import InputRefused, OperationError
from detmon.formats.inputs import Input
from detmon.formats.remote import opened
from detmon.review import coco, cvat, label_studio, table, tasks
from detmon.review.judging import Region, Verdict, judge
from detmon.review.looks import Found, Look, Unusable
from detmon.review.records import ReviewImported
from detmon.review.tasks import Task
from detmon.store import Connection, Store, statement, transaction
from detmon.verdicts import VerdictWarning

if TYPE_CHECKING:
    import pyarrow as pa

LISTED = 1000
TICK = timedelta(microseconds=1)
FORMATS = "Label Studio's JSON, CVAT for images 1.1, COCO, our CSV, or the file of the review page"
LARGEST = 1 << 30
"""Bytes that a document in an archive may have."""


@dataclass(frozen=True)
class Options:
    """`boxes_only`: nothing is said of what was missed. `reviewer`: who reviewed, where the file has no name.

    From the overlap `iou` on a box that came back has not been moved.
    """

    boxes_only: bool
    reviewer: str | None
    iou: float


def import_file(store: Store, source: str, options: Options, now: datetime) -> ReviewImported:
    """Take a reviewed file, in one transaction. Raises InputRefused, OperationError."""
    return take(store, read(source), options, now)


# --- reading ---


def read(source: str) -> Found:
    """What reviewers said, in a file of any of the formats. Raises InputRefused, OperationError."""
    if source != "-" and Path(source).expanduser().is_dir():
        raise OperationError(f"cannot read {source}: it is a folder", code="unreadable")
    with opened(source) as place:
        data = Input(place)
        try:
            content = data.whole()
        finally:
            data.close()
        name = place.name
    return recognised(name, _unpacked(name, content) if content.startswith(b"PK\x03\x04") else content)


def _unpacked(name: str, content: bytes) -> bytes:
    """The one document in an archive, as tools hand them out."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            inside = [one for one in archive.infolist() if one.filename.casefold().endswith((".xml", ".json", ".csv"))]
            if len(inside) != 1:
                found = ", ".join(one.filename for one in inside[:5]) or "none"
                hint = "unpack it and name one"
                raise InputRefused(f"{name} holds not one document but: {found}", hint, code="unknown_format")
            if inside[0].file_size > LARGEST:
                raise OperationError(f"{name}: {inside[0].filename} is larger than 1 GiB", code="unreadable")
            return archive.read(inside[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise OperationError(f"{name} is a damaged archive: {error}", code="unreadable") from None


def recognised(name: str, content: bytes) -> Found:
    """The looks in a document, whose format its content tells."""
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<") or content.startswith((b"\xff\xfe", b"\xfe\xff")):
        found = Found(name, "cvat")
        cvat.read(found, content)
        return found
    if text[:1] in (b"{", b"["):
        return _of_json(name, content)
    if not text:
        raise InputRefused(f"{name} is empty", f"it takes {FORMATS}", code="unknown_format")
    found = Found(name, "csv")
    table.read_csv(found, content)
    return found


def _of_json(name: str, content: bytes) -> Found:
    try:
        said = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        first = _first_line(content)
        if "feedback_type" in first or "type" in first:
            said = [first]
        elif "data" in first:
            raise InputRefused(f"{name} is JSON Lines", "export it as JSON", code="unknown_format") from None
        else:
            raise OperationError(f"{name} is cut off or no JSON: {error}", code="unreadable") from None
    if isinstance(said, dict) and ("feedback_type" in said or "type" in said):  # a file of one line
        said = [said]
    if isinstance(said, dict) and "images" in said:
        found = Found(name, "coco")
        coco.read(found, said)
    elif isinstance(said, dict) and "annotations" in said:
        found = Found(name, "label-studio")
        label_studio.read(found, [said])
    elif isinstance(said, list) and said and isinstance(said[0], dict) and "feedback_type" in said[0]:
        found = Found(name, "html")
        table.read_jsonl(found, content)
    elif isinstance(said, list) and all(isinstance(one, dict) for one in said):
        found = Found(name, "label-studio")
        label_studio.read(found, said)
    else:
        raise InputRefused(f"{name} is no reviewed file", f"it takes {FORMATS}", code="unknown_format")
    return found


def _first_line(content: bytes) -> Mapping[str, Any]:
    try:
        first = json.loads(content.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0])
    except (ValueError, RecursionError):
        return {}
    return first if isinstance(first, dict) else {}


# --- taking ---


def take(store: Store, found: Found, options: Options, now: datetime) -> ReviewImported:
    """Write what was said of the items of this store. Raises InputRefused where none of them is here."""
    with store.reading() as con:
        targets = _Targets(con, found.looks)
        looks = [*_with_items(found, targets)]
        earlier = _earlier(con, [task.prediction_id for _, task in looks])
    rows = _Rows(found, options, now, earlier)
    for look, task in looks:
        rows.add(look, task)
    failpoints.reach("review.staged")
    with store.writing() as con, transaction(con):
        written = verdicts.write(con, rows.table(), now)
        rejected = _rejected(found)
        for some in (rejected, written.rejected):
            verdicts.quarantine(con, found.name, some)
        failpoints.reach("review.written")
    return ReviewImported(
        file=found.name,
        format=found.format,
        items=len({task.item_id for _, task in looks}),
        skipped=found.skipped,
        feedback={kind: rows.counts[kind] for kind in verdicts.TYPES},
        accepted=written.accepted,
        duplicates=written.duplicates,
        rejected=len(found.rejected) + written.rejected.num_rows,
        rejections=tuple(one for one, _ in found.rejected[:LISTED]),
        warnings=tuple(VerdictWarning(code, f"{n:,} {text}", n) for (code, text), n in found.warned.items()),
    )


def _with_items(found: Found, targets: _Targets) -> Iterator[tuple[Look, Task]]:
    """The looks whose items are here. Raises InputRefused when none is."""
    here = 0
    for look in found.looks:
        try:
            task = _target(targets, look)
        except Unusable as why:
            found.reject(look.line, why, look.item or look.prediction or look.name)
            continue
        here += 1
        if look.item is None and look.prediction is None:
            found.warn("joined_by_name", "images have lost our ids: joined by their names")
        yield look, task
    if found.looks and not here:
        example = found.looks[0].item or found.looks[0].prediction or found.looks[0].name
        hint = "it belongs to another store or dataset: --db PATH names the store"
        raise InputRefused(f"{found.name}: none of its items is here (it has {example})", hint, code="no_such_item")


class _Targets:
    """The items that a file may speak of."""

    def __init__(self, con: Connection, looks: Sequence[Look]) -> None:
        items = sorted({look.item for look in looks if look.item})
        predictions = sorted({look.prediction for look in looks if look.prediction and not look.item})
        lost = any(look.item is None and look.prediction is None for look in looks)
        wanted = {"items": items, "predictions": predictions, "any_item": lost}
        found = [tasks.task(row) for row in con.execute(statement("review_targets"), wanted).fetchall()]
        self.by_id = {task.item_id: task for task in found}
        self.by_prediction = {task.prediction_id: task for task in found}
        self.by_name: dict[str, list[Task]] = {}
        for task in found if lost else ():
            names = {task.image_id, task.image_uri or "", _base(task.image_id), _base(task.image_uri or "")}
            for name in names - {""}:
                self.by_name.setdefault(name, []).append(task)
        self.claimed = Counter(_base(look.name or "") for look in looks)


def _base(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _target(targets: _Targets, look: Look) -> Task:
    """The item of a look. Raises Unusable where there is none."""
    if look.item is not None:
        task = targets.by_id.get(look.item)
        if task is None:
            raise Unusable("item", "no_such_item", f"no item {look.item[:40]} in this store")
        if look.prediction not in (None, task.prediction_id):
            reason = f"item {look.item} is of another prediction than {str(look.prediction)[:40]}"
            raise Unusable("prediction_id", "other_prediction", reason)
        return task
    if look.prediction is not None:
        task = targets.by_prediction.get(look.prediction)
        if task is None:
            reason = f"prediction {look.prediction[:40]} is no item of this store"
            raise Unusable("prediction_id", "no_such_item", reason)
        return task
    name = look.name or ""
    some = targets.by_name.get(name) or targets.by_name.get(_base(name)) or []
    if not some:
        raise Unusable("file_name", "no_such_item", f"no item has an image {name[:80]!r}")
    if len(some) > 1 or targets.claimed[_base(name)] > 1:
        reason = f"{name[:80]!r} may be one of several images, and our ids are lost"
        raise Unusable("file_name", "ambiguous_image", reason)
    return some[0]


Earlier = Mapping[tuple[str, str | None], tuple[str, datetime]]
"""Prediction and reviewer → the beginning of the ids of the newest look, and its time."""


def _earlier(con: Connection, predictions: Sequence[str]) -> Earlier:
    found = con.execute(statement("review_looks"), {"predictions": sorted(set(predictions))}).fetchall()
    return {(prediction, reviewer): (look, at) for prediction, reviewer, look, at in found}


class _Rows:
    """Feedback as it is put together, look by look."""

    def __init__(self, found: Found, options: Options, now: datetime, earlier: Earlier) -> None:
        self.found = found
        self.options = options
        self.now = now
        self.earlier = earlier
        self.counts: Counter[str] = Counter()
        self.used: set[tuple[str, datetime]] = set()
        self._columns: dict[str, list[Any]] = {
            name: [] for name in (
                "line", "feedback_id", "prediction_id", "detection", "type", "true_label", "x", "y", "w", "h",
                "scope", "reviewer", "ts",
            )
        }  # fmt: skip

    def add(self, look: Look, task: Task) -> None:
        """The verdicts of one look; what contradicts itself or the prediction is rejected."""
        if look.at is not None and look.at > self.now + timedelta(days=1):
            reason = f"reviewed at {look.at:%Y-%m-%d %H:%M}, which is in the future"
            self.found.reject(look.line, Unusable("updated_at", "time_range", reason))
            return
        try:
            said, look = self._said(look, task)
        except Unusable as why:
            self.found.reject(look.line, why)
            return
        complete = look.complete and not self.options.boxes_only
        if complete and not said:
            said = [Verdict("correct")]  # it was looked at, and there is nothing to say
        reviewer = look.reviewer or self.options.reviewer or look.user
        start, at = self._identity(look, task, reviewer)
        for number, verdict in enumerate(said):
            key = f"{start}-{_short(verdict.region or str(verdict.index), at if look.at is None else None, number)}"
            self._row(look.line, key, task, verdict, "exhaustive" if complete else "boxes_only", reviewer, at)

    def _said(self, look: Look, task: Task) -> tuple[list[Verdict], Look]:
        task = replace(task, least=look.least)
        if look.shapes is None:
            return self._checked(look, task)
        size = task.size or look.size
        if look.shapes and look.span == (100.0, 100.0) and size is None:
            reason = "the size of the image is known neither here nor in the file"
            raise Unusable("original_width", "no_image_size", reason)
        across, down = 1.0, 1.0
        if look.span and size:
            across, down = size[0] / look.span[0], size[1] / look.span[1]
        regions = []
        for shape in look.shapes:
            x, y, w, h = shape.xywh
            regions.append(Region(shape.id, shape.label, (x * across, y * down, w * across, h * down)))
        found = judge(task.boxes, regions, look.unclear, size, self.options.iou)
        for one in [one for one in found if one.type == "wrong_label" and one.true_label is None]:
            reason = f"the box {one.region} came back without a label"
            self.found.reject(look.line, Unusable("label", "missing_field", reason))
            look = replace(look, complete=False)
            found.remove(one)
        return found, look

    def _checked(self, look: Look, task: Task) -> tuple[list[Verdict], Look]:
        """Verdicts in so many words: those on boxes that are there."""
        good = []
        for one in look.verdicts:
            alone = one.type == "correct" and len(look.verdicts) == 1  # looked at, and none of its boxes was shown
            if one.index is None and one.type != "missed_object" and task.detections and not alone:
                reason = f"{one.type} without detection_index, on an image with detections"
                self.found.reject(look.line, Unusable("detection_index", "missing_field", reason))
            elif one.index is None and one.type not in ("missed_object", "correct"):
                reason = f"{one.type}, on an image without detections"
                self.found.reject(look.line, Unusable("detection_index", "no_such_detection", reason))
            else:
                good.append(one)
        return good, replace(look, complete=look.complete and len(good) == len(look.verdicts))

    def _identity(self, look: Look, task: Task, reviewer: str | None) -> tuple[str, datetime]:
        """The beginning of the ids, and the time: a look that is there already has both from then."""
        start = look.digest(self.found.format)
        before, ts = self.earlier.get((task.prediction_id, reviewer), ("", None))
        if look.at is not None:
            at = look.at + TICK if ts == look.at and before != start else look.at
        elif before == start and ts is not None:
            at = ts
        else:
            at = max(self.now, ts + TICK) if ts else self.now
        while (task.prediction_id, at) in self.used:  # two people, one moment: looks are told apart by their times
            at += TICK
        self.used.add((task.prediction_id, at))
        return start, at

    def _row(
        self, line: int, key: str, task: Task, verdict: Verdict, scope: str, reviewer: str | None, at: datetime
    ) -> None:
        self.counts[verdict.type] += 1
        detection = None if verdict.index is None else str(verdict.index)
        sides = verdict.xywh or (None, None, None, None)
        label = verdict.true_label if verdict.type in ("wrong_label", "missed_object") else None
        values = (line, key, task.prediction_id, detection, verdict.type, label, *sides, scope, reviewer, at)
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)

    def table(self) -> pa.Table:
        """The rows as `verdicts.write` takes them."""
        import pyarrow as pa

        kinds = {"line": pa.int64(), "ts": pa.timestamp("us"), **dict.fromkeys("xywh", pa.float32())}
        columns = {name: pa.array(values, kinds.get(name, pa.string())) for name, values in self._columns.items()}
        n = len(columns["line"])
        columns["line"] = pa.array(range(1, n + 1), pa.int64())
        nothing = pa.nulls(n, pa.string())
        return pa.table({**columns, "origin": ["review"] * n, "tide": nothing, "reason": nothing})


def _short(*parts: object) -> str:
    import hashlib

    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def _rejected(found: Found) -> pa.Table:
    """What is rejected, as the quarantine takes it."""
    import pyarrow as pa

    rows = [(one.line, one.field, one.code, one.reason, raw) for one, raw in found.rejected]
    names = ("line", "field", "code", "reason", "raw")
    columns = zip(*rows, strict=True) if rows else ((),) * 5
    kinds = {"line": pa.int64()}
    return pa.table(
        {name: pa.array(column, kinds.get(name, pa.string())) for name, column in zip(names, columns, strict=True)}
    )
