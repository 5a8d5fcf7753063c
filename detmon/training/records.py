"""What the verbs of training jobs answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from detmon.records import Record


@dataclass(frozen=True)
class TrainingJob(Record):
    """One training of a version. `status`: queued, running, succeeded, failed or cancelled; `reason` says why.

    `command`: what was run; `exit_code`: 128 + N for one that signal N ended; `output`: the folder of what it made;
    `log`: the file, or the address, of what it printed; `model_id`: the model it made.
    """

    id: str
    name: str
    status: str
    dataset_id: str
    version_id: str
    version: str | None
    base_model_id: str | None
    model_id: str | None
    trainer: str
    command: tuple[str, ...]
    output: str
    log: str | None
    exit_code: int | None
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class VersionInLineage(Record):
    """A version that went into a job, itself or as a parent."""

    id: str
    name: str
    items: int
    digest: str
    origin: str | None


@dataclass(frozen=True)
class TrainingJobDetails(TrainingJob):
    """A job, and where its model comes from: the version and its parents, nearest first."""

    versions: tuple[VersionInLineage, ...]


@dataclass(frozen=True)
class TrainingLog(Record):
    """What a training printed, as far as it is kept."""

    id: str
    status: str
    log: str | None
    text: str
