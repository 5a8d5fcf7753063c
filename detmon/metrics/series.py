"""A metric over time, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from detmon.errors import UsageError
from detmon.metrics import (
    Labels,
    Measured,
    Metric,
    Presence,
    Selection,
    Wanted,
    Window,
    absent,
    check_selection,
    judged,
    measure,
    presence,
)
from detmon.records import Record
from detmon.store import Connection
from detmon.times import Period

MOST_POINTS = 10_000


@dataclass(frozen=True)
class MetricInfo(Record):
    """One metric of the catalogue; `bad` is the direction that is bad news: up, down or both."""

    name: str
    unit: str
    over: str
    bad: str
    min_samples: int
    description: str


@dataclass(frozen=True)
class MetricPoint(Record):
    """A metric in [start, end) of one label set; `value` is None where `reason` says why."""

    start: datetime
    end: datetime
    labels: Mapping[str, str]
    value: float | None
    n: int
    low: float | None
    high: float | None
    reason: str | None


@dataclass(frozen=True)
class MetricSeries(Record):
    """A metric of one model over time."""

    metric: str
    model_id: str
    unit: str
    points: tuple[MetricPoint, ...]


def info(metric: Metric) -> MetricInfo:
    """What `metric list` shows."""
    return MetricInfo(metric.name, metric.unit, metric.over, metric.bad, metric.min_samples, metric.description)


def series(con: Connection, metric: Metric, selection: Selection, period: Period, step: timedelta) -> MetricSeries:
    """The metric in consecutive windows of length `step`; every label set that occurs has a point in each.

    A point has a value, or the reason why it has none.
    """
    check_selection(metric, selection)
    if step <= timedelta():
        raise UsageError("every must be longer than nothing")
    if (period.end - period.start) / step > MOST_POINTS:
        raise UsageError(f"more than {MOST_POINTS:,} points", "a longer --every, or a shorter period")
    edges = [period.start]
    while edges[-1] < period.end:
        edges.append(min(edges[-1] + step, period.end))
    windows = list(pairwise(edges))
    wanted = Wanted(metric)
    measured = measure(con, selection, windows, [wanted])
    if wanted in measured.failures:
        raise UsageError(f"{metric.name}: {measured.failures[wanted]}")
    sets = sorted({labels for window in windows for labels in measured.at(wanted, window)})
    there = presence(con, selection.model_id, windows)
    points = [
        _point(metric, window, labels, measured.at(wanted, window), there.get(window, Presence()))
        for window in windows
        for labels in (sets if selection.by else [()])
    ]
    return MetricSeries(metric.name, selection.model_id, metric.unit, tuple(points))


def _point(
    metric: Metric, window: Window, labels: Labels, found: Mapping[Labels, Measured], there: Presence
) -> MetricPoint:
    measured = found.get(labels) or absent(metric, labels, found, there)
    value, n, reason = judged(metric, measured, there, metric.min_samples)
    low, high = (measured.low, measured.high) if measured and value is not None else (None, None)
    return MetricPoint(window[0], window[1], dict(labels), value, n, low, high, reason)
