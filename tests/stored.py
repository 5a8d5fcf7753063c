"""Predictions put into a store by SQL: for tests of what comes after ingest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from detmon import models
from detmon.store import Store, transaction

BASE = datetime(2024, 3, 4)


def at(seconds: float) -> datetime:
    """The instant so many seconds after BASE."""
    return BASE + timedelta(seconds=seconds)


def text(seconds: float) -> str:
    """The same as the command line writes it."""
    return at(seconds).isoformat() + "Z"


@dataclass(frozen=True)
class Row:
    """One prediction; `boxes` are (label, confidence) pairs; `batch` 2 has an unknown denominator."""

    ts: datetime
    model: str = "m"
    source: str | None = None
    latency: float | None = None
    boxes: Sequence[tuple[str, float | None]] = ()
    status: str = "ok"
    tags: Sequence[tuple[str, str]] = ()
    batch: int = 1


def store(folder: Path, rows: Iterable[Row], db: str = "detmon.duckdb") -> None:
    """Add rows to the store in `folder`, with their rollups of labels and images; registers their models."""
    listed = sorted(rows, key=lambda row: row.ts)
    with Store(folder / db).writing(create=True) as con, transaction(con):
        models.register_seen(con, sorted({row.model for row in listed}), BASE)
        known = con.execute("SELECT count(*) FROM batches").fetchone()
        if known == (0,):
            con.execute(
                "INSERT INTO batches(batch_id, denominator, n_read, n_rejected, complete, loaded_at) "
                "VALUES (1, 'known', 100, 10, true, $at), (2, 'unknown', 100, 0, true, $at)",
                {"at": BASE},
            )
        first = con.execute("SELECT count(*) FROM predictions").fetchone()
        assert first is not None
        _insert(con, listed, first[0])
        con.execute(
            "UPDATE batches SET ts_min = first, ts_max = last FROM "
            "(SELECT batch_id, min(ts) AS first, max(ts) AS last FROM predictions GROUP BY batch_id) AS p "
            "WHERE batches.batch_id = p.batch_id"
        )
        con.execute("DELETE FROM rollup_classes")
        con.execute(
            "INSERT INTO rollup_classes(hour, model_id, batch_id, label, detections) "
            "SELECT date_trunc('hour', ts), model_id, batch_id, label, count(*) FROM detections GROUP BY ALL"
        )
        con.execute("DELETE FROM rollup_images")
        con.execute(
            "INSERT INTO rollup_images(hour, model_id, source, batch_id, images, n, ts_min, ts_max) "
            "SELECT date_trunc('hour', ts), model_id, source, batch_id, count(*), sum(n_detections), min(ts), max(ts) "
            "FROM predictions GROUP BY ALL"
        )


def _insert(con: duckdb.DuckDBPyConnection, rows: Sequence[Row], first: int) -> None:
    columns = {
        "ids": [f"p{first + number}" for number in range(len(rows))],
        "models": [row.model for row in rows],
        "times": [row.ts for row in rows],
        "sources": [row.source for row in rows],
        "latencies": [row.latency for row in rows],
        "statuses": [row.status for row in rows],
        "keys": [[key for key, _ in row.tags] for row in rows],
        "values": [[value for _, value in row.tags] for row in rows],
        "labels": [[label for label, _ in row.boxes] for row in rows],
        "confidences": [[confidence for _, confidence in row.boxes] for row in rows],
        "batches": [row.batch for row in rows],
    }
    con.execute(
        """
        INSERT INTO predictions BY NAME
        SELECT id AS prediction_id, model AS model_id, ts, id AS image_id, source, latency AS latency_ms, status,
          map(keys, vals) AS tags,
          list_transform(list_zip(labels, confidences), lambda b: {label: b[1], confidence: b[2]::FLOAT,
            x: 0::FLOAT, y: 0::FLOAT, w: 1::FLOAT, h: 1::FLOAT, detection_id: NULL::VARCHAR, track_id: NULL::VARCHAR})
            AS detections,
          array_length(labels) AS n_detections, list_count(confidences) AS confidence_n,
          coalesce(list_sum(list_transform(confidences, lambda c: round(c::FLOAT::DOUBLE * 1e6))), 0) / 1e6
            AS confidence_sum,
          list_min(confidences) AS confidence_min, list_max(confidences) AS confidence_max, batch AS batch_id
        FROM (SELECT unnest($ids::VARCHAR[]) AS id, unnest($models::VARCHAR[]) AS model,
          unnest($times::TIMESTAMP[]) AS ts, unnest($sources::VARCHAR[]) AS source,
          unnest($latencies::DOUBLE[]) AS latency, unnest($statuses::VARCHAR[]) AS status,
          unnest($keys::VARCHAR[][]) AS keys, unnest($values::VARCHAR[][]) AS vals,
          unnest($labels::VARCHAR[][]) AS labels, unnest($confidences::DOUBLE[][]) AS confidences,
          unnest($batches::INTEGER[]) AS batch)
        """,
        columns,
    )
