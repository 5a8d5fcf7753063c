"""Notices: what is said, when and to whom, composed once a run from its events and final states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from detmon.alerts import flapping
from detmon.alerts.instances import Happened
from detmon.alerts.machine import Event, Instance
from detmon.alerts.rules import SEVERITIES, Rule
from detmon.alerts.targets import Targets
from detmon.hookspecs import Capabilities, Item
from detmon.metrics import Metric
from detmon.notices import Notice, first_kind, queue
from detmon.store import Connection, statement
from detmon.times import format_duration, format_instant

CAUSES = ("ingest_stalled", "model_silent")
"""Reasons of missing data that many rules share: told once a target, not once a rule."""
TOLD = ("firing", "reminder", "flapping", "stable", "no_data", "error")
"""News of something open, of which the target is to hear again."""
EXPIRES_AFTER = {"email": timedelta(days=7), "sendmail": timedelta(days=7)}
EXPIRES = timedelta(hours=24)


@dataclass(frozen=True)
class Changed:
    """One rule after a run: its final instances, what happened, and the newest slot."""

    rule: Rule
    metric: Metric | None
    slot: datetime
    instances: Sequence[Instance]
    happened: Sequence[Happened]


@dataclass(frozen=True)
class _News:
    """One item for one target, before grouping. `told` is what `alert_notified` will say; None: nothing."""

    target: str
    changed: Changed
    item: Item
    group_key: str
    count: int


class _Told(NamedTuple):
    """When a target was last told of an episode, how often, and what it was like when it first was."""

    slot: datetime
    times: int
    stateful: bool
    refresh: bool


@dataclass(frozen=True)
class _Memory:
    """Who was told of which episode, and what still waits to be told."""

    told: Mapping[str, Mapping[str, _Told]] = field(default_factory=dict)
    waiting: frozenset[tuple[str, str]] = frozenset()

    def targets(self, episode: str | None) -> Mapping[str, _Told]:
        return self.told.get(episode or "", {})


def tell(con: Connection, changes: Sequence[Changed], targets: Targets, *, run_id: str, now: datetime) -> list[Notice]:
    """Compose and queue the notices of a run.

    A target counts as told as soon as its notice is queued: from here on the outbox delivers it.
    """
    memory = _remember(con, changes)
    news = [one for changed in changes for one in _news(changed, memory, targets.default)]
    notices = list(_grouped(news, now))
    by_life: dict[timedelta, list[Notice]] = defaultdict(list)
    for notice in notices:
        by_life[EXPIRES_AFTER.get(notice.target.partition(":")[0], EXPIRES)].append(notice)
    for life, group in by_life.items():
        queue(con, group, run_id=run_id, now=now, expires_after=life)
    _note_told(con, news, notices, targets.capabilities)
    return notices


def _remember(con: Connection, changes: Iterable[Changed]) -> _Memory:
    episodes = {
        episode
        for changed in changes
        for episode in (
            *(e for i in changed.instances for e in (i.episode_id, i.health_episode_id, flapping.episode(i))),
            *(h.event.episode_id for h in changed.happened),
        )
        if episode
    }
    if not episodes:
        return _Memory()
    told: dict[str, dict[str, _Told]] = defaultdict(dict)
    asked = {"episodes": sorted(episodes)}
    for episode, target, *known in con.execute(statement("alert_told"), asked).fetchall():
        told[episode][target] = _Told(*known)
    waiting = frozenset(con.execute(statement("alert_waiting"), asked).fetchall()) if told else frozenset()
    return _Memory(told, waiting)


def _news(changed: Changed, memory: _Memory, default: Sequence[str]) -> Iterator[_News]:
    targets = changed.rule.definition.notify or tuple(default)
    steadied = {h.instance.key for h in changed.happened if h.event.kind == "stable"}
    for instance in changed.instances:
        if instance.flap.since is not None:
            yield from _flapping(changed, instance, memory, targets)
            continue
        if instance.condition == "firing" and instance.key not in steadied:
            yield from _firing(changed, instance, memory, targets)
        if instance.told:
            yield from _unhealthy(changed, instance, memory, targets)
    yield from _ended(changed, memory, targets)


def _flapping(changed: Changed, instance: Instance, memory: _Memory, targets: Sequence[str]) -> Iterator[_News]:
    """Instead of all other news of an instance: that it flaps."""
    episode = flapping.episode(instance)
    told = memory.targets(episode)
    events = [h.event for h in changed.happened if h.event.kind == "flapping" and h.instance.key == instance.key]
    for target in targets:
        if events and target not in told:
            yield _one(changed, instance, events[-1], target, 1)
    still = Event("refresh", changed.slot, instance.value, instance.n, "flapping", episode, instance.flap.since)
    yield from _upheld(changed, instance, memory, still)


def _firing(changed: Changed, instance: Instance, memory: _Memory, targets: Sequence[str]) -> Iterator[_News]:
    """Rows 1 and 3: an episode that a target does not know, and the reminder of one that it does."""
    rule, told = changed.rule, memory.targets(instance.episode_id)
    event = Event(
        "firing",
        changed.slot,
        instance.value,
        instance.n,
        episode_id=instance.episode_id,
        fired_at=instance.fired_at,
        peak=instance.peak,
    )
    reminded = []
    for target in targets:
        if target not in told:
            yield _one(changed, instance, event, target, 1)
            continue
        slot, count, *_ = told[target]
        due = rule.definition.repeat is not None and changed.slot - slot >= rule.definition.repeat
        if due and slot < changed.slot and (instance.episode_id, target) not in memory.waiting:
            reminded.append(target)
            yield _one(changed, instance, replace(event, kind="reminder"), target, count + 1)
    yield from _upheld(changed, instance, memory, replace(event, kind="refresh"), but=reminded)


def _unhealthy(changed: Changed, instance: Instance, memory: _Memory, targets: Sequence[str]) -> Iterator[_News]:
    """Row 7: a health stretch that was announced and goes on."""
    told = memory.targets(instance.health_episode_id)
    event = Event(
        instance.told or "",
        changed.slot,
        instance.value,
        instance.n,
        instance.health_reason,
        instance.health_episode_id,
        instance.health_since,
    )
    for target in targets:
        if target not in told:
            yield _one(changed, instance, event, target, 1)
    yield from _upheld(changed, instance, memory, replace(event, kind="refresh"))


def _upheld(
    changed: Changed, instance: Instance, memory: _Memory, event: Event, but: Sequence[str] = ()
) -> Iterator[_News]:
    """What is open, again, for the targets that let go of what they do not hear of at every run."""
    for target, told in memory.targets(event.episode_id).items():
        if (
            told.refresh
            and target not in but
            and told.slot < changed.slot
            and (event.episode_id, target) not in memory.waiting
        ):
            yield _one(changed, instance, event, target, told.times)


def _ended(changed: Changed, memory: _Memory, targets: Sequence[str]) -> Iterator[_News]:
    """Rows 4, 5 and 8: what ended in this run, for those who knew; and what came and went unseen."""
    unsteady = {i.key for i in changed.instances if i.flap.since is not None}
    began = {h.event.episode_id for h in changed.happened if h.event.kind == "firing"}
    for h in changed.happened:
        event = h.event
        if event.kind == "stable":
            for target in memory.targets(event.episode_id):
                yield _one(changed, h.instance, replace(event, episode_id=h.instance.episode_id), target, 1)
        if event.kind not in ("resolved", "closed", "no_data_resolved", "error_resolved"):
            continue
        for target, told in memory.targets(event.episode_id).items():
            if changed.rule.definition.send_resolved or told.stateful:
                yield _one(changed, h.instance, event, target, told.times)
        if event.kind == "resolved" and event.episode_id in began and h.instance.key not in unsteady:
            for target in targets:
                yield _one(changed, h.instance, replace(event, kind="missed"), target, 1)


def _one(changed: Changed, instance: Instance, event: Event, target: str, count: int) -> _News:
    rule, definition = changed.rule, changed.rule.definition
    ended = event.kind in ("resolved", "closed", "missed", "no_data_resolved", "error_resolved")
    detail: dict[str, object] = {
        "severity": definition.severity,
        "unit": changed.metric.unit if changed.metric else "",
        "slot": format_instant(event.slot),
        "every": format_duration(definition.every),
        "peak": event.peak,
        "count": count - 1 if event.kind == "reminder" else None,
        "rule_labels": dict(definition.labels),
        "description": definition.description,
        "runbook": definition.runbook,
        "relative_to": definition.relative_to,
        **instance.detail,
        **event.detail,
    }
    item = Item(
        alert=rule.name,
        alert_id=rule.id,
        model_id=rule.model_id,
        instance_key=instance.key,
        episode_id=event.episode_id,
        kind=event.kind,
        labels=dict(instance.labels),
        metric=definition.metric,
        operator=definition.operator,
        threshold=definition.threshold,
        window=format_duration(definition.window),
        value=event.value,
        n=event.n,
        fired_at=event.fired_at,
        ended_at=event.slot if ended else None,
        reason=event.reason,
        detail={key: value for key, value in detail.items() if value not in (None, {}, "")},
    )
    return _News(target, changed, item, _group(rule, event), count)


def _group(rule: Rule, event: Event) -> str:
    """What is told together: the news of a rule, or a cause that many rules share."""
    if event.kind.startswith("no_data") and event.reason in CAUSES:
        return event.reason if event.reason == "ingest_stalled" else f"model_silent:{rule.model_id}"
    return rule.id


def _grouped(news: Iterable[_News], now: datetime) -> Iterator[Notice]:
    """One notice a target and group; items by severity, then distance from the threshold, then labels."""
    groups: dict[tuple[str, str], list[_News]] = defaultdict(list)
    for one in news:
        groups[one.target, one.group_key].append(one)
    for (target, group_key), members in groups.items():
        members.sort(key=lambda one: _rank(one.item))
        rules = {one.changed.rule.id for one in members}
        late = [
            one.item.fired_at for one in members if one.item.kind == "firing" and one.item.fired_at and _late(one, now)
        ]
        yield Notice(
            target=target,
            kind=first_kind(one.item.kind for one in members),
            group_key=group_key,
            slot=max(one.changed.slot for one in members),
            severity=max((one.changed.rule.definition.severity for one in members), key=SEVERITIES.index),
            items=tuple(one.item for one in members),
            alert_id=rules.pop() if len(rules) == 1 else None,
            late_by=now - min(late) if late else None,
        )


def _late(one: _News, now: datetime) -> bool:
    definition = one.changed.rule.definition
    return one.item.fired_at is not None and now - one.item.fired_at > 2 * definition.every + definition.delay


def _rank(item: Item) -> tuple[int, float, list[tuple[str, str]]]:
    severity = SEVERITIES.index(str(item.detail["severity"]))
    return -severity, -_distance(item), sorted(item.labels.items())


def _distance(item: Item) -> float:
    """How far what is compared is from the threshold."""
    compared = item.detail.get("z", item.detail.get("change", item.value))
    if not isinstance(compared, (int, float)):
        return 0.0
    return abs((abs(compared) if "z" in item.detail else compared) - item.threshold)


def _note_told(
    con: Connection,
    news: Sequence[_News],
    notices: Sequence[Notice],
    capabilities: Callable[[str], Capabilities],
) -> None:
    """Note who knows of the open episodes now."""
    ids = {(notice.target, notice.group_key): notice.notice_id for notice in notices}
    told = [one for one in news if one.item.episode_id and one.item.kind in TOLD]
    if told:
        can = {target: capabilities(target) for target in {one.target for one in told}}
        columns = {
            "episode_id": [one.item.episode_id for one in told],
            "target": [one.target for one in told],
            "notice_id": [ids[one.target, one.group_key] for one in told],
            "last_slot": [one.changed.slot for one in told],
            "count": [one.count for one in told],
            "stateful": [can[one.target].stateful for one in told],
            "refresh": [can[one.target].refresh for one in told],
        }
        con.execute(statement("tell_alert"), columns)
