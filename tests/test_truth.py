"""Ground truth: its formats, how it joins the log, and the verdicts that come of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Shell
from test_feedback import ask

from detmon import evaluation, matching
from detmon.errors import InputRefused, OperationError, UsageError
from detmon.evaluation import Rules
from detmon.formats.truth import Truth, TruthOptions, read_truth
from detmon.store import Store
from detmon.times import ALWAYS

NOW = ("--now", "2024-03-05T00:00:00Z")
Box = tuple[str, list[float]]


def log_of(detmon: Shell, images: dict[str, list[tuple[str, float, list[float]]]], size: bool = True) -> None:
    """Ingest one prediction an image; boxes are (label, confidence, xywh)."""
    with (detmon.folder / "log.jsonl").open("w") as file:
        for second, (name, boxes) in enumerate(images.items()):
            record: dict[str, Any] = {"prediction_id": f"p-{name}", "model_id": "m", "image_id": name}
            record["timestamp"] = f"2024-03-04T08:00:{second:02d}Z"
            if size:
                record |= {"image_width": 200, "image_height": 100}
            record["detections"] = [{"label": kind, "confidence": score, "bbox": box} for kind, score, box in boxes]
            file.write(json.dumps(record) + "\n")
    detmon(*NOW, "ingest", "log.jsonl")


def coco(path: Path, images: dict[str, list[Box]], **flags: Any) -> Path:
    """A COCO dataset; the objects of a label in `flags` carry these fields."""
    kinds = sorted({label for boxes in images.values() for label, _ in boxes})
    objects = [
        {"image_id": number, "category_id": kinds.index(label), "bbox": box, "iscrowd": 0, **flags.get(label, {})}
        for number, boxes in enumerate(images.values())
        for label, box in boxes
    ]
    said = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(images)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(kinds)],
        "annotations": [{"id": number, **one} for number, one in enumerate(objects)],
    }
    path.write_text(json.dumps(said))
    return path


def match(detmon: Shell, path: object, *args: object, now: str = "2024-03-05T00:00:00Z") -> dict[str, Any]:
    answer: dict[str, Any] = detmon("--now", now, "feedback", "match", path, "--model", "m", *args, "--json").json
    return answer


def current(detmon: Shell) -> list[tuple[Any, ...]]:
    columns = "prediction_id, detection_index, type, true_label, tide, reason, scope"
    return ask(detmon.folder, f"SELECT {columns} FROM current_feedback ORDER BY 1, 2, 3, 4")


LOGGED: dict[str, list[tuple[str, float, list[float]]]] = {
    "a.jpg": [
        ("car", 0.9, [10, 10, 40, 40]),
        ("car", 0.5, [12, 10, 40, 40]),
        ("bus", 0.8, [100, 10, 40, 40]),
        ("car", 0.7, [10, 70, 20, 20]),
        ("person", 0.6, [150, 60, 30, 30]),
    ],
    "b.jpg": [],
    "c.jpg": [("car", 0.2, [0, 0, 9, 9])],
}
TRUE: dict[str, list[Box]] = {
    "a.jpg": [
        ("car", [10, 10, 40, 40]),
        ("truck", [100, 10, 40, 40]),
        ("car", [10, 62, 20, 20]),
        ("car", [60, 60, 20, 20]),
    ],
    "b.jpg": [],
    "c.jpg": [],
}


def test_every_kind_of_verdict(detmon: Shell) -> None:
    log_of(detmon, LOGGED)
    path = coco(detmon.folder / "gt.json", TRUE)
    answer = match(detmon, path, "--min-confidence", "0.5")
    assert current(detmon) == [
        ("p-a.jpg", 0, "correct", "car", None, None, "exhaustive"),
        ("p-a.jpg", 1, "false_positive", None, "Dupe", "duplicate", "exhaustive"),
        ("p-a.jpg", 2, "wrong_label", "truck", "Cls", None, "exhaustive"),
        ("p-a.jpg", 3, "wrong_box", "car", "Loc", None, "exhaustive"),
        ("p-a.jpg", 4, "false_positive", None, "Bkg", "background", "exhaustive"),
        ("p-a.jpg", None, "missed_object", "car", "Miss", None, "exhaustive"),
        ("p-b.jpg", None, "correct", None, None, None, "exhaustive"),
        ("p-c.jpg", None, "correct", None, None, None, "exhaustive"),  # its box was not served
    ]
    assert list(answer["feedback"].values()) == [1, 1, 1, 2, 1]
    assert (answer["objects"], answer["predictions"], answer["detections"]) == (4, 3, 5)
    assert (answer["precision"], answer["recall"], answer["threshold"]) == (0.2, 0.25, 0.5)
    codes = {warning["code"]: warning["message"] for warning in answer["warnings"]}
    assert codes == {
        "labels_of_truth": "labels of the ground truth only: truck",
        "labels_of_log": "labels of the log only: bus, person",
    }
    told = detmon("feedback", "match", path, "--model", "m", "--min-confidence", "0.5").out
    assert "0 verdicts, 8 duplicates" in told


def test_the_next_look_replaces_the_last(detmon: Shell) -> None:
    log_of(detmon, LOGGED)
    path = coco(detmon.folder / "gt.json", TRUE)
    match(detmon, path)
    assert len(current(detmon)) == 8
    assert current(detmon)[-1][:3] == ("p-c.jpg", 0, "false_positive")
    path = coco(detmon.folder / "gt.json", {**TRUE, "a.jpg": TRUE["a.jpg"][:2]})
    later = match(detmon, path, "--min-confidence", "0.5", now="2024-03-06T00:00:00Z")
    assert later["duplicates"] == 0
    assert [row[2] for row in current(detmon) if row[0] == "p-a.jpg"] == [
        *("correct", "false_positive", "wrong_label", "false_positive", "false_positive"),
    ]
    assert current(detmon)[-1][:3] == ("p-c.jpg", None, "correct")
    assert match(detmon, path, "--min-confidence", "0.5")["accepted"] == 0


def test_back_to_earlier_rules(detmon: Shell) -> None:
    log_of(detmon, LOGGED)
    path = coco(detmon.folder / "gt.json", TRUE)
    first = match(detmon, path, "--min-confidence", "0.5")
    before = current(detmon)
    match(detmon, path)
    assert current(detmon) != before
    again = match(detmon, path, "--min-confidence", "0.5")
    assert (again["accepted"], again["duplicates"]) == (first["accepted"], 0)
    assert current(detmon) == before


def test_regions_to_ignore(detmon: Shell) -> None:
    log_of(detmon, {"a.jpg": [("car", 0.9, [10, 10, 20, 20]), ("bus", 0.9, [10, 10, 20, 20])]})
    true: dict[str, list[Box]] = {"a.jpg": [("car", [0, 0, 90, 90]), ("bus", [120, 0, 9, 9])]}
    answer = match(detmon, coco(detmon.folder / "gt.json", true, car={"iscrowd": 1}))
    assert [row[1:4] for row in current(detmon)] == [(1, "false_positive", None), (None, "missed_object", "bus")]
    assert (answer["ignored"], answer["objects"]) == (1, 1)


@pytest.mark.parametrize(
    ("true", "options", "says"),
    [
        ({"x.jpg": []}, (), "no image in common (log: 'a.jpg', ground truth: 'x.jpg')"),
        ({"a.jpg": [("Car", [0, 0, 9, 9])]}, (), "no label in common (log: bus, car, person; ground truth: Car)"),
        (TRUE, ("--iou", "0.1"), "--iou must lie above 0.1"),
        (TRUE, ("--min-confidence", "50"), "--min-confidence must lie in [0, 1]"),
        (TRUE, ("--period", "last 1d"), "no prediction in this period"),
        (TRUE, ("--image-size", "12"), "not of the form WIDTHxHEIGHT"),
    ],
)
def test_refusals(detmon: Shell, true: Any, options: tuple[str, ...], says: str) -> None:
    log_of(detmon, LOGGED)
    path = coco(detmon.folder / "gt.json", true)
    failed = detmon("--now", "2024-05-05T00:00:00Z", "feedback", "match", path, "--model", "m", *options, code=2)
    assert says in failed.err


def test_what_is_on_one_side_only_is_named(detmon: Shell) -> None:
    log_of(detmon, LOGGED)
    true = {**{f"{k}.png": [] for k in range(7)}, "logs/a.jpg": TRUE["a.jpg"]}
    answer = match(detmon, coco(detmon.folder / "gt.json", true), "--image-id", "name")
    found = {warning["code"]: (warning["count"], warning["message"]) for warning in answer["warnings"]}
    assert found["no_prediction"] == (7, "7 images have no prediction: 0.png, 1.png, 2.png, 3.png, 4.png, …")
    assert found["no_truth"] == (2, "2 predictions have no ground truth: b.jpg, c.jpg")


def test_an_image_that_was_logged_twice_is_judged_twice(detmon: Shell) -> None:
    log_of(detmon, {"a.jpg": LOGGED["a.jpg"]})
    text = (detmon.folder / "log.jsonl").read_text().replace("p-a", "p-2").replace("08:00", "09:00")
    (detmon.folder / "log.jsonl").write_text(text)
    detmon(*NOW, "ingest", "log.jsonl")
    answer = match(detmon, coco(detmon.folder / "gt.json", {"a.jpg": TRUE["a.jpg"]}))
    assert (answer["predictions"], answer["objects"], answer["feedback"]["correct"]) == (2, 8, 2)


def test_ids_that_stand_for_several_images_are_left_out(detmon: Shell) -> None:
    log_of(detmon, {"x/a.jpg": LOGGED["a.jpg"], "y/a.jpg": LOGGED["a.jpg"], "b.jpg": [], "c.jpg": []})
    path = coco(detmon.folder / "gt.json", {"a.jpg": TRUE["a.jpg"], "1/b.jpg": [], "2/b.jpg": [], "c.jpg": []})
    answer = match(detmon, path, "--image-id", "name")
    assert answer["predictions"] == 1
    messages = [warning["message"] for warning in answer["warnings"] if warning["code"] == "same_image_id"]
    assert messages == [
        "1 images have the id of another one",
        "3 predictions are left out: --image-id name gives several images one id",
    ]


@pytest.mark.parametrize("boxes", [[], LOGGED["a.jpg"]])
def test_images_without_objects(detmon: Shell, boxes: Any) -> None:
    log_of(detmon, {"a.jpg": boxes})
    answer = match(detmon, coco(detmon.folder / "gt.json", {"a.jpg": []}))
    assert (answer["objects"], answer["recall"], answer["feedback"]["false_positive"]) == (0, None, len(boxes))
    assert len(current(detmon)) == max(1, len(boxes))


# --- formats ---


def yolo(folder: Path, pictures: bool = True) -> Path:
    """TRUE (of images of 200 by 100 pixels) as a YOLO folder."""
    kinds = ["car", "truck"]
    (folder / "labels" / "val").mkdir(parents=True)
    (folder / "images" / "val").mkdir(parents=True)
    (folder / "data.yaml").write_text("path: .\nval: images/val\nnames:\n  0: car\n  1: truck\n")
    for name, boxes in TRUE.items():
        lines = [
            f"{kinds.index(label)} {(x + w / 2) / 200} {(y + h / 2) / 100} {w / 200} {h / 100}\n"
            for label, (x, y, w, h) in boxes
        ]
        if pictures:
            (folder / "images" / "val" / name).touch()
        if lines or not pictures:
            (folder / "labels" / "val" / name).with_suffix(".txt").write_text("".join(lines))
    return folder


def cvat(path: Path) -> Path:
    """TRUE as CVAT XML."""
    text = "<?xml version='1.0'?>\n<annotations><version>1.1</version>"
    for number, (name, boxes) in enumerate(TRUE.items()):
        text += f'<image id="{number}" name="{name}" width="200" height="100">'
        for label, (x, y, w, h) in boxes:
            text += f'<box label="{label}" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}" occluded="0"></box>'
        text += '<polygon label="car" points="1,2;3,4;5,6"/></image>'
    path.write_text(text + "</annotations>")
    return path


def same_truth(one: Truth, other: Truth) -> bool:
    """Whether two readings hold the same objects, YOLO's in pixels."""

    def objects(truth: Truth) -> list[tuple[Any, ...]]:
        scale = np.array([200, 100, 200, 100]) if truth.normalised else 1
        return sorted(
            (truth.images[image], truth.labels[label], *np.round(sides * scale, 3).tolist())
            for image, label, sides in zip(truth.boxes.image, truth.boxes.label, truth.boxes.xywh.T, strict=True)
        )

    return sorted(one.images) == sorted(other.images) and objects(one) == objects(other)


def test_the_formats_agree(tmp_path: Path) -> None:
    first = read_truth(coco(tmp_path / "gt.json", TRUE))
    assert same_truth(first, read_truth(yolo(tmp_path / "yolo")))
    assert same_truth(first, read_truth(tmp_path / "yolo" / "data.yaml"))
    drawn = read_truth(cvat(tmp_path / "gt.xml"))
    assert same_truth(first, drawn)
    assert [(one.code, one.count) for one in drawn.warnings] == [("region_type", 3)]


def test_a_yolo_folder_is_judged_with_the_sizes_of_the_log(detmon: Shell) -> None:
    log_of(detmon, LOGGED)
    from_coco = match(detmon, coco(detmon.folder / "gt.json", TRUE))
    from_yolo = match(detmon, yolo(detmon.folder / "yolo"))
    assert from_yolo["feedback"] == from_coco["feedback"]


def test_a_yolo_folder_without_pictures_or_sizes(detmon: Shell) -> None:
    log_of(detmon, LOGGED, size=False)
    folder = yolo(detmon.folder / "yolo", pictures=False)
    failed = detmon("feedback", "match", folder, "--model", "m", "--image-id", "stem", code=2)
    assert "hint: --image-size WxH" in failed.err
    answer = match(detmon, folder, "--image-id", "stem", "--image-size", "200x100")
    assert answer["feedback"]["correct"] == 1


def test_mot(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    path = tmp_path / "gt" / "gt.txt"
    path.write_text("1,1,10,20,30,40,1,-1,-1,-1\n3,1,11,20,30,40,0,-1,-1,-1\nnonsense\n")
    with pytest.raises(UsageError, match="has no labels"):
        read_truth(path)
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nname=S1\nseqLength=4\n")
    truth = read_truth(path, TruthOptions(label="person"))
    assert truth.images == ["S1/000001", "S1/000002", "S1/000003", "S1/000004"]
    assert (truth.ignored.tolist(), truth.labels) == ([False, True], ["person"])
    assert [one.code for one in truth.warnings] == ["bad_line"]


def test_the_real_mot_file(data: Path) -> None:
    folder = data / "mot15"
    options = TruthOptions(label="person", source="TUD-Campus")
    ours = read_truth(folder / "original" / "TUD-Campus" / "gt.txt", options)
    theirs = read_truth(folder / "TUD-Campus_gt.json")
    assert (len(ours.boxes), ours.images) == (len(theirs.boxes), theirs.images)


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<annotations><image name="&b;"/></annotations>"""


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (BOMB, InputRefused, "declares a document type"),
        (BOMB.encode("utf-16"), InputRefused, "declares a document type"),
        ("<html></html>", InputRefused, "no CVAT XML"),
        ("<annotations><image name='a'>", OperationError, "cut off"),
        ("<annotations><image name='a'><box label='x' xtl='1'/></image></annotations>", OperationError, "ytl"),
        ("{", OperationError, "cut off"),
        ('{"image_id": "a"}\n{"image_id": "b"}\n', InputRefused, "is JSON Lines"),
        ('{"images": []}', InputRefused, "no COCO dataset: no 'annotations'"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', InputRefused, "no 'file_name'"),
        ('{"images": 7, "annotations": [], "categories": []}', OperationError, "damaged"),
        ('{"images": [], "annotations": [{"score": 1}], "categories": []}', InputRefused, "it is a log"),
        (
            '{"images": [{"id": 1, "file_name": "\\ud800"}], "annotations": [], "categories": []}',
            OperationError,
            "damaged",
        ),
        ("something else", InputRefused, "is no ground truth"),
        ("", InputRefused, "is no ground truth"),
    ],
)
def test_what_is_no_ground_truth(tmp_path: Path, text: str | bytes, error: type[Exception], says: str) -> None:
    path = tmp_path / "gt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(error, match=says):
        read_truth(path)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"no data\.yaml"):
        read_truth(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [car]")
    with pytest.raises(InputRefused, match="no labels/"):
        read_truth(tmp_path)
    with pytest.raises(OperationError, match="No such file"):
        read_truth(tmp_path / "none.json")


def test_objects_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    said = {
        "images": [{"id": 1, "file_name": "a"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 5, "ignore": 1},
            {"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"image_id": [1], "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]},
            {"image_id": 1, "category_id": 1, "bbox": [1, 10**400, 0, 4]},
            {"image_id": 1, "category_id": 1},
            {"image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4], "iscrowd": 1},
        ],
    }
    (tmp_path / "gt.json").write_text(json.dumps(said))
    truth = read_truth(tmp_path / "gt.json")
    assert (truth.ignored.tolist(), truth.crowd.tolist(), truth.area.tolist()) == ([True] * 2, [False, True], [5, 12])
    assert truth.boxes.label.tolist() == [0, -1]
    found = Counter({one.code: one.count for one in truth.warnings})
    assert found == {"no_such_image": 2, "no_such_category": 1, "box_empty": 2}


def test_equal_scores_count_in_the_order_of_cocos_ids(detmon: Shell) -> None:
    car = ("car", [10, 10, 50, 50])
    log_of(detmon, {"a.jpg": [("car", 0.5, [10, 10, 50, 50])], "b.jpg": [("car", 0.5, [10, 10, 50, 50])]})
    for images, expected in (({"a.jpg": [car], "b.jpg": []}, 1.0), ({"b.jpg": [], "a.jpg": [car]}, 0.5)):
        truth = coco(detmon.folder / "gt.json", images)
        report = detmon("quality", "show", "--model", "m", "--ground-truth", truth, "--json").json
        assert report["ground_truth"]["map"] == pytest.approx(expected)


# --- real logs ---


@pytest.fixture
def traps(detmon: Shell, data: Path) -> Path:
    detmon("ingest", *(data / "cameratrap" / f"model_{version}_log.parquet" for version in ("v0", "v1")))
    return data / "cameratrap" / "gt.json"


def joined(detmon: Shell, model: str, path: Path) -> evaluation.Joined:
    with Store(detmon.folder / "detmon.duckdb").reading() as con:
        return evaluation.join(con, model, ALWAYS, read_truth(path), Rules())


@pytest.mark.parametrize(
    ("model", "ap", "correct", "objects"), [("trap-v0", 0.834, 914, 1046), ("trap-v1", 0.835, 918, 1046)]
)
def test_the_camera_traps_against_ground_truth(
    detmon: Shell, traps: Path, model: str, ap: float, correct: int, objects: int
) -> None:
    found = evaluation.assess(joined(detmon, model, traps), Rules(threshold=0.25))
    assert round(found.map or 0, 3) == ap
    assert (found.served.correct, found.served.objects) == (correct, objects)
    assert found.classes["red fox"].objects > 100
    answer = detmon("feedback", "match", traps, "--model", model, "--min-confidence", ".25", "--json").json
    counts = answer["feedback"]
    assert sum(counts.values()) - counts["false_positive"] == objects
    assert (counts["correct"], answer["tide"]) == (correct, found.served.tide)


def test_killed_matching_loses_nothing(detmon: Shell) -> None:
    log_of(detmon, LOGGED)
    path = coco(detmon.folder / "gt.json", TRUE)
    command = ("feedback", "match", path, "--model", "m")
    done = detmon.process(*command, env={"DETMON_FAILPOINT": "feedback.written"})
    assert (done.returncode, current(detmon)) == (-9, [])
    assert match(detmon, path)["accepted"] == 8


TIDE = {"Cls": "cls", "Loc": "loc", "Both": "both", "Dupe": "dupe", "Bkg": "bkg", "Miss": "miss"}


@pytest.mark.parametrize(
    ("model", "log", "truth_of"),
    [
        ("trap-v0", "cameratrap/model_v0_log", "cameratrap/gt"),
        ("trap-v1", "cameratrap/model_v1_log", "cameratrap/gt"),
        ("voc-yolo", "voc/log", "voc/gt"),
        ("sort-fasterrcnn", "mot15/TUD-Stadtmitte_log", "mot15/TUD-Stadtmitte_gt"),
    ],
)
def test_kinds_are_those_of_tide(detmon: Shell, data: Path, model: str, log: str, truth_of: str) -> None:
    tidecv = pytest.importorskip("tidecv", reason="tidecv is not installed")
    detmon("ingest", data / f"{log}.parquet")
    whole = joined(detmon, model, data / f"{truth_of}.json")
    result, truth = tidecv.Data("result"), tidecv.Data("truth")
    for image, label, box in zip(whole.objects.image, whole.objects.label, whole.objects.xywh.T, strict=True):
        truth.add_ground_truth(int(image), int(label), box.tolist())
    for image in range(len(whole.predictions)):
        truth.add_image(image, str(image))
    for image, label, score, box in zip(
        whole.detections.image, whole.detections.label, whole.confidence, whole.detections.xywh.T, strict=True
    ):
        result.add_detection(int(image), int(label), float(score), box.tolist())
    tide = tidecv.TIDE()
    run = tide.evaluate(truth, result, mode=tidecv.TIDE.BOX)
    theirs = {error.short_name: len(found) for error, found in run.error_dict.items()}
    ours = matching.served(evaluation.match(whole, Rules())).tide
    assert {kind: ours[kind] for kind in TIDE} == {kind: theirs[kind] for kind in TIDE}
