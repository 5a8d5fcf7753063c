"""The rules a record must keep (docs/formats.md): faults reject it, findings are repaired or counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detmon.formats.ambiguity import SCORE_SLACK
from detmon.formats.chunk import RAW_KEPT, Seen
from detmon.formats.contract import Reject, Warned
from detmon.formats.frame import LARGEST, MOST_PIXELS, SMALLEST, Frame
from detmon.formats.instants import State
from detmon.formats.names import class_id
from detmon.formats.supply import frame_numbers
from detmon.times import EPOCH, format_instant

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

LONGEST_TEXT = 512
MOST_BOXES = 65_535
MOST_TAGS = 32
EARLIEST = datetime(2000, 1, 1)


def find_faults(frame: Frame, now: datetime) -> None:
    """Mark every record that breaks a rule."""
    _missing(frame)
    for name in ("model_id", "image_id"):
        _bad_texts(frame, name)
    _bad_labels(frame)
    _bad_times(frame, now)
    _bad_scores(frame)
    _bad_status(frame)
    _too_many(frame)


def rejects(frame: Frame) -> list[Reject]:
    """The marked records, with their text as found."""
    rows = sorted(frame.faults.found)
    if not rows:
        return []
    texts = frame.raw(rows)
    found = []
    for row, text in zip(rows, texts, strict=True):
        fault = frame.faults.found[row]
        line = int(frame.line[row]) if fault.line is None else fault.line
        found.append(Reject(line, fault.field, fault.code, fault.reason, text[:RAW_KEPT]))
    return found


def good(frame: Frame) -> Frame:
    """The records without fault."""
    import numpy as np

    if not frame.faults.found:
        return frame
    kept = np.ones(len(frame), bool)
    kept[list(frame.faults.found)] = False
    return frame.take(kept)


def _missing(frame: Frame) -> None:
    import numpy as np

    for name, absent in (
        ("model_id", _nulls(frame.texts["model_id"])),
        ("timestamp", frame.times.state == State.missing),
        ("image_id", _nulls(frame.texts["image_id"])),
        ("detections", ~frame.listed),
    ):
        frame.faults.add(np.flatnonzero(absent), name, "missing_field", f"no `{name}`")


def _nulls(column: pa.Array) -> Flags:
    import numpy as np

    if not column.null_count:
        return np.zeros(len(column), bool)
    nulls: Flags = column.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _text_fault(text: str | None, name: str) -> str | None:
    """What is wrong with a text, or None."""
    if text is None:
        return None
    if not text.strip():
        return f"empty `{name}`"
    if len(text) > LONGEST_TEXT:
        return f"`{name}` has {len(text)} characters, more than {LONGEST_TEXT}"
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        return f"`{name}` has control characters"
    return None


def _bad_texts(frame: Frame, name: str) -> None:
    import numpy as np
    import pyarrow.compute as pc

    column = frame.texts[name]
    if not len(column) or _is_plain(column):
        return
    suspicious = pc.or_(
        pc.greater(pc.binary_length(column), LONGEST_TEXT),
        pc.match_substring_regex(column, r"^\s*$|[[:cntrl:]]|\xC2[\x80-\x9F]"),
    )
    for row in np.flatnonzero(suspicious.fill_null(False).to_numpy(zero_copy_only=False)):
        if reason := _text_fault(column[int(row)].as_py(), name):
            frame.faults.add([int(row)], name, "bad_text", reason)


def _is_plain(column: pa.Array) -> bool:
    """Whether all texts are surely good, by a look at their bytes: printable, without spaces, of a good length."""
    import numpy as np

    _, places, data = column.buffers()
    if column.null_count or data is None:
        return False
    offsets = np.frombuffer(places, np.int32)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(offsets)
    text = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return bool(lengths.min() > 0 and lengths.max() <= LONGEST_TEXT and text.min() > 32 and text.max() < 127)


def _bad_labels(frame: Frame) -> None:
    import numpy as np

    numbers, names = frame.boxes.kinds
    for number, name in enumerate(names):
        reason = "no `label`" if name is None else _text_fault(name, "label")
        if reason:
            bad = np.flatnonzero(numbers == number)
            code = "missing_field" if name is None else "bad_text"
            frame.faults.add(frame.boxes.owner[bad], "label", code, reason, frame.boxes.lines(bad))


def _bad_times(frame: Frame, now: datetime) -> None:
    import numpy as np

    micros, readable = frame.times.micros, frame.times.state == State.ok
    early = np.flatnonzero(readable & (micros < _micros(EARLIEST)))
    late = np.flatnonzero(readable & (micros > _micros(now + timedelta(days=1))))
    shown = [_instant(int(value)) for value in micros[early]]
    frame.faults.add(
        early, "timestamp", "time_range", lambda k: f"{shown[k]} is before 2000: seconds read as milliseconds?"
    )
    after = [_instant(int(value)) for value in micros[late]]
    frame.faults.add(late, "timestamp", "time_range", lambda k: f"{after[k]} is more than a day after now")


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _instant(micros: int) -> str:
    try:
        return format_instant(EPOCH + timedelta(microseconds=micros))
    except OverflowError:
        return f"{micros} µs"


def _bad_scores(frame: Frame) -> None:
    import numpy as np

    boxes = frame.boxes
    with np.errstate(invalid="ignore"):
        fine = (boxes.confidence >= -SCORE_SLACK) & (boxes.confidence <= 1 + SCORE_SLACK)
    bad = np.flatnonzero(boxes.scored & ~fine)

    def reason(k: int) -> str:
        return f"confidence {_number(boxes.confidence[bad[k]])}"

    frame.faults.add(boxes.owner[bad], "confidence", "score_range", reason, boxes.lines(bad))


def _number(value: float) -> str:
    return "NaN" if value != value else f"{float(value):.6g}"


def _bad_status(frame: Frame) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    status = frame.texts["status"]
    known = pc.is_in(status, pa.array(["ok", "error"]))
    rows = np.flatnonzero(~known.to_numpy(zero_copy_only=False))
    frame.faults.add(
        rows, "status", "bad_status", lambda k: f"`status` is {status[int(rows[k])].as_py()!r}, neither ok nor error"
    )


def _too_many(frame: Frame) -> None:
    import numpy as np

    counts = frame.boxes.counts
    rows = np.flatnonzero(counts > MOST_BOXES)
    frame.faults.add(rows, "detections", "too_many", lambda k: f"{counts[rows[k]]} detections, more than {MOST_BOXES}")
    if frame.tags.null_count < len(frame):
        tags = np.diff(frame.tags.offsets.to_numpy())
        many = np.flatnonzero(tags > MOST_TAGS)
        frame.faults.add(many, "tags", "too_many_tags", lambda k: f"{tags[many[k]]} tags, more than {MOST_TAGS}")


# --- repairs and findings ----------------------------------------------------------------------------------------


def repair(frame: Frame, now: datetime) -> list[Seen]:
    """Put right what may be put right in stored records, and say what was found."""
    return [found for found in (*_repair_numbers(frame), *_repair_boxes(frame), *_notice(frame, now)) if found.n]


def _repair_boxes(frame: Frame) -> list[Seen]:
    import numpy as np

    boxes = frame.boxes
    missing = Seen(
        "box_missing",
        "{n} detections are stored without box; they are left out of size rules",
        int((~boxes.boxed).sum()),
    )
    if not len(boxes):
        return []
    found = [missing]
    _, _, w, h = boxes.xywh
    if not (w.min() > SMALLEST and h.min() > SMALLEST):  # nor where there is a NaN
        found += _without_empty(frame)
    if not (boxes.confidence.min() >= 0 and boxes.confidence.max() <= 1):
        boxes.confidence = np.clip(boxes.confidence, 0, 1)
    found.append(_outside(frame))
    return found


def _without_empty(frame: Frame) -> list[Seen]:
    """Boxes that are none become null."""
    import numpy as np

    boxes = frame.boxes
    _, _, w, h = boxes.xywh
    placeholder = boxes.boxed & ((boxes.xywh == 0).all(axis=0) | (boxes.xywh == -1).all(axis=0))
    with np.errstate(invalid="ignore"):
        empty = boxes.boxed & ~placeholder & ~((w > SMALLEST) & (h > SMALLEST))
    boxes.boxed = boxes.boxed & ~placeholder & ~empty
    boxes.xywh = np.where(boxes.boxed, boxes.xywh, np.nan)
    return [
        Seen("box_placeholder", "{n} boxes are 0,0,0,0 or -1: stored without box", int(placeholder.sum())),
        Seen("box_empty", "{n} boxes without area: stored without box", int(empty.sum())),
    ]


def _outside(frame: Frame) -> Seen:
    import numpy as np

    x, y, w, h = frame.boxes.xywh
    width, height = (_box_size(frame, name) for name in ("image_width", "image_height"))
    by = np.fmax(-x.min(), -y.min())
    over = [np.fmax.reduce(x + w - width), np.fmax.reduce(y + h - height)]
    text = "{n} boxes leave the image by up to {worst} px"
    if np.isfinite(by) and not np.fmax.reduce([by, *over]) > 1:
        return Seen("box_outside", text, 0)
    with np.errstate(invalid="ignore"):
        by = np.fmax(np.fmax(-x, -y), np.fmax(x + w - width, y + h - height))
        out = by > 1
    worst = float(by[out].max()) if out.any() else 0.0
    return Seen("box_outside", text, int(out.sum()), worst)


def _box_size(frame: Frame, name: str) -> Any:
    """The size of each box's image; one number when all images have the same."""
    import numpy as np

    sizes = frame.numbers[name].astype(np.float32)
    return sizes[0] if (sizes == sizes[0]).all() else np.repeat(sizes, frame.boxes.counts)


def _repair_numbers(frame: Frame) -> list[Seen]:
    import numpy as np

    numbers = frame.numbers
    found = []
    with np.errstate(invalid="ignore"):
        bad_sizes = np.zeros(len(frame), bool)
        for name in ("image_width", "image_height"):
            bad_sizes |= ~np.isnan(numbers[name]) & ~((numbers[name] >= 1) & (numbers[name] < MOST_PIXELS))
        for name in ("image_width", "image_height"):
            numbers[name] = np.where(bad_sizes, np.nan, numbers[name])
        found.append(Seen("bad_size", "{n} image sizes are 0 or less: left out", int(bad_sizes.sum())))
        floor = numbers["confidence_floor"]
        numbers["confidence_floor"] = np.where(np.abs(floor) < LARGEST, floor, np.nan)
        latency = numbers["latency_ms"]
        bad = ~np.isnan(latency) & ~((latency >= 0) & (latency < LARGEST))
        numbers["latency_ms"] = np.where(bad, np.nan, latency)
        found.append(Seen("bad_latency", "{n} latencies are negative or no number: left out", int(bad.sum())))
    return found


def _notice(frame: Frame, now: datetime) -> list[Seen]:
    import numpy as np
    import pyarrow.compute as pc

    ahead = frame.times.micros - _micros(now)
    late = ahead > 5 * 60 * 1_000_000
    worst = float(ahead.max()) / 60e6 if late.any() else 0.0
    errors = pc.equal(frame.texts["status"], "error").to_numpy(zero_copy_only=False)
    return [
        Seen("future_time", "{n} times are after now: clock ahead by up to {worst} min", int(late.sum()), worst),
        Seen(
            "clock_change",
            "{n} times in the hour of a clock change: the first reading taken",
            frame.times.clock_changes,
        ),
        Seen(
            "confidence_missing",
            "{n} detections have no confidence: left out of confidence metrics",
            int(np.count_nonzero(~frame.boxes.scored)),
        ),
        Seen(
            "error_with_boxes",
            "{n} records have status error and detections",
            int((errors & (frame.boxes.counts > 0)).sum()),
        ),
    ]


@dataclass
class Tally:
    """The findings of a file so far, and what can only be judged over the whole of it."""

    found: dict[tuple[str, str], Seen] = field(default_factory=dict)
    records: int = 0
    boxes: int = 0
    scored: int = 0
    twins: int = 0
    lowest: float = 2.0
    highest: float = -1.0
    labels_are_numbers: bool = True
    numbered: bool = False
    """Whether holes in the numbers of images are to be told: nobody says which images were seen."""
    frame_prefix: str = ""
    numbers: set[int] = field(default_factory=set)
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, seen: list[Seen]) -> None:
        """Count findings."""
        for one in seen:
            key = (one.code, one.text)
            before = self.found.get(key)
            self.found[key] = one if before is None else Seen(*key, before.n + one.n, max(before.worst, one.worst))

    def look(self, frame: Frame, twins: int) -> None:
        """Take the records of a frame into account."""
        import numpy as np

        boxes = frame.boxes
        self.records += len(frame)
        self.boxes += len(boxes)
        self.twins += twins
        values, times = np.unique(boxes.counts, return_counts=True)
        self.counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
        scored = boxes.confidence[boxes.scored]
        if len(scored):
            self.scored += len(scored)
            self.lowest = min(self.lowest, float(scored.min()))
            self.highest = max(self.highest, float(scored.max()))
        if self.numbered and len(frame):
            numbers = frame_numbers(frame.texts["image_id"], self.frame_prefix)
            self.numbered = numbers is not None
            self.numbers.update(() if numbers is None else np.unique(numbers).tolist())
        self.labels_are_numbers &= all(class_id(name) is not None for name in boxes.kinds[1])

    def warnings(self) -> list[Warned]:
        """All findings, one an entry."""
        found = [*self.found.values(), *self._of_the_whole()]
        return [Warned(one.code, one.sentence(), one.n) for one in found]

    def _of_the_whole(self) -> list[Seen]:
        found = []
        if self.scored >= 100 and self.lowest == self.highest:
            text = f"every score is {self.lowest:g}: it carries no information"
            found.append(Seen("confidence_constant", text, self.scored))
        count, times = self.counts.most_common(1)[0] if self.counts else (0, 0)
        if count >= 10 and self.records >= 100 and times >= 0.95 * self.records:
            text = f"every image has exactly {count} boxes (top-k export): counts say nothing"
            found.append(Seen("fixed_count", text, times))
        if self.boxes and self.labels_are_numbers:
            found.append(Seen("label_is_number", "all labels are numbers. hint: --categories", self.boxes))
        if self.twins > 0.05 * self.boxes:
            text = "{n} boxes carry two labels (per-class NMS). hint: --merge-boxes 0.95"
            found.append(Seen("twin_boxes", text, self.twins))
        if self.numbered and len(self.numbers) > 1:
            span = max(self.numbers) - min(self.numbers) + 1
            if span - len(self.numbers) > 0.01 * span:
                text = "{n} numbers are missing among the image ids: are images without detections left out?"
                found.append(Seen("gaps_in_ids", text, span - len(self.numbers)))
        return found
