"""`engine run`: the first scan of a log against one query that reads the same columns and hashes the same ids."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import synthetic
from benchmarks.measure import Cost, Row, detmon, interleaved, python, run

SEED = """
low_confidence = { enabled = true, threshold = 0.6, sample_rate = 0.3 }
edge_cases = { enabled = true, conditions = ["no_detections", "high_density", "unusual_size"] }
random_sample = { enabled = true, rate = 0.05 }
"""
READ_AND_HASH = """
import sys
from detmon.store import connect
columns = "confidence_min, n_detections, max_iou, area_min, area_max, ts, source, batch_id"
hashed = "CAST('0x' || substr(sha256('detmon:' || prediction_id), 1, 13) AS BIGINT)"
read = f"SELECT {hashed}, {columns} FROM predictions WHERE model_id = 'synthetic@1' AND status IS DISTINCT FROM 'error'"
with connect(sys.argv[1], read_only=True) as con:
    con.execute(f"SELECT max(COLUMNS(*)) FROM ({read})").fetchall()
"""
"""Reads every value, and returns one row."""


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """The first run over a log, and a run from cron without anything new."""
    store, fresh = folder / "engine.duckdb", folder / "fresh.duckdb"
    log = synthetic.write_parquet(folder / "engine.parquet", images)
    run(detmon("-q", "--db", fresh, "ingest", log), folder)
    log.unlink()
    (folder / "engine.toml").write_text(SEED, "utf-8")
    run(detmon("--db", fresh, "dataset", "create", "review"), folder)
    told = ("--model", "synthetic@1", "--dataset", "review", "--file", folder / "engine.toml")
    run(detmon("--db", fresh, "engine", "configure", *told), folder)

    def first() -> Cost:
        shutil.copyfile(fresh, store)
        return run(detmon("--db", store, "engine", "run"), folder)

    works = {
        "read": lambda: run(python(READ_AND_HASH, fresh), folder),
        "first": first,
        "idle": lambda: run(detmon("--db", store, "engine", "run"), folder),
        "duckdb": lambda: run(python("import duckdb"), folder),
    }
    costs = interleaved(works, times)
    for name, unit, what, budget in (
        ("first", "read", "the first scan", "≤ 1.5×"),
        ("idle", "duckdb", "nothing new", "≤ 2.5×"),
    ):
        wall, base = costs[name].wall, costs[unit].wall
        against = "one query: the columns, and the hashes" if unit == "read" else '`python -c "import duckdb"`'
        figures = f"{wall:.2f} s, {costs[name].megabytes:.0f} MB; {base:.2f} s"
        yield Row(f"engine run, {what}, {images:,} images", against, budget, f"{wall / base:.2f}×", figures)
