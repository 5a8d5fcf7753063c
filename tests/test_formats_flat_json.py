"""JSON with one box an object: the names and rules of CSV, one record an image."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Shell
from logs import Taken, lines

from detmon.errors import InputRefused
from detmon.formats import Options, Source

BOX = {"image": "a.jpg", "ts": 1_763_625_600, "label": "car", "score": 0.9, "x1": 1, "y1": 2, "x2": 31, "y2": 42}
OTHER = {**BOX, "image": "b.jpg", "ts": 1_763_625_601}


def taken(tmp_path: Any, content: bytes, **options: Any) -> Taken:
    path = tmp_path / "log.json"
    path.write_bytes(content)
    return Taken(Source(path.name, path), Options(model="m", **options))


@pytest.mark.parametrize("write", [lambda *rows: lines(*rows), lambda *rows: json.dumps(rows).encode()])
def test_boxes_of_an_image_are_one_record_wherever_they_stand(tmp_path: Any, write: Any) -> None:
    found = taken(tmp_path, write(BOX, OTHER, {**BOX, "label": "van", "track_id": 7, "tags": {"site": "n"}}))
    assert [(row["image_id"], [box["label"] for box in row["detections"]]) for row in found.rows] == [
        ("a.jpg", ["car", "van"]),
        ("b.jpg", ["car"]),
    ]
    first = found.rows[0]["detections"][1]
    assert [first[side] for side in "xywh"] == [1, 2, 30, 40]
    assert first["track_id"] == "7"
    assert found.rows[0]["tags"] == [("site", "n")]
    assert found.rejects == []


def test_an_image_without_boxes(tmp_path: Any) -> None:
    empty = {"image": "c.jpg", "ts": 1_763_625_602, "label": None, "score": None}
    assert [len(row["detections"]) for row in taken(tmp_path, lines(BOX, empty)).rows] == [1, 0]


def test_a_box_in_a_list_and_deeper_values_by_the_map(tmp_path: Any) -> None:
    row = {"image": "a", "ts": 1_763_625_600, "what": {"name": "car", "p": 0.5}, "at": {"box": [1, 2, 3, 4]}}
    paths = {"label": "what.name", "confidence": "what.p", "bbox": "at.box"}
    found = taken(tmp_path, lines(row), log_format="flat", map=paths)
    assert [found.rows[0]["detections"][0][name] for name in ("label", "confidence", "w")] == ["car", 0.5, 3]


def test_a_bad_box_takes_its_image_with_it_and_no_other(tmp_path: Any) -> None:
    found = taken(
        tmp_path, lines(BOX, {**BOX, "score": "high"}, OTHER, OTHER, {**OTHER, "image": "c"}, {**OTHER, "image": "d"})
    )
    assert [row["image_id"] for row in found.rows] == ["b.jpg", "c", "d"]
    assert [(one.line, one.field, one.code) for one in found.rejects] == [(2, "confidence", "wrong_type")]


def test_lines_that_are_none(tmp_path: Any) -> None:
    good = [{**BOX, "image": str(k)} for k in range(5)]
    found = taken(tmp_path, lines(*good[:3]) + b'{"image": \n\n[7]\n' + lines(*good[3:]) + b'{"image": "x", "la')
    assert len(found.rows) == 5
    assert [(one.line, one.code) for one in found.rejects] == [(4, "bad_json"), (6, "bad_json"), (9, "truncated_line")]


def test_keys_that_come_late(tmp_path: Any) -> None:
    """Fields under their own names are read wherever they begin; other keys are told."""
    found = taken(tmp_path, lines(*[{**BOX, "image": str(k)} for k in range(30)], {**OTHER, "latency_ms": 7, "hue": 1}))
    assert found.rows[-1]["latency_ms"] == 7
    assert "unknown_field" in found.codes


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({**BOX, "class": "van"}, "two_columns"),
        ({"image": "a", "ts": 1_763_625_600, "label": "car", "score": 0.5, "x": 1, "y": 2, "w": 3, "h": 4},
         "box_corner_or_centre"),
        ({key: value for key, value in BOX.items() if key != "score"}, "no_scores"),
        ({**BOX, "image_id": "a", "detections": []}, "ambiguous_format"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Any, row: dict[str, Any], code: str) -> None:
    with pytest.raises(InputRefused) as refused:
        taken(tmp_path, lines(row, row))
    assert refused.value.code == code


def test_from_the_shell(detmon: Shell) -> None:
    (detmon.folder / "boxes.jsonl").write_bytes(lines(BOX, OTHER, {**OTHER, "label": "van"}))
    done = detmon("ingest", "boxes.jsonl", "--model", "m")
    assert "confidence = score; image_id = image; timestamp = ts; bbox = x1,y1,x2,y2" in done.err
    assert "2 predictions with 3 detections" in done.err + done.out


def test_a_preview_says_once_what_all_records_have(detmon: Shell) -> None:
    (detmon.folder / "boxes.jsonl").write_bytes(lines({**BOX, "camera": "n"}, {**OTHER, "camera": "s"}))
    shown = detmon("ingest", "boxes.jsonl", "--model", "m", "--dry-run").out.splitlines()
    assert [line.split() for line in shown if line.startswith("model_id")] == [["model_id", "m"]]
    assert [line.split()[-1] for line in shown[-2:]] == ["n", "s"]
