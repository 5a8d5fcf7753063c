"""Maintenance windows: stretches of local time that come again, in which notices are held back. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from detmon.alerts.matchers import Matcher
from detmon.times import aware_utc, naive_utc

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Maintenance:
    """`start` and `end` on the wall clock of `zone`; `days`: weekdays of the start (0 = Monday), empty: every one."""

    name: str
    zone: tzinfo
    start: time
    end: time
    days: frozenset[int] = frozenset()
    matchers: tuple[Matcher, ...] = ()

    def covers(self, now: datetime) -> bool:
        """Whether `now` (naive UTC) is in the window."""
        return any(start <= now < end for start, end in self.around(now))

    def around(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The half-open intervals (naive UTC) that begin on the local day of `now`, the day before, the day after."""
        today = aware_utc(now).astimezone(self.zone).date()
        for day in (today - DAY, today, today + DAY):
            if not self.days or day.weekday() in self.days:
                yield self._on(day)

    def _on(self, day: date) -> tuple[datetime, datetime]:
        """The interval that begins on a local day.

        Where the clock is put back the end is the later one, so the repeated hour has no hole. A window inside the gap
        of spring keeps its length; one that only begins in it keeps its length and its end.
        """
        last = day + DAY if self.end <= self.start else day
        start = self._utc(day, self.start)
        end = max(self._utc(last, self.end), self._utc(last, self.end, fold=1))
        if end <= start:
            start = end - (datetime.combine(last, self.end) - datetime.combine(day, self.start))
        return start, end

    def _utc(self, day: date, clock: time, fold: int = 0) -> datetime:
        return naive_utc(datetime.combine(day, clock, self.zone).replace(fold=fold))
