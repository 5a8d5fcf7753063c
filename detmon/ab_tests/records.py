"""What the verbs of A/B tests return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detmon.records import Record


@dataclass(frozen=True)
class ABTest(Record):
    """One test; `day` counts its complete days, `status` is running, finished or stopped.

    In mode always no `end` is planned; `duration_days` is what the test is tuned for.
    """

    id: str
    name: str
    model_a_id: str
    model_b_id: str
    status: str
    day: int
    start: datetime
    end: datetime | None
    stopped_at: datetime | None
    traffic_split: float
    metrics: tuple[str, ...]
    duration_days: int
    unit: str
    mode: str
    created_at: datetime


@dataclass(frozen=True)
class Assignment(Record):
    """Where a unit goes."""

    unit: str
    arm: str
    model_id: str


@dataclass(frozen=True)
class ABArm(Record):
    """One arm up to the last complete day; quantiles of the latency within 1 %."""

    model_id: str
    units: int | None = None
    predictions: int | None = None
    detections: int | None = None
    avg_confidence: float | None = None
    avg_latency_ms: float | None = None
    p50_latency_ms: float | None = None
    p95_latency_ms: float | None = None
    p99_latency_ms: float | None = None
    detections_per_image: float | None = None
    feedback_score: float | None = None
    reviewed: int | None = None


@dataclass(frozen=True)
class ABWarning(Record):
    """Something about the test that the numbers alone do not show."""

    code: str
    message: str


@dataclass(frozen=True)
class ABResults(Record):
    """The comparison at the last complete day; `winner` is a, b or None, `verdict` says so, or what is missing.

    `provisional`: more reviews are to come; `withheld`: why there can be no verdict at all.
    """

    id: str
    name: str
    status: str
    day: int
    duration_days: int
    start: datetime
    unit: str
    mode: str
    model_a: ABArm
    model_b: ABArm
    p_value: float | None
    p_values: Mapping[str, float | None]
    effects: Mapping[str, Mapping[str, Any]]
    srm: Mapping[str, Any]
    guardrails: tuple[Mapping[str, Any], ...]
    looks: tuple[Mapping[str, Any], ...]
    shadow: bool
    agreement: float | None
    winner: str | None
    verdict: str
    provisional: bool
    withheld: tuple[str, ...]
    later: Mapping[str, int]
    warnings: tuple[ABWarning, ...]


@dataclass(frozen=True)
class ABPlan(Record):
    """How long a test must run: `effects` are rows of units and days for each relative effect and split."""

    model_id: str
    metric: str
    unit: str
    mode: str
    traffic_split: float
    duration_days: int
    units_per_day: float | None
    value: float | None
    effects: tuple[Mapping[str, Any], ...]
    advice: tuple[str, ...]
    reason: str | None
