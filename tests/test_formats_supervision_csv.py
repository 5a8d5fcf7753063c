"""supervision's CSVSink."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from logs import Take

from detmon.errors import InputRefused, UsageError
from detmon.testing import format_contract

HEADER = "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,class_name,frame\n"
DOCUMENTED = f"{HEADER}10,20,110,80,2,0.91,,car,0\n"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SAID: dict[str, Any] = {"model": "m", "start": START, "fps": 10.0, "map": {"image_id": "frame"}}


def test_the_documented_row(take: Take) -> None:
    taken = take(DOCUMENTED.encode(), "sink.csv", **SAID)
    (row,) = taken.rows
    (box,) = row["detections"]
    assert (taken.reading.format, taken.reading.denominator) == ("supervision-csv", "unknown")
    assert [box[side] for side in "xywh"] == [10, 20, 100, 60]
    assert (box["label"], box["track_id"], row["image_id"], row["confidence_sum"]) == ("car", None, "0", 0.91)
    assert taken.codes == []


def test_rows_of_a_frame_are_one_record_and_frames_have_times(take: Take) -> None:
    rows = "10,20,110,80,2,0.91,7,car,0\n1,2,11,8,0,0.5,8,person,3\n5,5,50,50,2,0.25,9,car,0\n"
    taken = take((HEADER + rows).encode(), "sink.csv", **SAID, frames=(0, 4))
    assert [(row["image_id"], row["n_detections"]) for row in taken.rows] == [
        ("0", 2),
        ("3", 1),
        ("1", 0),
        ("2", 0),
        ("4", 0),
    ]
    assert [box["track_id"] for box in taken.rows[0]["detections"]] == ["7", "9"]
    assert taken.rows[1]["ts"] == datetime(2026, 1, 5, 8, 0, 0, 300_000)
    assert taken.reading.denominator == "inferred"


def test_class_ids_where_names_are_missing(take: Take, tmp_path: Path) -> None:
    some = HEADER + "10,20,110,80,2,0.91,,car,0\n10,20,110,80,1,0.91,,,1\n"
    labels = [row["detections"][0]["label"] for row in take(some.encode(), "sink.csv", **SAID).rows]
    assert labels == ["car", "1"]
    none = "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,frame\n10,20,110,80,1,0.91,,0\n"
    (tmp_path / "names.txt").write_text("person\nbicycle\n")
    (row,) = take(none.encode(), "sink.csv", **SAID, categories=tmp_path / "names.txt").rows
    assert row["detections"][0]["label"] == "bicycle"
    taken = take(none.encode(), "sink.csv", **SAID)
    assert (taken.rows[0]["detections"][0]["label"], taken.codes) == ("1", ["label_is_number"])


def test_missing_confidences_and_two_names(take: Take) -> None:
    taken = take((HEADER + "10,20,110,80,2,,,car,0\n10,20,110,80,2,,,van,1\n").encode(), "sink.csv", **SAID)
    assert set(taken.codes) == {"confidence_missing", "two_names"}


def test_own_columns_are_named_and_may_be_mapped(take: Take) -> None:
    log = HEADER.replace("frame", "frame,zone,when") + "10,20,110,80,2,0.91,,car,0,gate,2026-01-05T08:00:00Z\n"
    mapping = {"image_id": "frame", "source": "zone", "timestamp": "when"}
    (row,) = take(log.encode(), "sink.csv", model="m", map=mapping).rows
    assert (row["source"], row["ts"]) == ("gate", datetime(2026, 1, 5, 8))
    taken = take(log.encode(), "sink.csv", **SAID)
    assert {warned.message for warned in taken.reading.warnings()} == {
        "column `zone` is not used",
        "column `when` is not used",
    }


def test_a_sink_without_image_is_refused_with_what_supplies_it(take: Take) -> None:
    with pytest.raises(InputRefused, match="no `image_id`") as refused:
        take(DOCUMENTED.encode(), "sink.csv", model="m", start=START)
    assert refused.value.hint == "--map image_id=COLUMN"
    with pytest.raises(UsageError, match="has no column 'fram'"):
        take(DOCUMENTED.encode(), "sink.csv", model="m", map={"image_id": "fram"})


def test_the_reader_keeps_the_contract() -> None:
    log = (DOCUMENTED + "1,2,30,40,0,0.5,,person,1\n").encode()
    said = {"model": "m", "start": "2026-01-05T08:00:00Z", "map": {"image_id": "frame"}}
    format_contract("detmon.formats.supervision_csv:SupervisionCsv", log, **said)


def test_from_the_shell(detmon: Shell) -> None:
    (detmon.folder / "sink.csv").write_text(DOCUMENTED)
    said = ("--model", "m", "--start", "2026-01-05T08:00:00Z", "--fps", "30", "--map", "image_id=frame")
    done = detmon("ingest", "sink.csv", *said, "--json")
    assert done.json["files"][0]["format"] == "supervision-csv"
    assert "bbox = x_min,y_min,x_max,y_max" in done.err
