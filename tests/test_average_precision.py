"""COCO's average precision, against pycocotools; and what is matched, against plain loops."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detmon import matching
from detmon.stats.average_precision import AREAS, Candidates, Objects, Pairs, average_precision

Scene = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Detections and objects as COCO writes them; both image by image, images and categories numbered."""


def ours(scene: Scene, *, area: str = "all", limit: int = 100) -> Any:
    """Our figures for a scene."""
    found, true = (sorted(part, key=lambda box: box["image_id"]) for part in scene)
    boxes, objects = arrays(found), arrays(true)
    crowd = np.array([box.get("iscrowd", 0) == 1 for box in true], bool)
    every = matching.pairs(boxes, objects, 0.1)
    every = every.where(boxes.label[every.detection] == objects.label[every.object])
    overlap = np.where(crowd[every.object], every.inside, every.iou)
    sides = boxes.xywh
    return average_precision(
        Candidates(boxes.image, boxes.label, np.array([box["score"] for box in found]), sides[2] * sides[3]),
        Objects(objects.label, np.array([box["area"] for box in true], float), crowd, crowd),
        Pairs(every.detection, every.object, overlap),
        area=area,
        limit=limit,
    )


def arrays(boxes: list[dict[str, Any]]) -> matching.Boxes:
    return matching.Boxes(
        np.array([box["image_id"] for box in boxes], np.int64),
        np.array([box["category_id"] for box in boxes], np.int64),
        np.array([box["bbox"] for box in boxes], float).reshape(-1, 4).T,
    )


def theirs(scene: Scene) -> list[float]:
    """The twelve figures of pycocotools."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    found, true = scene
    with contextlib.redirect_stdout(io.StringIO()):
        truth, result = coco.COCO(), coco.COCO()
        images = [{"id": number} for number in sorted({box["image_id"] for box in (*found, *true)})]
        kinds = [{"id": number} for number in sorted({box["category_id"] for box in (*found, *true)})]
        for made, boxes in ((truth, true), (result, found)):
            made.dataset = {
                "images": images,
                "categories": kinds,
                "annotations": [
                    {"iscrowd": 0, "area": box["bbox"][2] * box["bbox"][3], **box, "id": number}
                    for number, box in enumerate(boxes, 1)
                ],
            }
            made.createIndex()
        judge = cocoeval.COCOeval(truth, result, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [float(value) for value in judge.stats]


def twelve(scene: Scene) -> list[float | None]:
    """The same figures of ours."""
    every = ours(scene)
    sized = [ours(scene, area=name) for name in ("small", "medium", "large")]
    few = [ours(scene, limit=limit) for limit in (1, 10)]
    return [
        *(every.map, every.map50, every.map75),
        *(one.map for one in sized),
        *(one.ar for one in (*few, every, *sized)),
    ]


def same(scene: Scene) -> None:
    for got, expected in zip(twelve(scene), theirs(scene), strict=True):
        assert (-1 if got is None else got) == pytest.approx(expected, abs=1e-9)


def random_scene(seed: int) -> Scene:
    """Crowds, areas of their own, equal scores, equal overlaps, images and classes without anything."""
    rng = np.random.default_rng(seed)
    images, kinds = int(rng.integers(1, 12)), int(rng.integers(1, 5))
    found: list[dict[str, Any]] = []
    true: list[dict[str, Any]] = []
    for image in range(images):
        for _ in range(rng.integers(0, 14)):
            box = np.round([*(rng.random(2) * 200), *(rng.random(2) * 150 + 1)], int(rng.integers(0, 3))).tolist()
            kind = int(rng.integers(kinds))
            true.append({"image_id": image, "category_id": kind, "bbox": box, "iscrowd": int(rng.random() < 0.15)})
            true[-1]["area"] = box[2] * box[3] * (0.6 if rng.random() < 0.3 else 1)
            for _ in range(rng.integers(0, 4)):
                moved = (np.array(box) + np.round(rng.normal(0, 6, 4))).tolist()
                moved[2:] = [max(1.0, side) for side in moved[2:]]
                label = kind if rng.random() < 0.8 else int(rng.integers(kinds + 1))
                score = float(np.round(rng.random(), int(rng.integers(1, 4))))
                found.append({"image_id": image, "category_id": label, "bbox": moved, "score": score})
        if rng.random() < 0.1:
            found += [
                {"image_id": image, "category_id": 0, "bbox": [*(rng.random(2) * 90), 60.0, 60.0], "score": 0.5}
                for _ in range(130)
            ]
    return found, true


@pytest.mark.parametrize("seed", range(40))
def test_like_pycocotools(seed: int) -> None:
    same(random_scene(seed))


@pytest.mark.parametrize("which", ["no detections", "no objects", "only crowds"])
def test_what_is_missing(which: str) -> None:
    found, true = random_scene(3)
    if which == "no detections":
        found = []
    elif which == "no objects":
        true = []
    else:
        true = [{**box, "iscrowd": 1} for box in true]
    got = ours((found, true))
    assert (got.map, got.ar) == ((0.0, 0.0) if which == "no detections" else (None, None))


LOGS = {
    "cameratrap/model_v0_log": "cameratrap/gt.json",
    "cameratrap/model_v1_log": "cameratrap/gt.json",
    "kitti/rrc_log": "kitti/gt.json",
    "bdd100k/log": "bdd100k/gt.json",
    "voc/log": "voc/gt.json",
    "mot15/TUD-Campus_log": "mot15/TUD-Campus_gt.json",
    "mot15/TUD-Stadtmitte_log": "mot15/TUD-Stadtmitte_gt.json",
}


def real_scene(log: Path, truth: Path) -> Scene:
    """A real log and its ground truth."""
    import pyarrow.parquet as pq

    said = json.loads(truth.read_text("utf-8"))
    name_of = {kind["id"]: kind["name"] for kind in said["categories"]}
    table = pq.read_table(log, columns=["image_id", "detections"]).to_pylist()
    number = {name: place for place, name in enumerate(sorted({row["image_id"] for row in table}))}
    file_of = {image["id"]: image["file_name"] for image in said["images"]}
    labels = set(name_of.values()) | {box["label"] for row in table for box in row["detections"]}
    kinds = {name: place for place, name in enumerate(sorted(labels))}
    found = [
        {
            **{"image_id": number[row["image_id"]], "category_id": kinds[box["label"]], "score": box["confidence"]},
            "bbox": [box["bbox"][side] for side in "xywh"],
        }
        for row in table
        for box in row["detections"]
        if box["bbox"] is not None
    ]
    true = [
        {**box, "image_id": number[file_of[box["image_id"]]], "category_id": kinds[name_of[box["category_id"]]]}
        for box in said["annotations"]
        if file_of[box["image_id"]] in number
    ]
    return found, true


@pytest.mark.parametrize("log", LOGS)
def test_real_logs(log: str, data: Path) -> None:
    same(real_scene(data / f"{log}.parquet", data / LOGS[log]))


def test_the_published_figures(data: Path) -> None:
    folder = data / "cameratrap"
    found = [ours(real_scene(folder / f"model_{v}_log.parquet", folder / "gt.json")).map for v in ("v0", "v1")]
    assert [round(value, 3) for value in found] == [0.834, 0.835]


def test_areas_meet() -> None:
    assert [AREAS[name][1] for name in ("small", "medium")] == [AREAS[name][0] for name in ("medium", "large")]
