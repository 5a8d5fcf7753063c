"""What a check hands back. (The other results of alerts are in `show`: cron loads these every minute.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detmon.records import Delivery, Record


@dataclass(frozen=True)
class AlertEvent(Record):
    """Something that happened to an instance at a slot."""

    alert: str
    kind: str
    labels: Mapping[str, str]
    value: float | None
    threshold: float | None
    slot: datetime
    alert_id: str
    model_id: str
    n: int | None
    episode_id: str | None
    fired_at: datetime | None
    reason: str | None
    late_by: str | None
    metric: str
    operator: str
    detail: Mapping[str, Any]
    held_by: str | None


@dataclass(frozen=True)
class AlertInstance(Record):
    """The state of one label set of a rule after a check."""

    alert: str
    labels: Mapping[str, str]
    state: str
    health: str
    value: float | None
    n: int | None
    since: datetime | None
    alert_id: str
    model_id: str
    condition: str
    health_reason: str | None
    hint: str | None
    held_by: str | None
    metric: str
    operator: str
    threshold: float
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Failure(Record):
    """A rule that could not be evaluated."""

    alert: str
    error: str


@dataclass(frozen=True)
class AlertCheck(Record):
    """What one `alert check` found and did."""

    evaluated_at: datetime
    rules: int
    slots: int
    events: tuple[AlertEvent, ...]
    instances: tuple[AlertInstance, ...]
    delivery: Delivery
    failed: tuple[Failure, ...]
    skipped: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
