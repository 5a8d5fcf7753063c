"""What holds notices back: silences, maintenance windows, inhibition; and acknowledgements, which hold reminders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from detmon.alerts import matchers, silences
from detmon.alerts.inhibition import Inhibitors
from detmon.alerts.machine import Instance
from detmon.alerts.policy import Policy
from detmon.alerts.regex import Re2
from detmon.alerts.rules import Rule
from detmon.alerts.silences import labels_for_matching
from detmon.store import Connection, statement

Member = tuple[Rule, Instance]
_ACK = "ack:"


@dataclass(frozen=True)
class Holding:
    """What holds which instance (by its key) at a run's moment, and what held those that may be told again."""

    held: Mapping[str, str] = field(default_factory=dict)
    released: Mapping[str, str] = field(default_factory=dict)

    def news(self, key: str) -> bool:
        """Whether what is new about an instance is held."""
        return key in self.held and not self.held[key].startswith(_ACK)

    def reminders(self, key: str) -> bool:
        """Whether reminders are held."""
        return key in self.held

    def marked(self, instance: Instance) -> Instance:
        """The instance with what holds it."""
        held_by = self.held.get(instance.key) if is_open(instance) else None
        return instance if held_by == instance.held_by else replace(instance, held_by=held_by)


def is_open(instance: Instance) -> bool:
    """Whether there is something to tell of an instance: an episode, an announced health stretch, or that it flaps."""
    return instance.condition == "firing" or instance.told is not None or instance.flap.since is not None


def by_ack(author: str) -> str:
    """How an acknowledgement stands in `held_by`."""
    return f"{_ACK}{author}"


def look(
    con: Connection,
    policy: Policy,
    now: datetime,
    members: Sequence[Member],
    everyone: Callable[[], Iterable[Member]],
) -> Holding:
    """What holds `members`, the instances of which there is something to tell; `everyone` may inhibit them.

    Without members the store is not asked.
    """
    if not members:
        return Holding()
    held = dict(_held(con, policy, now, members, everyone))
    now_held = Holding(held)
    before = {instance.key: instance.held_by for _, instance in members if instance.held_by}
    released = {key: by for key, by in before.items() if not by.startswith(_ACK) and not now_held.news(key)}
    return Holding(held, released)


def mark(con: Connection, instances: Sequence[Instance]) -> None:
    """Note on stored instances what holds them."""
    if instances:
        columns = {"keys": [one.key for one in instances], "held_by": [one.held_by for one in instances]}
        con.execute(statement("hold_alert_instances"), columns)


def _held(
    con: Connection, policy: Policy, now: datetime, members: Sequence[Member], everyone: Callable[[], Iterable[Member]]
) -> Iterator[tuple[str, str]]:
    stored, full_match = silences.in_force(con, now), Re2(con)
    named = [(f"silence:{silence_id}", found) for silence_id, found in stored.silences]
    named += [(f"maintenance:{one.name}", one.matchers) for one in policy.maintenance if one.covers(now)]
    firing: Iterable[Member] = everyone() if policy.inhibitions else ()
    inhibitors = Inhibitors(
        policy.inhibitions,
        [labels_for_matching(rule, one.labels) for rule, one in firing if one.condition == "firing"],
        full_match,
    )
    if not (named or policy.inhibitions or stored.acks):
        return
    for rule, instance in members:
        labels = labels_for_matching(rule, instance.labels)
        held_by = next((name for name, found in named if matchers.all_hold(found, labels, full_match)), None)
        if held_by is None and (source := inhibitors.of(labels)):
            held_by = f"inhibit:{source}"
        if held_by is None and (author := stored.acks.get(instance.episode_id or "")):
            held_by = by_ack(author)
        if held_by:
            yield instance.key, held_by
