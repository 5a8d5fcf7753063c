"""Durations, instants, periods, slots."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detmon import times
from detmon.errors import UsageError

NOW = datetime(2026, 11, 20, 10, 7, 3)
MADRID = times.parse_zone("Europe/Madrid")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15m", 900), ("1h", 3600), ("7d", 604800), ("1h30m", 5400), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    assert times.parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "-5m", "5 parsecs", "m", "1e9999d", "999999999999d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        times.parse_duration(text)


@given(st.integers(0, 10**12))
def test_durations_read_back(milliseconds: int) -> None:
    length = timedelta(milliseconds=milliseconds)
    assert times.parse_duration(times.format_duration(length)) == length


def test_instants() -> None:
    assert times.parse_instant("2026-11-20T11:00:00+01:00") == datetime(2026, 11, 20, 10)
    assert times.parse_instant("2026-11-20", MADRID) == datetime(2026, 11, 19, 23)
    assert times.format_instant(datetime(2026, 11, 20, 10, 5)) == "2026-11-20T10:05:00Z"
    with pytest.raises(UsageError, match="is not a time"):
        times.parse_instant("yesterday")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024-01-01:2024-01-31", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"),
        ("last 7d", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("last 6h", "2026-11-20T04:07:03Z", "2026-11-20T10:07:03Z"),
        ("2026-01-01T06:00:00Z/2026-01-01T18:00:00Z", "2026-01-01T06:00:00Z", "2026-01-01T18:00:00Z"),
    ],
)
def test_periods(text: str, start: str, end: str) -> None:
    period = times.parse_period(text, NOW)
    assert (times.format_instant(period.start), times.format_instant(period.end)) == (start, end)


def test_days_are_local_and_as_long_as_the_clocks_say() -> None:
    autumn = times.parse_period("2026-10-25:2026-10-25", NOW, MADRID)
    assert autumn.end - autumn.start == timedelta(hours=25)


@pytest.mark.parametrize("text", ["", "last", "2024-02-01:2024-01-01", "2024-13-01:2024-13-02", "a/b", "7d", "last 0d"])
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(UsageError):
        times.parse_period(text, NOW)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.integers(1, 10**6))
def test_slots(moment: datetime, seconds: int) -> None:
    every = timedelta(seconds=seconds)
    slot = times.floor_slot(moment, every)
    assert slot <= moment < slot + every
    assert (slot - times.EPOCH) % every == timedelta(0)


def test_an_unknown_zone() -> None:
    with pytest.raises(UsageError, match="unknown time zone"):
        times.parse_zone("Europe/Atlantis")
