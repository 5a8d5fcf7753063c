"""Overlap of boxes. Boxes are `[x, y, width, height]`, top-left corner, any unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Places = NDArray[np.int64]

BLOCK = 1 << 15
"""Boxes compared at a time: their corners stay in the processor's cache."""
CROWD = 1024
"""In images with more boxes, each is compared with so many of its neighbours, from left to right."""


@dataclass(frozen=True)
class Overlaps:
    """`largest`: the largest IoU of two boxes of each image, shape (images,), NaN with fewer than two boxes.

    `first`, `second`, `iou`: the pairs (places in the flat arrays) that overlap by at least what was asked for.
    """

    largest: Numbers
    first: Places
    second: Places
    iou: Numbers


def overlaps(xywh: Numbers, offsets: Places, at_least: float) -> Overlaps:
    """Compare all boxes of each image with one another.

    `xywh` has shape (4, boxes); image i owns the boxes offsets[i]:offsets[i+1]. Images with the same number n of boxes
    are compared together: n - 1 shifts give exactly n(n-1)/2 pairs each. A box that is not finite overlaps nothing.
    """
    import numpy as np

    counts = np.diff(offsets)
    largest = np.full(len(counts), np.nan, np.float32)
    pairs: list[tuple[Places, Places, Numbers]] = []
    order = np.argsort(counts, kind="stable")
    sizes, starts = np.unique(counts[order], return_index=True)
    bounds = [*starts.tolist(), len(order)]
    for place, n in enumerate(sizes.tolist()):
        if n < 2:
            continue
        images = order[bounds[place] : bounds[place + 1]]
        step = max(1, BLOCK // n)
        for begin in range(0, len(images), step):
            some = images[begin : begin + step]
            boxes = offsets[some][None, :] + np.arange(n)[:, None]
            largest[some] = _compare(xywh, boxes, at_least, pairs)
    if not pairs:
        none = np.empty(0, np.int64)
        return Overlaps(largest, none, none, np.empty(0, np.float32))
    first, second, iou = (np.concatenate([pair[k] for pair in pairs]) for k in range(3))
    return Overlaps(largest, first, second, iou)


def _compare(xywh: Numbers, boxes: Places, at_least: float, pairs: list[tuple[Places, Places, Numbers]]) -> Numbers:
    """The largest IoU of each column of `boxes`, shape (n, images); pairs of at least `at_least` go to `pairs`."""
    import numpy as np

    x, y, w, h = (np.nan_to_num(side[boxes], nan=0.0, posinf=0.0, neginf=0.0) for side in xywh)
    n = len(boxes)
    if n > 64:  # sorted from left to right, the shifts end when no box begins before another ends
        by_x = np.argsort(x, axis=0)
        x, y, w, h, boxes = (np.take_along_axis(side, by_x, axis=0) for side in (x, y, w, h, boxes))
    right, bottom, area = x + w, y + h, w * h
    best = np.zeros(boxes.shape[1], np.float32)
    for k in range(1, n):
        if n > 64 and ((x[k:] >= right[:-k]).all() or (n > CROWD and (k > CROWD or best.min() > 0.999))):
            break
        width = np.minimum(right[k:], right[:-k]) - np.maximum(x[k:], x[:-k])
        height = np.minimum(bottom[k:], bottom[:-k]) - np.maximum(y[k:], y[:-k])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = np.maximum(area[k:] + area[:-k] - shared, np.finfo(np.float32).tiny)
        iou = shared / union
        np.maximum(best, iou.max(axis=0), out=best)
        if best.max() >= at_least:
            row, column = np.nonzero(iou >= at_least)
            one, other = boxes[row, column], boxes[row + k, column]
            pairs.append((np.minimum(one, other), np.maximum(one, other), iou[row, column].astype(np.float32)))
    return best
