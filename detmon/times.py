"""Durations, instants, periods and slots.

Inside the house an instant is a naive `datetime` in UTC (that is what DuckDB's TIMESTAMP holds); records and JSON
show it with its zone. Nothing here reads the clock but `system_now`, which only the client calls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from detmon.errors import UsageError

EPOCH = datetime(1970, 1, 1)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def system_now() -> datetime:
    """The system clock as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def naive_utc(moment: datetime) -> datetime:
    """`moment` as naive UTC; a naive one is taken to be UTC already."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def aware_utc(moment: datetime) -> datetime:
    """`moment` with its zone, for users."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_instant(moment: datetime) -> str:
    """RFC 3339 in UTC: `2026-11-20T10:05:00Z`, with a fraction only where there is one."""
    return naive_utc(moment).isoformat() + "Z"


def parse_instant(text: str, zone: tzinfo = UTC) -> datetime:
    """An RFC 3339 time, or a date, as naive UTC; without an offset it is read in `zone`.

    Raises UsageError for anything else.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return naive_utc(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):  # overflow: within a day of the first or last moment that can be written
        raise UsageError(f"{text!r} is not a time", "write 2026-11-20T10:05:00Z") from None


def parse_duration(text: str) -> timedelta:
    """`30s`, `15m`, `1h`, `7d`, or a chain such as `1h30m`; raises UsageError for anything else."""
    squeezed = text.strip().replace(" ", "")
    if not _DURATION.fullmatch(squeezed):
        raise UsageError(f"{text!r} is not a duration", "write 30s, 15m, 1h or 7d")
    try:
        return timedelta(seconds=sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(squeezed)))
    except OverflowError:
        raise UsageError(f"{text!r} is too long a duration") from None


def format_duration(length: timedelta) -> str:
    """The shortest text that `parse_duration` reads back: `1h`, `90s`, `1d12h`."""
    milliseconds = round(length.total_seconds() * 1000)
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    seconds = milliseconds // 1000
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_zone(name: str) -> tzinfo:
    """An IANA zone by name; raises UsageError for an unknown one."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"unknown time zone {name!r}", "write an IANA name, for example Europe/Madrid") from None


@dataclass(frozen=True)
class Period:
    """A half-open stretch of time, [start, end), naive UTC; `text` is what the user wrote."""

    start: datetime
    end: datetime
    text: str

    def __str__(self) -> str:
        return self.text


ALWAYS = Period(datetime(1, 1, 1), datetime(9999, 1, 1), "all")
"""Every time that a log can hold."""


def midnight(day: date, zone: tzinfo) -> datetime:
    """The instant at which the local `day` begins, naive UTC."""
    return naive_utc(datetime.combine(day, time(), zone))


def parse_period(text: str, now: datetime, zone: tzinfo = UTC) -> Period:
    """A period as users write it.

    `2024-01-01:2024-01-31` (local days, both included), `START/END` (instants, end excluded), `last 7d` (complete
    local days before today) or `last 6h` (ends now). Raises UsageError for anything else, or an empty period.
    """
    squeezed = text.strip()
    if squeezed.startswith("last "):
        length = parse_duration(squeezed[5:])
        whole_days = length.total_seconds() / 86400
        if squeezed.rstrip().endswith(("d", "w")) and whole_days == int(whole_days):
            today = aware_utc(now).astimezone(zone).date()
            start, end = midnight(today - timedelta(days=int(whole_days)), zone), midnight(today, zone)
        else:
            start, end = now - length, now
    elif "/" in squeezed:
        left, _, right = squeezed.partition("/")
        start, end = parse_instant(left, zone), parse_instant(right, zone)
    elif days := re.fullmatch(r"(\d{4}-\d\d-\d\d):(\d{4}-\d\d-\d\d)", squeezed):
        try:
            first, last = date.fromisoformat(days[1]), date.fromisoformat(days[2])
        except ValueError as error:
            raise UsageError(f"{text!r} is not a period: {error}") from None
        start, end = midnight(first, zone), midnight(last + timedelta(days=1), zone)
    else:
        raise UsageError(
            f"{text!r} is not a period",
            "write 2024-01-01:2024-01-31, 2024-01-01T06:00Z/2024-01-01T18:00Z, 'last 7d' or 'last 6h'",
        )
    if start >= end:
        raise UsageError(f"the period {text!r} is empty: it ends before it begins")
    return Period(start, end, squeezed)


def format_period(start: datetime, end: datetime, zone: tzinfo = UTC) -> str:
    """[start, end) as `parse_period` reads it back: local days where it holds whole ones, else instants."""
    first, last = (aware_utc(moment).astimezone(zone).date() for moment in (start, end))
    if midnight(first, zone) == start and midnight(last, zone) == end:
        return f"{first}:{last - timedelta(days=1)}"
    return f"{format_instant(start)}/{format_instant(end)}"


def floor_slot(moment: datetime, every: timedelta) -> datetime:
    """The newest multiple of `every` since the epoch that is not after `moment`."""
    return EPOCH + (moment - EPOCH) // every * every
