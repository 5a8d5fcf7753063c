"""A run: what has arrived since the last one is scanned and selected, then written in one transaction.

The scan only reads. Whoever writes first wins: a run whose engines were changed, or run, meanwhile starts over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from detmon import failpoints
from detmon.data_engine import engines
from detmon.data_engine.records import EngineRun, EngineScan, EngineWarning
from detmon.data_engine.selection import Scan, columns, scan
from detmon.errors import UsageError
from detmon.store import Connection, Store, statement, transaction
from detmon.times import Period


def run(store: Store, model_id: str | None, periods: Mapping[str, Period] | None, now: datetime) -> EngineRun:
    """Scan for all engines (of one model), flag what is selected, and say what happened.

    `periods`: for each model, the period that is scanned again; None: what no run has scanned yet. Raises UsageError
    where there is no engine.
    """
    while True:
        with store.reading() as con:
            present = engines.every(con, model_id)
            if not present:
                whose = f" of {model_id}" if model_id else ""
                raise UsageError(f"no engine{whose} yet", "detmon engine configure --model MODEL --dataset DATASET")
            scans = [scan(con, one, periods[one.model_id] if periods else None, now) for one in present]
        failpoints.reach("engine.scanned")
        news = [one for one in scans if one.stretches]
        written = _write(store, news, now, again=periods is not None) if news else []
        if written is not None:
            return _summary(written)


def _write(store: Store, scans: Sequence[Scan], now: datetime, *, again: bool) -> list[EngineScan] | None:
    """Write what was found in one transaction; None where somebody else wrote meanwhile."""
    with store.writing() as con, transaction(con):
        present = {engine.id: engine.runs for engine in engines.every(con)}
        if any(present.get(one.engine.id) != one.engine.runs for one in scans):
            return None
        written = [_write_scan(con, one, now, again=again) for one in scans]
        failpoints.reach("engine.written")
    return written


def _write_scan(con: Connection, found: Scan, now: datetime, *, again: bool) -> EngineScan:
    engine = found.engine
    if found.revised:
        engines.save(con, engine, now)
    con.register("chosen", found.selected)
    counts = {batch: tuple(n) for batch, *n in con.execute(statement("engine_flagged")).fetchall()}
    by_reason = dict(con.execute(statement("engine_reasons")).fetchall())
    con.execute(statement("engine_raise_items"), {"now": now})
    about = {"dataset": engine.dataset_id, "model": engine.model_id, "now": now}
    con.execute(statement("engine_add_items"), about)
    con.unregister("chosen")
    con.execute(
        statement("engine_add_scans"),
        {
            **columns(found.stretches),
            "engine": engine.id,
            "revision": engine.revision,
            "scanned": [one.scanned for one in found.stretches],
            "flagged": [counts.get(one.batch_id, (0, 0))[0] for one in found.stretches],
            "again": again,
            "now": now,
        },
    )
    if found.caps is not None:
        con.register("caps", found.caps)
        con.execute(statement("engine_add_caps"), {"engine": engine.id})
        con.unregister("caps")
    con.execute(statement("engine_ran"), {"engine": engine.id})
    return EngineScan(
        model_id=engine.model_id,
        dataset=engine.dataset,
        revision=engine.revision,
        scanned=sum(one.scanned for one in found.stretches),
        flagged=sum(flagged for flagged, _ in counts.values()),
        already_flagged=sum(already for _, already in counts.values()),
        by_reason=by_reason,
        unlisted=_unlisted(con, found),
    )


def _unlisted(con: Connection, found: Scan) -> int:
    """Scanned predictions of logs that leave out images without detections."""
    batches = [one.batch_id for one in found.stretches]
    unknown = {batch for (batch,) in con.execute(statement("engine_unlisted"), {"batches": batches}).fetchall()}
    return sum(one.scanned for one in found.stretches if one.batch_id in unknown)


def _warnings(written: Sequence[EngineScan]) -> tuple[EngineWarning, ...]:
    unlisted, scanned = sum(one.unlisted for one in written), sum(one.scanned for one in written)
    if not unlisted:
        return ()
    text = f"{unlisted:,} of {scanned:,} predictions are of logs that leave out images without detections: "
    text += "`no_detections` finds nothing there, and rates are those of the logged images"
    return (EngineWarning("denominator_unknown", text),)


def _summary(written: Sequence[EngineScan]) -> EngineRun:
    by_reason: dict[str, int] = {}
    for one in written:
        for reason, n in one.by_reason.items():
            by_reason[reason] = by_reason.get(reason, 0) + n
    return EngineRun(
        scanned=sum(one.scanned for one in written),
        flagged=sum(one.flagged for one in written),
        already_flagged=sum(one.already_flagged for one in written),
        by_reason=by_reason,
        engines=tuple(written),
        warnings=_warnings(written),
    )
