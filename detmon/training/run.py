"""A job from its making to its end.

The store knows a job before anything is done for it. Who makes one holds a lock in its folder until the trainer's
handle is stored, so that a job without handle and without lock is one whose maker died. Whoever looks at a job asks its
trainer how it stands, and keeps the answer.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from detmon import failpoints
from detmon.errors import DetmonError, OperationError, UsageError
from detmon.hookspecs import Poll, TrainingTask
from detmon.store import Store, transaction
from detmon.times import naive_utc
from detmon.training import jobs
from detmon.training.guarded import Guarded
from detmon.training.jobs import Inputs, Job
from detmon.training.settings import Settings

LOCK = "making.lock"
BROKEN_OFF = "it was broken off before the training began"


@dataclass(frozen=True)
class Office:
    """What leading jobs needs: the store, trainers by name, the clock, and where oddities are said."""

    store: Store
    trainer: Callable[[str], Guarded]
    clock: Callable[[], datetime]
    note: Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """A job that is wanted. `export` writes the version into a folder; `report` tells the store of the end of a job."""

    name: str
    of: Inputs
    settings: Settings
    export: Callable[[Path], object]
    report: Callable[[str], Sequence[str]]


def create(office: Office, order: Order) -> Job:
    """Make a job and start it. Raises UsageError, before anything is made, for one that cannot be started.

    Whatever stops it later leaves a job that says why.
    """
    trainer = office.trainer(order.settings.trainer)
    task = _task(order)
    command = trainer.plan(task)
    _make_folders(task)
    with _making(task.work):
        with office.store.writing() as con, transaction(con):
            jobs.add(con, task, order.of, order.settings.trainer, command, office.clock())
        failpoints.reach("training-made")
        try:
            if trainer.exports:
                order.export(task.dataset)
            failpoints.reach("training-exported")
            if (job := _again(office, task.id)).is_over:  # cancelled meanwhile
                return job
            handle = trainer.start(task)
        except BaseException as error:
            _broken_off(office, trainer, task, error)
            raise
        failpoints.reach("training-started")
        _started(office, trainer, task.id, handle)
    return look(office, _again(office, task.id))  # it may be over, and its end was told too early


def look(office: Office, job: Job) -> Job:
    """How a job stands now; what its trainer says is kept. A trainer that cannot be asked is noted."""
    if job.is_over:
        return job
    try:
        trainer = office.trainer(job.record.trainer)
        if job.handle is None:
            return _taken_up(office, trainer, job)
        poll = trainer.poll(job.handle)
    except DetmonError as error:
        office.note(f"{job.record.id} ({job.record.name}): {error.message}")
        return job
    if poll.status in jobs.OVER:
        with office.store.writing() as con, transaction(con):
            current = jobs.find(con, job.record.id)
            if not current.is_over:
                jobs.finish(con, current, poll, office.clock())
    elif (poll.status, poll.reason, poll.log or job.record.log) != _known(job):
        with office.store.writing() as con, transaction(con):
            jobs.change(con, job.record.id, poll)
    else:
        return job
    return _again(office, job.record.id)


def cancel(office: Office, job: Job, *, give_up: bool = False) -> Job:
    """End a job: at once one that has not begun, by its trainer one that runs; comes back when it has ended.

    Raises UsageError for one that is over, OperationError for one that does not end. `give_up`: it is cancelled in the
    store, whether or not its trainer, its host or its server can be asked any more.
    """
    job = look(office, job)
    if job.is_over:
        raise UsageError(f"{job.record.id} ({job.record.name}) is over: {job.record.status}")
    if job.handle is None:
        return _closed(office, job, BROKEN_OFF)
    try:
        trainer = office.trainer(job.record.trainer)
        trainer.cancel(job.handle)
        job = wait(office, job, trainer.ends_within_s)
        if not job.is_over:
            raise OperationError(f"{job.record.id} was asked to end and still runs", "--force gives it up")
    except DetmonError as error:
        if not give_up:
            raise
        return _closed(office, job, f"given up: {error.message}")
    return job


def _closed(office: Office, job: Job, reason: str) -> Job:
    with office.store.writing() as con, transaction(con):
        jobs.change(con, job.record.id, Poll("cancelled", reason=reason), finished_at=office.clock())
    return _again(office, job.record.id)


def wait(office: Office, job: Job, patience: float | None = None) -> Job:
    """The job when it is over, or as it is after so many seconds."""
    pause = office.trainer(job.record.trainer).pause_s
    give_up = None if patience is None else time.monotonic() + patience
    while not (job := look(office, job)).is_over and (give_up is None or time.monotonic() < give_up):
        time.sleep(pause)
    return job


def oddity(office: Office, job: Job) -> str | None:
    """What is wrong with a job that is not over, in words; nothing is changed."""
    now, record = office.clock(), job.record
    try:
        trainer = office.trainer(record.trainer)
        if job.handle is None:
            return None if is_being_made(job.task.work) else BROKEN_OFF
        poll = trainer.poll(job.handle)
    except DetmonError as error:
        return error.message
    if poll.status in jobs.OVER:
        return f"it is over ({poll.status}), and the store does not know"
    if poll.reason:
        return poll.reason
    since = naive_utc(record.started_at or record.created_at)
    if now - since > job.task.timeout:
        return f"{poll.status} since {since:%Y-%m-%d %H:%M} UTC, which is longer than [training] timeout"
    return None


def is_being_made(work: Path) -> bool:
    """Whether somebody still exports or starts what belongs into this folder."""
    try:
        with (work / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _task(order: Order) -> TrainingTask:
    id = f"tj_{os.urandom(6).hex()}"
    base = order.of.base_model
    work = order.settings.folder / f"{id}.job"
    return TrainingTask(
        id=id,
        name=order.name,
        dataset=work / "dataset",
        output=order.settings.folder / id,
        work=work,
        version_id=order.of.version_id,
        digest=order.of.digest,
        base_model=(base.uri or base.id) if base else None,
        timeout=order.settings.timeout,
        report=tuple(order.report(id)),
    )


def _make_folders(task: TrainingTask) -> None:
    try:
        task.work.mkdir(parents=True)
        task.output.mkdir()
    except OSError as error:
        what = f"cannot make the folder {error.filename}: {error.strerror}"
        raise OperationError(what, "[training] folder says where jobs are kept") from None


@contextmanager
def _making(work: Path) -> Iterator[None]:
    """Show that the job is being made, for as long as this process lives and the block lasts."""
    with (work / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _broken_off(office: Office, trainer: Guarded, task: TrainingTask, error: BaseException) -> None:
    """Keep why a job never began; where the store cannot be reached, who looks at the job finds it broken off."""
    poll = Poll("failed", reason=error.message if isinstance(error, DetmonError) else str(error) or BROKEN_OFF)
    if isinstance(error, KeyboardInterrupt):
        poll = Poll("cancelled", reason=BROKEN_OFF)
    with suppress(DetmonError):
        if handle := trainer.find(task):  # the signal came while it was being started
            trainer.cancel(handle)
    with suppress(DetmonError), office.store.writing() as con, transaction(con):
        jobs.change(con, task.id, poll, finished_at=office.clock())


def _started(office: Office, trainer: Guarded, job_id: str, handle: str) -> None:
    """Keep the handle; what was cancelled in the meantime is ended."""
    now = office.clock()
    try:
        with office.store.writing() as con, transaction(con):
            runs = jobs.change(con, job_id, Poll("running"), handle=handle, started_at=now)
    except OperationError:
        office.note(f"{job_id} was started; the store will know when somebody looks: detmon train show {job_id}")
        raise
    if not runs:
        trainer.cancel(handle)


def _taken_up(office: Office, trainer: Guarded, job: Job) -> Job:
    """A job without handle: being made, or its maker died before or after the start."""
    if is_being_made(job.task.work):
        return job
    current = _again(office, job.record.id)  # it may just have been made
    if current.handle is not None or current.is_over:
        return look(office, current)
    now, handle = office.clock(), trainer.find(job.task)
    with office.store.writing() as con, transaction(con):
        if handle is not None:
            jobs.change(con, job.record.id, Poll("running"), handle=handle, started_at=now)
        else:
            jobs.change(con, job.record.id, Poll("failed", reason=BROKEN_OFF), finished_at=now)
    return look(office, _again(office, job.record.id))


def _again(office: Office, job_id: str) -> Job:
    with office.store.reading() as con:
        return jobs.find(con, job_id)


def _known(job: Job) -> tuple[str, str | None, str | None]:
    return job.record.status, job.record.reason, job.record.log
