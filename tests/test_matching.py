"""Overlap of boxes and the statistics of an image's boxes, against plain arithmetic."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from logs import FIRST, Take, lines

from detmon import matching
from detmon.matching import CROWD, Boxes, match, overlaps, pairs, served


def iou(one: Any, other: Any) -> float:
    """Intersection over union of two boxes."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return float(shared / (one[2] * one[3] + other[2] * other[3] - shared))


def random_boxes(counts: list[int], seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    m = sum(counts)
    xywh = np.vstack([rng.random((2, m)) * 100, rng.random((2, m)) * 60 + 1]).astype(np.float32)
    return xywh, np.concatenate([[0], np.cumsum(counts)])


def test_every_pair_is_compared_once() -> None:
    xywh, offsets = random_boxes([0, 1, 2, 3, 7, 2, 70, 130, 5, 1])
    found = overlaps(xywh, offsets, 0.5)
    pairs = set()
    for image, (begin, end) in enumerate(pairwise(offsets.tolist())):
        all_pairs = {(i, j): iou(xywh[:, i], xywh[:, j]) for i, j in combinations(range(begin, end), 2)}
        if all_pairs:
            assert found.largest[image] == pytest.approx(max(all_pairs.values()), abs=1e-5)
        else:
            assert np.isnan(found.largest[image])
        pairs |= {pair for pair, value in all_pairs.items() if value >= 0.5}
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == pairs
    assert len(found.first) == len(pairs)


def test_a_crowd_of_equal_boxes_ends_early() -> None:
    n = 10 * CROWD
    found = overlaps(np.tile(np.array([[1], [2], [30], [40]], np.float32), n), np.array([0, n]), 0.95)
    assert found.largest.tolist() == [1.0]
    assert len(found.first) < 2 * n


def test_boxes_that_are_missing_overlap_nothing() -> None:
    xywh = np.array([[1, np.nan, 1], [1, np.nan, 1], [9, np.nan, 9], [9, np.nan, 9]], np.float32)
    found = overlaps(xywh, np.array([0, 3]), 0.9)
    assert (found.first.tolist(), found.second.tolist()) == ([0], [2])


def near(value: float | None) -> Any:
    """Equal within float32, or None."""
    return None if value is None else pytest.approx(value, rel=1e-5, abs=1e-6)


def random_record(k: int, rng: np.random.Generator) -> dict[str, Any]:
    """A record with 0 to 6 boxes, of which some have no score or no box."""
    boxes = []
    for _ in range(k % 7):
        bbox = [round(float(side), 1) for side in (*rng.random(2) * 300, *rng.random(2) * 90 + 1)]
        score = round(float(rng.random()), 4)
        boxes.append(
            {
                "label": "car",
                "confidence": None if rng.random() < 0.1 else score,
                "bbox": None if rng.random() < 0.1 else bbox,
            }
        )
    return {**FIRST, "image_id": str(k), "detections": boxes}


def test_statistics_of_stored_records(take: Take) -> None:
    rng = np.random.default_rng(1)
    records = [random_record(k, rng) for k in range(60)]
    for row, record in zip(take(lines(*records)).rows, records, strict=True):
        scores = [box["confidence"] for box in record["detections"] if box["confidence"] is not None]
        boxes = [box["bbox"] for box in record["detections"] if box["bbox"] is not None]
        areas = [box[2] * box[3] / (640 * 480) for box in boxes]
        assert (row["n_detections"], row["confidence_n"]) == (len(record["detections"]), len(scores))
        assert row["confidence_sum"] == sum(round(score * 1e6) for score in scores) / 1e6
        assert row["confidence_min"] == near(min(scores, default=None))
        assert row["confidence_max"] == near(max(scores, default=None))
        assert row["area_min"] == near(min(areas, default=None))
        assert row["area_max"] == near(max(areas, default=None))
        largest = max((iou(one, other) for one, other in combinations(boxes, 2)), default=0.0)
        assert row["max_iou"] == near(None if row["n_detections"] < 2 else largest)


# --- detections and true objects ---


def by_hand(detections: Any, scores: Any, objects: Any, ignored: Any) -> tuple[list[str], list[str], list[int]]:
    """Types, kinds and missed objects of one image by plain loops; boxes are (label, box)."""
    order = sorted(range(len(scores)), key=lambda k: -scores[k])
    real = [k for k in range(len(objects)) if not ignored[k]]
    used: dict[int, int] = {}
    types, kinds = [""] * len(scores), [""] * len(scores)
    for k in order:
        label, box = detections[k]
        fitting = [(iou(box, objects[o][1]), -o) for o in real if o not in used and objects[o][0] == label]
        if fitting and max(fitting)[0] >= 0.5:
            used[-max(fitting)[1]] = k
            types[k] = "correct"
    claimed: set[int] = set()
    for k in order:
        label, box = detections[k]
        inside = [
            o
            for o in range(len(objects))
            if ignored[o] and objects[o][0] in (label, -1) and share(box, objects[o][1]) > 0.5
        ]
        if types[k] or inside:
            continue
        near = max(((iou(box, objects[o][1]), -o) for o in real if objects[o][0] == label), default=(0.0, 1))
        other = max(((iou(box, objects[o][1]), -o) for o in real if objects[o][0] != label), default=(0.0, 1))
        twin = max((iou(box, objects[o][1]) for o in used if objects[o][0] == label), default=0.0)
        if not real:
            kinds[k] = "Bkg"
        elif 0.1 <= near[0] <= 0.5:
            kinds[k] = "Loc"
        elif other[0] >= 0.5:
            kinds[k] = "Cls"
        elif twin >= 0.5:
            kinds[k] = "Dupe"
        else:
            kinds[k] = "Bkg" if max(near[0], other[0]) <= 0.1 else "Both"
        wanted = {"Loc": -near[1], "Cls": -other[1]}.get(kinds[k])
        if wanted is not None and wanted not in used and wanted not in claimed:
            claimed.add(wanted)
            types[k] = {"Loc": "wrong_box", "Cls": "wrong_label"}[kinds[k]]
        else:
            types[k] = "false_positive"
    return types, kinds, [o for o in real if o not in used and o not in claimed]


def share(one: Any, other: Any) -> float:
    """Intersection over the area of the first box."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return float(max(width, 0.0) * max(height, 0.0) / (one[2] * one[3]))


def test_matching_like_plain_loops() -> None:
    rng = np.random.default_rng(5)
    scenes = []
    for _ in range(300):
        objects = [(int(rng.integers(3)), np.round([*rng.random(2) * 40, *rng.random(2) * 30 + 4])) for _ in range(6)]
        objects = objects[: int(rng.integers(7))]
        ignored = [bool(rng.random() < 0.2) for _ in objects]
        objects = [(-1 if bad and rng.random() < 0.5 else o[0], o[1]) for o, bad in zip(objects, ignored, strict=True)]
        detections = [
            (int(rng.integers(3)) if rng.random() < 0.4 else label, np.round(box + rng.normal(0, 4, 4)).clip(1))
            for label, box in objects * 2
        ] + [(int(rng.integers(3)), np.round([*rng.random(2) * 40, *rng.random(2) * 30 + 4]))]
        scores = np.round(rng.random(len(detections)), 1).tolist()
        scenes.append((detections, scores, objects, ignored))
    types, kinds, missed, n = [], [], [], 0
    for scene in scenes:
        one = by_hand(*scene)
        types += one[0]
        kinds += one[1]
        missed += [n + place for place in one[2]]
        n += len(scene[2])
    boxes = [flat([scene[place] for scene in scenes]) for place in (0, 2)]
    scores = np.array([score for scene in scenes for score in scene[1]])
    ignored = np.array([flag for scene in scenes for flag in scene[3]])
    got = match(boxes[0], scores, boxes[1], ignored)
    assert got.type.tolist() == types
    assert got.kind.tolist() == kinds
    assert got.missed.tolist() == missed
    counts = {name: types.count(name) for name in set(types)}
    found = counts["correct"] + counts["wrong_box"] + counts["wrong_label"]
    assert found + len(missed) == int((~ignored).sum())  # every object is found, claimed or missed
    figures = served(got)
    assert (figures.objects, figures.correct, figures.tide["Miss"]) == (
        found + len(missed),
        counts["correct"],
        len(missed),
    )
    assert figures.tide["Loc"] == kinds.count("Loc")


def flat(images: Any) -> Boxes:
    """The boxes of many images, one list an image."""
    owner = [k for k, boxes in enumerate(images) for _ in boxes]
    labels = [label for boxes in images for label, _ in boxes]
    sides = [box for boxes in images for _, box in boxes]
    return Boxes(np.array(owner, np.int64), np.array(labels, np.int64), np.array(sides, float).reshape(-1, 4).T)


@pytest.mark.parametrize(("detections", "objects"), [(0, 0), (0, 2), (3, 0)])
def test_nothing_to_match(detections: int, objects: int) -> None:
    box = (0, [0.0, 0.0, 4.0, 4.0])
    got = match(flat([[box] * detections]), np.full(detections, 0.5), flat([[box] * objects]), np.zeros(objects, bool))
    assert got.type.tolist() == ["false_positive"] * detections
    assert len(got.missed) == objects


def test_pairs_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    images = [[(0, [*rng.random(2) * 9, 5.0, 5.0]) for _ in range(rng.integers(0, 9))] for _ in range(30)]
    whole = pairs(flat(images), flat(images[::-1]), 0.1)
    monkeypatch.setattr(matching, "PAIRS", 7)
    parts = pairs(flat(images), flat(images[::-1]), 0.1)
    assert len(whole.iou) > 30
    for name in ("detection", "object", "iou", "inside"):
        assert getattr(whole, name).tolist() == getattr(parts, name).tolist()
