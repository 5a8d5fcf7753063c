"""Which two periods are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from detmon.errors import UsageError
from detmon.stats.blocks import Note
from detmon.times import Period, aware_utc, format_period, midnight, parse_period

CURRENT = "last 7d"
REFERENCE_DAYS = 28
GAP = timedelta(days=1)
"""Between the default reference and the current period."""


@dataclass(frozen=True)
class Periods:
    """What is compared with what, and what is to be said of it."""

    reference: Period
    current: Period
    notes: list[Note]


def resolve(
    reference: str | None, current: str | None, baseline: Period | None, now: datetime, zone: tzinfo
) -> Periods:
    """The reference and the current period, without what both hold.

    Without being said, the current one is the last seven complete local days, the reference the baseline, or else the
    28 days that end one day before the current one begins. Raises UsageError when nothing is left of the reference.
    """
    ours = parse_period(current or CURRENT, now, zone)
    theirs = parse_period(reference, now, zone) if reference else baseline or _before(ours, zone)
    apart, notes = _apart(theirs, ours)
    return Periods(_named(apart, zone), _named(ours, zone), notes)


def _named(period: Period, zone: tzinfo) -> Period:
    return replace(period, text=format_period(period.start, period.end, zone))


def _before(current: Period, zone: tzinfo) -> Period:
    end = aware_utc(current.start).astimezone(zone).date() - GAP
    return Period(midnight(end - timedelta(days=REFERENCE_DAYS), zone), midnight(end, zone), "")


def _apart(reference: Period, current: Period) -> tuple[Period, list[Note]]:
    """The reference without the current period; of two pieces the longer one."""
    if reference.end <= current.start or current.end <= reference.start:
        return reference, []
    pieces = [
        Period(start, end, "")
        for start, end in ((reference.start, current.start), (current.end, reference.end))
        if start < end
    ]
    if not pieces:
        raise UsageError("the current period covers the whole reference", "--reference names another period")
    left = max(pieces, key=lambda piece: piece.end - piece.start)
    note = Note("overlap_removed", "The periods overlap; what both hold was taken out of the reference.")
    return left, [note]


def around(first: datetime, last: datetime, zone: tzinfo = UTC) -> Period:
    """From the local midnight before `first` to the one after `last`."""
    days = [aware_utc(moment).astimezone(zone).date() for moment in (first, last)]
    start, end = midnight(days[0], zone), midnight(days[1] + timedelta(days=1), zone)
    return Period(start, end, format_period(start, end, zone))
