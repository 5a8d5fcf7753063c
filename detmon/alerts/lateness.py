"""Rows that came too late to be seen, or from the future: said, never silently lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from detmon.alerts.rules import Rule
from detmon.store import Connection, statement
from detmon.times import format_duration

SHARE = 0.01
"""More late rows than this are worth a warning."""
BACKFILL = timedelta(days=1)
"""What comes later than that is history brought in: nobody would wait for it."""
AHEAD = timedelta(minutes=5)
"""Clocks differ by less."""


def warnings(con: Connection, rules: Sequence[Rule], now: datetime) -> Iterator[str]:
    """What is odd about the rows that were loaded since the last check. A slot is not evaluated again for them."""
    evaluated = _last_slots(rules)
    row = con.execute(statement("last_check"), {"now": now}).fetchone() if evaluated else None
    if row is None or not row[1]:
        return
    values = {"since": row[0], "now": now, "future": now + AHEAD}
    columns = {"models": list(evaluated), "slots": list(evaluated.values())}
    for model, loaded, late, lag, ahead in con.execute(statement("late_rows"), {**values, **columns}).fetchall():
        if late > SHARE * loaded:
            behind = timedelta(seconds=round(lag))
            yield (
                f"{model}: {late:,} of {loaded:,} new rows came after their slots were evaluated; "
                f"95 % of all came within {format_duration(behind)}: {_cure(behind)}"
            )
        if ahead:
            yield f"{model}: {ahead:,} new rows are later than the clock by more than 5 minutes (clock_skew)"


def _cure(lag: timedelta) -> str:
    if lag > BACKFILL:
        return "detmon alert history NAME --recompute shows what they would have changed"
    return f"--delay {format_duration(timedelta(minutes=-(-lag // timedelta(minutes=1))))} would have waited for these"


def _last_slots(rules: Sequence[Rule]) -> dict[str, datetime]:
    """The newest evaluated slot of each model."""
    newest: dict[str, datetime] = {}
    for rule in rules:
        if rule.last_slot is not None:
            newest[rule.model_id] = max(rule.last_slot, newest.get(rule.model_id, rule.last_slot))
    return newest
