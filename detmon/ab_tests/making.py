"""Making a test of two models that the store knows."""

from __future__ import annotations

from datetime import datetime

from detmon import models, times
from detmon.ab_tests import definition, plan
from detmon.ab_tests.definition import Comparison, Definition
from detmon.store import Connection


def make(
    con: Connection, name: str, a: str, b: str, defined: Definition, start: str | datetime | None, now: datetime
) -> Comparison:
    """Add a test that begins at `start` (None: now), or return the equal one of this name; in a transaction.

    A start without an offset is in model A's zone. Raises UnknownName, or UsageError for another test of this name.
    """
    pair = models.find(con, a), models.find(con, b)
    zone = times.parse_zone(pair[0].zone or "UTC")
    begin = times.parse_instant(start, zone) if isinstance(start, str) else start
    ids = (pair[0].id, pair[1].id)
    return definition.create(
        con,
        name,
        ids,
        defined,
        now if begin is None else times.naive_utc(begin),
        same_start=begin is not None,
        expected_units=plan.expected_units(con, ids, defined, now),
        now=now,
    )
