"""What is known of rules and their past, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from detmon.alerts import instances
from detmon.alerts.rules import Rule
from detmon.records import AlertHistoryRow, AlertRow, ModelStatus, Status
from detmon.store import Connection, statement
from detmon.times import format_duration

STATES = ("firing", "pending", "ok", "no_data", "error")


def rows(con: Connection, rules: Iterable[Rule]) -> list[AlertRow]:
    """One row an instance; a rule that has none is `paused` or `new`."""
    listed = list(rules)
    stored = instances.load(con, listed)
    found = []
    for rule in listed:
        for _, instance in sorted(stored.get(rule.id, {}).items()):
            found.append(
                _row(
                    rule,
                    instance.state,
                    health=instance.health,
                    value=instance.value,
                    n=instance.n,
                    since=instance.state_since,
                    labels=dict(instance.labels),
                )
            )
        if rule.id not in stored:
            found.append(_row(rule, "new" if rule.enabled else "paused"))
    return found


def _row(
    rule: Rule,
    state: str,
    *,
    health: str | None = None,
    value: float | None = None,
    n: int | None = None,
    since: datetime | None = None,
    labels: Mapping[str, str] | None = None,
) -> AlertRow:
    said = rule.definition
    return AlertRow(
        rule.id,
        rule.name,
        rule.model_id,
        said.metric,
        said.operator,
        said.threshold,
        format_duration(said.window),
        state,
        health,
        value,
        n,
        since,
        labels or {},
    )


def history(con: Connection, rule: Rule) -> list[AlertHistoryRow]:
    """Events, skipped slots and notices of a rule, by slot."""
    found = con.execute(statement("alert_history"), {"id": rule.id}).fetchall()
    return [
        AlertHistoryRow(slot, what, kind, json.loads(labels) if labels else {}, value, n, reason, target, status)
        for slot, what, kind, labels, value, n, reason, target, status, _ in found
    ]


def status(con: Connection, db: str, now: datetime, max_age: timedelta | None) -> Status:
    """What is in the store, what fires, what waits; a check older than `max_age` is stale."""
    models = tuple(ModelStatus(*row) for row in con.execute(statement("status_models")).fetchall())
    states = _counts(con, "status_alerts")
    notices = _counts(con, "status_outbox")
    rejected, checked_at = con.execute(statement("status_store")).fetchall()[0]
    return Status(
        db=db,
        models=models,
        rejected=rejected,
        alerts={state: states.get(state, 0) for state in STATES},
        items={"needs_review": 0, "reviewed": 0, "ignored": 0},
        outbox={
            "queued": notices.get("queued", 0) + notices.get("sending", 0),
            "sent": notices.get("sent", 0),
            "dead": notices.get("dead", 0),
        },
        checked_at=checked_at,
        last_check=None if max_age is None else _freshness(checked_at, now, max_age),
    )


def _freshness(checked_at: datetime | None, now: datetime, max_age: timedelta) -> str:
    if checked_at is None:
        return "never"
    return "stale" if now - checked_at > max_age else "fresh"


def _counts(con: Connection, name: str) -> dict[str, Any]:
    return dict(con.execute(statement(name)).fetchall())
