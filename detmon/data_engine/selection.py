"""Scanning: which of the predictions that are new to an engine it selects. Only reads.

Temporary tables carry what one statement leaves to the next: `stretches` (what is scanned), `drawn`, `selected`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detmon.data_engine import budget, conditions, disagreement, engines
from detmon.data_engine.conditions import Condition
from detmon.data_engine.engines import Engine
from detmon.store import Connection, statement
from detmon.times import Period

if TYPE_CHECKING:
    import pyarrow as pa

RESOLUTION = timedelta(microseconds=1)
"""Of times in the store."""


@dataclass(frozen=True)
class Stretch:
    """A part of a batch, `first` <= ts < `last`, and how many predictions of the model it holds."""

    batch_id: int
    first: datetime
    last: datetime
    scanned: int = 0


@dataclass(frozen=True)
class Scan:
    """What one engine found, not written yet; `selected` and `caps` are None where nothing was scanned or capped."""

    engine: Engine
    stretches: Sequence[Stretch] = ()
    selected: pa.Table | None = None
    """Columns of `engine_identified`."""
    caps: pa.Table | None = None
    """Columns of the table `engine_caps`, without the engine."""
    revised: bool = False
    """Whether the scan made a new revision of the engine."""


def scan(con: Connection, engine: Engine, period: Period | None, now: datetime) -> Scan:
    """Scan for one engine: what no run has scanned, or a period again."""
    stretches = _work(con, engine, period, now)
    if not stretches:
        return Scan(engine)
    revised = engines.with_taken(con, engine, now)
    con.execute(statement("engine_stretches"), columns(stretches))
    span = {
        "model": engine.model_id,
        "first_batch": stretches[0].batch_id,
        "last_batch": stretches[-1].batch_id,
        "earliest": min(one.first for one in stretches),
        "latest": max(one.last for one in stretches),
    }
    scanned = _counts(con, span)
    _select(con, revised, span, again=period is not None)
    caps = budget.apply(con, engine.id, engine.salt, engine.config["budget"])
    selected = con.sql(statement("engine_identified"), params={"dataset": engine.dataset_id}).to_arrow_table()
    done = [replace(one, scanned=scanned.get(one.batch_id, 0)) for one in stretches]
    return Scan(revised, done, selected, caps, revised is not engine)


def columns(stretches: Sequence[Stretch]) -> dict[str, Any]:
    """The stretches as columns."""
    return {
        "batches": [one.batch_id for one in stretches],
        "firsts": [one.first for one in stretches],
        "lasts": [one.last for one in stretches],
    }


def _work(con: Connection, engine: Engine, period: Period | None, now: datetime) -> list[Stretch]:
    """What is to be scanned; an engine with a budget takes whole days of UTC, once they are over."""
    capped = bool(budget.limits(engine.config["budget"]))
    until = _midnight(now) if capped else datetime.max
    if period is None:
        found = con.execute(statement("engine_work"), {"engine": engine.id, "until": until})
    else:
        start, end = period.start, period.end
        if capped:
            start, end = _midnight(start), min(until, _midnight(end - RESOLUTION) + timedelta(days=1))
        found = con.execute(statement("engine_work_again"), {"start": start, "until": end})
    return [Stretch(*row) for row in found.fetchall()]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _counts(con: Connection, span: Mapping[str, Any]) -> dict[int, int]:
    """How many predictions are scanned in each batch."""
    counted = statement("engine_scanned").format(rows=statement("engine_rows"))
    return dict(con.execute(counted, span).fetchall())


def _select(con: Connection, engine: Engine, span: Mapping[str, Any], *, again: bool) -> None:
    """Make the temporary table `selected`."""
    con.execute(statement("engine_no_selection"))
    found = conditions.conditions(engine.config, engine.taken)
    if not found:  # what it looks for is not known yet
        return
    compares = any(one.sql == disagreement.SQL for one in found)
    if compares:
        about = {key: span[key] for key in ("model", "first_batch", "last_batch")}
        about |= {"engine": engine.id, "salt": engine.salt, "again": again}
        disagreement.find(con, engine.config["disagreement"], about, max(one.rate for one in found))
    _draw(con, engine, found, "engine_rows", span)
    _keep(con, engine, found, "engine_within")
    if compares:
        _draw(con, engine, found, "engine_late_rows", {})
        _keep(con, engine, found, "engine_all")
    if con.execute(statement("engine_repeated")).fetchall() == [(True,)]:
        con.execute(statement("engine_drop_repeated"))


def _draw(con: Connection, engine: Engine, found: Sequence[Condition], rows: str, values: Mapping[str, Any]) -> None:
    """Make the temporary table `drawn` from the statement `rows`."""
    draw = statement("engine_draw").format(
        columns=conditions.columns(found),
        rows=statement(rows),
        chance=conditions.chance(found),
        below=conditions.below(found),
    )
    con.execute(draw, {**values, **conditions.values(found), **conditions.limits(found), "salt": engine.salt})


def _keep(con: Connection, engine: Engine, found: Sequence[Condition], members: str) -> None:
    """Add the `members` of what was drawn to `selected`."""
    kept = statement("engine_selected").format(
        rate=conditions.rate(found),
        reasons=conditions.reasons(found),
        conditions=conditions.held(found),
        members=statement(members),
    )
    told = {**conditions.values(found), **conditions.rates(found), "salt": engine.salt}
    con.execute(kept, {**told, "below_random": conditions.digits(conditions.random_rate(found))})
