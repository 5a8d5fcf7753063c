"""A run: what has arrived since the last one is scanned and selected, then written in one transaction.

The scan only reads. Whoever writes first wins: a run whose engines were changed, or run, meanwhile starts over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from detmon import failpoints
from detmon.data_engine import conditions, engines
from detmon.data_engine.engines import Engine
from detmon.data_engine.records import EngineRun, EngineScan
from detmon.errors import UsageError
from detmon.store import Connection, Store, statement, transaction
from detmon.times import Period

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Stretch:
    """A part of a batch, `first` <= ts < `last`, and how many predictions were scanned in it."""

    batch_id: int
    first: datetime
    last: datetime
    scanned: int = 0


@dataclass(frozen=True)
class Scan:
    """What one engine found, not written yet."""

    engine: Engine
    stretches: Sequence[Stretch] = ()
    selected: pa.Table | None = None
    """Columns of `engine_identified`; None where nothing was scanned."""
    revised: bool = False
    """Whether the scan made a new revision of the engine."""


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


def scan(con: Connection, engine: Engine, period: Period | None, now: datetime) -> Scan:
    """Scan for one engine; only reads."""
    stretches = _work(con, engine, period)
    if not stretches:
        return Scan(engine)
    revision = engine.revision
    engine = engines.with_taken(con, engine, now)
    _keep_stretches(con, stretches)
    found = conditions.conditions(engine.config, engine.taken)
    span = {
        "model": engine.model_id,
        "first_batch": stretches[0].batch_id,
        "last_batch": stretches[-1].batch_id,
        "earliest": min(one.first for one in stretches),
        "latest": max(one.last for one in stretches),
    }
    counted = statement("engine_scanned").format(rows=statement("engine_rows").format(columns="true AS scanned"))
    counts = dict(con.execute(counted, span).fetchall())
    select = statement("engine_select").format(
        reasons=conditions.reasons(found),
        bucket=statement("bucket"),
        rate=conditions.rate(found),
        rows=statement("engine_rows").format(columns=conditions.columns(found)),
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE selected AS {select}",
        {**span, **conditions.values(found), "salt": engine.salt},
    )
    selected = con.sql(statement("engine_identified"), params={"dataset": engine.dataset_id}).to_arrow_table()
    done = [Stretch(one.batch_id, one.first, one.last, counts.get(one.batch_id, 0)) for one in stretches]
    return Scan(engine, done, selected, engine.revision != revision)


def _work(con: Connection, engine: Engine, period: Period | None) -> list[Stretch]:
    if period is not None:
        span = {"start": period.start, "until": period.end}
        found = con.execute(statement("engine_work_again"), span).fetchall()
    else:
        found = con.execute(statement("engine_work"), {"engine": engine.id, "until": datetime.max}).fetchall()
    return [Stretch(*row) for row in found]


def _keep_stretches(con: Connection, stretches: Sequence[Stretch]) -> None:
    con.execute("CREATE OR REPLACE TEMP TABLE stretches(batch_id INTEGER, first TIMESTAMP, last TIMESTAMP)")
    con.execute("INSERT INTO stretches SELECT unnest($batches), unnest($firsts), unnest($lasts)", _columns(stretches))


def _columns(stretches: Sequence[Stretch]) -> dict[str, Any]:
    return {
        "batches": [one.batch_id for one in stretches],
        "firsts": [one.first for one in stretches],
        "lasts": [one.last for one in stretches],
    }


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
            **_columns(found.stretches),
            "engine": engine.id,
            "revision": engine.revision,
            "scanned": [one.scanned for one in found.stretches],
            "flagged": [counts.get(one.batch_id, (0, 0))[0] for one in found.stretches],
            "again": again,
            "now": now,
        },
    )
    con.execute(statement("engine_ran"), {"engine": engine.id})
    return EngineScan(
        model_id=engine.model_id,
        dataset=engine.dataset,
        revision=engine.revision,
        scanned=sum(one.scanned for one in found.stretches),
        flagged=sum(flagged for flagged, _ in counts.values()),
        already_flagged=sum(already for _, already in counts.values()),
        by_reason=by_reason,
    )


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
    )
