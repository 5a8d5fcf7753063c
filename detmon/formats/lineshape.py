"""What the lines of a log look like: which fields DuckDB is to read, and whether it read them as they are written.

DuckDB takes a number written as text, and a text written as a number, without a word. Quotes tell: every key and every
text has two, so those of the lines can be foretold from what was read. Where the count differs there may be a text in
place of a number, a field that was not asked for, a null, or merely an escaped quote.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detmon.formats.chunk import BOX_FIELDS, CANONICAL

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS = ("prediction_id", "model_id", "image_id", "image_uri", "source", "status")
NUMBERS = ("image_width", "image_height", "latency_ms", "confidence_floor")
SIDES = ("x", "y", "w", "h")
NEEDED = frozenset({"model_id", "timestamp", "image_id", "detections"})
OTHER = r"^(?:[\[{]|(?:true|false)$)"
"""A text that was something else."""
BARE = r"^(?:[\[{]|(?:true|false|-?[0-9][0-9.eE+-]*)$)"
"""A text that may have been written without quotes."""
TRUTH = re.compile(rb"[:\[,]\s*(?:true|false)(?=\s*[,\]}])")
"""A truth value of JSON; also where a text happens to look like that."""
QUOTED_TRUTH = re.compile(rb'"(?:true|false)"')
KNOWN, KNOWN_OF_BOXES = frozenset(CANONICAL), frozenset(BOX_FIELDS)
QUOTE = ord('"')
STEP = 1 << 20
"""Bytes that are counted at a time: they stay in the processor's cache."""


@dataclass
class Shape:
    """The fields that were seen so far; only those are read, which is cheaper."""

    fields: set[str] = field(default_factory=lambda: set(NEEDED))
    box_fields: set[str] = field(default_factory=set)
    sides: tuple[str, ...] = ()
    """The keys of boxes that are objects."""
    spaced: bool = False
    """Whether there is a blank between a key and its value."""
    whole: bool = False
    """Whether all fields are read, seen or not."""
    strange: bool = False
    """Whether there are keys that are no fields: their quotes cannot be foretold."""

    def look(self, record: Mapping[str, Any]) -> None:
        """Take the fields of a good record into account."""
        self.fields.update(record)
        sides: set[str] = set()
        for box in record.get("detections") or ():
            self.box_fields.update(box)
            if isinstance(box.get("bbox"), dict):
                sides.update(box["bbox"])
        if sides and not self.sides:
            self.sides = SIDES if "w" in sides else ("x", "y", "width", "height")
        known = self.fields <= KNOWN and self.box_fields <= KNOWN_OF_BOXES and sides <= set(self.sides)
        self.strange = self.strange or not known

    def columns(self) -> dict[str, str]:
        """The fields to read, with their types. Times are texts: their zones must not get lost."""
        types = dict.fromkeys(CANONICAL, "VARCHAR") | dict.fromkeys(NUMBERS, "DOUBLE")
        types |= {"tags": "MAP(VARCHAR, VARCHAR)", "detections": f"STRUCT({self._box()})[]"}
        return {name: kind for name, kind in types.items() if self.whole or name in self.fields}

    def _box(self) -> str:
        bbox = f"STRUCT({', '.join(f'{side} DOUBLE' for side in self.sides)})" if self.sides else "DOUBLE[]"
        kinds = {"confidence": "DOUBLE", "bbox": bbox}
        ids = [name for name in BOX_FIELDS[3:] if self.whole or name in self.box_fields]
        return ", ".join(f"{name} {kinds.get(name, 'VARCHAR')}" for name in (*BOX_FIELDS[:3], *ids))


def lost_types(table: pa.Table) -> bool:
    """Whether a text was true, false, a list or an object, or a number is not finite: DuckDB takes them all."""
    return not _finite(table) or any(_bare(text, OTHER) for text in _texts(table))


def _finite(table: pa.Table) -> bool:
    import pyarrow.compute as pc

    totals = (pc.sum(number).as_py() for number in _numbers(table))
    return all(total is None or math.isfinite(total) for total in totals)


def _numbers(table: pa.Table) -> list[Any]:
    """All columns of numbers."""
    boxes = _boxes(table)
    bbox = boxes.field("bbox").flatten()
    numbers = [boxes.field("confidence"), *(bbox if isinstance(bbox, list) else [bbox])]
    return numbers + [table[name] for name in NUMBERS if name in table.column_names]


def strictly(table: pa.Table, data: bytes, shape: Shape) -> bool | None:
    """Whether no text was taken for a number; None when that cannot be told before all fields are read."""
    missing = count(data, QUOTE) - _quotes(table)
    quoted = _all_quoted(table)
    if quoted and (missing == 0 or (missing > 0 and missing == 2 * nulls(data, shape.spaced))):
        return True
    if not shape.whole:
        return None
    explained = shape.strange or not quoted or b"\\" in data
    return explained and not _numbers_as_text(data, shape)


def not_json(data: bytes) -> bool:
    """Whether there may be an `Infinity` or a `NaN`, which DuckDB takes, also where it does not look."""
    return any(word[:1] in data and word in data for word in (b"NaN", b"Infinity"))  # one letter is told at once


def truths_as_numbers(table: pa.Table, data: bytes) -> bool:
    """Whether `true` or `false` may have been taken for 1 or 0; as the text of a tag they may stand."""
    if not any(map(zero_or_one, _numbers(table))):
        return False
    found = truths(data)
    if not found or "tags" not in table.column_names:
        return found > 0
    return found > _truths_of_tags(table) - len(QUOTED_TRUTH.findall(data))


def truths(data: bytes) -> int:
    """How many truth values there are in the lines.

    Both end with an `e` that no quote follows, as hardly anything else does: that is told much faster.
    """
    import numpy as np

    chars = np.frombuffer(data, np.uint8)
    ends = np.zeros(256, bool)
    ends[list(b",]} \t\r\n")] = True
    for begin in range(0, len(chars), STEP):
        block = chars[begin : begin + STEP + 1]
        if ends[block[1:][block[:-1] == ord("e")]].any():
            return len(TRUTH.findall(data))
    return 0


def zero_or_one(column: Any) -> bool:
    """Whether there is a number 0 or 1, which may have been written as false or true."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        return any(map(zero_or_one, column.chunks))
    if pa.types.is_struct(kind):
        return any(map(zero_or_one, column.flatten()))
    if pa.types.is_list(kind):
        return zero_or_one(column.flatten())
    if not pa.types.is_floating(kind):
        return False
    values = column.to_numpy(zero_copy_only=False)
    return bool(np.any((values == 0) | (values == 1)))


def _truths_of_tags(table: pa.Table) -> int:
    """Tags that are true or false, which are taken as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pa.array(["true", "false"])
    return sum(pc.sum(pc.is_in(chunk.items, words)).as_py() or 0 for chunk in table["tags"].chunks)


def _all_quoted(table: pa.Table) -> bool:
    """Whether every text surely was written with quotes."""
    texts = [*_texts(table), table["timestamp"]]
    if "tags" in table.column_names:
        texts += [chunk.items for chunk in table["tags"].chunks]
    return not any(_bare(text, BARE) for text in texts)


def _bare(text: Any, pattern: str) -> bool:
    """Whether a text may have been written without quotes; most cannot, by their first and last characters."""
    import pyarrow.compute as pc

    chunks = text.chunks if hasattr(text, "chunks") else [text]
    suspicious = [chunk for chunk in chunks if _begins_and_ends(chunk)]
    return any(pc.any(pc.match_substring_regex(chunk, pattern)).as_py() for chunk in suspicious)


def _begins_and_ends(text: pa.Array) -> bool:
    """Whether a text begins and ends as a number, a truth value, a list or an object does."""
    import numpy as np

    _, places, data = text.buffers()
    if not len(text) or data is None:
        return False
    offsets = np.frombuffer(places, np.int32)[text.offset : text.offset + len(text) + 1]
    filled = np.flatnonzero(np.diff(offsets))
    chars = np.frombuffer(data, np.uint8)
    begins, ends = np.zeros(256, bool), np.zeros(256, bool)
    begins[list(b"-0123456789tf[{")] = True
    ends[list(b"0123456789e]}")] = True
    return bool((begins[chars[offsets[filled]]] & ends[chars[offsets[filled + 1] - 1]]).any())


def _quotes(table: pa.Table) -> int:
    """The quotes of the lines that gave this table, if each text has two, and each key whose value is not null."""
    names = [name for name in table.column_names if name not in ("tags", "detections")]
    found = sum(_filled(table[name]) * (2 if name in NUMBERS else 4) for name in names)
    found += 2 * _filled(table["detections"])
    if "tags" in table.column_names:
        tags = table["tags"]
        found += 2 * _filled(tags)
        found += sum(2 * len(chunk.keys) + 2 * _filled(chunk.items) for chunk in tags.chunks)
    boxes = _boxes(table)
    for kind, values in zip(boxes.type, boxes.flatten(), strict=True):
        found += _filled(values) * (2 if kind.name in ("confidence", "bbox") else 4)
        if kind.name == "bbox" and isinstance(sides := values.flatten(), list):
            found += sum(2 * _filled(side) for side in sides)
    return found


def count(data: bytes | memoryview, char: int) -> int:
    """How often a byte occurs; where it is frequent, several times faster than `bytes.count`."""
    import numpy as np

    bytes_ = np.frombuffer(data, np.uint8)
    return sum(int(np.count_nonzero(bytes_[k : k + STEP] == char)) for k in range(0, len(bytes_), STEP))


def nulls(data: bytes, spaced: bool) -> int:
    """How many keys have the value null."""
    return data.count(b'": null' if spaced else b'":null')


def _numbers_as_text(data: bytes, shape: Shape) -> bool:
    """Whether a number is written as text, by a look for each of the fields."""
    gap = " " if shape.spaced else ""
    starts = [f'"{name}":{gap}"' for name in ("confidence", *shape.sides, *NUMBERS)]
    return any(start.encode() in data for start in [*starts, f'"bbox":{gap}["'])


def _filled(values: Any) -> int:
    return int(len(values) - values.null_count)


def _boxes(table: pa.Table) -> pa.StructArray:
    lists = table["detections"]
    whole = lists.chunk(0) if lists.num_chunks == 1 else lists.combine_chunks()
    return whole.flatten()


def _texts(table: pa.Table) -> list[Any]:
    """The texts that are there; labels once each."""
    boxes = _boxes(table)
    texts = [table[name] for name in TEXTS if name in table.column_names]
    texts.append(boxes.field("label").dictionary_encode().dictionary)
    texts += [boxes.field(kind.name) for kind in boxes.type if kind.name in BOX_FIELDS[3:]]
    return [text for text in texts if text.null_count < len(text)]
