"""Real results of Ultralytics, supervision and torchvision: what `detmon ingest` reads is what the libraries say.

The libraries are heavy and not installed with the others: `DETMON_TEST_SERVING` names the Python of an environment that
has them (`pip install torch torchvision ultralytics supervision lap`). What they made once stands in
`tests/recorded/serving`, and is read in every run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Shell

from detmon.log import Logger

RECORDED = ROOT / "tests" / "recorded" / "serving"
LIBRARIES = "import torch, torchvision, ultralytics, supervision, lap"
LOGGED = [
    "ultralytics",
    "ultralytics-obb",
    "ultralytics-seg",
    "ultralytics-pose",
    "tracks",
    "supervision",
    "torchvision",
]
START = ("--start", "2026-11-20T08:00:00Z")
MODEL = ("--model", "veh@3")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of logs that the libraries of this machine made."""
    python = os.environ.get("DETMON_TEST_SERVING", sys.executable)
    if subprocess.run([python, "-W", "ignore", "-c", LIBRARIES], capture_output=True, timeout=120).returncode:
        pytest.skip("no environment with torch, torchvision, ultralytics, supervision, lap (DETMON_TEST_SERVING)")
    folder = tmp_path_factory.mktemp("serving")
    script = ROOT / "tests" / "serving_libraries.py"
    done = subprocess.run([python, script, folder], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=["recorded", pytest.param("made", marks=pytest.mark.slow)])
def folder(request: pytest.FixtureRequest) -> Path:
    """The logs that were recorded, or new ones."""
    return RECORDED if request.param == "recorded" else request.getfixturevalue("made")


def stored(detmon: Shell) -> dict[str, list[tuple[Any, ...]]]:
    """The boxes of each image in the store: label, confidence, corners, track."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in detmon("sql", "SELECT image_id, detections FROM predictions", "--format", "json").json:
        found[row["image_id"]] = [
            (d["label"], d["confidence"], d["x"], d["y"], d["x"] + d["w"], d["y"] + d["h"], d["track_id"])
            for d in row["detections"]
        ]
    return found


def same(
    found: dict[str, list[tuple[Any, ...]]],
    expected: dict[str, list[list[Any]]],
    *,
    score: float = 1e-6,
    pixels: float = 0.011,
) -> None:
    """Asserts that all images have the boxes that were expected, in their order."""
    assert found.keys() == expected.keys()
    for image, boxes in expected.items():
        assert len(found[image]) == len(boxes), image
        for ours, (label, confidence, *corners, track) in zip(found[image], boxes, strict=True):
            assert ours[0] == label
            assert ours[1] == pytest.approx(confidence, abs=score)
            assert ours[2:6] == pytest.approx(corners, abs=pixels)
            assert ours[6] == (None if track is None else str(track))


def expected(folder: Path, log: str) -> dict[str, Any]:
    return json.loads((folder / "expected.json").read_text())[log]  # type: ignore[no-any-return]


@pytest.mark.parametrize("log", LOGGED)
def test_what_the_logger_wrote(detmon: Shell, folder: Path, log: str) -> None:
    done = detmon("ingest", folder / f"{log}.jsonl", "--json").json
    assert done["rejected"] == 0
    assert {warned["code"] for warned in done["files"][0]["warnings"]} <= {"box_outside", "twin_boxes", "fixed_count"}
    same(stored(detmon), expected(folder, log))
    wanted = detmon("sql", "SELECT DISTINCT denominator FROM batches", "--json").json
    assert wanted == [{"denominator": "known"}]


def test_size_and_latency_are_those_of_the_result(detmon: Shell, folder: Path) -> None:
    detmon("ingest", folder / "ultralytics.jsonl")
    rows = detmon("sql", "SELECT * EXCLUDE (detections, tags) FROM predictions", "--json").json
    known = {row["image_id"]: row for row in rows}
    for line in map(json.loads, (folder / "recorded.jsonl").read_text().splitlines()):
        row = known[line["image"]]
        assert [row["image_height"], row["image_width"]] == line["orig_shape"]
        assert row["latency_ms"] == pytest.approx(sum(line["speed"].values()), abs=1e-3)


@pytest.mark.parametrize("log", ["wrapped", "wrapped-obb"])
def test_the_wrapper_of_to_json(detmon: Shell, folder: Path, log: str) -> None:
    done = detmon("ingest", folder / f"{log}.jsonl", *MODEL, "--json").json
    assert done["files"][0]["format"] == "ultralytics-json"
    same(stored(detmon), expected(folder, log), score=1e-5)


@pytest.mark.parametrize("name", ["predict", "tracked"])
def test_a_folder_of_save_txt(detmon: Shell, folder: Path, name: str) -> None:
    said = (*MODEL, *START, "--images", folder / "data" / "images", "--image-id", "stem")
    done = detmon("ingest", folder / name, *said, "--categories", folder / "data.yaml", "--json").json
    assert (done["files"][0]["format"], done["rejected"]) == ("ultralytics-txt", 0)
    same(stored(detmon), expected(folder, name), score=1e-5)


def test_predictions_json_of_val(detmon: Shell, folder: Path) -> None:
    said = (*MODEL, *START, "--images", folder / "data" / "images", "--categories", folder / "data.yaml")
    asked = detmon("ingest", folder / "val" / "predictions.json", *said, code=2)  # 3 of 80 classes, without the last
    assert "--category-offset 0, or -1 where they begin at 1" in asked.err
    said = (*said, "--category-offset", "-1")
    done = detmon("ingest", folder / "val" / "predictions.json", *said, "--json").json
    assert (done["files"][0]["format"], done["rejected"]) == ("ultralytics-val", 0)
    same(stored(detmon), expected(folder, "val"), score=1e-5)


@pytest.mark.parametrize("sink", ["csv", "json"])
def test_the_sinks_of_supervision(detmon: Shell, folder: Path, sink: str) -> None:
    said = (*MODEL, "--images", folder / "data" / "images")
    done = detmon("ingest", folder / f"sink.{sink}", *said, *START, "--json").json
    assert (done["files"][0]["format"], done["rejected"]) == (f"supervision-{sink}", 0)
    same(stored(detmon), expected(folder, f"sink-{sink}"))


def test_recorded_attributes_through_the_logger(detmon: Shell) -> None:
    """The attributes of real results, as arrays, through the logger of today."""
    with Logger(detmon.folder / "log.jsonl", "yolo@1", on_error="raise") as log:
        for line in map(json.loads, (RECORDED / "recorded.jsonl").read_text().splitlines()):
            columns = {name: np.array(line[name], np.float32) for name in ("conf", "cls")}
            boxes = SimpleNamespace(xyxy=np.array(line["xyxy"], np.float32).reshape(-1, 4), id=None, **columns)
            names = {int(number): name for number, name in line["names"].items()}
            result = SimpleNamespace(
                boxes=boxes, obb=None, orig_shape=line["orig_shape"], speed=line["speed"], names=names
            )
            log.write([result], image_id=line["image"], timestamp=datetime(2026, 11, 20, 8, tzinfo=UTC))
    detmon("ingest", "log.jsonl")
    same(stored(detmon), expected(RECORDED, "ultralytics"))
