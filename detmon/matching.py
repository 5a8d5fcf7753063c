"""Overlap of boxes, and detections matched with true objects. Boxes are `[x, y, width, height]`, top-left corner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Places = NDArray[np.int64]
    Flags = NDArray[np.bool_]

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


PAIRS = 1 << 21
"""Pairs of a detection and an object compared at a time."""
KINDS = ("Loc", "Cls", "Dupe", "Bkg", "Both", "Miss")
"""The kinds of error of TIDE (Bolya et al., 2020): place, class, duplicate, background, place and class, missed."""


@dataclass(frozen=True)
class Boxes:
    """Boxes of many images: `image` and `label` are places in lists of their own, shape (n,); `xywh` has shape (4, n).

    Boxes stand image by image, in ascending order; a label of -1 is none.
    """

    image: Places
    label: Places
    xywh: Numbers

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class Pairs:
    """Detections and objects of one image that overlap, the object last that was listed last.

    `inside` is the intersection over the detection's area.
    """

    detection: Places
    object: Places
    iou: Numbers
    inside: Numbers

    def where(self, kept: Flags) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.detection[kept], self.object[kept], self.iou[kept], self.inside[kept])


@dataclass(frozen=True)
class Matches:
    """What became of detections and objects.

    `type`: the verdict on each detection (docs/feedback.md), "" for one on a region to ignore; `kind`: its TIDE kind,
    "" when it is correct; `object`: the object that it found or claims, or -1. `missed`: objects that nothing found.
    """

    type: NDArray[np.str_]
    kind: NDArray[np.str_]
    object: Places
    missed: Places


def pairs(detections: Boxes, objects: Boxes, at_least: float) -> Pairs:
    """All pairs of one image whose IoU, or whose part of the detection inside the object, is `at_least` so much."""
    import numpy as np

    owners = np.arange(int(max(detections.image[-1:].max(initial=-1), objects.image[-1:].max(initial=-1))) + 2)
    starts = np.searchsorted(objects.image, owners)
    mine = np.diff(starts)[detections.image]
    ends = np.cumsum(mine)
    none, nothing = np.empty(0, np.int64), np.empty(0)
    found = [Pairs(none, none, nothing, nothing)]
    begin = 0
    while begin < len(detections):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + PAIRS, side="right")))
        some = np.arange(begin, end)
        detection = np.repeat(some, mine[some])
        nth = np.arange(len(detection)) - np.repeat(ends[some] - mine[some] - before, mine[some])
        object_ = starts[detections.image[detection]] + nth
        iou, inside = _overlap(detections.xywh[:, detection], objects.xywh[:, object_])
        every = Pairs(detection, object_, iou, inside)
        found.append(every.where((iou >= at_least) | (inside >= at_least)))
        begin = end
    return Pairs(
        np.concatenate([part.detection for part in found]),
        np.concatenate([part.object for part in found]),
        np.concatenate([part.iou for part in found]),
        np.concatenate([part.inside for part in found]),
    )


def _overlap(one: Numbers, other: Numbers) -> tuple[Numbers, Numbers]:
    """IoU, and the intersection over the first box's area; a box that is not finite overlaps nothing."""
    import numpy as np

    (x, y, w, h), (u, v, a, b) = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        width = np.minimum(x + w, u + a) - np.maximum(x, u)
        height = np.minimum(y + h, v + b) - np.maximum(y, v)
        shared = np.where((width > 0) & (height > 0), width * height, 0.0)
        iou, inside = shared / (w * h + a * b - shared), shared / (w * h)
    return np.nan_to_num(iou, nan=0.0), np.nan_to_num(inside, nan=0.0)


def match(
    detections: Boxes,
    confidence: Numbers,
    objects: Boxes,
    ignored: Flags,
    *,
    found: Pairs | None = None,
    iou: float = 0.5,
    background: float = 0.1,
) -> Matches:
    """Verdicts on detections from true objects; `ignored` objects are regions that count neither way.

    Of the same label, the most confident detection takes the best free object of at least `iou`. What is left gets a
    kind of TIDE, and takes the object that it found under a wrong label or with a wrong box, if that is free; else it
    is a false positive (docs/feedback.md). `found` are the pairs of at least `background`, where they are known.
    """
    import numpy as np

    every = pairs(detections, objects, background) if found is None else found
    same = detections.label[every.detection] == objects.label[every.object]
    real = ~ignored[every.object]
    rank = np.empty(len(detections), np.int64)
    rank[np.lexsort((np.arange(len(rank)), -np.nan_to_num(confidence, nan=-1.0)))] = np.arange(len(rank))
    taken = _take(every.where(same & real & (every.iou >= iou)), rank, len(detections))
    used = np.zeros(len(objects), bool)
    used[taken[taken >= 0]] = True
    excused = np.zeros(len(detections), bool)
    anything = objects.label[every.object] < 0
    excused[every.detection[~real & (same | anything) & (every.inside > 0.5)]] = True

    open_ = (taken < 0) & ~excused
    nearest = _best(every.where(real & same), len(detections))
    other = _best(every.where(real & ~same), len(detections))
    twin = _best(every.where(real & same & used[every.object]), len(detections))
    bare = ~np.isin(detections.image, objects.image[~ignored])
    tests = [
        bare,
        (nearest.iou >= background) & (nearest.iou <= iou),
        other.iou >= iou,
        twin.iou >= iou,
        np.maximum(nearest.iou, other.iou) <= background,
    ]
    kind = np.select(tests, ["Bkg", "Loc", "Cls", "Dupe", "Bkg"], "Both")
    kind[~open_] = ""
    wanted = np.select([kind == "Loc", kind == "Cls"], [nearest.object, other.object], -1)
    claims = _first(wanted, rank, used)
    type_ = np.select(
        [taken >= 0, excused, claims & (kind == "Loc"), claims & (kind == "Cls")],
        ["correct", "", "wrong_box", "wrong_label"],
        "false_positive",
    )
    object_ = np.where(claims, wanted, taken)
    free = ~ignored
    free[object_[object_ >= 0]] = False
    return Matches(type_, kind, object_, np.flatnonzero(free))


@dataclass(frozen=True)
class Served:
    """Quality of what was served. `tide`: how many errors of each kind; a share is None where nothing was judged."""

    correct: int
    judged: int
    objects: int
    precision: float | None
    recall: float | None
    f1: float | None
    tide: dict[str, int]


def served(matches: Matches) -> Served:
    """Precision, recall and F1 of the matched detections, and their errors by kind."""
    correct = int((matches.type == "correct").sum())
    judged = int((matches.type != "").sum())
    objects = int((matches.object >= 0).sum()) + len(matches.missed)
    tide = {kind: int((matches.kind == kind).sum()) for kind in KINDS}
    tide["Miss"] = len(matches.missed)
    return Served(
        correct,
        judged,
        objects,
        correct / judged if judged else None,
        correct / objects if objects else None,
        2 * correct / (judged + objects) if judged and objects else None,
        tide,
    )


def of_label(matches: Matches, detections: Boxes, objects: Boxes, label: int) -> Matches:
    """What became of the detections that carry a label, and of the objects that are of it.

    An object that a detection of another label found is a missed one of its own label.
    """
    import numpy as np

    mine = detections.label == label
    object_ = np.where(objects.label[matches.object] == label, matches.object, -1) if len(objects) else matches.object
    elsewhere = object_[~mine & (object_ >= 0)]
    missed = matches.missed[objects.label[matches.missed] == label]
    return Matches(matches.type[mine], matches.kind[mine], object_[mine], np.append(missed, elsewhere))


@dataclass(frozen=True)
class _Nearest:
    """The object that each detection overlaps most (of equals the first), -1 and 0 where there is none."""

    object: Places
    iou: Numbers


def _best(some: Pairs, n: int) -> _Nearest:
    import numpy as np

    object_, iou = np.full(n, -1, np.int64), np.zeros(n)
    order = np.lexsort((-some.object, some.iou))  # the last one written stays
    object_[some.detection[order]] = some.object[order]
    iou[some.detection[order]] = some.iou[order]
    return _Nearest(object_, iou)


def _take(some: Pairs, rank: Places, n: int) -> Places:
    """The object that each detection takes, or -1, when one after the other, by rank, takes its best free one.

    In rounds: at once choose all that nobody before them competes with for any of their objects.
    """
    import numpy as np

    taken = np.full(n, -1, np.int64)
    order = np.lexsort((some.object, -some.iou, rank[some.detection]))
    detection, object_ = some.detection[order], some.object[order]
    while len(detection):
        first = np.full(int(object_.max()) + 1, n, np.int64)
        np.minimum.at(first, object_, rank[detection])
        blocked = np.zeros(n, bool)
        blocked[detection[first[object_] < rank[detection]]] = True
        ready = np.flatnonzero(~blocked[detection])
        who, at = np.unique(detection[ready], return_index=True)
        what = object_[ready[at]]
        taken[who] = what
        gone = np.zeros(len(first), bool)
        gone[what] = True
        left = ~gone[object_] & (taken[detection] < 0)
        detection, object_ = detection[left], object_[left]
    return taken


def _first(wanted: Places, rank: Places, used: Flags) -> Flags:
    """Which detections get the object they want: the first by rank, of those that nobody used."""
    import numpy as np

    claims = np.zeros(len(wanted), bool)
    asking = np.flatnonzero(wanted >= 0)
    asking = asking[~used[wanted[asking]]]
    asking = asking[np.argsort(rank[asking], kind="stable")]
    _, first = np.unique(wanted[asking], return_index=True)
    claims[asking[first]] = True
    return claims


def one_to_one(candidates: Iterable[tuple[int, int, float]]) -> int:
    """How many pairs a greedy matching makes of `candidates` (one box, another box, IoU): the highest IoU first."""
    ones: set[int] = set()
    others: set[int] = set()
    for one, other, _ in sorted(candidates, key=lambda pair: (-pair[2], pair[0], pair[1])):
        if one not in ones and other not in others:
            ones.add(one)
            others.add(other)
    return len(ones)
