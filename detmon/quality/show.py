"""Precision, recall, error kinds and calibration of a model in a period, from its reviews."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any

from detmon import reviewed
from detmon.quality import expected
from detmon.quality.records import (
    Calibration,
    CalibrationBin,
    ClassQuality,
    Confusion,
    Estimate,
    OfFlaggedImages,
    QualityReport,
    Reviewed,
    SourceQuality,
    Volunteered,
)
from detmon.reviewed import (
    FALSE_POSITIVE,
    KINDS,
    OF_A_CLASS,
    WRONG_BOX,
    WRONG_LABEL,
    Estimated,
    Least,
    Reason,
    Reviews,
    Sample,
    Settings,
    estimate,
    least,
)
from detmon.stats import calibration
from detmon.stats.estimation import ASSISTED_IMAGES
from detmon.store import Connection, statement
from detmon.times import Period

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

ERRORS = {"wrong_label": WRONG_LABEL, "wrong_box": WRONG_BOX, "false_positive": FALSE_POSITIVE}
"""The errors of boxes; their rates are of reviewed boxes."""
FROM_BOXES = ("precision", *ERRORS)
FROM_IMAGES = ("recall", "missed_object")


def show(
    con: Connection,
    model_id: str,
    period: Period,
    settings: Settings,
    *,
    zone: tzinfo = UTC,
    dataset: str | None = None,
    by_source: bool = False,
) -> QualityReport:
    """The quality of a model in `period`; `dataset` chooses among several engines of the model."""
    reviews = reviewed.read(con, model_id, period, zone, settings, dataset)
    boxes, objects = _samples(reviews)
    marked = _marked(reviews, boxes)
    if objects.basis == "census":
        reviews = reviewed.with_unmarked(con, reviews, zone)
        boxes, objects = _samples(reviews)
    whole = _figures(reviews, boxes, objects)
    reasons = whole.reasons
    if marked.partly_marked:
        told = f"{marked.partly_marked:,} images with only some of their served boxes judged are left out"
        reasons.add(Reason("partly_marked", told))
    flagged, shown = None, whole
    if boxes.basis == "flagged":
        flagged = OfFlaggedImages(whole.precision, whole.recall, whole.errors)
        shown = _Figures(_absent(whole.precision.n), None, dict.fromkeys((*ERRORS, "missed_object")), reasons)
    known = boxes.speaks
    report = QualityReport(
        model_id=reviews.model_id,
        start=reviews.totals.first,
        end=reviews.totals.last,
        basis=boxes.basis,
        dataset=reviews.engine.dataset if reviews.engine else None,
        reviewed=marked,
        precision=shown.precision,
        recall=shown.recall,
        f1=_f1(shown),
        errors=shown.errors,
        classes=tuple(_classes(reviews, boxes, objects)),
        confusion=tuple(_confusion(reviews, boxes)),
        assisted_precision=None,
        expected_precision=None,
        calibration=_calibration(reviews, boxes) if shown.precision.value is not None else None,
        volunteered=_volunteered(reviews, boxes),
        of_flagged_images=flagged,
        sources=tuple(_sources(reviews, boxes, objects)) if by_source and known else () if by_source else None,
        reasons=(),
    )
    return replace(_with_scores(con, report, reviews, boxes, reasons, zone), reasons=reasons.listed())


def _samples(reviews: Reviews) -> tuple[Sample, Sample]:
    """The images that speak for boxes, and those that speak for objects; of flagged images both or only the former."""
    boxes, objects = reviewed.sample(reviews), reviewed.sample(reviews, exhaustive=True)
    if objects.basis == "flagged" != boxes.basis:
        objects = Sample(None, objects.w * 0, objects.reasons[-1:])
    return boxes, objects


def _marked(reviews: Reviews, boxes: Sample) -> Reviewed:
    """What stands behind the figures."""
    complete = reviews.images.complete
    floor = None if reviews.floor is None else round(reviews.floor, 6)
    counted = int(boxes.counted.sum())
    return Reviewed(reviews.totals.images, int(complete.sum()), int((~complete).sum()), counted, floor)


class _Reasons:
    """Reasons in the order in which they came up; the same one for several numbers is one that refuses them all."""

    def __init__(self) -> None:
        self._refuses: dict[tuple[str, str], list[str]] = {}

    def add(self, reason: Reason, refuses: Iterable[str] = ()) -> None:
        names = self._refuses.setdefault((reason.code, reason.message), [])
        names += [name for name in (*reason.refuses, *refuses) if name not in names]

    def listed(self) -> tuple[Reason, ...]:
        """Refusals first."""
        found = [Reason(*key, tuple(names)) for key, names in self._refuses.items()]
        return tuple(sorted(found, key=lambda reason: not reason.refuses))


@dataclass
class _Figures:
    """Precision, recall and error rates of some reviewed images, and the reasons for what is absent."""

    precision: Estimate
    recall: Estimate | None
    errors: dict[str, Any]
    reasons: _Reasons = field(default_factory=_Reasons)


def _figures(reviews: Reviews, boxes: Sample, objects: Sample) -> _Figures:
    """What the images of two samples say: `boxes` of precision, `objects` of recall."""
    reasons, settings, kind = _Reasons(), reviews.settings, reviews.verdicts.kind
    if not reviews.totals.images:
        reasons.add(Reason("no_predictions", "the model logged no image in the period"), (*FROM_BOXES, *FROM_IMAGES))
        return _Figures(_absent(0), None, dict.fromkeys((*ERRORS, "missed_object")), reasons)
    for weights, names in ((boxes, FROM_BOXES), (objects, FROM_IMAGES)):
        refused = names if weights.basis is None else ()
        for reason in weights.reasons:
            flagged = names if reason.code == "flagged_only" else refused
            reasons.add(reason, flagged)

    def of(weights: Sample, pair: reviewed.Pair, needs: Least, name: str) -> Estimate | None:
        if weights.basis is None:
            return None
        found = estimate(reviews, weights, pair, needs)
        if found.reason:
            reasons.add(found.reason, (name,))
        elif found.ratio and found.ratio.single:
            reasons.add(_FEW_CLUSTERS)
        return _shown(found)

    needs = least(settings)
    precision = of(boxes, reviewed.precision(reviews), needs, "precision")
    recall = of(objects, reviewed.recall(reviews), least(settings, "objects"), "recall")
    errors: dict[str, Any] = {
        name: of(boxes, reviewed.of_boxes(reviews, kind == code), needs, name) for name, code in ERRORS.items()
    }
    if reviews.totals.unknown_denominator:
        reasons.add(_UNKNOWN_DENOMINATOR, ("missed_object",))
        errors["missed_object"] = None
    else:
        needs_images = Least(settings.min_images, settings.min_images, "images", share=False)
        errors["missed_object"] = of(objects, reviewed.missed(reviews), needs_images, "missed_object")
    errors |= _derived_errors(reviews, boxes, needs)
    judged = int(reviews.per_image(reviews.verdicts.judged)[boxes.counted].sum())
    return _Figures(precision or _absent(judged), recall, errors, reasons)


_FEW_CLUSTERS = Reason(
    "few_clusters", "reviews of fewer than 4 days or 8 hours: the intervals hold for the period's images only"
)
_UNKNOWN_DENOMINATOR = Reason(
    "denominator_unknown",
    "images without boxes are not in the log: recall is of the logged images, misses have no rate",
)


def _derived_errors(reviews: Reviews, boxes: Sample, needs: Least) -> dict[str, Any]:
    """What only matching with ground truth tells: why a box is false, and how often each TIDE kind occurs."""
    import numpy as np

    verdicts = reviews.verdicts
    there = boxes.counted[verdicts.image]
    tide = Counter(kind for kind, counts in zip(verdicts.tide, there.tolist(), strict=True) if kind and counts)
    why = np.array(verdicts.reason, dtype=object)
    false = (verdicts.kind == FALSE_POSITIVE) & there
    kinds = sorted({one for one in why[false].tolist() if one})
    if not kinds or boxes.basis is None:
        return {}
    rates = {
        one: _shown(estimate(reviews, boxes, reviewed.of_boxes(reviews, (why == one) & false), needs)) for one in kinds
    }
    return {"false_positive_reasons": rates, "tide": dict(sorted(tide.items()))}


def _shown(found: Estimated) -> Estimate | None:
    """An estimate as users see it; None without one."""
    ratio = found.ratio
    if ratio is None:
        return None
    clusters = None if ratio.single else ratio.clusters
    return Estimate(ratio.value, ratio.low, ratio.high, ratio.n, ratio.effective_n, clusters)


def _absent(n: int) -> Estimate:
    return Estimate(None, None, None, n, None, None)


def _f1(figures: _Figures) -> float | None:
    precision, recall = figures.precision.value, figures.recall.value if figures.recall else None
    if precision is None or recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _classes(reviews: Reviews, boxes: Sample, objects: Sample) -> Iterator[ClassQuality]:
    """Every label that was predicted or is true in a reviewed image."""
    for code, label in enumerate(reviews.verdicts.labels):
        precision = estimate(reviews, boxes, reviewed.precision(reviews, code), OF_A_CLASS, of_class=True)
        recall = estimate(reviews, objects, reviewed.recall(reviews, code), OF_A_CLASS, of_class=True)
        if precision.n or recall.n:
            known = _shown(precision) if boxes.speaks else None, _shown(recall) if objects.speaks else None
            yield ClassQuality(label, precision.n, recall.n, *known)


def _confusion(reviews: Reviews, boxes: Sample) -> Iterator[Confusion]:
    """What the reviewed boxes of each label are, most boxes first."""
    import numpy as np

    verdicts = reviews.verdicts
    there = verdicts.judged & boxes.counted[verdicts.image]
    weight = boxes.w[verdicts.image]
    for code, label in enumerate(verdicts.labels):
        own = there & (verdicts.label == code)
        enough = int(own.sum()) >= OF_A_CLASS.n and len(np.unique(verdicts.image[own])) >= OF_A_CLASS.images
        total = float(weight[own].sum())
        found = []
        for true in np.unique(verdicts.true_label[own]).tolist():
            alike = own & (verdicts.true_label == true)
            if true == -1:  # an object of an unknown label is in the total only
                alike &= verdicts.kind == FALSE_POSITIVE
            if n := int(alike.sum()):
                share = float(weight[alike].sum()) / total if boxes.speaks and enough else None
                found.append(Confusion(label, None if true == -1 else verdicts.labels[true], n, share))
        yield from sorted(found, key=lambda row: -row.n)


def _calibration(reviews: Reviews, boxes: Sample) -> Calibration | None:
    judged = expected.reviewed_boxes(reviews, boxes)
    if not len(judged.w):
        return None
    data = judged.confidence, judged.correct, judged.w
    bins = tuple(
        CalibrationBin(one.low, one.high, one.n, one.confidence, one.precision)
        for one in calibration.reliability(*data)
    )
    return Calibration(calibration.calibration_error(*data), len(judged.w), bins)


def _volunteered(reviews: Reviews, boxes: Sample) -> Volunteered:
    """Reviews of images that the engine did not select, and that are in no estimate."""
    import numpy as np

    images, verdicts = reviews.images, reviews.verdicts
    alone = ~boxes.counted & np.isnan(images.pi)
    counts = np.bincount(verdicts.kind[alone[verdicts.image]], minlength=len(KINDS)).tolist()
    return Volunteered(int(alone.sum()), **dict(zip(KINDS, counts, strict=True)))


def _sources(reviews: Reviews, boxes: Sample, objects: Sample) -> Iterator[SourceQuality]:
    """The figures of each source, with the weights of the whole."""
    for code, source in enumerate(reviews.images.sources):
        own = reviews.images.source == code
        figures = _figures(reviews, boxes.of(own), objects.of(own))
        shared = {(reason.code, reason.message) for reason in (*boxes.reasons, *objects.reasons)}
        reasons = tuple(one for one in figures.reasons.listed() if (one.code, one.message) not in shared)
        looked = int(reviews.images.number[own & boxes.counted].sum())
        yield SourceQuality(source, looked, figures.precision, figures.recall, reasons)


# --- what confidences add ------------------------------------------------------------------------------------------


def _with_scores(
    con: Connection, report: QualityReport, reviews: Reviews, boxes: Sample, reasons: _Reasons, zone: tzinfo
) -> QualityReport:
    """The report with assisted and expected precision, which need the scores of all served boxes."""
    end = reviews.totals.last
    if end is None:
        return report
    history = _history(con, reviews, zone)
    weights = boxes if history is reviews else reviewed.sample(history)
    if boxes.speaks and not weights.speaks:
        history, weights = reviews, boxes
    past = expected.past(history, weights, end)
    if isinstance(past, Reason):
        reasons.add(past)
    can_assist = boxes.basis == "sample" and int(boxes.counted.sum()) >= ASSISTED_IMAGES
    if isinstance(past, Reason) and not can_assist:
        return report
    floor = min((one for one in (history.floor, reviews.floor) if one is not None), default=None)
    scores = expected.scores(con, reviews, floor)
    if scores.lacking:
        reasons.add(Reason("no_confidence", "some served boxes have no confidence", ("expected_precision",)))
        return report
    if not isinstance(past, Reason) and not scores.served(past.reviews.floor).any():
        reasons.add(Reason("no_boxes", "no box of the period was served", ("expected_precision",)))
    elif not isinstance(past, Reason):
        report = replace(report, expected_precision=past.expected(scores))
    return replace(report, assisted_precision=expected.assisted(reviews, boxes, scores) if can_assist else None)


def _history(con: Connection, reviews: Reviews, zone: tzinfo) -> Reviews:
    """All reviews of the model up to the period's end."""
    [(first,)] = con.execute(statement("review_first"), {"model": reviews.model_id}).fetchall()
    if first is None or first >= reviews.period.start:
        return reviews
    before = Period(first, reviews.period.end, "")
    dataset = reviews.engine.dataset_id if reviews.engine else None
    return reviewed.read(con, reviews.model_id, before, zone, reviews.settings, dataset)
