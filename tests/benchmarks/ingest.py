"""Ingest: CPU against the plainest copy of the same file, memory, size, how long the store is held."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import synthetic
from benchmarks.measure import Cost, Row, detmon, interleaved, python, run

COPY = """
import duckdb, sys
con = duckdb.connect()
con.execute("SET enable_progress_bar = false")
con.execute("SET preserve_insertion_order = false")
con.execute(f"COPY (SELECT * FROM '{sys.argv[1]}') TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)")
"""
LOADS = """
import json, sys
for line in sys.stdin.buffer:
    json.loads(line)
"""
READER = """
import sys
from detmon.formats import Options, Source
from detmon.formats.inputs import Input
from detmon.formats.jsonl import JsonObjects
for chunk in JsonObjects().read(Input(Source("-", stream=sys.stdin.buffer)), Options()):
    pass
"""
CHECKED = """
import sys
from datetime import datetime
from detmon.formats import Options, Source, open_source
for part in open_source(Source("-", stream=sys.stdin.buffer), Options(), now=datetime(2027, 1, 1)).parts():
    pass
"""
HELD = """
import sys, time
from contextlib import contextmanager
from detmon import Client
from detmon.store import Store
held, plain = 0.0, Store.writing

@contextmanager
def timed(self, *, create=False):
    global held
    begin = time.monotonic()
    with plain(self, create=create) as con:
        yield con
    held += time.monotonic() - begin

Store.writing = timed
begin = time.monotonic()
Client("held.duckdb").ingest(sys.argv[1])
print(held / (time.monotonic() - begin), file=open("held.txt", "w"))
"""


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """The table's rows, for a log of so many images."""
    log = synthetic.write_parquet(folder / "log.parquet", images)
    store = folder / "detmon.duckdb"

    def ingest() -> Cost:
        store.unlink(missing_ok=True)
        return run(detmon("-q", "ingest", log), folder)

    costs = interleaved(
        {"ingest": ingest, "copy": lambda: run(python(COPY, log, folder / "copy.parquet"), folder)}, times
    )
    ours, copy = costs["ingest"], costs["copy"]
    budget = "≤ 2.5×" if images < 5_000_000 else "≤ 2.0×"
    figures = f"{ours.cpu:.1f} s CPU, {ours.wall:.1f} s; copy {copy.cpu:.1f} s CPU"
    yield Row(
        f"ingest, {images:,} images, CPU", "Parquet scan + zstd write", budget, f"{ours.cpu / copy.cpu:.2f}×", figures
    )
    yield Row("peak memory", "", "≤ 1.2 GiB", f"{ours.megabytes / 1024:.2f} GiB")
    size = store.stat().st_size / log.stat().st_size
    detail = f"{store.stat().st_size / 1e6:.0f} MB; the log has no prediction ids, 32 characters each"
    yield Row("file size", "source Parquet", "≤ 1.25×", f"{size:.2f}×", detail)
    yield Row("rollup bytes", "prediction bytes", "≤ 4 %", f"{_rollup_share(store):.1%}")
    (folder / "held.duckdb").unlink(missing_ok=True)
    run(python(HELD, log), folder)
    yield Row("file locked", "batch time", "≤ 40 %", f"{float((folder / 'held.txt').read_text()):.0%}")
    yield from _lines(folder, min(images, 300_000), times)
    yield _small_files(folder, min(images, 2000), times)


def _lines(folder: Path, images: int, times: int) -> Iterator[Row]:
    """Processes without their start-up, which is what they take for a single line."""
    log = synthetic.write_jsonl(folder / "log.jsonl", images)
    line = folder / "line.jsonl"
    with log.open("rb") as whole:
        line.write_bytes(whole.readline())
    store = folder / "lines.duckdb"

    def ingest(source: Path) -> Cost:
        store.unlink(missing_ok=True)
        return run(detmon("-q", "--db", store, "ingest", "-"), folder, stdin=source)

    works = {
        "loads": lambda source: run(python(LOADS), folder, stdin=source),
        "reader alone": lambda source: run(python(READER), folder, stdin=source),
        "read and checked": lambda source: run(python(CHECKED), folder, stdin=source),
        "whole ingest": ingest,
    }
    both = {(name, source): partial(work, source) for name, work in works.items() for source in (log, line)}
    costs = interleaved(both, times)
    cpu = {name: costs[name, log].cpu - costs[name, line].cpu for name in works}
    megabytes = log.stat().st_size / 1e6
    for name in list(works)[1:]:
        yield Row(
            f"JSON Lines on stdin, {name}, {images:,} images, MB per CPU-second",
            "json.loads loop",
            "≥ 2×",
            f"{cpu['loads'] / cpu[name]:.2f}×",
            f"{megabytes / cpu[name]:.0f} MB/s; start-up {costs[name, line].cpu:.2f} s; "
            f"peak {costs[name, log].megabytes / 1024:.2f} GiB",
        )


def _small_files(folder: Path, files: int, times: int) -> Row:
    """Files of one record each, in a folder; without what a folder of one file takes."""
    places = folder / "many", folder / "single"
    for place, n in zip(places, (files, 1), strict=True):
        place.mkdir()
        log = synthetic.write_jsonl(folder / "records.jsonl", n)
        for number, line in enumerate(log.read_bytes().splitlines(keepends=True)):
            (place / f"{number:06}.json").write_bytes(line)
    store = folder / "small.duckdb"

    def ingest(place: Path) -> Cost:
        store.unlink(missing_ok=True)
        return run(detmon("-q", "--db", store, "ingest", place, "--json"), folder)

    costs = interleaved({place: partial(ingest, place) for place in places}, times)
    many, single = (costs[place] for place in places)
    each = (many.cpu - single.cpu) / max(files - 1, 1) * 1000
    return Row(f"ingest, {files:,} files of one record, CPU a file", "", "≤ 5 ms", f"{each:.1f} ms")


def _rollup_share(store: Path) -> float:
    """Blocks of the rollup tables over those of the predictions."""
    import duckdb

    def blocks(con: duckdb.DuckDBPyConnection, table: str) -> int:
        query = "SELECT count(DISTINCT block_id) FROM pragma_storage_info(?) WHERE block_id >= 0"
        return int(con.execute(query, [table]).fetchall()[0][0])

    with duckdb.connect(str(store), read_only=True) as con:
        rollups = sum(blocks(con, table) for table in ("rollup_images", "rollup_histograms", "rollup_classes"))
        return rollups / blocks(con, "predictions")
