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


@dataclass(frozen=True)
class VersionWarning(Record):
    """What to bear in mind with a version or its export; `count`: how many items or boxes have it."""

    code: str
    message: str
    count: int


@dataclass(frozen=True)
class Version(Record):
    """A version of a dataset: what was reviewed, frozen. `train`, `val` and `test` are numbers of items.

    `left_out`: items whose reviews do not say all that a label needs; `origin`: where given labels were read;
    `digest`: sha256 over the content.
    """

    id: str
    dataset_id: str
    dataset: str
    parent_version_id: str | None
    name: str
    items: int
    annotations: int
    train: int
    val: int
    test: int
    left_out: int
    origin: str | None
    digest: str
    created_at: datetime


@dataclass(frozen=True)
class VersionDetails(Version):
    """A version with its lineage: `parents` (nearest first) and `children` are ids of versions.

    `classes`: objects by label; `reasons`: items left out by reason; `jobs` were trained on it, and made `models`.
    """

    classes: Mapping[str, int]
    reasons: Mapping[str, int]
    parents: tuple[str, ...]
    children: tuple[str, ...]
    jobs: tuple[str, ...]
    models: tuple[str, ...]
    warnings: tuple[VersionWarning, ...]


@dataclass(frozen=True)
class ItemChange(Record):
    """An image that one of two versions lacks, or that they label differently: `added`, `removed` or `changed`."""

    item_id: str
    image_id: str
    change: str
    split_before: str | None
    split_after: str | None
    before: Sequence[Mapping[str, Any]] | None
    after: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True)
class VersionDiff(Record):
    """What differs from version `a` to version `b`; `classes`: objects by label, before and after."""

    a: str
    b: str
    added: int
    removed: int
    changed: int
    classes: Mapping[str, Mapping[str, int]]
    changes: tuple[ItemChange, ...]


@dataclass(frozen=True)
class ExportedVersion(Record):
    """What was written of a version. Boxes are `clipped` at the edges of their images, `dropped` below 1 pixel.

    `left_out`: images that are not there, by reason; `out`/left_out.csv lists them.
    """

    version_id: str
    format: str
    out: str
    images: int
    annotations: int
    train: int
    val: int
    test: int
    classes: Sequence[str]
    clipped: int
    dropped: int
    left_out: Mapping[str, int]
    warnings: tuple[VersionWarning, ...]
