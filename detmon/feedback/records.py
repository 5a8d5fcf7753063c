"""What the verbs of feedback answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from detmon.records import Record
from detmon.verdicts import Rejection, VerdictWarning


@dataclass(frozen=True)
class Imported(Record):
    """What an import wrote. `waiting`: their prediction is not stored yet; `rejections`: the first of the rejected."""

    file: str
    format: str
    accepted: int
    duplicates: int
    waiting: int
    rejected: int
    rejections: tuple[Rejection, ...]
    warnings: tuple[VerdictWarning, ...]


@dataclass(frozen=True)
class Feedback(Record):
    """One verdict. `current`: it counts; `disputed`: another verdict on the same box says something else.

    `detection` names the box of a verdict that waits; `label` and `confidence` are what was predicted.
    """

    feedback_id: str
    prediction_id: str
    image_id: str | None
    model_id: str | None
    detection_index: int | None
    detection: str | None
    type: str
    label: str | None
    confidence: float | None
    true_label: str | None
    bbox: Sequence[float] | None
    scope: str
    reviewer: str | None
    origin: str
    tide: str | None
    reason: str | None
    timestamp: datetime
    waiting: bool
    current: bool
    disputed: bool


@dataclass(frozen=True)
class Matched(Record):
    """What ground truth says of a model's predictions.

    `predictions` have ground truth; `ignored`: regions that count neither way; `detections` are the boxes from
    `threshold` on. `feedback` counts verdicts by type, of which `accepted` were new. A share is None where nothing was
    judged.
    """

    file: str
    format: str
    model_id: str
    predictions: int
    detections: int
    objects: int
    ignored: int
    threshold: float | None
    feedback: Mapping[str, int]
    accepted: int
    duplicates: int
    precision: float | None
    recall: float | None
    f1: float | None
    tide: Mapping[str, int]
    warnings: tuple[VerdictWarning, ...]
