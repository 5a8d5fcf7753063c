"""`detmon train`."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from detmon.cli import options, output

if TYPE_CHECKING:
    from detmon.training.records import TrainingJob

app = options.noun()

Job: TypeAlias = Annotated[str, typer.Argument(help="The job's id or name.")]
COLUMNS = ["id", "name", "status", "version", "base_model_id", "model_id", "started_at", "finished_at", "reason"]
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\)")
"""What colours and titles of a terminal look like in a log."""


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the job is called.")],
    dataset: Annotated[str, typer.Option(help="The dataset.")],
    version: Annotated[str, typer.Option(help="Its version to train on.")],
    base_model: Annotated[str | None, typer.Option(help="The model to begin with.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Come back when it is over; exit 4 unless it succeeded.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Export a version, and run the trainer of the configuration on it; its model is registered.

    Example: detmon train create nightly --dataset review --version v2 --base-model vehicles@3 --wait
    """
    job = options.client(ctx).create_training_job(
        name=name, dataset_id=dataset, version_id=version, base_model_id=base_model, wait=wait
    )
    if json:
        output.document(job)
    else:
        output.line(job.id)
    _exit(job, wanted="succeeded" if wait else None)


@app.command("list")
def list_(ctx: typer.Context, json: options.Json = False, format: options.Rows = output.Format.table) -> None:
    """List the jobs, newest first.

    Example: detmon train list
    """
    jobs = options.client(ctx).list_training_jobs()
    output.rows(jobs, COLUMNS, format=options.chosen(format, json), empty="no training jobs yet")


@app.command("show")
def show(ctx: typer.Context, job: Job, json: options.Json = False) -> None:
    """Show a job, how it stands, and what went into it.

    Example: detmon train show nightly
    """
    found = options.client(ctx).show_training_job(job)
    if json:
        output.document(found)
        return
    shown = found.to_dict()
    versions = [f"{one.name} ({one.id}, {one.items:,} items)" for one in found.versions]
    output.pairs({**shown, "command": shlex.join(found.command), "versions": " ← ".join(versions)})


@app.command("logs")
def logs(
    ctx: typer.Context,
    job: Job,
    tail: Annotated[int | None, typer.Option(min=1, help="Only so many of the last lines.")] = None,
    json: options.Json = False,
) -> None:
    """Print what a training printed so far.

    Example: detmon train logs nightly --tail 20
    """
    found = options.client(ctx).show_training_log(job)
    if json:
        output.document(found)
        return
    lines = [_last_state(line) for line in ESCAPES.sub("", found.text).split("\n")]
    lines = lines[:-1] if lines[-1] == "" else lines
    output.text("\n".join(lines[-tail:] if tail else lines))


@app.command("cancel")
def cancel(
    ctx: typer.Context,
    job: Job,
    force: Annotated[bool, typer.Option("--force", help="Also if whatever runs it cannot be asked any more.")] = False,
    json: options.Json = False,
) -> None:
    """End a job: the training and all that it started.

    Example: detmon train cancel nightly
    """
    found = options.client(ctx).cancel_training_job(job, force=force)
    if json:
        output.document(found)
    else:
        output.line(f"{found.id} {found.status}")


def _last_state(line: str) -> str:
    """What a progress bar, which overwrites its line, shows in the end."""
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")


def _exit(job: TrainingJob, wanted: str | None) -> None:
    """Exit 4 for a job that did not come to what is wanted, or is known to have failed."""
    if (job.status in ("failed", "cancelled") and wanted) or job.status == "failed":
        said = f": {job.reason}" if job.reason else ""
        output.problem(f"{job.id} {job.status}{said} (detmon train logs {job.id})")
        raise typer.Exit(4)
