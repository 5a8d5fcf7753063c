"""What the regions of a reviewed image say of its boxes (docs/review.md, "What comes back")."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from detmon.review.tasks import XYWH, Box, Size
from detmon.stats.assignment import assign

NEAR = 0.5
"""A region whose id is lost is no stored box that it overlaps less."""


@dataclass(frozen=True)
class Region:
    """A box that came back, in pixels of the stored image; `id` is that of the box it was, or anything else."""

    id: str | None
    label: str | None
    xywh: XYWH


@dataclass(frozen=True)
class Verdict:
    """One row of feedback; `index` is None for a missed object, and for an image with nothing to judge.

    `line`: where it stands in its file, if it has a row of its own.
    """

    type: str
    index: int | None = None
    true_label: str | None = None
    xywh: XYWH | None = None
    region: str = ""
    line: int = 0


def judge(
    boxes: Sequence[Box], regions: Sequence[Region], unclear: Collection[str], size: Size | None, iou: float
) -> list[Verdict]:
    """One verdict a box, and one an object that no box is on.

    `unclear` are the ids of regions that cannot be read: their boxes get no verdict. From `iou` on a box has not been
    moved. Regions whose id is lost are matched with the boxes that are left.
    """
    kept = _by_id(boxes, regions, size)
    taken = {id(region) for region in kept.values()}
    loose = [region for region in regions if id(region) not in taken]
    gone = [box for box in boxes if box.index not in kept and box.id not in unclear]
    kept |= _matched(gone, loose, size)
    taken = {id(region) for region in kept.values()}
    judged = [_verdict(box, kept.get(box.index), size, iou) for box in boxes if box.id not in unclear]
    missed = [region for region in regions if id(region) not in taken]
    return judged + [
        Verdict("missed_object", None, one.label, one.xywh, one.id or f"+{n}") for n, one in enumerate(missed)
    ]


def _verdict(box: Box, region: Region | None, size: Size | None, iou: float) -> Verdict:
    if region is None:
        return Verdict("false_positive", box.index, region=box.id)
    assert box.xywh is not None
    moved = None if overlap(box.xywh, region.xywh, size) >= iou else region.xywh
    if region.label != box.label:
        return Verdict("wrong_label", box.index, region.label, moved, box.id)
    return Verdict("wrong_box" if moved else "correct", box.index, None, moved, box.id)


def _by_id(boxes: Sequence[Box], regions: Sequence[Region], size: Size | None) -> dict[int, Region]:
    """The region of each box that has its id; of several (a copied box keeps its id) the most alike."""
    by_id: dict[str, list[Region]] = {}
    for region in regions:
        if region.id:
            by_id.setdefault(region.id, []).append(region)
    found = {}
    for box in boxes:
        if same := by_id.get(box.id):
            found[box.index] = same[0] if len(same) == 1 else max(same, key=lambda one: _alike(box, one, size))
    return found


def _alike(box: Box, region: Region, size: Size | None) -> float:
    """The overlap, and 1 for the same label."""
    assert box.xywh is not None
    return overlap(box.xywh, region.xywh, size) + (box.label == region.label)


def _matched(boxes: Sequence[Box], regions: Sequence[Region], size: Size | None) -> dict[int, Region]:
    """Boxes and regions of one image that belong together: the assignment with the largest sum of likenesses."""
    pairs = {
        (n, k): _alike(box, region, size)
        for n, box in enumerate(boxes)
        for k, region in enumerate(regions)
        if box.xywh is not None and overlap(box.xywh, region.xywh, size) >= NEAR
    }
    return {boxes[n].index: regions[k] for n, k in assign(pairs)}


def overlap(one: XYWH, other: XYWH, size: Size | None) -> float:
    """The IoU of two boxes, as they are or within the image: tools cut what leaves it."""
    found = _iou(one, other)
    if size is None or found >= 1:
        return found
    return max(found, _iou(_within(one, size), _within(other, size)))


def _iou(one: XYWH, other: XYWH) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def _within(box: XYWH, size: Size) -> XYWH:
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], size[0]), min(box[1] + box[3], size[1])
    return left, top, right - left, bottom - top
