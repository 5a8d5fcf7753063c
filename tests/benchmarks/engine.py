"""`engine run`: the first scan of a log against one query that reads the same columns and hashes the same ids."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import synthetic
from benchmarks.measure import Cost, Row, detmon, interleaved, python, run

SEED = """
low_confidence = {{ enabled = true, threshold = {threshold}, sample_rate = 0.3 }}
edge_cases = {{ enabled = true, conditions = ["no_detections", "high_density", "unusual_size"], rate = {rate} }}
random_sample = {{ enabled = true, rate = 0.01 }}
"""
TOLD = {"few": {"threshold": 0.3, "rate": 0.1}, "many": {"threshold": 0.6, "rate": 1.0}}
"""With the second, which few people could review, most of the time goes into writing items."""
READ_AND_HASH = """
import sys
from detmon.store import connect
columns = "confidence_min, n_detections, max_iou, area_min, area_max, ts, source, batch_id"
read = f"SELECT sha256('detmon:' || prediction_id), {columns} FROM predictions"
with connect(sys.argv[1], read_only=True) as con:
    read += " WHERE model_id = 'synthetic@1' AND status IS DISTINCT FROM 'error'"
    con.execute(f"SELECT max(COLUMNS(*)) FROM ({read})").fetchall()
"""
"""Reads every value, and returns one row."""


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """The first run over a log, with few and with many items, and a run from cron without anything new."""
    fresh = folder / "fresh.duckdb"
    log = synthetic.write_parquet(folder / "engine.parquet", images)
    run(detmon("-q", "--db", fresh, "ingest", log), folder)
    log.unlink()
    works: dict[str, Callable[[], Cost]] = {
        "read": lambda: run(python(READ_AND_HASH, fresh), folder),
        **{name: _first_run(folder, fresh, name) for name in TOLD},
        "idle": lambda: run(detmon("--db", folder / "few.duckdb", "engine", "run"), folder),
        "duckdb": lambda: run(python("import duckdb"), folder),
    }
    costs = interleaved(works, times)
    for name in TOLD:
        wall, base = costs[name].wall, costs["read"].wall
        figures = f"{wall:.2f} s, {costs[name].megabytes:.0f} MB; {base:.2f} s"
        work = f"engine run, {images:,} images, flags {_share(folder / f'{name}.duckdb', images)}"
        budget = "≤ 1.5×" if name == "few" else ""
        yield Row(work, "one query: the columns, and the hashes", budget, f"{wall / base:.2f}×", figures)
    wall, base = costs["idle"].wall, costs["duckdb"].wall
    figures = f"{wall * 1000:.0f} ms; {base * 1000:.0f} ms"
    work = f"engine run, nothing new, {images:,} images"
    yield Row(work, '`python -c "import duckdb"`', "", f"{wall / base:.2f}×", figures)


def _first_run(folder: Path, fresh: Path, name: str) -> Callable[[], Cost]:
    """A first run on a copy of the store, whose making does not count."""
    store, told = folder / f"{name}.duckdb", folder / f"{name}.toml"
    told.write_text(SEED.format(**TOLD[name]), "utf-8")

    def first() -> Cost:
        shutil.copyfile(fresh, store)
        run(detmon("--db", store, "dataset", "create", "review"), folder)
        about = ("--model", "synthetic@1", "--dataset", "review", "--file", told)
        run(detmon("--db", store, "engine", "configure", *about), folder)
        return run(detmon("--db", store, "engine", "run"), folder)

    return first


def _share(store: Path, images: int) -> str:
    with duckdb.connect(str(store), read_only=True) as con:
        ((flagged,),) = con.execute("SELECT count(*) FROM items").fetchall()
    return f"{100 * flagged / images:.1f} %"
