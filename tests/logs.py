"""Small logs, and reading them to their end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa

from detmon import formats
from detmon.formats import Options, Part, Source

NOW = datetime(2026, 11, 21)
FIRST = {
    "model_id": "veh@3",
    "timestamp": "2026-11-20T08:00:00Z",
    "image_id": "000123.jpg",
    "source": "cam1",
    "image_width": 640,
    "image_height": 480,
    "latency_ms": 21.4,
    "confidence_floor": 0.25,
    "tags": {"site": "north"},
    "detections": [{"label": "car", "confidence": 0.91, "bbox": [10, 20, 100, 60]}],
}
SECOND = {
    "model_id": "veh@3",
    "timestamp": "2026-11-20T10:00:01+02:00",
    "image_id": "000124.jpg",
    "source": "cam1",
    "detections": [],
}


def lines(*records: Any) -> bytes:
    """Records as JSON Lines."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


class Taken:
    """A source read to its end."""

    def __init__(self, source: Source, options: Options) -> None:
        self.reading = formats.open_source(source, options, now=NOW)
        self.parts: list[Part] = list(self.reading.parts())
        tables = [part.table for part in self.parts]
        self.table = pa.concat_tables(tables) if tables else formats.stored_schema().empty_table()
        self.rows = self.table.to_pylist()
        self.rejects = [reject for part in self.parts for reject in part.rejects]
        self.warnings = {warned.code: warned for warned in self.reading.warnings()}
        self.codes = sorted(self.warnings)


Take = Callable[..., Taken]
