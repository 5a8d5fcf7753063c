"""What the store keeps of training jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from detmon import datasets, models
from detmon.datasets import versions
from detmon.errors import UnknownName, UsageError
from detmon.hookspecs import Poll, TrainedModel, TrainingTask
from detmon.records import Model
from detmon.store import Connection, statement
from detmon.times import naive_utc
from detmon.training.records import TrainingJob, TrainingJobDetails, VersionInLineage

OVER = ("succeeded", "failed", "cancelled")
STATUSES = ("queued", "running", *OVER)


@dataclass(frozen=True)
class Job:
    """A job with what only its trainer needs."""

    record: TrainingJob
    handle: str | None
    task: TrainingTask

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.record.status in OVER


@dataclass(frozen=True)
class Inputs:
    """What a job is made of, as the store knows it."""

    dataset_id: str
    version_id: str
    digest: str
    base_model: Model | None


def check_name(name: str) -> None:
    """Raises UsageError for what cannot be the name of a job."""
    if not name.strip() or not name.isprintable() or re.fullmatch(r"tj_[0-9a-f]{12}", name):
        raise UsageError("a job needs a name that is not empty, on one line, and does not look like an id")


def inputs(con: Connection, dataset: str, version: str, base_model: str | None) -> Inputs:
    """What the names of a call mean. Raises UnknownName, and UsageError for a version without items."""
    dataset_id = datasets.find(con, dataset)
    found = versions.details(con, versions.find(con, version, dataset_id))
    if found.dataset_id != dataset_id:
        raise UsageError(f"version {found.name!r} is one of {found.dataset}", f"--dataset {found.dataset}")
    if not found.items:
        raise UsageError(f"version {found.name!r} of {found.dataset} has no items: there is nothing to train on")
    return Inputs(dataset_id, found.id, found.digest, models.find(con, base_model) if base_model else None)


def add(con: Connection, task: TrainingTask, of: Inputs, trainer: str, command: Sequence[str], now: datetime) -> None:
    """Keep a job that is about to begin."""
    told = {
        "dataset": str(task.dataset),
        "work": str(task.work),
        "digest": task.digest,
        "base_model": task.base_model,
        "timeout": task.timeout.total_seconds(),
        "report": list(task.report),
    }
    values = {
        "id": task.id,
        "name": task.name,
        "dataset": of.dataset_id,
        "version": of.version_id,
        "base_model": of.base_model.id if of.base_model else None,
        "trainer": trainer,
        "command": json.dumps(list(command)),
        "task": json.dumps(told),
        "output": str(task.output),
        "now": now,
    }
    con.execute(statement("add_training_job"), values)


def every(con: Connection, id: str | None = None, version_id: str | None = None) -> list[Job]:
    """All jobs, newest first (the one of this id, or of a version)."""
    return [_job(*row) for row in con.execute(statement("training_jobs"), {"id": id, "version": version_id}).fetchall()]


def find(con: Connection, id_or_name: str) -> Job:
    """The job with this id, or the only one of this name. Raises UnknownName, or UsageError for several."""
    known = every(con)
    found = [job for job in known if job.record.id == id_or_name] or [
        job for job in known if job.record.name == id_or_name
    ]
    if len(found) > 1:
        ids = ", ".join(f"{job.record.id} ({job.record.status})" for job in found)
        raise UsageError(f"{id_or_name!r} fits {len(found)} jobs: {ids}", "name one by its id")
    if not found:
        names = [job.record.name for job in known]
        hint = None if known else "no job yet: detmon train create NAME --dataset D --version V"
        raise UnknownName("training job", id_or_name, names, hint)
    return found[0]


def details(con: Connection, job: Job) -> TrainingJobDetails:
    """A job with its lineage."""
    first = versions.details(con, job.record.version_id)
    chain = [first, *(versions.details(con, parent) for parent in first.parents)]
    lineage = tuple(VersionInLineage(one.id, one.name, one.items, one.digest, one.origin) for one in chain)
    return TrainingJobDetails(**vars(job.record), versions=lineage)


def change(
    con: Connection,
    job_id: str,
    poll: Poll,
    *,
    handle: str | None = None,
    model: str | None = None,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
) -> bool:
    """Keep how a job stands; False, and nothing is changed, where it is over already."""
    values = {
        "id": job_id,
        "status": poll.status,
        "handle": handle,
        "log": poll.log,
        "exit_code": poll.exit_code,
        "reason": poll.reason,
        "model": model,
        "started_at": started_at,
        "finished_at": finished_at,
    }
    return con.execute(statement("change_training_job"), values).fetchone() is not None


def finish(con: Connection, job: Job, poll: Poll, now: datetime) -> None:
    """Keep how a job ended, with the model that it made; all in the caller's transaction.

    One whose model cannot be registered as it says has failed.
    """
    model_id = None
    if poll.status == "succeeded":
        try:
            model_id = _register(con, job, poll.model or TrainedModel(), now)
        except UsageError as error:
            poll = poll._replace(status="failed", reason=f"its model cannot be registered: {error.message}")
    started, ended = job.record.started_at, now
    if started is not None and poll.seconds is not None:
        ended = naive_utc(started) + timedelta(seconds=poll.seconds)
    change(con, job.record.id, poll, model=model_id, finished_at=ended)


def _register(con: Connection, job: Job, model: TrainedModel, now: datetime) -> str:
    """The id of the model that a job made. Raises UsageError when that id is another model's."""
    record = job.record
    base = models.find(con, record.base_model_id) if record.base_model_id else None
    name, version = model.name or (base.name if base else record.name), model.version or record.id
    if base and base.id == f"{name}@{version}":
        raise UsageError(f"{base.id} is the model that it began with")
    made = models.register(con, name, version, model.uri or record.output, None, now)
    if made.zone is None and base and base.zone:  # it will see what its parent sees
        con.execute(statement("set_model_zone"), {"id": made.id, "zone": base.zone})
    values = {"id": made.id, "parent": base.id if base else None, "job": record.id}
    if con.execute(statement("link_model"), values).fetchone() is None:
        raise UsageError(f"{made.id} was made by {made.job_id}")
    return made.id


def _job(*row: Any) -> Job:
    *about, handle, task = row
    shown = dict(zip(TrainingJob.__dataclass_fields__, about, strict=True))
    record = TrainingJob(**shown | {"command": tuple(json.loads(shown["command"]))})
    return Job(record, handle, _task(record, json.loads(task)))


def _task(record: TrainingJob, told: Mapping[str, Any]) -> TrainingTask:
    return TrainingTask(
        id=record.id,
        name=record.name,
        dataset=Path(told["dataset"]),
        output=Path(record.output),
        work=Path(told["work"]),
        version_id=record.version_id,
        digest=told["digest"],
        base_model=told["base_model"],
        timeout=timedelta(seconds=told["timeout"]),
        report=tuple(told["report"]),
    )
