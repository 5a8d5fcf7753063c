"""`prune`: old rows go; rollups, and what reviews, items and open episodes need, stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from detmon.errors import UsageError
from detmon.records import Record
from detmon.store import Connection, Store, statement, transaction
from detmon.times import floor_slot

HOUR = timedelta(hours=1)
SHORTEST = timedelta(days=1)
LOOKED_BACK = timedelta(days=28)
"""So far back anomalies, backtests and the data engine look."""
RUNS = timedelta(days=35)
"""Runs of checks and evaluations are kept so long."""
ENDED = timedelta(days=90)
"""Notices and silences are kept so long after their end."""

Kept = Sequence[tuple[str, datetime]]
"""Models, and from when on their rows stay."""


@dataclass(frozen=True)
class Pruned(Record):
    """What went, or with `dry_run` would go: rows before `before` by model, and of the alerts' past.

    `kept`: rows before that that stay. The store's file had `bytes_before` and has `bytes_after`, of which `bytes_free`
    are free for rows to come.
    """

    dry_run: bool
    before: datetime
    predictions: Mapping[str, int]
    kept: Mapping[str, int]
    runs: int
    evaluations: int
    notices: int
    silences: int
    bytes_before: int
    bytes_after: int
    bytes_free: int


class _DryRun(Exception):
    """Undoes the transaction of a dry run."""


def prune(store: Store, older_than: timedelta, now: datetime, *, kept: Kept, dry_run: bool) -> Pruned:
    """Remove what is older than so long, in one transaction, and free its room in the file.

    Rows go by whole hours, so that what is left of an hour is all or nothing. Raises UsageError for less than a day.
    """
    if older_than < SHORTEST:
        raise UsageError("older-than must be at least 1d", "for example 90d")
    before, size = floor_slot(now - older_than, HOUR), store.path.stat().st_size
    with store.writing() as con:
        with suppress(_DryRun), transaction(con):
            gone, stay = _predictions(con, before, kept)
            counts = {
                "runs": _count(con, "prune_runs", before=now - RUNS),
                "evaluations": _count(con, "prune_evaluations", before=now - RUNS),
                "notices": _notices(con, now - ENDED),
                "silences": _count(con, "prune_silences", before=now - ENDED),
            }
            if dry_run:
                raise _DryRun
        if not dry_run:
            con.execute("CHECKPOINT")
        free = _count(con, "free_bytes")
    after = store.path.stat().st_size
    return Pruned(dry_run, before, gone, stay, **counts, bytes_before=size, bytes_after=after, bytes_free=free)


def _predictions(con: Connection, before: datetime, kept: Kept) -> tuple[dict[str, int], dict[str, int]]:
    """Remove rows; how many of each model went, and how many older ones stay."""
    limits: dict[str, datetime] = {}
    for model, start in kept:
        limits[model] = min(limits.get(model, before), floor_slot(start, HOUR))
    values = {"before": before, "models": list(limits), "limits": list(limits.values())}
    con.execute(statement("prunable_predictions"), values)
    counts = con.execute(statement("prunable_counts"), {"before": before}).fetchall()
    gone = {model: n for model, n, _ in counts if n}
    if gone:
        con.execute(statement("kept_predictions"), {"before": before})
        con.execute(statement("prune_predictions"), {"before": before})
        con.execute(statement("keep_predictions"))
        con.execute("DROP TABLE kept")
    for model, n in gone.items():
        con.execute(statement("add_pruned"), {"model": model, "before": limits.get(model, before), "gone": n})
    con.execute("DROP TABLE prunable")
    return gone, {model: n for model, _, n in counts if n}


def _notices(con: Connection, before: datetime) -> int:
    con.execute(statement("prunable_notices"), {"before": before})
    _count(con, "prune_items")
    gone = _count(con, "prune_notices")
    con.execute("DROP TABLE prunable_notices")
    return gone


def _count(con: Connection, name: str, **values: datetime) -> int:
    """The number that a statement answers; of a deletion how many rows it took."""
    row = con.execute(statement(name), values).fetchone()
    assert row is not None
    return int(row[0])
