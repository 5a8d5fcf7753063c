"""Folders that are one log: `save_txt`, text and CSV through the map, a file an image; pictures as the list."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from logs import Take, Taken

from detmon.errors import InputRefused, UsageError
from detmon.formats import Options, Source

PREDICT = {"a.txt": "2 0.5 0.5 0.2 0.1 0.9134\n0 0.25 0.5 0.5 0.5 0.5\n", "b.txt": "2 0.5 0.5 0.1 0.1 0.25\n"}
START = "2026-01-05T08:00:00Z"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SAID = ("--model", "yolo@8", "--start", START)


def png(width: int, height: int) -> bytes:
    """A picture: its header is all that is looked at."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def written(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Files in a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def folder(path: Path, **options: Any) -> Taken:
    """The files of a folder, read as one log."""
    files = tuple(sorted(path.glob("*.txt")))
    return Taken(Source(path.name, path, files=files), Options(**{"model": "m", **options}))


def stored(detmon: Shell, columns: str) -> list[dict[str, Any]]:
    return detmon("sql", f"SELECT {columns} FROM predictions ORDER BY image_id", "--json").json


# --- save_txt ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["runs/detect/predict", "runs/detect/predict/labels", "runs/*/predict/labels/*.txt"])
def test_a_predict_folder_is_one_log_that_is_taken_once(detmon: Shell, named: str) -> None:
    run = written(detmon.folder / "runs" / "detect" / "predict", {f"labels/{k}": v for k, v in PREDICT.items()})
    written(run, {"a.jpg": png(640, 480), "b.jpg": png(320, 240), "args.yaml": "task: detect\n"})
    said = (*SAID, "--image-size", "640x480", "--json")
    first = detmon("ingest", named, *said)
    (file,) = first.json["files"]
    assert (file["path"], file["format"]) == (str(Path(named.removesuffix("/*.txt").replace("*", "detect")) / (
        "" if "labels" in named else "labels")), "ultralytics-txt")  # fmt: skip
    assert (file["predictions"], file["detections"], file["status"]) == (2, 3, "taken")
    assert "read as ultralytics-txt: lines of a class number and shares of the image" in first.err
    (a, b) = stored(detmon, "image_id, detections[1].label AS label, detections[1].x AS x, detections[1].w AS w")
    assert (a["image_id"], a["label"], a["x"], a["w"]) == ("a", "2", 256.0, 128.0)
    assert b["x"] == pytest.approx(288)
    (again,) = detmon("ingest", named, *said).json["files"]
    assert (again["status"], again["predictions"]) == ("seen", 0)
    (run / "labels" / "c.txt").write_text("2 0.5 0.5 0.1 0.1 0.25\n")
    (grown,) = detmon("ingest", named, *said).json["files"]
    assert (grown["status"], grown["predictions"], grown["duplicates"]) == ("taken", 1, 2)
    assert detmon("sql", "SELECT DISTINCT denominator FROM batches", "--json").json == [{"denominator": "unknown"}]


def test_a_single_file_is_one_image(take: Take) -> None:
    taken = take(PREDICT["a.txt"].encode(), "a.txt", model="m", start=NOON, image_size=(640, 480))
    (row,) = taken.rows
    assert (taken.reading.format, row["image_id"], row["n_detections"]) == ("ultralytics-txt", "a", 2)


def test_standard_input_has_no_image(detmon: Shell) -> None:
    for content, said in ((PREDICT["a.txt"], ()), (DETECTIONS["2007_1.txt"], VOC)):
        refused = detmon("ingest", "-", *SAID, "--image-size", "64x48", *said, stdin=content, code=4)
        assert "standard input has no name" in refused.err


def test_the_sixth_field(tmp_path: Path) -> None:
    def boxes(*lines: str) -> list[tuple[float | None, str | None]]:
        path = written(tmp_path / str(abs(hash(lines))), {f"{k}.txt": line for k, line in enumerate(lines)})
        taken = folder(path, start=NOON, image_size=(100, 100))
        found = [(box["confidence"], box["track_id"]) for row in taken.rows for box in row["detections"]]
        return [(None if score is None else round(score, 4), track) for score, track in found]

    box = "0 0.5 0.5 0.2 0.1"
    assert boxes(f"{box} 0.9", f"{box} 1") == [(0.9, None), (1.0, None)]
    assert boxes(f"{box} 7", f"{box} 1") == [(None, "7"), (None, "1")]
    assert boxes(f"{box} 7\n{box}") == [(None, "7"), (None, None)]
    assert boxes(f"{box} 0.9 7", f"{box} 0.5") == [(0.9, "7"), (0.5, None)]
    assert boxes(f"{box} 1 7", f"{box} 1") == [(1.0, "7"), (1.0, None)]
    assert boxes(box) == [(None, None)]
    assert boxes(f"{box} 1\n{box} 1", f"{box} 1") == [(1.0, None)] * 3
    assert boxes(f"{box} 0\n{box} 0") == [(0.0, None)] * 2
    with pytest.raises(InputRefused, match="confidence or a track id") as refused:
        boxes(f"{box} 0.9", f"{box} 7")
    assert (refused.value.code, refused.value.hint) == ("sixth_field", "write with save_conf=True")


def test_ones_that_may_be_scores_or_tracks(tmp_path: Path) -> None:
    """One box an image, and every sixth number 1: a saturated model, or one object that is tracked?"""
    path = written(tmp_path / "l", {f"{k}.txt": "0 0.5 0.5 0.2 0.1 1\n" for k in range(3)})
    with pytest.raises(InputRefused, match="All are 1") as refused:
        folder(path, start=NOON, image_size=(100, 100))
    assert (refused.value.code, refused.value.exit_code) == ("sixth_field", 2)
    for field, found in (("confidence", (1.0, None)), ("track_id", (None, "1"))):
        assert f"--map {field}=#6" in str(refused.value.hint)
        taken = folder(path, start=NOON, image_size=(100, 100), map={field: "#6"})
        assert {(box["confidence"], box["track_id"]) for row in taken.rows for box in row["detections"]} == {found}
    with pytest.raises(UsageError, match="only what the sixth number is"):
        folder(path, start=NOON, image_size=(100, 100), map={"confidence": "#7"})


def test_five_fields_are_taken_without_confidence(tmp_path: Path) -> None:
    taken = folder(written(tmp_path / "l", {"a.txt": "0 0.5 0.5 0.2 0.1\n"}), start=NOON, image_size=(100, 100))
    assert taken.warnings["confidence_missing"].count == 1
    assert "confidence_missing" not in folder(written(tmp_path / "m", PREDICT), start=NOON, image_size=(9, 9)).codes


def test_sizes_come_from_the_pictures_or_an_option(detmon: Shell) -> None:
    written(detmon.folder / "labels", PREDICT)
    refused = detmon("ingest", "labels", *SAID, code=2)
    assert "no_image_size" in refused.err or "the image's size is not known" in refused.err
    assert "hint: --image-size WxH, or --images LIST" in refused.err
    pictures = {"cam1/a.jpg": png(640, 480), "cam1/b.png": png(320, 240), "cam2/c.jpg": png(64, 48), "x.txt": "no"}
    written(detmon.folder / "pictures", pictures)
    done = detmon("ingest", "labels", *SAID, "--images", "pictures", "--json")
    assert (done.json["predictions"], done.json["files"][0]["warnings"][0]["code"]) == (3, "label_is_number")
    rows = stored(detmon, "image_id, image_width AS width, n_detections AS n, detections[1].w AS w")
    assert [(row["image_id"], row["width"], row["n"]) for row in rows] == [
        ("cam1/a.jpg", 640, 2),
        ("cam1/b.png", 320, 1),
        ("cam2/c.jpg", 64, 0),
    ]
    assert rows[1]["w"] == pytest.approx(32)
    assert detmon("sql", "SELECT denominator FROM batches", "--json").json == [{"denominator": "inferred"}]


def test_an_image_that_is_not_listed_or_has_no_size_is_rejected_alone(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels", {f"{name}.txt": PREDICT["b.txt"] for name in "abcde"})
    listed = {f"{name}.png": png(320, 240) for name in "abc"}
    pictures = written(tmp_path / "pictures", {**listed, "d.png": b"no picture"})
    taken = folder(labels, start=NOON, images=pictures)
    assert [row["image_id"] for row in taken.rows] == ["a.png", "b.png", "c.png"]
    assert [(reject.code, reject.raw[:5]) for reject in taken.rejects] == [
        ("no_image_size", "d.txt"),
        ("image_not_listed", "e.txt"),
    ]
    with pytest.raises(InputRefused, match=r"log: `a`, list: `x\.png`") as refused:
        folder(labels, start=NOON, images=written(tmp_path / "others", {"x.png": png(9, 9)}))
    assert refused.value.code == "ids_do_not_match"


def test_two_pictures_of_one_name(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels", {**PREDICT, "a-2.txt": PREDICT["b.txt"]})
    two = {"cam1/a.png": png(640, 480), "cam2/a.png": png(640, 480), "cam1/b.png": png(640, 480)}
    taken = folder(labels, start=NOON, images=written(tmp_path / "two", two))
    assert {row["image_id"]: row["n_detections"] for row in taken.rows} == {
        "cam1/a.png": 2,
        "cam2/a.png": 1,
        "cam1/b.png": 1,
    }
    assert taken.warnings["stem_collision"].count == 1
    assert "`a` for cam1/a.png and cam2/a.png" in taken.warnings["stem_collision"].message
    one = written(tmp_path / "one", {"cam1/a.png": png(6, 4), "cam1/b.png": png(6, 4), "a-2.png": png(6, 4)})
    assert "stem_collision" not in folder(labels, start=NOON, images=one).codes


@pytest.mark.parametrize("place", ["labels/data.yaml", "data.yaml", "labels/classes.txt"])
def test_names_of_classes_lie_beside(detmon: Shell, place: str) -> None:
    written(detmon.folder / "run" / "labels", PREDICT)
    names = "person\nbicycle\ncar\n"
    text = names if place.endswith(".txt") else "names:\n" + "".join(f"  - {name}\n" for name in names.split())
    written(detmon.folder / "run", {place: text})
    said = (*SAID, "--image-size", "640x480", "--json")
    done = detmon("ingest", "run/labels", *said)
    assert f"label = word 1, named by {Path('run') / place}" in done.err
    assert (done.json["predictions"], done.json["files"][0]["warnings"]) == (2, [])
    labels = detmon("sql", "SELECT DISTINCT label FROM detections ORDER BY label", "--json").json
    assert [row["label"] for row in labels] == ["car", "person"]
    (detmon.folder / "mine.txt").write_text("x\ny\nz\n")
    detmon("--db", "other.duckdb", "ingest", "run/labels", *said, "--categories", "mine.txt")
    labels = detmon("--db", "other.duckdb", "sql", "SELECT DISTINCT label FROM detections ORDER BY label", "--json")
    assert [row["label"] for row in labels.json] == ["x", "z"]


def test_frames_of_a_video(detmon: Shell) -> None:
    box = "0 0.5 0.5 0.2 0.1 0.9\n"
    written(detmon.folder / "labels", {f"road_{k}.txt": box for k in (1, 2, 10, 25)})
    said = (*SAID, "--image-size", "100x100", "--fps", "10")
    done = detmon("--db", "gaps.duckdb", "ingest", "labels", *said, "--json")
    assert "gaps_in_ids" in [warning["code"] for warning in done.json["files"][0]["warnings"]]
    done = detmon("ingest", "labels", *said, "--frames", "1:30", "--json")
    assert done.json["predictions"] == 30
    rows = {row["image_id"]: (row["ts"], row["n"]) for row in stored(detmon, "image_id, ts, n_detections AS n")}
    assert rows["road_1"] == ("2026-01-05T08:00:00Z", 1)
    assert rows["road_10"] == ("2026-01-05T08:00:00.900000Z", 1)
    assert rows["road_30"] == ("2026-01-05T08:00:02.900000Z", 0)
    written(detmon.folder / "labels", {"lane_1.txt": box})
    refused = detmon("ingest", "labels", *said, code=2)
    assert "frames of 2 videos (lane and road)" in refused.err
    assert "`labels/lane_*.txt`" in refused.err


def test_bad_lines_are_told_by_their_file(tmp_path: Path) -> None:
    good = {f"{k}.txt": PREDICT["b.txt"] for k in range(20)}
    bad = {
        "p.txt": "0 0.1 0.1 0.2 0.2 0.3 0.3 0.4 0.4\n",
        "q.txt": PREDICT["b.txt"] + "car 0.5 0.5 0.1 0.1 0.9\n",
        "r.txt": "0 0.5 0.5 0.1 x 0.9\n",
        "s.txt": "0 0.5 0.5 nan 0.1 0.9\n",
        "t.txt": "0 0.5 0.5 0.1 0.1 0.9 0.77\n",
        "u.txt": "0 0.5 0.5 0.1 0.1 nan\n",
    }
    taken = folder(written(tmp_path / "l", {**good, **bad}), start=NOON, image_size=(100, 100))
    found = {reject.raw[:5]: (reject.line, reject.code) for reject in taken.rejects}
    assert found == {
        "p.txt": (1, "field_count"),
        "q.txt": (2, "wrong_type"),
        "r.txt": (1, "wrong_type"),
        "s.txt": (1, "bad_box"),
        "t.txt": (1, "wrong_type"),
        "u.txt": (1, "score_range"),
    }
    assert len(taken.rows) == 20


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("rotated boxes", "0 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2\n"),
        ("rotated boxes", "0 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2 0.9134\n"),
        ("polygons", "0 0.1 0.1 0.3 0.1 0.3 0.2\n1 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2 0.4 0.4 0.9\n"),
    ],
)
@pytest.mark.parametrize("said", [[], ["--log-format", "ultralytics-txt"]])
def test_outlines_are_told_once_a_folder(detmon: Shell, kind: str, line: str, said: list[str]) -> None:
    written(detmon.folder / "labels", {"a.txt": "", "b.txt": line, "c.txt": line * 3})
    told = detmon("ingest", "labels", "--model", "m", "--image-size", "100x100", *said, code=4).err
    assert f"error: labels: {kind}, not boxes: a class number and" in told
    assert told.count("error:") == told.count("hint: log the same results as JSON") == 1


def test_a_line_too_long_among_boxes_is_quarantined(tmp_path: Path) -> None:
    good = "2 0.31 0.42 0.10 0.07 0.9\n"
    long = {"c.txt": good + "0 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2\n"}
    taken = folder(written(tmp_path / "l", {"a.txt": good, "b.txt": good, **long}), start=NOON, image_size=(100, 100))
    assert [reject.code for reject in taken.rejects] == ["field_count"]


def test_empty_files_are_images_without_detections(tmp_path: Path) -> None:
    taken = folder(written(tmp_path / "l", {**PREDICT, "e.txt": "", "f.txt": "\n"}), start=NOON, image_size=(100, 100))
    assert [(row["image_id"], row["n_detections"]) for row in taken.rows] == [("a", 2), ("b", 1), ("e", 0), ("f", 0)]


@pytest.mark.parametrize(
    "text", ["0 0.5 0.5 0.2\n", "0 0.5 1.5 0.2 0.1\n", "car 0.5 0.5 0.2 0.1\n", "0.5 0.5 0.5 0.2 0.1\n"]
)
def test_other_numbers_are_not_taken_for_it(take: Take, text: str) -> None:
    with pytest.raises(InputRefused) as refused:
        take(text.encode(), "a.txt", model="m")
    assert refused.value.code in ("unknown_format", "no_header", "no_scores")


def test_many_files_pass_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detmon.formats import savetxt

    monkeypatch.setattr(savetxt, "FILES", 7)
    path = written(tmp_path / "l", {f"{k:03}.txt": PREDICT["a.txt"] if k % 3 else "" for k in range(50)})
    taken = folder(path, start=NOON, image_size=(100, 100))
    assert [row["image_id"] for row in taken.rows] == [f"{k:03}" for k in range(50)]
    assert sum(row["n_detections"] for row in taken.rows) == 66
    assert len(taken.parts) == 8


# --- text and CSV, a file an image -------------------------------------------------------------------------------

VOC = ("--map", "image_id=@stem", "--map", "label=#1", "--map", "confidence=#2", "--map", "bbox=#3,#4,#5,#6",
       "--box-format", "xyxy")  # fmt: skip
DETECTIONS = {"2007_1.txt": "tvmonitor 0.471781 0 13 174 244\ncup 0.414941 274 226 301 265 \n", "2007_2.txt": "\n"}


def test_a_label_and_a_box_a_line(detmon: Shell) -> None:
    written(detmon.folder / "detections", {**DETECTIONS, "2007_3.txt": "cup 0.4 1 2\ncup 0.4 1 2 30 40\n"})
    refused = detmon("ingest", "detections", *SAID, code=2)
    assert refused.err.count("error:") == 1
    assert "detections: a label and a box a line; is a file an image?" in refused.err
    hint = next(line for line in refused.err.splitlines() if line.startswith("hint: "))
    assert hint == "hint: " + " ".join(VOC)
    done = detmon("ingest", "detections", *SAID, *hint.removeprefix("hint: ").split(), "--json")
    (file,) = done.json["files"]
    assert (file["format"], file["predictions"], file["detections"], file["rejected"]) == ("flat", 3, 3, 1)
    rows = stored(detmon, "image_id, n_detections AS n, detections[1].w AS w")
    assert [(row["image_id"], row["n"], row["w"]) for row in rows] == [
        ("2007_1", 2, 174.0),
        ("2007_2", 0, None),
        ("2007_3", 1, 29.0),
    ]
    assert detmon("quarantine", "list", "--json").json[0]["raw"].startswith("2007_3 cup 0.4 1 2")
    assert detmon("ingest", "detections", *SAID, *VOC, "--json").json["files"][0]["status"] == "seen"


def test_kitti_results_are_known_by_their_columns(detmon: Shell) -> None:
    line = "Car -1 -1 -10 100 120 200 180 1.5 1.6 3.9 1 2 3 0.1"
    written(detmon.folder / "data", {"000001.txt": f"{line} 0.9\n", "000002.txt": f"{line} 0.8\n"})
    refused = detmon("ingest", "data", *SAID, code=2)
    hint = next(line for line in refused.err.splitlines() if line.startswith("hint: "))
    done = detmon("ingest", "data", *SAID, "--fps", "10", *hint.removeprefix("hint: ").split(), "--json")
    assert (done.json["predictions"], done.json["detections"]) == (2, 2)
    rows = stored(detmon, "image_id, ts, detections[1].w AS w, confidence_max AS score")
    assert (rows[1]["image_id"], rows[1]["w"], rows[1]["ts"]) == ("000002", 100.0, "2026-01-05T08:00:00.100000Z")
    written(detmon.folder / "truth", {"000001.txt": f"{line}\n", "000002.txt": f"{line}\n"})
    refused = detmon("ingest", "truth", *SAID, code=None)
    assert "log without scores" in refused.err


def test_csv_files_with_a_header_a_file_an_image(detmon: Shell) -> None:
    head = "label,confidence,x1,y1,x2,y2\r\n"
    written(detmon.folder / "csv", {"a.csv": f'{head}"car",0.9,1,2,30,40\r\n', "b.csv": head})
    done = detmon("ingest", "csv", *SAID, "--map", "image_id=@stem", "--json")
    assert (done.json["files"][0]["format"], done.json["predictions"], done.json["detections"]) == ("flat", 2, 1)
    assert [row["image_id"] for row in stored(detmon, "image_id")] == ["a", "b"]


def test_the_stem_meets_the_list_of_images(detmon: Shell) -> None:
    written(detmon.folder / "detections", DETECTIONS)
    written(detmon.folder / "pictures", {f"2007_{k}.png": png(500, 300) for k in (1, 2, 3)})
    detmon("ingest", "detections", *SAID, *VOC, "--images", "pictures")
    rows = stored(detmon, "image_id, n_detections AS n, image_width AS width")
    assert [(row["image_id"], row["n"], row["width"]) for row in rows] == [
        ("2007_1.png", 2, 500),
        ("2007_2.png", 0, 500),
        ("2007_3.png", 0, 500),
    ]


def test_the_stem_is_for_text_and_csv(take: Take) -> None:
    with pytest.raises(UsageError, match="names its images itself") as refused:
        take(b'{"image_id": "a", "detections": []}\n', map={"image_id": "@stem"})
    assert refused.value.hint == "text and CSV files only"


# --- other separators --------------------------------------------------------------------------------------------


ROWS = b"image_id,label,confidence,x1,y1,x2,y2,note\na,car,0.5,1,2,30,40,\nb,van,0.25,1,2,30,40,\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: b"\xef\xbb\xbf" + rows,
        lambda rows: rows.replace(b"\n", b"\r\n", 2),
        lambda rows: rows.replace(b",", b"\t"),
        lambda rows: rows.replace(b"note", b'"a ""note"""').replace(b"40,\n", b'40,"one, two\r\nthree"\n'),
        lambda rows: rows.replace(b"\n", b"\n\n") + b"\n",
        lambda rows: rows.rstrip(b"\n"),
        lambda rows: b"\xef\xbb\xbf" + rows.replace(b"image_id", b'"Image_ID"').replace(b"\n", b"\r\n"),
        lambda rows: rows.replace(b",", b"  ").replace(b"note", b"").replace(b"  \n", b"\n"),
    ],
    ids=["bom", "mixed-ends", "tabs", "quotes", "blank-lines", "no-last-end", "quoted-first-name", "spaces"],
)
def test_writings_of_the_same_table(take: Take, change: Callable[[bytes], bytes]) -> None:
    taken = take(change(ROWS), "log.txt", model="m", start=NOON)
    found = [(row["image_id"], row["detections"][0]["label"], row["detections"][0]["w"]) for row in taken.rows]
    assert found == [("a", "car", 29), ("b", "van", 29)]
    assert taken.rejects == []


def test_columns_by_number_begin_with_the_first_line(take: Take) -> None:
    mapping = {"image_id": "#1", "label": "#2", "confidence": "#3", "bbox": "#4,#5,#6,#7"}
    (row, _) = take(ROWS.split(b"\n", 1)[1], "log.csv", model="m", start=NOON, map=mapping, box_format="xyxy").rows
    assert (row["image_id"], row["detections"][0]["h"]) == ("a", 38)
    with pytest.raises(UsageError, match="has no column '#9'"):
        take(ROWS.split(b"\n", 1)[1], "log.csv", model="m", map={**mapping, "source": "#9"})


def test_semicolons_are_refused_by_name(take: Take) -> None:
    with pytest.raises(InputRefused, match="semicolons") as refused:
        take(b"image_id;label;confidence;x1;y1;x2;y2\na;car;0,9;1;2;3;4\n", "log.csv", model="m")
    assert (refused.value.code, refused.value.exit_code) == ("semicolons", 4)
    taken = take(b"image_id,label,confidence,x1,y1,x2,y2\na;b,car,0.9,1,2,3,4\n", "l.csv", model="m", start=NOON)
    assert taken.rows[0]["image_id"] == "a;b"
