"""Operator `anomaly`: what a slot found beside the same clock time of the days before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from detmon.alerts.machine import LEARNING, Outcome
from detmon.alerts.rules import Definition
from detmon.metrics import Labels, Measured, Metric, Presence, Window, absent, judged
from detmon.metrics.usual import scale_of
from detmon.stats import anomaly
from detmon.stats.anomaly import Settings
from detmon.store import Connection, statement
from detmon.times import aware_utc, naive_utc, parse_zone


@dataclass(frozen=True)
class Day:
    """A window at some day's clock time, and whether that day is one of the weekend."""

    window: Window
    weekend: bool


def constants(metric: Metric) -> Settings:
    """The settings of `[anomaly]`."""
    return metric.anomaly or anomaly.DEFAULTS


def zone_of(con: Connection, model_id: str) -> tzinfo:
    """The zone of a model's days."""
    found = con.execute(statement("model_zone"), {"model": model_id}).fetchall()
    return parse_zone(found[0][0]) if found and found[0][0] else UTC


def days_before(window: Window, zone: tzinfo, settings: Settings) -> list[Day]:
    """The window itself, then those that ended at the same local clock time on each day before, the newest first.

    A clock time that a day skips is taken an hour later, one that it has twice the first time. So no day is lost, and
    the weekends of four weeks remain enough to be compared among themselves.
    """
    start, end = window
    local = aware_utc(end).astimezone(zone).replace(tzinfo=None, fold=0)
    past = [_day(local - timedelta(days=back), end - start, zone, settings.weekend) for back in _backs(settings)]
    return [_at(window, zone, settings.weekend), *past]


def _backs(settings: Settings) -> range:
    return range(1, settings.days + 1)


@lru_cache(100_000)
def _day(local_end: datetime, length: timedelta, zone: tzinfo, weekend: tuple[int, ...]) -> Day:
    """The day of a local clock time. Times recur: a slot's history is that of the slot a day later, but for one."""
    end = naive_utc(local_end.replace(tzinfo=zone))
    return _at((end - length, end), zone, weekend)


def _at(window: Window, zone: tzinfo, weekend: tuple[int, ...]) -> Day:
    """The type of a day goes by the middle of the window: the one that ends at midnight is of the day before."""
    start, end = window
    return Day(window, aware_utc(start + (end - start) / 2).astimezone(zone).weekday() in weekend)


def scored(
    outcome: Outcome,
    definition: Definition,
    metric: Metric,
    labels: Labels,
    days: Sequence[Day],
    found: Callable[[Window], Mapping[Labels, Measured]],
) -> Outcome:
    """The outcome with its score and what is usual, or `learning`; `days`: `days_before`, `found`: what they hold."""
    if outcome.kind is not None or outcome.value is None:
        return outcome
    settings = constants(metric)
    least = definition.min_samples or (settings.min_samples if metric.min_samples or metric.count else 1)
    today, past = days[0], days[1:]
    known = [
        (day.weekend, value) for day in past if (value := _value(metric, labels, found(day.window), least)) is not None
    ]
    history = anomaly.of_alike_days(known, today.weekend, settings)
    if len(history) < settings.min_days:
        hint = f"{len(history)} of {settings.min_days} days"
        return replace(outcome, kind="no_data", reason=LEARNING, hint=hint)
    usual = anomaly.usual(history, scale_of(metric), settings)
    z = usual.z(outcome.value)
    bounds = {"low": usual.at(-definition.threshold), "high": usual.at(definition.threshold)}
    detail = {"z": z, "expected": usual.at(0), **bounds, "days": usual.k}
    return replace(outcome, compared=z, detail=detail)


def _value(metric: Metric, labels: Labels, found: Mapping[Labels, Measured], least: int) -> float | None:
    """What the metric was on a day; None on one without rows of its own or with too few: no evidence of anything."""
    measured = found.get(labels) or (None if metric.count else absent(metric, labels, found, Presence()))
    return judged(metric, measured, Presence(), max(least, 1))[0]
