"""JSON with one box an object, one a line or the items of one array: the columns of a flat log are its keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detmon.formats import objects
from detmon.formats.boxrows import KEY, BoxRows, records
from detmon.formats.chunk import RAW_KEPT, Chunk, Seen
from detmon.formats.coco import RESULT
from detmon.formats.contract import Options, Reject
from detmon.formats.flat import ALIASES, NUMBERS, columns_as_fields, columns_of, looks_flat
from detmon.formats.inputs import Input
from detmon.formats.objectlines import whole_lines
from detmon.formats.supervision_json import SUPERVISION, text_of

CUT_OFF = "the last line is cut off; ingest again when it is complete"
Fault = tuple[str | None, str, str]


class FlatJson:
    """Objects of one box each."""

    denominator = "unknown"
    layout = "xywh"

    def __init__(self) -> None:
        self.mapping: dict[str, str] = {}

    def fits(self, head: bytes) -> bool:
        """JSON objects, or an array."""
        return objects.container(head) is not None

    def sniff(self, head: bytes, path: str) -> str | None:
        """Objects with a label, a confidence and a box among their keys."""
        found = {key for one in objects.first_objects(head) for key in one}
        array = objects.container(head) == "array"
        if not looks_flat(list(found)) or (array and (found >= SUPERVISION or found >= RESULT)):
            return None
        return f"{'an array of ' if array else ''}JSON objects with label, confidence and box"

    def prepare(self, source: Input, options: Options) -> Options:
        """Settle which keys are which fields, by the first objects."""
        first = objects.first_objects(source.head)
        self.names = list(dict.fromkeys(path for one in first for path in _paths(one)))
        found = columns_of(self.names, options, source.name)
        self.mapping, self.layout = found.mapping, found.layout
        for target in ALIASES:  # what the first objects lack, later ones may have under its own name
            if target not in found.mapping:
                found.fields.update({target: target} if target != "bbox" else {})
        self.columns = found
        return options

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records of the whole file."""
        rows = _Rows(self.columns.fields, self.columns.box)
        for number, found, text in _objects(source):
            rows.add(number, found, text)
        yield from records(self._finished(rows))

    def _finished(self, rows: _Rows) -> BoxRows:
        import numpy as np

        table = rows.table()
        found, faults = columns_as_fields(table, self.columns)
        used = {part.split(".")[0] for part in (*self.columns.fields.values(), *self.columns.box)}
        seen = [Seen("unknown_field", f"key `{name[:80]}` is not used") for name in sorted(rows.keys - used)]
        texts = rows.texts
        return BoxRows(
            found,
            np.array(rows.lines, np.int64),
            lambda some: [texts[row] for row in some],
            {**faults, **rows.faults},
            rows.rejects,
            seen[: objects.MOST_UNKNOWN],
        )


def _paths(found: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The paths of all values, those of objects before those in them."""
    for key, value in found.items():
        yield above + key
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{key}.")


def _objects(source: Input) -> Iterator[tuple[int, Any, str]]:
    """Each object (what is none: why it is not) with its line or number, and its text."""
    if objects.container(source.head) == "array":
        yield from objects.array_items(source)
        return
    for lines in whole_lines(source):
        for reject in lines.rejects:
            yield reject.line, reject, reject.raw
        everything = lines.data.split(b"\n")
        for place, line in enumerate(everything):
            if line.strip():
                number, text = lines.first + place, line[: 4 * RAW_KEPT].decode("utf-8", "replace")[:RAW_KEPT]
                yield number, _parsed(number, line, text, last=lines.last and place == len(everything) - 1), text


def _parsed(number: int, line: bytes, text: str, *, last: bool) -> Any:
    try:
        return objects.parse(line)
    except objects.Unusable as fault:
        cut = last and fault.code == "bad_json"
        return Reject(number, fault.field, *(("truncated_line", CUT_OFF) if cut else (fault.code, fault.reason)), text)


class _Rows:
    """Collects objects of one box each, in columns."""

    def __init__(self, fields: Mapping[str, str], box: Sequence[str]) -> None:
        self.fields = dict(sorted(fields.items(), key=lambda pair: pair[0] not in KEY))
        self.box = box
        self.columns: dict[str, list[Any]] = {path: [] for path in (*self.fields.values(), *box)}
        self.lines: list[int] = []
        self.texts: list[str] = []
        self.keys: set[str] = set()
        self.faults: dict[int, Fault] = {}
        self.rejects: list[Reject] = []

    def add(self, number: int, found: Any, text: str) -> None:
        """One object; what is wrong with it is a fault of its image's record."""
        if isinstance(found, Reject):
            self.rejects.append(found)
            return
        if not isinstance(found, dict):
            self.rejects.append(Reject(number, None, "bad_json", "not an object", text))
            return
        self.keys |= found.keys()
        row: dict[str, Any] = {}
        for target, path in self.fields.items():
            self._take(row, path, found, target)
        for path in self.box:
            self._take(row, path, found, "bbox")
        for path, column in self.columns.items():
            column.append(row.get(path))
        self.lines.append(number)
        self.texts.append(text)

    def _take(self, row: dict[str, Any], path: str, found: Mapping[str, Any], target: str) -> None:
        value = objects.at(found, path)
        if value is None:
            return
        try:
            if target == "bbox":
                row[path] = objects.bbox(value) if len(self.box) == 1 else objects.number(value, "bbox")
            elif target in NUMBERS:
                row[path] = objects.number(value, target)
            else:
                row[path] = text_of(_tags(value) if target == "tags" else value, target)
        except objects.Unusable as fault:
            self.faults.setdefault(len(self.lines), (fault.field, fault.code, fault.reason))

    def table(self) -> Any:
        """The columns of all objects: texts, numbers, boxes."""
        import pyarrow as pa

        numbers = {path for target, path in self.fields.items() if target in NUMBERS}
        numbers |= set(self.box) if len(self.box) == 4 else set()
        kinds = dict.fromkeys(self.columns, pa.string()) | dict.fromkeys(numbers, pa.float64())
        kinds |= dict.fromkeys(self.box, pa.list_(pa.float64())) if len(self.box) == 1 else {}
        return pa.table({path: pa.array(values, kinds[path]) for path, values in self.columns.items()})


def _tags(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
