"""What the verbs of review answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detmon.records import Record
from detmon.verdicts import Rejection, VerdictWarning


@dataclass(frozen=True)
class ReviewExported(Record):
    """What was written for reviewers. `labels`: the file that tells the tool its labels, for tools that need one.

    `boxes` are those to judge; `without_boxes`: items that have boxes the tool cannot show (no image size is known).
    """

    dataset_id: str
    format: str
    file: str
    labels: str | None
    items: int
    boxes: int
    without_boxes: int
    warnings: tuple[VerdictWarning, ...]


@dataclass(frozen=True)
class ReviewImported(Record):
    """What came back. `items` have a review in it, `skipped` tasks none.

    `feedback` counts verdicts by type, of which `accepted` were new; `rejections` are the first of the rejected.
    """

    file: str
    format: str
    items: int
    skipped: int
    feedback: Mapping[str, int]
    accepted: int
    duplicates: int
    rejected: int
    rejections: tuple[Rejection, ...]
    warnings: tuple[VerdictWarning, ...]


@dataclass(frozen=True)
class ReviewPushed(Record):
    """What was sent to a project of Label Studio; `present`: items whose task was there before."""

    dataset_id: str
    url: str
    project: int
    created: bool
    items: int
    pushed: int
    present: int
    without_boxes: int
    warnings: tuple[VerdictWarning, ...]
