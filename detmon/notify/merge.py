"""A backlog becomes one story: what waited for a target is told once, in order, as it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from detmon.hookspecs import Item
from detmon.notices import Notice, digest, first_kind

DIGEST_ABOVE = 10
"""More waiting messages than this become one digest."""
SEVERITIES = ("info", "warning", "error", "critical")
_OPENS = ("firing", "reminder", "flapping", "refresh")
_AGAIN = ("reminder", "refresh")
_ENDS = ("resolved", "closed")


@dataclass(frozen=True)
class Waiting:
    """A queued row of the outbox."""

    notice_id: str
    seq: int
    notice: Notice
    run_id: str
    created_at: datetime
    not_before: datetime
    expires_at: datetime
    attempts: int
    ambiguous: bool


@dataclass(frozen=True)
class Merge:
    """`rows` take the place of the `old` ones; without any they were news of nothing that lasts."""

    old: tuple[Waiting, ...]
    rows: tuple[Waiting, ...]


def split(rows: Iterable[Waiting]) -> list[Merge]:
    """One row an item, for channels that want it so; together they have the place of the row they come from."""
    return [
        Merge((row,), tuple(_part(row, item, place) for place, item in enumerate(row.notice.items)))
        for row in rows
        if len(row.notice.items) > 1
    ]


def backlog(
    rows: Sequence[Waiting], *, per_instance: bool = False, stateful: bool = False, deliver_closed: bool = False
) -> list[Merge]:
    """What to merge among the queued rows of one target, given in `seq` order.

    Rows of one group (`per_instance`: of one instance) become one; if more than DIGEST_ABOVE are left, all become one
    digest. For a `stateful` target an instance keeps its latest state only, and one that opened and closed meanwhile
    is told nothing (unless `deliver_closed`).
    """
    merges: list[Merge] = []
    left: list[Waiting] = []
    for group in _groups(rows, per_instance):
        items = fold(item for waiting in group for item in waiting.notice.items)
        if stateful:
            items = _latest(items, deliver_closed, doubtful=any(row.ambiguous for row in group))
        if len(group) == 1 and len(items) == len(group[0].notice.items):
            left.append(group[0])
            continue
        merged = (_one(group, items, group[0].notice.group_key),) if items else ()
        merges.append(Merge(tuple(group), merged))
        left += merged
    if len(left) > DIGEST_ABOVE and not (stateful or per_instance):
        old = tuple(waiting for row in left for waiting in _origins(row, merges))
        items = [item for row in left for item in row.notice.items]
        return [Merge(old, (_one(old, items, "digest", kind="digest"),)), *(one for one in merges if not one.rows)]
    return merges


def fold(items: Iterable[Item]) -> list[Item]:
    """One item an episode (or health stretch): what it came to in the end."""
    episodes: dict[tuple[str, str | None], Item] = {}
    for item in items:
        key = (item.instance_key, item.episode_id)
        episodes[key] = _then(episodes[key], item) if key in episodes else item
    return list(episodes.values())


def _then(told: Item, news: Item) -> Item:
    """What to tell of an episode whose untold news was `told`, then `news`."""
    began = news.fired_at or told.fired_at
    if told.kind in ("firing", "flapping") and news.kind in _ENDS:
        return replace(news, kind="missed", fired_at=began)
    if told.kind in _OPENS and news.kind in _AGAIN:
        return replace(news, kind=news.kind if told.kind == "refresh" else told.kind, fired_at=began)
    return replace(news, fired_at=began)


def _latest(items: Iterable[Item], deliver_closed: bool, *, doubtful: bool) -> list[Item]:
    """The last item of each subject. What came and went unheard is left out; it is closed if it may have been heard."""
    latest: dict[str, Item] = {}
    for item in items:
        if item.kind == "missed" and not deliver_closed:
            if not doubtful:
                continue
            item = replace(item, kind="resolved")
        latest[item.subject] = item
    return list(latest.values())


def _groups(rows: Sequence[Waiting], per_instance: bool) -> list[list[Waiting]]:
    groups: dict[str, list[Waiting]] = {}
    for row in rows:
        key = row.notice.items[0].subject if per_instance else row.notice.group_key
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _origins(row: Waiting, merges: Iterable[Merge]) -> tuple[Waiting, ...]:
    return next((merge.old for merge in merges if merge.rows == (row,)), (row,))


def _part(row: Waiting, item: Item, place: int) -> Waiting:
    created_at = row.created_at + timedelta(microseconds=place)  # rows of one `seq` are in the order of their making
    notice = replace(row.notice, kind=item.kind, items=(item,))
    return replace(
        row, notice_id=digest([row.notice_id, item.subject, item.kind]), notice=notice, created_at=created_at
    )


def _one(rows: Sequence[Waiting], items: Sequence[Item], group_key: str, kind: str | None = None) -> Waiting:
    first = min(rows, key=lambda row: row.seq)
    newest = max(rows, key=lambda row: row.seq)
    alerts = {row.notice.alert_id for row in rows}
    notice = Notice(
        target=first.notice.target,
        kind=kind or first_kind(item.kind for item in items),
        group_key=group_key,
        slot=newest.notice.slot,
        severity=max((row.notice.severity for row in rows), key=_rank),
        items=tuple(items),
        alert_id=first.notice.alert_id if len(alerts) == 1 else None,
        late_by=max((row.notice.late_by for row in rows if row.notice.late_by), default=None),
    )
    return Waiting(
        notice_id=digest(sorted(row.notice_id for row in rows)),  # never an old id with a new text
        seq=first.seq,
        notice=notice,
        run_id=newest.run_id,
        created_at=min(row.created_at for row in rows),
        not_before=first.not_before,
        expires_at=max(row.expires_at for row in rows),
        attempts=max(row.attempts for row in rows),
        ambiguous=any(row.ambiguous for row in rows),
    )


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0
