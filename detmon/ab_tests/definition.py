"""What a test compares and how: checked, stored, found again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from detmon.ab_tests.records import ABTest
from detmon.errors import UnknownName, UsageError
from detmon.store import Connection, statement

METRICS = {
    "confidence": "avg_confidence",
    "avg_confidence": "avg_confidence",
    "latency": "avg_latency_ms",
    "avg_latency_ms": "avg_latency_ms",
    "p50_latency_ms": "p50_latency_ms",
    "p95_latency_ms": "p95_latency_ms",
    "p99_latency_ms": "p99_latency_ms",
    "detections_per_image": "detections_per_image",
    "no_detection_rate": "no_detection_rate",
    "low_confidence_rate": "low_confidence_rate",
    "error_rate": "error_rate",
    "feedback_score": "feedback_score",
}
"""What users may write → the metric that is meant."""
MODES = ("daily", "always", "fixed")
LONGEST = 1000


@dataclass(frozen=True)
class Definition:
    """The settings of a test. `traffic_split` is B's share; a unit is what one arm serves as a whole."""

    traffic_split: float = 0.1
    metrics: tuple[str, ...] = ("confidence", "latency", "feedback_score")
    duration_days: int = 7
    unit: str = "image_id"
    mode: str = "daily"


@dataclass(frozen=True)
class Comparison:
    """A stored test."""

    id: str
    name: str
    model_a: str
    model_b: str
    definition: Definition
    start: datetime
    stopped_at: datetime | None
    expected_units: float | None
    assigned: bool
    created_at: datetime

    @property
    def end(self) -> datetime | None:
        """When its last day is complete; None where none is planned."""
        if self.definition.mode == "always":
            return None
        return self.start + timedelta(days=self.definition.duration_days)

    def until(self, now: datetime) -> datetime:
        """Up to when its rows are looked at: `now`, its end or when it was stopped, whichever came first."""
        return max(self.start, min(moment for moment in (now, self.end, self.stopped_at) if moment is not None))

    def days(self, now: datetime) -> int:
        """Its complete days."""
        return (self.until(now) - self.start) // timedelta(days=1)

    def status(self, now: datetime) -> str:
        """Whether it runs, ended by itself, or was stopped."""
        if self.stopped_at is not None:
            return "stopped"
        return "finished" if self.end is not None and now >= self.end else "running"

    def record(self, now: datetime) -> ABTest:
        """As users see it."""
        settings = self.definition
        return ABTest(
            id=self.id,
            name=self.name,
            model_a_id=self.model_a,
            model_b_id=self.model_b,
            status=self.status(now),
            day=self.days(now),
            start=self.start,
            end=self.end,
            stopped_at=self.stopped_at,
            traffic_split=settings.traffic_split,
            metrics=settings.metrics,
            duration_days=settings.duration_days,
            unit=settings.unit,
            mode=settings.mode,
            created_at=self.created_at,
        )


def define(said: Mapping[str, Any]) -> Definition:
    """The settings that `said` asks for, defaults filled in. Raises UsageError or UnknownName."""
    known = [*asdict(Definition())]
    for key in said:
        if key not in known:
            raise UnknownName("setting of a test", key, known)
    given = {key: value for key, value in said.items() if value is not None}
    definition = Definition(**{**given, "metrics": _metrics(given.get("metrics"))})
    split, days, unit = definition.traffic_split, definition.duration_days, str(definition.unit)
    if isinstance(split, bool) or not isinstance(split, int | float) or not 0 < split < 1:
        raise UsageError(f"traffic_split = {split!r}", "B's share of the units, between 0 and 1, for example 0.1")
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= LONGEST:
        raise UsageError(f"duration_days = {days!r}", f"whole days, 1 to {LONGEST}")
    if definition.mode not in MODES:
        raise UnknownName("mode", str(definition.mode), MODES)
    if unit not in ("image_id", "source") and not (unit.startswith("tag:") and len(unit) > 4):
        raise UnknownName("unit", unit, ["image_id", "source", "tag:NAME"])
    return definition


def _metrics(said: Any) -> tuple[str, ...]:
    if not said:
        return Definition.metrics
    if not isinstance(said, str | list | tuple):
        raise UsageError(f"metrics = {said!r}", f"a list of {', '.join(METRICS)}")
    metrics = (said,) if isinstance(said, str) else tuple(str(metric) for metric in said)
    for metric in metrics:
        if metric not in METRICS:
            raise UnknownName("metric of a test", metric, METRICS)
    if len({METRICS[metric] for metric in metrics}) < len(metrics):
        raise UsageError(f"metrics: {', '.join(metrics)}", "name each once")
    return metrics


def create(
    con: Connection,
    name: str,
    models: tuple[str, str],
    definition: Definition,
    start: datetime,
    *,
    same_start: bool,
    expected_units: float | None,
    now: datetime,
) -> Comparison:
    """Add a test, or return the equal one of this name; `same_start`: its start was given and must be equal, too."""
    if not name:
        raise UsageError("a test needs a name that is not empty")
    if models[0] == models[1]:
        raise UsageError(f"both models are {models[0]}", "a test compares two")
    for test in every(con):
        if test.name == name:
            same = (test.model_a, test.model_b) == models and test.definition == definition
            if same and (test.start == start or not same_start):
                return test
            raise UsageError(f"there is another test {name!r}: {test.id}", "give this one a name of its own")
    values = {
        "id": f"ab_{os.urandom(6).hex()}",
        "name": name,
        "model_a": models[0],
        "model_b": models[1],
        "config": json.dumps(asdict(definition), sort_keys=True),
        "start": start,
        "expected_units": expected_units,
        "now": now,
    }
    con.execute(statement("add_ab_test"), values)
    return find(con, str(values["id"]))


def every(con: Connection) -> list[Comparison]:
    """All tests, newest first."""
    return [_test(*row) for row in con.execute(statement("list_ab_tests")).fetchall()]


def find(con: Connection, id_or_name: str) -> Comparison:
    """The test with this id or name. Raises UnknownName with the nearest."""
    tests = every(con)
    for test in tests:
        if id_or_name in (test.id, test.name):
            return test
    names = [test.name for test in tests]
    raise UnknownName("test", id_or_name, names, None if tests else "no test yet: `detmon ab create` makes one")


def stop(con: Connection, test: Comparison, now: datetime) -> Comparison:
    """End a test before its time; its complete days count. One that has ended stays as it is."""
    if test.status(now) == "running":
        con.execute(statement("stop_ab_test"), {"id": test.id, "now": now})
    return find(con, test.id)


def _test(
    id: str,
    name: str,
    model_a: str,
    model_b: str,
    config: str,
    starts_at: datetime,
    stopped_at: datetime | None,
    expected_units: float | None,
    assigned: bool,
    created_at: datetime,
) -> Comparison:
    said = json.loads(config)
    definition = Definition(**{**said, "metrics": tuple(said["metrics"])})
    return Comparison(
        id, name, model_a, model_b, definition, starts_at, stopped_at, expected_units, assigned, created_at
    )
