"""Engines as they are stored: one a model and dataset, a revision for every change of what is selected."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from detmon.data_engine import settings
from detmon.data_engine.records import DataEngine
from detmon.data_engine.taken import Taken, take
from detmon.errors import UsageError
from detmon.store import Connection, statement


@dataclass(frozen=True)
class Engine:
    """One engine; `runs` counts its changes and runs."""

    id: str
    model_id: str
    dataset_id: str
    dataset: str
    salt: str
    revision: int
    runs: int
    created_at: datetime
    updated_at: datetime
    removed: bool
    config: Mapping[str, Any]
    taken: Taken | None


def every(
    con: Connection, model_id: str | None = None, dataset_id: str | None = None, *, removed: bool = False
) -> list[Engine]:
    """The engines, by model and dataset; `removed` ones only when asked for."""
    asked = {"model": model_id, "dataset": dataset_id, "removed": removed}
    found = con.execute(statement("list_engines"), asked).fetchall()
    return [
        Engine(*(*about, json.loads(config), Taken(**json.loads(taken)) if taken else None))
        for *about, config, taken in found
    ]


def configure(
    con: Connection, model_id: str, dataset_id: str, config: Mapping[str, Any], now: datetime, *, retake: bool = False
) -> Engine:
    """Make or change the engine of a model and dataset; the same configuration again changes nothing.

    What conditions take from the log stays as it was taken, unless `retake`, or as long as there was nothing to take.
    Raises UsageError for another salt than the one that has selected already.
    """
    present = every(con, model_id, dataset_id, removed=True)
    old = present[0] if present else None
    if old and old.salt != config["salt"]:
        _refuse_salt(con, old)
    taken = old.taken if old else None
    if settings.takes(config) and (retake or taken is None):
        taken = take(con, model_id, now)
    if old and not old.removed and (old.config, old.taken) == (config, taken):
        return old
    engine_id = old.id if old else f"en_{os.urandom(6).hex()}"
    revision, runs = (old.revision + 1, old.runs + 1) if old else (1, 1)
    about = (engine_id, model_id, dataset_id, "", config["salt"], revision, runs, now, now, False)
    save(con, Engine(*about, config, taken), now)
    return every(con, model_id, dataset_id)[0]


def remove(con: Connection, engine: Engine, now: datetime) -> None:
    """Let an engine flag nothing more; what it selected, and how, stays for estimates."""
    con.execute(statement("remove_engine"), {"id": engine.id, "now": now})


def _refuse_salt(con: Connection, engine: Engine) -> None:
    """Raise UsageError where the engine has selected already."""
    if _totals(con, engine)[0]:
        raise UsageError(
            f"the engine of {engine.model_id} and {engine.dataset} has selected with salt {engine.salt!r}",
            "another salt needs another dataset: of a mixture no probability could be told",
        )


def with_taken(con: Connection, engine: Engine, now: datetime) -> Engine:
    """`engine`, with what it takes from the log where there was nothing to take before: a new revision."""
    if engine.taken is not None or not settings.takes(engine.config):
        return engine
    taken = take(con, engine.model_id, now)
    return engine if taken is None else replace(engine, taken=taken, revision=engine.revision + 1)


def save(con: Connection, engine: Engine, now: datetime) -> None:
    """Store an engine and its revision."""
    said = {
        "engine": engine.id,
        "revision": engine.revision,
        "config": settings.canonical(engine.config),
        "taken": None if engine.taken is None else settings.canonical(asdict(engine.taken)),
        "now": now,
    }
    about = {"model": engine.model_id, "dataset": engine.dataset_id, "salt": engine.salt, "runs": engine.runs}
    con.execute(statement("save_engine"), {**said, **about})
    con.execute(statement("add_engine_revision"), {**said, "reaches_all": settings.reaches_all(engine.config)})


def record(con: Connection, engine: Engine) -> DataEngine:
    """What the user gets."""
    batches, scanned, last_run = _totals(con, engine)
    taken = None
    if engine.taken is not None:
        rare = engine.taken.rare_classes(engine.config["rare_classes"]["share"])
        taken = {**asdict(engine.taken), "rare_classes": rare}
    return DataEngine(
        engine_id=engine.id,
        model_id=engine.model_id,
        dataset_id=engine.dataset_id,
        dataset=engine.dataset,
        revision=engine.revision,
        salt=engine.salt,
        config=engine.config,
        taken=taken,
        batches=batches,
        scanned=scanned,
        last_run=last_run,
        created_at=engine.created_at,
        updated_at=engine.updated_at,
    )


def _totals(con: Connection, engine: Engine) -> tuple[int, int, datetime | None]:
    row = con.execute(statement("engine_totals"), {"engine": engine.id}).fetchone()
    assert row is not None
    return row[0], row[1], row[2]
