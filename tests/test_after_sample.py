"""Behind the sample records are only rejected: what would have refused the file there loses one record, no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell

N, LATE = 12_000, 11_000
"""Records of a log, and the one that is odd."""
NAMES = "car\nvan\nbus\n"
SAID = {"--model": "m", "--start": "2026-11-20T08:00:00Z", "--categories": "names.txt"}
SIZED = {**SAID, "--image-size": "640x480"}
Row = Callable[[int, int, bool], Any]
"""Record number and class id in, and whether the record is to be odd; a record out."""


def _lines(path: Path, row: Row, odd: Callable[[int], tuple[int, bool]]) -> Path:
    path.write_text("".join(json.dumps(row(k, *odd(k))) + "\n" for k in range(N)), "utf-8")
    return path


def _array(path: Path, row: Row, odd: Callable[[int], tuple[int, bool]]) -> Path:
    path.write_text(json.dumps([row(k, *odd(k)) for k in range(N)]), "utf-8")
    return path


def _text(path: Path, row: Row, odd: Callable[[int], tuple[int, bool]], head: str = "") -> Path:
    path.write_text(head + "".join(row(k, *odd(k)) + "\n" for k in range(N)), "utf-8")
    return path


def _folder(path: Path, row: Row, odd: Callable[[int], tuple[int, bool]]) -> Path:
    path.mkdir()
    for k in range(N):
        (path / f"{k:06}.txt").write_text(row(k, *odd(k)) + "\n")
    return path


def _parquet(path: Path, row: Row, odd: Callable[[int], tuple[int, bool]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([row(k, *odd(k)) for k in range(N)]), path)
    return path


def nested(k: int, kind: int, odd: bool) -> dict[str, Any]:
    box = {"label": str(kind), "confidence": 2.5 if odd else 0.5, "bbox": [10, 20, 30, 40]}
    return {"image_id": f"{k}.jpg", "detections": [box]}


def roboflow(k: int, kind: int, odd: bool) -> dict[str, Any]:
    image: Any = {"width": 640, "height": 480}
    box = {"x": 60, "y": 50, "width": 50, "height": 60, "confidence": 0.5, "class": str(kind), "class_id": kind}
    return {"image_id": f"{k}.jpg", "image": [image] if odd else image, "predictions": [box]}


def torchvision(k: int, kind: int, odd: bool) -> dict[str, Any]:
    return {"image_id": f"{k}.jpg", "boxes": [[1, 2, 30, 40]], "labels": [kind], "scores": [] if odd else [0.5]}


def ultralytics(k: int, kind: int, odd: bool) -> dict[str, Any]:
    box = {"x1": 1, "y1": 2, "x2": "a" if odd else 30, "y2": 40}
    found = {"name": str(kind), "class": kind, "confidence": 0.5, "box": box}
    return {"path": f"{k}.jpg", "orig_shape": [480, 640], "results": [found]}


def result(k: int, kind: int, odd: bool) -> dict[str, Any]:
    return {"image_id": k, "category_id": kind, "bbox": [1, 2, 30, 40], "score": 7.5 if odd else 0.5}


def named_result(k: int, kind: int, odd: bool) -> dict[str, Any]:
    return {**result(k, kind, odd), "file_name": f"{k}.jpg"}


def sink(k: int, kind: int, odd: bool) -> dict[str, Any]:
    box = {"x_min": "a" if odd else 1, "y_min": 2, "x_max": 30, "y_max": 40}
    return {**box, "class_id": kind, "confidence": 0.5, "tracker_id": "", "image_id": f"{k}.jpg"}


def sink_row(k: int, kind: int, odd: bool) -> str:
    return f"{'a' if odd else 1},2,30,40,{kind},0.5,,{k}.jpg"


def cells(k: int, kind: int, odd: bool) -> str:
    return f"{k}.jpg,{kind},{'high' if odd else 0.5},1,2,30,40"


def columns(k: int, kind: int, odd: bool) -> dict[str, Any]:
    return {"image_id": f"{k}.jpg", "label": str(kind), "confidence": 3.5 if odd else 0.5,
            **dict(zip(("x1", "y1", "x2", "y2"), (1.0, 2.0, 30.0, 40.0), strict=True))}  # fmt: skip


def tracked(k: int, kind: int, odd: bool) -> str:
    return f"{k + 1},-1,10,20,100,60,{7 if odd else 0.5},-1,-1,-1"


def yolo(k: int, kind: int, odd: bool) -> str:
    return f"{kind} .5 .5 .1 .1 {'7' if odd else '0.5'}"


FLAT = "image_id,label,confidence,x1,y1,x2,y2\n"
SINK = "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,image_id\n"
OFFSET = {**SAID, "--category-offset": "-1"}
KINDS: dict[str, tuple[Callable[..., Path], Row, Mapping[str, str]]] = {
    "detmon.jsonl": (_lines, nested, SAID),
    "detmon.json": (_array, nested, SAID),
    "detmon.parquet": (_parquet, nested, SAID),
    "roboflow.jsonl": (_lines, roboflow, SAID),
    "torchvision.jsonl": (_lines, torchvision, OFFSET),
    "torchvision.parquet": (_parquet, torchvision, OFFSET),
    "ultralytics.jsonl": (_lines, ultralytics, SAID),
    "results.json": (_array, result, SAID),
    "val.json": (_array, named_result, SAID),
    "sink.json": (_array, sink, SAID),
    "sink.csv": (lambda *given: _text(*given, SINK), sink_row, SAID),
    "flat.csv": (lambda *given: _text(*given, FLAT), cells, SAID),
    "flat.parquet": (_parquet, columns, SAID),
    "mot.txt": (_text, tracked, {**SAID, "--fps": "25", "--label": "0"}),
    "labels": (_folder, yolo, SIZED),
}  # fmt: skip
NO_CLASSES = {"mot.txt", "torchvision.jsonl", "torchvision.parquet"}
"""Where class ids are not looked up in a list counted from 0 without being told so."""

QUICK = ("detmon.jsonl", "results.json", "flat.csv")


def ingested(detmon: Shell, name: str, odd: Callable[[int], tuple[int, bool]]) -> Any:
    """What became of a log of this kind."""
    write, row, said = KINDS[name]
    (detmon.folder / "names.txt").write_text(NAMES)
    write(detmon.folder / name, row, odd)
    options = [word for option in said.items() for word in option]
    return detmon("ingest", name, *options, "--json", code=0).json


def each(names: Iterable[str]) -> list[Any]:
    """Log kinds, those that are much like another marked as slow."""
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", each(KINDS))
def test_one_bad_record_behind_the_sample(detmon: Shell, name: str) -> None:
    done = ingested(detmon, name, lambda k: (k % 3, k == LATE))
    assert [file["status"] for file in done["files"]] == ["taken"]
    assert (done["predictions"], done["rejected"]) == (N - 1, 1)


@pytest.mark.parametrize("name", each(sorted(KINDS.keys() - NO_CLASSES)))
def test_a_class_id_without_name_behind_the_sample(detmon: Shell, name: str) -> None:
    done = ingested(detmon, name, lambda k: (99 if k == LATE else k % 3, False))
    assert (done["predictions"], done["rejected"]) == (N - 1, 1)
    (row,) = detmon("quarantine", "list", "--json").json
    assert row["code"] == "category_base"
    assert row["reason"].startswith("class id 99, and 3 names (0 to 2)")


def test_sizes_that_are_missing_behind_the_sample(detmon: Shell) -> None:
    def shares(k: int, kind: int, odd: bool) -> dict[str, Any]:
        box = {"label": "car", "confidence": 0.5, "bbox": [0.1, 0.2, 0.3, 0.4]}
        size = {} if k >= LATE else {"image_width": 640, "image_height": 480}
        return {"image_id": f"{k}.jpg", **size, "detections": [box]}

    path = _lines(detmon.folder / "log.jsonl", shares, lambda k: (0, False))
    text = path.read_bytes()
    options = ["--model", "m", "--start", SAID["--start"], "--box-format", "xywh-norm", "--json"]
    done = detmon("ingest", "-", *options, stdin=text, code=0).json
    assert (done["predictions"], done["rejected"]) == (LATE, N - LATE)
    assert {row["code"] for row in detmon("quarantine", "list", "--json").json} == {"no_image_size"}
