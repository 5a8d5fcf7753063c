"""`ab results`: whole processes against one scan of the columns that a comparison needs; `ab assign` on a stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import synthetic
from benchmarks.measure import Row, detmon, interleaved, python, run

DAYS = 7
UNITS = 500_000
SCAN = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
con.execute("SET threads = 2")
print(con.execute('''SELECT count(model_id), max(ts), max(image_id), max(source), count(status), sum(latency_ms),
  sum(n_detections), sum(confidence_n), sum(confidence_sum), min(confidence_floor) FROM predictions''').fetchall())
"""
"""Reads every column that the results need, once."""


def write(path: Path, images: int) -> Path:
    """A week of traffic: every tenth image goes to the second model."""
    with pq.ParquetWriter(path, synthetic.batch(0).schema, compression="zstd") as writer:
        for first in range(0, images, synthetic.BATCH):
            n = min(synthetic.BATCH, images - first)
            table = synthetic.batch(n, first=first, total=images)
            b = np.random.default_rng([1, first]).random(n) < 0.1
            models = pa.array(np.where(b, "synthetic@2", "synthetic@1"))
            micros = table["timestamp"].cast(pa.int64()).to_numpy()
            begin = int(synthetic.START.timestamp()) * 1_000_000
            week = pa.array((micros - begin) * DAYS // synthetic.DAYS + begin).cast(pa.timestamp("us", "UTC"))
            writer.write_table(
                table.set_column(0, "model_id", models).set_column(1, "timestamp", week).cast(writer.schema)
            )
    return path


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """Results at the end of a week's test, by image, with the default metrics."""
    store = folder / "ab.duckdb"
    log = write(folder / "ab.parquet", images)
    run(detmon("-q", "--db", store, "ingest", log), folder)
    log.unlink()
    models = ("--model-a", "synthetic@1", "--model-b", "synthetic@2")
    start = synthetic.START.isoformat().replace("+00:00", "Z")
    run(detmon("--db", store, "ab", "create", "week", *models, "--start", start), folder)
    end = (synthetic.START + timedelta(days=DAYS)).isoformat().replace("+00:00", "Z")
    works = {
        "results": lambda: run(detmon("--db", store, "--now", end, "ab", "results", "week", "--json"), folder),
        "scan": lambda: run(python(SCAN, store), folder),
        "imports": lambda: run(python("import duckdb, scipy.special, scipy.optimize"), folder),
    }
    costs = interleaved(works, times)
    cpu, scan, imports = (costs[name].cpu for name in ("results", "scan", "imports"))
    figures = f"{cpu:.2f} s CPU; scan {scan:.2f} s; imports {imports:.2f} s; peak {costs['results'].megabytes:.0f} MB"
    measured = f"{(cpu - imports) / scan:.2f}×"
    yield Row(f"ab results, {images:,} images", "one scan of its columns, plus imports", "≤ 3×", measured, figures)
    yield _assigned(folder, store, times)


def _assigned(folder: Path, store: Path, times: int) -> Row:
    """Units that a stream gets its arms for, each second."""
    units = folder / "units.txt"
    units.write_text("".join(f"cam-{number % 50}/{number:09d}.jpg\n" for number in range(UNITS)))

    one = folder / "one.txt"
    one.write_text("cam-1/1.jpg\n")
    assign = detmon("--db", store, "ab", "assign", "week", "-")
    costs = interleaved({"all": lambda: run(assign, folder, units), "one": lambda: run(assign, folder, one)}, times)
    cpu = costs["all"].cpu - costs["one"].cpu
    figures = f"{cpu:.2f} s CPU for {UNITS:,}"
    return Row("ab assign TEST -", "a second", "≥ 100,000 units", f"{UNITS / cpu:,.0f} units", figures)
