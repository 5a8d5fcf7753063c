"""Notices: what is said, when and to whom, composed once a run from its events and final states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from detmon.alerts import flapping
from detmon.alerts.holds import Holding
from detmon.alerts.instances import Happened
from detmon.alerts.machine import Event, Instance
from detmon.alerts.policy import Policy
from detmon.alerts.rules import SEVERITIES, Rule
from detmon.hookspecs import Capabilities, Item
from detmon.metrics import Metric
from detmon.notices import Notice, first_kind, queue
from detmon.store import Connection, statement
from detmon.times import format_duration, format_instant

CAUSES = ("ingest_stalled", "model_silent")
"""Reasons of missing data that many rules share: told once a target, not once a rule."""
TOLD = ("firing", "reminder", "flapping", "stable", "no_data", "error")
"""News of something open, of which the target is to hear again."""
EXAMPLES = 10
"""Instances that get example images in one run."""
ENDS = ("resolved", "closed", "no_data_resolved", "error_resolved")


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
    group_key: str | None
    """The group of the notice that told it; None once that is pruned."""
    unheard: bool
    """Every notice of it died unsent."""


@dataclass(frozen=True)
class _Memory:
    """Who was told of which episode, and what still waits to be told."""

    told: Mapping[str, Mapping[str, _Told]] = field(default_factory=dict)
    waiting: frozenset[tuple[str, str]] = frozenset()

    def targets(self, episode: str | None) -> Mapping[str, _Told]:
        return self.told.get(episode or "", {})


def tell(
    con: Connection, changes: Sequence[Changed], policy: Policy, holding: Holding, *, run_id: str, now: datetime
) -> list[Notice]:
    """Compose and queue the notices of a run, all but those that `holding` holds back.

    A target counts as told as soon as its notice is queued: from here on the outbox delivers it.
    """
    memory = _remember(con, changes, now)
    news = [one for changed in changes for one in _news(changed, memory, holding, policy)]
    if policy.examples:
        news = _with_examples(con, news)
    notices = list(_grouped(news, holding, now))
    can = {target: policy.targets.capabilities(target) for target in {notice.target for notice in notices}}
    for notice in notices:
        queue(con, [notice], run_id=run_id, now=now, expires_after=timedelta(seconds=can[notice.target].ttl_s))
    _note_told(con, news, notices, can)
    return notices


def _remember(con: Connection, changes: Iterable[Changed], now: datetime) -> _Memory:
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
    for episode, target, *known in con.execute(statement("alert_told"), {**asked, "now": now}).fetchall():
        told[episode][target] = _Told(*known)
    waiting = frozenset(con.execute(statement("alert_waiting"), asked).fetchall()) if told else frozenset()
    return _Memory(told, waiting)


def _news(changed: Changed, memory: _Memory, holding: Holding, policy: Policy) -> Iterator[_News]:
    view = _View(changed, memory, holding, policy, changed.rule.definition.notify or policy.targets.default)
    for instance in changed.instances:
        if instance.flap.since is not None:
            yield from view.flapping(instance)
            continue
        if instance.condition == "firing":
            yield from view.firing(instance)
        if instance.told:
            yield from view.unhealthy(instance)
    yield from view.ended()


@dataclass(frozen=True)
class _View:
    """What there is to say of one changed rule, to whom."""

    changed: Changed
    memory: _Memory
    holding: Holding
    policy: Policy
    targets: Sequence[str]

    def untold(self, instance: Instance, episode: str | None) -> list[str]:
        """The targets that do not know of an episode and may hear of it now."""
        told = self.memory.targets(episode)
        return [] if self.holding.news(instance.key) else [target for target in self.targets if target not in told]

    def flapping(self, instance: Instance) -> Iterator[_News]:
        """Instead of all other news of an instance: that it flaps."""
        episode, reason = flapping.episode(instance), flapping.remedy(instance, self.changed.rule.definition.flap)
        for target in self.untold(instance, episode):
            yield self._one(instance, self._event(instance, "flapping", episode, reason), target)
        still = self._event(instance, "refresh", episode, "flapping")
        yield from self._upheld(instance, replace(still, fired_at=instance.flap.since, peak=None))

    def firing(self, instance: Instance) -> Iterator[_News]:
        """Rows 1 to 3: an episode that a target does not know, and the reminder of one that it does."""
        over = self.holding.released.get(instance.key)
        event = self._event(instance, "firing", instance.episode_id, over and f"no longer held by {over}")
        for target in self.untold(instance, instance.episode_id):
            if (instance.episode_id, target) not in self._steadied:
                yield self._one(instance, event, target)
        reminded = []
        for target, told in self._known(instance):
            if over or self._reminder_is_due(told.slot):
                reminded.append(target)
                yield self._one(instance, replace(event, kind="reminder"), target, told.times + 1)
        yield from self._upheld(instance, replace(event, kind="refresh", reason=None), but=reminded)

    def _known(self, instance: Instance) -> Iterator[tuple[str, _Told]]:
        """The targets that know of an episode and may be reminded of it."""
        if self.holding.reminders(instance.key):
            return
        told = self.memory.targets(instance.episode_id)
        for target in self.targets:
            if target in told and (instance.episode_id, target) not in self.memory.waiting:
                yield target, told[target]

    def _reminder_is_due(self, told: datetime) -> bool:
        repeat, slot = self.changed.rule.definition.repeat, self.changed.slot
        return repeat is not None and told < slot and slot - told >= repeat

    def unhealthy(self, instance: Instance) -> Iterator[_News]:
        """Row 7: a health stretch that was announced and goes on."""
        open_ = self._event(instance, instance.told or "", instance.health_episode_id, instance.health_reason)
        event = replace(open_, fired_at=instance.health_since, peak=None)
        for target in self.untold(instance, instance.health_episode_id):
            yield self._one(instance, event, target)
        yield from self._upheld(instance, replace(event, kind="refresh"))

    def _upheld(self, instance: Instance, event: Event, but: Sequence[str] = ()) -> Iterator[_News]:
        """What is open, again, for the targets that let go of what they do not hear of at every run; never held."""
        for target, told in self.memory.targets(event.episode_id).items():
            due = told.refresh and told.slot < self.changed.slot
            if due and target not in but and (event.episode_id, target) not in self.memory.waiting:
                yield self._one(instance, event, target, told.times)

    def ended(self) -> Iterator[_News]:
        """Rows 4, 5 and 8: what ended in this run, for those who knew; and what came and went unseen."""
        for h in self.changed.happened:
            event = h.event
            if event.kind == "stable":
                for target in self.memory.targets(event.episode_id):
                    yield self._one(h.instance, replace(event, episode_id=h.instance.episode_id), target)
            elif event.kind in ENDS:
                for target, told in self.memory.targets(event.episode_id).items():
                    if told.unheard and not told.stateful:
                        yield from self._unheard(h.instance, event, target)
                    elif self.changed.rule.definition.send_resolved or told.stateful:
                        news = self._one(h.instance, event, target, told.times)
                        yield replace(news, group_key=told.group_key or news.group_key)
            came_and_went = event.kind in ("resolved", "closed") and event.episode_id in self._began
            if came_and_went and h.instance.key not in self._unsteady:
                for target in self.untold(h.instance, event.episode_id):
                    yield self._one(h.instance, replace(event, kind="missed"), target)

    def _unheard(self, instance: Instance, event: Event, target: str) -> Iterator[_News]:
        """The end of what a target never heard of: an episode is told whole, the rest not at all."""
        if event.fired_at and event.kind in ("resolved", "closed") and not self.holding.news(instance.key):
            lost = "the notice that it fired was never delivered"
            reason = f"{event.reason}; {lost}" if event.reason else lost
            yield self._one(instance, replace(event, kind="missed", reason=reason), target)

    @cached_property
    def _began(self) -> set[str | None]:
        """The episodes that began in this run."""
        return {h.event.episode_id for h in self.changed.happened if h.event.kind == "firing"}

    @cached_property
    def _unsteady(self) -> set[str]:
        """The instances that flap."""
        return {instance.key for instance in self.changed.instances if instance.flap.since is not None}

    @cached_property
    def _steadied(self) -> set[tuple[str | None, str]]:
        """The episodes of which targets hear in this run that they are steady."""
        return {
            (h.instance.episode_id, target)
            for h in self.changed.happened
            if h.event.kind == "stable"
            for target in self.memory.targets(h.event.episode_id)
        }

    def _event(self, instance: Instance, kind: str, episode: str | None, reason: str | None) -> Event:
        """The state of an instance as news."""
        slot, value, n = self.changed.slot, instance.value, instance.n
        return Event(kind, slot, value, n, reason, episode, instance.fired_at, instance.peak)

    def _one(self, instance: Instance, event: Event, target: str, count: int = 1) -> _News:
        return _one(self.changed, instance, event, target, count, self.policy)


def _one(changed: Changed, instance: Instance, event: Event, target: str, count: int, policy: Policy) -> _News:
    rule, definition = changed.rule, changed.rule.definition
    ended = event.kind in (*ENDS, "missed")
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
    return _News(target, changed, item, _group(rule, event, policy), count)


def _group(rule: Rule, event: Event, policy: Policy) -> str:
    """What is told together: the news of a rule or of a model's rules, or a cause that many rules share."""
    if event.kind.startswith("no_data") and event.reason in CAUSES:
        return event.reason if event.reason == "ingest_stalled" else f"model_silent:{rule.model_id}"
    return f"model:{rule.model_id}" if policy.group_by == "model" else rule.id


def _with_examples(con: Connection, news: Iterable[_News]) -> list[_News]:
    """The news with a few images for what fires; as many instances get some as a message lists."""
    from detmon.alerts import examples

    found: dict[str, list[str]] = {}
    shown = []
    for one in news:
        item, changed = one.item, one.changed
        if item.kind == "firing" and (item.instance_key in found or len(found) < EXAMPLES):
            if item.instance_key not in found:
                labels = tuple(item.labels.items())
                found[item.instance_key] = examples.images(con, changed.rule, labels, changed.slot)
            item = replace(item, detail={**item.detail, "examples": found[item.instance_key]})
        shown.append(replace(one, item=item))
    return shown


def _grouped(news: Iterable[_News], holding: Holding, now: datetime) -> Iterator[Notice]:
    """One notice a target and group; items by severity, then distance from the threshold, then labels."""
    groups: dict[tuple[str, str], list[_News]] = defaultdict(list)
    for one in news:
        groups[one.target, one.group_key].append(one)
    for (target, group_key), members in groups.items():
        members.sort(key=lambda one: _rank(one.item))
        rules = {one.changed.rule.id for one in members}
        late = [
            one.item.fired_at
            for one in members
            if one.item.kind == "firing" and one.item.fired_at and _late(one, now)
            if one.item.instance_key not in holding.released
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
    can: Mapping[str, Capabilities],
) -> None:
    """Note who knows of the open episodes now."""
    ids = {(notice.target, notice.group_key): notice.notice_id for notice in notices}
    told = [one for one in news if one.item.episode_id and one.item.kind in TOLD]
    if told:
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
