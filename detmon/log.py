"""The serving side: what a model found on an image, as a line that `detmon ingest` reads.

    from detmon.log import Logger

    with Logger("predictions.jsonl", model_id="vehicles@3") as log:
        log.write(results, image_id="cam1/000123.jpg", source="cam1")

Standard library only: a model server needs nothing of detmon but this file. Results of Ultralytics, supervision and
torchvision are known by their attributes; none of these is imported.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import hashlib
import json
import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Logger"]

Names = Mapping[int, str] | Sequence[str]
"""Class names by number."""

_BUFFER = 1 << 18
"""Lines that wait are written at the latest when they are so many bytes (or a quarter of a file's size)."""
_NO_LOCKS_HERE = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_report = logging.getLogger("detmon.log")


class Logger:
    """Appends one line an inference to `path`; threads, forked workers and other processes may share the file.

    `confidence_floor` is the score below which the model's boxes were dropped; `names` are class names by number, for
    results that have none; `tags` go into every line. `rotate`: "day" (UTC), or a size such as "100MB"; the full file
    gets the time of its last line into its name (`predictions-20261120T235959Z.jsonl`) and is never written again.
    `flush_seconds`: lines may wait so long and are written together (0: each at once).

    By default nothing is raised into the serving path: `errors` counts what went wrong, `last_error` says it, and the
    first is reported to Python's logger "detmon.log". `on_error="raise"` raises.
    """

    _lock: threading.Lock
    _lines: list[bytes]  # what waits, in `_size` bytes
    _size: int
    _timer: threading.Timer | None

    def __init__(
        self,
        path: str | os.PathLike[str],
        model_id: str,
        *,
        confidence_floor: float | None = None,
        names: Names | None = None,
        tags: Mapping[str, object] | None = None,
        rotate: str | None = None,
        flush_seconds: float = 0.0,
        on_error: str = "count",
    ) -> None:
        if not model_id:
            raise ValueError("model_id is empty")
        if on_error not in ("count", "raise"):
            raise ValueError(f'on_error is "count" or "raise", not {on_error!r}')
        self.model_id = model_id
        self.written = 0
        self.errors = 0
        self.last_error: str | None = None
        self._floor = None if confidence_floor is None else _number(confidence_floor)
        self._names = names
        self._tags = dict(tags or {})
        self._raises = on_error == "raise"
        self._flush_seconds = flush_seconds
        most_bytes, daily = _rotation(rotate)
        self._most_waiting = _BUFFER if most_bytes is None else min(_BUFFER, most_bytes // 4)
        self._file = _File(Path(path), most_bytes, daily)
        self._fresh()
        _alive.add(self)
        atexit.register(self._at_exit, weakref.ref(self))
        weakref.finalize(self, self._file.close)

    def write(
        self,
        results: Any,
        *,
        image_id: str,
        source: str | None = None,
        timestamp: datetime | None = None,
        latency_ms: float | None = None,
        image_size: tuple[int, int] | None = None,
        image_uri: str | None = None,
        tags: Mapping[str, object] | None = None,
        status: str = "ok",
        prediction_id: str | None = None,
    ) -> str | None:
        """Log one inference, also one that found nothing; returns its prediction id, the key of later feedback.

        `results`: an Ultralytics `Results`, a supervision `Detections`, a torchvision dict of one image, or a list of
        `{"label", "confidence", "bbox": [x, y, width, height]}`, also as tuples in this order. `timestamp` has a zone
        (default: now), `image_size` is (width, height) in pixels. Results that cannot be read (NaN, another type) are
        logged as an inference with status "error", so that no image is missing. None is returned for what is lost.
        """
        try:
            moment = _utc(timestamp)
            given = {
                "prediction_id": prediction_id or _derived_id(self.model_id, source, image_id, moment),
                "model_id": self.model_id,
                "timestamp": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "image_id": _text("image_id", image_id),
                "image_uri": image_uri,
                "source": source,
                "confidence_floor": self._floor,
                "tags": {key: str(value) for key, value in {**self._tags, **(tags or {})}.items()} or None,
            }
            try:
                line = _line(given, _Found(results, self._names), latency_ms, image_size, status)
            except Exception as error:
                if self._raises:
                    raise
                self._failed(error)
                line = _line(given, _Found([], None), None, None, "error")
            self._append(line)
        except Exception as error:
            if self._raises:
                raise
            self._failed(error)
            return None
        return str(given["prediction_id"])

    def flush(self) -> None:
        """Write the lines that wait."""
        try:
            with self._lock:
                self._flush()
        except Exception as error:
            if self._raises:
                raise
            self._failed(error)

    def close(self) -> None:
        """Write the lines that wait, and close the file; a later `write` opens it again."""
        self.flush()
        with self._lock:
            self._file.close()

    def __enter__(self) -> Logger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        with self._lock:
            self._lines.append(line)
            self._size += len(line)
            if self._flush_seconds <= 0 or self._size >= self._most_waiting:
                self._flush()
            elif self._timer is None:
                self._timer = threading.Timer(self._flush_seconds, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            try:
                self._file.append(b"".join(lines))
            except Exception:
                self.errors += len(lines) - 1  # the last is counted by whoever catches this
                raise
            self.written += len(lines)

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = f"{type(error).__name__}: {error}"
        if self.errors == 1:
            with suppress(Exception):
                _report.warning("%s: %s (later ones are only counted)", self._file.path, self.last_error)

    def _fresh(self) -> None:
        """Nothing waits, and nothing is open: at the start, and in a forked child (what waits is its parent's)."""
        self._lock = threading.Lock()
        self._lines = []
        self._size = 0
        self._timer = None
        self._file.close()

    @staticmethod
    def _at_exit(reference: weakref.ref[Logger]) -> None:
        logger = reference()
        if logger is not None:
            logger.close()


_alive: weakref.WeakSet[Logger] = weakref.WeakSet()


def _after_fork() -> None:
    for logger in list(_alive):
        logger._fresh()


os.register_at_fork(after_in_child=_after_fork)


class _File:
    """The file at `path`: whole lines are appended, and it is set aside when it is full or its day is over.

    Every process that appends or sets aside holds a lock on the file meanwhile, so nobody writes to a file that was
    set aside. Where the file system has no locks, `rotate` needs a single process.
    """

    def __init__(self, path: Path, most_bytes: int | None, daily: bool) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._daily = daily
        self._fd: int | None = None

    def append(self, data: bytes) -> None:
        """Write whole lines with one call; raises OSError, and then nothing of them is in the file."""
        while True:
            fd = self._open()
            _lock(fd, fcntl.LOCK_EX)
            try:
                state = os.fstat(fd)
                if not self._is_current(state):
                    self.close()
                    fd = -1  # closing has given the lock back
                elif state.st_size and self._is_full(state, len(data)):
                    self._set_aside(state)
                    self.close()
                    fd = -1
                else:
                    _write(fd, state.st_size, data)
                    return
            finally:
                if fd >= 0:
                    _lock(fd, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        if self._fd is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        return self._fd

    def _is_current(self, state: os.stat_result) -> bool:
        """Whether the open file is still the one at `path`: another process may have set it aside."""
        try:
            at_path = os.stat(self.path)
        except FileNotFoundError:
            return False
        return (at_path.st_ino, at_path.st_dev) == (state.st_ino, state.st_dev)

    def _is_full(self, state: os.stat_result, more: int) -> bool:
        if self._daily and int(state.st_mtime // 86_400) != int(time.time() // 86_400):
            return True
        return self._most_bytes is not None and state.st_size + more > self._most_bytes

    def _set_aside(self, state: os.stat_result) -> None:
        stem = f"{self.path.stem}-{datetime.fromtimestamp(state.st_mtime, UTC):%Y%m%dT%H%M%SZ}"
        number, name = 1, f"{stem}{self.path.suffix}"
        while (target := self.path.with_name(name)).exists():
            number += 1
            name = f"{stem}-{number}{self.path.suffix}"
        os.rename(self.path, target)


def _lock(fd: int, operation: int) -> None:
    try:
        fcntl.flock(fd, operation)
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise


def _write(fd: int, size: int, data: bytes) -> None:
    """Append `data` to a file of `size` bytes, or leave the file as it is."""
    if size and os.pread(fd, 1, size - 1) != b"\n":
        data = b"\n" + data  # a line that a power failure cut off
    written = os.write(fd, data)
    if written < len(data):
        os.ftruncate(fd, size)
        raise OSError(errno.ENOSPC, "the disk is full")


def _rotation(rotate: str | None) -> tuple[int | None, bool]:
    """(most bytes, daily) of "day" or a size."""
    if rotate in (None, "day"):
        return None, rotate == "day"
    number, unit = str(rotate)[:-2].strip(), str(rotate)[-2:].upper()
    if not number.isdigit() or int(number) == 0 or unit not in _UNITS:
        raise ValueError(f'rotate is "day" or a size such as "100MB", not {rotate!r}')
    return int(number) * _UNITS[unit], False


class _Found:
    """What one result says: `detections` as they are logged, `size` (width, height) and `latency_ms` if it knows."""

    def __init__(self, result: Any, names: Names | None) -> None:
        self.size: tuple[int, int] | None = None
        self.latency_ms: float | None = None
        if isinstance(result, list) and result and _is_of_an_image(result[0]):  # what `model(image)` returns
            if len(result) > 1:
                raise TypeError(f"{len(result)} images in one call: write each with its image_id")
            (result,) = result
        if hasattr(result, "orig_shape"):
            self._ultralytics(result, names)
        elif hasattr(result, "xyxy") and hasattr(result, "class_id"):
            self._supervision(result, names)
        elif isinstance(result, Mapping):
            labels = [_name(names, number) for number in _values(result["labels"])]
            self.detections = _detections(labels, result["scores"], result["boxes"])
        else:
            self.detections = [_listed(one) for one in result]

    def _ultralytics(self, result: Any, names: Names | None) -> None:
        height, width = result.orig_shape
        self.size = int(width), int(height)
        steps = [step for step in (getattr(result, "speed", None) or {}).values() if step is not None]
        self.latency_ms = sum(steps) if steps else None
        rotated = getattr(result, "obb", None)
        boxes = result.boxes if rotated is None else rotated
        if boxes is None:
            raise TypeError("the result has no boxes: is this a model for classification?")
        labels = [_name(names or result.names, number) for number in _values(boxes.cls)]
        corners = _values(boxes.xyxy)
        if rotated is not None:  # what encloses them may leave the image far behind
            corners = [[min(max(side, 0), self.size[k % 2]) for k, side in enumerate(box)] for box in corners]
        self.detections = _detections(labels, boxes.conf, corners, getattr(boxes, "id", None))

    def _supervision(self, result: Any, names: Names | None) -> None:
        data = getattr(result, "data", None) or {}
        boxes = _values(result.xyxy)
        if names is None and "class_name" in data:
            labels = [str(name) for name in data["class_name"]]
        elif result.class_id is None:
            raise TypeError("the detections have neither class names nor class ids")
        else:
            labels = [_name(names, number) for number in _values(result.class_id)]
        confidences = [None] * len(boxes) if result.confidence is None else result.confidence
        self.detections = _detections(labels, confidences, boxes, getattr(result, "tracker_id", None))


def _is_of_an_image(one: Any) -> bool:
    """Whether something is all that was found on one image: of Ultralytics, or of torchvision."""
    return hasattr(one, "orig_shape") or (isinstance(one, Mapping) and "boxes" in one)


def _detections(labels: list[str], confidences: Any, boxes: Any, tracks: Any = None) -> list[dict[str, Any]]:
    """Detections from columns; boxes are corners (x1, y1, x2, y2). Raises ValueError where the lengths differ."""
    found = []
    for label, confidence, (x1, y1, x2, y2) in zip(labels, _values(confidences), _values(boxes), strict=True):
        box = [_number(x1, 2), _number(y1, 2), _number(x2 - x1, 2), _number(y2 - y1, 2)]
        found.append({"label": label, "confidence": _confidence(confidence), "bbox": box})
    if tracks is not None:
        for one, track in zip(found, _values(tracks), strict=True):
            one["track_id"] = str(int(track))
    return found


def _listed(one: Any) -> dict[str, Any]:
    """A detection of a plain list."""
    if not isinstance(one, Mapping):
        one = dict(zip(("label", "confidence", "bbox"), one, strict=True))
    box = None if one.get("bbox") is None else [_number(side, 2) for side in one["bbox"]]
    if box is not None and len(box) != 4:
        raise ValueError(f"bbox has {len(box)} numbers, not 4")
    said = {"label": _text("label", one["label"]), "confidence": _confidence(one["confidence"]), "bbox": box}
    return said | {key: str(one[key]) for key in ("detection_id", "track_id") if one.get(key) is not None}


def _values(column: Any) -> list[Any]:
    """A tensor, an array or a sequence as a list; one copy from the GPU for all of it."""
    return column.tolist() if hasattr(column, "tolist") else list(column)


def _name(names: Names | None, number: float) -> str:
    """The class name of a number; the number itself where there is none."""
    place = int(number)
    if isinstance(names, Mapping):
        return str(names.get(place, place))
    return str(names[place]) if names is not None and 0 <= place < len(names) else str(place)


def _number(value: Any, digits: int = 6) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a number that can be logged")
    return round(number, digits)


def _confidence(value: Any) -> float | None:
    return None if value is None else _number(value)


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise TypeError(f"{field} is {value!r}, not a text")
    return str(value)


def _utc(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.now(UTC)
    if moment.tzinfo is None:
        raise ValueError("timestamp has no zone: datetime.now(UTC), or .astimezone()")
    return moment.astimezone(UTC)


def _derived_id(model_id: str, source: str | None, image_id: str, moment: datetime) -> str:
    """The id that `detmon ingest` derives of the same line (docs/formats.md)."""
    parts = (model_id, source or "", str(image_id), moment.strftime("%Y-%m-%d %H:%M:%S.%f"))
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _line(
    given: Mapping[str, Any],
    found: _Found,
    latency_ms: float | None,
    image_size: Iterable[int] | None,
    status: str,
) -> bytes:
    """One line of JSON, with its end; fields without a value are left out."""
    width, height = image_size or found.size or (None, None)
    latency = found.latency_ms if latency_ms is None else latency_ms
    record = {
        **given,
        "image_width": width if width is None else int(width),
        "image_height": height if height is None else int(height),
        "latency_ms": None if latency is None else _number(latency, 3),
        "status": None if status == "ok" else status,
    }
    known = {key: value for key, value in record.items() if value is not None}
    return (_encode({**known, "detections": found.detections}) + "\n").encode("utf-8", "replace")
