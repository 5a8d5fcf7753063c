"""A synthetic log of any size: 5.8 boxes an image, 80 classes, 50 cameras, 60 days, sorted by time.

    python tests/synthetic.py 1000000 log.parquet        # or log.jsonl

Vectorised and seeded: the same size and seed give the same rows everywhere. Benchmarks and tests share it.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CLASSES = 80
CAMERAS = 50
DAYS = 60
START = datetime(2026, 1, 5, tzinfo=UTC)
BATCH = 250_000


def batch(n: int, seed: int = 0, *, first: int = 0, total: int | None = None, model: str = "synthetic@1") -> pa.Table:
    """Rows `first` … `first + n` of a log of `total` images, in the canonical nested form (docs/formats.md)."""
    total = total or max(n, 1)
    rng = np.random.default_rng([seed, first])
    counts = np.where(rng.random(n) < 0.04, 0, rng.poisson(6.04, n)).astype(np.int32)
    boxes = int(counts.sum())
    labels = np.minimum(rng.geometric(0.06, boxes) - 1, CLASSES - 1)
    corner = rng.random((boxes, 2)) * [1500, 800]
    size = np.exp(rng.normal(4.3, 0.6, (boxes, 2))) + 4
    size = np.minimum(size, [1920, 1080] - corner)
    bbox = np.round(np.hstack([corner, size]), 1).astype(np.float32)
    number = np.arange(first, first + n)
    span = DAYS * 86_400_000_000
    micros = np.sort((number * (span / total)).astype(np.int64) + rng.integers(0, 1_000, n) * 1000)
    camera = rng.integers(0, CAMERAS, n)
    detections = pa.StructArray.from_arrays(
        [
            _pick([f"class_{k:02d}" for k in range(CLASSES)], labels),
            pa.array(np.round(rng.beta(5, 2, boxes), 4).astype(np.float32)),
            pa.StructArray.from_arrays([pa.array(bbox[:, k]) for k in range(4)], ["x", "y", "w", "h"]),
        ],
        ["label", "confidence", "bbox"],
    )
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    base = int(START.timestamp()) * 1_000_000
    return pa.table(
        {
            "model_id": pa.array([model] * n, pa.string()),
            "timestamp": pa.array(micros + base).cast(pa.timestamp("us", "UTC")),
            "image_id": pa.array([f"{k:09d}.jpg" for k in number.tolist()], pa.string()),
            "source": _pick([f"cam-{k:02d}" for k in range(CAMERAS)], camera),
            "image_width": pa.array(np.full(n, 1920, np.int32)),
            "image_height": pa.array(np.full(n, 1080, np.int32)),
            "latency_ms": pa.array(np.round(rng.lognormal(3.0, 0.25, n), 2).astype(np.float32)),
            "confidence_floor": pa.array(np.full(n, 0.05, np.float32)),
            "detections": pa.ListArray.from_arrays(pa.array(offsets), detections),
        }
    )


def write_parquet(path: Path, n: int, seed: int = 0, *, model: str = "synthetic@1") -> Path:
    """A Parquet log of `n` images (zstd), in row groups of 250,000."""
    with pq.ParquetWriter(path, batch(0).schema, compression="zstd") as writer:
        for first in range(0, n, BATCH):
            writer.write_table(batch(min(BATCH, n - first), seed, first=first, total=n, model=model))
    return path


def write_jsonl(path: Path, n: int, seed: int = 0, *, model: str = "synthetic@1") -> Path:
    """The same log as JSON Lines, with `bbox` as a list."""
    import duckdb

    with duckdb.connect() as con, path.open("wb") as out:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET enable_progress_bar = false")
        part = path.with_name(path.name + ".part")
        for first in range(0, n, BATCH):
            con.register("log", batch(min(BATCH, n - first), seed, first=first, total=n, model=model))
            con.execute(
                f"""COPY (SELECT * REPLACE (round(latency_ms::DOUBLE, 2) AS latency_ms, 0.05 AS confidence_floor,
                  strftime(timestamp, '%Y-%m-%dT%H:%M:%S.%fZ') AS timestamp,
                  list_transform(detections, lambda d: {{'label': d.label,
                    'confidence': round(d.confidence::DOUBLE, 4), 'bbox': list_transform(
                    [d.bbox.x, d.bbox.y, d.bbox.w, d.bbox.h], lambda v: round(v::DOUBLE, 1))}}) AS detections) FROM log)
                  TO '{part}' (FORMAT json)"""
            )
            con.unregister("log")
            out.write(part.read_bytes())
        part.unlink(missing_ok=True)
    return path


def _pick(names: list[str], index: np.ndarray) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(names)).cast(pa.string())


if __name__ == "__main__":
    target = Path(sys.argv[2])
    write = write_parquet if target.suffix == ".parquet" else write_jsonl
    write(target, int(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
