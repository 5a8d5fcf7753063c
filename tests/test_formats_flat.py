"""Logs of other shapes: flat CSV and Parquet, COCO, MOT; maps, lists of images, what is refused by name."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logs import FIRST, NOW, Take, lines

from detmon import formats
from detmon.errors import InputRefused, OperationError, UsageError
from detmon.formats import Options, Source
from detmon.plugins import own_formats

DOCUMENTED = b"""image_id,timestamp,label,confidence,x1,y1,x2,y2
000123.jpg,2026-11-20T08:00:00Z,car,0.91,10,20,110,80
000124.jpg,2026-11-20T08:00:01Z,,,,,,
"""
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def table(*rows: list[Any]) -> bytes:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


HEADER = ["image_id", "timestamp", "label", "confidence", "x1", "y1", "x2", "y2"]
ROW = ["a.jpg", "2026-11-20T08:00:00Z", "car", 0.9, 10, 20, 110, 80]


def test_the_documented_csv(take: Take) -> None:
    taken = take(DOCUMENTED, "log.csv", model="veh@3")
    assert (taken.reading.format, taken.reading.denominator) == ("flat", "unknown")
    assert taken.reading.mapping["bbox"] == "x1,y1,x2,y2"
    first, second = taken.rows
    (box,) = first["detections"]
    assert (box["x"], box["y"], box["w"], box["h"], box["label"]) == (10, 20, 100, 60, "car")
    assert (second["image_id"], second["n_detections"]) == ("000124.jpg", 0)
    assert take(DOCUMENTED, "log.csv", model="veh@3", complete=True).reading.denominator == "known"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b",", b"\t"])
def test_tabs_and_line_ends(take: Take, end: bytes, mark: bytes) -> None:
    content = DOCUMENTED.replace(b",", mark).replace(b"\n", end)
    assert take(content, "log.tsv" if mark == b"\t" else "log.csv", model="m").table.num_rows == 2


def test_flat_parquet_equals_csv(take: Take, tmp_path: Path) -> None:
    rows = [["b", "2026-11-20T08:00:01Z", "van", 0.5, 1, 2, 9, 9], ["a", *ROW[1:]], ["b", "2026-11-20T08:00:01Z",
             "car", 0.25, 5, 5, 50, 50]]  # fmt: skip
    text = take(table(HEADER, *rows), "log.csv", model="m")
    columns = {name: [row[k] for row in rows] for k, name in enumerate(HEADER)}
    columns["timestamp"] = [datetime.fromisoformat(one) for one in columns["timestamp"]]
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    parquet = take(tmp_path / "log.parquet", model="m")
    assert [row["image_id"] for row in text.rows] == ["b", "a"]
    assert [box["label"] for box in text.rows[0]["detections"]] == ["van", "car"]
    assert parquet.table.drop_columns(["line"]).equals(text.table.drop_columns(["line"]))


def test_rows_with_a_prediction_id_belong_together(take: Take) -> None:
    log = table(
        ["prediction_id", "camera", *HEADER],
        ["p1", "cam1", *ROW],
        ["p2", "cam1", *ROW],
        ["p1", "", "a.jpg", "2026-11-20T08:00:00Z", "van", 0.4, 1, 1, 5, 5],
        ["p2", "cam2", *ROW[:2], "van", 0.4, 1, 1, 5, 5],
    )
    taken = take(log, "log.csv", model="m")
    assert [(row["prediction_id"], row["n_detections"], row["source"]) for row in taken.rows] == [
        ("p1", 2, "cam1"),
        ("p2", 2, "cam1"),
    ]
    assert taken.warnings["group_disagrees"].count == 1
    assert "group_disagrees" not in take(table(["prediction_id", *HEADER], ["p1", *ROW]), "log.csv", model="m").codes


def test_field_count_and_text_for_numbers(take: Take) -> None:
    good = [[f"{k}.jpg", *ROW[1:]] for k in range(10)]
    log = table(HEADER, *good, ["x.jpg", *ROW[1:], "more"], ["y.jpg", *ROW[1:3], "high", *ROW[4:]], ["z.jpg", *ROW[1:]])
    taken = take(log, "log.csv", model="m")
    assert [(reject.line, reject.code, reject.reason) for reject in taken.rejects] == [
        (12, "field_count", "9 fields, the header has 8"),
        (13, "wrong_type", "`confidence` is text: 'high'"),
    ]
    assert taken.rejects[0].raw == "x.jpg,2026-11-20T08:00:00Z,car,0.9,10,20,110,80,more"
    assert len(taken.rows) == 11
    assert take(table(HEADER, *good), "log.csv", model="m").rejects == []


def test_a_bad_box_is_told_by_its_own_line(take: Take) -> None:
    more = [[f"{k}.jpg", *ROW[1:]] for k in range(200)]
    log = table(HEADER, *more, ROW, [*ROW[:3], 1.5, *ROW[4:]], [*ROW[:2], "", *ROW[3:]])
    (reject,) = take(log, "log.csv", model="m").rejects
    assert (reject.line, reject.code) == (204, "missing_field")
    assert reject.raw.count("a.jpg") == 3
    (reject,) = take(table(HEADER, *more, ROW, [*ROW[:3], 1.5, *ROW[4:]]), "log.csv", model="m").rejects
    assert (reject.line, reject.code) == (203, "score_range")


def test_lines_of_cells_with_line_breaks(take: Take) -> None:
    log = table([*HEADER, "note"], ["a.jpg", *ROW[1:], "one\ntwo"], ["b.jpg", *ROW[1:3], 7.5, *ROW[4:], ""],
                *([f"{k}.jpg", *ROW[1:], ""] for k in range(200)))  # fmt: skip
    (reject,) = take(log, "log.csv", model="m").rejects
    assert (reject.line, reject.code) == (4, "score_range")


def test_a_box_in_one_cell(take: Take) -> None:
    log = table(["image_id", "ts", "class", "score", "bbox"], ["a", ROW[1], "car", 0.9, "[105,48,227,177]"])
    (row,) = take(log, "log.csv", model="m").rows
    assert [row["detections"][0][side] for side in "xywh"] == [105, 48, 227, 177]
    rows = [["a", ROW[1], "car", 0.9, "[1,2]"], *([str(k), ROW[1], "car", 0.9, "[1,2,30,40]"] for k in range(3))]
    (reject,) = take(table(["image_id", "ts", "class", "score", "bbox"], *rows), "log.csv", model="m").rejects
    assert reject.code == "bad_box"


REFUSED = [
    ("two_columns", [["image_id", "file_name", *HEADER[1:]], ["a", "b", *ROW[1:]]], [HEADER, ROW]),
    ("box_corner_or_centre", [[*HEADER[:4], "x", "y", "w", "h"], ROW], [[*HEADER[:4], "cx", "cy", "w", "h"], ROW]),
    ("no_header", [ROW[3:8], ROW[3:8]], [HEADER, ROW]),
    ("no_scores", [[*HEADER[:3], *HEADER[4:]], [*ROW[:3], *ROW[4:]]], [HEADER, ROW]),
    ("counts_only", [["date", "image_id", "detection_count"], ["2026-01-01", "a", 3]], [HEADER, ROW]),
    ("box_format", [HEADER, *([str(k), *ROW[1:4], 300, 200, 60, 30] for k in range(20))], [HEADER, ROW]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "bad", "good"), REFUSED)
def test_what_a_table_is_refused_for(take: Take, code: str, bad: list[Any], good: list[Any]) -> None:
    with pytest.raises(InputRefused) as refused:
        take(table(*bad), "log.csv", model="m")
    assert refused.value.code == code
    take(table(*good), "log.csv", model="m")


def test_the_option_that_cures_a_table(take: Take) -> None:
    corners = table([*HEADER[:4], "x", "y", "w", "h"], ROW)
    (row,) = take(corners, "log.csv", model="m", box_format="cxcywh").rows
    assert [row["detections"][0][side] for side in "xywh"] == [-45, -20, 110, 80]
    (row,) = take(corners, "log.csv", model="m", map={"bbox": "x,y,w,h"}).rows
    assert [row["detections"][0][side] for side in "xywh"] == [10, 20, 110, 80]


def test_a_map_of_numbered_columns(take: Take) -> None:
    log = table([0, 10, 20, 110, 80, 0.9], [1, 11, 20, 111, 80, 0.8], [1, 5, 5, 50, 50, 0.7])
    taken = take(
        log, "0001.txt", log_format="flat", model="m", label="Car", box_format="xyxy", start=START, fps=10.0,
        map={"image_id": "#1", "bbox": "#2,#3,#4,#5", "confidence": "#6"},
    )  # fmt: skip
    assert [(row["image_id"], row["n_detections"]) for row in taken.rows] == [("0", 1), ("1", 2)]
    assert taken.rows[1]["ts"] - taken.rows[0]["ts"] == timedelta(milliseconds=100)
    with pytest.raises(UsageError, match="no column '#9'"):
        take(log, "0001.txt", map={"image_id": "#9"})


def test_two_names_and_gaps(take: Take) -> None:
    head = ["class_id", *HEADER]
    log = table(head, [0, "1", *ROW[1:]], [0, "2", *ROW[1:2], "van", *ROW[3:]], [1, "3", *ROW[1:]])
    taken = take(log, "log.csv", model="m")
    assert "id 0 is both car and van" in taken.warnings["two_names"].message
    assert "gaps_in_ids" not in taken.codes
    holes = table(head, [0, "1", *ROW[1:]], [0, "3", *ROW[1:]], [1, "200", *ROW[1:2], "van", *ROW[3:]])
    taken = take(holes, "log.csv", model="m")
    assert taken.warnings["gaps_in_ids"].count == 197
    assert "two_names" not in taken.codes


# --- COCO --------------------------------------------------------------------------------------------------------

RESULTS = [
    {"image_id": 7, "category_id": 3, "bbox": [12.5, 40, 100, 60], "score": 0.88},
    {"image_id": 9, "category_id": 1, "bbox": [1, 4, 10, 6], "score": 0.5},
    {"image_id": 7, "category_id": 1, "bbox": [1, 4, 10, 6], "score": 0.25},
]
IMAGES = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 8, "file_name": "b.jpg", "width": 640, "height": 480},
        {"id": 9, "file_name": "c.jpg", "width": 640, "height": 480},
    ],
    "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
}


def test_coco_results_with_their_images(take: Take, tmp_path: Path) -> None:
    (tmp_path / "images.json").write_text(json.dumps(IMAGES))
    given = {"model": "m", "start": START, "fps": 1.0, "images": tmp_path / "images.json"}
    taken = take(json.dumps(RESULTS).encode(), "res.json", categories=tmp_path / "images.json", **given)
    assert (taken.reading.format, taken.reading.denominator) == ("coco-results", "inferred")
    found = {row["image_id"]: row for row in taken.rows}
    assert {name: row["n_detections"] for name, row in found.items()} == {"a.jpg": 2, "b.jpg": 0, "c.jpg": 1}
    assert [box["label"] for box in found["a.jpg"]["detections"]] == ["car", "person"]
    assert found["b.jpg"]["image_width"] == 640
    taken = take(json.dumps(RESULTS).encode(), "res.json", **given)
    assert "label_is_number" in taken.codes


def test_ids_that_are_not_listed(take: Take, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("7.jpg\n8.jpg\n9.jpg\n")
    given = {"model": "m", "start": START, "images": tmp_path / "list.txt"}
    with pytest.raises(InputRefused) as refused:
        take(json.dumps(RESULTS).encode(), "res.json", **given)
    assert (refused.value.code, refused.value.hint) == ("ids_do_not_match", "--image-id stem")
    assert len(take(json.dumps(RESULTS).encode(), "res.json", image_id="stem", **given).rows) == 3
    (tmp_path / "list.txt").write_text("7\n")
    (reject,) = take(json.dumps(RESULTS).encode(), "res.json", **given).rejects
    assert (reject.code, reject.line) == ("image_not_listed", 2)


def test_class_ids_off_by_one(take: Take, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("person\nbicycle\ncar\n")
    given = {"model": "m", "start": START, "categories": tmp_path / "names.txt"}
    with pytest.raises(InputRefused) as refused:
        take(json.dumps(RESULTS).encode(), "res.json", **given)
    assert (refused.value.code, refused.value.hint) == ("category_base", "--category-offset -1")
    taken = take(json.dumps(RESULTS).encode(), "res.json", category_offset=-1, **given)
    assert [box["label"] for box in taken.rows[0]["detections"]] == ["car", "person"]


def test_numbers_as_labels_get_their_names(take: Take, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("person\ncar\n")
    (tmp_path / "map.json").write_text('{"1": "person", "2": "car"}')
    log = table(HEADER, [*ROW[:2], 2, *ROW[3:]], [*ROW[:2], 1, *ROW[3:]])
    with pytest.raises(InputRefused) as refused:
        take(log, "log.csv", model="m", categories=tmp_path / "names.txt")
    assert (refused.value.code, refused.value.hint) == ("category_base", "--category-offset -1")
    for options in (
        {"categories": tmp_path / "names.txt", "category_offset": -1},
        {"categories": tmp_path / "map.json"},
    ):
        taken = take(log, "log.csv", model="m", **options)
        assert [box["label"] for box in taken.rows[0]["detections"]] == ["car", "person"]
        assert taken.codes == ["twin_boxes"]


YAML = [
    "names:\n  0: person\n  1: car\n",
    "names: [person, car]\n",
    "path: x\nnames:\n- person\n- car\nnc: 2\n",
]


@pytest.mark.parametrize("text", YAML)
def test_names_of_a_yolo_data_file(tmp_path: Path, text: str) -> None:
    from detmon.formats.names import read_names

    (tmp_path / "data.yaml").write_text(text)
    assert read_names(tmp_path / "data.yaml").by_id == {0: "person", 1: "car"}


def test_a_coco_dataset(take: Take) -> None:
    boxes = [{"id": k, **box, "image_id": 7 if k else 9} for k, box in enumerate(RESULTS)]
    log = json.dumps({**IMAGES, "annotations": boxes}).encode()
    taken = take(log, "coco.json", model="m", start=START, fps=1.0)
    assert (taken.reading.format, taken.reading.denominator) == ("coco", "known")
    assert [(row["image_id"], row["n_detections"]) for row in taken.rows] == [("a.jpg", 2), ("b.jpg", 0), ("c.jpg", 1)]
    for box in boxes:
        del box["score"]
    with pytest.raises(InputRefused) as refused:
        take(json.dumps({**IMAGES, "annotations": boxes}).encode(), "coco.json")
    assert refused.value.code == "ground_truth"


def test_an_array_of_records_and_one_cut_off(take: Take) -> None:
    whole = json.dumps([{**FIRST, "image_id": str(k)} for k in range(30)]).encode()
    taken = take(whole, "log.json")
    assert (taken.reading.format, len(taken.rows), taken.rows[29]["line"]) == ("detmon", 30, 30)
    with pytest.raises(OperationError) as failed:
        take(whole[:-30], "log.json")
    assert failed.value.code == "unreadable"


VAL = [{**RESULTS[0], "file_name": "007.jpg", "category_id": 2}, {**RESULTS[1], "file_name": "009.jpg"}]


def test_ultralytics_val_settles_the_base_itself(take: Take, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("person\ncar\n")
    given = {"model": "m", "start": START, "categories": tmp_path / "names.txt"}
    taken = take(json.dumps(VAL).encode(), "predictions.json", **given)
    assert taken.reading.format == "ultralytics-val"
    assert [(row["image_id"], row["detections"][0]["label"]) for row in taken.rows] == [
        ("007.jpg", "car"),
        ("009.jpg", "person"),
    ]
    zero = json.dumps([{**VAL[0], "category_id": 0}, {**VAL[1], "category_id": 1}]).encode()
    taken = take(zero, "predictions.json", **given)
    assert [row["detections"][0]["label"] for row in taken.rows] == ["person", "car"]
    with pytest.raises(InputRefused) as refused:
        take(json.dumps([{**VAL[0], "category_id": 3}]).encode(), "predictions.json", **given)
    assert refused.value.code == "category_base"


def test_ultralytics_val_whose_base_cannot_be_told(take: Take, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("person\ncar\nvan\n")
    given = {"model": "m", "start": START, "categories": tmp_path / "names.txt"}
    with pytest.raises(InputRefused, match="class ids 1 to 2 of 3 names") as refused:
        take(json.dumps(VAL).encode(), "predictions.json", **given)
    assert (refused.value.code, refused.value.exit_code) == ("category_base", 2)
    for offset, labels in ((0, ["van", "car"]), (-1, ["car", "person"])):
        taken = take(json.dumps(VAL).encode(), "predictions.json", category_offset=offset, **given)
        assert [row["detections"][0]["label"] for row in taken.rows] == labels


def test_a_row_of_ultralytics_val_without_file_name(take: Take) -> None:
    log = json.dumps([*VAL, {**RESULTS[0], "image_id": 42}]).encode()
    taken = take(log, "predictions.json", model="m", start=START)
    assert [row["image_id"] for row in taken.rows] == ["007.jpg", "009.jpg", "42"]


def test_bad_items_of_coco_results(take: Take) -> None:
    good = [{**RESULTS[0], "image_id": k} for k in range(20)]
    bad = [{**RESULTS[0], "image_id": "x", "bbox": [1, 2]}, {**RESULTS[0], "image_id": "y", "score": "high"}, 7]
    taken = take(json.dumps([*good, *bad]).encode(), "res.json", model="m", start=START)
    assert [(reject.line, reject.code) for reject in taken.rejects] == [
        (21, "bad_box"), (22, "wrong_type"), (23, "bad_json")]  # fmt: skip
    assert '"image_id": "x"' in taken.rejects[0].raw
    assert len(taken.rows) == 20


# --- MOT ---------------------------------------------------------------------------------------------------------

MOT = b"1,-1,10,20,100,60,0.91,-1,-1,-1\n3,7,10,20,100,60,-1,-1,-1,-1\n3,8,200,20,100,60,0.5,-1,-1,-1\n"


def test_mot_with_and_without_its_sequence(take: Take, tmp_path: Path) -> None:
    taken = take(MOT, "det.txt", model="m", label="person", start=START, fps=25.0, source="S")
    assert (taken.reading.format, taken.reading.denominator) == ("mot", "unknown")
    assert [(row["image_id"], row["n_detections"]) for row in taken.rows] == [("S/000001", 1), ("S/000003", 2)]
    assert [box["track_id"] for box in taken.rows[1]["detections"]] == ["7", "8"]
    assert taken.warnings["confidence_missing"].count == 1
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nname=S\nframeRate=25\nseqLength=4\nimWidth=640\nimHeight=480\n")
    taken = take(MOT, "det.txt", model="m", label="person", start=START)
    assert taken.reading.denominator == "inferred"
    rows = sorted(taken.rows, key=lambda row: row["image_id"])
    assert [(row["image_id"], row["n_detections"]) for row in rows] == [
        ("S/000001", 1), ("S/000002", 0), ("S/000003", 2), ("S/000004", 0)]  # fmt: skip
    assert [(row["ts"] - rows[0]["ts"]).total_seconds() for row in rows] == [0.0, 0.04, 0.08, 0.12]
    assert {row["image_width"] for row in rows} == {640}


# --- by name -----------------------------------------------------------------------------------------------------

NOT_YET = {
    "open-inference": b'{"model_name": "m", "outputs": []}\n',
}


@pytest.mark.parametrize("name", NOT_YET)
def test_formats_of_later_are_refused_by_name(take: Take, name: str) -> None:
    with pytest.raises(InputRefused, match=f"{name} is not supported yet") as refused:
        take(NOT_YET[name], "log.csv" if "csv" in name else "log.json")
    assert refused.value.exit_code == 2


def test_bare_results(take: Take) -> None:
    with pytest.raises(InputRefused) as refused:
        take(b'[{"name": "car", "class": 2, "confidence": 0.9, "box": {"x1": 1}}]', "log.json")
    assert refused.value.code == "bare_results"


def test_nested_json_by_the_map(take: Take) -> None:
    log = lines({"frame": 0, "detections": [{"x": 1061, "y": 316, "w": 51, "h": 33, "prob": 29, "name": "car"}]})
    mapping = {"image_id": "frame", "detections.bbox": "x,y,w,h", "detections.confidence": "prob",
               "detections.label": "name"}  # fmt: skip
    (row,) = take(log, model="m", start=START, fps=30.0, score_scale="percent", map=mapping).rows
    assert (row["image_id"], row["confidence_sum"], row["detections"][0]["w"]) == ("0", 0.29, 51)


class Lines:
    """A reader of somebody else: `IMAGE LABEL SCORE` a line."""

    def sniff(self, head: bytes, path: str) -> str | None:
        return "it says so" if head.startswith(b"#mine") else None

    def read(self, source: Any, options: Any) -> Any:
        rows = [line.split() for line in source.whole().decode().splitlines()[1:]]
        boxes = [[{"label": label, "confidence": float(score)}] for _, label, score in rows]
        yield pa.RecordBatch.from_pydict({"image_id": [row[0] for row in rows], "detections": boxes})


def test_a_reader_of_a_plugin(tmp_path: Path) -> None:
    path = tmp_path / "log.mine"
    path.write_bytes(b"#mine\na.jpg car 0.5\nb.jpg van 0.25\n")
    options = Options(model="m", start=START)
    reading = formats.open_source(Source("log.mine", path), options, now=NOW, readers={"mine": (Lines(),)})
    (part,) = reading.parts()
    assert (reading.format, reading.because) == ("mine", "it says so")
    assert part.table["confidence_sum"].to_pylist() == [0.5, 0.25]
    assert part.table["line"].to_pylist() == [1, 2]


def test_two_formats_that_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(DOCUMENTED)
    reader = Lines()
    reader.sniff = lambda head, path: "why not"  # type: ignore[method-assign]
    with pytest.raises(InputRefused, match="reads as flat and mine") as refused:
        formats.open_source(
            Source("log.csv", path), Options(model="m"), now=NOW, readers={**own_formats(), "mine": (reader,)}
        )
    assert refused.value.code == "ambiguous_format"
    options = Options(model="m", log_format="flat")
    reading = formats.open_source(
        Source("log.csv", path), options, now=NOW, readers={**own_formats(), "mine": (reader,)}
    )
    assert reading.sample(1)[0]["image_id"] == "000123.jpg"
    reading.close()


def test_shares_of_an_image_need_its_size(take: Take) -> None:
    log = table([*HEADER[:4], "cx", "cy", "w", "h"], [*ROW[:4], 0.5, 0.5, 0.25, 0.5])
    with pytest.raises(InputRefused) as refused:
        take(log, "log.csv", model="m", box_format="cxcywh-norm")
    assert refused.value.code == "no_image_size"
    (row,) = take(log, "log.csv", model="m", box_format="cxcywh-norm", image_size=(640, 480)).rows
    assert [row["detections"][0][side] for side in "xywh"] == [240, 120, 160, 240]


def test_frames_that_were_seen(take: Take) -> None:
    log = table(HEADER, ["2", *ROW[1:]], ["4", *ROW[1:2], "van", *ROW[3:]])
    taken = take(log, "log.csv", model="m", frames=(1, 4), start=START, fps=1.0)
    assert taken.reading.denominator == "inferred"
    assert sorted((row["image_id"], row["n_detections"]) for row in taken.rows) == [
        ("1", 0), ("2", 1), ("3", 0), ("4", 1)]  # fmt: skip
    assert {row["image_id"]: row["ts"].second for row in taken.rows if not row["n_detections"]} == {"1": 0, "3": 2}


def test_a_list_of_images_in_many_shapes(take: Take, tmp_path: Path) -> None:
    log = lines({**FIRST, "image_id": "a.jpg", "image_width": None})
    (tmp_path / "list.csv").write_text(
        "file_name,width,height,time\na.jpg,800,600,\nb.jpg,800,600,2026-11-20T09:00:00Z\n"
    )
    (tmp_path / "list.jsonl").write_text('{"image_id": "a.jpg"}\n{"image_id": "b.jpg", "ts": "2026-11-20T09:00:00Z"}\n')
    pq.write_table(
        pa.table({"image_id": ["a.jpg", "b.jpg"], "time": ["", "2026-11-20T09:00Z"]}), tmp_path / "list.parquet"
    )
    (tmp_path / "shots").mkdir()
    for name in ("a.jpg", "b.jpg", "notes.txt"):
        (tmp_path / "shots" / name).touch()
    for name in ("list.csv", "list.jsonl", "list.parquet", "shots"):
        taken = take(log, model="m", images=tmp_path / name, start=START if name == "shots" else None)
        assert [(row["image_id"], row["n_detections"]) for row in taken.rows] == [("a.jpg", 1), ("b.jpg", 0)]
    with pytest.raises(UsageError, match="no column image_id"):
        (tmp_path / "list.jsonl").write_text('{"picture": "a.jpg"}\n')
        take(log, images=tmp_path / "list.jsonl")


# --- as data frames and other programs write them -------------------------------------------------------------------


def test_class_ids_that_a_data_frame_made_fractions(take: Take, tmp_path: Path) -> None:
    content = table([*HEADER[:2], "class_id", *HEADER[3:]], [*ROW[:2], "1.0", *ROW[3:]])
    assert "label_is_number" in take(content, "a.csv", model="m", map={"label": "class_id"}).codes
    (tmp_path / "names.txt").write_text("car\ntruck\n")
    named = take(
        content, "a.csv", model="m", map={"label": "class_id"}, categories=tmp_path / "names.txt", category_offset=0
    )
    assert [box["label"] for box in named.rows[0]["detections"]] == ["truck"]


def test_a_header_with_a_space_after_each_comma(take: Take) -> None:
    taken = take(b"\n".join(line.replace(b",", b", ") for line in table(HEADER, ROW).splitlines()), "a.csv", model="m")
    assert [(row["image_id"], row["detections"][0]["label"]) for row in taken.rows] == [("a.jpg", "car")]


def test_the_index_of_a_data_frame(take: Take) -> None:
    taken = take(table(["", *HEADER], [0, *ROW]), "a.csv", model="m")
    assert taken.warnings["unknown_field"].message == "column 1, which has no name, is not used"


def test_a_class_beside_its_name(take: Take) -> None:
    content = table(["class", "name", *HEADER[:2], *HEADER[3:]], [2, "car", *ROW[:2], *ROW[3:]])
    with pytest.raises(InputRefused) as refused:
        take(content, "a.csv", model="m")
    assert (refused.value.code, refused.value.hint) == ("two_columns", "--map label=name")


def test_numbers_of_any_width_in_parquet(take: Take, tmp_path: Path) -> None:
    decimals = [pa.array([value]).cast(pa.decimal128(25, 2)) for value in ROW[4:]]
    sides = dict(zip(HEADER[4:], decimals, strict=True))
    for score in (pa.array([0.5]).cast(pa.decimal128(5, 4)), pa.array([0.5], pa.float32()).cast(pa.float16())):
        content = pa.table(
            {
                "image_id": pa.array(["a.jpg"], pa.large_string()).dictionary_encode(),
                "timestamp": pa.array([START], pa.timestamp("ns", "UTC")),
                "label": ["car"],
                "confidence": score,
                **sides,
            }
        )
        pq.write_table(content, tmp_path / "a.parquet")
        (row,) = take(tmp_path / "a.parquet", model="m").rows
        assert (row["image_id"], row["detections"][0]["confidence"]) == ("a.jpg", 0.5)


def test_a_map_is_never_ignored(take: Take) -> None:
    """Rows that look like MOT's, whose second column is the class."""
    rows = b"1,3,10,20,110,80,0.9\n1,5,10,20,110,80,0.8\n"
    said = {"image_id": "#1", "label": "#2", "bbox": "#3,#4,#5,#6", "confidence": "#7"}
    taken = take(rows, "det.txt", model="m", map=said, box_format="xyxy", start=START)
    assert taken.reading.format == "flat"
    assert [box["label"] for box in taken.rows[0]["detections"]] == ["3", "5"]
    with pytest.raises(UsageError, match="mot has its fields in fixed places"):
        take(rows, "det.txt", model="m", map=said, log_format="mot", start=START)
    results = json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]).encode()
    with pytest.raises(UsageError, match="coco-results has its fields"):
        take(results, "r.json", model="m", map={"confidence": "p"}, start=START)


def test_an_object_with_the_images_as_keys(take: Take) -> None:
    found = {"a.jpg": [{"label": "car", "score": 0.5, "box": [1, 2, 3, 4]}], "b.jpg": []}
    with pytest.raises(InputRefused, match="the images as its keys"):
        take(json.dumps(found).encode(), "r.json", model="m", start=START)


def test_an_envelope_is_proposed_with_all_it_holds(take: Take) -> None:
    detections = [{"label": "car", "confidence": 0.5, "bbox": [1, 2, 30, 40]}]
    inside = {"model_id": "m", "timestamp": "2026-11-20T08:00:00Z", "image_id": "a", "latency_ms": 9}
    with pytest.raises(InputRefused) as refused:
        take(lines({"topic": "t", "timestamp": 1, "value": {**inside, "detections": detections}}))
    proposed = str(refused.value.hint).split()
    said = [word for word in proposed if "=" in word]
    assert sorted(said) == sorted(f"{name}=value.{name}" for name in (*inside, "detections"))


def test_one_object_over_many_lines(take: Take) -> None:
    record = {"model_id": "m", "timestamp": "2026-11-20T08:00:00Z", "image_id": "a", "detections": []}
    with pytest.raises(InputRefused) as refused:
        take(json.dumps(record, indent=2).encode())
    assert "jq -c" in str(refused.value.hint)
