"""Silences and acknowledgements in the store."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from detmon.alerts import instances, matchers
from detmon.alerts.machine import Instance
from detmon.alerts.matchers import Matcher
from detmon.alerts.regex import Re2
from detmon.alerts.rules import Rule
from detmon.errors import UnknownName, UsageError, nearest
from detmon.metrics import Labels
from detmon.notices import canonical
from detmon.records import Record
from detmon.store import Connection, statement
from detmon.times import parse_duration

RESERVED = ("alertname", "model_id", "severity")
"""Labels that every instance has for matching, whatever its rule is split by."""
ORDER = ("active", "pending", "expired")


@dataclass(frozen=True)
class Silence(Record):
    """Alerts that match are evaluated and not told, in [starts_at, ends_at); `state`: active, pending or expired."""

    silence_id: str
    matchers: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str | None
    state: str


@dataclass(frozen=True)
class Ack(Record):
    """Somebody knows of an episode: no more reminders of it."""

    alert: str
    labels: Mapping[str, str]
    episode_id: str
    author: str
    comment: str | None


@dataclass(frozen=True)
class Hold:
    """A silence, or an acknowledgement (`labels` say of what), in a rule's past; `ends_at` None: it goes on."""

    kind: str
    matchers: tuple[str, ...]
    labels: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    author: str
    comment: str | None


@dataclass(frozen=True)
class InForce:
    """What the store holds back at an instant: silences in the order of their start, and episodes → who knows."""

    silences: tuple[tuple[str, tuple[Matcher, ...]], ...] = ()
    acks: Mapping[str, str] = field(default_factory=dict)


def labels_for_matching(rule: Rule, labels: Labels) -> dict[str, str]:
    """The instance's labels, the rule's own, and alertname, model_id and severity, which win."""
    reserved = {"alertname": rule.name, "model_id": rule.model_id, "severity": rule.definition.severity}
    return {**dict(rule.definition.labels), **dict(labels), **reserved}


def span(now: datetime, start: datetime | None, end: datetime | None, length: str | None) -> tuple[datetime, datetime]:
    """From when until when a silence lasts: until `end`, or for `length`; from `start`, or now. Raises UsageError."""
    if (end is None) == (length is None):
        raise UsageError("say how long: --for D, or --end T", "for example --for 2h")
    starts_at = start or now
    ends_at = end or starts_at + parse_duration(length or "")
    if ends_at <= max(starts_at, now):
        raise UsageError("the silence would be over before it begins", "give an --end that is still to come")
    return starts_at, ends_at


def add(
    con: Connection,
    texts: Sequence[str],
    during: tuple[datetime, datetime],
    *,
    author: str,
    comment: str | None,
    now: datetime,
) -> Silence:
    """Add a silence over a span. Raises UsageError for a wrong matcher, and for matchers that hold for anything."""
    found, full_match = [matchers.parse(text) for text in texts], Re2(con)
    matchers.check(found, full_match)
    matchers.refuse_empty(found, full_match)
    row = {"matchers": canonical([str(one) for one in found]), "starts_at": during[0], "ends_at": during[1]}
    return find(con, _insert(con, "silence", row, author=author, comment=comment, now=now), now)


def _insert(
    con: Connection, kind: str, row: Mapping[str, object], *, author: str, comment: str | None, now: datetime
) -> str:
    """Write a silence or an acknowledgement; returns its id."""
    id = f"{'si' if kind == 'silence' else 'ac'}_{os.urandom(6).hex()}"
    nothing = {"matchers": None, "episode_id": None, "ends_at": None}
    about = {"silence_id": id, "kind": kind, "author": author, "comment": comment, "now": now}
    con.execute(statement("add_silence"), {**nothing, **row, **about})
    return id


def every(con: Connection, now: datetime) -> list[Silence]:
    """All silences: the active ones, then the pending, then the expired; each by its start."""
    found = []
    for silence_id, texts, starts_at, ends_at, author, comment in con.execute(statement("list_silences")).fetchall():
        state = "expired" if ends_at <= now else "active" if starts_at <= now else "pending"
        found.append(Silence(silence_id, tuple(json.loads(texts)), starts_at, ends_at, author, comment, state))
    return sorted(found, key=lambda silence: ORDER.index(silence.state))


def find(con: Connection, silence_id: str, now: datetime) -> Silence:
    """One silence. Raises UnknownName."""
    known = every(con, now)
    for silence in known:
        if silence.silence_id == silence_id:
            return silence
    ids = [silence.silence_id for silence in known if silence.state != "expired"]
    raise UnknownName("silence", silence_id, ids, None if ids else "no silence is active or pending")


def expire(con: Connection, silence_id: str, now: datetime) -> Silence:
    """End a silence now, or before it begins; one that is over stays as it is."""
    find(con, silence_id, now)
    con.execute(statement("expire_silence"), {"silence_id": silence_id, "now": now})
    return find(con, silence_id, now)


def in_force(con: Connection, now: datetime) -> InForce:
    """What is in force at `now`."""
    found = con.execute(statement("holds_in_force"), {"now": now}).fetchall()
    silences = sorted((starts_at, id, texts) for id, kind, texts, _, _, starts_at in found if kind == "silence")
    return InForce(
        tuple((id, tuple(matchers.parse(text) for text in json.loads(texts))) for _, id, texts in silences),
        {episode: author for _, kind, _, episode, author, _ in found if kind == "ack"},
    )


def of_rule(con: Connection, rule: Rule) -> Iterator[Hold]:
    """The acknowledgements of a rule's episodes, and the silences that hold for a label set it ever had."""
    known = [
        tuple(json.loads(text).items())
        for (text,) in con.execute(statement("alert_labels"), {"id": rule.id}).fetchall()
    ]
    full_match = Re2(con)
    for kind, texts, labels, *rest in con.execute(statement("alert_holds"), {"id": rule.id}).fetchall():
        written = tuple(json.loads(texts or "[]"))
        found = [matchers.parse(text) for text in written]
        if any(matchers.all_hold(found, labels_for_matching(rule, one), full_match) for one in known):
            yield Hold(kind, written, json.loads(labels or "{}"), *rest)


def acknowledge(
    con: Connection, rule: Rule, firing: Iterable[Instance], *, author: str, comment: str | None, now: datetime
) -> list[Ack]:
    """Note that somebody knows of these episodes; who knew first stays."""
    known = in_force(con, now).acks
    found = []
    for instance in firing:
        episode = instance.episode_id or ""
        if episode not in known:
            row = {"episode_id": episode, "starts_at": now}
            _insert(con, "ack", row, author=author, comment=comment, now=now)
        found.append(Ack(rule.name, dict(instance.labels), episode, known.get(episode, author), comment))
    return found


def remarks(con: Connection, silence: Silence, rules: Sequence[Rule]) -> list[str]:
    """What to tell who made a silence: labels that no alert has, and how many instances it holds as things are."""
    found = [matchers.parse(text) for text in silence.matchers]
    known = {name for rule in rules for name in (*rule.definition.by, *dict(rule.definition.labels))} | set(RESERVED)
    lines = []
    for name in dict.fromkeys(matcher.label for matcher in found if matcher.label not in known):
        alike = nearest(name, known)
        lines.append(f"no alert has a label {name!r}" + (f"; did you mean {alike!r}?" if alike else ""))
    full_match = Re2(con)
    states = [
        instance.state
        for rule, instance in instances.of_all(con, rules)
        if matchers.all_hold(found, labels_for_matching(rule, instance.labels), full_match)
    ]
    count = "1 instance" if len(states) == 1 else f"{len(states)} instances"
    firing = f", {states.count('firing')} of them firing" if states else ""
    lines.append(f"it matches {count} now{firing}")
    return lines
