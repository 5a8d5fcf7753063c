"""Notices to queue by hand, for the tests of delivery."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from detmon import notices
from detmon.hookspecs import Item
from detmon.store import Store, connect, transaction
from detmon.times import parse_instant

NOON = "2026-11-20T12:00:00Z"


def at(text: str) -> datetime:
    """`10:05` on the day of the tests."""
    return parse_instant(f"2026-11-20T{text}:00Z")


def later(moment: str, **length: float) -> str:
    """`moment` and some time, as text for `--now`."""
    return notices.format_instant(parse_instant(moment) + timedelta(**length))


def item(kind: str = "firing", *, alert: str = "Low Confidence Alert", number: int = 1, **changes: Any) -> Item:
    """News of instance `number` of a rule."""
    key = notices.digest([alert, number])
    values: dict[str, Any] = {
        "alert": alert,
        "alert_id": f"al_{notices.digest(alert)[:12]}",
        "model_id": "yolo-prod",
        "instance_key": key,
        "episode_id": f"{key}.1",
        "kind": kind,
        "labels": {"source": f"cam-{number}"},
        "metric": "avg_confidence",
        "operator": "lt",
        "threshold": 0.7,
        "window": "1h",
        "value": 0.642,
        "n": 412,
        "fired_at": at("10:05"),
        "ended_at": at("10:35") if kind in ("resolved", "closed", "missed") else None,
        "reason": None,
    }
    return Item(**(values | changes))


def notice(
    target: str, *items: Item, slot: str = "10:05", group_key: str | None = None, **changes: Any
) -> notices.Notice:
    """A notice for a target; its kind is the first present."""
    news = items or (item(),)
    values: dict[str, Any] = {
        "target": target,
        "kind": notices.first_kind(one.kind for one in news),
        "group_key": group_key or news[0].alert_id,
        "slot": at(slot),
        "severity": "warning",
        "items": news,
        "alert_id": news[0].alert_id,
    }
    return notices.Notice(**(values | changes))


def queue(folder: Path, *queued: notices.Notice, now: str = NOON) -> None:
    """Put notices into the store's outbox, as a check does."""
    with Store(folder / "detmon.duckdb").writing(create=True) as con, transaction(con):
        notices.queue(con, queued, run_id="r1", now=parse_instant(now), expires_after=timedelta(days=1))


def lines(file: Path) -> list[dict[str, Any]]:
    """The messages that a `file:` target got."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def stored(folder: Path) -> str:
    """All text of the outbox, to look for what must not be there."""
    con = connect(folder / "detmon.duckdb", read_only=True)
    try:
        return repr([con.execute(f"SELECT * FROM {table}").fetchall() for table in ("outbox", "target_health")])
    finally:
        con.close()
