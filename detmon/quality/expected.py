"""Expected precision: what reviews of the past let the confidences of a period expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detmon.quality.records import AssistedPrecision, ExpectedPrecision
from detmon.reviewed import CORRECT, Reason, Reviews, Sample, precision
from detmon.stats import calibration, estimation
from detmon.stats.buckets import bucket
from detmon.stats.calibration import Curve
from detmon.store import Connection, statement
from detmon.times import EPOCH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Codes = NDArray[np.integer[Any]]
    Flags = NDArray[np.bool_]

CLASS_BOXES = 200
"""A class with so many reviewed boxes has a curve of its own."""
OLDEST = timedelta(days=30)
"""Reviews of images older than this before the period's end expect nothing of it any more."""
RECENT = timedelta(days=14)
CHECK_IMAGES = 30
"""The curve of what is older than RECENT is checked on so many newer images."""
SALT = "jackknife"


@dataclass(frozen=True)
class Scores:
    """Served boxes of a period: how many `boxes` have this label and confidence, in scanned images or in others.

    `lacking`: so many more have no confidence.
    """

    label: Sequence[str]
    confidence: Floats
    scanned: Flags
    boxes: Floats
    lacking: int

    def served(self, floor: float | None) -> Flags:
        """The boxes with at least the confidence `floor`, which is as the store holds it (0.3 is 0.30000001 there)."""
        return self.confidence >= round(floor or 0.0, 6)


def scores(con: Connection, reviews: Reviews, floor: float | None) -> Scores:
    """The boxes of the period with at least the confidence `floor`."""
    import numpy as np

    span = {"model": reviews.model_id, "start": reviews.period.start, "end": reviews.period.end}
    engine = reviews.engine.engine_id if reviews.engine else None
    found = con.execute(statement("review_scores"), {**span, "floor": floor, "engine": engine}).fetchnumpy()
    confidence = np.ma.filled(found["confidence"], np.nan).astype(np.float64)
    known, boxes = ~np.isnan(confidence), found["boxes"].astype(np.float64)
    label = found["label"][known].tolist()
    return Scores(
        label, confidence[known], found["scanned"][known].astype(bool), boxes[known], int(boxes[~known].sum())
    )


@dataclass(frozen=True)
class Curves:
    """The curves of labels (by their codes) that have their own, and the one of all others."""

    of_label: Mapping[int, Curve]
    others: Curve

    def at(self, label: Codes, confidence: Floats) -> Floats:
        """The expected precision of boxes, shape (boxes,)."""
        import numpy as np

        found = np.array(self.others(confidence), np.float64)
        for code, curve in self.of_label.items():
            own = label == code
            found[own] = curve(confidence[own])
        return found


@dataclass(frozen=True)
class Boxes:
    """Reviewed boxes of images that count; `image` and `label` are their places in the reviews."""

    image: Codes
    label: Codes
    confidence: Floats
    correct: Floats
    w: Floats

    def where(self, chosen: Flags | Codes) -> Boxes:
        """Some of them."""
        return Boxes(*(getattr(self, name)[chosen] for name in ("image", "label", "confidence", "correct", "w")))

    def curves(self) -> Curves | None:
        """What they say a confidence means, or None where they are too few."""
        import numpy as np

        pooled = self._curve()
        if pooled is None:
            return None
        own, others = {}, np.ones(len(self.w), bool)
        by_label = np.argsort(self.label, kind="stable")
        codes, starts = np.unique(self.label[by_label], return_index=True)
        for code, there in zip(codes.tolist(), np.split(by_label, starts[1:]), strict=True):
            if len(there) >= CLASS_BOXES and (curve := self.where(there)._curve()):
                own[code] = curve
                others[there] = False
        return Curves(own, self.where(others)._curve() or pooled)

    def _curve(self) -> Curve | None:
        return calibration.curve(self.confidence, self.correct, self.w, self.image)


def reviewed_boxes(reviews: Reviews, weights: Sample) -> Boxes:
    """The reviewed boxes of the images that count, those without a confidence left out."""
    import numpy as np

    verdicts = reviews.verdicts
    chosen = verdicts.judged & weights.counted[verdicts.image] & ~np.isnan(verdicts.confidence)
    image = verdicts.image[chosen]
    return Boxes(
        image,
        verdicts.label[chosen],
        verdicts.confidence[chosen],
        (verdicts.kind[chosen] == CORRECT).astype(np.float64),
        weights.w[image],
    )


@dataclass(frozen=True)
class Past:
    """Reviews up to the end of a period that say what its confidences mean."""

    reviews: Reviews
    boxes: Boxes
    curves: Curves
    until: datetime
    age: timedelta
    check: str

    def expected(self, scores: Scores) -> ExpectedPrecision:
        """The expected precision of all boxes of `scores`, with the interval of a delete-a-group jackknife."""
        import numpy as np

        boxes, served = self.boxes, scores.served(self.reviews.floor)
        label = _codes(scores.label, self.reviews.verdicts.labels)[served]
        confidence, number = scores.confidence[served], scores.boxes[served]

        def mean(curves: Curves) -> float:
            return float((curves.at(label, confidence) * number).sum() / number.sum())

        value = mean(self.curves)
        images = self.reviews.images.image_id
        groups = np.array([int(calibration.GROUPS * bucket(SALT, name)) for name in images])[boxes.image]
        without = [boxes.where(groups != group).curves() or self.curves for group in range(calibration.GROUPS)]
        low, high = calibration.jackknife(value, [mean(curves) for curves in without])
        reviewed = len(np.unique(boxes.image))
        return ExpectedPrecision(
            value,
            low,
            high,
            int(number.sum()),
            str(calibration.method(len(boxes.w), reviewed)),
            len(boxes.w),
            reviewed,
            self.until,
            max(self.age / timedelta(days=1), 0.0),
            self.check,
        )


def past(history: Reviews, weights: Sample, end: datetime) -> Past | Reason:
    """What all reviews up to `end` say of confidences, or why they say nothing of them now."""
    import numpy as np

    if not weights.speaks:
        return _refused(weights.reasons[-1].code, weights.reasons[-1].message)
    boxes = reviewed_boxes(history, weights)
    curves = boxes.curves()
    if curves is None:
        told = (
            f"{len(boxes.w):,} boxes in {len(np.unique(boxes.image)):,} images are reviewed; "
            f"{calibration.PLATT_BOXES} in {calibration.PLATT_IMAGES} are needed"
        )
        return _refused("too_few", told)
    until = EPOCH + timedelta(seconds=int(history.images.seconds[weights.counted].max()))
    age = end - until
    if age > OLDEST:
        return _refused("feedback_too_old", f"the newest reviewed image is {age.days} days older than the period's end")
    check = _check(history, weights, boxes, end)
    if check == "failed":
        told = "the newest reviews contradict the older ones at the same scores: the model or its world has changed"
        return _refused("calibration_changed", told)
    return Past(history, boxes, curves, until, age, check)


def _codes(names: Sequence[str], labels: Sequence[str]) -> Codes:
    import numpy as np

    code = {name: place for place, name in enumerate(labels)}
    return np.array([code.get(name, -1) for name in names], np.int64)


def _refused(code: str, message: str) -> Reason:
    return Reason(code, message, ("expected_precision",))


def _check(history: Reviews, weights: Sample, boxes: Boxes, end: datetime) -> str:
    """Whether the curve of the older reviews holds on the newest: passed, failed or not checked."""
    images = history.images
    recent = images.seconds >= (end - RECENT - EPOCH).total_seconds()
    newer = recent[boxes.image]
    old = boxes.where(~newer).curves()
    if old is None or int((recent & weights.counted).sum()) < CHECK_IMAGES:
        return "not checked"
    late = boxes.where(newer)
    residual = estimation.sums(late.image, late.correct - old.at(late.label, late.confidence), len(images))
    chosen = recent & weights.counted
    cluster, _ = estimation.clusters(images.source[chosen], images.day[chosen], images.hour[chosen])
    z = calibration.calibration_z(weights.w[chosen], residual[chosen], cluster)
    return "failed" if z > calibration.CHECK_BEYOND else "passed"


def assisted(reviews: Reviews, weights: Sample, scores: Scores) -> AssistedPrecision | None:
    """Precision of the scanned images' boxes with the help of their scores; None where no curve can be fitted."""

    boxes = reviewed_boxes(reviews, weights)
    curves = boxes.curves()
    if curves is None:
        return None
    y, _ = precision(reviews)
    reviewed = estimation.sums(boxes.image, curves.at(boxes.label, boxes.confidence), len(y))
    scanned = scores.scanned & scores.served(reviews.floor)
    label = _codes(scores.label, reviews.verdicts.labels)[scanned]
    total = float((curves.at(label, scores.confidence[scanned]) * scores.boxes[scanned]).sum())
    there, number = weights.counted, int(scores.boxes[scanned].sum())
    value, low, high = estimation.assisted_ratio(weights.w[there], y[there], reviewed[there], total, number)
    return AssistedPrecision(value, low, high, int(there.sum()))
