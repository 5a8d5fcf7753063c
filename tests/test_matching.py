"""Overlap of boxes and the statistics of an image's boxes, against plain arithmetic."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from logs import FIRST, Take, lines

from detmon.matching import CROWD, overlaps


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
