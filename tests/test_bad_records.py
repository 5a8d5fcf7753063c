"""A log with 1 % bad records, in every format: the other 99 % are stored, and each bad one is told with its line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Shell
from logs import FIRST
from test_formats_objects import EVENT, ROBOFLOW, TORCHVISION, ULTRALYTICS

RECORDS = 2000
PLACES = ("image_id", "line", "file_name")
"""Of a table or an array, these may be written anew."""
EVERY = 100
"""Of so many records, one is bad."""
Record = dict[str, Any]


def clock(number: int) -> str:
    """The time of a record."""
    return f"2026-11-20T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"


def lines(records: list[Any]) -> bytes:
    """One a line; text as it is."""
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records).encode()


def array(records: list[Any]) -> bytes:
    """The items of one array, a line each."""
    return b"[\n" + b",\n".join(json.dumps(one).encode() for one in records) + b"\n]\n"


def table(records: list[Any]) -> bytes:
    """A CSV; cells that are lists are whole lines."""
    good = next(one for one in records if isinstance(one, dict))
    rows = [one if isinstance(one, str) else ",".join(str(cell) for cell in one.values()) for one in records]
    return "\n".join([",".join(good), *rows, ""]).encode()


def bare_table(records: list[Any]) -> bytes:
    """The same without header."""
    return table(records).split(b"\n", 1)[1]


def parquet(records: list[Any]) -> bytes:
    """A Parquet file, typed by a good record."""
    import io

    schema = pa.Table.from_pylist(records[1:2]).schema
    pq.write_table(pa.Table.from_pylist(records, schema), file := io.BytesIO())
    return file.getvalue()


@dataclass(frozen=True)
class Kind:
    """A format: a good record by its number, how records are written, what spoils one → field and code."""

    format: str
    good: Callable[[int], Record]
    write: Callable[[list[Any]], bytes]
    bad: tuple[tuple[Callable[[Record], Any], str | None, str], ...]
    options: tuple[str, ...] = ("--model", "m")
    header: int = 0
    """Lines before the first record."""
    beside: Mapping[str, str] = field(default_factory=dict)


def without(name: str) -> Callable[[Record], Record]:
    """A record that lacks a field."""
    return lambda record: {key: value for key, value in record.items() if key != name}


def having(**fields: Any) -> Callable[[Record], Record]:
    """A record with other fields."""
    return lambda record: {**record, **fields}


def boxed(name: str, **fields: Any) -> Callable[[Record], Record]:
    """A record whose one box (in the list `name`) has other fields."""
    return lambda record: {**record, name: [{**record[name][0], **fields}]}


def nested(**fields: Any) -> Callable[[Record], Record]:
    """An event whose object has other fields."""
    return lambda record: {**record, "after": {**record["after"], **fields}}


def text(line: str) -> Callable[[Record], str]:
    """A line of its own."""
    return lambda record: line


def numbered(base: Record, name: str = "image_id") -> Callable[[int], Record]:
    """Records of this kind, each of its own time and image."""
    return lambda k: {**base, "timestamp": clock(k), name: f"{k:06}.jpg"}


BROKEN = (text('{"image_id": "x", '), None, "bad_json")
LATE = (having(timestamp="2026-13-01T00:00:00Z"), "timestamp", "bad_time")
CANONICAL = (
    (without("timestamp"), "timestamp", "missing_field"),
    (boxed("detections", confidence=1.63), "confidence", "score_range"),
    (boxed("detections", bbox=[1, 2, 3]), "bbox", "bad_box"),
    (having(status="fine"), "status", "bad_status"),
    (boxed("detections", label=""), "label", "bad_text"),
    LATE,
)
TYPES = ((having(image_id={"a": 1}), "image_id", "wrong_type"), (having(latency_ms="3"), "latency_ms", "wrong_type"))
CORNERS = {"x1": 10, "y1": 20, "x2": 110, "y2": 80}
MAP = ("detections=found", "detections.label=name", "detections.confidence=p", "detections.bbox=x,y,w,h")
FLAT_BAD = (
    (having(confidence="high"), "confidence", "wrong_type"),
    (having(confidence=1.63), "confidence", "score_range"),
    (having(label=""), "label", "missing_field"),
    (having(x2="nan"), "bbox", "bad_box"),
    LATE,
)
FLAT_OBJECT_BAD = (
    (having(confidence="high"), "confidence", "wrong_type"),
    (having(confidence=1.63), "confidence", "score_range"),
    (having(label=""), "label", "bad_text"),
    (having(x2=None), "bbox", "bad_box"),
    (having(y1=[1]), "bbox", "wrong_type"),
    LATE,
)
RESULT_BAD = (
    (having(score=1.63), "confidence", "score_range"),
    (having(bbox=[1, 2, 3]), "bbox", "bad_box"),
    (having(category_id="car"), "category_id", "wrong_type"),
    (having(score="0.5"), "score", "wrong_type"),
)
SINK = dict(zip(("x_min", "y_min", "x_max", "y_max"), CORNERS.values(), strict=True))
START = ("--model", "m", "--start", "2026-11-20T08:00:00Z")
FRAMES = (*START, "--fps", "1")


def result(number: int) -> Record:
    """A COCO result."""
    return {"image_id": number, "category_id": number % 3, "bbox": [12.5, 40, 100, 60], "score": 0.88}


def sink(number: int) -> Record:
    """A row of supervision's sinks."""
    return {**SINK, "class_id": 2, "confidence": 0.91, "tracker_id": "", "class_name": "car", "frame": number}


def flat(number: int) -> Record:
    """A row of a CSV."""
    return {"image_id": f"{number:06}.jpg", "timestamp": clock(number), "label": "car", "confidence": 0.5, **CORNERS}


def mot(number: int) -> Record:
    """A row of a tracker's file."""
    cells = (number, -1, 10, 20, 100, 60, 0.9 - number / 1e5, -1, -1, -1)
    return {f"#{k}": cell for k, cell in enumerate(cells, start=1)}


KINDS = {
    "detmon lines": Kind("detmon", numbered(FIRST), lines, (BROKEN, *CANONICAL, *TYPES)),
    "detmon array": Kind("detmon", numbered(FIRST), array, (*CANONICAL, *TYPES)),
    "detmon parquet": Kind("detmon", numbered({**FIRST, "status": "ok"}), parquet, (*CANONICAL, LATE)),
    "a map": Kind(
        "detmon",
        numbered({"found": [{"name": "car", "p": 0.5, "x": 1, "y": 2, "w": 30, "h": 40}]}),
        lines,
        (BROKEN, LATE, (boxed("found", p="0.5"), "confidence", "wrong_type"),
         (boxed("found", w=None), "bbox", "bad_box"), (having(found=None), "detections", "missing_field")),
        ("--model", "m", *(word for pair in MAP for word in ("--map", pair))),
    ),
    "roboflow": Kind(
        "roboflow", lambda k: {**numbered(ROBOFLOW)(k), "inference_id": f"i{k}"}, lines,
        (BROKEN, LATE, (boxed("predictions", confidence=1.63), "confidence", "score_range"),
         (boxed("predictions", x="60"), "bbox", "wrong_type"), (having(image=[{}, {}]), "image", "batched_response")),
    ),
    "ultralytics": Kind(
        "ultralytics-json", numbered(ULTRALYTICS, "path"), lines,
        (BROKEN, LATE, (without("path"), "image_id", "missing_field"),
         (boxed("results", confidence=1.63), "confidence", "score_range"),
         (boxed("results", box={"x1": 1, "y1": 2, "x2": 3}), "bbox", "bad_box")),
    ),
    "torchvision lines": Kind(
        "torchvision", numbered(TORCHVISION), lines,
        (BROKEN, LATE, (having(scores=[]), "detections", "lengths_differ"),
         (having(labels=[""]), "label", "bad_text"), (having(boxes=[[1, 2, 3]]), "bbox", "bad_box"),
         (having(scores=[1.63]), "confidence", "score_range")),
    ),
    "torchvision parquet": Kind(
        "torchvision", numbered(TORCHVISION), parquet,
        (LATE, (having(scores=[]), "detections", "lengths_differ"), (having(boxes=[[1, 2, 3]]), "bbox", "bad_box"),
         (having(scores=[1.63]), "confidence", "score_range"), (having(image_id=None), "image_id", "missing_field")),
    ),
    "frigate": Kind(
        "frigate",
        lambda k: {**EVENT, "after": {**EVENT["after"], "id": f"e{k}", "start_time": 1_763_625_600.5 + k}},
        lines,
        (BROKEN, (nested(start_time=None), "timestamp", "missing_field"),
         (nested(top_score=1.63), "confidence", "score_range"), (nested(box=[1, 2]), "bbox", "bad_box"),
         (having(after=None), "type", "wrong_type"),
         (nested(label=None), "label", "missing_field")),
    ),
    "coco results": Kind("coco-results", result, array, RESULT_BAD, FRAMES),
    "ultralytics val": Kind(
        "ultralytics-val", lambda k: {**result(k), "file_name": f"{k:06}.jpg"}, array,
        (*RESULT_BAD, (having(file_name={}), "file_name", "wrong_type")), START,
    ),
    "coco dataset": Kind(
        "coco", result,
        lambda records: json.dumps({"images": [{"id": k, "file_name": f"{k:06}.jpg"} for k in range(1, RECORDS + 1)],
                                    "categories": [{"id": k, "name": f"k{k}"} for k in range(3)],
                                    "annotations": records}).encode(),
        RESULT_BAD, FRAMES,
    ),
    "supervision json": Kind(
        "supervision-json", sink, array,
        ((having(confidence=1.63), "confidence", "score_range"), (having(x_min=None), "bbox", "bad_box"),
         (having(confidence="high"), "confidence", "wrong_type"), (having(class_name={}), "label", "wrong_type")),
        (*FRAMES, "--map", "image_id=frame"),
    ),
    "supervision csv": Kind(
        "supervision-csv", sink, table,
        ((having(confidence=1.63), "confidence", "score_range"), (having(x_min=""), "bbox", "bad_box"),
         (having(confidence="high"), "confidence", "wrong_type"), (text("1,2,3"), None, "field_count")),
        (*FRAMES, "--map", "image_id=frame"), header=1,
    ),
    "flat csv": Kind("flat", flat, table, (*FLAT_BAD, (text("a,b,c"), None, "field_count")), header=1),
    "flat parquet": Kind(
        "flat", flat, parquet,
        ((having(confidence=1.63), "confidence", "score_range"), (having(label=None), "label", "missing_field"),
         (having(x2=None), "bbox", "bad_box"), LATE),
    ),
    "flat lines": Kind("flat", flat, lines, (BROKEN, *FLAT_OBJECT_BAD)),
    "flat array": Kind("flat", flat, array, FLAT_OBJECT_BAD),
    "mot": Kind(
        "mot", mot, bare_table,
        ((having(**{"#7": 1.63}), "confidence", "score_range"), (having(**{"#5": "wide"}), "bbox", "wrong_type"),
         (having(**{"#1": "7.5"}), "image_id", "wrong_type"), (text("1,2,3"), None, "field_count")),
        (*FRAMES, "--label", "car"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_one_percent_of_bad_records(detmon: Shell, name: str) -> None:
    kind = KINDS[name]
    records: list[Any] = [kind.good(k) for k in range(1, RECORDS + 1)]
    expected = []
    for turn, place in enumerate(range(EVERY // 2, RECORDS, EVERY)):
        spoil, about, code = kind.bad[turn % len(kind.bad)]
        records[place] = spoil(records[place])
        expected.append((place + 1 + kind.header, about, code))
    log = Path("log.parquet" if kind.write is parquet else "log.csv" if kind.write is table else "log.json")
    content = kind.write(records)
    log.write_bytes(content)
    done = detmon("ingest", log, *kind.options, "--json").json
    assert (done["files"][0]["format"], done["files"][0]["status"]) == (kind.format, "taken")
    assert (done["predictions"], done["rejected"]) == (RECORDS - len(expected), len(expected))
    rows = detmon("quarantine", "list", "--json").json
    assert [(row["line"], row["field"], row["code"]) for row in rows] == expected
    assert all(row["file"] == str(log) and row["reason"] for row in rows)
    for row in rows:
        if kind.write in (lines, table, bare_table):
            assert row["raw"] == content.decode().split("\n")[row["line"] - 1]
        else:
            raw, found = json.loads(row["raw"].splitlines()[-1]), records[row["line"] - kind.header - 1]
            assert all(found.get(name, value) == value for name, value in raw.items() if name not in PLACES)
            assert re.search(rf"\((item|row|annotation) {row['line']}\)$", row["reason"])


def test_one_percent_of_bad_files(detmon: Shell) -> None:
    """A folder of one file an image: each file is a record."""
    Path("labels").mkdir()
    bad = {"polygon": "0 .1 .2 .3 .4 .5 .6 .7 .8", "class": "car .5 .5 .1 .1 .9", "box": "0 .5 wide .1 .1 .9"}
    for k in range(RECORDS):
        Path(f"labels/{k:04}.txt").write_text("1 .5 .5 .1 .1 .8\n2 .5 .5 .2 .1 .9\n")
    for k, line in enumerate([*bad.values()] * 6):
        Path(f"labels/{k * EVERY + 50:04}.txt").write_text(f"1 .5 .5 .1 .1 .8\n\n{line}\n")
    done = detmon("ingest", "labels", *START, "--image-size", "640x480", "--json").json
    assert (done["predictions"], done["rejected"]) == (RECORDS - 18, 18)
    rows = detmon("quarantine", "list", "--json").json
    assert {row["code"] for row in rows} == {"field_count", "wrong_type"}
    assert [row["line"] for row in rows] == [3] * 18
    found = {row["raw"].split(":")[0] for row in rows}
    assert found == {f"{k * EVERY + 50:04}.txt" for k in range(18)}
