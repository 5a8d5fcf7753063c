"""What is to be told: the notices that a check queues and the delivery sends.

A check composes notices and queues them in its own transaction; from then on the outbox owns them. The payload is JSON
and holds all that a message needs, so that delivery never looks at rules or instances.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detmon.records import plain
from detmon.store import Connection, statement
from detmon.times import format_instant, parse_instant

if TYPE_CHECKING:
    from detmon.hookspecs import Item

KINDS = (
    "firing", "flapping", "error", "no_data", "reminder", "missed", "resolved", "closed", "error_resolved",
    "no_data_resolved", "stable", "refresh", "digest", "delivery_failing",
)  # fmt: skip
"""All kinds of notices; a notice with several kinds of items has the first of these that it contains."""


@dataclass(frozen=True)
class Notice:
    """One message for one target, as composed by a check (or merged from several by the outbox).

    `group_key` says what may be merged with what while it waits: the rule's id, or the cause of a health notice.
    `severity` is the highest of its items'. `late_by`: how late the check ran. `at`: what the items' times mean now.
    """

    target: str
    kind: str
    group_key: str
    slot: datetime
    severity: str
    items: tuple[Item, ...]
    alert_id: str | None = None
    late_by: timedelta | None = None

    @property
    def notice_id(self) -> str:
        """32 hex digits that are the same whenever the same news is composed for the same target."""
        told = sorted([item.instance_key, item.episode_id or "", item.kind] for item in self.items)
        return digest([self.target, self.group_key, format_instant(self.slot), told])

    def payload(self) -> str:
        """The notice as JSON."""
        content = {
            "kind": self.kind,
            "severity": self.severity,
            "late_by_s": self.late_by.total_seconds() if self.late_by else None,
            "items": [vars(item) for item in self.items],
        }
        return canonical(content)


def from_payload(text: str, *, target: str, group_key: str, slot: datetime, alert_id: str | None) -> Notice:
    """The notice that `Notice.payload` wrote."""
    from detmon.hookspecs import Item

    content = json.loads(text)
    items = tuple(Item(**_with_instants(item)) for item in content["items"])
    late = content["late_by_s"]
    return Notice(
        target,
        content["kind"],
        group_key,
        slot,
        content["severity"],
        items,
        alert_id,
        None if late is None else timedelta(seconds=late),
    )


def queue(con: Connection, notices: Iterable[Notice], *, run_id: str, now: datetime, expires_after: timedelta) -> None:
    """Put notices into the outbox, in order. Runs in the caller's transaction."""
    for notice in notices:
        notice_id = notice.notice_id
        con.execute(
            statement("queue_notice"),
            {
                "notice_id": notice_id,
                "target": notice.target,
                "kind": notice.kind,
                "group_key": notice.group_key,
                "alert_id": notice.alert_id,
                "slot": notice.slot,
                "run_id": run_id,
                "payload": notice.payload(),
                "now": now,
                "expires_at": now + expires_after,
            },
        )
        queue_items(con, notice_id, notice.items)


def queue_items(con: Connection, notice_id: str, items: Sequence[Item]) -> None:
    """Note what a queued notice tells. Runs in the caller's transaction."""
    columns = {
        "item": list(range(len(items))),
        "alert_id": [item.alert_id for item in items],
        "instance_key": [item.instance_key for item in items],
        "episode_id": [item.episode_id for item in items],
        "kind": [item.kind for item in items],
        "detail": [canonical(item.detail) for item in items],
    }
    con.execute(statement("queue_notice_items"), {"notice_id": notice_id, **columns})


def sample(target: str, kind: str, now: datetime, *, source: str = "cam-1", count: int = 1) -> Notice:
    """A notice of `count` alerts that do not exist, for trying targets and notifiers; a digest has two at least."""
    from detmon.hookspecs import Item

    over = kind in ("resolved", "closed", "missed")
    items = tuple(
        Item(
            alert="Test Alert" if number == 1 else f"Test Alert {number}",
            alert_id=f"al_test{number}",
            model_id="test-model",
            instance_key=digest(["test", target, number]),
            episode_id=None,
            kind="firing" if kind == "digest" else kind,
            labels={"source": source},
            metric="avg_confidence",
            operator="lt",
            threshold=0.7,
            window="1h",
            value=0.642,
            n=412,
            fired_at=now - timedelta(minutes=30),
            ended_at=now if over else None,
            reason=None,
        )
        for number in range(1, max(count, 2 if kind == "digest" else 1) + 1)
    )
    return Notice(target, kind, "test", now, "info", items)


def first_kind(kinds: Iterable[str]) -> str:
    """The kind of a notice whose items have these kinds."""
    present = set(kinds)
    return next(kind for kind in KINDS if kind in present)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """The first 32 hex digits of the sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def _with_instants(item: dict[str, Any]) -> dict[str, Any]:
    return {
        key: parse_instant(value) if key in ("fired_at", "ended_at") and value is not None else value
        for key, value in item.items()
    }
