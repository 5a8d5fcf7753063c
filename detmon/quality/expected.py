"""Expected precision: what reviews of the past let the confidences of a period expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detmon.quality.records import AssistedPrecision, ExpectedPrecision
from detmon.reviewed import CORRECT, Images, Reason, Reviews, Sample, precision
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
"""The curve of what is older than RECENT is checked on so many newer images that have boxes."""
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
class Plan:
    """The kinds of curves that reviewed boxes allow: of labels (by their codes) that have their own, and of the others.

    `alone`: the other labels are enough for themselves, else theirs is the curve of all boxes. A jackknife keeps to the
    plan of the whole, so that what it leaves out changes the curves and not their kinds.
    """

    of_label: Mapping[int, str]
    others: str
    alone: bool


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

    def plan(self) -> Plan | None:
        """Which curves they allow, or None where they are too few."""
        import numpy as np

        pooled = self._kind()
        if pooled is None:
            return None
        large = {code: part for code, part in self._by_label() if len(part.w) >= CLASS_BOXES}
        of_label = {code: kind for code, part in large.items() if (kind := part._kind())}
        others = self.where(~np.isin(self.label, list(of_label)))._kind()
        return Plan(of_label, others or pooled, alone=others is not None)

    def curves(self, plan: Plan) -> Curves:
        """What they say a confidence means; a label or rest that has no box here shares the curve of all."""
        import numpy as np

        own = {code: part._curve(plan.of_label[code]) for code, part in self._by_label() if code in plan.of_label}
        rest = self.where(~np.isin(self.label, list(plan.of_label))) if plan.alone else self
        return Curves(own, (rest if len(rest.w) else self)._curve(plan.others))

    def without(self, groups: Codes) -> Iterator[Boxes]:
        """They without the boxes of one group after the other; `groups` has the shape (boxes,)."""
        import numpy as np

        for group in np.unique(groups):
            yield self.where(groups != group)

    def _by_label(self) -> Iterator[tuple[int, Boxes]]:
        import numpy as np

        order = np.argsort(self.label, kind="stable")
        codes, starts = np.unique(self.label[order], return_index=True)
        for code, there in zip(codes.tolist(), np.split(order, starts[1:]), strict=True):
            yield code, self.where(there)

    def _kind(self) -> str | None:
        import numpy as np

        return calibration.method(len(self.w), len(np.unique(self.image)))

    def _curve(self, kind: str) -> Curve:
        return calibration.CURVES[kind](self.confidence, self.correct, self.w)


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
    plan: Plan
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

        value = mean(boxes.curves(self.plan))
        images = self.reviews.images.image_id
        groups = np.array([int(calibration.GROUPS * bucket(SALT, name)) for name in images])[boxes.image]
        low, high = calibration.jackknife(value, [mean(part.curves(self.plan)) for part in boxes.without(groups)])
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
    plan = boxes.plan()
    if plan is None:
        told = (
            f"{len(boxes.w):,} boxes in {len(np.unique(boxes.image)):,} images are reviewed; "
            f"{calibration.PLATT_BOXES} in {calibration.PLATT_IMAGES} are needed"
        )
        return _refused("too_few", told)
    until = EPOCH + timedelta(seconds=int(history.images.seconds[weights.counted].max()))
    age = end - until
    if age > OLDEST:
        return _refused("feedback_too_old", f"the newest reviewed image is {age.days} days older than the period's end")
    check = _check(history.images, boxes, end)
    if check == "failed":
        told = "the newest reviews contradict the older ones at the same scores: the model or its world has changed"
        return _refused("calibration_changed", told)
    return Past(history, boxes, plan, until, age, check)


def _codes(names: Sequence[str], labels: Sequence[str]) -> Codes:
    import numpy as np

    code = {name: place for place, name in enumerate(labels)}
    return np.array([code.get(name, -1) for name in names], np.int64)


def _refused(code: str, message: str) -> Reason:
    return Reason(code, message, ("expected_precision",))


def _check(images: Images, boxes: Boxes, end: datetime) -> str:
    """Whether the curve of the older reviews holds on the newest: passed, failed or not checked.

    What is off is compared with its spread over the clusters of the newest, and with how uncertain the curve itself is:
    a jackknife over the clusters of the older ones.
    """
    import numpy as np

    newer = images.seconds[boxes.image] >= (end - RECENT - EPOCH).total_seconds()
    old, late = boxes.where(~newer), boxes.where(newer)
    plan = old.plan()
    if plan is None or len(np.unique(late.image)) < CHECK_IMAGES:
        return "not checked"
    cluster = _clusters(images, late.image)

    def off(curves: Curves) -> Floats:
        """How many more boxes of each cluster of the newest are correct than expected."""
        return estimation.sums(cluster, late.w * (late.correct - curves.at(late.label, late.confidence)))

    groups = _clusters(images, old.image) % calibration.GROUPS
    without = [float(off(part.curves(plan)).sum()) for part in old.without(groups)]
    z = calibration.calibration_z(off(old.curves(plan)), calibration.jackknife_variance(without))
    return "failed" if z > calibration.CHECK_BEYOND else "passed"


def _clusters(images: Images, image: Codes) -> Codes:
    """The cluster of each box, given its image; at least four, or each image is one."""
    import numpy as np

    there, place = np.unique(image, return_inverse=True)
    number, _ = estimation.clusters(images.source[there], images.day[there], images.hour[there])
    return number[place]


def assisted(reviews: Reviews, weights: Sample, scores: Scores) -> AssistedPrecision | None:
    """Precision of the scanned images' boxes with the help of their scores; None where no curve can be fitted."""

    boxes = reviewed_boxes(reviews, weights)
    plan = boxes.plan()
    if plan is None:
        return None
    curves = boxes.curves(plan)
    y, _ = precision(reviews)
    reviewed = estimation.sums(boxes.image, curves.at(boxes.label, boxes.confidence), len(y))
    scanned = scores.scanned & scores.served(reviews.floor)
    label = _codes(scores.label, reviews.verdicts.labels)[scanned]
    total = float((curves.at(label, scores.confidence[scanned]) * scores.boxes[scanned]).sum())
    there, number = weights.counted, int(scores.boxes[scanned].sum())
    value, low, high = estimation.assisted_ratio(weights.w[there], y[there], reviewed[there], total, number)
    return AssistedPrecision(value, low, high, int(there.sum()))
