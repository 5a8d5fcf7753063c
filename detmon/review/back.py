"""Reviews come back: the looks in a file become feedback."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detmon import failpoints, verdicts
from detmon.errors import InputRefused
from detmon.review import files, tasks
from detmon.review.judging import Region, Verdict, judge
from detmon.review.looks import Found, Look, Unusable
from detmon.review.records import ReviewImported
from detmon.review.tasks import Task
from detmon.store import Connection, Store, statement, transaction
from detmon.verdicts import VerdictWarning

if TYPE_CHECKING:
    import pyarrow as pa

LISTED = 1000
LONGEST = 512
"""Letters of a label, or of a name."""
TICK = timedelta(microseconds=1)


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
    return take(store, files.read(source), options, now)


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
        items=len(rows.items),
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


def _check_region(one: Verdict) -> None:
    """Raises Unusable for a region that does not say what it is."""
    if one.type == "wrong_label" and one.true_label is None:
        raise Unusable("label", "missing_field", f"the box {one.region} came back without a label")


def _check_row(one: Verdict, look: Look, task: Task) -> None:
    """Raises Unusable for a verdict in so many words that contradicts its prediction."""
    boxes = len(task.detections)
    if one.index is not None and one.index >= boxes:
        raise Unusable("detection_index", "no_such_detection", f"no detection {one.index}: the image has {boxes}")
    if one.index is not None:
        label = task.detections[one.index].label
        if one.type == "wrong_label" and one.true_label == label:
            raise Unusable("true_label", "label_not_wrong", f"the predicted label is {label}, too")
        return
    alone = one.type == "correct" and len(look.verdicts) == 1  # looked at, and none of its boxes was shown
    if one.type != "missed_object" and boxes and not alone:
        raise Unusable("detection_index", "missing_field", f"{one.type} of which box? the image has {boxes}")
    if one.type not in ("missed_object", "correct"):
        raise Unusable("detection_index", "no_such_detection", f"{one.type}, on an image without detections")


def _check_text(field: str, text: str | None) -> None:
    """Raises Unusable for what no label and no name can be."""
    if text is not None and (len(text) > LONGEST or any(unicodedata.category(letter) == "Cc" for letter in text)):
        raise Unusable(field, "bad_text", f"`{field}` is too long, or has control characters")


class _Rows:
    """Feedback as it is put together, look by look."""

    def __init__(self, found: Found, options: Options, now: datetime, earlier: Earlier) -> None:
        self.found = found
        self.options = options
        self.now = now
        self.earlier = earlier
        self.counts: Counter[str] = Counter()
        self.items: set[str] = set()
        self.used: set[tuple[str, datetime]] = set()
        self._columns: dict[str, list[Any]] = {
            name: [] for name in (
                "feedback_id", "prediction_id", "detection", "type", "true_label", "x", "y", "w", "h",
                "scope", "reviewer", "ts",
            )
        }  # fmt: skip

    def add(self, look: Look, task: Task) -> None:
        """The verdicts of one look; what contradicts itself or the prediction is rejected."""
        if look.at is not None and look.at > self.now + timedelta(days=1):
            reason = f"reviewed at {look.at:%Y-%m-%d %H:%M}, which is in the future"
            self.found.reject(look.line, Unusable("updated_at", "time_range", reason))
            return
        reviewer = look.reviewer or self.options.reviewer or look.user
        try:
            _check_text("reviewer", reviewer)
            said, look = self._said(look, task)
        except Unusable as why:
            self.found.reject(look.line, why)
            return
        self.items.add(task.item_id)
        look = replace(look, complete=look.complete and not self.options.boxes_only)
        if look.complete and not said:
            said = [Verdict("correct")]  # it was looked at, and there is nothing to say
        start, at = self._identity(look, task, reviewer)
        for number, verdict in enumerate(said):
            key = f"{start}-{_short(verdict.region or str(verdict.index), at if look.at is None else None, number)}"
            self._row(key, task, verdict, "exhaustive" if look.complete else "boxes_only", reviewer, at)

    def _said(self, look: Look, task: Task) -> tuple[list[Verdict], Look]:
        task = replace(task, least=look.least)
        if look.shapes is None:
            return self._good(look, look.verdicts, lambda one: _check_row(one, look, task))
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
        return self._good(look, judge(task.boxes, regions, look.unclear, size, self.options.iou), _check_region)

    def _good(
        self, look: Look, said: Iterable[Verdict], check: Callable[[Verdict], None]
    ) -> tuple[list[Verdict], Look]:
        """The verdicts that can be; a look of which some cannot be is not complete."""
        good = []
        for one in said:
            try:
                _check_text("true_label", one.true_label)
                check(one)
                good.append(one)
            except Unusable as why:
                self.found.reject(one.line or look.line, why, one)
                look = replace(look, complete=False)
        return good, look

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

    def _row(self, key: str, task: Task, verdict: Verdict, scope: str, reviewer: str | None, at: datetime) -> None:
        self.counts[verdict.type] += 1
        detection = None if verdict.index is None else str(verdict.index)
        sides = verdict.xywh or (None, None, None, None)
        label = verdict.true_label if verdict.type in ("wrong_label", "missed_object") else None
        values = (key, task.prediction_id, detection, verdict.type, label, *sides, scope, reviewer, at)
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)

    def table(self) -> pa.Table:
        """The rows as `verdicts.write` takes them."""
        import pyarrow as pa

        kinds = {"ts": pa.timestamp("us"), **dict.fromkeys("xywh", pa.float32())}
        columns = {name: pa.array(values, kinds.get(name, pa.string())) for name, values in self._columns.items()}
        n = len(columns["ts"])
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
