"""JSON logs in other people's shapes: reading and mapping them against DuckDB's own read of the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import synthetic
from benchmarks.measure import Row, interleaved, python, run

OWN = """
import duckdb, json, sys
con = duckdb.connect()
con.execute("SET threads = 1")
columns = json.loads(sys.argv[2])
con.sql("FROM read_json($file, format='newline_delimited', columns=$columns)",
        params={"file": sys.argv[1], "columns": columns}).to_arrow_table()
"""
READER = """
import json, sys
from pathlib import Path
from detmon.formats import Options, Source, frame, registry, supply
from detmon.formats.inputs import Input
from detmon.plugins import own_formats
options = Options(map=json.loads(sys.argv[2]))
data = Input(Source("log", Path(sys.argv[1])))
reader = registry.recognise(data, options, own_formats()).reader
given = supply.Supply("log", options, getattr(reader, "layout", "xywh"))
for chunk in reader.read(data, options):
    given(frame.frame_of(chunk, None))
"""
BESIDE = {"model_id": "VARCHAR", "timestamp": "VARCHAR", "image_id": "VARCHAR"}
SIZES = "STRUCT(width DOUBLE, height DOUBLE)"
SIDES = "x DOUBLE, y DOUBLE, width DOUBLE, height DOUBLE"
CORNERS = "box STRUCT(x1 DOUBLE, y1 DOUBLE, x2 DOUBLE, y2 DOUBLE)"
COLUMNS: dict[str, dict[str, str]] = {
    "roboflow": {**BESIDE, "time": "DOUBLE", "image": SIZES,
                 "predictions": f"STRUCT({SIDES}, confidence DOUBLE, class VARCHAR)[]"},
    "ultralytics-json": {"model_id": "VARCHAR", "timestamp": "VARCHAR", "path": "VARCHAR", "orig_shape": "DOUBLE[]",
                         "results": f"STRUCT(name VARCHAR, confidence DOUBLE, {CORNERS})[]"},
    "torchvision": {**BESIDE, "boxes": "DOUBLE[][]", "labels": "DOUBLE[]", "scores": "DOUBLE[]"},
    "a map": {**BESIDE, "found": f"STRUCT({SIDES}, p DOUBLE, n VARCHAR)[]"},
}  # fmt: skip
MAP = {"detections": "found", "detections.bbox": "x,y,width,height", "detections.confidence": "p",
       "detections.label": "n"}  # fmt: skip


def rows(folder: Path, images: int, times: int) -> Iterator[Row]:
    """The table's rows; processes without what they take for a single line."""
    records = pq.read_table(synthetic.write_parquet(folder / "log.parquet", min(images, 100_000))).to_pylist()
    for name, columns in COLUMNS.items():
        log, line = folder / f"{name}.jsonl", folder / "line.jsonl"
        texts = [json.dumps(written(name, record)) + "\n" for record in records]
        log.write_text("".join(texts))
        line.write_text(texts[0])
        works = {"own": (OWN, columns), "reader": (READER, MAP if name == "a map" else {})}
        costs = interleaved(
            {
                (work, source): partial(run, python(script, source, json.dumps(given)), folder)
                for work, (script, given) in works.items()
                for source in (log, line)
            },
            times,
        )
        own, ours = (costs[work, log].cpu - costs[work, line].cpu for work in works)
        figures = f"{ours:.2f} s CPU for {log.stat().st_size / 1e6:.0f} MB; DuckDB {own:.2f} s"
        yield Row(f"read and mapped, {name}", "DuckDB's own read", "≤ 2×", f"{ours / own:.2f}×", figures)


def written(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """A record of the synthetic log as others write it."""
    beside = {"model_id": record["model_id"], "timestamp": record["timestamp"].isoformat()}
    image = {**beside, "image_id": record["image_id"]}
    boxes = record["detections"]
    if name == "ultralytics-json":
        results = [{"name": b["label"], "class": 1, "confidence": b["confidence"], "box": corners(b)} for b in boxes]
        return {**beside, "path": record["image_id"], "orig_shape": [1080, 1920], "results": results}
    if name == "torchvision":
        lists = {"boxes": [list(corners(b).values()) for b in boxes], "scores": [b["confidence"] for b in boxes]}
        return {**image, **lists, "labels": [int(b["label"][-2:]) + 1 for b in boxes]}
    sides = [dict(zip(("x", "y", "width", "height"), b["bbox"].values(), strict=True)) for b in boxes]
    if name == "roboflow":
        found = [{**s, "confidence": b["confidence"], "class": b["label"]} for s, b in zip(sides, boxes, strict=True)]
        return {**image, "time": 0.02, "image": {"width": 1920, "height": 1080}, "predictions": found}
    return {**image, "found": [{**s, "p": b["confidence"], "n": b["label"]} for s, b in zip(sides, boxes, strict=True)]}


def corners(box: dict[str, Any]) -> dict[str, float]:
    """The corners of a box."""
    x, y, w, h = box["bbox"].values()
    return {"x1": x, "y1": y, "x2": x + w, "y2": y + h}
