"""What `quality show` says: frozen results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detmon.records import Record
from detmon.reviewed import Reason


@dataclass(frozen=True)
class Estimate(Record):
    """A number with its 95 % interval; `value` is None where the report's reasons say why.

    `n` is what was counted (boxes, objects, images), `effective_n` how many independent ones tell as much,
    `clusters` how many days (or hours) of sources the interval rests on; None where each image had to be its own.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    effective_n: float | None
    clusters: int | None


@dataclass(frozen=True)
class ClassQuality(Record):
    """One label: precision of the boxes that carry it (`n` of its estimate), recall of the objects that are it."""

    label: str
    detections: int
    objects: int
    precision: Estimate | None
    recall: Estimate | None


@dataclass(frozen=True)
class Confusion(Record):
    """Reviewed boxes of a label whose object is of `true_label` (None: no object); share of the label's boxes."""

    label: str
    true_label: str | None
    n: int
    share: float | None


@dataclass(frozen=True)
class CalibrationBin(Record):
    """Reviewed boxes with a confidence in [low, high): their mean confidence and their precision."""

    low: float
    high: float
    n: int
    confidence: float
    precision: float


@dataclass(frozen=True)
class Calibration(Record):
    """How far precision is from confidence: `error` is the weighted mean distance over the bins (ECE)."""

    error: float
    n: int
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class ExpectedPrecision(Record):
    """Precision of all served boxes of the period if scores still mean what they meant when they were reviewed.

    `method` is isotonic or platt; `check` says whether the newest reviews agree: passed, or not checked (too few).
    """

    value: float
    low: float
    high: float
    boxes: int
    method: str
    reviewed_boxes: int
    reviewed_images: int
    reviewed_until: datetime
    age_days: float
    check: str


@dataclass(frozen=True)
class AssistedPrecision(Record):
    """Precision of this period's own boxes, sharpened by their confidences; `images` reviewed ones stand behind it."""

    value: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Volunteered(Record):
    """Reviews that nobody selected by chance: counted, in no estimate."""

    images: int
    correct: int
    wrong_label: int
    wrong_box: int
    false_positive: int
    missed_object: int


@dataclass(frozen=True)
class OfFlaggedImages(Record):
    """What the reviews say of the flagged images, where nothing else had a chance to be reviewed."""

    precision: Estimate
    recall: Estimate | None
    errors: Mapping[str, Any]


@dataclass(frozen=True)
class SourceQuality(Record):
    """The quality of one source."""

    source: str
    images: int
    precision: Estimate
    recall: Estimate | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Reviewed(Record):
    """What stands behind the estimates: of `images` in the period, `complete` ones are reviewed, `counted` count.

    `served_from` is the lowest confidence that anybody judged; boxes from there on are the served ones.
    """

    images: int
    complete: int
    partly_marked: int
    counted: int
    served_from: float | None


@dataclass(frozen=True)
class ClassPrecision(Record):
    """One label: average precision over IoU .50:.05:.95, and at .50; precision and recall of what was served."""

    label: str
    objects: int
    ap: float
    ap50: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class TruthWarning(Record):
    """What predictions and ground truth do not have in common."""

    code: str
    message: str
    count: int


@dataclass(frozen=True)
class LabelsUsed(Record):
    """The version of a dataset whose labels are the ground truth: `images` of it, of one `split` or (None) of all."""

    id: str
    name: str
    dataset: str
    digest: str
    split: str | None
    images: int


@dataclass(frozen=True)
class GroundTruth(Record):
    """The model against full ground truth.

    `map`, `map50`, `map75`, `ar100` are COCO's, over all boxes. `precision`, `recall`, `f1` and the counts of TIDE's
    kinds of errors are of the boxes with at least the confidence `threshold` (None: all that were logged).
    `unseen`: images without a prediction; the figures are of the others, or count them as empty where that was said.
    `reasons`: why nobody should go by the figures, where they are against a version.
    """

    map: float | None
    map50: float | None
    map75: float | None
    ar100: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    threshold: float | None
    tide: Mapping[str, int]
    images: int
    boxes: int
    objects: int
    classes: tuple[ClassPrecision, ...]
    warnings: tuple[TruthWarning, ...]
    unseen: int
    version: LabelsUsed | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class QualityReport(Record):
    """Precision, recall and errors of one model in a period, from reviews; `basis` says whom they speak for."""

    model_id: str
    start: datetime | None
    end: datetime | None
    basis: str | None
    dataset: str | None
    reviewed: Reviewed
    precision: Estimate
    recall: Estimate | None
    f1: float | None
    errors: Mapping[str, Any]
    classes: tuple[ClassQuality, ...]
    confusion: tuple[Confusion, ...]
    assisted_precision: AssistedPrecision | None
    expected_precision: ExpectedPrecision | None
    calibration: Calibration | None
    volunteered: Volunteered
    of_flagged_images: OfFlaggedImages | None
    sources: tuple[SourceQuality, ...] | None
    reasons: tuple[Reason, ...]
    ground_truth: GroundTruth | None = None

    @property
    def undecided(self) -> bool:
        """Whether precision or recall has no value, from ground truth where that was asked for."""
        if (truth := self.ground_truth) is not None:
            return truth.precision is None or truth.recall is None or bool(truth.reasons)
        return self.precision.value is None or self.recall is None
