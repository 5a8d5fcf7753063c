"""Two logs that are in no store: each is a window."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from detmon.drift import between, periods
from detmon.drift.records import DriftReport
from detmon.drift.settings import Asked
from detmon.drift.windows import Log, Window
from detmon.errors import UsageError
from detmon.stats.blocks import Note
from detmon.store import Connection, Store, statement

Reader = Callable[[Store, Sequence[str]], int]
"""Reads logs into a store; returns how many records could not be used, raises where a log cannot be read."""


def check_logs(
    reference: Sequence[str], current: Sequence[str], read: Reader, zone: tzinfo, asked: Asked
) -> DriftReport:
    """The verdict on two logs, read into temporary stores that are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="detmon-") as folder:
        stores = {name: Store(Path(folder) / f"{name}.duckdb") for name in ("reference", "current")}
        notes = [
            note
            for name, logs in (("reference", reference), ("current", current))
            for note in _rejected(name, read(stores[name], logs))
        ]
        for name, store in stores.items():
            if not store.path.exists():
                raise UsageError(f"the {name} log holds no predictions")
        notes += _same(stores["reference"], stores["current"])
        with stores["reference"].reading() as theirs, stores["current"].reading() as ours:
            ids = [_models(con) for con in (theirs, ours)]
            if ids[0] != ids[1] or len(ids[0]) > 1:
                text = f"The logs are of different models: {', '.join(ids[0])} and {', '.join(ids[1])}."
                notes.append(Note("different_models", text))
            windows = [_window(con, models, zone) for con, models in zip((theirs, ours), ids, strict=True)]
            texts = (_said(windows[0]), _said(windows[1]))
            model = ids[0][0] if ids[0] == ids[1] and len(ids[0]) == 1 else None
            in_order = windows[0].last < windows[1].first
            return between(windows[0], windows[1], texts, model, notes, asked, in_order=in_order)


def _rejected(name: str, rejected: int) -> list[Note]:
    text = f"{rejected:,} records of the {name} log could not be used."
    return [Note("rejected_records", text)] if rejected else []


def _same(reference: Store, current: Store) -> list[Note]:
    """A note where the logs have predictions in common."""
    with reference.reading() as con:
        path = str(current.path).replace("'", "''")
        con.execute(f"ATTACH '{path}' AS other (READ_ONLY)")
        (same,) = con.execute(statement("drift_same_predictions")).fetchall()[0]
        con.execute("DETACH other")
    return [Note("same_predictions", f"{same:,} predictions are in both logs.")] if same else []


def _window(con: Connection, models: Sequence[str], zone: tzinfo) -> Window:
    """All days that a log touches."""
    values = {"start": datetime.min, "end": datetime.max, "model": None, "source": None}
    first, last = con.execute(statement("drift_span"), values).fetchall()[0]
    if first is None:
        raise UsageError("a log holds failed predictions only")
    span = periods.around(first, last, zone)
    return Window(Log(con, models[0] if len(models) == 1 else None), span.start, span.end, zone)


def _said(window: Window) -> str:
    return periods.said(window.start, window.end, window.zone)


def _models(con: Connection) -> list[str]:
    return [model for (model,) in con.execute(statement("drift_models")).fetchall()]
