"""Instances and their events in the store."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detmon.alerts.machine import SHOWN_EVENTS, Event, Flap, Instance
from detmon.alerts.records import AlertEvent, AlertInstance
from detmon.alerts.rules import Rule
from detmon.metrics import Labels
from detmon.notices import canonical
from detmon.store import Connection, statement
from detmon.times import format_duration, parse_instant

COLUMNS = (
    "condition", "active_since", "fired_at", "recovering_since", "episode_id", "peak", "health", "health_since",
    "health_reason", "told", "health_episode_id", "ever", "state", "state_since", "value", "n", "last_slot",
    "last_data_slot", "held_by",
)  # fmt: skip
"""The columns of an instance that are fields of `Instance` as they stand."""

HELD_EVENTS = ("firing", "no_data", "error", "flapping")
"""News that silences, windows and inhibition hold back; what ends is always told."""


@dataclass(frozen=True)
class Happened:
    """An event of one instance of one rule."""

    rule: Rule
    instance: Instance
    event: Event

    def record(self, now: datetime, held_by: str | None) -> AlertEvent:
        """What `alert check` reports; `late_by` where a firing is told later than the next slots would have.

        `held_by` is what holds the instance's news back now.
        """
        rule, event = self.rule, self.event
        late = now - event.slot if event.kind == "firing" else None
        if late is not None and late <= 2 * rule.definition.every + rule.definition.delay:
            late = None
        return AlertEvent(
            alert=rule.name,
            kind=event.kind,
            labels=dict(self.instance.labels),
            value=event.value,
            threshold=rule.definition.threshold,
            slot=event.slot,
            alert_id=rule.id,
            model_id=rule.model_id,
            n=event.n,
            episode_id=event.episode_id,
            fired_at=event.fired_at,
            reason=event.reason,
            late_by=None if late is None else format_duration(late),
            metric=rule.definition.metric,
            operator=rule.definition.operator,
            detail=self.event.detail,
            held_by=held_by if event.kind in HELD_EVENTS else None,
        )

    @property
    def is_shown(self) -> bool:
        """`pending` and `cleared` are history only."""
        return self.event.kind in SHOWN_EVENTS


def new(rule: Rule, labels: Labels) -> Instance:
    """The instance of a label set that was never seen."""
    key = hashlib.sha256(f"{rule.id}\n{canonical(dict(labels))}".encode()).hexdigest()[:32]
    return Instance(key, labels)


def load(con: Connection, rules: Iterable[Rule]) -> dict[str, dict[Labels, Instance]]:
    """The instances of `rules` by rule id and label set."""
    orders = {rule.id: rule.definition.by for rule in rules}
    found: dict[str, dict[Labels, Instance]] = defaultdict(dict)
    if not orders:
        return found
    cursor = con.execute(statement("alert_instances"), {"alerts": list(orders)})
    names = [column[0] for column in cursor.description or ()]
    for row in cursor.fetchall():
        values = dict(zip(names, row, strict=True))
        written = json.loads(values["labels"])
        labels = tuple((key, written[key]) for key in orders[values["alert_id"]] if key in written)
        found[values["alert_id"]][labels] = Instance(
            key=values["instance_key"],
            labels=labels,
            detail=json.loads(values["detail"] or "{}"),
            flap=_flap(values["flap"]),
            **{name: values[name] for name in COLUMNS},
        )
    return found


def of_all(con: Connection, rules: Iterable[Rule]) -> Iterator[tuple[Rule, Instance]]:
    """Every instance of `rules`, with its rule."""
    listed = list(rules)
    stored = load(con, listed)
    return ((rule, instance) for rule in listed for instance in stored.get(rule.id, {}).values())


def _flap(text: str | None) -> Flap:
    if text is None:
        return Flap()
    said = json.loads(text)
    since, changed = (parse_instant(said[key]) if said[key] else None for key in ("since", "changed"))
    return Flap(tuple(parse_instant(moment) for moment in said["fired"]), since, changed)


def _flap_text(flap: Flap) -> str | None:
    return None if flap == Flap() else canonical(vars(flap))


def save(con: Connection, states: Sequence[tuple[Rule, Instance]]) -> None:
    """Write the instances of rules."""
    if not states:
        return
    columns: dict[str, list[object]] = {name: [getattr(instance, name) for _, instance in states] for name in COLUMNS}
    columns |= {
        "instance_key": [instance.key for _, instance in states],
        "alert_id": [rule.id for rule, _ in states],
        "version": [rule.version for rule, _ in states],
        "labels": [canonical(dict(instance.labels)) for _, instance in states],
        "detail": [canonical(instance.detail) for _, instance in states],
        "flap": [_flap_text(instance.flap) for _, instance in states],
    }
    con.execute(statement("save_alert_instances"), columns)


def drop(con: Connection, instances: Iterable[Instance]) -> None:
    """Remove instances; their events stay."""
    keys = [instance.key for instance in instances]
    if keys:
        con.execute(statement("drop_alert_instances"), {"keys": keys})


def record_events(con: Connection, happened: Sequence[Happened], run_id: str, now: datetime) -> None:
    """Write events, in order."""
    if not happened:
        return
    columns = {
        "alert_id": [h.rule.id for h in happened],
        "instance_key": [h.instance.key for h in happened],
        "episode_id": [h.event.episode_id for h in happened],
        "slot": [h.event.slot for h in happened],
        "kind": [h.event.kind for h in happened],
        "labels": [canonical(dict(h.instance.labels)) for h in happened],
        "value": [h.event.value for h in happened],
        "n": [h.event.n for h in happened],
        "threshold": [h.rule.definition.threshold for h in happened],
        "reason": [h.event.reason for h in happened],
        "detail": [canonical(h.event.detail) if h.event.detail else None for h in happened],
    }
    con.execute(statement("add_alert_events"), {**columns, "run_id": run_id, "now": now})


def instance_record(rule: Rule, instance: Instance) -> AlertInstance:
    """An instance as the user sees it."""
    return AlertInstance(
        alert=rule.name,
        labels=dict(instance.labels),
        state=instance.state,
        health=instance.health,
        value=instance.value,
        n=instance.n,
        since=instance.state_since,
        alert_id=rule.id,
        model_id=rule.model_id,
        condition=instance.condition,
        health_reason=instance.health_reason,
        hint=instance.detail.get("hint"),
        held_by=instance.held_by,
        metric=rule.definition.metric,
        operator=rule.definition.operator,
        threshold=rule.definition.threshold,
        detail=compared(instance),
    )


def compared(instance: Instance) -> dict[str, Any]:
    """What the instance's value was compared with, where that is not the threshold alone."""
    return {key: value for key, value in instance.detail.items() if key != "hint"}
