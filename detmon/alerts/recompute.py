"""A rule's past beside what its slots would find today: rows that came late change no state, but they are shown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from detmon.alerts.evaluation import Facts, evaluate_rule
from detmon.alerts.instances import Happened
from detmon.alerts.machine import Instance, Outcome
from detmon.alerts.rules import Rule
from detmon.alerts.slots import Due
from detmon.metrics import Labels, Metric
from detmon.records import Record
from detmon.store import Connection, statement


@dataclass(frozen=True)
class RevisedRow(Record):
    """What a slot told then, and what it would tell now; `differs`: event, value, or None."""

    slot: datetime
    labels: Mapping[str, str]
    stored: tuple[str, ...]
    stored_value: float | None
    stored_n: int | None
    revised: tuple[str, ...]
    value: float | None
    n: int | None
    differs: str | None


class _Told(NamedTuple):
    """The events of one slot and label set."""

    kinds: tuple[str, ...]
    value: float | None
    n: int | None


_Key = tuple[datetime, tuple[tuple[str, str], ...]]


def recompute(con: Connection, catalogue: Mapping[str, Metric], rule: Rule) -> list[RevisedRow]:
    """Every slot at which something happened, or would have; of the rule as it is since its last edit.

    The slots are those that were evaluated, from the first that is still known. Nothing is written.
    """
    con.execute("SET enable_progress_bar = false")
    parts = _parts(con, rule)
    whole = Due(rule, tuple(slot for part in parts for slot in part.due.slots))
    if not whole.slots:
        return []
    outcomes: dict[_Key, Outcome] = {}

    def watch(labels: Labels, slot: datetime, outcome: Outcome) -> None:
        outcomes[slot, tuple(sorted(labels))] = outcome

    facts, happened = Facts(con, catalogue, [whole]), []
    instances: Mapping[Labels, Instance] = {}
    for part in parts:
        done = evaluate_rule(part.due, facts, {} if part.anew else instances, watch)
        instances = done.instances
        happened += done.happened
    return list(_beside(_stored(con, rule, whole.slots[0]), _replayed(happened), outcomes))


class _Part(NamedTuple):
    """Slots that were evaluated in a row; `anew`: the rule had been paused before."""

    due: Due
    anew: bool


def _parts(con: Connection, rule: Rule) -> list[_Part]:
    parts: list[_Part] = []
    values = {"id": rule.id, "version": rule.version}
    slots: list[datetime] = []
    skipped, paused = None, False
    for slot, status, skipped_from, anew in con.execute(statement("evaluated_slots"), values).fetchall():
        if (status == "skipped" or anew) and slots:
            parts.append(_Part(Due(rule, tuple(slots), skipped), paused))
            skipped, slots, paused = None, [], False
        paused = paused or anew
        if status == "skipped":
            skipped = (skipped_from, slot)
        else:
            slots.append(slot)
    return [*parts, _Part(Due(rule, tuple(slots), skipped), paused)]


def _stored(con: Connection, rule: Rule, first: datetime) -> dict[_Key, _Told]:
    found: dict[_Key, list[tuple[str, float | None, int | None]]] = defaultdict(list)
    rows = con.execute(statement("events_since"), {"id": rule.id, "first": first}).fetchall()
    for slot, kind, labels, value, n in rows:
        found[slot, tuple(sorted(json.loads(labels).items()))].append((kind, value, n))
    return {key: _Told(tuple(kind for kind, _, _ in told), told[0][1], told[0][2]) for key, told in found.items()}


def _replayed(happened: Sequence[Happened]) -> dict[_Key, tuple[str, ...]]:
    found: dict[_Key, tuple[str, ...]] = defaultdict(tuple)
    for h in happened:
        found[h.event.slot, tuple(sorted(h.instance.labels))] += (h.event.kind,)
    return found


def _beside(
    stored: Mapping[_Key, _Told], replayed: Mapping[_Key, tuple[str, ...]], outcomes: Mapping[_Key, Outcome]
) -> Iterator[RevisedRow]:
    for key in sorted(stored.keys() | replayed.keys()):
        then, now = stored.get(key, _Told((), None, None)), replayed.get(key, ())
        found = outcomes.get(key, Outcome())
        other_value = key in stored and (then.value, then.n) != (found.value, found.n)
        differs = "event" if then.kinds != now else "value" if other_value else None
        yield RevisedRow(key[0], dict(key[1]), *then, now, found.value, found.n, differs)
