"""A top-level JSON array of canonical records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detmon.formats import objects
from detmon.formats.chunk import Chunk, Seen, raw_schema
from detmon.formats.contract import Options, Reject
from detmon.formats.inputs import Input

RECORDS = 20_000


class JsonArray:
    """Canonical records as the items of one array."""

    denominator = "known"

    def fits(self, head: bytes) -> bool:
        """A JSON array."""
        return objects.container(head) == "array"

    def sniff(self, head: bytes, path: str) -> str | None:
        """Objects with an image id and a list of detections."""
        found = objects.first_object(head) if self.fits(head) else None
        if found is None or not isinstance(found.get("detections"), list) or "image_id" not in found:
            return None
        return "an array of JSON objects with `image_id` and a list `detections`"

    def read(self, source: Input, options: Options) -> Iterator[Chunk]:
        """The records; `line` counts the items."""
        made = _Collected()
        for number, item, text in objects.array_items(source):
            made.add(number, item, text, dict(options.map))
            if len(made.numbers) >= RECORDS:
                yield made.chunk()
                made = _Collected()
        yield made.chunk()


class _Collected:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.numbers: list[int] = []
        self.rejects: list[Reject] = []
        self.seen: list[Seen] = []

    def add(self, number: int, item: Any, text: str, mapping: dict[str, str]) -> None:
        self.numbers.append(number)
        try:
            self.rows.append({**objects.record(item, mapping, self.seen), "line": number})
            self.texts.append(text)
        except objects.Unusable as fault:
            self.rejects.append(Reject(number, fault.field, fault.code, fault.reason, text))

    def chunk(self) -> Chunk:
        import pyarrow as pa

        texts = self.texts
        table = pa.Table.from_pylist(self.rows, schema=raw_schema())
        return Chunk(table, lambda rows: [texts[row] for row in rows], self.rejects, self.seen)
