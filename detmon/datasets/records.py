"""What the verbs of datasets and their versions answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detmon.records import Record


@dataclass(frozen=True)
class Dataset(Record):
    """A dataset, and how many items of it have each status."""

    id: str
    name: str
    items: Mapping[str, int]
    created_at: datetime


@dataclass(frozen=True)
class Item(Record):
    """A prediction in a dataset; `inclusion_probability` is None for one that was picked by hand.

    `detections` are as in a log: label, confidence, bbox `[x, y, w, h]` in pixels.
    """

    item_id: str
    prediction_id: str
    image_id: str
    image_uri: str | None
    model_id: str
    timestamp: datetime
    source: str | None
    reasons: Sequence[str]
    inclusion_probability: float | None
    status: str
    detections: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class ItemStatus(Record):
    """An item's place in the work: `needs_review`, `reviewed` or `ignored`."""

    item_id: str
    prediction_id: str
    dataset_id: str
    status: str
