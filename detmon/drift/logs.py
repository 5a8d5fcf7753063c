"""Two logs that are in no store: each is a window."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from pathlib import Path

from detmon.drift import between, periods
from detmon.drift.parquet import in_place
from detmon.drift.records import DriftReport
from detmon.drift.settings import Asked
from detmon.drift.windows import Log, Window
from detmon.errors import UsageError
from detmon.stats.blocks import Note
from detmon.store import Connection, Store, statement
from detmon.times import format_period

STDIN = "-"
NOTHING = "no predictions"
"""The period of a log without predictions that have status ok."""


@dataclass(frozen=True)
class Reader:
    """How logs are read. `files`: the files behind names, None where anything is to be converted or is no file.

    `store` reads logs into a store, returns how many records could not be used, and raises where a log cannot be read.
    """

    files: Callable[[Sequence[str]], list[Path] | None]
    store: Callable[[Store, Sequence[str]], int]


def check_logs(
    reference: Sequence[str], current: Sequence[str], read: Reader, zone: tzinfo, asked: Asked
) -> DriftReport:
    """The verdict on two logs. What is stored for it is gone afterwards.

    Raises UsageError where both are standard input, which can be read once only.
    """
    if [*reference, *current].count(STDIN) > 1:
        raise UsageError("standard input (-) can be one log only", "name a file for the other one")
    with tempfile.TemporaryDirectory(prefix="detmon-") as folder, ExitStack() as stack:
        logs = [
            _opened(stack, Path(folder) / name, named, read, asked.now)
            for name, named in (("reference", reference), ("current", current))
        ]
        notes = [note for name, log in zip(("reference", "current"), logs, strict=True) for note in log.notes(name)]
        ids = [log.models for log in logs]
        if (all(ids) and ids[0] != ids[1]) or len(ids[0]) > 1:
            text = f"The logs are of different models: {', '.join(ids[0])} and {', '.join(ids[1])}."
            notes.append(Note("different_models", text))
        theirs, ours = (log.window(zone, asked.now) for log in logs)
        notes += _same(theirs, ours)
        texts = (_named(theirs), _named(ours))
        model = ids[0][0] if ids[0] == ids[1] and len(ids[0]) == 1 else None
        in_order = bool(theirs.images and ours.images) and theirs.last < ours.first
        return between(theirs, ours, texts, model, notes, asked, in_order=in_order)


@dataclass(frozen=True)
class _Opened:
    """A log that can be asked; `stored`: in a store with rollups. `rejected` records could not be used."""

    con: Connection
    stored: bool
    rejected: int = 0

    @cached_property
    def models(self) -> list[str]:
        """The model ids in it."""
        return [model for (model,) in self.con.execute(statement("drift_models")).fetchall()]

    def notes(self, name: str) -> list[Note]:
        """What is to be said of its reading."""
        text = f"{self.rejected:,} records of the {name} log could not be used."
        return [Note("rejected_records", text)] if self.rejected else []

    def window(self, zone: tzinfo, now: datetime) -> Window:
        """All days that it touches; today, where it has no prediction with status ok."""
        values = {"start": datetime.min, "end": datetime.max, "model": None, "source": None}
        ((first, last),) = self.con.execute(statement("drift_span"), values).fetchall()
        span = periods.around(first or now, last or now, zone)
        model = self.models[0] if self.stored and len(self.models) == 1 else None
        return Window(Log(self.con, model), span.start, span.end, zone)


def _opened(stack: ExitStack, place: Path, named: Sequence[str], read: Reader, now: datetime) -> _Opened:
    """The logs of one side, in place or in a store in `place`."""
    place.mkdir()
    files = read.files(named)
    con = in_place(files, place, now) if files else None
    if con is not None:
        stack.callback(con.close)
        return _Opened(con, stored=False)
    store = Store(place / "log.duckdb")
    rejected = read.store(store, named)
    if not store.path.exists():
        raise UsageError(f"no predictions in {', '.join(named)}")
    return _Opened(stack.enter_context(store.reading()), stored=True, rejected=rejected)


def _named(window: Window) -> str:
    return format_period(window.start, window.end, window.zone) if window.images else NOTHING


def _same(theirs: Window, ours: Window) -> list[Note]:
    """A note where the logs have predictions in common."""
    if not theirs.images or not ours.images:
        return []
    span = {"start": max(theirs.first, ours.first), "end": min(theirs.last, ours.last)}
    if span["start"] > span["end"]:
        return []
    con = theirs.log.con
    con.register("theirs", ours.log.con.sql(statement("drift_ids"), params=span).to_arrow_reader())
    ((same,),) = con.execute(statement("drift_same_predictions"), span).fetchall()
    con.unregister("theirs")
    return [Note("same_predictions", f"{same:,} predictions are in both logs.")] if same else []
