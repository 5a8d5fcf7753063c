"""Records as columns of numbers: what mapping, the detector, validation and statistics work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from detmon.formats.chunk import CANONICAL, Chunk
from detmon.formats.instants import Instants, State, instants

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Flags = NDArray[np.bool_]
    Places = NDArray[np.int64]

LARGEST = 1e12
"""No coordinate of an image and no latency is as large: it would be infinite in what is stored."""
MOST_PIXELS = 2**31
"""No side of an image has as many."""
SMALLEST = 1e-30
"""No box is as small: its sides would be 0 in what is stored."""
TEXTS = ("prediction_id", "model_id", "image_id", "image_uri", "source", "status")
NUMBERS = ("image_width", "image_height", "latency_ms", "confidence_floor")


@dataclass
class Boxes:
    """All boxes of some records, flat: record i owns offsets[i]:offsets[i+1].

    `confidence` is NaN where there is none (`scored` False); `xywh` has shape (4, boxes), as logged until
    `supply` has turned it into pixels from the top-left corner, NaN where there is none (`boxed` False).
    """

    offsets: Places
    label: pa.Array
    confidence: Numbers
    scored: Flags
    xywh: Numbers
    boxed: Flags
    detection_id: pa.Array
    track_id: pa.Array
    line: Places | None = None
    """The line of each box, where boxes have lines of their own."""

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @property
    def counts(self) -> Places:
        """Boxes of each record."""
        import numpy as np

        return np.diff(self.offsets)

    @cached_property
    def owner(self) -> Places:
        """The record of each box."""
        import numpy as np

        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    @cached_property
    def kinds(self) -> tuple[NDArray[np.int32], list[str | None]]:
        """The labels as numbers, and the text of each number."""
        import pyarrow as pa

        encoded = self.label.dictionary_encode(null_encoding="encode")
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()

    def keep(self, kept: Flags) -> Boxes:
        """Only the boxes that `kept` marks; the records stay."""
        import numpy as np
        import pyarrow as pa

        total = np.concatenate([[0], np.cumsum(kept)])
        mask = pa.array(kept)
        return Boxes(
            total[self.offsets],
            self.label.filter(mask),
            self.confidence[kept],
            self.scored[kept],
            self.xywh[:, kept],
            self.boxed[kept],
            self.detection_id.filter(mask),
            self.track_id.filter(mask),
            None if self.line is None else self.line[kept],
        )

    def lines(self, places: Places) -> Places | None:
        """The lines of some boxes, where they have their own."""
        return None if self.line is None else self.line[places]


@dataclass
class Fault:
    """Why a record cannot be stored: the field, the code, the sentence, and the line if it is not the record's own."""

    field: str | None
    code: str
    reason: str
    line: int | None = None


@dataclass
class Faults:
    """The faults of records: the first found of each counts."""

    found: dict[int, Fault] = field(default_factory=dict)

    def add(
        self,
        rows: Sequence[int] | Places,
        name: str | None,
        code: str,
        reason: str | Callable[[int], str],
        lines: Places | None = None,
    ) -> None:
        """Mark `rows`; `name` is the field, `reason` the sentence, or gives it for the k-th of the rows."""
        for k, row in enumerate(rows):
            if int(row) not in self.found:
                sentence = reason if isinstance(reason, str) else reason(k)
                self.found[int(row)] = Fault(name, code, sentence, None if lines is None else int(lines[k]))


@dataclass
class Frame:
    """Records in columns. Numbers are NaN where the log has none; texts are arrow arrays with nulls."""

    line: Places
    texts: dict[str, pa.Array]
    numbers: dict[str, Numbers]
    times: Instants
    tags: pa.Array
    listed: Flags
    boxes: Boxes
    raw: Callable[[Sequence[int]], list[str]]
    faults: Faults = field(default_factory=Faults)
    unlisted: Flags | None = None
    """Records of images that are not in the list of images, where there is one."""

    def __len__(self) -> int:
        return len(self.line)

    def head(self, n: int) -> Frame:
        """The first `n` records."""
        import numpy as np

        return self if n >= len(self) else self.take(np.arange(len(self)) < n)

    def take(self, kept: Flags) -> Frame:
        """The records that `kept` marks."""
        import numpy as np
        import pyarrow as pa

        mask = pa.array(kept)
        rows = np.flatnonzero(kept)
        boxes = self.boxes.keep(np.repeat(kept, self.boxes.counts))
        boxes.offsets = np.concatenate([[0], np.cumsum(self.boxes.counts[kept])])
        places = {int(row): k for k, row in enumerate(rows)} if self.faults.found else {}
        raw = self.raw
        return Frame(
            self.line[kept],
            {name: column.filter(mask) for name, column in self.texts.items()},
            {name: column[kept] for name, column in self.numbers.items()},
            replace(self.times, micros=self.times.micros[kept], state=self.times.state[kept]),
            self.tags.filter(mask),
            self.listed[kept],
            boxes,
            lambda some: raw(rows[list(some)].tolist()),
            Faults({places[row]: fault for row, fault in self.faults.found.items() if row in places}),
            None if self.unlisted is None else self.unlisted[kept],
        )


def frame_of(chunk: Chunk, zone: str | None) -> Frame:
    """The columns of a chunk. What has the wrong type is a fault of its record; `zone`: of times without one."""
    import numpy as np
    import pyarrow as pa

    n = chunk.table.num_rows
    faults = Faults()
    columns = {name: _column(chunk.table, name) for name in ("line", *CANONICAL)}
    texts = {name: _text(columns[name], name, faults) for name in TEXTS}
    numbers = {name: _number(columns[name], name, faults) for name in NUMBERS}
    stamps = columns["timestamp"]
    times = instants(stamps, zone)
    wrong = np.flatnonzero(times.state == State.wrong_type)
    faults.add(wrong, "timestamp", "wrong_type", f"`timestamp` is {_type_name(stamps.type)}")
    listed, boxes = _boxes(columns["detections"], n, faults)
    tags = _tags(columns["tags"], faults, chunk)
    line = columns["line"].cast(pa.int64()).to_numpy()
    frame = Frame(line, texts, numbers, times, tags, listed, boxes, chunk.raw, faults)
    _time_faults(frame, stamps)
    return frame


def _time_faults(frame: Frame, stamps: pa.Array) -> None:
    import numpy as np

    for state, code, reason in (
        (State.unreadable, "bad_time", '"{}" is not a time'),
        (State.slashed, "bad_time", '"{}": day or month first?'),
        (State.zoneless, "no_zone", '"{}" has no zone'),
    ):
        rows = np.flatnonzero(frame.times.state == state)
        if len(rows):
            sentences = [reason.replace("{}", str(text)) for text in stamps.take(rows).to_pylist()]
            frame.faults.add(rows, "timestamp", code, sentences.__getitem__)


def _column(table: pa.Table, name: str) -> pa.Array:
    import pyarrow as pa

    if name not in table.column_names:
        return pa.nulls(table.num_rows)
    column = table.column(name)
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], column.type)
    return whole.storage if isinstance(whole, pa.ExtensionArray) else whole


def _type_name(kind: pa.DataType) -> str:
    import pyarrow as pa

    tests = (
        (pa.types.is_boolean, "true or false"),
        (pa.types.is_nested, "a list or an object"),
        (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), "text"),
        (lambda t: pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t), "a number"),
    )
    return next((name for test, name in tests if test(kind)), str(kind))


def _text(column: pa.Array, name: str, faults: Faults, rows: Places | None = None) -> pa.Array:
    """`column` as text; whole numbers are taken as text. `rows`: the record of each value, for values of boxes."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_dictionary(kind):
        return _text(column.dictionary_decode(), name, faults, rows)
    texty = pa.types.is_large_string(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)
    if texty or kind == pa.string_view():
        return column.cast(pa.string())
    _wrong(column, name, faults, rows)
    return pa.nulls(len(column), pa.string())


def _number(column: pa.Array, name: str, faults: Faults, rows: Places | None = None) -> Numbers:
    """`column` as float32 (if it is that) or float64, NaN for null."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind) or pa.types.is_float16(kind):
        column = column.cast(pa.float64(), safe=False)
    elif not pa.types.is_floating(kind):
        _wrong(column, name, faults, rows)
        return np.full(len(column), np.nan)
    numbers: Numbers = column.to_numpy(zero_copy_only=False)
    return numbers


def _wrong(column: pa.Array, name: str, faults: Faults, rows: Places | None) -> None:
    import numpy as np

    there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    faults.add(there if rows is None else rows[there], name, "wrong_type", f"`{name}` is {_type_name(column.type)}")


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _boxes(column: pa.Array, n: int, faults: Faults) -> tuple[Flags, Boxes]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.array([], pa.struct([]))
    if pa.types.is_null(column.type):
        return np.zeros(n, bool), _flat(nothing, np.zeros(n + 1, np.int64), faults)
    kind = column.type
    if not _is_list(kind) or not (pa.types.is_struct(kind.value_type) or pa.types.is_null(kind.value_type)):
        rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        what = "a list of something else than detections" if _is_list(kind) else _type_name(kind)
        faults.add(rows, "detections", "wrong_type", f"`detections` is {what}")
        return np.ones(n, bool), _flat(nothing, np.zeros(n + 1, np.int64), faults)
    counts = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    listed = column.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return listed, _flat(column.flatten() if len(column) else nothing, offsets, faults)


def _flat(structs: pa.Array, offsets: Places, faults: Faults) -> Boxes:
    import numpy as np
    import pyarrow as pa

    m = len(structs)
    if pa.types.is_struct(structs.type):
        found = dict(zip((field.name for field in structs.type), structs.flatten(), strict=True))
    else:
        found = {}
    missing = pa.nulls(m)
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    label = _text(found.get("label", missing), "label", faults, rows)
    column = found.get("confidence", missing)
    confidence = _number(column, "confidence", faults, rows)
    scored = column.is_valid().to_numpy(zero_copy_only=False)
    xywh, boxed = _box(found.get("bbox", missing), faults, rows)
    ids = [_text(found.get(name, missing), name, faults, rows) for name in ("detection_id", "track_id")]
    line = found["line"].to_numpy() if "line" in found else None
    boxes = Boxes(offsets, label, confidence, scored, xywh, boxed, ids[0], ids[1], line)
    boxes.__dict__["owner"] = rows
    return boxes


def _box(column: pa.Array, faults: Faults, rows: Places) -> tuple[Numbers, Flags]:
    """Four numbers a box, from a list of four or a struct {x, y, w, h}; shape (4, boxes)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    m = len(column)
    boxed: Flags = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_null(column.type):
        return np.full((4, m), np.nan, np.float32), boxed
    if pa.types.is_struct(column.type):
        sides = {field.name: part for field, part in zip(column.type, column.flatten(), strict=True)}
        names = ("x", "y", "w", "h") if "w" in sides else ("x", "y", "width", "height")
        found = [_number(sides.get(name, pa.nulls(m)), "bbox", faults, rows) for name in names]
        xywh = np.stack(found)
    elif _is_list(column.type):
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        values = _number(column.flatten(), "bbox", faults, np.repeat(rows, lengths))
        if len(values) == 4 * m and (lengths == 4).all():
            xywh = np.ascontiguousarray(values.reshape(-1, 4).T)
        else:
            xywh = np.full((4, m), np.nan, values.dtype)
            xywh[:, lengths == 4] = values[np.repeat(lengths == 4, lengths)].reshape(-1, 4).T
            odd = np.flatnonzero(boxed & (lengths != 4))
            faults.add(rows[odd], "bbox", "bad_box", lambda k: f"`bbox` has {lengths[odd[k]]} numbers, not 4")
    else:
        _wrong(column, "bbox", faults, rows)
        xywh = np.full((4, m), np.nan, np.float32)
    if m and xywh.max() < LARGEST and xywh.min() > -LARGEST:  # neither holds where there is a NaN
        return xywh, boxed
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(boxed & ~(np.abs(xywh) < LARGEST).all(axis=0))
    faults.add(rows[bad], "bbox", "bad_box", lambda k: f"bbox {xywh[:, bad[k]].tolist()}")
    return xywh, boxed


def _tags(column: pa.Array, faults: Faults, chunk: Chunk) -> pa.Array:
    """Tags as map<text, text>, from a map, a struct, or JSON text."""
    import pyarrow as pa

    from detmon.formats.tags import tags_of_struct, tags_of_text

    kind = pa.map_(pa.string(), pa.string())
    if column.type == kind or pa.types.is_null(column.type):
        return column.cast(kind)
    if pa.types.is_map(column.type):
        if pa.types.is_string(column.type.key_type) and not pa.types.is_nested(column.type.item_type):
            return column.cast(kind)
        column = pa.array([None if row is None else dict(row) for row in column.to_pylist()])
    if pa.types.is_struct(column.type):
        return tags_of_struct(column, chunk.seen)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return tags_of_text(column, faults, chunk.seen)
    _wrong(column, "tags", faults, None)
    return pa.nulls(len(column), kind)
