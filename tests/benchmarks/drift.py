"""`drift check`: month against month of a store, two logs without one, and what others take for the same question.

The peers run where they are installed: DETMON_POLARS, DETMON_EVIDENTLY, DETMON_NANNYML and DETMON_WHYLOGS are the paths
of their `python` (`tests/simulations/peers.py`; whylogs needs "whylogs[viz]", ipython, "pandas<2.2", "numpy<2"
and "pyarrow<15"). They compare the confidences and labels of two Parquet files, a row a box. The budget against polars
is for ten million images: what `drift check` takes does not grow with the log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import synthetic
from benchmarks.measure import Cost, Row, detmon, interleaved, python, run

MONTHS = ("--reference", "2026-01-05:2026-02-01", "--current", "2026-02-03:2026-03-02")
BUDGETS = {"evidently": 1 / 25, "nannyml": 1 / 20, "whylogs": 1 / 12, "polars": 1 / 2}

POLARS = """
import math, sys
import polars as pl
def shares(path, key):
    counts = pl.scan_parquet(path).group_by(key.alias("k")).len().collect()
    total = counts["len"].sum()
    return {k: n / total for k, n in counts.iter_rows()}
def distance(key):
    p, q = (shares(path, key) for path in sys.argv[1:3])
    terms = [(p.get(k, 0), q.get(k, 0)) for k in {*p, *q}]
    part = lambda a, b: a * math.log2(2 * a / (a + b)) if a else 0
    return math.sqrt(sum(part(a, b) + part(b, a) for a, b in terms) / 2)
print(distance(pl.col("label")), distance((pl.col("confidence") * 20).floor()))
"""
EVIDENTLY = """
import sys
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
frames = [pd.read_parquet(path) for path in sys.argv[1:3]]
Report([DataDriftPreset()]).run(frames[1], frames[0])
"""
NANNYML = """
import sys
import pandas as pd
import nannyml
frames = [pd.read_parquet(path) for path in sys.argv[1:3]]
calculator = nannyml.UnivariateDriftCalculator(["confidence", "label"], chunk_number=10)
calculator.fit(frames[0]).calculate(frames[1])
"""
WHYLOGS = """
import sys
import pandas as pd
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores
views = [whylogs.log(pd.read_parquet(path)).view() for path in sys.argv[1:3]]
calculate_drift_scores(views[1], views[0], with_thresholds=True)
"""
SCRIPTS = {"polars": POLARS, "evidently": EVIDENTLY, "nannyml": NANNYML, "whylogs": WHYLOGS}


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """The store, two logs, and the peers that are installed."""
    store = folder / "drift.duckdb"
    log = synthetic.write_parquet(folder / "drift.parquet", images)
    run(detmon("-q", "--db", store, "ingest", log), folder)
    works = {
        "duckdb": lambda: run(python("import duckdb"), folder),
        "check": lambda: run(detmon("--db", store, "drift", "check", *MONTHS, "--json"), folder),
    }
    costs = interleaved(works, max(times, 7))
    wall, base = costs["check"].wall, costs["duckdb"].wall
    figures = f"{wall * 1000:.0f} ms; import duckdb {base * 1000:.0f} ms"
    work = f"drift check, 28 v 28 days, {images:,} images"
    yield Row(work, '`python -c "import duckdb"`', "≤ 5×", f"{wall / base:.2f}×", figures)
    yield from _two_logs(folder, log, images)
    flat = _flat(folder, log)
    for name, script in SCRIPTS.items():
        yield _peer(name, script, flat, costs["check"], folder)


def _two_logs(folder: Path, log: Path, images: int) -> Iterator[Row]:
    other = synthetic.write_parquet(folder / "other.parquet", images, seed=1)
    logs = ("--reference-log", log, "--current-log", other)
    unstored = run(detmon("-q", "drift", "check", *logs, "--json"), folder)
    ingested = run(detmon("-q", "--db", folder / "both.duckdb", "ingest", log, other), folder)
    figures = f"{unstored.cpu:.1f} s, {unstored.megabytes:.0f} MB; ingest {ingested.cpu:.1f} s"
    work = f"drift check of two logs of {images:,} images, CPU"
    yield Row(work, "`ingest` of them", "≤ 1×", f"{unstored.cpu / ingested.cpu:.2f}×", figures)
    other.unlink()


def _flat(folder: Path, log: Path) -> list[Path]:
    """The two months as others take them: a row a box."""
    import duckdb

    paths = [folder / "reference.parquet", folder / "current.parquet"]
    months = (("2026-01-05", "2026-02-02"), ("2026-02-03", "2026-03-03"))
    with duckdb.connect() as con:
        con.execute("SET enable_progress_bar = false")
        for path, (start, end) in zip(paths, months, strict=True):
            boxes = f"SELECT timestamp, unnest(detections) AS d FROM '{log}'"
            month = f"timestamp >= '{start}' AND timestamp < '{end}'"
            columns = "timestamp, d.label AS label, d.confidence AS confidence"
            con.execute(f"COPY (SELECT {columns} FROM ({boxes}) WHERE {month}) TO '{path}'")
    return paths


def _peer(name: str, script: str, flat: list[Path], check: Cost, folder: Path) -> Row:
    work, budget = f"the same, CPU, {name} on flat Parquet", f"≤ 1/{1 / BUDGETS[name]:.0f}"
    program = os.environ.get(f"DETMON_{name.upper()}")
    if not program:
        return Row(work, name, budget, "not installed")
    try:
        cost = run([program, "-c", script, *map(str, flat)], folder)
    except RuntimeError as error:
        return Row(work, name, budget, "failed", str(error).strip().splitlines()[-1][:80])
    return Row(work, name, budget, f"1/{cost.cpu / check.cpu:.1f}", f"{check.cpu:.2f} s; {name} {cost.cpu:.1f} s")
