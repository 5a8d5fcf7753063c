"""What people do with targets and notices: try one out, look at what waits, send it again, give it up."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TextIO

from detmon import notices, plugins
from detmon.config import Config
from detmon.errors import ConfigError, UnknownName, UsageError
from detmon.hookspecs import Message, Permanent, Retry, Sent
from detmon.notify import messages, outbox, sending, settings
from detmon.notify.channels import Channels
from detmon.notify.secrets import Redactor
from detmon.records import NoticeDetails, PluginInfo, QueuedNotice, TargetTest
from detmon.store import Connection

STATUSES = ("queued", "sending", "sent", "dead", "merged", "dropped")
TEST_KINDS = ("firing", "resolved", "digest")


def try_out(config: Config, text: str, kind: str, now: datetime, console: TextIO, *, dry_run: bool) -> TargetTest:
    """Send a message headed TEST to a target, outside the outbox; a dry run shows it instead.

    Raises UsageError for a target that cannot be parsed or lacks a setting.
    """
    if kind not in TEST_KINDS:
        raise UnknownName("kind of test", kind, TEST_KINDS)
    redact = Redactor()
    channel = Channels(config, redact).open(text)
    found = channel.problems(online=not dry_run)
    problems = tuple(redact(str(one)) for one in found)
    errors = [one for one in found if one.level == "error"]
    about = settings.read(config)
    notice = notices.sample(str(channel.target), kind, now)
    message = messages.compose(
        notice,
        messages.Circumstances(
            about.zone, about.host, now=now, max_chars=channel.notifier.capabilities.max_chars, test=True
        ),
    )
    job = sending.Job(channel, (), _unused, lambda: now, lambda: True, threading.Event(), redact, console)
    if dry_run:
        payload = redact(_preview(job, message, notice.notice_id))
        return TargetTest(text, "not sent", None, len(payload.encode()), {}, None, problems, payload)
    if errors:
        raise ConfigError(redact(f"{text}: {errors[0].text}"), errors[0].hint and redact(errors[0].hint))
    begun = time.monotonic()
    deadline = begun + channel.notifier.capabilities.timeout_s
    outcome = sending.send(job, notice.notice_id, 1, message, None, deadline)
    took = round((time.monotonic() - begun) * 1000, 1)
    if isinstance(outcome, sending.Unready):
        raise ConfigError(f"{text}: {outcome.reason}")
    size = len(message.text.encode())
    if isinstance(outcome, Sent):
        return TargetTest(text, "sent", took, size, outcome.receipt, None, problems, None)
    return TargetTest(text, "not delivered", took, size, {}, _reason(outcome), problems, None)


def show(con: Connection, config: Config, notice_id: str, now: datetime) -> NoticeDetails:
    """One notice, and the message as it would read now."""
    row, notice, receipt = outbox.find(con, notice_id)
    about = settings.read(config)
    circumstances = messages.Circumstances(about.zone, about.host, now=None, maybe_repeat=row.ambiguous)
    message = messages.compose(notice, circumstances)
    return NoticeDetails(**_fields(row), title=message.title, text=message.text, receipt=receipt)


def listed(con: Connection, status: str | None, limit: int, *, refreshes: bool) -> list[QueuedNotice]:
    """The newest notices; also delivered repetitions if `refreshes`."""
    if status is not None and status not in STATUSES:
        raise UnknownName("status", status, STATUSES)
    return outbox.rows(con, status, limit, refreshes=refreshes)


def retry(con: Connection, ids: Sequence[str], dead: bool, now: datetime) -> list[QueuedNotice]:
    """Make notices due at once, and drop those whose end the target has heard. Runs in the caller's transaction."""
    rows = _chosen(con, ids, dead)
    for row in rows:
        if outbox.overtaken(con, row):
            outbox.drop(con, row, now)
        else:
            outbox.revive(con, row, now)
    return [outbox.find(con, row.notice_id)[0] for row in rows]


def drop(con: Connection, ids: Sequence[str], dead: bool, now: datetime) -> list[QueuedNotice]:
    """Give notices up. Runs in the caller's transaction."""
    rows = _chosen(con, ids, dead)
    for row in rows:
        outbox.drop(con, row, now)
    return [outbox.find(con, row.notice_id)[0] for row in rows]


def _chosen(con: Connection, ids: Sequence[str], dead: bool) -> list[QueuedNotice]:
    """The notices that a command names. Raises UsageError for none, or one that is neither dead nor waiting."""
    if not ids and not dead:
        raise UsageError("no notice is named", "give its id, or --dead for all dead letters")
    rows = [outbox.find(con, notice_id)[0] for notice_id in (*ids, *(outbox.dead_ids(con) if dead else ()))]
    for row in rows:
        if row.status not in ("dead", "queued"):
            raise UsageError(f"notice {row.notice_id} is {row.status}, neither dead nor waiting")
    return rows


def installed(config: Config) -> tuple[list[PluginInfo], tuple[str, ...]]:
    """All plugins, and what is wrong with any."""
    registry = plugins.load(config.table("plugins"))
    return [_info(one) for one in registry.plugins], registry.problems


def _info(one: plugins.Loaded) -> PluginInfo:
    schemes, formats, metrics, trainers = (one.offers.get(kind, ()) for kind in plugins.KINDS)
    return PluginInfo(
        one.name, one.distribution, one.version, one.origin, schemes, formats, metrics, trainers, one.error
    )


def _preview(job: sending.Job, message: Message, notice_id: str) -> str:
    channel = job.channel
    context = sending.Context(
        notice_id, 1, 0.0, job.clock(), None, channel.settings.http(), channel.settings, job.console
    )
    return channel.notifier.preview(channel.target, message, context)


def _reason(outcome: Retry | Permanent) -> str:
    hint = outcome.hint if isinstance(outcome, Permanent) else None
    return outcome.reason + (f" ({hint})" if hint else "")


def _fields(row: QueuedNotice) -> dict[str, Any]:
    return vars(row).copy()


def _unused(_: object) -> Message:
    raise NotImplementedError
