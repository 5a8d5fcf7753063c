"""`doctor`: what is wrong, or soon will be, with a log, its store and what watches it.

Facts are read by SQL (`facts`), mostly from the rollups; each check is a small function from facts to findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain

from detmon import models
from detmon.doctor import facts, files, logs, work
from detmon.doctor.facts import Log, Work
from detmon.doctor.files import Place
from detmon.doctor.records import LEVELS, Diagnosis, Finding
from detmon.doctor.work import Around
from detmon.errors import StoreError, StoreLocked
from detmon.store import Store, newest_schema

__all__ = ["Around", "Diagnosis", "Finding", "examine"]

Findings = Iterable[Finding]
FIRST_LOG = "detmon ingest LOG; `detmon demo` shows it on a simulated fleet"


def examine(
    store: Store,
    place: Place,
    around: Around,
    now: datetime,
    *,
    model: str | None,
    overdue_after: timedelta,
    everything: bool,
) -> Diagnosis:
    """All findings, the worst first; a check that finds nothing is one of level ok.

    `place` was looked at before the store is opened. A store that cannot be read is a finding; raises StoreLocked, and
    UnknownName for a model that is not there. `everything`: all rollups are proven, however long that takes.
    """
    found = list(_findings(_of_place(place, around)))
    if place.size is None:
        found += work.targets(around, None)
        found.append(Finding("no_store", "info", f"there is no store at {place.path} yet", FIRST_LOG))
    else:
        found += _of_store(store, around, now, model, overdue_after, everything)
    return Diagnosis(tuple(sorted(found, key=lambda one: LEVELS.index(one.level))))


def _of_store(
    store: Store, around: Around, now: datetime, model: str | None, overdue_after: timedelta, everything: bool
) -> list[Finding]:
    import duckdb

    try:
        with store.reading() as con:
            one = models.find(con, model).id if model else None
            known = facts.logs(con, one, now)
            rest = facts.work(con, now, overdue_after=overdue_after, everything=everything)
    except StoreLocked:
        raise
    except StoreError as error:
        return [Finding("store_unreadable", "error", error.message, error.hint)]
    except duckdb.Error as error:
        what = str(error).splitlines()[0]
        hint = "restore a copy, or ingest the logs into a new store"
        return [Finding("store_damaged", "error", f"{store.path} is damaged: {what}", hint)]
    found = list(_findings(chain(_of_logs(known, now), _of_work(rest, known, around, now))))
    if not known:
        found.append(Finding("empty", "info", "no predictions are stored yet", FIRST_LOG))
    return found


Checked = Iterator[tuple[str, str, Findings]]
"""Of each check: its code and its message where it finds nothing, and what it finds."""


def _findings(checked: Checked) -> Iterator[Finding]:
    for code, well, found in checked:
        told = list(found)
        yield from told or [Finding(code, "ok", well)]


def _of_place(place: Place, around: Around) -> Checked:
    import duckdb

    yield "file_system", "the store is on a local disk", files.file_system(place)
    yield "permissions", "nobody else can read or write what is confidential", files.permissions(place)
    yield "disk_space", "there is room on the disk", files.room(place)
    yield "left_over", "no process was killed while it wrote", files.left_over(place)
    yield (
        "duckdb_version",
        f"DuckDB {duckdb.__version__} is one that detmon is tested with",
        files.engine(duckdb.__version__),
    )
    yield "configuration", "the configuration has no mistake", work.configuration(around)
    yield "plugins", "every plugin loads", work.plugins(around)


LOG_CHECKS: tuple[tuple[Callable[[Log], Findings], str], ...] = (
    (logs.images_without_boxes, "images without boxes are in the log"),
    (logs.units, "latencies, confidences and boxes are in their units"),
    (logs.arrivals, "rows come soon, and in order"),
    (logs.score_floor, "scores begin where they began before"),
    (logs.label_map, "labels are the same names all along"),
    (logs.same_counts, "the numbers of boxes vary"),
    (logs.boxes_on_boxes, "no box lies on another"),
    (logs.repeated_images, "each image was logged once"),
    (logs.silent_sources, "no source went silent"),
)


def _of_logs(known: list[Log], now: datetime) -> Checked:
    if known:
        yield "clock", "times are those of this clock", chain.from_iterable(logs.clock(log, now) for log in known)
        for check, well in LOG_CHECKS:
            yield check.__name__, well, chain.from_iterable(map(check, known))


def _of_work(rest: Work, known: list[Log], around: Around, now: datetime) -> Checked:
    part = "" if rest.summed == rest.images else f"; looked at the newest {rest.summed:,}, --full proves all"
    yield "schema", f"schema {rest.schema}", work.schema(rest, newest_schema())
    yield "sums", f"hourly sums equal their rows ({rest.images:,} images{part})", work.sums(rest)
    yield "quarantine", "no record was rejected", work.quarantine(rest)
    yield "waiting", "no verdict waits for its prediction", work.waiting(rest)
    yield "outbox", "no notice is dead or overdue", work.outbox(rest)
    yield "targets", "every target that is named can be served", work.targets(around, rest)
    yield (
        "checks",
        "alerts are checked" if rest.rules else "there are no alerts to check",
        work.checks(rest, around, now),
    )
    yield "rules", "every alert has something to look at", work.rules(rest, known, around)
    yield "engines", "every engine has a random sample", work.engines(rest)
    yield "trainings", "every training job is over, or goes on", work.trainings(around)
    yield "baselines", "every model has a recent baseline", work.baselines(rest, known)
    yield "names", "no two models are spelt alike", work.names(rest)
