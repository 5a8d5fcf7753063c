"""What a reader hands on: some records as found, in the canonical raw columns."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from detmon.formats.contract import Reject

if TYPE_CHECKING:
    import pyarrow as pa

CANONICAL = (
    "prediction_id", "model_id", "timestamp", "image_id", "image_uri", "image_width", "image_height", "source",
    "latency_ms", "status", "confidence_floor", "tags", "detections",
)  # fmt: skip
"""The fields of a record (docs/formats.md). A raw table holds any of them, in any type, beside `line`."""

BOX_FIELDS = ("label", "confidence", "bbox", "detection_id", "track_id")
RAW_KEPT = 2000
"""Characters kept of a record that is rejected."""


@cache
def raw_schema() -> pa.Schema:
    """The raw columns as readers that build them row by row type them."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    box = pa.struct(
        [
            ("label", text),
            ("confidence", number),
            ("bbox", pa.list_(number)),
            ("detection_id", text),
            ("track_id", text),
        ]
    )
    types = {
        "image_width": number, "image_height": number, "latency_ms": number, "confidence_floor": number,
        "tags": pa.map_(text, text), "detections": pa.list_(box),
    }  # fmt: skip
    return pa.schema([("line", pa.int64()), *((name, types.get(name, text)) for name in CANONICAL)])


@dataclass
class Seen:
    """A finding to be counted: `text` is its sentence, with `{n}` for the count and `{worst}` for the largest value."""

    code: str
    text: str
    n: int = 1
    worst: float = 0.0

    def sentence(self) -> str:
        """The text with its numbers."""
        return self.text.replace("{n}", f"{self.n:,}").replace("{worst}", f"{self.worst:.0f}")


@dataclass
class Chunk:
    """Some records of a source.

    `table` has `line` and canonical raw columns; `raw(rows)` gives the text of rows as found; `rejects` are records
    that the reader could not turn into a row.
    """

    table: pa.Table
    raw: Callable[[Sequence[int]], list[str]]
    rejects: list[Reject] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Records read, the good and the bad."""
        return int(self.table.num_rows) + len(self.rejects)


def of_batch(batch: Any, first_line: int = 1) -> Chunk:
    """A record batch or table of a reader as a Chunk; its rows are shown as JSON when they are rejected."""
    import pyarrow as pa

    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    if "line" not in table.column_names:
        table = table.append_column("line", pa.array(range(first_line, first_line + table.num_rows), pa.int64()))
    return Chunk(table, lambda rows: rows_as_json(table, rows))


def chunks(batches: Iterator[Any]) -> Generator[Chunk, None, None]:
    """What a reader yields, its record batches wrapped."""
    line = 1
    for batch in batches:
        chunk = batch if isinstance(batch, Chunk) else of_batch(batch, line)
        line += chunk.read
        yield chunk


def rows_as_json(table: pa.Table, rows: Sequence[int]) -> list[str]:
    """Rows of a table as JSON text, empty fields left out."""
    import json

    import pyarrow as pa

    found = table.drop_columns(["line"]).take(pa.array(rows, pa.int64())).to_pylist()
    return [
        json.dumps({key: value for key, value in row.items() if value is not None}, default=str, ensure_ascii=False)
        for row in found
    ]
