"""COCO's average precision and recall, equal to pycocotools (Lin et al., Microsoft COCO, 2014; docs/statistics.md)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Places = NDArray[np.int64]
    Flags = NDArray[np.bool_]

LIMIT = 100
"""The best detections of a class in an image that are looked at."""
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas of objects in square pixels, both ends included."""
RECALLS = 101


@dataclass(frozen=True)
class Candidates:
    """Detections, shape (n,): place of the image (in the order of the ids) and of the label, score, area of the box."""

    image: Places
    label: Places
    score: Numbers
    area: Numbers


@dataclass(frozen=True)
class Objects:
    """True objects, shape (m,). `ignored`: neither hit nor miss; `crowd`: ignored, takes any number of detections."""

    label: Places
    area: Numbers
    ignored: Flags
    crowd: Flags


@dataclass(frozen=True)
class Pairs:
    """Detections and objects of one image and label that overlap.

    `overlap` is the IoU, for a crowd the share of the detection's area; those below .5 may be left out.
    """

    detection: Places
    object: Places
    overlap: Numbers


@dataclass(frozen=True)
class ClassPrecision:
    """Of one label: `ap` over the IoU thresholds, at .5, `ar`, and how many objects count."""

    ap: float
    ap50: float
    ar: float
    objects: int


@dataclass(frozen=True)
class AveragePrecision:
    """Means over the classes that have objects; None where there are none. `ar` is over the best `limit` detections."""

    map: float | None
    map50: float | None
    map75: float | None
    ar: float | None
    classes: dict[int, ClassPrecision]


def average_precision(
    candidates: Candidates, objects: Objects, pairs: Pairs, *, area: str = "all", limit: int = LIMIT
) -> AveragePrecision:
    """AP at IoU .50:.05:.95, at .50, at .75 and AR, over objects of an `area` and the best `limit` detections."""
    import numpy as np

    low, high = AREAS[area]
    thresholds = np.linspace(0.5, 0.95, 10)
    ignored = objects.ignored | objects.crowd | (objects.area < low) | (objects.area > high)
    rank = _ranks(candidates)
    hits, excused = _matched(rank, objects.crowd, ignored, pairs, thresholds, limit)
    excused |= ~hits & ((candidates.area < low) | (candidates.area > high))[:, None]
    order = np.lexsort((rank, candidates.image))
    order = order[rank[order] < limit]
    order = order[np.argsort(-candidates.score[order], kind="stable")]
    classes: dict[int, ClassPrecision] = {}
    at75: list[float] = []
    for label in np.unique(objects.label[~ignored]).tolist():
        mine = order[candidates.label[order] == label]
        n = int((objects.label[~ignored] == label).sum())
        precision, recall = _curves(hits[mine], excused[mine], n)
        classes[label] = ClassPrecision(float(precision.mean()), float(precision[0].mean()), float(recall.mean()), n)
        at75.append(float(precision[5].mean()))
    return AveragePrecision(
        _mean([one.ap for one in classes.values()]),
        _mean([one.ap50 for one in classes.values()]),
        _mean(at75),
        _mean([one.ar for one in classes.values()]),
        classes,
    )


def _ranks(candidates: Candidates) -> Places:
    """The place of each detection among those of its image and label, the best first (ties: the first)."""
    import numpy as np

    n = len(candidates.image)
    order = np.lexsort((np.arange(n), -candidates.score, candidates.label, candidates.image))
    image, label = candidates.image[order], candidates.label[order]
    first = np.ones(n, bool)
    first[1:] = (image[1:] != image[:-1]) | (label[1:] != label[:-1])
    starts = np.flatnonzero(first)
    ranks = np.empty(n, np.int64)
    ranks[order] = np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))
    return ranks


def _matched(
    rank: Places, crowd: Flags, ignored: Flags, pairs: Pairs, thresholds: Numbers, limit: int
) -> tuple[Flags, Flags]:
    """Which detections take an object at each threshold, and which of these an ignored one; shape (n, thresholds).

    The best detections of all images and labels choose at once, then the second best, and so on: they compete with none
    but those of their own image and label.
    """
    import numpy as np

    least = np.minimum(thresholds, 1 - 1e-10)
    hits = np.zeros((len(rank), len(thresholds)), bool)
    excused = np.zeros_like(hits)
    taken = np.zeros((len(crowd), len(thresholds)), bool)
    useful = np.flatnonzero((pairs.overlap >= least[0]) & (rank[pairs.detection] < limit))
    detection, object_, overlap = pairs.detection[useful], pairs.object[useful], pairs.overlap[useful]
    # a detection chooses the first free one of its pairs: real objects first, the largest overlap, the last of equals
    order = np.lexsort((-object_, -overlap, ignored[object_], detection, rank[detection]))
    detection, object_, overlap = detection[order], object_[order], overlap[order]
    step = rank[detection]
    bounds = np.searchsorted(step, np.arange(step[-1] + 2 if len(step) else 1)).tolist()
    for begin, end in pairwise(bounds):
        if begin == end:
            continue
        some, theirs = detection[begin:end], object_[begin:end]
        free = (overlap[begin:end, None] >= least) & (~taken[theirs] | crowd[theirs][:, None])
        starts = np.flatnonzero(np.append(True, some[1:] != some[:-1]))
        place = np.where(free, np.arange(end - begin)[:, None], end - begin)
        chosen = np.minimum.reduceat(place, starts, axis=0)
        who, at = np.nonzero(chosen < end - begin)
        what = theirs[chosen[who, at]]
        taken[what, at] = True
        hits[some[starts[who]], at] = True
        excused[some[starts[who]], at] = ignored[what]
    return hits, excused


def _curves(hits: Flags, excused: Flags, n: int) -> tuple[Numbers, Numbers]:
    """Precision at 101 recalls, shape (thresholds, 101), and the last recall, shape (thresholds,)."""
    import numpy as np

    right = np.cumsum(hits & ~excused, axis=0, dtype=np.float64)
    wrong = np.cumsum(~hits & ~excused, axis=0, dtype=np.float64)
    recall = right / n
    precision = right / (right + wrong + np.finfo(np.float64).eps)
    precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    wanted = np.linspace(0, 1, RECALLS)
    found = np.zeros((hits.shape[1], RECALLS))
    for k in range(hits.shape[1]):
        place = np.searchsorted(recall[:, k], wanted, side="left")
        inside = place < len(recall)
        found[k, inside] = precision[place[inside], k]
    last = recall[-1] if len(recall) else np.zeros(hits.shape[1])
    return found, last


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
