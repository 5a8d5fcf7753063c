"""What the data engine returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detmon.records import Record


@dataclass(frozen=True)
class DataEngine(Record):
    """An engine: what it looks for in one model's predictions, for which dataset.

    `taken`: what its conditions took from the log when it was configured; None as long as nothing was (needed).
    `scanned` counts the predictions it has looked at.
    """

    engine_id: str
    model_id: str
    dataset_id: str
    dataset: str
    revision: int
    salt: str
    config: Mapping[str, Any]
    taken: Mapping[str, Any] | None
    batches: int
    scanned: int
    last_run: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class EngineWarning(Record):
    """What the run could not see."""

    code: str
    message: str


@dataclass(frozen=True)
class EngineScan(Record):
    """What one engine did in a run.

    `unlisted` predictions are of logs that leave out images without detections: shares are those of the logged images.
    """

    model_id: str
    dataset: str
    revision: int
    scanned: int
    flagged: int
    already_flagged: int
    by_reason: Mapping[str, int]
    unlisted: int


@dataclass(frozen=True)
class EngineRun(Record):
    """A run: predictions scanned, new items, selected ones that were items before; the new ones by reason.

    An item may have several reasons.
    """

    scanned: int
    flagged: int
    already_flagged: int
    by_reason: Mapping[str, int]
    engines: tuple[EngineScan, ...]
    warnings: tuple[EngineWarning, ...] = ()
