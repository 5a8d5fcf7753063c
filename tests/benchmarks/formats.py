"""Logs as others write them: from bytes to mapped records that the detector has judged, against DuckDB's own read.

DuckDB decodes all that the records need of the same bytes, its types given, into Arrow batches, with one thread.
detmon recognises the log, reads, maps and supplies, and judges the sample; to validate and to store is not part of it.
Both load duckdb, pyarrow and numpy first, and of both the cost of a log of a single image is taken off. User and system
time; of several runs in turns the least, for another load on the machine only adds to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import synthetic
from benchmarks.measure import Row, interleaved, python, run

LOADED = """
import duckdb, numpy, pyarrow.compute, sys
con = duckdb.connect()
con.execute("SET threads = 1; SET enable_progress_bar = false")
con.sql("SELECT 1").to_arrow_table()
"""
"""Both begin with their libraries."""
OWN = f"""{LOADED}
for batch in con.sql(sys.argv[2], params={{"file": sys.argv[1]}}).to_arrow_reader(100_000):
    pass
"""
READER = f"""{LOADED}
import json
from datetime import datetime
from pathlib import Path
from detmon.formats import Part, Source, reading, registry
from detmon.formats.inputs import Input
from detmon.ingest.sources import settings
from detmon.plugins import own_formats

class Mapped(reading.OpenReading):
    def _part(self, frame, chunk):
        return Part(chunk.table, (), chunk.read)

source = Source("log", Path(sys.argv[1]))
options = settings(json.loads(sys.argv[2]), {{}}, source).options
data = Input(source)
found = registry.recognise(data, options, own_formats())
for part in Mapped(data, options, found, datetime(2026, 12, 1)).parts():
    pass
"""


@dataclass(frozen=True)
class Log:
    """A log in somebody's format: how it is made, and what DuckDB reads of it."""

    suffix: str
    made: str
    """Its rows: SQL over the synthetic log, as `log`, or its boxes, as `boxes`."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The columns of a text file."""
    options: Mapping[str, Any] = field(default_factory=dict)
    header: bool = True

    def write(self, path: Path, source: Path, images: int) -> Path:
        """Write the first `images` of a canonical Parquet log."""
        import duckdb

        kind = {"jsonl": "json", "json": "json, ARRAY true", "parquet": "parquet, COMPRESSION zstd"}.get(self.suffix)
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            con.execute(f"CREATE VIEW log AS FROM '{source}' LIMIT {images}")
            con.execute("CREATE VIEW boxes AS SELECT * EXCLUDE detections, unnest(detections) AS d FROM log")
            con.execute(f"COPY ({self.made}) TO '{path}' (FORMAT {kind or f'csv, HEADER {self.header}'})")
        return path

    def read(self) -> str:
        """DuckDB's own read."""
        if self.suffix == "parquet":
            return "FROM read_parquet($file)"
        columns = ", ".join(f"'{name}': '{kind}'" for name, kind in self.columns.items())
        if self.suffix == "csv":
            return f"FROM read_csv($file, auto_detect = false, header = {self.header}, columns = {{{columns}}})"
        shape = "array" if self.suffix == "json" else "newline_delimited"
        return f"FROM read_json($file, format = '{shape}', columns = {{{columns}}})"


def each(**fields: str) -> str:
    """A list with an object a box."""
    inside = ", ".join(f"{name}: {value}" for name, value in fields.items())
    return f"list_transform(detections, lambda d: {{{inside}}})"


TIMES = "strftime(timestamp, '%Y-%m-%dT%H:%M:%S.%fZ') AS timestamp"
SCORE = "round(d.confidence::DOUBLE, 4)"
X, Y, W, H = (f"round(d.bbox.{side}::DOUBLE, 1)" for side in "xywh")
RIGHT, BOTTOM = (f"round(d.bbox.{at}::DOUBLE + d.bbox.{side}::DOUBLE, 1)" for at, side in ("xw", "yh"))
NUMBER = "(substr(d.label, 7)::INTEGER + 1)"
FRAME = "substr(image_id, 1, 9)::INTEGER"
LISTS = f"""SELECT model_id, {TIMES}, image_id,
    list_transform(detections, lambda d: [{X}, {Y}, {RIGHT}, {BOTTOM}]) AS boxes,
    list_transform(detections, lambda d: {NUMBER}) AS labels,
    list_transform(detections, lambda d: {SCORE}) AS scores FROM log"""
FLAT = f"""SELECT model_id, {TIMES}, image_id, source, d.label AS label, {SCORE} AS confidence,
    {X} AS x1, {Y} AS y1, {RIGHT} AS x2, {BOTTOM} AS y2 FROM boxes"""
BESIDE = {"model_id": "VARCHAR", "timestamp": "VARCHAR", "image_id": "VARCHAR"}
SIDES = "x DOUBLE, y DOUBLE, width DOUBLE, height DOUBLE"
SIZE = "STRUCT(width DOUBLE, height DOUBLE)"
CORNERS = "STRUCT(x1 DOUBLE, y1 DOUBLE, x2 DOUBLE, y2 DOUBLE)"
SPEED = "STRUCT(preprocess DOUBLE, inference DOUBLE, postprocess DOUBLE)"
WHEN = {"model": "m@1", "start": "2026-01-05T00:00:00Z", "fps": 30.0}
MAP = {"detections": "found", "detections.bbox": "x,y,width,height", "detections.confidence": "p",
       "detections.label": "n"}  # fmt: skip
TELLING = 0.05
"""Seconds of processor time below which start-up, which is taken off, leaves noise."""
LOGS = {
    "detmon, JSON Lines": Log(
        "jsonl",
        f"""SELECT * REPLACE ({TIMES}, round(latency_ms::DOUBLE, 2) AS latency_ms, 0.05 AS confidence_floor,
        {each(label="d.label", confidence=SCORE, bbox=f"[{X}, {Y}, {W}, {H}]")} AS detections) FROM log""",
        BESIDE | {"source": "VARCHAR", "image_width": "DOUBLE", "image_height": "DOUBLE", "latency_ms": "DOUBLE"}
        | {"confidence_floor": "DOUBLE", "detections": "STRUCT(label VARCHAR, confidence DOUBLE, bbox DOUBLE[])[]"},
    ),
    "roboflow, JSON Lines": Log(
        "jsonl",
        f"""SELECT model_id, {TIMES}, image_id, 0.02 AS time, {{width: image_width, height: image_height}} AS image,
        {each(x=X, y=Y, width=W, height=H, confidence=SCORE, **{'"class"': "d.label"})} AS predictions FROM log""",
        BESIDE | {"time": "DOUBLE", "image": SIZE}
        | {"predictions": f"STRUCT({SIDES}, confidence DOUBLE, class VARCHAR)[]"},
    ),
    "torchvision, JSON Lines": Log(
        "jsonl", LISTS, BESIDE | {"boxes": "DOUBLE[][]", "labels": "BIGINT[]", "scores": "DOUBLE[]"}
    ),
    "ultralytics, JSON Lines": Log(
        "jsonl",
        f"""SELECT model_id, {TIMES}, image_id AS path, [image_height, image_width] AS orig_shape,
        {{preprocess: 0.9, inference: round(latency_ms::DOUBLE, 2), postprocess: 0.7}} AS speed,
        {each(name="d.label", **{'"class"': NUMBER}, confidence=SCORE,
              box=f"{{x1: {X}, y1: {Y}, x2: {RIGHT}, y2: {BOTTOM}}}")} AS results FROM log""",
        {"model_id": "VARCHAR", "timestamp": "VARCHAR", "path": "VARCHAR", "orig_shape": "DOUBLE[]", "speed": SPEED,
         "results": f"STRUCT(name VARCHAR, confidence DOUBLE, box {CORNERS})[]"},
    ),
    "mapped, JSON Lines": Log(
        "jsonl",
        f"""SELECT model_id, {TIMES}, image_id, {each(x=X, y=Y, width=W, height=H, p=SCORE, n="d.label")} AS found
        FROM log""",
        BESIDE | {"found": f"STRUCT({SIDES}, p DOUBLE, n VARCHAR)[]"},
        {"map": MAP},
    ),
    "detmon, Parquet": Log("parquet", "FROM log"),
    "torchvision, Parquet": Log("parquet", LISTS),
    "flat, Parquet": Log("parquet", FLAT),
    "flat, CSV": Log(
        "csv",
        FLAT,
        BESIDE | {"source": "VARCHAR", "label": "VARCHAR"}
        | dict.fromkeys(("confidence", "x1", "y1", "x2", "y2"), "DOUBLE"),
    ),
    "supervision, CSV": Log(
        "csv",
        f"""SELECT {X} AS x_min, {Y} AS y_min, {RIGHT} AS x_max, {BOTTOM} AS y_max, {NUMBER} AS class_id,
        {SCORE} AS confidence, NULL AS tracker_id, d.label AS class_name, {FRAME} AS frame FROM boxes""",
        dict.fromkeys(("x_min", "y_min", "x_max", "y_max"), "DOUBLE")
        | {"class_id": "BIGINT", "confidence": "DOUBLE", "tracker_id": "VARCHAR", "class_name": "VARCHAR",
           "frame": "BIGINT"},
        WHEN | {"map": {"image_id": "frame"}},
    ),
    "mot": Log(
        "csv",
        f"SELECT {FRAME} + 1 AS frame, -1 AS id, {X}, {Y}, {W}, {H}, {SCORE}, -1 AS a, -1 AS b, -1 AS c FROM boxes",
        {"frame": "BIGINT", "id": "BIGINT", **dict.fromkeys(("x", "y", "w", "h", "score", "a", "b", "c"), "DOUBLE")},
        WHEN | {"label": "car"},
        header=False,
    ),
    "coco-results, one array": Log(
        "json",
        f"""SELECT {FRAME} AS image_id, {NUMBER} AS category_id, [{X}, {Y}, {W}, {H}] AS bbox, {SCORE} AS score
        FROM boxes""",
        {"image_id": "VARCHAR", "category_id": "BIGINT", "bbox": "DOUBLE[]", "score": "DOUBLE"},
        WHEN,
    ),
}  # fmt: skip


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """The table's rows; processes without what they take for a single image."""
    source = synthetic.write_parquet(folder / "synthetic.parquet", images)
    for name, log in LOGS.items():
        made = [log.write(folder / f"{n}.{log.suffix}", source, n) for n in (images, 1)]
        works = {"own": (OWN, log.read()), "reader": (READER, json.dumps(log.options))}
        costs = interleaved(
            {
                (work, path): partial(run, python(script, path, given), folder)
                for work, (script, given) in works.items()
                for path in made
            },
            times,
            min,
        )
        own, ours = (costs[work, made[0]].cpu - costs[work, made[1]].cpu for work in works)
        figures = f"{ours:.2f} s CPU for {made[0].stat().st_size / 1e6:.0f} MB; DuckDB {own:.2f} s"
        measured = f"{ours / own:.2f}×" if own > TELLING else "too short to tell"
        yield Row(f"{name}, {images:,} images, read", "DuckDB's own read", "≤ 2×", measured, figures)
