"""Reviews go out and come back: each format, and each way in which a region can come back."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import Shell
from reviews import exported, fill, line, near, said, statuses, taken

CAR, TRUCK = ("car", 0.9, [10, 20, 100, 60]), ("truck", 0.5, [300, 200, 50, 40])
WORLD: dict[str, dict[str, Any]] = {
    "two": {"boxes": [CAR, TRUCK], "size": (640, 480)},
    "none": {"boxes": [], "size": (640, 480)},
    "unsized": {"boxes": [CAR], "size": None},
    "unboxed": {"boxes": [("car", 0.8, None)], "size": (640, 480)},
}


@pytest.fixture
def world(detmon: Shell) -> Shell:
    """A store with four images in the dataset `review`; the clock stands at 2026-11-21."""
    detmon.monkeypatch.setenv("DETMON_NOW", "2026-11-21T00:00:00Z")
    fill(detmon, WORLD)
    return detmon


# --- Label Studio ---


def annotated(detmon: Shell, *more: object) -> dict[str, dict[str, Any]]:
    """Prediction → its task, accepted as it is: the pre-annotation became the annotation."""
    tasks = json.loads(exported(detmon, "label-studio", *more))
    found = {}
    for number, task in enumerate(tasks, 1):
        shown = [one["result"] for one in task["predictions"]]
        about = {"was_cancelled": False, "completed_by": 1, "updated_at": "2026-11-20T10:00:00.123456Z"}
        annotation = {"id": 100 + number, **about, "result": copy.deepcopy(shown[0] if shown else [])}
        done = {"id": number, "data": task["data"], "annotations": [annotation], "predictions": [number]}
        found[task["data"]["detmon"]["prediction_id"]] = done
    return found


def regions(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The regions that a reviewer left."""
    result: list[dict[str, Any]] = task["annotations"][0]["result"]
    return result


def drawn(label: str | None, x: float, y: float, w: float, h: float, **more: Any) -> dict[str, Any]:
    """A region that somebody drew on an image of 640 × 480, in pixels."""
    value = {"x": x / 6.4, "y": y / 4.8, "width": w / 6.4, "height": h / 4.8, "rotation": 0}
    labels = {} if label is None else {"rectanglelabels": [label]}
    about = {"id": "xYz_1", "type": "rectanglelabels", "from_name": "label", "to_name": "image"}
    frame = {"original_width": 640, "original_height": 480, "image_rotation": 0}
    return {**about, **frame, "value": {**value, **labels, **more.pop("value", {})}, **more}


def test_tasks_look_as_label_studio_wants_them(world: Shell) -> None:
    tasks = {one["data"]["detmon"]["prediction_id"]: one for one in json.loads(exported(world, "label-studio"))}
    two = tasks["two"]
    assert two["data"]["image"] == "cam1/two.jpg"
    assert two["data"]["detmon"].keys() == {"item", "prediction_id", "model_id", "reasons"}
    (prediction,) = two["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("veh@3", 0.5)
    assert prediction["result"][0] == {
        "id": "d0", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "original_width": 640,
        "original_height": 480, "image_rotation": 0, "score": 0.9, "value": {
            "x": 1.5625, "y": 4.1667, "width": 15.625, "height": 12.5, "rotation": 0, "rectanglelabels": ["car"],
        },
    }  # fmt: skip
    assert [tasks[name]["predictions"] for name in ("none", "unsized", "unboxed")] == [[], [], []]
    config = (world.folder / "out.labels.xml").read_text()
    assert [one.get("value") for one in ElementTree.fromstring(config).iter("Label")] == ["car", "truck"]


def test_what_cannot_be_shown_is_counted(world: Shell) -> None:
    command = ("review", "export", "--dataset", "review", "--format", "label-studio", "--out", "out.json")
    done = world(*command, "--json")
    found = {warning["code"]: warning["count"] for warning in done.json["warnings"]}
    assert found == {"no_image_size": 1, "box_missing": 1, "image_not_served": 4}
    assert (done.json["items"], done.json["boxes"], done.json["without_boxes"]) == (4, 2, 1)
    assert "1 images go without their boxes" in done.err


def test_a_review_that_changes_nothing(world: Shell) -> None:
    tasks = annotated(world)
    done = taken(world, json.dumps(list(tasks.values())))
    assert (done["format"], done["items"], done["skipped"], done["rejected"]) == ("label-studio", 4, 0, 0)
    assert done["feedback"] == {
        "correct": 4, "wrong_label": 0, "wrong_box": 0, "false_positive": 1, "missed_object": 0,
    }  # fmt: skip
    assert said(world) == [
        ("none", None, "correct", None, None, "exhaustive"),
        ("two", 0, "correct", None, None, "exhaustive"),
        ("two", 1, "correct", None, None, "exhaustive"),
        ("unboxed", None, "correct", None, None, "exhaustive"),
        ("unsized", 0, "false_positive", None, None, "exhaustive"),
    ]
    assert set(statuses(world).values()) == {"reviewed"}
    again = taken(world, json.dumps(list(tasks.values())))
    assert (again["accepted"], again["duplicates"]) == (0, 5)


def move(task: dict[str, Any]) -> None:
    regions(task)[0]["value"]["x"] += 10


def nudge(task: dict[str, Any]) -> None:
    regions(task)[0]["value"]["x"] += 0.2


def relabel(task: dict[str, Any]) -> None:
    regions(task)[0]["value"]["rectanglelabels"] = ["bus"]


def relabel_and_move(task: dict[str, Any]) -> None:
    relabel(task)
    move(task)


def delete(task: dict[str, Any]) -> None:
    del regions(task)[0]


def draw(task: dict[str, Any]) -> None:
    regions(task).append(drawn("person", 500, 300, 20, 60))


def draw_again(task: dict[str, Any]) -> None:
    regions(task)[0]["id"] = "fresh"


def draw_elsewhere(task: dict[str, Any]) -> None:
    regions(task)[0]["id"] = "fresh"
    move(task)


def copied(task: dict[str, Any]) -> None:
    other = copy.deepcopy(regions(task)[0])
    other["value"]["y"] += 40
    regions(task).insert(0, other)


def resize_tool(task: dict[str, Any]) -> None:
    for one in regions(task):
        one["original_width"], one["original_height"] = 320, 240


MOVED = [74, 20, 100, 60]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (move, [(0, "wrong_box", None, MOVED)]),
        (nudge, [(0, "correct", None, None)]),
        (relabel, [(0, "wrong_label", "bus", None)]),
        (relabel_and_move, [(0, "wrong_label", "bus", MOVED)]),
        (delete, [(0, "false_positive", None, None)]),
        (draw, [(0, "correct", None, None), (None, "missed_object", "person", [500, 300, 20, 60])]),
        (draw_again, [(0, "correct", None, None)]),
        (draw_elsewhere, [(0, "false_positive", None, None), (None, "missed_object", "car", MOVED)]),
        (copied, [(0, "correct", None, None), (None, "missed_object", "car", [10, 212, 100, 60])]),
        (resize_tool, [(0, "correct", None, None)]),
    ],
)
def test_what_a_region_says(world: Shell, change: Callable[[Any], None], expected: list[tuple[Any, ...]]) -> None:
    task = annotated(world)["two"]
    change(task)
    taken(world, json.dumps([task]))
    rows = [(place, kind, label, near(box)) for _, place, kind, label, box, _ in said(world, "two")]
    assert sorted(rows, key=str) == sorted([*expected, (1, "correct", None, None)], key=str)


def test_lost_ids_are_matched_by_the_best_assignment(world: Shell) -> None:
    """Greedily the first region would take the box that the second one needs."""
    tasks = annotated(world)
    one = {"x": 10, "y": 20, "w": 100, "h": 60}
    left, right = {**one, "x": 0}, {**one, "x": 30}
    regions(tasks["two"])[:] = [drawn("car", **left), drawn("car", **right) | {"id": "other"}]
    taken(world, json.dumps([tasks["two"]]))
    rows = [(place, kind, near(box)) for _, place, kind, _, box, _ in said(world, "two")]
    assert rows == [
        (0, "wrong_box", [0, 20, 100, 60]), (1, "false_positive", None), (None, "missed_object", [30, 20, 100, 60]),
    ]  # fmt: skip


def test_a_label_decides_between_boxes_that_lie_alike(world: Shell) -> None:
    fill(world, {"twins": {"boxes": [CAR, ("truck", 0.4, [12, 20, 100, 60])], "size": (640, 480)}})
    task = annotated(world)["twins"]
    regions(task)[:] = [drawn("truck", 10, 20, 100, 60), drawn("car", 12, 20, 100, 60) | {"id": "other"}]
    taken(world, json.dumps([task]))
    assert [row[1:3] for row in said(world, "twins")] == [(0, "correct"), (1, "correct")]


def test_a_skipped_task_gives_nothing(world: Shell) -> None:
    tasks = annotated(world)
    tasks["two"]["annotations"][0]["was_cancelled"] = True
    tasks["none"]["annotations"] = []
    done = taken(world, json.dumps([tasks["two"], tasks["none"]]))
    assert (done["items"], done["skipped"], done["accepted"]) == (0, 1, 0)
    assert set(statuses(world).values()) == {"needs_review"}


def test_a_deleted_task_stays_to_be_reviewed(world: Shell) -> None:
    tasks = annotated(world)
    taken(world, json.dumps([tasks["none"]]))
    assert statuses(world)["none"] == "reviewed"
    left = json.loads(exported(world, "label-studio"))
    assert {one["data"]["detmon"]["prediction_id"] for one in left} == {"two", "unsized", "unboxed"}
    everything = json.loads(exported(world, "label-studio", "--status", "all"))
    assert len(everything) == 4


def test_several_annotations_are_several_reviewers(world: Shell) -> None:
    task = annotated(world)["two"]
    other = copy.deepcopy(task["annotations"][0])
    other |= {"id": 999, "completed_by": {"id": 2, "email": "bob@example.com"}, "updated_at": "2026-11-20T11:00:00Z"}
    del other["result"][0]
    task["annotations"].append(other)
    taken(world, json.dumps([task]), "--reviewer", "ann")
    rows = world("feedback", "list", "--json").json
    assert {(row["reviewer"], row["detection_index"], row["type"], row["current"]) for row in rows} == {
        ("ann", 0, "correct", False), ("ann", 1, "correct", False),
        ("bob@example.com", 0, "false_positive", True), ("bob@example.com", 1, "correct", True),
    }  # fmt: skip
    assert {row["disputed"] for row in rows if row["detection_index"] == 0} == {True}


def test_a_newer_version_replaces_the_older_one(world: Shell) -> None:
    task = annotated(world)["two"]
    draw(task)
    taken(world, json.dumps([task]))
    newer = copy.deepcopy(task)
    newer["annotations"][0]["updated_at"] = "2026-11-20T12:00:00Z"
    regions(newer)[2]["value"]["rectanglelabels"] = ["dog"]
    assert taken(world, json.dumps([newer]))["accepted"] == 3
    assert [row[3] for row in said(world, "two")] == [None, None, "dog"]
    assert taken(world, json.dumps([task]))["accepted"] == 0
    assert [row[3] for row in said(world, "two")] == [None, None, "dog"]


def test_boxes_only_says_nothing_of_what_was_missed(world: Shell) -> None:
    tasks = annotated(world)
    draw(tasks["two"])
    taken(world, json.dumps(list(tasks.values())), "--boxes-only")
    assert {row[5] for row in said(world)} == {"boxes_only"}
    assert {row[0] for row in said(world)} == {"two", "unsized"}
    assert statuses(world) == {
        "two": "reviewed", "none": "needs_review", "unsized": "reviewed", "unboxed": "needs_review",
    }  # fmt: skip


def test_boxes_only_leaves_what_a_complete_look_found(world: Shell) -> None:
    task = annotated(world)["two"]
    draw(task)
    taken(world, json.dumps([task]))
    later = annotated(world, "--status", "all")["two"]
    later["annotations"][0] |= {"updated_at": "2026-11-20T12:00:00Z", "id": 7, "completed_by": 2}
    delete(later)
    taken(world, json.dumps([later]), "--boxes-only")
    rows = [(row[1], row[2]) for row in said(world, "two")]
    assert rows == [(0, "false_positive"), (1, "correct"), (None, "missed_object")]


def test_turned_regions_become_upright(world: Shell) -> None:
    task = annotated(world)["two"]
    regions(task)[0] = drawn("car", 200, 100, 40, 20, id="d0", value={"rotation": 90})
    done = taken(world, json.dumps([task]))
    assert [one["code"] for one in done["warnings"]] == ["rotated_box"]
    assert near(said(world, "two")[0][4]) == [180, 100, 20, 40]


@pytest.mark.parametrize(
    ("region", "code"),
    [
        ({"id": "p", "type": "polygonlabels", "value": {"points": [[1, 1]], "polygonlabels": ["car"]}}, "region_type"),
        ({"id": "p", "type": "brushlabels", "value": {"rle": [1]}}, "region_type"),
        (drawn("car", 1, 1, 0, 5), "bad_box"),
        (drawn("car", 1, 1, 5, 5, image_rotation=90), "image_rotated"),
        (drawn(None, 10, 20, 100, 60, id="d0"), "missing_field"),
    ],
)
def test_a_region_that_says_nothing_is_rejected_alone(world: Shell, region: dict[str, Any], code: str) -> None:
    task = annotated(world)["two"]
    if region["id"] == "d0":
        del regions(task)[0]
    regions(task).append(region)
    done = taken(world, json.dumps([task]))
    assert [one["code"] for one in done["rejections"]] == [code]
    assert done["rejected"] == 1
    assert {row[5] for row in said(world, "two")} == {"boxes_only"}
    assert (1, "correct") in [(row[1], row[2]) for row in said(world, "two")]
    assert world("quarantine", "list", "--json").json[0]["code"] == code


def test_a_box_whose_shape_cannot_be_read_has_no_verdict(world: Shell) -> None:
    task = annotated(world)["two"]
    regions(task)[0] |= {"type": "ellipselabels"}
    taken(world, json.dumps([task]))
    assert [row[1:3] for row in said(world, "two")] == [(1, "correct")]
    assert statuses(world)["two"] == "needs_review"


def test_a_rectangle_and_its_label_in_two_rows(world: Shell) -> None:
    task = annotated(world)["two"]
    value = regions(task)[0]["value"]
    label = {"labels": value.pop("rectanglelabels")}
    regions(task)[0]["type"] = "rectangle"
    regions(task).append({"id": "d0", "type": "labels", "from_name": "l", "to_name": "image", "value": label})
    regions(task).append(
        {"id": "c", "type": "choices", "from_name": "c", "to_name": "image", "value": {"choices": ["x"]}}
    )
    done = taken(world, json.dumps([task]))
    assert [row[2] for row in said(world, "two")] == ["correct", "correct"]
    assert [one["code"] for one in done["warnings"]] == ["not_a_box"]


def test_json_min_has_lost_the_ids(world: Shell) -> None:
    task = annotated(world)["two"]
    move(task)
    flat = {"id": 1, "image": "x", "detmon": task["data"]["detmon"], "annotator": 1, "annotation_id": 7}
    flat |= {"updated_at": "2026-11-20T10:00:00Z", "label": [one["value"] for one in regions(task)]}
    taken(world, json.dumps([flat]))
    assert [row[2] for row in said(world, "two")] == ["false_positive", "correct", "missed_object"]


def test_an_image_of_unknown_size_is_drawn_from_scratch(world: Shell) -> None:
    task = annotated(world)["unsized"]
    regions(task).append(drawn("car", 10, 20, 100, 60))
    taken(world, json.dumps([task]))
    assert said(world, "unsized") == [("unsized", 0, "correct", None, None, "exhaustive")]
    lost = copy.deepcopy(task)
    lost["annotations"][0]["id"] = 5
    del regions(lost)[0]["original_width"]
    assert [one["code"] for one in taken(world, json.dumps([lost]))["rejections"]] == ["no_image_size"]


def test_boxes_that_were_not_shown_are_not_judged(world: Shell) -> None:
    tasks = annotated(world, "--min-confidence", 0.6)
    assert len(regions(tasks["two"])) == 1
    regions(tasks["two"]).clear()
    taken(world, json.dumps([tasks["two"]]))
    assert said(world, "two") == [("two", 0, "false_positive", None, None, "exhaustive")]


def test_files_that_do_not_belong_here(world: Shell, tmp_path: Path) -> None:
    tasks = annotated(world)
    tasks["two"]["data"]["detmon"]["item"] = "it_000000000000"
    done = taken(world, json.dumps([tasks["two"], tasks["none"]]))
    assert (done["items"], [one["code"] for one in done["rejections"]]) == (1, ["no_such_item"])
    refused = taken(world, json.dumps([tasks["two"]]), code=2)
    assert "none of its items is here" in refused.err
    assert "hint:" in refused.err
    tasks["none"]["data"]["detmon"]["prediction_id"] = "two"
    assert "none of its items" in taken(world, json.dumps([tasks["none"]]), code=2).err


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        ("", 2, "is empty"),
        ('[{"data": ', 4, "cut off or no JSON"),
        ("[1, 2]", 2, "is no reviewed file"),
        ('{"data": {}}\n{"data": {}}', 2, "JSON Lines"),
        ("<annotations><image", 4, "cut off or no XML"),
        ("<other/>", 2, "is no CVAT XML"),
        ("<annotations><track/></annotations>", 2, "CVAT XML for video"),
        ("a;b\n1;2\n", 2, "separated by semicolons"),
        ("a,b\n1,2\n", 2, "has no column `item_id`"),
        (b"item_id,\xff\n", 2, "is not UTF-8"),
        ('{"images": 3, "annotations": [], "categories": []}', 2, "is no COCO dataset"),
        (b"PK\x03\x04 damaged", 4, "damaged archive"),
        (b"PAR1 \xff", 2, "is Parquet, and no reviewed file"),
        ("<!doctype html><html></html>", 2, "is the review page itself"),
    ],
)
def test_wrong_files_are_refused(world: Shell, content: str | bytes, code: int, text: str) -> None:
    assert text in taken(world, content, code=code).err


def test_tasks_that_nobody_has_seen_yet(world: Shell) -> None:
    exported(world, "label-studio")
    done = world("review", "import", "out.label-studio")
    assert "has no review in it" in done.err
    assert said(world) == []
    empty = world("review", "export", "--dataset", "review", "--format", "csv", "--out", "x", "--status", "ignored")
    assert "no item has this status" in empty.err


# --- CVAT ---


def test_cvat_out_and_back(world: Shell) -> None:
    root = ElementTree.fromstring(exported(world, "cvat"))
    declared = {one.findtext("name") for one in root.iter("label")}
    assert declared == {"car", "truck"}
    assert {one.findtext("name") for one in root.iter("attribute") if one.find("name") is not None} == {
        "detmon_id", "score",
    }  # fmt: skip
    images = {(one.get("name") or "").rpartition("/")[2]: one for one in root.iter("image")}
    two = images["two.jpg"]
    assert (two.get("width"), two.get("height")) == ("640", "480")
    boxes = two.findall("box")
    assert [boxes[0].get(side) for side in ("xtl", "ytl", "xbr", "ybr")] == ["10.00", "20.00", "110.00", "80.00"]
    assert [one.text for one in boxes[0]] == ["d0", "0.9"]
    boxes[0].set("z_order", "3")
    boxes[0].set("label", "bus")
    boxes[1].set("xtl", "280.00")
    ElementTree.SubElement(two, "tag", label="dark")
    shape = {"label": "person", "xtl": "500", "ytl": "300", "xbr": "520", "ybr": "360", "occluded": "1"}
    ElementTree.SubElement(two, "box", shape)
    done = taken(world, ElementTree.tostring(root).decode())
    assert (done["format"], done["items"], done["rejected"]) == ("cvat", 4, 0)
    assert [(row[1], row[2], row[3], near(row[4])) for row in said(world, "two")] == [
        (0, "wrong_label", "bus", None), (1, "wrong_box", None, [280, 200, 70, 40]),
        (None, "missed_object", "person", [500, 300, 20, 60]),
    ]  # fmt: skip
    assert [row[2] for row in said(world, "unsized")] == ["correct"]
    again = taken(world, ElementTree.tostring(root).decode())
    assert (again["accepted"], again["duplicates"]) == (0, done["accepted"])


def test_cvat_without_our_attributes_and_other_shapes(world: Shell) -> None:
    root = ElementTree.fromstring(exported(world, "cvat"))
    for one in root.iter("box"):
        for attribute in list(one):
            one.remove(attribute)
    two = next(one for one in root.iter("image") if (one.get("name") or "").endswith("two.jpg"))
    ElementTree.SubElement(two, "polygon", label="car", points="1,1;2,2;3,1")
    done = taken(world, ElementTree.tostring(root).decode())
    assert [one["code"] for one in done["rejections"]] == ["region_type"]
    assert [row[2] for row in said(world, "two")] == ["correct", "correct"]


def test_cvat_says_which_boxes_were_shown(world: Shell) -> None:
    root = ElementTree.fromstring(exported(world, "cvat", "--min-confidence", "0.6"))
    for image in root.iter("image"):
        for box in image.findall("box"):
            image.remove(box)
    taken(world, ElementTree.tostring(root).decode())
    assert [row[1:3] for row in said(world, "two")] == [(0, "false_positive")]


def test_cvat_again_after_a_change_and_back(world: Shell) -> None:
    """Files without times: a changed look replaces the last one, also when it is the one before."""
    first = exported(world, "cvat")
    second = first.replace('label="truck"', 'label="bus"')
    for content, expected in ((first, "correct"), (second, "wrong_label"), (first, "correct")):
        assert taken(world, content)["accepted"] > 0
        assert [row[2] for row in said(world, "two")] == ["correct", expected]
        assert taken(world, content)["accepted"] == 0


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotations>&b;</annotations>'
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations><image name="&x;"/></annotations>'


@pytest.mark.parametrize("content", [BOMB, FILE])
def test_xml_that_declares_entities_is_refused(world: Shell, content: str) -> None:
    assert "declares a document type" in taken(world, content, code=2).err


# --- COCO ---


def test_coco_out_and_back(world: Shell) -> None:
    said_ = json.loads(exported(world, "coco"))
    assert said_["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "truck"}]
    assert {type(one["id"]) for kind in ("images", "annotations") for one in said_[kind]} == {int}
    first = next(one for one in said_["annotations"] if one["bbox"] == [10, 20, 100, 60])
    assert (first["score"], first["area"], first["iscrowd"]) == (0.9, 6000, 0)
    assert first["attributes"] == {"detmon_id": "d0"}
    done = taken(world, json.dumps(said_))
    assert (done["format"], done["items"]) == ("coco", 4)
    assert {row[2] for row in said(world)} == {"correct"}


def test_coco_whose_extras_are_lost(world: Shell) -> None:
    said_ = json.loads(exported(world, "coco"))
    for one in said_["images"]:
        del one["detmon"]
        one["file_name"] = "images/" + one["file_name"].rpartition("/")[2]
    for one in said_["annotations"]:
        del one["attributes"]
    done = taken(world, json.dumps(said_))
    assert [one["code"] for one in done["warnings"]] == ["joined_by_name"]
    assert (done["items"], {row[2] for row in said(world)}) == (4, {"correct"})


def test_equal_names_are_not_joined(world: Shell) -> None:
    other = line("two", [CAR], (640, 480), 9) | {"prediction_id": "other", "image_id": "cam2/two.jpg"}
    (world.folder / "more.jsonl").write_text(json.dumps(other))
    world("--quiet", "ingest", "more.jsonl")
    world("item", "add", "--dataset", "review", "other")
    said_ = json.loads(exported(world, "coco"))
    for one in said_["images"]:
        del one["detmon"]
        one["file_name"] = one["file_name"].rpartition("/")[2]
    done = taken(world, json.dumps(said_))
    assert [one["code"] for one in done["rejections"]] == ["ambiguous_image"] * 2
    assert {row[0] for row in said(world)} == {"none", "unsized", "unboxed"}


def test_coco_loads_in_pycocotools(world: Shell) -> None:
    from contextlib import redirect_stdout

    from pycocotools.coco import COCO

    exported(world, "coco")
    with redirect_stdout(io.StringIO()):
        found = COCO(str(world.folder / "out.coco"))
    assert (len(found.imgs), len(found.anns), len(found.cats)) == (4, 3, 2)


# --- CSV ---


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def as_csv(rows: list[dict[str, str]], **how: Any) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), **how)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def test_csv_out_and_back(world: Shell) -> None:
    rows = rows_of(exported(world, "csv"))
    assert list(rows[0]) == [
        "item_id", "prediction_id", "detection_index", "image_id", "image_uri", "label", "confidence", "x", "y",
        "width", "height", "feedback_type", "true_label", "true_x", "true_y", "true_width", "true_height", "reviewer",
    ]  # fmt: skip
    assert [row["detection_index"] for row in rows if row["prediction_id"] == "none"] == [""]
    two = [row for row in rows if row["prediction_id"] == "two"]
    two[0] |= {"feedback_type": "wrong_box", "true_x": "1", "true_y": "2", "true_width": "3", "true_height": "4"}
    two[1] |= {"feedback_type": "wrong_label", "true_label": "bus", "reviewer": 'ann, the "great"'}
    two[0]["reviewer"] = two[1]["reviewer"]
    missed = two[0] | {"detection_index": "", "feedback_type": "missed_object", "true_label": "person"}
    nothing = next(row for row in rows if row["prediction_id"] == "none")
    nothing["feedback_type"] = "correct"
    text = "\ufeff" + as_csv([*rows, missed], quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    done = taken(world, text, "--reviewer", "bob")
    assert (done["format"], done["items"], done["skipped"], done["rejected"]) == ("csv", 2, 2, 0)
    assert said(world) == [
        ("none", None, "correct", None, None, "exhaustive"),
        ("two", 0, "wrong_box", None, [1, 2, 3, 4], "exhaustive"),
        ("two", 1, "wrong_label", "bus", None, "exhaustive"),
        ("two", None, "missed_object", "person", [1, 2, 3, 4], "exhaustive"),
    ]
    reviewers = {row["prediction_id"]: row["reviewer"] for row in world("feedback", "list", "--json").json}
    assert reviewers == {"none": "bob", "two": 'ann, the "great"'}
    assert taken(world, text, "--reviewer", "bob")["accepted"] == 0


def test_a_csv_that_is_filled_in_half_is_no_complete_review(world: Shell) -> None:
    rows = rows_of(exported(world, "csv"))
    next(row for row in rows if row["label"] == "truck")["feedback_type"] = "correct"
    taken(world, as_csv(rows))
    assert [row[5] for row in said(world)] == ["boxes_only"]
    assert statuses(world)["two"] == "needs_review"


def test_a_scope_that_was_wrong_is_put_right_by_the_same_file(world: Shell) -> None:
    task = json.dumps([annotated(world)["two"]])
    for options, scope in (((), "exhaustive"), (("--boxes-only",), "boxes_only")):
        assert taken(world, task, *options)["accepted"] == 2
        assert {row[5] for row in said(world)} == {scope}
        assert taken(world, task, *options)["accepted"] == 0


def test_standard_input(world: Shell) -> None:
    done = world("review", "import", "-", "--json", stdin=exported(world, "cvat"))
    assert done.json["items"] == 4


def test_labels_that_no_label_can_be(world: Shell) -> None:
    task = annotated(world)["two"]
    regions(task)[0]["value"]["rectanglelabels"] = ["a\x1b[2Jb"]
    regions(task)[1]["value"]["rectanglelabels"] = ["x" * 600]
    assert [one["code"] for one in taken(world, json.dumps([task]))["rejections"]] == ["bad_text", "bad_text"]


def test_two_people_judge_a_box_each(world: Shell) -> None:
    rows = rows_of(exported(world, "csv"))
    for row, who in zip([one for one in rows if one["prediction_id"] == "two"], ("ann", "bob"), strict=True):
        row |= {"feedback_type": "correct", "reviewer": who}
    taken(world, as_csv(rows))
    assert [row[1:3] for row in said(world, "two")] == [(0, "correct"), (1, "correct")]
    assert statuses(world)["two"] == "reviewed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"feedback_type": "wrong"}, "unknown_type"),
        ({"feedback_type": "correct", "detection_index": "first"}, "no_such_detection"),
        ({"feedback_type": "correct", "detection_index": "7"}, "no_such_detection"),
        ({"feedback_type": "correct", "detection_index": ""}, "missing_field"),
        ({"feedback_type": "missed_object"}, "missed_has_detection"),
        ({"feedback_type": "wrong_box", "true_x": "1"}, "bad_box"),
        ({"feedback_type": "wrong_label", "true_label": "car"}, "label_not_wrong"),
    ],
)
def test_a_bad_row_of_a_csv_is_rejected_alone(world: Shell, change: dict[str, str], code: str) -> None:
    rows = [row for row in rows_of(exported(world, "csv")) if row["prediction_id"] == "two"]
    rows[0] |= change
    rows[1]["feedback_type"] = "correct"
    done = taken(world, as_csv(rows))
    assert (done["rejected"], done["accepted"], done["rejections"][0]["line"]) == (1, 1, 2)
    assert {row[5] for row in said(world)} == {"boxes_only"}
    assert [row["code"] for row in world("quarantine", "list", "--json").json] == [code]


def test_a_table_with_verdicts_is_not_written_over(world: Shell) -> None:
    rows = rows_of(exported(world, "csv"))
    exported(world, "csv")
    rows[0]["feedback_type"] = "correct"
    (world.folder / "out.csv").write_text(as_csv(rows))
    again = ("review", "export", "--dataset", "review", "--format", "csv", "--out", "out.csv")
    assert "holds verdicts" in world(*again, code=2).err


# --- all ---


def test_the_document_in_an_archive(world: Shell) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("annotations.xml", exported(world, "cvat"))
    assert taken(world, buffer.getvalue())["items"] == 4


def test_where_images_are(world: Shell) -> None:
    def address(*more: object) -> set[str]:
        return {one["data"]["image"].rpartition("/")[0] for one in json.loads(exported(world, "label-studio", *more))}

    assert address() == {"cam1"}
    assert address("--image-root", "/data/images") == {"/data/images/cam1"}
    assert address("--url-prefix", "https://images.example.com/") == {"https://images.example.com/cam1"}
    assert address("--url-prefix", "/data/local-files/?d=site/") == {"/data/local-files/?d=site/cam1"}
    assert "is no address" in world(
        "review", "export", "--dataset", "review", "--format", "csv", "--out", "x", "--url-prefix", "images", code=2
    ).err  # fmt: skip


def test_sizes_are_read_from_local_images(world: Shell) -> None:
    picture = world.folder / "pictures" / "cam1"
    picture.mkdir(parents=True)
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0"
    (picture / "unsized.jpg").write_bytes(header)
    tasks = annotated(world, "--image-root", "pictures")
    assert regions(tasks["unsized"])[0]["value"]["x"] == 1.5625
    taken(world, json.dumps([tasks["unsized"]]))
    assert [row[2] for row in said(world)] == ["correct"]


def test_wrong_calls(world: Shell) -> None:
    base = ("review", "export", "--dataset", "review", "--format", "csv", "--out", "x.csv")
    assert "did you mean 'review'" in world(*base[:3], "reviw", *base[4:], code=2).err
    assert "unknown format 'coko'" in world(*base[:5], "coko", *base[6:], code=2).err
    assert "unknown status" in world(*base, "--status", "done", code=2).err
    assert "--min-confidence" in world(*base, "--min-confidence", "40", code=2).err
    assert "cannot write" in world(*base[:7], "nowhere/x.csv", code=4).err
    assert "it is a folder" in world("review", "import", ".", code=4).err
    assert "cannot read" in world("review", "import", "nothing.json", code=4).err


@pytest.mark.parametrize("point", ["review.staged", "review.written"])
def test_a_killed_import_leaves_nothing(world: Shell, point: str) -> None:
    tasks = annotated(world)
    (world.folder / "back").write_text(json.dumps(list(tasks.values())))
    killed = world.process("review", "import", "back", env={"DETMON_FAILPOINT": point})
    assert killed.returncode == -9
    assert said(world) == []
    assert taken(world, json.dumps(list(tasks.values())))["accepted"] == 5


def test_images_for_cvat_lie_where_its_file_says(world: Shell) -> None:
    (world.folder / "pictures" / "cam1").mkdir(parents=True)
    (world.folder / "pictures" / "cam1" / "two.jpg").write_bytes(b"picture")
    root = ElementTree.fromstring(exported(world, "cvat", "--image-root", "pictures", "--copy-images", "for-cvat"))
    names = {one.get("name") for one in root.iter("image")}
    found = {str(file.relative_to(world.folder / "for-cvat")) for file in (world.folder / "for-cvat").rglob("*.jpg")}
    assert len(found) == 1
    assert found < names
    base = ("review", "export", "--dataset", "review", "--out", "x", "--format", "csv")
    assert "is for --format cvat" in world(*base, "--copy-images", "y", code=2).err


HOSTILE = '"/><script>alert(1)</script>&amp;<!ENTITY'


def test_hostile_names_stay_names(world: Shell) -> None:
    fill(world, {"hostile": {"boxes": [(HOSTILE, 0.9, [10, 20, 100, 60])], "size": (640, 480)}})
    strange = line("../../x", [CAR], (640, 480), 30) | {"prediction_id": "strange", "image_id": "a/.."}
    (world.folder / "more.jsonl").write_text(json.dumps(strange))
    world("--quiet", "ingest", "more.jsonl")
    world("item", "add", "--dataset", "review", "strange")
    config = annotated(world)["hostile"]
    assert regions(config)[0]["value"]["rectanglelabels"] == [HOSTILE]
    labels = ElementTree.fromstring((world.folder / "out.labels.xml").read_text()).iter("Label")
    assert HOSTILE in [one.get("value") for one in labels]
    cvat = exported(world, "cvat")
    root = ElementTree.fromstring(cvat)
    assert HOSTILE in [one.get("label") for one in root.iter("box")]
    assert not [one for one in root.iter("image") if ".." in (one.get("name") or "").split("/")]
    for content in (cvat, exported(world, "coco"), json.dumps([config])):
        taken(world, content)
        assert ("hostile", 0, "correct", None, None, "exhaustive") in said(world)


def test_names_longer_than_a_file_can_have(world: Shell) -> None:
    long = line(f"{'x' * 400}.jpg", [CAR], None, 30) | {"prediction_id": "long"}
    (world.folder / "more.jsonl").write_text(json.dumps(long))
    (world.folder / "pictures").mkdir()
    world("--quiet", "ingest", "more.jsonl")
    world("item", "add", "--dataset", "review", "long")
    for format in ("label-studio", "cvat", "html"):
        exported(world, format, "--image-root", "pictures")
    names = [one.get("name") or "" for one in ElementTree.fromstring(exported(world, "cvat")).iter("image")]
    assert max(map(len, names)) < 200


def test_a_table_holds_no_formulas(world: Shell) -> None:
    formula = line("formula", [("@sum(1)", 0.9, [10, 20, 100, 60])], (640, 480), 30)
    formula |= {"prediction_id": "-1+1", "image_id": "=cmd().jpg"}
    (world.folder / "more.jsonl").write_text(json.dumps(formula))
    world("--quiet", "ingest", "more.jsonl")
    world("item", "add", "--dataset", "review", "--", "-1+1")
    rows = rows_of(exported(world, "csv"))
    (row,) = (row for row in rows if row["image_id"].endswith("cmd().jpg"))
    assert (row["image_id"], row["label"], row["prediction_id"]) == ("'=cmd().jpg", "'@sum(1)", "'-1+1")
    taken(world, as_csv([row | {"feedback_type": "wrong_label", "true_label": "'=car"}]))
    assert said(world) == [("-1+1", 0, "wrong_label", "=car", None, "exhaustive")]


def test_addresses_in_a_bucket_become_those_of_a_server(world: Shell) -> None:
    lines = [line("far", [CAR], (640, 480), 40) | {"image_uri": "s3://cams/day 1/far.jpg"}]
    (world.folder / "more.jsonl").write_text("\n".join(map(json.dumps, lines)))
    world("--quiet", "ingest", "more.jsonl")
    world("item", "add", "--dataset", "review", "far")
    assert annotated(world)["far"]["data"]["image"] == "s3://cams/day 1/far.jpg"
    mapped = annotated(world, "--image-root", "s3://cams/", "--url-prefix", "https://images.example.com/")
    assert mapped["far"]["data"]["image"] == "https://images.example.com/day%201/far.jpg"
    assert mapped["two"]["data"]["image"] == "https://images.example.com/cam1/two.jpg"


def test_what_counts_as_moved_is_a_setting(world: Shell) -> None:
    (world.folder / "detmon.toml").write_text("[quality]\nreview_iou = 0.5\n")
    task = annotated(world)["two"]
    regions(task)[0]["value"]["x"] += 3
    taken(world, json.dumps([task]))
    assert said(world, "two")[0][2] == "correct"


def test_a_review_in_the_future_is_rejected(world: Shell) -> None:
    task = annotated(world)["two"]
    task["annotations"][0]["updated_at"] = "2027-01-01T00:00:00Z"
    done = taken(world, json.dumps([task]))
    assert (done["items"], [one["code"] for one in done["rejections"]]) == (0, ["time_range"])


def test_a_label_that_only_a_failed_inference_has(world: Shell) -> None:
    failed = line("failed", [("ghost", 0.9, [1, 2, 30, 40])], (640, 480), 50) | {"status": "error"}
    (world.folder / "more.jsonl").write_text(json.dumps(failed))
    world("--quiet", "ingest", "more.jsonl")
    world("item", "add", "--dataset", "review", "failed")
    assert "ghost" in [one["name"] for one in json.loads(exported(world, "coco"))["categories"]]


def test_three_people_in_one_moment(world: Shell) -> None:
    """Looks are told apart by their times, so that the objects of one do not count with those of another."""
    task = annotated(world)["two"]
    draw(task)
    first = task["annotations"][0]
    task["annotations"] = [first | {"id": number, "completed_by": number} for number in (1, 2, 3)]
    taken(world, json.dumps([task]))
    assert [row[2] for row in said(world, "two")] == ["correct", "correct", "missed_object"]


def test_an_image_of_which_nothing_was_shown(world: Shell) -> None:
    rows = rows_of(exported(world, "csv", "--min-confidence", 0.95))
    next(row for row in rows if row["prediction_id"] == "two")["feedback_type"] = "correct"
    taken(world, as_csv(rows))
    assert said(world) == [("two", None, "correct", None, None, "exhaustive")]
    assert statuses(world)["two"] == "reviewed"


JUNK: tuple[Any, ...] = (
    *(None, "", 0, -1, 1e300, True, [], {}, [1], {"a": 1}, "x" * 3, [[]], "d0", "2026-13-01"),
    *(10**400, float("inf"), float("nan"), "\ud800", "0001-01-01T00:00:00+14:00", "9" * 5000),
)


def mangled(said: Any, rng: random.Random) -> Any:
    """A copy with something in it replaced, or missing."""
    copied = copy.deepcopy(said)
    at = copied
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = rng.choice(keys)
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.85:
            at = at[key]
        elif rng.random() < 0.3:
            del at[key]
            return copied
        else:
            at[key] = rng.choice(JUNK)
            return copied


@pytest.mark.parametrize("format", ["label-studio", "coco", "csv", "cvat"])
def test_files_with_anything_in_them(world: Shell, format: str) -> None:
    """Whatever stands in a file, it is taken, rejected or refused; nothing is unexpected."""
    from detmon import Client, DetmonError

    if format == "label-studio":
        said_: Any = list(annotated(world).values())
    elif format == "coco":
        said_ = json.loads(exported(world, "coco"))
    else:
        said_ = exported(world, format).replace(",,,,,,,\n", ",correct,,,,,,\n")
    client, rng, taken_ = Client(world.folder / "detmon.duckdb"), random.Random(5), 0
    for number in range(60):
        if isinstance(said_, str):
            place = rng.randrange(len(said_))
            text = said_[:place] + rng.choice(["", "x", '"', "<", ",", "\n", "9" * 400]) + said_[place + 1 :]
        else:
            text = json.dumps(mangled(said_, rng))
        (world.folder / f"{number}").write_text(text)
        with suppress(DetmonError):
            client.import_review(world.folder / f"{number}")
            taken_ += 1
    assert taken_ > 10
