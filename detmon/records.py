"""What the user gets back: frozen records with attributes, item access and `to_dict()`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from detmon.times import aware_utc, format_duration, format_instant


class Record:
    """Base of all results: `report.class_drift`, `report["class_drift"]` and `report.to_dict()` agree.

    A field whose name is a Python keyword carries a trailing underscore as an attribute and none as a key.
    Instants are shown with their zone (UTC).
    """

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, datetime):
                object.__setattr__(self, name, aware_utc(value))

    def __getitem__(self, key: str) -> Any:
        for field in fields(self):  # type: ignore[arg-type]
            if key == field.name.rstrip("_"):
                return getattr(self, field.name)
        raise KeyError(key)

    def keys(self) -> list[str]:
        """The keys of `to_dict`, in order."""
        return [field.name.rstrip("_") for field in fields(self)]  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: what `--json` prints."""
        return {key: plain(self[key]) for key in self.keys()}


def plain(value: Any) -> Any:
    """`value` as JSON can carry it: times as `…Z`, NaN and infinities as None."""
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def comparison(detail: Mapping[str, Any]) -> str | None:
    """What a value was compared with, in words: the same hour of other days, or the baseline."""
    if "expected" in detail:
        expected, low, high = (f"{detail[key]:.4g}" for key in ("expected", "low", "high"))
        return f"usually {expected} at this hour ({detail['days']} days), {low} to {high}; z {detail['z']:.3g}"
    if "baseline" in detail:
        change, side = abs(100 * detail["change"]), "below" if detail["change"] < 0 else "above"
        return f"{change:.3g} % {side} the baseline of {detail['baseline']:.4g}"
    return None


@dataclass(frozen=True)
class Model(Record):
    """One registered model; `id` is the text that logs carry as `model_id`.

    One that a training made has that job's id, and that of the model it began with as its parent.
    """

    id: str
    name: str
    version: str | None
    uri: str | None
    zone: str | None
    aliases: tuple[str, ...]
    created_at: datetime
    parent: str | None = None
    job_id: str | None = None


@dataclass(frozen=True)
class Settings(Record):
    """The settings in force; literal secrets are masked."""

    db: str
    lock_timeout: timedelta
    files: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Delivery(Record):
    """What a run did with the outbox: `sent`, `merged` by it; waiting, dead and on their way elsewhere after it.

    `problems` are lines for people; `overdue`: something waits longer than `overdue_after`; `locked`: another process
    held the store for too long, and the rest is left to the next run.
    """

    sent: int = 0
    queued: int = 0
    dead: int = 0
    in_flight: int = 0
    merged: int = 0
    problems: tuple[str, ...] = ()
    overdue: bool = False
    locked: bool = False

    @property
    def failed(self) -> bool:
        """Whether the run must say so by its exit code: a dead or an overdue notice, or a store that stayed locked."""
        return self.dead > 0 or self.overdue or self.locked


@dataclass(frozen=True)
class QueuedNotice(Record):
    """One row of the outbox; `status` is queued, sending, sent, dead, merged or dropped."""

    notice_id: str
    target: str
    kind: str
    status: str
    attempts: int
    last_error: str | None
    alert_id: str | None
    slot: datetime
    ambiguous: bool
    created_at: datetime
    not_before: datetime
    expires_at: datetime
    ended_at: datetime | None
    merged_into: str | None


@dataclass(frozen=True)
class NoticeDetails(QueuedNotice):
    """One row of the outbox, with the message as it would read now."""

    title: str
    text: str
    receipt: Mapping[str, str]


@dataclass(frozen=True)
class TargetTest(Record):
    """How a test message to a target went; `payload` is filled by a dry run only."""

    target: str
    status: str
    latency_ms: float | None
    size: int
    receipt: Mapping[str, str]
    reason: str | None
    problems: tuple[str, ...]
    payload: str | None


@dataclass(frozen=True)
class PluginInfo(Record):
    """One installed plugin, what it brings, or why it did not load."""

    name: str
    distribution: str
    version: str
    origin: str
    schemes: tuple[str, ...]
    formats: tuple[str, ...]
    metrics: tuple[str, ...]
    trainers: tuple[str, ...]
    error: str | None
