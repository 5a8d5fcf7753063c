"""The log as Parquet, as `ingest` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmon import failpoints
from detmon.folders import new_folder
from detmon.records import Record
from detmon.store import Store, statement
from detmon.times import Period

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 100_000
"""Predictions of a row group, at most."""
PART = 1_000_000
"""Predictions of a file, about."""


@dataclass(frozen=True)
class ExportedPredictions(Record):
    """What was written. `unknown`: so many are of logs that leave out images without detections."""

    out: str
    files: int
    predictions: int
    detections: int
    unknown: int


def export(store: Store, out: Path, period: Period, model_id: str | None) -> ExportedPredictions:
    """Write predictions to `out`/dt=YYYY-MM-DD/part-N.parquet (days of UTC, zstd). Raises UsageError if `out` exists.

    The store is let go of between two days, so that others can write.
    """
    asked = {"start": period.start, "end": period.end, "model": model_id}
    with store.reading() as con:
        days = [day for (day,) in con.execute(statement("export_days"), asked).fetchall()]
        ((unknown,),) = con.execute(statement("export_unknown"), asked).fetchall()
    with new_folder(out) as folder:
        written = [_day(store, folder, day, asked) for day in days]
        failpoints.reach("export.written")
    files, predictions, detections = (sum(counts) for counts in zip(*written, strict=True)) if written else (0, 0, 0)
    return ExportedPredictions(str(out), files, predictions, detections, unknown)


def _day(store: Store, folder: Path, day: date, asked: Mapping[str, Any]) -> tuple[int, int, int]:
    """Write a day; how many files, predictions and detections that made."""
    start = datetime.combine(day, time())
    span = {"start": max(asked["start"], start), "end": min(asked["end"], start + timedelta(days=1))}
    place = folder / f"dt={day}"
    place.mkdir()
    with store.reading() as con, closing(_Parts(place)) as parts:
        for batch in con.sql(statement("export_predictions"), params={**asked, **span}).to_arrow_reader(ROWS):
            parts.write(batch)
        return parts.files, parts.predictions, parts.detections


class _Parts:
    """The files of a day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = self.predictions = self.detections = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add predictions, in a new file when the last one is full."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        table = pa.Table.from_batches([batch])
        table = table.set_column(
            table.schema.get_field_index("timestamp"),
            "timestamp",
            table["timestamp"].cast(pa.timestamp("us", "UTC")),
        )
        if self._writer is None or self.predictions >= self.files * PART:
            self.close()
            self._writer = pq.ParquetWriter(
                self.folder / f"part-{self.files}.parquet", table.schema, compression="zstd"
            )
            self.files += 1
        self._writer.write_table(table)
        self.predictions += table.num_rows
        self.detections += pc.sum(pc.list_value_length(table["detections"])).as_py() or 0

    def close(self) -> None:
        """Finish the last file."""
        if self._writer is not None:
            self._writer.close()
