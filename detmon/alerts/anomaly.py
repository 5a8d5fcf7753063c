"""Operator `anomaly`: what a slot found beside the same clock time of the days before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
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


@lru_cache(1000)
def days_before(window: Window, zone: tzinfo, settings: Settings) -> tuple[Day, ...]:
    """The window itself, then those that ended at the same local clock time on each day before, the newest first.

    A clock time that a day skips is taken an hour later, one that it has twice the first time. So no day is lost, and
    the weekends of four weeks remain enough to be compared among themselves.
    """
    start, end = window
    local = aware_utc(end).astimezone(zone).replace(tzinfo=None, fold=0)
    past = (
        _day(local - timedelta(days=back), end - start, zone, settings.weekend) for back in range(1, settings.days + 1)
    )
    return (_at(window, zone, settings.weekend), *past)


@lru_cache(100_000)
def _day(local_end: datetime, length: timedelta, zone: tzinfo, weekend: tuple[int, ...]) -> Day:
    """The day of a local clock time. Times recur: a slot's history is that of the slot a day later, but for one."""
    end = naive_utc(local_end.replace(tzinfo=zone))
    return _at((end - length, end), zone, weekend)


def _at(window: Window, zone: tzinfo, weekend: tuple[int, ...]) -> Day:
    """The type of a day goes by the middle of the window: the one that ends at midnight is of the day before."""
    start, end = window
    return Day(window, aware_utc(start + (end - start) / 2).astimezone(zone).weekday() in weekend)


class History:
    """The past of one rule: its metric at the same clock time of other days, by label set."""

    def __init__(
        self,
        definition: Definition,
        metric: Metric,
        zone: tzinfo,
        found: Mapping[Window, Mapping[Labels, Measured]],
    ) -> None:
        """`found`: the label sets with rows in each window, at least in those of `days_before`."""
        self._threshold = definition.threshold
        self._metric = metric
        self._settings = constants(metric)
        self._zone = zone
        self._found = found
        least = self._settings.min_samples if metric.min_samples or metric.count else 1
        self._least = max(least if definition.min_samples is None else definition.min_samples, 1)
        self._values: dict[Labels, dict[Window, float | None]] = defaultdict(dict)

    def scored(self, outcome: Outcome, labels: Labels, window: Window) -> Outcome:
        """The outcome with its score and what is usual, or `learning`."""
        if outcome.kind is not None or outcome.value is None:
            return outcome
        today, *past = days_before(window, self._zone, self._settings)
        values = ((day.weekend, self._value(labels, day.window)) for day in past)
        known = [(weekend, value) for weekend, value in values if value is not None]
        alike = anomaly.of_alike_days(known, today.weekend, self._settings)
        if len(alike) < self._settings.min_days:
            hint = f"{len(alike)} of {self._settings.min_days} days"
            return replace(outcome, kind="no_data", reason=LEARNING, hint=hint)
        usual = anomaly.usual(alike, scale_of(self._metric), self._settings)
        z = usual.z(outcome.value)
        bounds = {"low": usual.at(-self._threshold), "high": usual.at(self._threshold)}
        return replace(outcome, compared=z, detail={"z": z, "expected": usual.at(0), **bounds, "days": usual.k})

    def _value(self, labels: Labels, window: Window) -> float | None:
        """The metric on a day; None where it had no rows of its own, or too few: no evidence of anything.

        Slots share most of their past, so each is looked at once.
        """
        known = self._values[labels]
        if window not in known:
            found, metric = self._found.get(window, {}), self._metric
            measured = found.get(labels) or (None if metric.count else absent(metric, labels, found, Presence()))
            known[window] = judged(metric, measured, Presence(), self._least)[0]
        return known[window]
