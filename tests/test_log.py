"""`detmon.log`: what a model server writes, and that `detmon ingest` reads the same from it."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Shell

from detmon import log as module
from detmon.log import Logger

WHEN = datetime(2026, 11, 20, 8, 0, 0, 123456, UTC)
NAMES = {0: "person", 2: "car"}


class Results:
    """The attributes of `ultralytics.engine.results.Results` (8.4) that are read; columns are arrays or tensors."""

    def __init__(self, boxes: Any, obb: Any = None, speed: Any = None) -> None:
        self.orig_shape = (480, 640)
        self.boxes = boxes
        self.obb = obb
        self.speed = speed if speed is not None else {"preprocess": None, "inference": None, "postprocess": None}
        self.names = NAMES
        self.path = "image0.jpg"

    def __len__(self) -> int:
        return len((self.boxes if self.obb is None else self.obb).conf)

    def __getitem__(self, place: int) -> Results:
        raise AssertionError("one box at a time is slow")


class Boxes:
    """Those of its `Boxes` and `OBB`: `data` is x1, y1, x2, y2, (track id,) confidence, class."""

    def __init__(self, rows: list[list[float]], width: int = 6) -> None:
        self.data = np.array(rows, np.float32).reshape(-1, width)
        self.xyxy, self.conf, self.cls = self.data[:, :4], self.data[:, -2], self.data[:, -1]
        self.id = self.data[:, -3] if width == 7 else None


def detections(**columns: Any) -> SimpleNamespace:
    """The attributes of `supervision.Detections` (0.31) that are read."""
    empty = {"mask": None, "confidence": None, "class_id": None, "tracker_id": None, "data": {}, "metadata": {}}
    return SimpleNamespace(**{**empty, **columns})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def written(path: Path, results: Any, /, names: Any = None, **fields: Any) -> dict[str, Any]:
    """The one line that a logger which raises writes of `results`."""
    with Logger(path, "veh@3", names=names, on_error="raise") as log:
        log.write(results, image_id="a.jpg", timestamp=WHEN, **fields)
    (line,) = lines(path)
    return line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "predictions.jsonl"


CAR = {"label": "car", "confidence": 0.91, "bbox": [10.0, 20.25, 100.0, 60.0]}


def test_a_line_has_what_is_known_and_nothing_else(path: Path) -> None:
    with Logger(path, "veh@3", confidence_floor=0.25, tags={"site": "north"}) as log:
        identity = log.write(
            [CAR],
            image_id="a.jpg",
            source="cam1",
            timestamp=WHEN,
            latency_ms=21.43219,
            image_size=(640, 480),
            image_uri="s3://b/a.jpg",
            tags={"shift": 2},
        )
        log.write([], image_id="b.jpg", timestamp=WHEN.astimezone(timezone(timedelta(hours=2))))
    first, second = lines(path)
    assert first == {
        "prediction_id": identity,
        "model_id": "veh@3",
        "timestamp": "2026-11-20T08:00:00.123456Z",
        "image_id": "a.jpg",
        "image_uri": "s3://b/a.jpg",
        "source": "cam1",
        "confidence_floor": 0.25,
        "tags": {"site": "north", "shift": "2"},
        "image_width": 640,
        "image_height": 480,
        "latency_ms": 21.432,
        "detections": [CAR],
    }
    assert second["timestamp"] == "2026-11-20T08:00:00.123456Z"
    assert second["detections"] == []
    assert (log.written, log.errors, log.last_error) == (2, 0, None)


def test_the_clock_is_utc(path: Path) -> None:
    with Logger(path, "veh@3") as log:
        log.write([], image_id="a.jpg")
    (line,) = lines(path)
    assert line["timestamp"].endswith("Z")
    assert abs(datetime.fromisoformat(line["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_ultralytics(path: Path) -> None:
    rows = [[10, 20.25, 110, 80.25, 0.91, 2], [0, 0, 5, 5, 0.5, 7]]
    result = Results(Boxes(rows), speed={"preprocess": 0.9, "inference": 8.1, "postprocess": 0.7})
    line = written(path, result)
    assert line["detections"] == [CAR, {"label": "7", "confidence": 0.5, "bbox": [0, 0, 5, 5]}]
    assert (line["image_width"], line["image_height"], line["latency_ms"]) == (640, 480, 9.7)


def test_ultralytics_of_one_image_may_be_the_list_it_returns(path: Path) -> None:
    line = written(path, [Results(Boxes([]))], latency_ms=5)
    assert (line["detections"], line["latency_ms"], line["image_width"]) == ([], 5, 640)


def test_ultralytics_of_two_images_is_not_one_inference(path: Path) -> None:
    with pytest.raises(TypeError, match="2 images in one call"):
        written(path, [Results(Boxes([])), Results(Boxes([]))])


def test_ultralytics_tracks_and_rotated_boxes(path: Path) -> None:
    (one,) = written(path, Results(Boxes([[0, 0, 5, 5, 3, 0.5, 0]], 7)))["detections"]
    assert one == {"label": "person", "confidence": 0.5, "bbox": [0, 0, 5, 5], "track_id": "3"}
    path.unlink()
    (rotated,) = written(path, Results(None, Boxes([[-30, 400, 700, 520, 0.5, 0]])))["detections"]
    assert rotated["bbox"] == [0, 400, 640, 80]  # what encloses it, within the image


def test_ultralytics_without_boxes_is_no_detector(path: Path) -> None:
    with pytest.raises(TypeError, match="classification"):
        written(path, Results(None))


def test_supervision(path: Path) -> None:
    found = detections(
        xyxy=np.array([[10, 20.25, 110, 80.25]], np.float32),
        confidence=np.array([0.91], np.float32),
        class_id=np.array([2]),
        tracker_id=np.array([7]),
        data={"class_name": np.array(["car"])},
    )
    assert written(path, found)["detections"] == [CAR | {"track_id": "7"}]
    path.unlink()
    found.data, found.tracker_id, found.confidence = {}, None, None
    assert written(path, found, names=["person", "bike", "car"])["detections"] == [CAR | {"confidence": None}]


def test_torchvision(path: Path) -> None:
    found = {"boxes": np.array([[10, 20.25, 110, 80.25]]), "labels": np.array([1]), "scores": np.array([0.91])}
    names = ["__background__", "car"]
    assert written(path, found, names=names)["detections"] == [CAR]
    path.unlink()
    empty = {"boxes": np.empty((0, 4)), "labels": np.empty(0, int), "scores": np.empty(0)}
    assert written(path, empty, names=names)["detections"] == []


def test_torchvision_of_one_image_may_be_the_list_it_returns(path: Path) -> None:
    found = {"boxes": [[10, 20.25, 110, 80.25]], "labels": [1], "scores": [0.91]}
    assert written(path, [found], names=["__background__", "car"])["detections"] == [CAR]
    with pytest.raises(TypeError, match="2 images in one call"):
        written(path, [found, found])


def test_tuples_and_ids_of_detections(path: Path) -> None:
    found = [("car", np.float32(0.91), np.array([10, 20.25, 100, 60])), {**CAR, "detection_id": 7, "bbox": None}]
    assert written(path, found)["detections"] == [CAR, CAR | {"bbox": None, "detection_id": "7"}]


def test_numbers_are_short(path: Path) -> None:
    (one,) = written(path, [("car", np.float32(1 / 3), [1 / 3, 2 / 3, 100.0, 1e-9])])["detections"]
    assert one == {"label": "car", "confidence": 0.333333, "bbox": [0.33, 0.67, 100.0, 0.0]}


BAD = {
    "nan": [("car", math.nan, [0, 0, 1, 1])],
    "infinite": [("car", 0.5, [0, 0, math.inf, 1])],
    "three numbers": [("car", 0.5, [0, 0, 1])],
    "no confidence": [{"label": "car", "bbox": [0, 0, 1, 1]}],
    "no label": [("", 0.5, [0, 0, 1, 1])],
    "lengths": {"boxes": [[0, 0, 1, 1]], "labels": [1, 2], "scores": [0.5]},
    "nothing": None,
    "number": 3,
}


@pytest.mark.parametrize("results", BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_a_failed_inference(path: Path, results: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "detmon.log"), Logger(path, "veh@3") as log:
        assert log.write(results, image_id="a.jpg", image_size=(640, 480))
        log.write(results, image_id="b.jpg")
    first, second = lines(path)
    assert (first["status"], first["detections"], second["image_id"]) == ("error", [], "b.jpg")
    assert log.errors == 2
    assert log.last_error
    assert len(caplog.records) == 1
    with pytest.raises((TypeError, ValueError, KeyError)), Logger(path, "veh@3", on_error="raise") as strict:
        strict.write(results, image_id="a.jpg")


WRONG = {"naive time": {"timestamp": datetime(2026, 1, 1)}, "no image": {"image_id": ""}, "bytes": {"image_id": b"a"}}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_what_makes_no_record_is_counted(path: Path, fields: dict[str, Any]) -> None:
    with Logger(path, "veh@3") as log:
        assert log.write([], **{"image_id": "a.jpg", **fields}) is None
    assert (log.errors, log.written, path.exists()) == (1, 0, False)
    with pytest.raises((TypeError, ValueError)), Logger(path, "veh@3", on_error="raise") as strict:
        strict.write([], **{"image_id": "a.jpg", **fields})


def test_a_folder_that_cannot_be_written_does_not_stop_the_server(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Logger(tmp_path / "file" / "log.jsonl", "veh@3") as log:
        assert log.write([], image_id="a.jpg") is None
        (tmp_path / "file").unlink()
        assert log.write([], image_id="b.jpg")  # it is tried again
    assert (log.errors, log.written) == (1, 1)


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with Logger(path, "veh@3") as log:
        log.write([], image_id="a.jpg")
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:10]))
        log.write([], image_id="b.jpg")
        monkeypatch.setattr(os, "write", real)
        log.write([], image_id="c.jpg")
    assert [line["image_id"] for line in lines(path)] == ["a.jpg", "c.jpg"]
    assert log.last_error is not None
    assert str(errno.ENOSPC) in log.last_error


def test_a_line_that_a_power_failure_cut_off_spoils_no_other(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"model_id":"veh')
    with Logger(path, "veh@3") as log:
        log.write([], image_id="a.jpg")
    half, whole = path.read_text().splitlines()
    assert half == '{"model_id":"veh'
    assert json.loads(whole)["image_id"] == "a.jpg"


@pytest.mark.parametrize(
    "wrong",
    [{"model_id": ""}, {"rotate": "hour"}, {"rotate": "0MB"}, {"rotate": "MB"}, {"on_error": "x"}],
    ids=lambda wrong: str(wrong),
)
def test_a_wrong_call_is_told_at_the_start(path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"model_id|rotate|on_error"):
        Logger(path, **{"model_id": "veh@3", **wrong})  # type: ignore[arg-type]


def test_lines_may_wait(path: Path) -> None:
    log = Logger(path, "veh@3", flush_seconds=0.05)
    log.write([], image_id="a.jpg")
    assert not path.exists()
    until = time.monotonic() + 10
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert len(lines(path)) == 1
    slow = Logger(path, "veh@3", flush_seconds=1000)
    for _ in range(3):
        slow.write([], image_id="b.jpg")
    assert len(lines(path)) == 1
    slow.flush()
    assert len(lines(path)) == 4
    slow.write([], image_id="c.jpg")
    slow.close()
    assert len(lines(path)) == 5
    log.close()


def test_many_lines_do_not_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUFFER", 1000)
    with Logger(path, "veh@3", flush_seconds=1000) as log:
        for number in range(20):
            log.write([], image_id=f"{number}.jpg")
        assert 0 < len(lines(path)) < 20


def test_what_waits_is_written_at_exit(path: Path) -> None:
    code = (
        "import sys\nfrom detmon.log import Logger\n"
        f"log = Logger({str(path)!r}, 'veh@3', flush_seconds=1000)\nlog.write([], image_id='a.jpg')\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)
    assert len(lines(path)) == 1


def test_threads_share_a_logger(path: Path) -> None:
    with Logger(path, "veh@3", flush_seconds=0.001) as log:

        def work(name: int) -> None:
            for number in range(100):
                log.write([CAR] * 5, image_id=f"{name}-{number}.jpg")

        workers = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len({line["image_id"] for line in lines(path)}) == 400
    assert log.errors == 0


FORKED = """
import os, sys
from detmon.log import Logger
log = Logger(sys.argv[1], "veh@3", rotate=sys.argv[2] or None, flush_seconds=float(sys.argv[3]), on_error="raise")
log.write([], image_id="parent.jpg")
children = []
for worker in range(3):
    if not (pid := os.fork()):
        for number in range(200):
            log.write([("car", 0.5, [0, 0, 1, 1])] * 4, image_id=f"{worker}-{number}.jpg")
        log.close()
        os._exit(0)
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
"""


@pytest.mark.parametrize(("rotate", "flush"), [("", 0), ("20KB", 0), ("20KB", 0.01)])
def test_forked_workers_share_a_file(path: Path, rotate: str, flush: float) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", FORKED, path, rotate, str(flush)], cwd=ROOT, check=True)
    files = sorted(path.parent.iterdir())
    assert len(files) > 5 if rotate else files == [path]
    assert all(file.stat().st_size <= 20_000 + 200 for file in files if rotate)
    images = [line["image_id"] for file in files for line in lines(file)]
    assert len(images) == len(set(images)) == 601


def test_a_killed_writer_leaves_whole_lines(path: Path) -> None:
    code = (
        "from detmon.log import Logger\n"
        f"log = Logger({str(path)!r}, 'veh@3')\n"
        "while True: log.write([('car', 0.5, [0, 0, 1, 1])] * 50, image_id='a.jpg')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
        until = time.monotonic() + 20
        while time.monotonic() < until and not (path.exists() and path.stat().st_size > 100_000):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert path.read_text().endswith("\n")
    assert len(lines(path)) > 10


def test_a_day_is_set_aside(path: Path) -> None:
    with Logger(path, "veh@3", rotate="day") as log:
        log.write([], image_id="a.jpg")
        last = datetime(2026, 11, 19, 23, 59, 58, tzinfo=UTC).timestamp()
        os.utime(path, (last, last))
        log.write([], image_id="b.jpg")
        log.write([], image_id="c.jpg")
    done = path.with_name("predictions-20261119T235958Z.jsonl")
    assert [line["image_id"] for line in lines(done)] == ["a.jpg"]
    assert [line["image_id"] for line in lines(path)] == ["b.jpg", "c.jpg"]


def test_a_file_that_is_set_aside_is_not_written_again(path: Path) -> None:
    """Two loggers (as in two processes), one of which rotates: the other follows to the new file."""
    with Logger(path, "a") as one, Logger(path, "b", rotate="1KB") as two:
        one.write([], image_id="1.jpg")
        for number in range(8):
            two.write([], image_id=f"{number}.jpg")
        (done,) = set(path.parent.iterdir()) - {path}
        size = done.stat().st_size
        one.write([], image_id="2.jpg")
        path.unlink()  # as logrotate would
        one.write([], image_id="3.jpg")
    assert done.stat().st_size == size
    assert [line["image_id"] for line in lines(path)] == ["3.jpg"]


def test_two_files_of_one_second_keep_apart(path: Path) -> None:
    with Logger(path, "veh@3", rotate="1KB") as log:
        for number in range(40):
            log.write([], image_id=f"{number}.jpg")
    files = list(path.parent.iterdir())
    assert len(files) > 4
    assert sum(len(lines(file)) for file in files) == 40


def test_what_ingest_reads_is_what_was_written(detmon: Shell) -> None:
    """Through a pipe: same predictions, same ids, nothing rejected, no warning."""
    found = Results(Boxes([[10, 20.25, 110, 80.25, 0.91, 2], [0, 0, 5, 5, 1 / 3, 0]]), speed={"inference": 8.1})
    path = detmon.folder / "log.jsonl"
    with Logger(path, "veh@3", confidence_floor=0.25, tags={"site": "north"}, on_error="raise") as log:
        ids = [
            log.write(found, image_id="a.jpg", source="cäm 1", timestamp=WHEN),
            log.write([], image_id="b.jpg", timestamp=WHEN),
            log.write([], image_id="c.jpg", timestamp=WHEN, status="error"),
        ]
    done = detmon("--now", "2026-11-21T00:00:00Z", "ingest", "-", "--json", stdin=path.read_bytes()).json
    (file,) = done["files"]
    assert (done["predictions"], done["detections"], done["rejected"], file["warnings"]) == (3, 2, 0, [])
    rows = detmon("sql", "SELECT * EXCLUDE (batch_id) FROM predictions ORDER BY image_id", "--format", "json").json
    assert [row["prediction_id"] for row in rows] == ids
    assert [row["status"] for row in rows] == ["ok", "ok", "error"]
    assert rows[0]["source"] == "cäm 1"
    assert rows[0]["latency_ms"] == pytest.approx(8.1)
    assert [(box["label"], round(box["confidence"], 6)) for box in rows[0]["detections"]] == [
        ("car", 0.91),
        ("person", 0.333333),
    ]
    again = [{key: value for key, value in line.items() if key != "prediction_id"} for line in lines(path)]
    stripped = "".join(json.dumps(line) + "\n" for line in again)
    derived = detmon("--now", "2026-11-21T00:00:00Z", "ingest", "-", "--json", stdin=stripped).json
    assert (derived["predictions"], derived["duplicates"]) == (0, 3)  # the id is the one that ingest derives


def test_a_growing_log_is_followed(detmon: Shell) -> None:
    """`ingest FILE --follow` while the logger writes and sets files aside: every line once."""
    path = detmon.folder / "log.jsonl"
    with Logger(path, "veh@3", rotate="20KB", on_error="raise") as log:
        log.write([CAR], image_id="first.jpg")
        command = detmon.command("ingest", path, "--follow", "--json")
        with subprocess.Popen(command, cwd=detmon.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            assert b"read as detmon" in process.stderr.readline()
            for number in range(150):
                log.write([CAR], image_id=f"{number}.jpg")
                time.sleep(0.01)  # it looks five times a second, and must not miss a file between two looks
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
    assert sum(len(lines(file)) for file in detmon.folder.glob("log*.jsonl")) == 151
    assert json.loads(out)["predictions"] == 151, err


def test_it_needs_the_standard_library_only(tmp_path: Path) -> None:
    """A model server installs no duckdb: `detmon.log` loads nothing but itself."""
    (tmp_path / "detmon").mkdir()
    for name in ("__init__.py", "log.py"):
        shutil.copy(ROOT / "detmon" / name, tmp_path / "detmon" / name)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import detmon.log\n"
        "ours = {name for name in sys.modules if name.startswith('detmon')}\n"
        "assert ours == {'detmon', 'detmon.log'}, ours\n"
        "others = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'detmon', '__main__'}\n"
        "assert not {name for name in others if not name.startswith('_')}, others\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-W", "error", "-c", code], check=True)
