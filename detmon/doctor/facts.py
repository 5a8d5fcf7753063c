"""What the checks look at: read by SQL, mostly from the rollups, so that a store of any size answers in seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from detmon.store import Connection, statement
from detmon.store.rollups import rollups_equal_raw
from detmon.times import parse_duration

ENOUGH_IMAGES = 1_000_000
"""Repeated images are counted among about so many."""
VERIFIED_IMAGES = 100_000
"""So many images are summed again, the newest hours first, unless all are asked for."""
LATELY = timedelta(days=7)


@dataclass(frozen=True)
class Day:
    """One day of a model: where the confidences of its `scored` boxes begin, and the floors that were logged.

    `lowest` is the smallest, `edge` the one that 0.5 % do not pass: of scores without a floor it hangs less on chance.
    """

    day: datetime
    lowest: float | None
    edge: float | None
    scored: int
    floor_min: float | None
    floor_max: float | None


@dataclass(frozen=True)
class SourceSeen:
    """One source in the 28 days before its model's last image: hours with images, the longest pause in hours."""

    name: str
    hours: int
    pause: int
    last: datetime


@dataclass(frozen=True)
class Overlaps:
    """Images in which a box lies on another (IoU > 0.95); of the `looked` newest of them, what such pairs are."""

    images: int = 0
    looked: int = 0
    two_labels: int = 0
    equal: int = 0
    one_label: int = 0


@dataclass(frozen=True)
class Repeated:
    """Of `images`, how many were logged more than once, and one of them."""

    images: int = 0
    repeated: int = 0
    example: str | None = None


@dataclass(frozen=True)
class Arrivals:
    """How rows of the last days arrived; `delay` covers 95 % of them. `live`: as they came, not an old log at once."""

    rows: int = 0
    late: int = 0
    delay: timedelta = timedelta()
    live: bool = False


@dataclass(frozen=True)
class Log:
    """What is known of one model's predictions. `histograms`: kind → bin → n; `labels`: label → day → boxes."""

    model_id: str
    images: int
    errors: int
    empty: int
    boxes: int
    scored: int
    timed: int
    unknown: int
    first: datetime
    last: datetime
    same_count: bool
    days: Sequence[Day] = ()
    labels: Mapping[str, Mapping[datetime, int]] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    sources: Sequence[SourceSeen] = ()
    overlaps: Overlaps = Overlaps()
    repeated: Repeated = Repeated()
    arrivals: Arrivals = Arrivals()


@dataclass(frozen=True)
class Rule:
    """A rule that is on, as far as it matters here."""

    name: str
    model_id: str
    metric: str
    every: timedelta
    delay: timedelta
    where: Mapping[str, str]
    notify: tuple[str, ...]
    relative: bool


@dataclass(frozen=True)
class EngineFacts:
    """One engine; `random`: every image has a chance."""

    model_id: str
    dataset: str
    random: bool
    scanned_at: datetime | None


@dataclass(frozen=True)
class Work:
    """What is in the store beside the log. `sums_equal`: the rollups of `summed` images equal their rows."""

    schema: int
    read: int
    rejected: int
    reasons: tuple[str, ...]
    waiting: int
    waiting_example: str | None
    dead: int
    overdue: int
    last_error: str | None
    checked_at: datetime | None
    rules: Sequence[Rule]
    engines: Sequence[EngineFacts]
    baselines: Mapping[str, datetime]
    registered: Sequence[str]
    images: int
    summed: int
    sums_equal: bool


def logs(con: Connection, model_id: str | None, now: datetime) -> list[Log]:
    """The facts of each model that has predictions (or of one)."""
    asked = {"model": model_id}
    found = con.execute(statement("doctor_models"), asked).fetchall()
    total = sum(row[1] for row in found)
    overlaps = dict(con.execute(statement("doctor_overlaps"), asked).fetchall())
    every = max(1, total // ENOUGH_IMAGES)
    repeated = con.execute(statement("doctor_repeated"), {**asked, "every": every}).fetchall()
    counted = {model: Repeated(*about) for model, *about in repeated}
    arrived = con.execute(statement("doctor_arrivals"), {**asked, "since": now - LATELY}).fetchall()
    arrivals = {model: _arrivals(*about) for model, *about in arrived}
    return [
        replace(
            Log(*row),
            days=_days(con, row[0]),
            labels=_labels(con, row[0]),
            histograms=_histograms(con, row[0]),
            sources=_sources(con, row[0], row[9]),
            overlaps=_overlaps(con, row[0], overlaps.get(row[0], 0)),
            repeated=counted.get(row[0], Repeated()),
            arrivals=arrivals.get(row[0], Arrivals()),
        )
        for row in found
    ]


def work(con: Connection, now: datetime, *, overdue_after: timedelta, everything: bool) -> Work:
    """The rest; `everything`: the rollups of all hours are compared with their rows."""
    read, rejected, reasons = _row(con, "doctor_quarantine")
    waiting, example = _row(con, "doctor_waiting", before=now - LATELY)
    dead, overdue, last_error = _row(con, "doctor_notices", overdue=now - overdue_after)
    _, checked_at = _row(con, "status_store")
    hours = con.execute(statement("doctor_hours")).fetchall()
    taken, summed = _newest(hours, None if everything else VERIFIED_IMAGES)
    return Work(
        schema=_row(con, "doctor_schema")[0],
        read=read,
        rejected=rejected,
        reasons=tuple(reasons),
        waiting=waiting,
        waiting_example=example,
        dead=dead,
        overdue=overdue,
        last_error=last_error,
        checked_at=checked_at,
        rules=[_rule(*row) for row in con.execute(statement("doctor_rules")).fetchall()],
        engines=[_engine(*row) for row in con.execute(statement("doctor_engines"), {"model": None}).fetchall()],
        baselines=dict(con.execute(statement("doctor_baselines")).fetchall()),
        registered=[row[0] for row in con.execute(statement("list_models")).fetchall()],
        images=sum(images for _, images in hours),
        summed=summed,
        sums_equal=rollups_equal_raw(con, None if len(taken) == len(hours) else taken[-1]),
    )


def _row(con: Connection, name: str, **asked: object) -> tuple[Any, ...]:
    row: tuple[Any, ...] = con.execute(statement(name), asked).fetchall()[0]
    return row


def _newest(hours: Sequence[tuple[datetime, int]], most: int | None) -> tuple[list[datetime], int]:
    """The newest hours with about so many images, at least one, and how many these are."""
    taken: list[datetime] = []
    images = 0
    for hour, n in hours:
        if taken and most is not None and images + n > most:
            break
        taken.append(hour)
        images += n
    return taken, images


def _days(con: Connection, model_id: str) -> list[Day]:
    found = con.execute(statement("doctor_days"), {"model": model_id}).fetchall()
    return [Day(*row) for row in found]


def _labels(con: Connection, model_id: str) -> dict[str, dict[datetime, int]]:
    labels: dict[str, dict[datetime, int]] = {}
    for label, day, n in con.execute(statement("doctor_labels"), {"model": model_id}).fetchall():
        labels.setdefault(label, {})[day] = n
    return labels


def _histograms(con: Connection, model_id: str) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {"confidence": {}, "count": {}, "latency": {}, "area": {}}
    for kind, bin, n in con.execute(statement("doctor_histograms"), {"model": model_id}).fetchall():
        found[kind][bin] = n
    return found


def _sources(con: Connection, model_id: str, end: datetime) -> list[SourceSeen]:
    found = con.execute(statement("doctor_sources"), {"model": model_id, "end": end}).fetchall()
    return [SourceSeen(*row) for row in found]


def _overlaps(con: Connection, model_id: str, images: int) -> Overlaps:
    if not images:
        return Overlaps()
    return Overlaps(images, *_row(con, "doctor_twins", model=model_id))


def _arrivals(rows: int, late: int, delay: float, loads: int, load_span: float, row_span: float) -> Arrivals:
    live = loads >= 3 and load_span >= row_span / 2
    return Arrivals(rows, late, timedelta(seconds=max(0.0, delay)), live)


def _rule(name: str, model_id: str, definition: str) -> Rule:
    said = json.loads(definition)
    every, delay = parse_duration(said["every"]), parse_duration(said["delay"])
    where, notify = said.get("where") or {}, tuple(said.get("notify") or ())
    relative = said.get("relative_to") is not None
    return Rule(name, model_id, said["metric"], every, delay, where, notify, relative)


def _engine(model_id: str, dataset: str, config: str, scanned_at: datetime | None) -> EngineFacts:
    sample = json.loads(config).get("random_sample") or {}
    return EngineFacts(model_id, dataset, bool(sample.get("enabled") and sample.get("rate")), scanned_at)
