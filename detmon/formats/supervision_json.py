"""supervision's `JSONSink`: an array with one object a box, two corners; missing values are empty texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detmon.formats import objects
from detmon.formats.boxrows import RECORD, SIDES, BoxRows, records
from detmon.formats.chunk import Chunk, Seen
from detmon.formats.contract import Options, Reject
from detmon.formats.inputs import Input

CORNERS = ("x_min", "y_min", "x_max", "y_max")
SUPERVISION = frozenset({*CORNERS, "class_id"})
"""What every row of a sink has."""
TEXTS = (*(name for name in RECORD if name not in (*objects.NUMBERS, "tags")), "label", "track_id")
FIELDS = {"track_id": "tracker_id", **dict(zip(SIDES, CORNERS, strict=True))}


class SupervisionJson:
    """Boxes of all images; those without boxes have written nothing."""

    denominator = "unknown"
    layout = "xyxy"
    from_zero = True

    def fits(self, head: bytes) -> bool:
        """A JSON array."""
        return objects.container(head) == "array"

    def sniff(self, head: bytes, path: str) -> str | None:
        """Objects with corners and a class id."""
        found = objects.first_object(head) if self.fits(head) else None
        if found is None or not found.keys() >= SUPERVISION:
            return None
        return "an array of objects with x_min, y_min, x_max, y_max and class_id"

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records of the whole file."""
        rows = _Rows({name.removeprefix("detections."): path for name, path in options.map.items()})
        for number, item, text in objects.array_items(source):
            rows.add(number, item, text)
        yield from records(rows.finished())


class _Rows:
    """Collects objects of one box each, in columns."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        numbers = (*objects.NUMBERS, "confidence", *SIDES)
        own = {name: name for name in (*TEXTS, *numbers)} | FIELDS
        paths = {**own, **{name: path for name, path in mapping.items() if name in own}}
        if "bbox" in mapping:
            paths.update(zip(SIDES, mapping["bbox"].split(","), strict=False))
        self._texts = {name: paths[name] for name in TEXTS}
        self._numbers = {name: paths[name] for name in numbers}
        self._columns: dict[str, list[Any]] = {name: [] for name in paths}
        self._lines: list[int] = []
        self._raws: list[str] = []
        self._names: dict[str, str] = {}
        self._faults: dict[int, tuple[str | None, str, str]] = {}
        self._rejects: list[Reject] = []
        self._seen: list[Seen] = []

    def add(self, number: int, item: Any, text: str) -> None:
        """One object; what is wrong with it is a fault of its image's record."""
        if not isinstance(item, dict):
            self._rejects.append(Reject(number, None, "bad_json", "not an object", text))
            return
        found = {key: None if value == "" else value for key, value in item.items()}
        row: dict[str, Any] = {}
        try:
            row.update((name, text_of(objects.at(found, path), name)) for name, path in self._texts.items())
            row["label"] = row["label"] or self._label(found)
            row.update((name, objects.number(objects.value(found, path), name)) for name, path in self._numbers.items())
        except objects.Unusable as fault:
            self._faults[len(self._lines)] = (fault.field, fault.code, fault.reason)
        for name, column in self._columns.items():
            column.append(row.get(name))
        self._lines.append(number)
        self._raws.append(text)

    def _label(self, found: Mapping[str, Any]) -> str | None:
        """The class's name, or its id; ids with two names are noted once."""
        name, number = (objects.text(found.get(key), "label") for key in ("class_name", "class_id"))
        if name is not None and number is not None and self._names.setdefault(number, name) != name:
            what = f"id {number} is both {self._names[number]} and {name}: two models? hint: --map model_id=COLUMN"
            self._seen = self._seen or [Seen("two_names", what)]
        return number if name is None else name

    def finished(self) -> BoxRows:
        """All rows."""
        import numpy as np
        import pyarrow as pa

        columns = {
            name: pa.array(values, pa.string() if name in self._texts else pa.float64())
            for name, values in self._columns.items()
        }
        lines = np.array(self._lines, np.int64)
        raws = self._raws
        return BoxRows(
            columns, lines, lambda rows: [raws[row] for row in rows], self._faults, self._rejects, self._seen
        )


def text_of(value: Any, name: str) -> str | None:
    """A text; a number as a time is one too."""
    is_number = isinstance(value, float) and name == "timestamp"
    return str(value) if is_number else objects.text(value, name)
