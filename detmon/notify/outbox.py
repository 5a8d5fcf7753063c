"""The outbox in the store: what waits, who claimed it, what became of it. Every function runs on a connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from detmon import notices, processes
from detmon.errors import OperationError, UnknownName, UsageError
from detmon.notify.merge import Merge, Waiting
from detmon.records import QueuedNotice
from detmon.store import Connection, statement
from detmon.times import naive_utc

DEAD_COUNTS_FOR = timedelta(days=7)
"""A dead letter that nobody looks at counts in exit codes for so long."""
REFRESHES_KEPT = timedelta(days=1)
FIRST_BACKOFF, LONGEST_BACKOFF = 30.0, 900.0
LONGEST_BACKOFF_REFRESHED = 300.0
"""Of a channel that lets go, after 15 min, of what it does not hear of again."""
RECEIPT_BYTES = 2048
CLAIM_AT_MOST = 20


@dataclass(frozen=True)
class Glance:
    """What the outbox holds."""

    queued: int
    sending: int
    dead: int
    overdue: int


@dataclass(frozen=True)
class Claimed:
    """A row that this process took to send."""

    row: Waiting
    attempt: int
    receipt: Mapping[str, str] | None


@dataclass(frozen=True)
class Outage:
    """A target that fails while something waits for it, or has died in its queue."""

    target: str
    since: datetime
    fallback_sent_at: datetime | None
    error: str | None
    waiting: int
    dead: int


def glance(con: Connection, time: datetime, overdue_after: timedelta) -> Glance:
    """Count what waits, what is under way, what is dead, what waits too long."""
    values = {"dead_since": time - DEAD_COUNTS_FOR, "overdue_before": time - overdue_after}
    row = con.execute(statement("outbox_glance"), values).fetchone()
    return Glance(*row) if row else Glance(0, 0, 0, 0)


def dead_letters(seen: Glance) -> tuple[str, ...]:
    """The line that tells of dead letters, if there are any."""
    return (f"dead letters: {seen.dead}; see `detmon notify list --status dead`",) if seen.dead else ()


def recover(con: Connection, time: datetime) -> None:
    """Put back what a claimant that died, or whose lease ended, has left: it may have arrived."""
    for notice_id, claimant, lease_until in con.execute(statement("outbox_sending")).fetchall():
        if lease_until is None or lease_until <= time or processes.is_dead(claimant):
            con.execute(statement("outbox_recover"), {"notice_id": notice_id})


def forget_refreshes(con: Connection, time: datetime) -> None:
    """Remove old repetitions, which are written at every check while an alert is open."""
    found = con.execute(statement("outbox_forget_refreshes"), {"before": time - REFRESHES_KEPT}).fetchall()
    if found:
        con.execute(statement("outbox_forget_items"), {"notices": [notice_id for (notice_id,) in found]})


def expired(con: Connection, time: datetime) -> list[tuple[str, str, datetime, int, str | None]]:
    """The rows whose time to live is over: notice_id, target, created_at, attempts, last_error."""
    return con.execute(statement("outbox_expired"), {"time": time}).fetchall()


def extend(con: Connection, notice_id: str, until: datetime) -> None:
    """Give a row a longer life."""
    con.execute(statement("outbox_extend"), {"notice_id": notice_id, "expires_at": until})


def candidates(con: Connection, time: datetime) -> list[str]:
    """The targets that can be served at `time`, healthy ones first."""
    return [target for (target,) in con.execute(statement("outbox_candidates"), {"time": time}).fetchall()]


def waiting(con: Connection, target: str) -> list[Waiting]:
    """The queued rows of a target, in order. Raises OperationError when one cannot be read."""
    found = con.execute(statement("outbox_waiting"), {"target": target}).fetchall()
    try:
        return [_waiting(target, row) for row in found]
    except (KeyError, TypeError, ValueError) as error:
        raise OperationError(
            f"a waiting notice cannot be read ({type(error).__name__})", "did a newer detmon write it?"
        ) from error


def merge(con: Connection, merges: Iterable[Merge], time: datetime) -> int:
    """Write rows in the place of others; returns how many they replace."""
    replaced = 0
    for one in merges:
        for row in one.rows:
            _insert(con, row)
        into = one.rows[0].notice_id if one.rows else None
        for old in one.old:
            con.execute(
                statement("outbox_mark_merged"), {"notice_id": old.notice_id, "merged_into": into, "time": time}
            )
        replaced += len(one.old)
    return replaced


def claim(con: Connection, rows: Sequence[Waiting], claimant: str, lease_until: datetime) -> list[Claimed]:
    """Take the first rows of a target, in order; only what nobody else has taken."""
    taken = []
    for row in rows[:CLAIM_AT_MOST]:
        values = {"notice_id": row.notice_id, "owner": claimant, "lease_until": lease_until}
        found = con.execute(statement("outbox_claim"), values).fetchone()
        if found:
            taken.append(Claimed(row, found[0], _receipt(con, row)))
    return taken


def sent(con: Connection, row: Waiting, receipt: Mapping[str, str], time: datetime) -> None:
    """Delivered."""
    text = json.dumps(dict(receipt), ensure_ascii=False)
    if len(text.encode()) > RECEIPT_BYTES:
        text = "{}"
    con.execute(statement("outbox_sent"), {"notice_id": row.notice_id, "receipt": text, "time": time})
    con.execute(statement("target_ok"), {"target": row.notice.target, "time": time})


def requeue(
    con: Connection,
    claimed: Claimed,
    claimant: str,
    reason: str,
    after: float | None,
    ambiguous: bool,
    time: datetime,
    *,
    longest: float = LONGEST_BACKOFF,
) -> bool:
    """Not delivered, to be tried again; returns whether the target has just begun to fail."""
    pause = max(after or 0.0, backoff(claimed.attempt, claimed.row.notice_id, longest))
    values = {
        "notice_id": claimed.row.notice_id,
        "not_before": time + timedelta(seconds=pause),
        "ambiguous": ambiguous,
        "last_error": reason,
        "owner": claimant,
    }
    con.execute(statement("outbox_requeue"), values)
    retry_at = None if after is None else time + timedelta(seconds=after)
    return failing(con, claimed.row.notice.target, reason, time, retry_at)


def release(con: Connection, claimed: Claimed, claimant: str, reason: str | None = None) -> None:
    """Claimed and not tried; with a `reason` it could not be tried on this machine."""
    values = {"notice_id": claimed.row.notice_id, "last_error": reason, "owner": claimant}
    con.execute(statement("outbox_release"), values)


def cannot_send(con: Connection, target: str, reason: str) -> None:
    """Note on all that waits for a target why this machine cannot serve it."""
    con.execute(statement("outbox_cannot_send"), {"target": target, "last_error": reason})


def dead(con: Connection, notice_id: str, reason: str, time: datetime) -> None:
    """Never to be delivered."""
    con.execute(statement("outbox_dead"), {"notice_id": notice_id, "last_error": reason, "time": time})


def failing(con: Connection, target: str, error: str, time: datetime, retry_at: datetime | None = None) -> bool:
    """Note that a target fails; returns whether it has just begun to."""
    values = {"target": target, "time": time, "retry_at": retry_at, "error": error}
    row = con.execute(statement("target_failing"), values).fetchone()
    return row is not None and row[0] == 1


def outages(con: Connection) -> list[Outage]:
    """The targets that fail now, longest first."""
    return [Outage(*row) for row in con.execute(statement("target_outages")).fetchall()]


def fallback_sent(con: Connection, target: str, time: datetime) -> None:
    """The fallback has been told of this outage."""
    con.execute(statement("target_fallback_sent"), {"target": target, "time": time})


def backoff(attempt: int, notice_id: str, longest: float = LONGEST_BACKOFF) -> float:
    """Seconds to wait after the `attempt`-th failure: 60, 120, … up to `longest`, ± 20 % by the notice's id."""
    spread = 0.8 + 0.4 * int(notice_id[:8], 16) / 0xFFFFFFFF
    return min(FIRST_BACKOFF * 2.0 ** min(attempt, 10), longest) * spread


# --- for people --------------------------------------------------------------------------------------------------

_COLUMNS = (
    "notice_id", "target", "kind", "status", "attempts", "last_error", "alert_id", "slot", "ambiguous", "created_at",
    "not_before", "expires_at", "ended_at", "merged_into",
)  # fmt: skip


def rows(con: Connection, status: str | None, limit: int, *, refreshes: bool) -> list[QueuedNotice]:
    """The newest rows of the outbox, with one status or with any; also delivered repetitions if `refreshes`."""
    values = {"status": status, "limit": limit, "refreshes": refreshes}
    found = con.execute(statement("outbox_list"), values).fetchall()
    return [QueuedNotice(**dict(zip(_COLUMNS, row, strict=True))) for row in found]


def find(con: Connection, notice_id: str) -> tuple[QueuedNotice, notices.Notice, Mapping[str, str]]:
    """The row whose id begins so, its notice and its receipt. Raises UnknownName, UsageError."""
    found = con.execute(statement("outbox_find"), {"prefix": notice_id}).fetchall()
    if not found or not notice_id:
        raise UnknownName("notice", notice_id, hint="`detmon notify list` shows them")
    if len(found) > 1:
        raise UsageError(f"{notice_id!r} fits several notices", "give more of its digits")
    *columns, group_key, payload, receipt = found[0]
    row = QueuedNotice(**dict(zip(_COLUMNS, columns, strict=True)))
    slot = naive_utc(row.slot)
    notice = notices.from_payload(payload, target=row.target, group_key=group_key, slot=slot, alert_id=row.alert_id)
    return row, notice, json.loads(receipt) if receipt else {}


def dead_ids(con: Connection) -> list[str]:
    """The ids of all dead letters."""
    return [notice_id for (notice_id,) in con.execute(statement("outbox_dead_ids")).fetchall()]


def overtaken(con: Connection, row: QueuedNotice) -> bool:
    """Whether the target knows already how all that this notice tells has ended."""
    values = {"notice_id": row.notice_id, "target": row.target}
    return con.execute(statement("outbox_overtaken"), values).fetchone() == (True,)


def revive(con: Connection, row: QueuedNotice, time: datetime) -> None:
    """Make a dead or waiting notice due at once."""
    con.execute(statement("outbox_revive"), {"notice_id": row.notice_id, "time": time})
    con.execute(statement("target_retry_now"), {"target": row.target})


def drop(con: Connection, row: QueuedNotice, time: datetime) -> None:
    """Never send a dead or waiting notice."""
    con.execute(statement("outbox_drop"), {"notice_id": row.notice_id, "time": time})


# --- rows --------------------------------------------------------------------------------------------------------


def _waiting(target: str, row: Sequence[Any]) -> Waiting:
    notice_id, seq, _, group_key, alert_id, slot, run_id, payload, created_at, *times, attempts, ambiguous = row
    notice = notices.from_payload(payload, target=target, group_key=group_key, slot=slot, alert_id=alert_id)
    return Waiting(notice_id, seq, notice, run_id, created_at, times[0], times[1], attempts, ambiguous)


def _insert(con: Connection, row: Waiting) -> None:
    notice = row.notice
    con.execute(
        statement("outbox_merged_row"),
        {
            "notice_id": row.notice_id,
            "seq": row.seq,
            "target": notice.target,
            "kind": notice.kind,
            "group_key": notice.group_key,
            "alert_id": notice.alert_id,
            "slot": notice.slot,
            "run_id": row.run_id,
            "payload": notice.payload(),
            "created_at": row.created_at,
            "not_before": row.not_before,
            "expires_at": row.expires_at,
            "attempts": row.attempts,
            "ambiguous": row.ambiguous,
        },
    )
    notices.queue_items(con, row.notice_id, notice.items)


def _receipt(con: Connection, row: Waiting) -> Mapping[str, str] | None:
    episodes = [item.episode_id for item in row.notice.items if item.episode_id]
    if not episodes:
        return None
    values = {"episodes": episodes, "target": row.notice.target}
    found = con.execute(statement("outbox_receipt"), values).fetchone()
    return dict(json.loads(found[0])) if found else None
