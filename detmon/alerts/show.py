"""What is known of rules and their past, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from detmon.alerts import instances, silences
from detmon.alerts.machine import Instance
from detmon.alerts.rules import Rule
from detmon.alerts.silences import Hold
from detmon.datasets import STATUSES
from detmon.records import Record
from detmon.store import Connection, statement
from detmon.times import format_duration


@dataclass(frozen=True)
class AlertRule(Record):
    """A rule as it is stored, every default filled in."""

    id: str
    name: str
    model_id: str
    version: int
    enabled: bool
    metric: str
    operator: str
    threshold: float
    window: str
    every: str
    delay: str
    by: tuple[str, ...]
    where: Mapping[str, str]
    for_: str
    keep_firing_for: str
    recover_threshold: float | None
    relative_to: str | None
    min_samples: int | None
    no_data: str
    no_data_for: str
    on_error: str
    error_for: str
    repeat: str
    send_resolved: bool
    notify: tuple[str, ...]
    severity: str
    labels: Mapping[str, str]
    description: str | None
    runbook: str | None
    catch_up: str
    forget_after: str
    max_instances: int
    flap: str
    direction: str
    sensitivity: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class AlertRow(Record):
    """One instance of a rule as `alert list` shows it; a rule without instances has one row without labels."""

    id: str
    name: str
    model_id: str
    metric: str
    operator: str
    threshold: float
    window: str
    state: str
    health: str | None
    value: float | None
    n: int | None
    since: datetime | None
    labels: Mapping[str, str]
    detail: Mapping[str, Any]
    held_by: str | None
    health_reason: str | None
    hint: str | None


@dataclass(frozen=True)
class AlertDetails(AlertRule):
    """A rule and the state of its instances."""

    instances: tuple[AlertRow, ...]


@dataclass(frozen=True)
class AlertHistoryRow(Record):
    """One line of a rule's past: `what` is event, skipped, notice, silence or ack."""

    slot: datetime
    what: str
    kind: str
    labels: Mapping[str, str]
    value: float | None
    n: int | None
    reason: str | None
    target: str | None
    status: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class ModelStatus(Record):
    """What the store knows of one model; of `pruned` predictions (before `pruned_before`) only hourly sums are left."""

    model_id: str
    predictions: int
    detections: int
    sources: int
    classes: int
    pruned: int
    pruned_before: datetime | None
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Status(Record):
    """What is in the store, what fires, what waits.

    `checked_at`: the last check of alerts; `last_check` says whether that was `fresh`, `stale` or `never`. `training`:
    the jobs that are not over, as far as the store knows.
    """

    db: str
    models: tuple[ModelStatus, ...]
    rejected: int
    alerts: Mapping[str, int]
    items: Mapping[str, int]
    outbox: Mapping[str, int]
    checked_at: datetime | None
    last_check: str | None
    training: Mapping[str, int]


STATES = ("firing", "pending", "ok", "no_data", "error")


def record(rule: Rule) -> AlertRule:
    """What the user gets."""
    said = rule.definition.to_dict()
    said["for_"] = said.pop("for")
    return AlertRule(
        id=rule.id,
        name=rule.name,
        model_id=rule.model_id,
        version=rule.version,
        enabled=rule.enabled,
        created_at=rule.created_at,
        updated_at=rule.updated_at,
        **said,
    )


def details(con: Connection, rule: Rule) -> AlertDetails:
    """A rule with its instances."""
    return AlertDetails(**vars(record(rule)), instances=tuple(rows(con, [rule])))


def rows(con: Connection, rules: Iterable[Rule]) -> list[AlertRow]:
    """One row an instance; a rule that has none is `paused` or `new`."""
    listed = list(rules)
    stored = instances.load(con, listed)
    found = []
    for rule in listed:
        found += [_row(rule, instance) for _, instance in sorted(stored.get(rule.id, {}).items())] or [_row(rule)]
    return found


def _row(rule: Rule, instance: Instance | None = None) -> AlertRow:
    said = rule.definition
    return AlertRow(
        id=rule.id,
        name=rule.name,
        model_id=rule.model_id,
        metric=said.metric,
        operator=said.operator,
        threshold=said.threshold,
        window=format_duration(said.window),
        state=instance.state if instance else "new" if rule.enabled else "paused",
        health=instance.health if instance else None,
        value=instance.value if instance else None,
        n=instance.n if instance else None,
        since=instance.state_since if instance else None,
        labels=dict(instance.labels) if instance else {},
        detail=instances.compared(instance) if instance else {},
        held_by=instance.held_by if instance else None,
        health_reason=instance.health_reason if instance else None,
        hint=instance.detail.get("hint") if instance else None,
    )


def history(con: Connection, rule: Rule) -> list[AlertHistoryRow]:
    """Events, skipped slots and notices of a rule, and what held these back, by slot."""
    found = con.execute(statement("alert_history"), {"id": rule.id}).fetchall()
    rows = [
        AlertHistoryRow(
            slot, what, kind, json.loads(labels or "{}"), value, n, reason, target, status, json.loads(detail or "{}")
        )
        for slot, what, kind, labels, value, n, reason, target, status, detail, _ in found
    ]
    return sorted([*rows, *map(_hold, silences.of_rule(con, rule))], key=lambda row: row.slot)


def _hold(one: Hold) -> AlertHistoryRow:
    """A silence or an acknowledgement as a line of the past."""
    until = f"until {one.ends_at:%Y-%m-%d %H:%MZ}" if one.ends_at else None
    said = [*one.matchers, until, f"by {one.author}"]
    reason = " ".join(filter(None, said)) + (f": {one.comment}" if one.comment else "")
    return AlertHistoryRow(one.starts_at, one.kind, one.kind, one.labels, None, None, reason, None, None, {})


def status(con: Connection, db: str, now: datetime, max_age: timedelta | None) -> Status:
    """What is in the store, what fires, what waits; a check older than `max_age` is stale."""
    models = tuple(ModelStatus(*row) for row in con.execute(statement("status_models")).fetchall())
    states = _counts(con, "status_alerts")
    notices = _counts(con, "status_outbox")
    items = _counts(con, "status_items")
    trainings = _counts(con, "status_training")
    rejected, checked_at = con.execute(statement("status_store")).fetchall()[0]
    return Status(
        db=db,
        models=models,
        rejected=rejected,
        alerts={state: states.get(state, 0) for state in STATES},
        items={status: items.get(status, 0) for status in STATUSES},
        outbox={
            "queued": notices.get("queued", 0) + notices.get("sending", 0),
            "sent": notices.get("sent", 0),
            "dead": notices.get("dead", 0),
        },
        checked_at=checked_at,
        last_check=None if max_age is None else _freshness(checked_at, now, max_age),
        training={status: trainings.get(status, 0) for status in ("queued", "running")},
    )


def _freshness(checked_at: datetime | None, now: datetime, max_age: timedelta) -> str:
    if checked_at is None:
        return "never"
    return "stale" if now - checked_at > max_age else "fresh"


def _counts(con: Connection, name: str) -> dict[str, Any]:
    return dict(con.execute(statement(name)).fetchall())
