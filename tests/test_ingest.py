"""Logs into the store, through the front door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import synthetic
from conftest import Shell

from detmon.store import Store
from detmon.store.rollups import rollups_equal_raw

LINES = [
    {
        "model_id": "veh@3", "timestamp": "2026-11-20T08:00:00Z", "image_id": "000123.jpg", "source": "cam1",
        "image_width": 640, "image_height": 480, "latency_ms": 21.4, "confidence_floor": 0.25,
        "tags": {"site": "north"}, "detections": [{"label": "car", "confidence": 0.91, "bbox": [10, 20, 100, 60]}],
    },
    {"model_id": "veh@3", "timestamp": "2026-11-20T08:00:01Z", "image_id": "000124.jpg", "source": "cam1",
     "detections": []},
]  # fmt: skip
BAD = {"model_id": "veh@3", "timestamp": "2026-11-20T08:00:02Z", "detections": []}


def jsonl(*records: Any) -> str:
    """Records as JSON Lines; text as it is."""
    return "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records)


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """What the store in `folder` answers."""
    with Store(folder / "detmon.duckdb").reading() as con:
        return con.execute(sql).fetchall()


def proved(folder: Path) -> bool:
    """Whether the rollups of the store in `folder` equal its rows."""
    with Store(folder / "detmon.duckdb").reading() as con:
        return rollups_equal_raw(con)


def test_a_file_is_taken_once(detmon: Shell) -> None:
    (detmon.folder / "a.jsonl").write_text(jsonl(*LINES, BAD))
    first = detmon("ingest", "a.jsonl", "--json").json
    assert first == {
        "predictions": 2, "detections": 1, "duplicates": 0, "rejected": 1,
        "files": [{"path": "a.jsonl", "format": "detmon", "status": "taken", "predictions": 2, "detections": 1,
                   "duplicates": 0, "rejected": 1, "warnings": []}],
    }  # fmt: skip
    again = detmon("ingest", "a.jsonl", "--json").json
    assert (again["predictions"], again["duplicates"], again["files"][0]["status"]) == (0, 0, "seen")
    assert query(detmon.folder, "SELECT prediction_id FROM predictions ORDER BY ts LIMIT 1") == [
        ("ffac6637fe665d8c23800c258206a684",)
    ]
    assert [row["id"] for row in detmon("model", "list", "--json").json] == ["veh@3"]
    assert proved(detmon.folder)


def test_a_synthetic_log(detmon: Shell) -> None:
    synthetic.write_parquet(detmon.folder / "log.parquet", 20_000)
    done = detmon("ingest", "log.parquet", "--json").json
    assert done["predictions"] == 20_000
    assert proved(detmon.folder)
