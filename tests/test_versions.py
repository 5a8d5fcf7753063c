"""Versions of datasets: what is in them, and that it stays."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell
from pictures import draw
from reviewed_world import BUS, CAR, create, ingest, judge, labels, line, reviewed, said

from detmon.datasets import split
from detmon.datasets.split import Group

CASES: dict[str, tuple[list[dict[str, Any]], list[Any] | str]] = {
    "correct": ([said("i", "correct", 0)], [("car", *CAR)]),
    "nothing there": ([said("i", "false_positive", 0)], []),
    "wrong label": ([said("i", "wrong_label", 0, true_label="van")], [("van", *CAR)]),
    "wrong label and box": ([said("i", "wrong_label", 0, true_label="van", bbox=BUS)], [("van", *BUS)]),
    "wrong box": ([said("i", "wrong_box", 0, bbox=BUS)], [("car", *BUS)]),
    "missed": (
        [said("i", "correct", 0), said("i", "missed_object", true_label="bus", bbox=BUS)],
        [("bus", *BUS), ("car", *CAR)],
    ),
    "only a missed one": ([said("i", "missed_object", true_label="bus", bbox=BUS)], "unjudged_boxes"),
    "wrong label without the true one": ([said("i", "wrong_label", 0)], "no_true_label"),
    "wrong box without the true one": ([said("i", "wrong_box", 0)], "no_true_box"),
    "missed without box": ([said("i", "correct", 0), said("i", "missed_object", true_label="bus")], "no_true_box"),
    "missed without label": ([said("i", "correct", 0), said("i", "missed_object", bbox=BUS)], "no_true_label"),
    "newest counts": (
        [
            said("i", "false_positive", 0, timestamp="2026-11-20T09:00:00Z"),
            said("i", "correct", 0, timestamp="2026-11-20T10:00:00Z"),
        ],
        [("car", *CAR)],
    ),
}


def test_labels_are_what_reviews_made_of_the_boxes(detmon: Shell) -> None:
    lines = [line(name, ("car", 0.9, CAR)) for name in CASES]
    reviewed(detmon, lines, [{**one, "prediction_id": name} for name, (said, _) in CASES.items() for one in said])
    made = create(detmon, "v1")
    kept = {name: expected for name, (_, expected) in CASES.items() if not isinstance(expected, str)}
    assert labels(detmon, "v1") == kept
    aside = detmon("sql", "SELECT image_id, reason FROM version_left_out", "--format", "json").json
    expected = {name: expected for name, (_, expected) in CASES.items() if isinstance(expected, str)}
    assert {row["image_id"]: row["reason"] for row in aside} == expected
    assert (made["items"], made["left_out"]) == (len(kept), len(expected))
    assert made["annotations"] == sum(map(len, kept.values()))
    assert made["reasons"] == dict(Counter(expected.values()))
    assert set(made["reasons"]) < {warning["code"] for warning in made["warnings"]}


def test_two_boxes_one_unjudged_below_what_was_served(detmon: Shell) -> None:
    """Below the lowest confidence that anybody judged nothing was served: such a box is neither right nor wrong."""
    served, faint = line("i", ("car", 0.9, CAR), ("bus", 0.1, BUS)), line("j", ("car", 0.9, CAR), ("bus", 0.95, BUS))
    reviewed(detmon, [served, faint], [said("i", "correct", 0), said("j", "correct", 0)])
    made = create(detmon, "v1")
    assert labels(detmon, "v1") == {"i": [("car", *CAR)]}
    assert made["reasons"] == {"unjudged_boxes": 1}


def test_ground_truth_finds_all_objects(detmon: Shell) -> None:
    reviewed(detmon, [line("i.jpg", ("car", 0.9, CAR), ("bus", 0.3, BUS))], [])
    truth = {
        "images": [{"id": 1, "file_name": "i.jpg"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": CAR}],
    }
    (detmon.folder / "truth.json").write_text(json.dumps(truth))
    detmon("feedback", "match", "truth.json", "--model", "m", "--min-confidence", "0.5")
    create(detmon, "v1")
    assert labels(detmon, "v1") == {"i.jpg": [("car", *CAR)]}


def test_images_without_objects_are_labels_too(detmon: Shell) -> None:
    reviewed(detmon, [line("i")], [{"prediction_id": "i", "feedback_type": "correct"}])
    made = create(detmon, "v1")
    assert labels(detmon, "v1") == {"i": []}
    assert [one["code"] for one in made["warnings"]] == ["boxes_only", "no_validation"]


def test_set_to_reviewed_by_hand_says_nothing_of_the_boxes(detmon: Shell) -> None:
    reviewed(detmon, [line("i"), line("j", ("car", 0.5, CAR))], [])
    for item in detmon("item", "list", "--dataset", "review", "--json").json:
        detmon("item", "set", item["item_id"], "--status", "reviewed")
    assert create(detmon, "v1")["reasons"] == {"no_verdict": 1, "unjudged_boxes": 1}


def test_nothing_reviewed_is_allowed_with_a_warning(detmon: Shell) -> None:
    detmon("dataset", "create", "review")
    done = detmon("version", "create", "review", "--name", "v1")
    assert "warning: no_items: the version is empty" in done.err
    assert detmon("version", "show", "v1", "--json").json["items"] == 0


def test_a_version_never_changes(detmon: Shell) -> None:
    """Later verdicts, statuses, removed rows, other labels: what was made stays, the next version differs."""
    reviewed(
        detmon,
        [line("a", ("car", 0.9, CAR)), line("b", ("car", 0.9, CAR)), line("c", ("car", 0.9, CAR))],
        [said(one, "correct", 0) for one in "abc"],
    )
    first = create(detmon, "v1")
    before = labels(detmon, "v1")
    judge(detmon, [said("a", "wrong_label", 0, true_label="van")], "more.jsonl")
    items = {one["image_id"]: one["item_id"] for one in detmon("item", "list", "--dataset", "review", "--json").json}
    detmon("item", "set", items["b"], "--status", "ignored")
    detmon("prune", "--older-than", "1d")
    second = create(detmon, "v2", "--parent", "v1")
    assert labels(detmon, "v1") == before
    assert detmon("version", "show", "v1", "--json").json["digest"] == first["digest"] != second["digest"]
    assert labels(detmon, "v2") == {"a": [("van", *CAR)], "c": [("car", *CAR)]}
    assert second["reasons"] == {"ignored": 1}
    assert second["parents"] == [first["id"]]
    assert detmon("version", "show", "v1", "--json").json["children"] == [second["id"]]


def test_the_parent_keeps_what_the_store_has_lost(detmon: Shell) -> None:
    reviewed(detmon, [line(one, ("car", 0.9, CAR)) for one in "ab"], [said(one, "correct", 0) for one in "ab"])
    first = create(detmon, "v1")
    from detmon.store import Store

    with Store(detmon.folder / "detmon.duckdb").writing() as con:
        con.execute("DELETE FROM predictions WHERE prediction_id = 'a'")
    assert set(labels(detmon, create(detmon, "alone")["id"])) == {"b"}
    second = create(detmon, "v2", "--parent", "v1")
    assert (second["items"], second["digest"]) == (2, first["digest"])


def test_the_same_content_has_the_same_digest(detmon: Shell) -> None:
    lines = [line(f"i{n}", ("car", 0.9, CAR), source=f"cam{n % 3}") for n in range(9)]
    reviewed(detmon, lines, [said(f"i{n}", "correct", 0) for n in range(9)])
    first = create(detmon, "v1")
    ingest(detmon, [line("other")], "other.jsonl")
    second = create(detmon, "v2")
    assert first["id"] != second["id"]
    assert first["digest"] == second["digest"]
    again = create(detmon, "v1")
    assert again["id"] == first["id"]
    assert len(detmon("version", "list", "--json").json) == 2
    (detmon.folder / "elsewhere").mkdir()
    detmon.monkeypatch.chdir(detmon.folder / "elsewhere")
    there = Shell(detmon.folder / "elsewhere", detmon.monkeypatch, detmon.capfd)
    reviewed(there, reversed(lines), [said(f"i{n}", "correct", 0) for n in range(9)])
    assert create(there, "x")["digest"] == first["digest"]


def test_a_name_in_use_is_refused(detmon: Shell) -> None:
    reviewed(detmon, [line("a", ("car", 0.9, CAR))], [said("a", "correct", 0)])
    create(detmon, "v1")
    judge(detmon, [said("a", "wrong_label", 0, true_label="van")], "more.jsonl")
    refused = detmon("version", "create", "review", "--name", "v1", code=2)
    assert "has a version 'v1' already" in refused.err
    assert len(detmon("version", "list", "--json").json) == 1


def test_names_and_ids(detmon: Shell) -> None:
    for name in ("one", "two"):
        detmon("dataset", "create", name)
    first, second = (create(detmon, "v1", dataset=name) for name in ("one", "two"))
    several = detmon("version", "show", "v1", code=2)
    assert first["id"] in several.err
    assert second["id"] in several.err
    assert "did you mean 'v1'" in detmon("version", "show", "v11", code=2).err
    assert create(detmon, "v2", "--parent", "v1", dataset="two")["parents"] == [second["id"]]
    assert "unknown dataset" in detmon("version", "create", "three", "--name", "x", code=2).err
    assert "needs a name" in detmon("version", "create", "one", "--name", " ", code=2).err
    assert "--val must lie" in detmon("version", "create", "one", "--name", "x", "--val", "1", code=2).err


def test_two_predictions_of_an_image_are_one_label(detmon: Shell) -> None:
    """The newer prediction's review counts: one image has one set of labels."""
    old = line("a.jpg", ("car", 0.9, CAR), id="old")
    new = line("a.jpg", ("bus", 0.9, CAR), id="new", timestamp="2026-11-20T09:00:00Z")
    other = line("a.jpg", ("dog", 0.9, CAR), id="other", source="cam2")
    reviewed(detmon, [old, new, other], [said(one, "correct", 0) for one in ("old", "new", "other")])
    made = create(detmon, "v1")
    assert (made["items"], made["reasons"], made["classes"]) == (2, {"same_image": 1}, {"bus": 1, "dog": 1})


def test_diff(detmon: Shell) -> None:
    lines = [line(one, ("car", 0.9, CAR)) for one in "abcd"]
    reviewed(detmon, lines, [said(one, "correct", 0) for one in "abc"])
    create(detmon, "v1")
    judge(detmon, [said("a", "wrong_label", 0, true_label="van"), said("d", "correct", 0)], "more.jsonl")
    items = {one["image_id"]: one["item_id"] for one in detmon("item", "list", "--dataset", "review", "--json").json}
    detmon("item", "set", items["b"], "--status", "ignored")
    create(detmon, "v2", "--parent", "v1")
    found = detmon("version", "diff", "v1", "v2", "--json").json
    assert [(one["change"], one["image_id"]) for one in found["changes"]] == [
        ("added", "d"),
        ("changed", "a"),
        ("removed", "b"),
    ]
    assert (found["added"], found["removed"], found["changed"]) == (1, 1, 1)
    assert found["classes"] == {"car": {"before": 3, "after": 2}, "van": {"before": 0, "after": 1}}
    changed = found["changes"][1]
    assert changed["before"] == [{"label": "car", **dict(zip("xywh", CAR, strict=True))}]
    assert changed["after"][0]["label"] == "van"
    rows = detmon("version", "diff", "v1", "v2", "--format", "jsonl").out.splitlines()
    assert [json.loads(row)["item_id"] for row in rows] == [one["item_id"] for one in found["changes"]]
    shown = detmon("version", "diff", "v1", "v2").out
    assert "1 images added, 1 removed, 1 changed" in shown
    assert "1 car → 1 van" in shown
    nothing = detmon("version", "diff", "v2", "v2", "--json").json
    assert (nothing["added"], nothing["removed"], nothing["changed"], nothing["changes"]) == (0, 0, 0, [])


@pytest.mark.parametrize("failpoint", ["version.written"])
def test_a_killed_create_leaves_nothing(detmon: Shell, failpoint: str) -> None:
    reviewed(detmon, [line("a", ("car", 0.9, CAR))], [said("a", "correct", 0)])
    killed = detmon.process("version", "create", "review", "--name", "v1", env={"DETMON_FAILPOINT": failpoint})
    assert killed.returncode == -9
    assert detmon("version", "list", "--json").json == []
    assert detmon("sql", "SELECT count(*) AS n FROM version_items", "--format", "json").json == [{"n": 0}]
    assert create(detmon, "v1")["items"] == 1


# --- the split ---


def test_a_source_s_day_is_never_on_both_sides_and_the_share_is_near(detmon: Shell) -> None:
    start = datetime(2026, 10, 1, 6)
    lines = [
        line(f"{camera}-{n}", source=camera, timestamp=(start + timedelta(hours=7 * n)).isoformat() + "Z")
        for camera in ("cam1", "cam2", "cam3", "cam4")
        for n in range(100)
    ]
    reviewed(detmon, lines, [said(one["prediction_id"], "correct") for one in lines])
    made = create(detmon, "v1")
    sides = detmon(
        "sql",
        "SELECT source, taken_at::DATE AS day, count(DISTINCT split) AS sides FROM version_items GROUP BY ALL",
        "--format",
        "json",
    ).json
    assert len(sides) > 100
    assert {row["sides"] for row in sides} == {1}
    assert abs(made["val"] / made["items"] - 0.2) < 0.08
    other = create(detmon, "half", "--val", "0.5")
    assert abs(other["val"] / other["items"] - 0.5) < 0.1
    assert create(detmon, "salted", "--salt", "x")["digest"] != made["digest"]
    assert create(detmon, "none", "--val", "0")["val"] == 0


def test_a_child_keeps_its_parent_s_sides(detmon: Shell) -> None:
    lines = [line(f"i{n}", source=f"cam{n}") for n in range(40)]
    ingest(detmon, lines)
    detmon("dataset", "create", "review")
    detmon("item", "add", "--dataset", "review", *(f"i{n}" for n in range(40)))
    judge(detmon, [said(f"i{n}", "correct") for n in range(2)])
    create(detmon, "v1", "--val", "0.01")
    sides = "SELECT image_id, split FROM version_items JOIN dataset_versions v ON v.id = version_id WHERE v.name = '{}'"
    before = {row["image_id"]: row["split"] for row in detmon("sql", sides.format("v1"), "--format", "json").json}
    assert sorted(before.values()) == ["train", "val"]
    judge(detmon, [said(f"i{n}", "correct") for n in range(2, 40)], "more.jsonl")
    refused = detmon("version", "create", "review", "--name", "v2", "--parent", "v1", "--val", "0.5", code=2)
    assert "the parent's split holds" in refused.err
    create(detmon, "v2", "--parent", "v1")
    after = {row["image_id"]: row["split"] for row in detmon("sql", sides.format("v2"), "--format", "json").json}
    assert before.items() <= after.items()


def test_one_source_and_day_cannot_be_divided(detmon: Shell) -> None:
    reviewed(detmon, [line(one) for one in "abcdef"], [said(one, "correct") for one in "abcdef"])
    made = create(detmon, "v1")
    assert (made["train"], made["val"]) == (6, 0)
    assert "no_validation" in [warning["code"] for warning in made["warnings"]]


@pytest.mark.parametrize(
    ("groups", "share", "expected"),
    [
        ([], 0.2, {}),
        ([Group("a", 5)], 1 - 1e-9, {"a": "train"}),
        ([Group("a", 5), Group("b", 1)], 0.0, {"a": "train", "b": "train"}),
        ([Group("a", 5, "val"), Group("b", 1, "train")], 0.0, {"a": "val", "b": "train"}),
        ([Group("a", 5, "train"), Group("b", 1, "train")], 0.5, {"a": "train", "b": "train"}),
        ([Group("a", 5, "train"), Group("b", 1)], 1e-9, {"a": "train", "b": "val"}),
        ([Group("a", 5, "val"), Group("b", 1)], 1 - 1e-9, {"a": "val", "b": "train"}),
    ],
)
def test_sides(groups: list[Group], share: float, expected: dict[str, str]) -> None:
    assert split.sides(groups, "s", share) == expected


def test_no_side_is_empty_where_there_are_two_groups() -> None:
    for n in range(2, 12):
        found = split.sides([Group(f"{n}-{k}", 1) for k in range(n)], "detmon", 0.2)
        assert set(found.values()) == {"train", "val"}


def test_places_are_spread_evenly() -> None:
    places = [split.place("detmon", str(n)) for n in range(2000)]
    assert abs(sum(place < 0.2 for place in places) / 2000 - 0.2) < 0.03


# --- given labels ---


def coco(folder: Path, name: str = "annotations/instances_train.json", **more: Any) -> Path:
    """A COCO file with two images."""
    found = {
        "images": [
            {"id": 1, "file_name": "a b.jpg", "width": 640, "height": 480},
            {"id": 2, "file_name": "sub/ä.jpg", "width": 100, "height": 80},
        ],
        "categories": [{"id": 7, "name": "car"}, {"id": 9, "name": "bus"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10.125, 20, 100, 60], "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": BUS},
            {"id": 3, "image_id": 1, "category_id": 9, "bbox": BUS, "iscrowd": 1},
        ],
    }
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found | more))
    return path


def test_given_coco_labels_are_a_first_version(detmon: Shell) -> None:
    file = coco(detmon.folder)
    picture = detmon.folder / "images" / "train" / "a b.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a picture")
    detmon("dataset", "create", "review")
    made = create(detmon, "v1", "--from", file)
    assert labels(detmon, "v1") == {"a b.jpg": [("bus", *BUS), ("car", 10.125, 20, 100, 60)], "sub/ä.jpg": []}
    assert (made["train"], made["val"], made["origin"]) == (2, 0, str(file))
    assert "ignored_regions" in [warning["code"] for warning in made["warnings"]]
    found = detmon("sql", "SELECT image_id, image_uri, image_width FROM version_items ORDER BY ALL", "--format", "json")
    assert found.json == [
        {"image_id": "a b.jpg", "image_uri": str(picture), "image_width": 640},
        {"image_id": "sub/ä.jpg", "image_uri": None, "image_width": 100},
    ]


def test_a_folder_of_coco_files_keeps_its_split(detmon: Shell) -> None:
    for side in ("train", "val", "test"):
        coco(detmon.folder / "set", f"annotations/instances_{side}2017.json")
    detmon("dataset", "create", "review")
    made = create(detmon, "v1", "--from", "set")
    assert (made["train"], made["val"], made["test"]) == (2, 2, 2)


def test_coco_without_a_split_is_divided_image_by_image(detmon: Shell) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 9, "height": 9} for n in range(100)]
    detmon("dataset", "create", "review")
    made = create(detmon, "v1", "--from", coco(detmon.folder, "all.json", images=images, annotations=[]))
    assert 10 <= made["val"] <= 30
    stamped = [{**one, "date_captured": "2020-01-01 00:00:00"} for one in images]
    same = create(detmon, "v2", "--from", coco(detmon.folder, "all.json", images=stamped, annotations=[]))
    assert same["val"] == made["val"]
    dated = [{**one, "date_captured": f"2020-01-{1 + one['id'] // 50:02} 00:00:00"} for one in images]  # type: ignore[operator]
    days = create(detmon, "v3", "--from", coco(detmon.folder, "all.json", images=dated, annotations=[]))
    assert days["val"] == 50


def test_given_labels_and_reviews_are_one_version(detmon: Shell) -> None:
    reviewed(detmon, [line("i", ("car", 0.9, CAR))], [said("i", "correct", 0)])
    first = create(detmon, "v1", "--from", coco(detmon.folder))
    assert set(labels(detmon, "v1")) == {"a b.jpg", "sub/ä.jpg"}
    second = create(detmon, "v2", "--parent", "v1")
    assert set(labels(detmon, "v2")) == {"a b.jpg", "sub/ä.jpg", "i"}
    assert second["parents"] == [first["id"]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x", "is no ground truth"),
        ('{"images": []}', "is no COCO dataset"),
        ('{"images": [], "annotations": [', "cut off or damaged"),
        ("<annotations><version>1.1</version></annotations>", "neither COCO nor YOLO"),
    ],
)
def test_what_is_no_label_is_refused(detmon: Shell, content: str, says: str) -> None:
    detmon("dataset", "create", "review")
    (detmon.folder / "f.json").write_text(content)
    assert says in detmon("version", "create", "review", "--name", "v1", "--from", "f.json", code=None).err
    assert detmon("version", "list", "--json").json == []


def test_roboflow_s_yolo_folder(detmon: Shell) -> None:
    """Pictures and texts lie in a folder a split, which `data.yaml` names by a path that is not right."""
    for side, name in (("train", "a"), ("valid", "a"), ("test", "b")):
        draw(detmon.folder / "set" / side / "images" / f"{name}.png", 200, 100)
        text = detmon.folder / "set" / side / "labels" / f"{name}.txt"
        text.parent.mkdir(parents=True)
        text.write_text("1 0.5 0.5 0.1 0.2\n" if side != "test" else "")
    (detmon.folder / "set" / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['bus', 'car']\n"
    )
    detmon("dataset", "create", "review")
    made = create(detmon, "v1", "--from", "set")
    assert (made["train"], made["val"], made["test"], made["classes"]) == (1, 1, 1, {"car": 2})
    assert labels(detmon, "v1") == {"a.png": [("car", 90, 40, 20, 20)], "b.png": []}
    export = detmon("export", "v1", "--format", "yolo", "--out", "out", "--json").json
    assert export["images"] == 3
    assert len(list((detmon.folder / "out" / "images").rglob("*.png"))) == 3


def test_a_yolo_folder_without_pictures(detmon: Shell) -> None:
    folder = detmon.folder / "set" / "labels" / "train"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("0 0.5 0.5 0.1 0.2\n")
    (folder / "b.txt").write_text("")
    (detmon.folder / "set" / "data.yaml").write_text("names: [car]\n")
    detmon("dataset", "create", "review")
    made = create(detmon, "v1", "--from", "set")
    assert (made["items"], made["reasons"]) == (1, {"no_size": 1})
